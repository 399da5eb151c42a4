//! Coupons: made, listed, disabled. A user gives one when he creates a top-up.

use axum::extract::State;
use axum::response::IntoResponse;
use bursar_domain::amount::{Amount, Unit};
use bursar_domain::command::{BonusCommand, Command, Reply};
use bursar_domain::coupon::{self, Benefit, Coupon, CouponTerms};
use bursar_domain::grant::AMOUNT_MAX;
use serde::Serialize;

use super::answer::{Item, answer};
use super::auth::Admin;
use super::error::ApiError;
use super::extract::{Input, Query, required};
use super::order::Order;
use super::page;
use crate::App;

#[derive(Debug, Serialize)]
struct View {
    code: String,
    percent_off: Option<i64>,
    amount_off_minor: Option<i64>,
    credits: Option<i64>,
    least_price_minor: Option<i64>,
    currency: Option<&'static str>,
    uses: i64,
    uses_max: Option<i64>,
    expires_at: Option<String>,
    note: String,
    created_at: String,
    disabled_at: Option<String>,
}

impl View {
    fn of(coupon: &Coupon) -> Self {
        let terms = &coupon.terms;
        let (mut percent, mut amount, mut credits) = (None, None, None);
        match terms.benefit {
            Benefit::Percent(value) => percent = Some(value),
            Benefit::Amount(value) => amount = Some(value),
            Benefit::Credits(value) => credits = Some(value),
        }
        Self {
            code: terms.code.clone(),
            percent_off: percent,
            amount_off_minor: amount.map(|amount| amount.minor),
            credits,
            least_price_minor: terms.least_price.map(|least| least.minor),
            currency: amount.or(terms.least_price).map(|it| it.unit.code()),
            uses: coupon.uses,
            uses_max: terms.uses_max,
            expires_at: terms.expires_at.map(|at| at.to_string()),
            note: terms.note.clone(),
            created_at: coupon.created_at.to_string(),
            disabled_at: coupon.disabled_at.map(|at| at.to_string()),
        }
    }
}

/// `POST /v1/balance/coupons/create`
pub(super) async fn create(
    State(app): State<App>,
    admin: Admin,
    mut order: Order,
) -> Result<impl IntoResponse, ApiError> {
    let input = &mut order.input;
    let code = code(input)?;
    let currency = input.currency()?;
    let benefit = benefit(input, currency)?;
    let least = input.integer("least_price_minor", 1, AMOUNT_MAX)?;
    let least_price = match (least, currency) {
        (None, _) => None,
        (Some(least), Some(currency)) => Some(Amount::new(least, currency)),
        (Some(_), None) => return Err(ApiError::missing("currency")),
    };
    if currency.is_some() && least_price.is_none() && !matches!(benefit, Benefit::Amount(_)) {
        let message = "says what an amount is in: leave it out where there is none";
        return Err(ApiError::invalid("currency", message));
    }
    let terms = CouponTerms {
        code,
        benefit,
        least_price,
        uses_max: input.integer("uses_max", 1, AMOUNT_MAX)?,
        expires_at: input.time("expires_at")?,
        note: input.text("note", 500)?.unwrap_or_default(),
    };
    decide(&app, admin, order, BonusCommand::CreateCoupon(terms)).await
}

/// One of `percent_off`, `amount_off_minor` and `credits`.
fn benefit(input: &mut Input, currency: Option<Unit>) -> Result<Benefit, ApiError> {
    let percent = input.integer("percent_off", 1, 99)?;
    let amount = input.integer("amount_off_minor", 1, AMOUNT_MAX)?;
    let credits = input.integer("credits", 1, AMOUNT_MAX)?;
    match (percent, amount, credits) {
        (Some(percent), None, None) => Ok(Benefit::Percent(percent)),
        (None, Some(amount), None) => {
            let currency = required("currency", currency)?;
            Ok(Benefit::Amount(Amount::new(amount, currency)))
        }
        (None, None, Some(credits)) => Ok(Benefit::Credits(credits)),
        _ => Err(ApiError::invalid(
            "percent_off",
            "or `amount_off_minor` or `credits` has to be given, and only one of them",
        )),
    }
}

fn code(input: &mut Input) -> Result<String, ApiError> {
    let text = required("code", input.text("code", 64)?)?;
    coupon::code(&text)
        .ok_or_else(|| ApiError::invalid("code", "must have 3 to 40 characters out of A-Z 0-9 _ -"))
}

/// `POST /v1/balance/coupons/disable`
pub(super) async fn disable(
    State(app): State<App>,
    admin: Admin,
    mut order: Order,
) -> Result<impl IntoResponse, ApiError> {
    let code = code(&mut order.input)?;
    decide(&app, admin, order, BonusCommand::DisableCoupon(code)).await
}

async fn decide(
    app: &App,
    admin: Admin,
    order: Order,
    command: BonusCommand,
) -> Result<Item<View>, ApiError> {
    let idempotency = order.idempotency(&admin.caller());
    order.input.finish()?;
    let answered = app.submit(Command::Bonus(command), idempotency).await?;
    match answered.reply {
        Reply::Coupon(coupon) => Ok(answer(View::of(&coupon), answered.replayed)),
        _ => Err(ApiError::internal(
            &"a coupon was answered with something else",
        )),
    }
}

/// `GET /v1/balance/coupons`
pub(super) async fn all(
    State(app): State<App>,
    _: Admin,
    Query(mut query): Query,
) -> Result<impl IntoResponse, ApiError> {
    let request = page::request(&mut query)?;
    query.finish()?;
    let coupons = app
        .engine()
        .read(move |reader| reader.coupons(&request))
        .await?;
    Ok(page::list(coupons, View::of))
}
