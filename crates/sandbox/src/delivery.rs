//! Deliveries of events to webhook endpoints.

use serde_json::Value;

use crate::records::Records;

/// Notes one delivery of `event` for every endpoint that wants it.
pub fn enqueue(_records: &mut Records, _event: &Value, _now: i64) {}
