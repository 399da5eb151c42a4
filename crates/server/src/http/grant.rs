//! Grants: value given, listed, taken back.

use axum::extract::State;
use bursar_domain::account::{AccountKey, Owner};
use bursar_domain::amount::{Amount, Unit};
use bursar_domain::command::Command;
use bursar_domain::grant::{
    AMOUNT_MAX, Category, CreateGrant, Grant, GrantEnd, PRIORITY_DEFAULT, PRIORITY_MAX, RollOver,
    Source,
};
use bursar_domain::id::{GrantId, UserId};
use bursar_domain::journal::Remark;
use bursar_domain::time::Time;
use bursar_engine::Once;
use bursar_store::query::{GrantFilter, PageRequest};
use schemars::JsonSchema;
use serde::Serialize;

use super::answer::{Item, answer};
use super::auth::{Admin, User};
use super::error::ApiError;
use super::extract::Query;
use super::field::Credits;
use super::form::{Inside, form};
use super::kind::{Code, Id, Meta, Moment, Whole, Word, choice};
use super::order::Order;
use super::page::{self, List, OfAll};
use crate::App;

/// The longest a rolled-over grant may last, in seconds: ten years.
const ROLL_SECONDS_MAX: i64 = 10 * 366 * 86_400;

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Grant")]
pub(super) struct View {
    grant_id: Id<GrantId>,
    user_id: Id<Owner>,
    status: Status,
    category: Word<Category>,
    source: Word<Source>,
    priority: i64,
    credits: i64,
    remaining: i64,
    held: i64,
    unit: Code,
    starts_at: Option<Moment>,
    expires_at: Option<Moment>,
    roll_over: Option<Rolls>,
    note: String,
    r#ref: String,
    meta: Meta,
    created_at: Moment,
    ended_at: Option<Moment>,
}

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "RollOver")]
struct Rolls {
    cap: i64,
    expires_in: i64,
}

impl View {
    pub(super) fn of(grant: &Grant, now: Time) -> Self {
        Self {
            grant_id: Id(grant.id),
            user_id: Id(grant.wallet.owner.clone()),
            status: status(grant, now),
            category: Word(grant.category),
            source: Word(grant.source),
            priority: grant.priority,
            credits: grant.granted,
            remaining: grant.remaining,
            held: grant.held,
            unit: Code(grant.wallet.unit),
            starts_at: grant.starts_at.map(Moment),
            expires_at: grant.expires_at.map(Moment),
            roll_over: grant.roll_over.map(|roll| Rolls {
                cap: roll.cap,
                expires_in: roll.seconds,
            }),
            note: grant.remark.note.clone(),
            r#ref: grant.remark.reference.clone(),
            meta: Meta(grant.remark.meta.clone()),
            created_at: Moment(grant.created_at),
            ended_at: grant.ended_at.map(Moment),
        }
    }
}

/// In a word, as it stands now.
#[derive(Debug, Clone, Copy, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
enum Status {
    Active,
    Scheduled,
    Spent,
    Expired,
    Voided,
}

fn status(grant: &Grant, now: Time) -> Status {
    match grant.end {
        Some(GrantEnd::Spent) => Status::Spent,
        Some(GrantEnd::Voided) => Status::Voided,
        None if grant.is_usable(now) => Status::Active,
        None if grant.starts_at.is_some_and(|start| now < start) => Status::Scheduled,
        Some(GrantEnd::Expired) | None => Status::Expired,
    }
}

/// What may be named as the source of a grant; the others name themselves.
const SOURCES: &[(&str, Source)] = &[
    ("bonus", Source::Bonus),
    ("allowance", Source::Allowance),
    ("trial", Source::Trial),
    ("code", Source::Code),
    ("manual", Source::Manual),
];

/// One of [`SOURCES`].
#[derive(Debug)]
struct Named(Source);

choice!(Named, SOURCES);

form! {
    /// What is given, and on which terms.
    pub(super) struct Create {
        user_id: Id<UserId>,
        unit: Unit,
        /// How much, in smallest steps of the unit.
        credits: Credits<1>,
        /// Whether it was paid for; `promotional` without it.
        category: Option<Word<Category>>,
        /// Where it comes from; `manual` without it.
        source: Option<Named>,
        /// The lower number burns first; 50 without it.
        priority: Option<Whole<0, PRIORITY_MAX>>,
        /// From then on it can be spent; at once without it.
        starts_at: Option<Moment>,
        /// From then on it cannot be spent; never without it.
        expires_at: Option<Moment>,
        /// What passes to a new grant when it expires.
        roll_over: Option<Inside<Roll>>,
        remark: Remark,
    }
}

