//! Coupons: made, listed, disabled. A user gives one when he creates a top-up.

use std::borrow::Cow;

use axum::extract::State;
use bursar_domain::amount::{Amount, Unit};
use bursar_domain::command::{BonusCommand, Command, Idempotency};
use bursar_domain::coupon::{self, Benefit, Coupon, CouponTerms};
use bursar_domain::grant::AMOUNT_MAX;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Serialize;

use super::answer::{Item, answer};
use super::auth::Admin;
use super::error::ApiError;
use super::extract::{Input, Query, required};
use super::form::{Field, Fields, Part, form};
use super::kind::{Currency, Moment, Text, Whole};
use super::order::Order;
use super::page::{self, List, Of};
use crate::App;

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Coupon")]
pub(super) struct View {
    code: String,
    percent_off: Option<i64>,
    amount_off_minor: Option<i64>,
    credits: Option<i64>,
    least_price_minor: Option<i64>,
    currency: Option<Currency>,
    uses: i64,
    uses_max: Option<i64>,
    expires_at: Option<Moment>,
    note: String,
    created_at: Moment,
    disabled_at: Option<Moment>,
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
            currency: amount.or(terms.least_price).map(|it| Currency(it.unit)),
            uses: coupon.uses,
            uses_max: terms.uses_max,
            expires_at: terms.expires_at.map(Moment),
            note: terms.note.clone(),
            created_at: Moment(coupon.created_at),
            disabled_at: coupon.disabled_at.map(Moment),
        }
    }
}

form! {
    /// What a coupon is good for.
    pub(super) struct Create {
        code: CouponCode,
        /// What the amounts are in.
        currency: Option<Currency>,
        good: Good,
        /// Only for purchases that cost so much without it, in smallest steps of the currency.
        least_price_minor: Option<Whole<1, AMOUNT_MAX>>,
        /// How many customers may use it.
        uses_max: Option<Whole<1, AMOUNT_MAX>>,
        /// Until when a payment with it can be opened.
        expires_at: Option<Moment>,
        note: Option<Text<500>>,
    }
}

/// What a customer enters; small letters are made large.
#[derive(Debug)]
struct CouponCode(String);

impl JsonSchema for CouponCode {
    fn schema_name() -> Cow<'static, str> {
        "CouponCode".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "pattern": "^[A-Za-z0-9_-]{3,40}$" })
    }
}

impl Field for CouponCode {
    fn read(input: &mut Input, name: &'static str) -> Result<Option<Self>, ApiError> {
        let Some(text) = input.text(name, 64)? else {
            return Ok(None);
        };
        let code = coupon::code(&text).map(|code| Some(Self(code)));
        let message = "must have 3 to 40 characters out of A-Z 0-9 _ -";
        code.ok_or_else(|| ApiError::invalid(name, message))
    }
}

/// `POST /v1/balance/coupons/create`
pub(super) async fn create(
    State(app): State<App>,
    admin: Admin,
    order: Order<Create>,
) -> Result<Item<View>, ApiError> {
    let idempotency = order.idempotency(&admin.caller());
    let form = order.form;
    let currency = form.currency.map(|currency| currency.0);
    let benefit = form.good.benefit(currency)?;
    let least_price = match (form.least_price_minor, currency) {
        (None, _) => None,
        (Some(least), Some(currency)) => Some(Amount::new(least.0, currency)),
        (Some(_), None) => return Err(ApiError::missing("currency")),
    };
    if currency.is_some() && least_price.is_none() && !matches!(benefit, Benefit::Amount(_)) {
        let message = "says what an amount is in: leave it out where there is none";
        return Err(ApiError::invalid("currency", message));
    }
    let terms = CouponTerms {
        code: form.code.0,
        benefit,
        least_price,
        uses_max: form.uses_max.map(|number| number.0),
        expires_at: form.expires_at.map(|at| at.0),
        note: form.note.map(|text| text.0).unwrap_or_default(),
    };
    decide(&app, BonusCommand::CreateCoupon(terms), idempotency).await
}

/// What a coupon gives: one of three.
#[derive(Debug, Clone, Copy)]
pub(super) enum Good {
    Percent(i64),
    Amount(i64),
    Credits(i64),
}

impl Part for Good {
    fn take(input: &mut Input, _: &'static str) -> Result<Self, ApiError> {
        let percent = input.integer("percent_off", 1, 99)?;
        let amount = input.integer("amount_off_minor", 1, AMOUNT_MAX)?;
        let credits = input.integer("credits", 1, AMOUNT_MAX)?;
        match (percent, amount, credits) {
            (Some(percent), None, None) => Ok(Self::Percent(percent)),
            (None, Some(amount), None) => Ok(Self::Amount(amount)),
            (None, None, Some(credits)) => Ok(Self::Credits(credits)),
            _ => Err(ApiError::invalid(
                "percent_off",
                "or `amount_off_minor` or `credits` has to be given, and only one of them",
            )),
        }
    }

    fn describe(_: &'static str, _: &str, fields: &mut Fields<'_>) {
        let about = "Percent of the price; this, or one of the next two.";
        fields.optional::<Whole<1, 99>>("percent_off", about);
        let about = "So much of the price, in smallest steps of the currency.";
        fields.optional::<Whole<1, AMOUNT_MAX>>("amount_off_minor", about);
        fields.optional::<Whole<1, AMOUNT_MAX>>("credits", "So many credits on top.");
        fields.one_of(&["percent_off", "amount_off_minor", "credits"]);
        fields.not_both("percent_off", "amount_off_minor");
        fields.not_both("percent_off", "credits");
        fields.not_both("amount_off_minor", "credits");
        fields.needs("amount_off_minor", "currency");
        fields.needs("least_price_minor", "currency");
    }
}

impl Good {
    fn benefit(self, currency: Option<Unit>) -> Result<Benefit, ApiError> {
        Ok(match self {
            Self::Percent(percent) => Benefit::Percent(percent),
            Self::Amount(amount) => {
                Benefit::Amount(Amount::new(amount, required("currency", currency)?))
            }
            Self::Credits(credits) => Benefit::Credits(credits),
        })
    }
}

form! {
    /// Which coupon ends.
    pub(super) struct Disable {
        code: CouponCode,
    }
}

/// `POST /v1/balance/coupons/disable`
pub(super) async fn disable(
    State(app): State<App>,
    admin: Admin,
    order: Order<Disable>,
) -> Result<Item<View>, ApiError> {
    let idempotency = order.idempotency(&admin.caller());
    let command = BonusCommand::DisableCoupon(order.form.code.0);
    decide(&app, command, idempotency).await
}

async fn decide(
    app: &App,
    command: BonusCommand,
    idempotency: Idempotency,
) -> Result<Item<View>, ApiError> {
    Ok(answer(
        &app.engine()
            .ask(Command::Bonus(command), idempotency)
            .await?,
        View::of,
    ))
}

/// `GET /v1/balance/coupons`
pub(super) async fn all(
    State(app): State<App>,
    _: Admin,
    Query(Of { page }): Query<Of>,
) -> Result<Item<List<View>>, ApiError> {
    page::read(&app, move |reader| reader.coupons(&page), View::of).await
}
