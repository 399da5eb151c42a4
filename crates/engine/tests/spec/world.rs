//! The world of a specification: a desk, the names of what is in its books, and which line does what.

use std::collections::BTreeMap;

use bursar_domain::account::AccountKey;
use bursar_domain::grant::{Grant, GrantEnd};
use bursar_store::query::{
    EventFilter, GrantFilter, HoldFilter, PageRequest, PaymentFilter, TopupFilter,
};

use super::said::{self, Names};
use super::words::Words;
use crate::desk::Desk;
use crate::inbox;

/// What came of a line; an error is a mistake in the specification.
pub(crate) type Said = Result<Vec<String>, String>;

pub(crate) struct World {
    pub(super) desk: Desk,
    pub(super) names: Names,
    pub(super) keys_made: u32,
    pub(super) published: Vec<(i64, String)>,
}

/// What stands in the books, by name (and unit), in the order in which changes are told.
type Snapshot = BTreeMap<(Kind, String, &'static str), String>;

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Payment,
    Returned,
    Topup,
    Hold,
    Grant,
    Wallet,
    Event,
}

pub(super) fn all() -> PageRequest {
    PageRequest {
        limit: 1000,
        cursor: None,
    }
}

impl World {
    pub(crate) fn over(desk: Desk) -> Self {
        Self {
            desk,
            names: Names::default(),
            keys_made: 0,
            published: vec![],
        }
    }

    /// Runs one line; what came of it. An error is a mistake in the specification.
    pub(crate) fn run(&mut self, line: &str) -> Said {
        let mut words = Words::of(line);
        let verb = words.next("a verb")?;
        self.names.now = self.now();
        let before = self.snapshot();
        let mut said = match verb.as_str() {
            "at" => self.at(&mut words)?,
            "tick" => self.tick(),
            "policy" => self.policy(&mut words)?,
            "action" => self.action(&mut words)?,
            "package" => self.package(&mut words)?,
            "offer" => self.offer(&mut words)?,
            "restart" => self.restart(),
            "opened" | "refused" | "job" => self.result(&verb, &mut words)?,
            "read" => self.read(&mut words)?,
            "event" => self.event(&mut words)?,
            "sent" => self.sent(&mut words)?,
            "refunded" => self.refunded(&mut words)?,
            "disputed" => self.disputed(&mut words)?,
            "refunds" | "disputes" => self.show_returns(&verb, &mut words)?,
            "publish" => self.publish(),
            "seals" => self.seals(),
            "tamper" => self.tamper(&mut words)?,
            "audit" => self.audit(),
            "wallet" | "past" | "history" | "grants" | "holds" | "limits" | "announcements"
            | "usage" | "topups" | "payments" | "payment" | "events" | "jobs" | "books" => {
                self.show(&verb, &mut words)?
            }
            _ => self.ask(&verb, &mut words)?,
        };
        words.end()?;
        inbox::work_off(&mut self.desk);
        let changes = self.changes(&before, &said);
        if let (Some(last), false) = (said.last_mut(), changes.is_empty()) {
            let mark = if last.contains("; ") { ", " } else { "; " };
            *last = format!("{last}{mark}{}", changes.join(", "));
        }
        Ok(said)
    }

    fn restart(&mut self) -> Vec<String> {
        self.desk.restart();
        vec![]
    }

    /// All grants as their rows say, the oldest first.
    pub(super) fn all_grants(&mut self) -> Vec<Grant> {
        let reader = &mut self.desk.reader;
        let mut grants = reader
            .grants(&GrantFilter::default(), &all())
            .unwrap()
            .items;
        grants.reverse();
        grants
    }

    /// Names what is new, and says how everything stands. Of grants, those that are spent are not told: the charge tells.
    fn snapshot(&mut self) -> Snapshot {
        let mut rows = Snapshot::new();
        for grant in self.all_grants() {
            let name = self.names.grant_name(grant.id);
            let end = grant.end.filter(|end| *end != GrantEnd::Spent);
            let status = end.map_or("", GrantEnd::as_str).to_owned();
            rows.insert((Kind::Grant, name, ""), status);
        }
        let (reader, names) = (&mut self.desk.reader, &mut self.names);
        let holds = reader.holds(&HoldFilter::default(), &all()).unwrap();
        for hold in holds.items {
            let name = names.of('H', &hold.id.to_string());
            rows.insert((Kind::Hold, name, ""), hold.status.as_str().to_owned());
        }
        let payments = reader.payments(&PaymentFilter::default(), &all()).unwrap();
        for payment in payments.items {
            let name = names.of('P', payment.id.as_str());
            let status = payment.status.as_str().to_owned();
            rows.insert((Kind::Payment, name, ""), status);
        }
        for (name, text) in self.lost() {
            rows.insert((Kind::Returned, name, ""), text);
        }
        let (reader, names) = (&mut self.desk.reader, &mut self.names);
        let topups = reader.topups(&TopupFilter::default(), &all()).unwrap();
        for topup in topups.items {
            let name = names.of('T', topup.id.as_str());
            rows.insert((Kind::Topup, name, ""), topup.status.as_str().to_owned());
        }
        let events = reader.events(&EventFilter::default(), &all()).unwrap();
        for event in events.items {
            let name = names.tidy(&event.id);
            rows.insert((Kind::Event, name, ""), event.status.as_str().to_owned());
        }
        rows.extend(self.snapshot_of_wallets());
        rows
    }

    fn snapshot_of_wallets(&mut self) -> Snapshot {
        let accounts = self.desk.reader.wallets(&all()).unwrap().items;
        let keys: Vec<AccountKey> = accounts.into_iter().map(|account| account.key).collect();
        let wallets = self.desk.wallets(keys.clone());
        let now = self.names.now;
        let row = |(key, wallet): (AccountKey, Option<_>)| {
            let text = said::wallet(wallet.as_deref(), key.unit, now);
            ((Kind::Wallet, key.owner.to_string(), key.unit.code()), text)
        };
        keys.into_iter().zip(wallets).map(row).collect()
    }

    /// What has changed, beyond what the line itself says: rows that were there before, and every wallet.
    fn changes(&mut self, before: &Snapshot, said: &[String]) -> Vec<String> {
        let is_told = |kind: Kind, name: &str, status: &str| {
            if kind == Kind::Wallet {
                let told = format!("; {status} afterwards");
                return said.iter().any(|line| line.ends_with(&told));
            }
            let told = format!("{name} {status}");
            said.first().is_some_and(|line| line.starts_with(&told))
        };
        let after = self.snapshot();
        let changed = after.iter().filter(|(key, status)| {
            let (kind, name, _) = key;
            let old = before.get(*key);
            let worth_telling = old.is_some() || *kind == Kind::Wallet;
            old != Some(*status) && worth_telling && !is_told(*kind, name, status)
        });
        changed
            .map(|((_, name, _), status)| format!("{name} {status}"))
            .collect()
    }
}
