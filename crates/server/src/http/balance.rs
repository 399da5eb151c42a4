//! Wallets: what is in them, what moved, and what administrators add or take.

use axum::extract::State;
use axum::response::IntoResponse;
use bursar_domain::account::Account;
use bursar_domain::amount::{Amount, CreditPrice};
use bursar_domain::command::{ADJUSTMENT_CREDITS_MAX, Adjust, Adjusted, Command, Reply};
use bursar_domain::id::UserId;
use bursar_domain::journal::Reason;
use bursar_store::query::{Entry, EntryFilter, Page};
use serde::Serialize;
use serde_json::Value;

use super::answer::{Item, answer, item};
use super::auth::{Admin, User};
use super::error::ApiError;
use super::extract::{Order, Query, required};
use super::{json, page};
use crate::App;

#[derive(Debug, Serialize)]
struct Wallet {
    user_id: String,
    credits: i64,
    available: i64,
    held: i64,
    unit: &'static str,
    money: Option<Money>,
    created_at: Option<String>,
    updated_at: Option<String>,
}

/// What the credits would cost today: for display, not a promise.
#[derive(Debug, Serialize)]
struct Money {
    amount_minor: i64,
    currency: &'static str,
    display: String,
}

impl Money {
    fn of(price: &CreditPrice, credits: i64) -> Option<Self> {
        let amount: Amount = price.cost_rounded_up(credits).ok()?;
        Some(Self {
            amount_minor: amount.minor,
            currency: amount.unit.code(),
            display: amount.to_string(),
        })
    }
}

impl Wallet {
    /// A user without an account has an empty wallet: wallets are not opened, they begin to be used.
    fn of(price: &CreditPrice, user: &UserId, account: Option<&Account>) -> Self {
        let credits = account.map_or(0, |account| account.balance);
        Self {
            user_id: user.to_string(),
            credits,
            available: account.map_or(0, Account::available),
            held: account.map_or(0, |account| account.held),
            unit: "credit",
            money: Money::of(price, credits),
            created_at: account.map(|account| account.opened_at.to_string()),
            updated_at: account.map(|account| account.updated_at.to_string()),
        }
    }

    fn of_account(price: &CreditPrice, account: &Account) -> Option<Self> {
        let user = UserId::parse(&account.key.owner)?;
        Some(Self::of(price, &user, Some(account)))
    }
}

/// One movement of a wallet.
#[derive(Debug, Serialize)]
struct Movement {
    transaction_id: String,
    user_id: String,
    kind: &'static str,
    credits: i64,
    /// `credits` again, under the name that earlier clients of this API read.
    credits_delta: i64,
    credits_after: i64,
    note: String,
    r#ref: String,
    meta: Value,
    created_at: String,
}

impl Movement {
    fn of(entry: &Entry) -> Self {
        Self {
            transaction_id: entry.transaction.to_string(),
            user_id: entry.user.to_string(),
            kind: entry.reason.as_str(),
            credits: entry.credits,
            credits_delta: entry.credits,
            credits_after: entry.balance,
            note: entry.remark.note.clone(),
            r#ref: entry.remark.reference.clone(),
            meta: json::stored(&entry.remark.meta),
            created_at: entry.at.to_string(),
        }
    }
}

/// `GET /v1/balance/me`
pub(super) async fn mine(
    State(app): State<App>,
    User(user): User,
    Query(query): Query,
) -> Result<impl IntoResponse, ApiError> {
    query.finish()?;
    let owner = user.clone();
    let account = app
        .engine()
        .read(move |reader| reader.wallet(&owner))
        .await?;
    Ok(item(Wallet::of(
        &app.config().topup.price,
        &user,
        account.as_ref(),
    )))
}

/// `GET /v1/balance/users`
pub(super) async fn users(
    State(app): State<App>,
    _: Admin,
    Query(mut query): Query,
) -> Result<impl IntoResponse, ApiError> {
    let user = query.user("user_id")?;
    let request = page::request(&mut query)?;
    query.finish()?;
    let wallets = app.engine().read(move |reader| match user {
        None => reader.wallets(&request),
        Some(user) => Ok(Page {
            items: reader.wallet(&user)?.into_iter().collect(),
            next: None,
        }),
    });
    let price = app.config().topup.price;
    Ok(page::list(wallets.await?, |account| {
        Wallet::of_account(&price, account)
    }))
}

const KINDS: &[(&str, Reason)] = &[
    ("topup", Reason::Topup),
    ("add", Reason::Add),
    ("sub", Reason::Sub),
];

/// `GET /v1/balance/history/me`
pub(super) async fn my_history(
    State(app): State<App>,
    User(user): User,
    Query(mut query): Query,
) -> Result<impl IntoResponse, ApiError> {
    let filter = EntryFilter {
        user: Some(user),
        reason: query.choice("kind", KINDS)?,
    };
    entries(&app, filter, query).await
}

/// `GET /v1/balance/history`
pub(super) async fn history(
    State(app): State<App>,
    _: Admin,
    Query(mut query): Query,
) -> Result<impl IntoResponse, ApiError> {
    let filter = EntryFilter {
        user: query.user("user_id")?,
        reason: query.choice("kind", KINDS)?,
    };
    entries(&app, filter, query).await
}

async fn entries(
    app: &App,
    filter: EntryFilter,
    mut query: super::extract::Input,
) -> Result<impl IntoResponse + use<>, ApiError> {
    let request = page::request(&mut query)?;
    query.finish()?;
    let entries = app
        .engine()
        .read(move |reader| reader.entries(&filter, &request))
        .await?;
    Ok(page::list(entries, Movement::of))
}

/// The wallet after an adjustment.
#[derive(Debug, Serialize)]
struct Adjustment {
    transaction_id: String,
    user_id: String,
    /// What was added, or taken away when negative.
    change: i64,
    credits: i64,
    unit: &'static str,
    created_at: String,
}

/// `POST /v1/balance/add`
pub(super) async fn add(
    State(app): State<App>,
    admin: Admin,
    order: Order,
) -> Result<impl IntoResponse, ApiError> {
    adjust(&app, admin, order, 1).await
}

/// `POST /v1/balance/sub`
pub(super) async fn sub(
    State(app): State<App>,
    admin: Admin,
    order: Order,
) -> Result<impl IntoResponse, ApiError> {
    adjust(&app, admin, order, -1).await
}

async fn adjust(
    app: &App,
    admin: Admin,
    mut order: Order,
    sign: i64,
) -> Result<Item<Adjustment>, ApiError> {
    let idempotency = order.idempotency(&admin.caller());
    let user = required("user_id", order.input.user("user_id")?)?;
    let credits = order.input.credits(1, ADJUSTMENT_CREDITS_MAX)?;
    let remark = order.input.remark()?;
    order.input.finish()?;
    let command = Command::Adjust(Adjust {
        user,
        credits: sign * credits,
        remark,
    });
    let answered = app.submit(command, idempotency).await?;
    let Reply::Adjusted(adjusted) = answered.reply else {
        return Err(ApiError::internal(
            &"an adjustment was answered with something else",
        ));
    };
    let Adjusted {
        transaction,
        user,
        credits,
        balance,
        at,
    } = adjusted;
    let body = Adjustment {
        transaction_id: transaction.to_string(),
        user_id: user.to_string(),
        change: credits,
        credits: balance,
        unit: "credit",
        created_at: at.to_string(),
    };
    Ok(answer(body, answered.replayed))
}
