//! Deliveries of events to webhook endpoints: what is to be sent when. The sending itself is in `sender`.
//!
//! Times are those of the sandbox's clock, in milliseconds since 1970, so that moving the clock makes retries
//! due. Stripe promises no order and at least one delivery; so does this.

use std::collections::HashMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::fault::{self, Kind};
use crate::records::{Collection, Records};
use crate::version;

/// Where a delivery stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// To be attempted when it is due.
    Waiting,
    /// Held back by a fault until its burst is complete.
    Held,
    /// The endpoint answered 2xx.
    Delivered,
    /// Every attempt failed, or the endpoint is gone.
    Failed,
    /// Lost on purpose.
    Dropped,
}

impl Stage {
    /// Its name, as it is written in the record.
    pub fn name(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Held => "held",
            Self::Delivered => "delivered",
            Self::Failed => "failed",
            Self::Dropped => "dropped",
        }
    }
}

/// One event on its way to one endpoint.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Delivery {
    /// `{event}.{endpoint}`, with `.2`, `.3`, … for copies.
    pub id: String,
    /// Where it stands. Written as `object`, by which the records keep lists: what waits is found without
    /// walking over everything that was ever delivered.
    #[serde(rename = "object")]
    pub stage: Stage,
    /// The id of the event.
    pub event: String,
    /// The type of the event.
    pub event_type: String,
    /// The id of the webhook endpoint.
    pub endpoint: String,
    /// When the next attempt is due, or when a held delivery is let go at the latest.
    pub due_at: i64,
    /// Another delivery that has to be attempted before this one.
    pub after: Option<String>,
    /// Asked for by hand: one attempt, no retries.
    pub manual: bool,
    /// The attempts made, oldest first.
    pub attempts: Vec<Attempt>,
}

/// One attempt to deliver.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attempt {
    /// When it ended.
    pub at: i64,
    /// How long it took, in milliseconds.
    pub millis: i64,
    /// The status the endpoint answered with.
    pub status: Option<u16>,
    /// Why there was no answer, or why the answer is a failure.
    pub error: Option<String>,
}

impl Attempt {
    /// Whether the endpoint has the event. Only 2xx counts; a redirect is a failure.
    pub fn succeeded(&self) -> bool {
        self.error.is_none()
            && self
                .status
                .is_some_and(|status| (200..300).contains(&status))
    }
}

/// What is to be sent now.
#[derive(Debug, Clone, PartialEq)]
pub struct Outgoing {
    /// The id of the delivery.
    pub delivery: String,
    /// The type of the event.
    pub event_type: String,
    /// Where it goes.
    pub url: String,
    /// The endpoint's signing secret, `whsec_…`.
    pub secret: String,
    /// The body, byte for byte as it is signed.
    pub body: Vec<u8>,
}

/// Notes one delivery of `event` for every enabled endpoint that wants it, and on the event how many there are.
/// `now` is in seconds, as all times of events are.
pub fn enqueue(records: &mut Records, event: &Value, now: i64) {
    let (Some(id), Some(kind)) = (event["id"].as_str(), event["type"].as_str()) else {
        return;
    };
    let wanting: Vec<String> = records
        .objects("webhook_endpoint")
        .filter(|endpoint| wants(endpoint, kind))
        .filter_map(|endpoint| endpoint["id"].as_str().map(str::to_owned))
        .collect();
    if wanting.is_empty() {
        return;
    }
    for endpoint in &wanting {
        let delivery = Delivery {
            id: format!("{id}.{endpoint}"),
            stage: Stage::Waiting,
            event: id.to_owned(),
            event_type: kind.to_owned(),
            endpoint: endpoint.clone(),
            due_at: now.saturating_mul(1000),
            after: None,
            manual: false,
            attempts: Vec::new(),
        };
        send_on(records, delivery);
    }
    records.update(Collection::Object, id, |event| {
        event["pending_webhooks"] = json!(wanting.len());
    });
}

/// Whether an endpoint is enabled for events of this type. `*` stands for all of them.
fn wants(endpoint: &Value, kind: &str) -> bool {
    let named = |name: &Value| name == "*" || name == kind;
    let events = endpoint["enabled_events"].as_array();
    endpoint["status"] == "enabled" && events.is_some_and(|events| events.iter().any(named))
}

