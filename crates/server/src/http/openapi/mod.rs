//! The OpenAPI document: made from the routes, and from the types that their handlers take and give.
//!
//! An argument of a handler says what a request needs ([`Argument`]): credentials, a form, a key. What it returns says how it answers
//! ([`Answer`]). The one thing a type does not say is by which rules a request may be refused; the [list of routes](super::routes)
//! does. One line about each route comes from the tables of `docs/api.md` and `docs/facades.md`, the meaning of codes from
//! `docs/errors.md`.

mod argument;
mod document;
pub(super) mod error;
mod operation;
mod route;
mod words;

use std::sync::LazyLock;

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use super::answer::{Item, item};
use super::error::ApiError;
use super::extract::Query;
use super::form::Nothing;
pub use document::document;
#[cfg(test)]
use document::generator;
pub(super) use operation::{Argument, File, Operation, Page, ReturnPage};
pub(super) use route::Routes;

/// The document as it is sent; made once.
static TEXT: LazyLock<Box<RawValue>> =
    LazyLock::new(|| serde_json::value::to_raw_value(&document()).unwrap_or_default());

/// The document as text.
pub fn text() -> &'static str {
    TEXT.get()
}

/// The document; its shape is OpenAPI's.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(inline)]
pub(super) struct OpenApi(#[schemars(with = "Map<String, Value>")] &'static RawValue);

/// `GET /v1/openapi.json`
pub(super) async fn get(_: Query<Nothing>) -> Result<Item<OpenApi>, ApiError> {
    Ok(item(OpenApi(&TEXT)))
}

#[cfg(test)]
mod tests;
