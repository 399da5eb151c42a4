//! Saved cards. They are at Stripe; what is shown of them is asked for there each time. A user for himself, an administrator for
//! anybody.

use std::borrow::Cow;

use axum::extract::State;
use bursar_domain::id::{TopupId, UserId};
use bursar_domain::intent::ChargeCard;
use bursar_engine::card::Card;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::Serialize;

use super::answer::{Item, answer, item};
use super::auth::Caller;
use super::error::ApiError;
use super::extract::{Input, Query, required};
use super::form::{Field, Fields, Part, form};
use super::kind::{Id, Text};
use super::order::Order;
use super::{checkout, page, payment};
use crate::App;

/// Whose things a request is about: the caller's own; an administrator has to name the user.
#[derive(Debug, Clone)]
pub(super) struct Whose(Option<Id<UserId>>);

impl Part for Whose {
    fn take(input: &mut Input, name: &'static str) -> Result<Self, ApiError> {
        Id::read(input, name).map(Self)
    }

    fn describe(name: &'static str, _: &str, fields: &mut Fields<'_>) {
        let about =
            "Whose: for administrators, who have to name somebody; users ask for themselves.";
        fields.optional::<Id<UserId>>(name, about);
        fields.refusals(&["parameter_missing"]);
    }
}

impl Whose {
    /// The user that the caller may ask about and does.
    pub(super) fn of(self, caller: &Caller) -> Result<UserId, ApiError> {
        match (caller.only(), self.0) {
            (Some(user), None) => Ok(user.clone()),
            (Some(_), Some(_)) => {
                let message = "is for administrators: users ask for themselves, so leave it out";
                Err(ApiError {
                    code: "parameter_unknown",
                    ..ApiError::invalid("user_id", message)
                })
            }
            (None, named) => Ok(required("user_id", named)?.0),
        }
    }
}

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Card")]
pub(super) struct View {
    card_id: String,
    brand: String,
    last4: String,
    exp_month: i64,
    exp_year: i64,
}

impl View {
    fn of(card: &Card) -> Self {
        Self {
            card_id: card.id.clone(),
            brand: card.brand.clone(),
            last4: card.last4.clone(),
            exp_month: card.expires.0,
            exp_year: card.expires.1,
        }
    }
}

/// What Stripe calls a card.
#[derive(Debug)]
pub(super) struct CardId(pub(super) String);

impl JsonSchema for CardId {
    fn schema_name() -> Cow<'static, str> {
        "CardId".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        Text::<255>::json_schema(generator)
    }
}

impl Field for CardId {
    const REFUSALS: &'static [&'static str] = &["card_not_found"];

    fn read(input: &mut Input, name: &'static str) -> Result<Option<Self>, ApiError> {
        Ok(input.text(name, 255)?.map(Self))
    }
}

form! {
    /// Whose cards.
    pub(super) struct Mine {
        pub(super) user_id: Whose,
    }
}

form! {
    /// Which card of whom.
    pub(super) struct One {
        user_id: Whose,
        card_id: CardId,
    }
}

form! {
    /// What is paid by which card.
    pub(super) struct Charge {
        user_id: Whose,
        topup_id: Id<TopupId>,
        card_id: CardId,
    }
}

/// `GET /v1/payment.stripe/cards`
pub(super) async fn all(
    State(app): State<App>,
    caller: Caller,
    Query(form): Query<Mine>,
) -> Result<Item<page::Whole<View>>, ApiError> {
    let user = form.user_id.of(&caller)?;
    checkout::configured(&app)?;
    let cards = app.engine().cards(&user).await?;
    Ok(item(page::Whole {
        items: cards.iter().map(View::of).collect(),
    }))
}

/// What Stripe's form saves a card with. The secret cannot be printed: this has no `Debug`.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "CardSetup")]
pub(super) struct Setup {
    stripe_setup_intent_id: String,
    client_secret: String,
}

/// `POST /v1/payment.stripe/cards/setup`
pub(super) async fn set_up(
    State(app): State<App>,
    caller: Caller,
    order: Order<Mine>,
) -> Result<Item<Setup>, ApiError> {
    let idempotency = order.idempotency(&caller);
    let user = order.form.user_id.of(&caller)?;
    checkout::configured(&app)?;
    let setup = app.engine().set_up_card(&user, idempotency).await?;
    Ok(item(Setup {
        stripe_setup_intent_id: setup.id,
        client_secret: setup.client_secret.expose().to_owned(),
    }))
}

/// `POST /v1/payment.stripe/cards/detach`
pub(super) async fn detach(
    State(app): State<App>,
    caller: Caller,
    order: Order<One>,
) -> Result<Item<View>, ApiError> {
    let user = order.form.user_id.of(&caller)?;
    checkout::configured(&app)?;
    let card = app
        .engine()
        .detach_card(&user, &order.form.card_id.0)
        .await?;
    Ok(item(View::of(&card)))
}

/// `POST /v1/payment.stripe/cards/charge`
pub(super) async fn charge(
    State(app): State<App>,
    caller: Caller,
    order: Order<Charge>,
) -> Result<Item<payment::View>, ApiError> {
    let idempotency = order.idempotency(&caller);
    let wish = ChargeCard {
        user: order.form.user_id.of(&caller)?,
        topup: order.form.topup_id.0,
        card: order.form.card_id.0,
    };
    checkout::configured(&app)?;
    let charged = app.engine().charge_card(wish, idempotency).await?;
    Ok(answer(&charged, payment::View::of))
}
