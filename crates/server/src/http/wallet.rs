//! Wallets as a whole: what is in them, now and at a past moment, and how far below zero they may go.

use axum::extract::State;
use bursar_domain::account::{AccountKey, Owner};
use bursar_domain::amount::{CreditPrice, Unit};
use bursar_domain::command::{Command, Reply};
use bursar_domain::grant::AMOUNT_MAX;
use bursar_domain::id::UserId;
use bursar_domain::time::Time;
use bursar_domain::wallet::Wallet;
use bursar_engine::Once;
use bursar_store::query::Reader;
use bursar_store::seal::Seal;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;

use super::answer::{Item, answer, item};
use super::auth::Admin;
use super::error::ApiError;
use super::extract::{Input, Query};
use super::form::{Fields, Nothing, Part, form};
use super::kind::{Code, Id, Moment, Whole};
use super::order::Order;
use super::package::Price;
use crate::App;

/// A wallet as it is sent.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Wallet")]
pub(super) struct View {
    user_id: Id<Owner>,
    credits: i64,
    available: i64,
    held: i64,
    debt: i64,
    unit: Code,
    overdraft: Option<i64>,
    frozen: bool,
    money: Option<Price>,
    created_at: Option<Moment>,
    updated_at: Option<Moment>,
}

/// What the credits would cost today: for display, not a promise.
fn worth(price: &CreditPrice, credits: i64) -> Option<Price> {
    let amount = price.cost_rounded_up(credits).ok()?;
    Some(Price::of(&amount))
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
            user_id: Id(key.owner.clone()),
            credits,
            available: wallet.map_or(0, |wallet| wallet.available(now)),
            held: wallet.map_or(0, Wallet::held),
            debt: wallet.map_or(0, Wallet::debt),
            unit: Code(key.unit),
            overdraft: wallet.and_then(|wallet| wallet.overdraft),
            frozen: wallet.is_some_and(|wallet| wallet.frozen),
            money: if key.unit == Unit::CREDIT {
                worth(price, credits)
            } else {
                None
            },
            created_at: wallet.map(|wallet| Moment(wallet.account.opened_at)),
            updated_at: wallet.map(|wallet| Moment(wallet.account.updated_at)),
        }
    }
}

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "PastBalance")]
pub(super) struct Past {
    user_id: Id<UserId>,
    at: Moment,
    credits: i64,
    unit: Code,
    changed_at: Option<Moment>,
}

form! {
    /// Which wallet, and when.
    pub(super) struct At {
        user_id: Id<UserId>,
        unit: Unit,
        at: Moment,
    }
}

/// `GET /v1/balance/at`
pub(super) async fn at(
    State(app): State<App>,
    _: Admin,
    Query(form): Query<At>,
) -> Result<Item<Past>, ApiError> {
    let At { user_id, unit, at } = form;
    let key = AccountKey::wallet_in(&user_id.0, unit);
    let past = app.engine().balance_at(key, at.0).await?;
    Ok(item(Past {
        user_id,
        at,
        credits: past.map_or(0, |(balance, _)| balance),
        unit: Code(unit),
        changed_at: past.map(|(_, changed)| Moment(changed)),
    }))
}

/// A bound of a wallet's own, or `null` for the configured one. Leaving it out would be a slip.
#[derive(Debug)]
struct Bound(Option<i64>);

impl Part for Bound {
    fn take(input: &mut Input, name: &'static str) -> Result<Self, ApiError> {
        match input.take_given(name) {
            None => Err(ApiError::missing(name)),
            Some(Value::Null) => Ok(Self(None)),
            Some(value) => match value.as_i64() {
                Some(number) if (0..=AMOUNT_MAX).contains(&number) => Ok(Self(Some(number))),
                _ => {
                    let message = format!("must be null or a whole number from 0 to {AMOUNT_MAX}");
                    Err(ApiError::invalid(name, message))
                }
            },
        }
    }

    fn describe(name: &'static str, about: &str, fields: &mut Fields<'_>) {
        fields.required::<Option<Whole<0, AMOUNT_MAX>>>(name, about);
    }
}

form! {
    /// How far below zero a wallet may go.
    pub(super) struct Limit {
        user_id: Id<UserId>,
        unit: Unit,
        /// In smallest steps of the unit; `null` takes the wallet's own bound away.
        overdraft: Bound,
    }
}

/// `POST /v1/balance/overdraft/set`
pub(super) async fn set_overdraft(
    State(app): State<App>,
    admin: Admin,
    order: Order<Limit>,
) -> Result<Item<Overdraft>, ApiError> {
    let idempotency = order.idempotency(&admin.caller());
    let (Id(user), unit) = (order.form.user_id, order.form.unit);
    let Bound(overdraft) = order.form.overdraft;
    let key = AccountKey::wallet_in(&user, unit);
    let command = Command::SetOverdraft {
        user,
        unit,
        overdraft,
    };
    let set = app.engine().ask(command, idempotency).await?;
    Ok(answer(&set, |overdraft| Overdraft {
        user_id: Id(key.owner),
        unit: Code(unit),
        overdraft: *overdraft,
    }))
}

#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Overdraft {
    user_id: Id<Owner>,
    unit: Code,
    overdraft: Option<i64>,
}

form! {
    /// Whether a wallet may spend.
    pub(super) struct Freeze {
        user_id: Id<UserId>,
        unit: Unit,
        frozen: bool,
    }
}

/// `POST /v1/balance/freeze`
pub(super) async fn freeze(
    State(app): State<App>,
    admin: Admin,
    order: Order<Freeze>,
) -> Result<Item<Frozen>, ApiError> {
    let idempotency = order.idempotency(&admin.caller());
    let Freeze {
        user_id: Id(user),
        unit,
        frozen,
    } = order.form;
    let body = Frozen {
        user_id: Id(user.clone()),
        unit: Code(unit),
        frozen,
    };
    let command = Command::SetFrozen { user, unit, frozen };
    let set: Once<Reply> = app.engine().ask(command, idempotency).await?;
    Ok(answer(&set, |_| body))
}

#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Frozen {
    user_id: Id<UserId>,
    unit: Code,
    frozen: bool,
}

#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Checkpoint {
    checkpoint: String,
    seal: i64,
    transactions: i64,
    accounts: i64,
    /// The newest seals of the other nodes' chains, where there are several.
    others: Vec<String>,
}

/// `GET /v1/balance/checkpoint`
pub(super) async fn checkpoint(
    State(app): State<App>,
    _: Admin,
    _: Query<Nothing>,
) -> Result<Item<Checkpoint>, ApiError> {
    let seals = app.engine().read(Reader::seals).await?;
    let seal = seals.last().copied().unwrap_or_default();
    let others = seals.iter().rev().skip(1).map(Seal::written).collect();
    Ok(item(Checkpoint {
        checkpoint: seal.written(),
        seal: seal.number,
        transactions: seal.transaction,
        accounts: seal.account,
        others,
    }))
}
