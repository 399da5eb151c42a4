//! Stories of deliveries, with a clock that is a number.

use super::*;
use crate::fault::Fault;

const NOW: i64 = 1_800_000_000;
const MILLIS: i64 = NOW * 1000;
const PAUSES: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(5)];

/// Records with one endpoint, `we_1`, for these events.
fn records(enabled_events: &[&str]) -> Records {
    let mut records = Records::default();
    endpoint(&mut records, "we_1", enabled_events);
    records
}

fn endpoint(records: &mut Records, id: &str, enabled_events: &[&str]) {
    let endpoint = json!({
        "id": id,
        "object": "webhook_endpoint",
        "url": format!("http://127.0.0.1:1/{id}"),
        "status": "enabled",
        "enabled_events": enabled_events,
        "api_version": null,
    });
    records.put(Collection::Object, id, endpoint);
    let secret = json!({"secret": format!("whsec_0123456789abcdef_{id}")});
    records.put(Collection::Private, id, secret);
}

fn event(records: &mut Records, id: &str, kind: &str) {
    let event = json!({
        "id": id, "object": "event", "type": kind, "api_version": "2026-08-26.dahlia",
        "pending_webhooks": 0, "data": {"object": {"id": "ch_1"}},
    });
    records.put(Collection::Object, id, event.clone());
    enqueue(records, &event, NOW);
}

fn set(records: &mut Records, kind: Kind, count: Option<u32>, times: u32, seconds: u32) {
    fault::add(
        records,
        Fault {
            fault: kind,
            count,
            event_type: None,
            times,
            seconds,
        },
    );
}

fn answer(records: &mut Records, id: &str, status: u16, at: i64) {
    let attempt = Attempt {
        at,
        millis: 3,
        status: Some(status),
        error: None,
    };
    record_outcome(records, id, attempt, &PAUSES);
}

fn due_ids(records: &Records, now: i64) -> Vec<String> {
    due(records, now, 100)
        .into_iter()
        .map(|outgoing| outgoing.delivery)
        .collect()
}

fn pending(records: &Records, event: &str) -> i64 {
    records.get(Collection::Object, event).unwrap()["pending_webhooks"]
        .as_i64()
        .unwrap()
}

#[test]
fn every_enabled_endpoint_that_wants_the_event_gets_it() {
    let mut records = records(&["charge.succeeded", "charge.failed"]);
    endpoint(&mut records, "we_all", &["*"]);
    endpoint(&mut records, "we_other", &["customer.created"]);
    endpoint(&mut records, "we_off", &["*"]);
    records.update(Collection::Object, "we_off", |endpoint| {
        endpoint["status"] = json!("disabled");
    });
    event(&mut records, "evt_1", "charge.failed");
    let mut ids = due_ids(&records, MILLIS);
    ids.sort();
    assert_eq!(ids, ["evt_1.we_1", "evt_1.we_all"]);
    assert_eq!(pending(&records, "evt_1"), 2);
}

#[test]
fn an_endpoint_gets_the_event_in_its_own_version_and_with_the_count() {
    let mut records = records(&["*"]);
    records.update(Collection::Object, "we_1", |endpoint| {
        endpoint["api_version"] = json!("2025-03-31.basil");
    });
    event(&mut records, "evt_1", "charge.failed");
    let outgoing = due(&records, MILLIS, 100).remove(0);
    assert_eq!(outgoing.url, "http://127.0.0.1:1/we_1");
    assert_eq!(outgoing.secret, "whsec_0123456789abcdef_we_1");
    let body: Value = serde_json::from_slice(&outgoing.body).unwrap();
    assert_eq!(body["api_version"], "2025-03-31.basil");
    assert_eq!(body["pending_webhooks"], 1);
    assert!(
        outgoing.body.starts_with(b"{\n  \"id\""),
        "indented, as Stripe sends it"
    );
}

#[test]
fn a_failed_attempt_is_made_again_after_each_pause_and_then_given_up() {
    let mut records = records(&["*"]);
    event(&mut records, "evt_1", "charge.failed");
    let id = "evt_1.we_1";
    answer(&mut records, id, 500, MILLIS);
    assert!(due(&records, MILLIS + 999, 100).is_empty());
    assert_eq!(next_due(&records, MILLIS), Some(MILLIS + 1_000));
    assert_eq!(due_ids(&records, MILLIS + 1_000), [id]);
    answer(&mut records, id, 302, MILLIS + 1_000);
    assert_eq!(
        due_ids(&records, MILLIS + 6_000),
        [id],
        "a redirect is a failure"
    );
    answer(&mut records, id, 404, MILLIS + 6_000);
    assert!(due(&records, i64::MAX, 100).is_empty());
    let delivery = get(&records, id).unwrap();
    assert_eq!(
        (delivery.stage, delivery.attempts.len()),
        (Stage::Failed, 3)
    );
    assert_eq!(pending(&records, "evt_1"), 1, "it was never delivered");
}

#[test]
fn success_ends_it_and_is_counted_once() {
    let mut records = records(&["*"]);
    event(&mut records, "evt_1", "charge.failed");
    let attempt = Attempt {
        at: MILLIS,
        millis: 1,
        status: None,
        error: Some("refused".into()),
    };
    record_outcome(&mut records, "evt_1.we_1", attempt, &PAUSES);
    answer(&mut records, "evt_1.we_1", 204, MILLIS + 1_000);
    assert!(due(&records, i64::MAX, 100).is_empty());
    assert_eq!(pending(&records, "evt_1"), 0);
    let again = resend(&mut records, "evt_1.we_1", MILLIS + 2_000).unwrap();
    assert_eq!(due_ids(&records, MILLIS + 2_000), [again.as_str()]);
    answer(&mut records, &again, 200, MILLIS + 2_000);
    assert_eq!(pending(&records, "evt_1"), 0);
}

