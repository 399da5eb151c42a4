//! Payments: the ways to pay, what was tried, and the events Stripe sent about it.

use axum::extract::State;
use bursar_domain::dispute::{Dispute, DisputeStatus};
use bursar_domain::event::{EventStatus, StoredEvent};
use bursar_domain::id::{PaymentId, TopupId, UserId};
use bursar_domain::payment::{Flow, Payment, PaymentStatus};
use bursar_domain::refusal::Refusal;
use bursar_domain::time::Time;
use bursar_engine::EngineError;
use bursar_store::query::{EventFilter, PageRequest, PaymentFilter, Reader, RefundFilter};
use schemars::JsonSchema;
use serde::Serialize;

use super::answer::{Item, item};
use super::auth::{Admin, Caller, User};
use super::error::ApiError;
use super::extract::Query;
use super::form::{Nothing, form, in_path};
use super::kind::{Currency, Id, Moment, Text, Word};
use super::page::{self, List, OfAll};
use super::refund;
use crate::App;

/// A way to pay.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "PaymentMethod")]
pub(super) struct Method {
    id: &'static str,
    r#type: &'static str,
    enabled: bool,
    label: &'static str,
    /// The service and the action that open a payment.
    service: &'static str,
    action: &'static str,
    requires_user: bool,
    currency: Currency,
    /// What is missing, if it is not enabled.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'static str>,
}

/// `GET /v1/payment/methods`
pub(super) async fn methods(
    State(app): State<App>,
    _: Query<Nothing>,
) -> Result<Item<page::Whole<Method>>, ApiError> {
    let missing = app.missing_for_payments();
    let method = Method {
        id: "stripe",
        r#type: "checkout",
        enabled: missing.is_none(),
        label: "Card",
        service: "payment.stripe",
        action: "checkout/create",
        requires_user: true,
        currency: Currency(app.config().stripe.currency),
        reason: missing,
    };
    Ok(item(page::Whole {
        items: vec![method],
    }))
}

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Payment")]
pub(super) struct View {
    payment_id: Id<PaymentId>,
    topup_id: Id<TopupId>,
    user_id: Id<UserId>,
    provider: String,
    flow: Word<Flow>,
    amount_minor: i64,
    currency: Currency,
    display: String,
    livemode: bool,
    status: Word<PaymentStatus>,
    stripe_checkout_session_id: Option<String>,
    stripe_payment_intent_id: Option<String>,
    checkout_url: Option<String>,
    last_failure: Option<Failure>,
    fraud_warned_at: Option<Moment>,
    refunded_minor: i64,
    disputed_minor: i64,
    created_at: Moment,
    updated_at: Moment,
    paid_at: Option<Moment>,
}

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "PaymentFailure")]
struct Failure {
    code: String,
    message: String,
    at: Moment,
}

impl View {
    pub(super) fn of(payment: &Payment) -> Self {
        Self {
            payment_id: Id(payment.id.clone()),
            topup_id: Id(payment.topup.clone()),
            user_id: Id(payment.user.clone()),
            provider: payment.provider.clone(),
            flow: Word(payment.flow),
            amount_minor: payment.amount.minor,
            currency: Currency(payment.amount.unit),
            display: payment.amount.to_string(),
            livemode: payment.livemode,
            status: Word(payment.status),
            stripe_checkout_session_id: payment.session.clone(),
            stripe_payment_intent_id: payment.intent.clone(),
            checkout_url: payment.checkout_url.clone(),
            last_failure: payment.last_failure.as_ref().map(|failure| Failure {
                code: failure.code.clone(),
                message: failure.message.clone(),
                at: Moment(failure.at),
            }),
            fraud_warned_at: payment.returned.warned_at.map(Moment),
            refunded_minor: payment.returned.refunded,
            disputed_minor: payment.returned.disputed,
            created_at: Moment(payment.created_at),
            updated_at: Moment(payment.updated_at),
            paid_at: payment.paid_at.map(Moment),
        }
    }
}

/// One payment with what became of its money.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "PaymentWithReturns")]
pub(super) struct Whole {
    #[serde(flatten)]
    payment: View,
    refunds: Refunds,
    disputes: Vec<DisputeView>,
}

#[derive(Debug, Serialize, JsonSchema)]
#[serde(untagged)]
#[schemars(rename = "RefundsOfPayment")]
enum Refunds {
    OfAdmin(Vec<refund::View>),
    OfCustomer(Vec<refund::Short>),
}

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Dispute")]
struct DisputeView {
    stripe_dispute_id: String,
    status: Word<DisputeStatus>,
    reason: String,
    amount_minor: i64,
    withdrawn_minor: i64,
    currency: Currency,
    created_at: Moment,
    updated_at: Moment,
}

impl DisputeView {
    fn of(dispute: &Dispute) -> Self {
        Self {
            stripe_dispute_id: dispute.id.clone(),
            status: Word(dispute.status),
            reason: dispute.reason.clone(),
            amount_minor: dispute.amount.minor,
            withdrawn_minor: dispute.withdrawn(),
            currency: Currency(dispute.amount.unit),
            created_at: Moment(dispute.created_at),
            updated_at: Moment(dispute.updated_at),
        }
    }
}

