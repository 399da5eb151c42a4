//! Spending limits: the verbs that set them and take them away, and how one is written.

use bursar_domain::amount::Amount;
use bursar_domain::command::Command;
use bursar_domain::id::LimitId;
use bursar_domain::limit::{Period, SetLimit, SpendingLimit, Subject, SubjectKind};

use super::clock::time;
use super::said::{Names, plain};
use super::words::Words;
use super::world::{World, all};

impl World {
    pub(super) fn limit_command(
        &mut self,
        verb: &str,
        words: &mut Words,
    ) -> Result<Command, String> {
        if verb == "unlimit" {
            let name = words.next("a limit")?;
            let known = self.names.id(&name).ok().and_then(LimitId::parse);
            // `L0` is the name of none.
            let none = (name == "L0").then(|| LimitId::of(1 << 40));
            let id = known
                .or(none)
                .ok_or_else(|| format!("{name} is no limit"))?;
            return Ok(Command::RemoveLimit(id));
        }
        let subject = subject(&words.next("whose limit")?)?;
        let most = words.number("how much")?;
        let period = words.next("day, week, month or ever")?;
        Ok(Command::SetLimit(SetLimit {
            subject,
            most: Amount::new(most, words.unit()?),
            period: Period::parse(&period).ok_or_else(|| format!("{period} is no period"))?,
        }))
    }

    /// All limits, the oldest first.
    pub(super) fn limits(&mut self) -> Vec<String> {
        let mut limits = self.desk.reader.limits(None, &all()).unwrap().items;
        limits.reverse();
        limits.iter().map(|limit| self.names.limit(limit)).collect()
    }
}

/// `user:anna`, `api_key:k-7`, `label:team-red`.
fn subject(text: &str) -> Result<Subject, String> {
    let wrong = || format!("{text} is nobody: user:anna, api_key:k-7, label:team-red");
    let (kind, name) = text.split_once(':').ok_or_else(wrong)?;
    Ok(Subject {
        kind: SubjectKind::parse(kind).ok_or_else(wrong)?,
        name: name.to_owned(),
    })
}

impl Names {
    /// `L1 user anna: 60 of 100 credits a day, 20 of them reserved, until 2026-01-02 00:00`.
    pub(super) fn limit(&mut self, limit: &SpendingLimit) -> String {
        let name = self.of('L', &limit.id.to_string());
        let (subject, unit) = (&limit.subject, limit.most.unit);
        let (used, most) = (limit.used(self.now), limit.most);
        let each = match limit.period {
            Period::Day => "a day",
            Period::Week => "a week",
            Period::Month => "a month",
            Period::Ever => "in all",
        };
        let mut said = vec![format!(
            "{name} {} {}: {} of {most} {each}",
            subject.kind.as_str(),
            subject.name,
            plain(used, unit)
        )];
        if limit.reserved != 0 {
            said.push(format!("{} of them reserved", plain(limit.reserved, unit)));
        }
        let ends = limit.period.ends(self.now);
        said.extend(ends.map(|at| format!("until {}", time(at))));
        said.join(", ")
    }
}
