//! Lists: newest first, a page at a time.

use bursar_store::query::{Page, PageRequest};
use serde::Serialize;

use super::answer::{Item, item};
use super::error::ApiError;
use super::extract::Input;

/// Items of a page unless the client wants another number.
const LIMIT_DEFAULT: i64 = 20;

/// Most items of a page.
const LIMIT_MAX: i64 = 100;

/// A page as it is sent.
#[derive(Debug, Serialize)]
pub(super) struct List<T> {
    items: Vec<T>,
    has_more: bool,
    next: Option<String>,
}

/// `limit` and `cursor` of a request.
pub(super) fn request(input: &mut Input) -> Result<PageRequest, ApiError> {
    let limit = input
        .integer_text("limit", 1, LIMIT_MAX)?
        .unwrap_or(LIMIT_DEFAULT);
    Ok(PageRequest {
        limit: usize::try_from(limit).unwrap_or(1),
        cursor: input.text("cursor", 200)?,
    })
}

/// The page, each item shown by `show`.
pub(super) fn list<T, V: Serialize>(page: Page<T>, show: impl Fn(&T) -> V) -> Item<List<V>> {
    item(List {
        items: page.items.iter().map(show).collect(),
        has_more: page.next.is_some(),
        next: page.next,
    })
}
