//! Events, as they can be read afterwards.

use serde_json::{Value, json};

use crate::delivery;
use crate::error::{ApiError, ApiResult};
use crate::index::Span;
use crate::list::Listing;
use crate::records::Collection;
use crate::route::{Call, Operation};
use crate::world::World;

pub(crate) const OPERATIONS: &[Operation] = &[
    (
        "GET",
        "/v1/events",
        "@list created:range delivery_success:bool type:text types:[text]",
        list,
    ),
    ("GET", "/v1/events/{}", "", retrieve),
];

/// One event as a webhook endpoint gets it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told {
    /// The id of the event.
    pub id: String,
    /// Its type, such as `charge.refunded`.
    pub kind: String,
    /// The body of the delivery, byte for byte.
    pub body: Vec<u8>,
}

impl World {
    /// The events after the one with the id `last`, or all of them, oldest first and at most `most`. `version` is that
    /// of an endpoint that asked for one of its own. An id that is not known is taken for that of an event that has
    /// been forgotten: all that are left are newer.
    ///
    /// Whoever reads on with the last id reads every event once that is not more than thirty days old, as long as the
    /// moments the world is told do not go back. No endpoint is needed.
    pub fn events_after(
        &self,
        last: Option<&str>,
        most: usize,
        version: Option<&str>,
    ) -> Vec<Told> {
        let mut span = Span::default().after(self.forgotten);
        if let Some(place) = last.and_then(|id| self.records.place_of("event", id)) {
            span = span.after(place);
        }
        let events = self.records.select("event", None, span).rev().take(most);
        let told = events.filter_map(|event| {
            Some(Told {
                id: event["id"].as_str()?.to_owned(),
                kind: event["type"].as_str()?.to_owned(),
                body: delivery::body(event, version)?,
            })
        });
        told.collect()
    }

    /// Forgets the events that nobody can read any more, oldest first. One that an endpoint has still to get stays
    /// as long as Stripe would try: after a jump of the clock it may be old although it has just happened.
    pub(crate) fn forget_events(&mut self, now: i64) {
        let span = Span::default().after(self.forgotten);
        let span = span.until(oldest_kept(now).saturating_sub(1));
        let old = self.records.ids("event", span).rev();
        for id in old.map(str::to_owned).collect::<Vec<_>>() {
            if let Some(place) = self.records.place_of("event", &id) {
                self.forgotten = place;
            }
            if !delivery::is_owed(&self.records, &id) {
                self.forget_event(&id);
            } else if self.facts(&id).is_null() {
                self.note(&id, "owed", json!(true));
                self.plan(now.saturating_add(OWED), "forget_event", &id);
            }
        }
    }

    /// Forgets an event and its deliveries, whatever became of them.
    pub(crate) fn forget_event(&mut self, id: &str) {
        delivery::forget(&mut self.records, id);
        self.records.delete(Collection::Private, id);
        self.records.delete(Collection::Object, id);
    }
}

/// How long events can be read, in seconds: Stripe keeps them for thirty days.
const KEPT: i64 = 30 * 86_400;

/// How long an event that is too old to be read is kept for endpoints that have not answered, in seconds: Stripe
/// tries for three days.
const OWED: i64 = 3 * 86_400;

/// The moment of the oldest events that can be read.
fn oldest_kept(now: i64) -> i64 {
    now.saturating_sub(KEPT)
}

fn list(world: &mut World, call: &Call) -> ApiResult {
    let params = &call.params;
    if !params["type"].is_null() && !params["types"].is_null() {
        let message = "Give type or types, not both.";
        return Err(ApiError::coded("parameters_exclusive", message).at("types"));
    }
    let types: Vec<&str> = match (params["type"].as_str(), params["types"].as_array()) {
        (Some(one), _) => vec![one],
        (None, Some(types)) => types.iter().filter_map(|kind| kind.as_str()).collect(),
        (None, None) => Vec::new(),
    };
    if types.len() > 20 {
        return Err(ApiError::invalid("You can filter by up to 20 types.").at("types"));
    }
    let undelivered = params["delivery_success"]
        .as_bool()
        .map(|delivered| !delivered);
    let fits = |event: &Value| {
        let kind = event["type"].as_str();
        (types.is_empty() || types.iter().any(|wanted| of_type(kind, wanted)))
            && undelivered.is_none_or(|waits| waits == (event["pending_webhooks"] != 0))
    };
    // A whole group, such as `charge.*`, is no value of the field.
    let whole = types.iter().any(|wanted| wanted.ends_with('*'));
    let listing = Listing {
        kind: "event",
        filters: if whole { &[] } else { &["type"] },
        since: Some(oldest_kept(call.now)),
    };
    listing.page_with(&world.records, call, fits)
}

/// Whether a type is the wanted one, or one of `charge.*`.
fn of_type(kind: Option<&str>, wanted: &str) -> bool {
    let kind = kind.unwrap_or_default();
    match wanted.strip_suffix('*') {
        Some(start) => kind.starts_with(start),
        None => kind == wanted,
    }
}

fn retrieve(world: &mut World, call: &Call) -> ApiResult {
    let event = world.object_at("event", call.id(), "id")?;
    if event["created"].as_i64() < Some(oldest_kept(call.now)) {
        return Err(ApiError::no_such("event", call.id(), "id", 404));
    }
    Ok(event)
}
