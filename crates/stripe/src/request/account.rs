//! The account behind a key, its balance, and every movement of that.

use super::{Request, Window};
use serde_json::json;

/// `GET /v1/account`: whose key this is.
pub fn retrieve_account() -> Request {
    Request::get("/v1/account", json!({}))
}

/// `GET /v1/balance`: the cheapest proof that a key works.
pub fn retrieve_balance() -> Request {
    Request::get("/v1/balance", json!({}))
}

/// `GET /v1/balance_transactions`, newest first; those caused by one charge, refund or dispute, or
/// all. With `expand_source` what caused each comes with it.
pub fn list_balance_transactions(
    source: Option<&str>,
    window: &Window,
    expand_source: bool,
) -> Request {
    let expand = expand_source.then_some(["data.source"]);
    let filter = json!({"source": source, "expand": expand});
    Request::get("/v1/balance_transactions", window.narrow(filter))
}