/// Puts a new delivery on its way, past the faults that lie in wait for it.
fn send_on(records: &mut Records, mut delivery: Delivery) {
    let kind = delivery.event_type.clone();
    if fault::take(records, Kind::Drop, &kind).is_some() {
        delivery.stage = Stage::Dropped;
        return keep(records, &delivery);
    }
    if let Some(delay) = fault::take(records, Kind::Delay, &kind) {
        delivery.due_at += i64::from(delay.seconds) * 1000;
    }
    let at_once = delivery.due_at;
    let mut burst_complete = false;
    if let Some(reorder) = fault::take(records, Kind::Reorder, &kind) {
        delivery.stage = Stage::Held;
        delivery.due_at += i64::from(reorder.seconds) * 1000;
        burst_complete = reorder.count == Some(0);
    }
    keep(records, &delivery);
    if let Some(duplicate) = fault::take(records, Kind::Duplicate, &kind) {
        for copy in 0..duplicate.times {
            let id = format!("{}.{}", delivery.id, copy + 2);
            keep(
                records,
                &Delivery {
                    id,
                    ..delivery.clone()
                },
            );
        }
    }
    if burst_complete {
        release_held(records, at_once);
    }
}

/// Sends all that is held back on its way: for each endpoint the newest first, one after the other.
pub fn release_held(records: &mut Records, now: i64) {
    let held: Vec<Delivery> = of_stage(records, Stage::Held).filter_map(read).collect();
    let mut before: HashMap<String, String> = HashMap::new();
    for mut delivery in held {
        delivery.stage = Stage::Waiting;
        delivery.due_at = delivery.due_at.min(now);
        delivery.after = before.insert(delivery.endpoint.clone(), delivery.id.clone());
        keep(records, &delivery);
    }
}

/// Lets go what was held back for long enough, and gives up what is meant for endpoints that are gone.
pub fn advance(records: &mut Records, now: i64) {
    if of_stage(records, Stage::Held).any(|held| due_at(held) <= now) {
        release_held(records, now);
    }
    let is_gone = |waiting: &&Value| {
        let endpoint = waiting["endpoint"].as_str().unwrap_or_default();
        records.get(Collection::Object, endpoint).is_none()
    };
    let waiting = of_stage(records, Stage::Waiting);
    let gone: Vec<Delivery> = waiting.filter(is_gone).filter_map(read).collect();
    for mut delivery in gone {
        delivery.stage = Stage::Failed;
        keep(records, &delivery);
    }
}

/// What is due at `now`, oldest first, at most `most`. A disabled endpoint gets nothing, but keeps its place:
/// enabled again, it gets what is still waiting.
pub fn due(records: &Records, now: i64, most: usize) -> Vec<Outgoing> {
    // Thousands may wait while a receiver is down: only those that go now are read as a whole.
    of_stage(records, Stage::Waiting)
        .rev()
        .filter(|waiting| due_at(waiting) <= now)
        .filter_map(read)
        .filter(|delivery| may_go(records, delivery))
        .filter_map(|delivery| outgoing(records, &delivery))
        .take(most)
        .collect()
}

/// When the next delivery that is not due at `now` will be.
pub fn next_due(records: &Records, now: i64) -> Option<i64> {
    let open = of_stage(records, Stage::Waiting).chain(of_stage(records, Stage::Held));
    open.map(due_at).filter(|due_at| *due_at > now).min()
}

fn due_at(delivery: &Value) -> i64 {
    delivery["due_at"].as_i64().unwrap_or(i64::MAX)
}

/// Whether the delivery before this one, if there is one, has been attempted.
fn may_go(records: &Records, delivery: &Delivery) -> bool {
    let before = delivery.after.as_deref().and_then(|id| get(records, id));
    before.is_none_or(|before| before.stage != Stage::Waiting || !before.attempts.is_empty())
}

fn outgoing(records: &Records, delivery: &Delivery) -> Option<Outgoing> {
    let endpoint = records.get(Collection::Object, &delivery.endpoint)?;
    if endpoint["status"] != "enabled" && !delivery.manual {
        return None;
    }
    let private = records.get(Collection::Private, &delivery.endpoint)?;
    let event = records.get(Collection::Object, &delivery.event)?;
    Some(Outgoing {
        delivery: delivery.id.clone(),
        event_type: delivery.event_type.clone(),
        url: endpoint["url"].as_str()?.to_owned(),
        secret: private["secret"].as_str()?.to_owned(),
        body: body(event, endpoint["api_version"].as_str())?,
    })
}

/// The bytes of an event as an endpoint gets them that asked for a version of its own.
pub(crate) fn body(event: &Value, version: Option<&str>) -> Option<Vec<u8>> {
    // Stripe's bodies are indented; a receiver that parses before it verifies should notice here.
    serde_json::to_vec_pretty(&version::event_as(event, version)).ok()
}