form! {
    /// How a grant rolls over.
    pub(super) struct Roll {
        /// At most so much passes on.
        cap: Whole<1, AMOUNT_MAX>,
        /// The new grant expires so many seconds after the old one.
        expires_in: Whole<1, ROLL_SECONDS_MAX>,
    }
}

/// `POST /v1/balance/grants/create`
pub(super) async fn create(
    State(app): State<App>,
    admin: Admin,
    order: Order<Create>,
) -> Result<Item<View>, ApiError> {
    let idempotency = order.idempotency(&admin.caller());
    let form = order.form;
    let terms = CreateGrant {
        user: form.user_id.0,
        amount: Amount::new(form.credits.0, form.unit),
        category: form.category.map_or(Category::Promotional, |word| word.0),
        source: form.source.map_or(Source::Manual, |named| named.0),
        priority: form.priority.map_or(PRIORITY_DEFAULT, |number| number.0),
        starts_at: form.starts_at.map(|at| at.0),
        expires_at: form.expires_at.map(|at| at.0),
        roll_over: form.roll_over.map(|Inside(roll)| RollOver {
            cap: roll.cap.0,
            seconds: roll.expires_in.0,
        }),
        remark: form.remark,
    };
    let command = Command::CreateGrant(terms);
    Ok(given(&app.engine().ask(command, idempotency).await?))
}

form! {
    /// Which grant is taken back.
    pub(super) struct Void {
        grant_id: Id<GrantId>,
        remark: Remark,
    }
}

/// `POST /v1/balance/grants/void`
pub(super) async fn void(
    State(app): State<App>,
    admin: Admin,
    order: Order<Void>,
) -> Result<Item<View>, ApiError> {
    let idempotency = order.idempotency(&admin.caller());
    let command = Command::VoidGrant {
        grant: order.form.grant_id.0,
        remark: order.form.remark,
    };
    Ok(given(&app.engine().ask(command, idempotency).await?))
}

/// The answer to whatever gives a grant or takes one back.
pub(super) fn given(once: &Once<Grant>) -> Item<View> {
    // An answer that is given again is the one of its moment: of the grant's beginning, or of its end, which the grant itself knows.
    answer(once, |grant| View::of(grant, grant.created_at))
}

form! {
    /// Which grants a user asks for.
    pub(super) struct Mine {
        /// `true`: those with something left; `false`: those with nothing left.
        live: Option<bool>,
        page: PageRequest,
    }
}

/// `GET /v1/balance/grants/me`
pub(super) async fn mine(
    State(app): State<App>,
    User(user): User,
    Query(form): Query<Mine>,
) -> Result<Item<List<View>>, ApiError> {
    list(&app, Some(user), form).await
}

/// `GET /v1/balance/grants`
pub(super) async fn all(
    State(app): State<App>,
    _: Admin,
    Query(form): Query<OfAll<Mine>>,
) -> Result<Item<List<View>>, ApiError> {
    list(&app, form.user, form.these).await
}

/// Rows are read for the order and the ends; what is left of the live ones, their wallets know.
async fn list(app: &App, user: Option<UserId>, form: Mine) -> Result<Item<List<View>>, ApiError> {
    let filter = GrantFilter {
        user,
        live: form.live,
    };
    let mut grants = app
        .engine()
        .read(move |reader| reader.grants(&filter, &form.page))
        .await?;
    let mut keys: Vec<AccountKey> = grants
        .items
        .iter()
        .filter(|grant| grant.ended_at.is_none())
        .map(|grant| grant.wallet.clone())
        .collect();
    keys.sort();
    keys.dedup();
    let wallets = app.engine().wallets(keys).await?;
    for grant in &mut grants.items {
        let mut live = wallets.iter().flatten().flat_map(|wallet| &wallet.grants);
        if let Some(live) = live.find(|live| live.id == grant.id) {
            grant.clone_from(live);
        }
    }
    let now = app.engine().now();
    Ok(page::list(grants, |grant| View::of(grant, now)))
}
