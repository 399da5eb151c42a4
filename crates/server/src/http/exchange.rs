//! Exchanges: one unit for another.

use axum::extract::State;
use bursar_domain::account::Owner;
use bursar_domain::amount::Amount;
use bursar_domain::command::Command;
use bursar_domain::exchange::{Exchange, Exchanged};
use bursar_domain::grant::{AMOUNT_MAX, Category};
use bursar_domain::id::{TransactionId, UserId};
use bursar_domain::journal::Remark;
use schemars::JsonSchema;
use serde::Serialize;

use super::answer::{Item, answer};
use super::auth::Admin;
use super::error::ApiError;
use super::form::{Inside, form};
use super::grant;
use super::kind::{Code, Id, Moment, Whole, Word};
use super::order::KeyedOrder;
use crate::App;

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Exchange")]
pub(super) struct View {
    transaction_id: Id<TransactionId>,
    user_id: Id<Owner>,
    from: Side,
    to: Side,
    balance_after: i64,
    grant: grant::View,
    created_at: Moment,
}

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "ExchangeSide")]
struct Side {
    unit: Code,
    amount: i64,
}

impl Side {
    const fn of(amount: Amount) -> Self {
        Self {
            unit: Code(amount.unit),
            amount: amount.minor,
        }
    }
}

impl View {
    fn of(exchanged: &Exchanged) -> Self {
        let got = &exchanged.got;
        Self {
            transaction_id: Id(exchanged.given),
            user_id: Id(got.wallet.owner.clone()),
            from: Side::of(exchanged.give),
            to: Side::of(Amount::new(got.granted, got.wallet.unit)),
            balance_after: exchanged.balance,
            grant: grant::View::of(got, exchanged.at),
            created_at: Moment(exchanged.at),
        }
    }
}

form! {
    /// What is given or got.
    pub(super) struct Part {
        unit: Code,
        /// In smallest steps of the unit.
        amount: Whole<1, AMOUNT_MAX>,
    }
}

form! {
    /// One unit for another.
    pub(super) struct Create {
        user_id: Id<UserId>,
        /// What is given.
        from: Inside<Part>,
        /// What is got.
        to: Inside<Part>,
        /// Whether what is got was paid for; `paid` without it.
        category: Option<Word<Category>>,
        remark: Remark,
    }
}

/// `POST /v1/balance/exchange`
pub(super) async fn create(
    State(app): State<App>,
    admin: Admin,
    order: KeyedOrder<Create>,
) -> Result<Item<View>, ApiError> {
    let idempotency = order.idempotency(&admin.caller());
    let form = order.form;
    let amount = |Inside(part): Inside<Part>| Amount::new(part.amount.0, part.unit.0);
    let wish = Exchange {
        user: form.user_id.0,
        give: amount(form.from),
        get: amount(form.to),
        category: form.category.map_or(Category::Paid, |word| word.0),
        remark: form.remark,
    };
    Ok(answer(
        &app.engine()
            .ask(Command::Exchange(wish), idempotency)
            .await?,
        View::of,
    ))
}
