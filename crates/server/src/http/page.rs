//! Lists: newest first, a page at a time.

use bursar_domain::id::UserId;
use bursar_store::StoreError;
use bursar_store::query::{Page, PageRequest, Reader};
use schemars::JsonSchema;
use serde::Serialize;

use super::answer::{Item, item};
use super::error::ApiError;
use super::extract::Input;
use super::form::{Field as _, Fields, Form, Part, form};
use super::kind;
use crate::App;

/// Items of a page unless the client wants another number.
const LIMIT_DEFAULT: i64 = 20;

/// Most items of a page.
const LIMIT_MAX: i64 = 100;

/// A page as it is sent.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "{T}Page")]
pub(super) struct List<T> {
    /// The newest first.
    items: Vec<T>,
    /// Whether there is another page.
    has_more: bool,
    /// What to send as `cursor` to get it.
    next: Option<String>,
}

/// Everything there is, on one page.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "{T}List")]
pub(super) struct Whole<T> {
    pub(super) items: Vec<T>,
}

/// The longest cursor, in characters.
const CURSOR_MAX: usize = 200;

/// `limit` and `cursor` of a request.
impl Part for PageRequest {
    fn take(input: &mut Input, _: &'static str) -> Result<Self, ApiError> {
        let limit = input
            .integer("limit", 1, LIMIT_MAX)?
            .unwrap_or(LIMIT_DEFAULT);
        Ok(Self {
            limit: usize::try_from(limit).unwrap_or(1),
            cursor: input.text("cursor", CURSOR_MAX)?,
        })
    }

    fn describe(_: &'static str, _: &str, fields: &mut Fields<'_>) {
        let about = format!("Most items of the page; {LIMIT_DEFAULT} without it.");
        fields.optional::<kind::Whole<1, LIMIT_MAX>>("limit", &about);
        fields.optional::<kind::Text<CURSOR_MAX>>("cursor", "`next` of the page before.");
    }
}

form! {
    /// Of a list that has no filters.
    pub(super) struct Of {
        pub(super) page: PageRequest,
    }
}

/// What an administrator asks for: what users ask for of themselves, of all of them or of one.
#[derive(Debug)]
pub(super) struct OfAll<F> {
    pub(super) user: Option<UserId>,
    pub(super) these: F,
}

impl<F: Form> Form for OfAll<F> {
    fn read(input: &mut Input) -> Result<Self, ApiError> {
        let user = kind::Id::read(input, "user_id")?;
        Ok(Self {
            user: user.map(|id| id.0),
            these: F::read(input)?,
        })
    }

    fn describe(fields: &mut Fields<'_>) {
        <Option<kind::Id<UserId>> as Part>::describe("user_id", "Only this user's.", fields);
        F::describe(fields);
    }
}

/// The page, each item shown by `show`.
pub(super) fn list<T, V: Serialize>(page: Page<T>, show: impl Fn(&T) -> V) -> Item<List<V>> {
    item(List {
        items: page.items.iter().map(show).collect(),
        has_more: page.next.is_some(),
        next: page.next,
    })
}

/// The page that the database answers `question` with, each item shown by `show`.
pub(super) async fn read<T: Send + 'static, V: Serialize>(
    app: &App,
    question: impl FnOnce(&mut Reader) -> Result<Page<T>, StoreError> + Send + 'static,
    show: impl Fn(&T) -> V,
) -> Result<Item<List<V>>, ApiError> {
    let page = app.engine().read(question).await?;
    Ok(list(page, show))
}
