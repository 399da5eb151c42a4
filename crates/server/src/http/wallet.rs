//! Wallets as a whole: what is in them, now and at a past moment, and how far below zero they may go.

use axum::extract::State;
use axum::response::IntoResponse;
use bursar_domain::account::AccountKey;
use bursar_domain::amount::{Amount, CreditPrice, Unit};
use bursar_domain::command::{Command, Reply};
use bursar_domain::grant::AMOUNT_MAX;
use bursar_domain::time::Time;
use bursar_domain::wallet::Wallet;
use bursar_store::query::Reader;
use serde::Serialize;
use serde_json::Value;

use super::answer::{answer, item};
use super::auth::Admin;
use super::error::ApiError;
use super::extract::{Query, required};
use super::order::Order;
use crate::App;

/// A wallet as it is sent.
#[derive(Debug, Serialize)]
pub(super) struct View {
    user_id: String,
    credits: i64,
    available: i64,
    held: i64,
    debt: i64,
    unit: &'static str,
    overdraft: Option<i64>,
    frozen: bool,
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

impl View {
    /// A user without an account has an empty wallet: wallets are not opened, they begin to be used.
    pub(super) fn of(
        price: &CreditPrice,
        key: &AccountKey,
        wallet: Option<&Wallet>,
        now: Time,
    ) -> Self {
        let credits = wallet.map_or(0, |wallet| wallet.credits(now));
        Self {
            user_id: key.owner.to_string(),
            credits,
            available: wallet.map_or(0, |wallet| wallet.available(now)),
            held: wallet.map_or(0, Wallet::held),
            debt: wallet.map_or(0, Wallet::debt),
            unit: key.unit.code(),
            overdraft: wallet.and_then(|wallet| wallet.overdraft),
            frozen: wallet.is_some_and(|wallet| wallet.frozen),
            money: if key.unit == Unit::CREDIT {
                Money::of(price, credits)
            } else {
                None
            },
            created_at: wallet.map(|wallet| wallet.account.opened_at.to_string()),
            updated_at: wallet.map(|wallet| wallet.account.updated_at.to_string()),
        }
    }
}

#[derive(Debug, Serialize)]
struct Past {
    user_id: String,
    at: String,
    credits: i64,
    unit: &'static str,
    changed_at: Option<String>,
}

/// `GET /v1/balance/at`
pub(super) async fn at(
    State(app): State<App>,
    _: Admin,
    Query(mut query): Query,
) -> Result<impl IntoResponse, ApiError> {
    let key = query.wallet()?;
    let at = required("at", query.time("at")?)?;
    query.finish()?;
    let (user_id, unit) = (key.owner.to_string(), key.unit.code());
    let past = app.engine().balance_at(key, at).await?;
    Ok(item(Past {
        user_id,
        at: at.to_string(),
        credits: past.map_or(0, |(balance, _)| balance),
        unit,
        changed_at: past.map(|(_, changed)| changed.to_string()),
    }))
}

/// `POST /v1/balance/overdraft/set`
pub(super) async fn set_overdraft(
    State(app): State<App>,
    admin: Admin,
    mut order: Order,
) -> Result<impl IntoResponse, ApiError> {
    let input = &mut order.input;
    let user = required("user_id", input.user("user_id")?)?;
    let unit = input.unit()?;
    // `null` takes the wallet's own setting away; leaving it out would be a slip.
    let overdraft = match input.take_given("overdraft") {
        None => return Err(ApiError::missing("overdraft")),
        Some(Value::Null) => None,
        Some(value) => match value.as_i64() {
            Some(number) if (0..=AMOUNT_MAX).contains(&number) => Some(number),
            _ => {
                let message = format!("must be null or a whole number from 0 to {AMOUNT_MAX}");
                return Err(ApiError::invalid("overdraft", message));
            }
        },
    };
    let idempotency = order.idempotency(&admin.caller());
    order.input.finish()?;
    let key = AccountKey::wallet_in(&user, unit);
    let command = Command::SetOverdraft {
        user,
        unit,
        overdraft,
    };
    let answered = app.submit(command, idempotency).await?;
    let Reply::Overdraft(overdraft) = answered.reply else {
        return Err(ApiError::internal(
            &"an overdraft was answered with something else",
        ));
    };
    let body = Overdraft {
        user_id: key.owner.to_string(),
        unit: unit.code(),
        overdraft,
    };
    Ok(answer(body, answered.replayed))
}

#[derive(Debug, Serialize)]
struct Overdraft {
    user_id: String,
    unit: &'static str,
    overdraft: Option<i64>,
}

/// `POST /v1/balance/freeze`
pub(super) async fn freeze(
    State(app): State<App>,
    admin: Admin,
    mut order: Order,
) -> Result<impl IntoResponse, ApiError> {
    let idempotency = order.idempotency(&admin.caller());
    let user = required("user_id", order.input.user("user_id")?)?;
    let unit = order.input.unit()?;
    let frozen = required("frozen", order.input.boolean("frozen")?)?;
    order.input.finish()?;
    let body = Frozen {
        user_id: user.to_string(),
        unit: unit.code(),
        frozen,
    };
    let command = Command::SetFrozen { user, unit, frozen };
    let answered = app.submit(command, idempotency).await?;
    Ok(answer(body, answered.replayed))
}

#[derive(Debug, Serialize)]
struct Frozen {
    user_id: String,
    unit: &'static str,
    frozen: bool,
}

#[derive(Debug, Serialize)]
struct Checkpoint {
    checkpoint: String,
    seal: i64,
    transactions: i64,
    accounts: i64,
}

/// `GET /v1/balance/checkpoint`
pub(super) async fn checkpoint(
    State(app): State<App>,
    _: Admin,
    Query(query): Query,
) -> Result<impl IntoResponse, ApiError> {
    query.finish()?;
    let seal = app.engine().read(Reader::seal).await?;
    Ok(item(Checkpoint {
        checkpoint: seal.written(),
        seal: seal.number,
        transactions: seal.transaction,
        accounts: seal.account,
    }))
}
