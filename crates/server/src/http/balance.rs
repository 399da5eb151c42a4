//! Wallets: what is in them, what moved, and what administrators add or take.

use axum::extract::State;
use bursar_domain::account::{AccountKey, Owner};
use bursar_domain::amount::Unit;
use bursar_domain::command::{Adjust, Adjusted, Command};
use bursar_domain::id::{TransactionId, UserId};
use bursar_domain::journal::{Reason, Remark};
use bursar_store::query::{Entry, EntryFilter, Page, PageRequest};
use schemars::JsonSchema;
use serde::Serialize;

use super::answer::{Item, answer, item};
use super::auth::{Admin, User};
use super::charge::Paid;
use super::error::ApiError;
use super::extract::Query;
use super::field::Credits;
use super::form::form;
use super::kind::{Code, Id, Meta, Moment, Word, choice};
use super::order::Order;
use super::page::{self, List, OfAll};
use super::wallet;
use crate::App;

/// One movement of a wallet.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Movement")]
pub(super) struct Movement {
    transaction_id: Id<TransactionId>,
    user_id: Id<Owner>,
    kind: Word<Reason>,
    credits: i64,
    /// `credits` again, under the name that earlier clients of this API read.
    credits_delta: i64,
    credits_after: i64,
    unit: Code,
    grants: Vec<Paid>,
    tags: String,
    note: String,
    r#ref: String,
    meta: Meta,
    created_at: Moment,
}

impl Movement {
    fn of(entry: &Entry) -> Self {
        Self {
            transaction_id: Id(entry.transaction),
            user_id: Id(entry.wallet.owner.clone()),
            kind: Word(entry.reason),
            credits: entry.change,
            credits_delta: entry.change,
            credits_after: entry.balance,
            unit: Code(entry.wallet.unit),
            grants: entry.parts.iter().map(Paid::of).collect(),
            tags: entry.tags.clone(),
            note: entry.remark.note.clone(),
            r#ref: entry.remark.reference.clone(),
            meta: Meta(entry.remark.meta.clone()),
            created_at: Moment(entry.at),
        }
    }
}

form! {
    /// Which wallet of a user.
    pub(super) struct Which {
        unit: Unit,
    }
}

/// `GET /v1/balance/me`
pub(super) async fn mine(
    State(app): State<App>,
    User(user): User,
    Query(form): Query<Which>,
) -> Result<Item<wallet::View>, ApiError> {
    let key = AccountKey::wallet_in(&user, form.unit);
    let wallet = app.engine().wallet(key.clone()).await?;
    let (price, now) = (app.config().topup.price, app.engine().now());
    Ok(item(wallet::View::of(&price, &key, wallet.as_deref(), now)))
}

form! {
    /// Whose wallets.
    pub(super) struct Whose {
        /// All of this user's, at once.
        user_id: Option<Id<UserId>>,
        page: PageRequest,
    }
}

/// `GET /v1/balance/users`
pub(super) async fn users(
    State(app): State<App>,
    _: Admin,
    Query(form): Query<Whose>,
) -> Result<Item<List<wallet::View>>, ApiError> {
    let (user, request) = (form.user_id.map(|id| id.0), form.page);
    let accounts = app.engine().read(move |reader| match user {
        None => reader.wallets(&request),
        Some(user) => Ok(Page {
            items: reader.wallets_of(&user)?,
            next: None,
        }),
    });
    let accounts = accounts.await?;
    // The writer knows what is in them: their rows may be older.
    let keys: Vec<AccountKey> = accounts
        .items
        .iter()
        .map(|account| account.key.clone())
        .collect();
    let wallets = app.engine().wallets(keys.clone()).await?;
    let page = Page {
        items: keys.into_iter().zip(wallets).collect(),
        next: accounts.next,
    };
    let (price, now) = (app.config().topup.price, app.engine().now());
    Ok(page::list(page, |(key, wallet)| {
        wallet::View::of(&price, key, wallet.as_deref(), now)
    }))
}

