//! Events. Stripe keeps them for 30 days.

use super::{Request, Window, path};
use serde_json::json;

/// Which events to list, newest first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ListEvents {
    /// At most 20 types; empty for all.
    pub types: Vec<String>,
    /// Only those that all endpoints took (`true`) or some did not take (`false`).
    pub delivery_success: Option<bool>,
    /// Which page, and of which time.
    pub window: Window,
}

/// `GET /v1/events`.
pub fn list_events(list: &ListEvents) -> Request {
    let filter = json!({
        "types": list.types,
        "delivery_success": list.delivery_success,
    });
    Request::get("/v1/events", list.window.narrow(filter))
}

/// `GET /v1/events/{id}`.
pub fn retrieve_event(id: &str) -> Request {
    Request::get(path("/v1/events", id), json!({}))
}
