//! Exchanges: one unit for another.

use axum::extract::State;
use axum::response::IntoResponse;
use bursar_domain::amount::Amount;
use bursar_domain::command::{Command, Reply};
use bursar_domain::exchange::{Exchange, Exchanged};
use bursar_domain::grant::{AMOUNT_MAX, Category};
use serde::Serialize;
use serde_json::Value;

use super::answer::answer;
use super::auth::Admin;
use super::error::ApiError;
use super::extract::{Input, required};
use super::field::parse_unit;
use super::grant;
use super::order::Order;
use crate::App;

#[derive(Debug, Serialize)]
struct View {
    transaction_id: String,
    user_id: String,
    from: Side,
    to: Side,
    balance_after: i64,
    grant: grant::View,
    created_at: String,
}

#[derive(Debug, Serialize)]
struct Side {
    unit: &'static str,
    amount: i64,
}

impl Side {
    const fn of(amount: Amount) -> Self {
        Self {
            unit: amount.unit.code(),
            amount: amount.minor,
        }
    }
}

impl View {
    fn of(exchanged: &Exchanged) -> Self {
        let got = &exchanged.got;
        Self {
            transaction_id: exchanged.given.to_string(),
            user_id: got.wallet.owner.to_string(),
            from: Side::of(exchanged.give),
            to: Side::of(Amount::new(got.granted, got.wallet.unit)),
            balance_after: exchanged.balance,
            grant: grant::View::of(got, exchanged.at),
            created_at: exchanged.at.to_string(),
        }
    }
}

/// `{"unit": "usd", "amount": 500}`, in smallest steps.
fn side(input: &mut Input, name: &'static str) -> Result<Amount, ApiError> {
    let Value::Object(fields) = required(name, input.take(name))? else {
        let message = "must be an object with `unit` and `amount`";
        return Err(ApiError::invalid(name, message));
    };
    amount(Input::of(fields)).map_err(|error| error.inside(name))
}

fn amount(mut input: Input) -> Result<Amount, ApiError> {
    let unit = required("unit", input.text("unit", 16)?)?;
    let amount = required("amount", input.integer("amount", 1, AMOUNT_MAX)?)?;
    input.finish()?;
    Ok(Amount::new(amount, parse_unit("unit", &unit)?))
}

/// `POST /v1/balance/exchange`
pub(super) async fn create(
    State(app): State<App>,
    admin: Admin,
    mut order: Order,
) -> Result<impl IntoResponse, ApiError> {
    let input = &mut order.input;
    let words = &[
        ("paid", Category::Paid),
        ("promotional", Category::Promotional),
    ];
    let wish = Exchange {
        user: required("user_id", input.user("user_id")?)?,
        give: side(input, "from")?,
        get: side(input, "to")?,
        category: input.choice("category", words)?.unwrap_or(Category::Paid),
        remark: input.remark()?,
    };
    let idempotency = order.idempotency_required(&admin.caller())?;
    order.input.finish()?;
    let answered = app
        .submit(Command::Exchange(wish), Some(idempotency))
        .await?;
    match answered.reply {
        Reply::Exchanged(exchanged) => Ok(answer(View::of(&exchanged), answered.replayed)),
        _ => Err(ApiError::internal(
            &"an exchange was answered with something else",
        )),
    }
}
