//! Automatic top-ups: what a user wants to be bought when his wallet falls low. A user for himself, an administrator for anybody.

use axum::extract::State;
use bursar_domain::auto_topup::{AutoTopup, Cap, Refill, SetAutoTopup, Stop, Terms};
use bursar_domain::command::Command;
use bursar_domain::grant::AMOUNT_MAX;
use bursar_domain::id::{PaymentId, UserId};
use bursar_domain::limit::Period;
use bursar_domain::refusal::Refusal;
use schemars::JsonSchema;
use serde::Serialize;

use super::answer::{Item, answer, item};
use super::auth::Caller;
use super::card::{CardId, Mine, Whose};
use super::checkout;
use super::error::ApiError;
use super::extract::{Input, Query};
use super::field::Credits;
use super::form::{Fields, Part, form};
use super::kind::{Id, Moment, Whole, Word};
use super::order::Order;
use crate::App;

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "AutoTopup")]
pub(super) struct View {
    user_id: Id<UserId>,
    enabled: bool,
    threshold: i64,
    credits: Option<i64>,
    target: Option<i64>,
    period: Word<Period>,
    topups_max: Option<i64>,
    credits_max: Option<i64>,
    topups_used: i64,
    credits_used: i64,
    card_id: String,
    livemode: bool,
    failures: i64,
    /// Why nothing is tried any more until there is another card.
    stopped: Option<Word<Stop>>,
    retry_at: Option<Moment>,
    payment_id: Option<Id<PaymentId>>,
    created_at: Moment,
    updated_at: Moment,
}

impl View {
    fn of(row: &AutoTopup) -> Self {
        let (terms, breaker) = (&row.terms, row.breaker);
        let (credits, target) = match terms.refill {
            Refill::Credits(credits) => (Some(credits), None),
            Refill::Target(target) => (None, Some(target)),
        };
        Self {
            user_id: Id(row.user.clone()),
            enabled: terms.enabled,
            threshold: terms.threshold,
            credits,
            target,
            period: Word(terms.cap.period),
            topups_max: terms.cap.topups,
            credits_max: terms.cap.credits,
            topups_used: row.used.topups,
            credits_used: row.used.credits,
            card_id: terms.card.clone(),
            livemode: row.livemode,
            failures: breaker.failures,
            stopped: breaker.stopped.map(Word),
            retry_at: breaker.retry_at.map(Moment),
            payment_id: row.payment.clone().map(Id),
            created_at: Moment(row.created_at),
            updated_at: Moment(row.updated_at),
        }
    }
}

form! {
    /// When credits are bought, how many, and how often at most.
    pub(super) struct Set {
        user_id: Whose,
        /// Bought when fewer credits than this are available.
        threshold: Whole<1, AMOUNT_MAX>,
        refill: Refill,
        /// Of the next two; `day` without it.
        period: Option<Word<Period>>,
        /// At most so many top-ups in the period; 3 without it.
        topups_max: Option<Whole<1, AMOUNT_MAX>>,
        /// At most so many credits in the period.
        credits_max: Option<Whole<1, AMOUNT_MAX>>,
        /// One of the user's saved cards.
        card_id: CardId,
    }
}

/// `credits`, or `target`.
impl Part for Refill {
    fn take(input: &mut Input, _: &'static str) -> Result<Self, ApiError> {
        let credits = input.optional_credits(1, AMOUNT_MAX)?;
        match (credits, input.integer("target", 1, AMOUNT_MAX)?) {
            (Some(credits), None) => Ok(Self::Credits(credits)),
            (None, Some(target)) => Ok(Self::Target(target)),
            (None, None) => Err(ApiError::missing("credits")),
            (Some(_), Some(_)) => {
                let message = "stands beside `credits`: give one of them";
                Err(ApiError::invalid("target", message))
            }
        }
    }

    fn describe(_: &'static str, _: &str, fields: &mut Fields<'_>) {
        Option::<Credits<1>>::describe("credits", "So many are bought; this or `target`.", fields);
        fields.optional::<Whole<1, AMOUNT_MAX>>(
            "target",
            "As many are bought as it takes to have so many.",
        );
        fields.one_of(&["credits", "amount", "target"]);
        fields.not_both("target", "credits");
        fields.not_both("target", "amount");
    }
}

impl Set {
    fn terms(self) -> Terms {
        let usual = Cap::default();
        let topups = self.topups_max.map(|number| number.0);
        Terms {
            enabled: true,
            threshold: self.threshold.0,
            refill: self.refill,
            cap: Cap {
                period: self.period.map_or(usual.period, |word| word.0),
                topups: topups.or(usual.topups),
                credits: self.credits_max.map(|number| number.0),
            },
            card: self.card_id.0,
        }
    }
}

/// `POST /v1/balance/auto_topup/set`
pub(super) async fn set(
    State(app): State<App>,
    caller: Caller,
    order: Order<Set>,
) -> Result<Item<View>, ApiError> {
    let idempotency = order.idempotency(&caller);
    let user = order.form.user_id.clone().of(&caller)?;
    checkout::configured(&app)?;
    let wish = SetAutoTopup {
        user,
        terms: order.form.terms(),
    };
    let set = app.engine().set_auto_topup(wish, idempotency).await?;
    Ok(answer(&set, View::of))
}

/// `POST /v1/balance/auto_topup/remove`
pub(super) async fn remove(
    State(app): State<App>,
    caller: Caller,
    order: Order<Mine>,
) -> Result<Item<View>, ApiError> {
    let idempotency = order.idempotency(&caller);
    let user = order.form.user_id.of(&caller)?;
    Ok(answer(
        &app.engine()
            .ask(Command::EndAutoTopup(user), idempotency)
            .await?,
        View::of,
    ))
}

/// `GET /v1/balance/auto_topup`
pub(super) async fn one(
    State(app): State<App>,
    caller: Caller,
    Query(form): Query<Mine>,
) -> Result<Item<View>, ApiError> {
    let user = form.user_id.of(&caller)?;
    let row = app
        .engine()
        .read(move |reader| reader.auto_topup(&user))
        .await?;
    let row = row.ok_or(Refusal::AutoTopupNotFound)?;
    Ok(item(View::of(&row)))
}