#[test]
fn a_manual_attempt_is_not_retried_and_leaves_the_automatic_ones_alone() {
    let mut records = records(&["*"]);
    event(&mut records, "evt_1", "charge.failed");
    answer(&mut records, "evt_1.we_1", 500, MILLIS);
    let manual = resend(&mut records, "evt_1.we_1", MILLIS).unwrap();
    answer(&mut records, &manual, 500, MILLIS);
    assert_eq!(get(&records, &manual).unwrap().stage, Stage::Failed);
    assert_eq!(due_ids(&records, MILLIS + 1_000), ["evt_1.we_1"]);
    let second = resend(&mut records, &manual, MILLIS).unwrap();
    assert_ne!(second, manual);
    answer(&mut records, &second, 200, MILLIS);
    assert_eq!(pending(&records, "evt_1"), 0, "a manual success counts");
    answer(&mut records, "evt_1.we_1", 200, MILLIS + 1_000);
    assert_eq!(pending(&records, "evt_1"), 0);
    assert_eq!(resend(&mut records, "evt_9.we_1", MILLIS), None);
}

#[test]
fn a_disabled_endpoint_gets_nothing_until_enabled_and_a_deleted_one_never() {
    let mut records = records(&["*"]);
    event(&mut records, "evt_1", "charge.failed");
    records.update(Collection::Object, "we_1", |endpoint| {
        endpoint["status"] = json!("disabled");
    });
    assert!(due(&records, MILLIS, 100).is_empty());
    records.update(Collection::Object, "we_1", |endpoint| {
        endpoint["status"] = json!("enabled");
    });
    assert_eq!(due(&records, MILLIS, 100).len(), 1);
    records.delete(Collection::Object, "we_1");
    assert!(due(&records, MILLIS, 100).is_empty());
    advance(&mut records, MILLIS);
    assert_eq!(get(&records, "evt_1.we_1").unwrap().stage, Stage::Failed);
}

#[test]
fn a_dropped_event_is_never_attempted() {
    let mut records = records(&["*"]);
    set(&mut records, Kind::Drop, Some(1), 1, 0);
    event(&mut records, "evt_1", "charge.failed");
    event(&mut records, "evt_2", "charge.failed");
    assert_eq!(due_ids(&records, i64::MAX), ["evt_2.we_1"]);
    assert_eq!(get(&records, "evt_1.we_1").unwrap().stage, Stage::Dropped);
    assert_eq!(
        pending(&records, "evt_1"),
        1,
        "so that the list of undelivered events finds it"
    );
    assert!(answered(&records, "evt_1"));
    assert!(!answered(&records, "evt_2"));
}

#[test]
fn a_duplicate_goes_out_beside_the_first() {
    let mut records = records(&["*"]);
    set(&mut records, Kind::Duplicate, Some(1), 2, 0);
    event(&mut records, "evt_1", "charge.failed");
    let ids = due_ids(&records, MILLIS);
    assert_eq!(ids, ["evt_1.we_1", "evt_1.we_1.2", "evt_1.we_1.3"]);
    for id in ids {
        answer(&mut records, &id, 200, MILLIS);
    }
    assert_eq!(pending(&records, "evt_1"), 0);
}

#[test]
fn a_delay_is_a_matter_of_the_clock() {
    let mut records = records(&["*"]);
    set(&mut records, Kind::Delay, None, 1, 3600);
    event(&mut records, "evt_1", "charge.failed");
    assert!(due(&records, MILLIS + 3_599_999, 100).is_empty());
    assert_eq!(due(&records, MILLIS + 3_600_000, 100).len(), 1);
}

#[test]
fn a_burst_goes_out_in_reverse_one_after_the_other() {
    let mut records = records(&["*"]);
    set(&mut records, Kind::Reorder, Some(3), 1, 60);
    event(&mut records, "evt_1", "charge.failed");
    event(&mut records, "evt_2", "charge.failed");
    assert!(
        due(&records, MILLIS + 1_000, 100).is_empty(),
        "held until the burst is complete"
    );
    event(&mut records, "evt_3", "charge.failed");
    event(&mut records, "evt_4", "charge.failed");
    for expected in ["evt_3.we_1", "evt_2.we_1", "evt_1.we_1"] {
        let ids = due_ids(&records, MILLIS);
        assert!(ids.contains(&"evt_4.we_1".to_owned()), "the fault is over");
        assert_eq!(
            ids.iter()
                .filter(|id| *id != "evt_4.we_1")
                .collect::<Vec<_>>(),
            [expected]
        );
        answer(&mut records, expected, 200, MILLIS);
    }
}

#[test]
fn a_burst_that_never_fills_is_let_go_in_the_end() {
    let mut records = records(&["*"]);
    set(&mut records, Kind::Reorder, Some(3), 1, 60);
    event(&mut records, "evt_1", "charge.failed");
    event(&mut records, "evt_2", "charge.failed");
    assert_eq!(next_due(&records, MILLIS), Some(MILLIS + 60_000));
    advance(&mut records, MILLIS + 59_999);
    assert!(due(&records, MILLIS + 59_999, 100).is_empty());
    advance(&mut records, MILLIS + 60_000);
    assert_eq!(due_ids(&records, MILLIS + 60_000), ["evt_2.we_1"]);
    answer(&mut records, "evt_2.we_1", 500, MILLIS + 60_000);
    assert_eq!(
        due_ids(&records, MILLIS + 60_000),
        ["evt_1.we_1"],
        "a failed attempt is enough"
    );
}