/// Writes down how an attempt went and when the next one is due. `pauses` are the pauses before the second, third,
/// … attempt; after the last one the delivery has failed.
pub fn record_outcome(records: &mut Records, id: &str, attempt: Attempt, pauses: &[Duration]) {
    let Some(mut delivery) = get(records, id) else {
        return;
    };
    let pause = pauses
        .get(delivery.attempts.len())
        .filter(|_| !delivery.manual);
    if attempt.succeeded() {
        if !reached(records, &delivery) {
            count_down(records, &delivery.event);
        }
        delivery.stage = Stage::Delivered;
    } else if let Some(pause) = pause {
        let pause = i64::try_from(pause.as_millis()).unwrap_or(i64::MAX);
        delivery.due_at = attempt.at.saturating_add(pause);
    } else {
        delivery.stage = Stage::Failed;
    }
    delivery.attempts.push(attempt);
    keep(records, &delivery);
}

/// Sends a delivery once more, whatever became of it. Returns the new delivery's id, or `None` if there is no such
/// delivery. As with Stripe, the automatic retries of the old one go on beside it.
pub fn resend(records: &mut Records, id: &str, now: i64) -> Option<String> {
    let old = get(records, id)?;
    let first = format!("{}.{}", old.event, old.endpoint);
    let copy = copies(records, &first).count() + 1;
    let id = format!("{first}.{copy}");
    let stage = Stage::Waiting;
    let (after, attempts) = (None, Vec::new());
    let fresh = Delivery {
        id: id.clone(),
        stage,
        due_at: now,
        after,
        manual: true,
        attempts,
        ..old
    };
    keep(records, &fresh);
    Some(id)
}

/// Whether every endpoint has had its chance to answer this event: an attempt was made, or none will be.
pub fn answered(records: &Records, event: &str) -> bool {
    let endpoints = records.objects("webhook_endpoint");
    endpoints
        .filter_map(|endpoint| get(records, &format!("{event}.{}", endpoint["id"].as_str()?)))
        .all(|delivery| {
            !delivery.attempts.is_empty() || !matches!(delivery.stage, Stage::Waiting | Stage::Held)
        })
}

/// Whether an endpoint may still get this event.
pub(crate) fn is_owed(records: &Records, event: &str) -> bool {
    records
        .deliveries_of(event)
        .any(|(_, delivery)| is_open(delivery))
}

/// Whether something is still to become of a delivery by itself.
pub(crate) fn is_open(delivery: &Value) -> bool {
    let open = [Stage::Waiting, Stage::Held];
    open.iter().any(|stage| delivery["object"] == stage.name())
}

/// Forgets every delivery of an event.
pub(crate) fn forget(records: &mut Records, event: &str) {
    let all: Vec<String> = records
        .deliveries_of(event)
        .map(|(id, _)| id.to_owned())
        .collect();
    for id in all {
        records.delete(Collection::Delivery, &id);
    }
}

/// The delivery with this id.
pub fn get(records: &Records, id: &str) -> Option<Delivery> {
    records.get(Collection::Delivery, id).and_then(read)
}

/// The newest deliveries, at most `count`, newest first.
pub fn newest(records: &Records, count: usize) -> Vec<Delivery> {
    let all = records.list(Collection::Delivery).into_iter();
    all.take(count)
        .filter_map(|(_, value)| read(value))
        .collect()
}

fn of_stage(records: &Records, stage: Stage) -> impl DoubleEndedIterator<Item = &Value> {
    records.of_kind(Collection::Delivery, stage.name())
}

fn read(value: &Value) -> Option<Delivery> {
    Delivery::deserialize(value).ok()
}

fn keep(records: &mut Records, delivery: &Delivery) {
    records.put(Collection::Delivery, &delivery.id, json!(delivery));
}

/// A delivery and its copies, by the id of the first.
fn copies<'a>(records: &'a Records, first: &'a str) -> impl Iterator<Item = Delivery> + 'a {
    let later = (2..).map_while(move |copy: u32| get(records, &format!("{first}.{copy}")));
    get(records, first).into_iter().chain(later)
}

/// Whether the endpoint has had this event already, by whichever copy.
fn reached(records: &Records, delivery: &Delivery) -> bool {
    let first = format!("{}.{}", delivery.event, delivery.endpoint);
    copies(records, &first).any(|copy| copy.stage == Stage::Delivered)
}

/// One endpoint less that still has to get the event.
fn count_down(records: &mut Records, event: &str) {
    records.update(Collection::Object, event, |event| {
        let pending = event["pending_webhooks"].as_i64().unwrap_or(0);
        event["pending_webhooks"] = json!((pending - 1).max(0));
    });
}

#[cfg(test)]
mod tests;
