//! The verbs of time, and how steps of time and moments are written.

use bursar_domain::command::Command;
use bursar_domain::time::Time;
use bursar_engine::clock::Clock;

use super::words::Words;
use super::world::{Said, World};

/// As many holds and wallets as the engine takes at a time.
const SWEEP_MAX: usize = 128;

/// `+30s`, `+11m`, `+2h`, `+1d`: seconds.
pub(super) fn span(text: &str) -> Result<i64, String> {
    let wrong = || format!("{text} is no step of time: +30s, +11m, +2h, +1d");
    let (number, unit) = text
        .strip_prefix('+')
        .and_then(|step| step.split_at_checked(step.len().saturating_sub(1)))
        .ok_or_else(wrong)?;
    let seconds = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3_600,
        "d" => 86_400,
        _ => return Err(wrong()),
    };
    let number: i64 = number.parse().map_err(|_| wrong())?;
    Ok(number * seconds)
}

/// A step from `now`, or `2026-01-01 00:00`.
pub(super) fn moment(text: &str, now: Time) -> Result<Time, String> {
    if text.starts_with('+') {
        return span(text).map(|seconds| now.plus_seconds(seconds));
    }
    let full = format!("{}:00Z", text.replace(' ', "T"));
    let timestamp = full.parse::<jiff::Timestamp>();
    let timestamp = timestamp.map_err(|_| format!("{text} is no time"))?;
    Ok(Time(timestamp.as_microsecond()))
}

/// `2026-01-01 00:11`, with seconds where there are any.
pub(super) fn time(at: Time) -> String {
    let text = at.to_string().replace('T', " ");
    let text = text.trim_end_matches('Z');
    text.strip_suffix(":00").unwrap_or(text).to_owned()
}

impl World {
    pub(super) fn now(&self) -> Time {
        self.desk.clock.now()
    }

    pub(super) fn at(&mut self, words: &mut Words) -> Said {
        let when = words.plain.by_ref().collect::<Vec<_>>().join(" ");
        let at = moment(&when, self.now())?;
        self.desk.clock.set(at);
        Ok(vec![])
    }

    /// What the engine does every second: looks what is due, and books it.
    pub(super) fn tick(&mut self) -> Vec<String> {
        let now = self.now();
        let soon = now.plus_seconds(self.desk.policy.expiry_notice_seconds);
        let due = self.desk.reader.due(now, soon, SWEEP_MAX).unwrap();
        if due.is_empty() {
            return vec!["nothing is due".to_owned()];
        }
        if let Err(refusal) = self.desk.ask(Command::Sweep(due)) {
            return self.names.reply(Err(refusal));
        }
        let rest = self.desk.reader.due(now, soon, SWEEP_MAX).unwrap();
        vec![if rest.is_empty() {
            "booked".to_owned()
        } else {
            "booked, and something is due all the same".to_owned()
        }]
    }
}
