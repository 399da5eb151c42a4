//! Events, as they can be read afterwards.

use serde_json::Value;

use crate::delivery;
use crate::error::{ApiError, ApiResult};
use crate::index::Span;
use crate::list::Listing;
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
    /// The events after the one with the id `last`, or all of them, oldest first and at most `most`; with an unknown
    /// id none. `version` is that of an endpoint that asked for one of its own.
    ///
    /// Whoever reads on with the last id reads every event once, as long as the moments the world is told do not go
    /// back. No endpoint is needed.
    pub fn events_after(
        &self,
        last: Option<&str>,
        most: usize,
        version: Option<&str>,
    ) -> Vec<Told> {
        let mut span = Span::default();
        if let Some(last) = last {
            match self.records.place_of("event", last) {
                Some(place) => span = span.after(place),
                None => return Vec::new(),
            }
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
}

/// How long events can be read, in seconds: Stripe keeps them for thirty days.
const KEPT: i64 = 30 * 86_400;

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
        since: Some(call.now - KEPT),
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
    world.object_at("event", call.id(), "id")
}
