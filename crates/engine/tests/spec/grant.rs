//! Grants: the verbs that make them and take them back, and how one is written.

use bursar_domain::amount::Amount;
use bursar_domain::command::Command;
use bursar_domain::grant::{Category, CreateGrant, Grant, PRIORITY_DEFAULT, RollOver, Source};
use bursar_domain::id::GrantId;

use super::clock::{moment, time};
use super::said::{Names, plain, remark};
use super::words::Words;
use super::world::World;

impl World {
    pub(super) fn grant_command(
        &mut self,
        verb: &str,
        words: &mut Words,
    ) -> Result<Command, String> {
        if verb == "void" {
            return Ok(Command::VoidGrant {
                grant: self.grant_id(words)?,
                remark: words.remark(),
            });
        }
        let (user, amount, now) = (words.user()?, words.number("an amount")?, self.now());
        let amount = Amount::new(amount, words.unit()?);
        let category = words.one_of("category", Category::parse)?;
        let source = words.one_of("source", Source::parse)?;
        let category = category.unwrap_or(Category::Promotional);
        let plain = CreateGrant::plain(user, amount, category, source.unwrap_or(Source::Manual));
        let priority = words.one_of("priority", |word| word.parse().ok())?;
        let mut when = |name| {
            let text = words.option(name);
            text.map(|text| moment(&text, now)).transpose()
        };
        let (starts_at, expires_at) = (when("starts")?, when("expires")?);
        let cap = words.one_of("rolls", |word| word.parse().ok())?;
        let seconds = words.span("for")?;
        Ok(Command::CreateGrant(CreateGrant {
            priority: priority.unwrap_or(PRIORITY_DEFAULT),
            starts_at,
            expires_at,
            roll_over: cap
                .zip(seconds)
                .map(|(cap, seconds)| RollOver { cap, seconds }),
            remark: words.remark(),
            ..plain
        }))
    }

    /// `G1`; one that no grant has is an id of the right form all the same.
    fn grant_id(&self, words: &mut Words) -> Result<GrantId, String> {
        let name = words.next("a grant")?;
        if name == "G0" {
            return Ok(GrantId::of(1 << 40));
        }
        let id = GrantId::parse(self.names.id(&name)?);
        id.ok_or_else(|| format!("{name} is no grant"))
    }

    /// The live grants of a wallet in the order in which they burn, then those that have ended.
    pub(super) fn grants(&mut self, words: &mut Words) -> Result<Vec<String>, String> {
        let key = Self::wallet_key(words)?;
        let wallet = self.desk.wallets(vec![key.clone()]).remove(0);
        let live = wallet.map_or(vec![], |wallet| wallet.grants.clone());
        let ended = self
            .all_grants()
            .into_iter()
            .filter(|grant| grant.wallet == key && grant.ended_at.is_some());
        let grants = live.into_iter().chain(ended);
        Ok(grants.map(|grant| self.names.grant(&grant)).collect())
    }
}

impl Names {
    /// `G1 20 of 50 credits, promotional, priority 10, until 2026-01-31 00:00`.
    pub(super) fn grant(&mut self, grant: &Grant) -> String {
        let (name, unit) = (self.grant_name(grant.id), grant.wallet.unit);
        let whole = Amount::new(grant.granted, unit);
        let is_touched = grant.remaining != grant.granted;
        let amount = if is_touched && (grant.remaining > 0 || grant.end.is_none()) {
            format!("{} of {whole}", plain(grant.remaining, unit))
        } else {
            whole.to_string()
        };
        let mut said = match grant.end {
            Some(end) => vec![format!("{name} {}", end.as_str()), amount],
            None => vec![format!("{name} {amount}")],
        };
        let category = grant.category.as_str();
        said.push(match grant.source {
            Source::Manual => category.to_owned(),
            source => format!("{category} {}", source.as_str()),
        });
        if grant.priority != PRIORITY_DEFAULT {
            said.push(format!("priority {}", grant.priority));
        }
        let starts = grant.starts_at.filter(|start| *start > self.now);
        said.extend(starts.map(|at| format!("from {}", time(at))));
        said.extend(grant.expires_at.map(|at| format!("until {}", time(at))));
        said.extend(grant.roll_over.map(|roll| {
            let (cap, days) = (plain(roll.cap, unit), roll.seconds / 86_400);
            format!("then up to {cap} for {days}d more")
        }));
        if grant.held > 0 {
            said.push(format!("{} held", plain(grant.held, unit)));
        }
        said.join(", ") + &remark(&grant.remark)
    }

    pub(super) fn grant_name(&mut self, id: GrantId) -> String {
        self.of('G', &id.to_string())
    }
}
