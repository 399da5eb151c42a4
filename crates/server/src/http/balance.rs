//! Wallets: what is in them, what moved, and what administrators add or take.

use axum::extract::State;
use axum::response::IntoResponse;
use bursar_domain::account::AccountKey;
use bursar_domain::command::{Adjust, Adjusted, Command, Reply};
use bursar_domain::grant::AMOUNT_MAX;
use bursar_domain::id::UserId;
use bursar_domain::journal::Reason;
use bursar_store::query::{Entry, EntryFilter, Page};
use serde::Serialize;
use serde_json::Value;

use super::answer::{Item, answer, item};
use super::auth::{Admin, User};
use super::charge::Paid;
use super::error::ApiError;
use super::extract::{Query, required};
use super::order::Order;
use super::{json, page, wallet};
use crate::App;

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
    unit: &'static str,
    grants: Vec<Paid>,
    tags: String,
    note: String,
    r#ref: String,
    meta: Value,
    created_at: String,
}

impl Movement {
    fn of(entry: &Entry) -> Self {
        Self {
            transaction_id: entry.transaction.to_string(),
            user_id: entry.wallet.owner.to_string(),
            kind: entry.reason.as_str(),
            credits: entry.change,
            credits_delta: entry.change,
            credits_after: entry.balance,
            unit: entry.wallet.unit.code(),
            grants: entry.parts.iter().map(Paid::of).collect(),
            tags: entry.tags.clone(),
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
    Query(mut query): Query,
) -> Result<impl IntoResponse, ApiError> {
    let key = AccountKey::wallet_in(&user, query.unit()?);
    query.finish()?;
    let wallet = app.engine().wallet(key.clone()).await?;
    let (price, now) = (app.config().topup.price, app.engine().now());
    Ok(item(wallet::View::of(&price, &key, wallet.as_deref(), now)))
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

/// `GET /v1/balance/history/me`
pub(super) async fn my_history(
    State(app): State<App>,
    User(user): User,
    Query(query): Query,
) -> Result<impl IntoResponse, ApiError> {
    entries(&app, Some(user), query).await
}

/// `GET /v1/balance/history`
pub(super) async fn history(
    State(app): State<App>,
    _: Admin,
    Query(mut query): Query,
) -> Result<impl IntoResponse, ApiError> {
    let user = query.user("user_id")?;
    entries(&app, user, query).await
}

async fn entries(
    app: &App,
    user: Option<UserId>,
    mut query: super::extract::Input,
) -> Result<impl IntoResponse + use<>, ApiError> {
    let reason = query.choice("kind", &kinds())?;
    let wallet = match &user {
        Some(user) => Some(AccountKey::wallet_in(user, query.unit()?)),
        None if query.take("unit").is_some() => {
            let message = "needs `user_id`: movements of all wallets are in all units";
            return Err(ApiError::invalid("unit", message));
        }
        None => None,
    };
    let request = page::request(&mut query)?;
    query.finish()?;
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
    let credits = order.input.credits(1, AMOUNT_MAX)?;
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
