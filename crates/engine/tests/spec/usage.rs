//! Usage: the verb that records a fact, and the one that sums them up.

use bursar_domain::command::Command;
use bursar_domain::id::UserId;
use bursar_domain::usage::{RecordUsage, UsageEvent, UsageStatus};
use bursar_store::query::{UsageFilter, UsageSum};

use super::clock::moment;
use super::words::Words;
use super::world::World;

impl World {
    pub(super) fn usage_command(words: &mut Words) -> Result<Command, String> {
        let (user, service) = (words.user()?, words.next("a service")?);
        let quantity = words.number("how much")?;
        let status = words.one_of("status", UsageStatus::parse)?;
        Ok(Command::RecordUsage(RecordUsage {
            user,
            service,
            variant: words.option("variant").unwrap_or_default(),
            quantity,
            status: status.unwrap_or(UsageStatus::Success),
            meta: words.option("meta").unwrap_or_default(),
        }))
    }

    /// Sums by service, variant and end: of `user=`, of `service=`, not before `from=`, before `to=`.
    pub(super) fn usage(&mut self, words: &mut Words) -> Result<Vec<String>, String> {
        let now = self.now();
        let mut when = |name| {
            let text = words.option(name);
            text.map(|text| moment(&text, now)).transpose()
        };
        let (from, to) = (when("from")?, when("to")?);
        let filter = UsageFilter {
            user: words.one_of("user", UserId::parse)?,
            service: words.option("service"),
            from,
            to,
        };
        let sums = self.desk.reader.usage_summary(&filter).unwrap();
        let line = |sum: &UsageSum| {
            let what = named(&sum.service, &sum.variant);
            let (quantity, count, status) = (sum.quantity, sum.count, sum.status.as_str());
            format!("{what}: {quantity} in {count}, {status}")
        };
        Ok(sums.iter().map(line).collect())
    }
}

fn named(service: &str, variant: &str) -> String {
    if variant.is_empty() {
        return service.to_owned();
    }
    format!("{service} {variant}")
}

/// `1 images large: 3 by anna, success`.
pub(super) fn written(event: &UsageEvent) -> String {
    let what = named(&event.service, &event.variant);
    let (number, status) = (event.number, event.status.as_str());
    let mut said = vec![
        format!("{number} {what}: {} by {}", event.quantity, event.user),
        status.to_owned(),
    ];
    if !event.meta.is_empty() {
        said.push(format!("meta {}", event.meta));
    }
    said.join(", ")
}