/// An open payment is settled by what Stripe says now. Without an answer it is what we know.
async fn settled(app: &App, payment: Payment) -> Result<Payment, ApiError> {
    match app.engine().settle(payment.clone()).await {
        Err(EngineError::Provider { code, message }) => {
            tracing::warn!(code, message, "an open payment could not be read");
            Ok(payment)
        }
        settled => Ok(settled?),
    }
}

/// `GET /v1/payment.stripe/payments/{payment_id}`
pub(super) async fn one(
    State(app): State<App>,
    caller: Caller,
    PaymentPath(id): PaymentPath,
    _: Query<Nothing>,
) -> Result<Item<Whole>, ApiError> {
    let filter = RefundFilter {
        payment: Some(id.clone()),
        status: None,
    };
    let all = PageRequest {
        limit: RETURNS_MAX,
        cursor: None,
    };
    let read = move |reader: &mut Reader| {
        let payment = reader.payment(&id)?;
        Ok((
            payment,
            reader.refunds(&filter, &all)?,
            reader.disputes(&id)?,
        ))
    };
    let (payment, refunds, disputes) = app.engine().read(read).await?;
    // Whether somebody else's payment exists is nobody's business.
    let mine = |payment: &Payment| caller.only().is_none_or(|user| payment.user == *user);
    let payment = payment.filter(mine).ok_or(Refusal::PaymentNotFound)?;
    let payment = settled(&app, payment).await?;
    let refunds = refunds.items.iter();
    let refunds = if caller.only().is_none() {
        Refunds::OfAdmin(refunds.map(refund::View::of).collect())
    } else {
        let made = refunds.filter(|refund| refund.provider_id.is_some());
        Refunds::OfCustomer(made.map(refund::Short::of).collect())
    };
    Ok(item(Whole {
        payment: View::of(&payment),
        refunds,
        disputes: disputes.iter().map(DisputeView::of).collect(),
    }))
}

in_path! {
    /// The payment that an address names.
    PaymentPath(PaymentId) = "payment_id"
}

/// More refunds than Stripe makes of one payment.
const RETURNS_MAX: usize = 1_000;

form! {
    /// Which payments a user asks for.
    pub(super) struct Mine {
        status: Option<Word<PaymentStatus>>,
        topup_id: Option<Id<TopupId>>,
        page: PageRequest,
    }
}

/// `GET /v1/payment.stripe/payments/me`
pub(super) async fn mine(
    State(app): State<App>,
    User(user): User,
    Query(form): Query<Mine>,
) -> Result<Item<List<View>>, ApiError> {
    list(&app, Some(user), form).await
}

/// `GET /v1/payment.stripe/payments`
pub(super) async fn all(
    State(app): State<App>,
    _: Admin,
    Query(form): Query<OfAll<Mine>>,
) -> Result<Item<List<View>>, ApiError> {
    list(&app, form.user, form.these).await
}

async fn list(app: &App, user: Option<UserId>, form: Mine) -> Result<Item<List<View>>, ApiError> {
    let filter = PaymentFilter {
        user,
        status: form.status.map(|word| word.0),
        topup: form.topup_id.map(|id| id.0),
    };
    page::read(
        app,
        move |reader| reader.payments(&filter, &form.page),
        View::of,
    )
    .await
}

/// An event as administrators see it: what came, and what became of it.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "StripeEvent")]
pub(super) struct EventView {
    event_id: String,
    r#type: String,
    status: Word<EventStatus>,
    reason: Option<String>,
    payment_id: Option<Id<PaymentId>>,
    object_id: String,
    livemode: bool,
    api_version: String,
    created_at: Moment,
    received_at: Moment,
    processed_at: Option<Moment>,
}

impl EventView {
    fn of(event: &StoredEvent) -> Self {
        Self {
            event_id: event.id.clone(),
            r#type: event.kind.clone(),
            status: Word(event.status),
            reason: Some(event.reason.clone()).filter(|reason| !reason.is_empty()),
            payment_id: event.payment.clone().map(Id),
            object_id: event.object.clone(),
            livemode: event.livemode,
            api_version: event.api_version.clone(),
            created_at: Moment(Time::from_seconds(event.created)),
            received_at: Moment(event.received_at),
            processed_at: event.worked_at.map(Moment),
        }
    }
}

form! {
    /// Which events of Stripe.
    pub(super) struct Events {
        status: Option<Word<EventStatus>>,
        r#type: Option<Text<255>>,
        event_id: Option<Text<255>>,
        payment_id: Option<Id<PaymentId>>,
        page: PageRequest,
    }
}

/// `GET /v1/payment.stripe/events`
pub(super) async fn events(
    State(app): State<App>,
    _: Admin,
    Query(form): Query<Events>,
) -> Result<Item<List<EventView>>, ApiError> {
    let filter = EventFilter {
        status: form.status.map(|word| word.0),
        kind: form.r#type.map(|text| text.0),
        id: form.event_id.map(|text| text.0),
        payment: form.payment_id.map(|id| id.0),
    };
    page::read(
        &app,
        move |reader| reader.events(&filter, &form.page),
        EventView::of,
    )
    .await
}
