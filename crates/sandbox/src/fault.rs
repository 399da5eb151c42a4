//! What goes wrong on purpose on the way to a webhook endpoint.
//!
//! A fault is set through the control API and holds for a number of deliveries, or until it is cleared.

use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::records::{Collection, Records};

/// Where the faults are kept among the settings.
const SETTING: &str = "faults";

/// The ways of going wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// The delivery is lost: no attempt is ever made.
    Drop,
    /// The delivery goes out several times, although the endpoint said yes.
    Duplicate,
    /// The delivery goes out late.
    Delay,
    /// Deliveries are held back and then go out in the reverse order, one after the other.
    Reorder,
    /// The attempt fails as if nothing listened at the endpoint; the usual retries follow.
    Refuse,
}

/// One thing that goes wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fault {
    /// The way of going wrong.
    pub fault: Kind,
    /// How many deliveries (attempts, for [`Kind::Refuse`]) are still affected; `None`: all, until cleared.
    pub count: Option<u32>,
    /// Only deliveries of events of this type are affected; `None`: all.
    pub event_type: Option<String>,
    /// How many times more than once a duplicate goes out.
    pub times: u32,
    /// How late a delayed delivery goes out, or how long a reordered one is held back at most, in seconds of the
    /// sandbox's clock.
    pub seconds: u32,
}

/// The faults that hold now, oldest first.
pub fn list(records: &Records) -> Vec<Fault> {
    let kept = records.get(Collection::Setting, SETTING);
    kept.and_then(|faults| serde_json::from_value(faults.clone()).ok())
        .unwrap_or_default()
}

/// Lets a fault hold from now on.
pub fn add(records: &mut Records, fault: Fault) {
    let mut faults = list(records);
    faults.push(fault);
    keep(records, &faults);
}

/// Ends all faults. Deliveries that are held back are not released by this; see
/// [`crate::delivery::release_held`].
pub fn clear(records: &mut Records) {
    keep(records, &[]);
}

/// Uses the oldest fault of this kind that fits the event once, and returns what is left of it afterwards.
pub(crate) fn take(records: &mut Records, kind: Kind, event_type: &str) -> Option<Fault> {
    let mut faults = list(records);
    let place = faults.iter().position(|fault| {
        let fits = fault
            .event_type
            .as_deref()
            .is_none_or(|wanted| wanted == event_type);
        fault.fault == kind && fits
    })?;
    let fault = &mut faults[place];
    fault.count = fault.count.map(|count| count.saturating_sub(1));
    let used = fault.clone();
    if used.count == Some(0) {
        faults.remove(place);
    }
    if used.count.is_some() {
        keep(records, &faults);
    }
    Some(used)
}

fn keep(records: &mut Records, faults: &[Fault]) {
    records.put(Collection::Setting, SETTING, json!(faults));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drop_next(count: Option<u32>, event_type: Option<&str>) -> Fault {
        let event_type = event_type.map(str::to_owned);
        Fault {
            fault: Kind::Drop,
            count,
            event_type,
            times: 1,
            seconds: 0,
        }
    }

    #[test]
    fn a_fault_holds_for_its_number_and_its_event_type_only() {
        let mut records = Records::default();
        add(&mut records, drop_next(Some(2), Some("charge.failed")));
        assert_eq!(take(&mut records, Kind::Drop, "charge.succeeded"), None);
        assert_eq!(take(&mut records, Kind::Delay, "charge.failed"), None);
        assert_eq!(
            take(&mut records, Kind::Drop, "charge.failed")
                .unwrap()
                .count,
            Some(1)
        );
        assert_eq!(
            take(&mut records, Kind::Drop, "charge.failed")
                .unwrap()
                .count,
            Some(0)
        );
        assert_eq!(take(&mut records, Kind::Drop, "charge.failed"), None);
        assert!(list(&records).is_empty());
    }

    #[test]
    fn a_fault_without_a_number_holds_until_cleared() {
        let mut records = Records::default();
        add(&mut records, drop_next(None, None));
        for _ in 0..5 {
            assert!(take(&mut records, Kind::Drop, "charge.failed").is_some());
        }
        clear(&mut records);
        assert_eq!(take(&mut records, Kind::Drop, "charge.failed"), None);
    }
}