/// Every reason that moves something in a wallet.
fn kinds() -> Vec<(&'static str, Reason)> {
    let of_wallets = Reason::ALL
        .into_iter()
        .filter(|reason| *reason != Reason::Payment);
    of_wallets.map(|reason| (reason.as_str(), reason)).collect()
}

/// One of [`kinds`].
#[derive(Debug)]
struct Kind(Reason);

choice!(Kind, &kinds());

form! {
    /// Which movements.
    pub(super) struct Movements {
        kind: Option<Kind>,
        /// What amounts count; for a user `credit` without it. Goes with one user only.
        unit: Option<Code>,
        page: PageRequest,
    }
}

/// `GET /v1/balance/history/me`
pub(super) async fn my_history(
    State(app): State<App>,
    User(user): User,
    Query(form): Query<Movements>,
) -> Result<Item<List<Movement>>, ApiError> {
    entries(&app, Some(user), form).await
}

/// `GET /v1/balance/history`
pub(super) async fn history(
    State(app): State<App>,
    _: Admin,
    Query(form): Query<OfAll<Movements>>,
) -> Result<Item<List<Movement>>, ApiError> {
    entries(&app, form.user, form.these).await
}

async fn entries(
    app: &App,
    user: Option<UserId>,
    form: Movements,
) -> Result<Item<List<Movement>>, ApiError> {
    let (reason, request) = (form.kind.map(|kind| kind.0), form.page);
    let unit = form.unit.map(|code| code.0);
    let wallet = match &user {
        Some(user) => Some(AccountKey::wallet_in(user, unit.unwrap_or(Unit::CREDIT))),
        None if unit.is_some() => {
            let message = "needs `user_id`: movements of all wallets are in all units";
            return Err(ApiError::invalid("unit", message));
        }
        None => None,
    };
    let entries = if let Some(key) = wallet {
        app.engine().statement(key, reason, request).await?
    } else {
        let filter = EntryFilter {
            chain: None,
            reason,
        };
        app.engine()
            .read(move |reader| reader.entries(&filter, &request))
            .await?
    };
    Ok(page::list(entries, Movement::of))
}

/// The wallet after an adjustment.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Adjustment {
    transaction_id: Id<TransactionId>,
    user_id: Id<UserId>,
    /// What was added, or taken away when negative.
    change: i64,
    credits: i64,
    unit: Code,
    created_at: Moment,
}

impl Adjustment {
    fn of(adjusted: &Adjusted) -> Self {
        Self {
            transaction_id: Id(adjusted.transaction),
            user_id: Id(adjusted.user.clone()),
            change: adjusted.credits,
            credits: adjusted.balance,
            unit: Code(Unit::CREDIT),
            created_at: Moment(adjusted.at),
        }
    }
}

form! {
    /// A correction.
    pub(super) struct Correct {
        user_id: Id<UserId>,
        /// How many credits.
        credits: Credits<1>,
        remark: Remark,
    }
}

/// `POST /v1/balance/add`
pub(super) async fn add(
    State(app): State<App>,
    admin: Admin,
    order: Order<Correct>,
) -> Result<Item<Adjustment>, ApiError> {
    adjust(&app, &admin, order, 1).await
}

/// `POST /v1/balance/sub`
pub(super) async fn sub(
    State(app): State<App>,
    admin: Admin,
    order: Order<Correct>,
) -> Result<Item<Adjustment>, ApiError> {
    adjust(&app, &admin, order, -1).await
}

async fn adjust(
    app: &App,
    admin: &Admin,
    order: Order<Correct>,
    sign: i64,
) -> Result<Item<Adjustment>, ApiError> {
    let idempotency = order.idempotency(&admin.caller());
    let Correct {
        user_id,
        credits,
        remark,
    } = order.form;
    let command = Command::Adjust(Adjust {
        user: user_id.0,
        credits: sign * credits.0,
        remark,
    });
    Ok(answer(
        &app.engine().ask(command, idempotency).await?,
        Adjustment::of,
    ))
}
