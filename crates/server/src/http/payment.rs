//! Payments: the ways to pay, what was tried, and the events Stripe sent about it.

use axum::extract::{Path, State};
use axum::response::IntoResponse;
use bursar_domain::dispute::Dispute;
use bursar_domain::event::{EventStatus, StoredEvent};
use bursar_domain::id::{PaymentId, TopupId};
use bursar_domain::payment::{Payment, PaymentStatus};
use bursar_domain::refusal::Refusal;
use bursar_domain::time::Time;
use bursar_engine::EngineError;
use bursar_store::query::{EventFilter, PageRequest, PaymentFilter, Reader, RefundFilter};
use serde::Serialize;
use serde_json::json;

use super::answer::item;
use super::auth::{Admin, Caller, User};
use super::error::ApiError;
use super::extract::{Input, Query};
use super::{page, refund};
use crate::App;

/// `GET /v1/payment/methods`
pub(super) async fn methods(
    State(app): State<App>,
    Query(query): Query,
) -> Result<impl IntoResponse, ApiError> {
    query.finish()?;
    let missing = app.missing_for_payments();
    let mut method = json!({
        "id": "stripe",
        "type": "checkout",
        "enabled": missing.is_none(),
        "label": "Card",
        "service": "payment.stripe",
        "action": "checkout/create",
        "requires_user": true,
        "currency": app.config().stripe.currency.code(),
    });
    if let Some(reason) = missing {
        method["reason"] = reason.into();
    }
    Ok(item(json!({ "items": [method] })))
}

#[derive(Debug, Serialize)]
pub(super) struct View {
    payment_id: String,
    topup_id: String,
    user_id: String,
    provider: String,
    flow: &'static str,
    amount_minor: i64,
    currency: &'static str,
    display: String,
    livemode: bool,
    status: &'static str,
    stripe_checkout_session_id: Option<String>,
    stripe_payment_intent_id: Option<String>,
    checkout_url: Option<String>,
    last_failure: Option<Failure>,
    fraud_warned_at: Option<String>,
    refunded_minor: i64,
    disputed_minor: i64,
    created_at: String,
    updated_at: String,
    paid_at: Option<String>,
}

#[derive(Debug, Serialize)]
struct Failure {
    code: String,
    message: String,
    at: String,
}

impl View {
    pub(super) fn of(payment: &Payment) -> Self {
        Self {
            payment_id: payment.id.to_string(),
            topup_id: payment.topup.to_string(),
            user_id: payment.user.to_string(),
            provider: payment.provider.clone(),
            flow: payment.flow.as_str(),
            amount_minor: payment.amount.minor,
            currency: payment.amount.unit.code(),
            display: payment.amount.to_string(),
            livemode: payment.livemode,
            status: payment.status.as_str(),
            stripe_checkout_session_id: payment.session.clone(),
            stripe_payment_intent_id: payment.intent.clone(),
            checkout_url: payment.checkout_url.clone(),
            last_failure: payment.last_failure.as_ref().map(|failure| Failure {
                code: failure.code.clone(),
                message: failure.message.clone(),
                at: failure.at.to_string(),
            }),
            fraud_warned_at: payment.returned.warned_at.map(|at| at.to_string()),
            refunded_minor: payment.returned.refunded,
            disputed_minor: payment.returned.disputed,
            created_at: payment.created_at.to_string(),
            updated_at: payment.updated_at.to_string(),
            paid_at: payment.paid_at.map(|at| at.to_string()),
        }
    }
}

/// One payment with what became of its money.
#[derive(Debug, Serialize)]
struct Whole {
    #[serde(flatten)]
    payment: View,
    refunds: Refunds,
    disputes: Vec<DisputeView>,
}

#[derive(Debug, Serialize)]
#[serde(untagged)]
enum Refunds {
    OfAdmin(Vec<refund::View>),
    OfCustomer(Vec<refund::Short>),
}

#[derive(Debug, Serialize)]
struct DisputeView {
    stripe_dispute_id: String,
    status: &'static str,
    reason: String,
    amount_minor: i64,
    withdrawn_minor: i64,
    currency: &'static str,
    created_at: String,
    updated_at: String,
}

impl DisputeView {
    fn of(dispute: &Dispute) -> Self {
        Self {
            stripe_dispute_id: dispute.id.clone(),
            status: dispute.status.as_str(),
            reason: dispute.reason.clone(),
            amount_minor: dispute.amount.minor,
            withdrawn_minor: dispute.withdrawn(),
            currency: dispute.amount.unit.code(),
            created_at: dispute.created_at.to_string(),
            updated_at: dispute.updated_at.to_string(),
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
    Path(text): Path<String>,
    Query(query): Query,
) -> Result<impl IntoResponse, ApiError> {
    query.finish()?;
    let id = PaymentId::parse(&text).ok_or(Refusal::PaymentNotFound)?;
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

/// More refunds than Stripe makes of one payment.
const RETURNS_MAX: usize = 1_000;

/// `GET /v1/payment.stripe/payments/me`
pub(super) async fn mine(
    State(app): State<App>,
    User(user): User,
    Query(mut query): Query,
) -> Result<impl IntoResponse, ApiError> {
    let mut filter = filter(&mut query)?;
    filter.user = Some(user);
    list(&app, filter, query).await
}

/// `GET /v1/payment.stripe/payments`
pub(super) async fn all(
    State(app): State<App>,
    _: Admin,
    Query(mut query): Query,
) -> Result<impl IntoResponse, ApiError> {
    let mut filter = filter(&mut query)?;
    filter.user = query.user("user_id")?;
    list(&app, filter, query).await
}

fn filter(query: &mut Input) -> Result<PaymentFilter, ApiError> {
    let topup = query.text("topup_id", 200)?;
    let topup = topup
        .map(|text| TopupId::parse(&text).ok_or(Refusal::TopupNotFound))
        .transpose()?;
    Ok(PaymentFilter {
        user: None,
        status: query.word("status", PaymentStatus::ALL, PaymentStatus::as_str)?,
        topup,
    })
}

async fn list(
    app: &App,
    filter: PaymentFilter,
    mut query: Input,
) -> Result<impl IntoResponse + use<>, ApiError> {
    let request = page::request(&mut query)?;
    query.finish()?;
    let payments = app
        .engine()
        .read(move |reader| reader.payments(&filter, &request))
        .await?;
    Ok(page::list(payments, View::of))
}

/// An event as administrators see it: what came, and what became of it.
#[derive(Debug, Serialize)]
struct EventView {
    event_id: String,
    r#type: String,
    status: &'static str,
    reason: Option<String>,
    payment_id: Option<String>,
    object_id: String,
    livemode: bool,
    api_version: String,
    created_at: String,
    received_at: String,
    processed_at: Option<String>,
}

impl EventView {
    fn of(event: &StoredEvent) -> Self {
        Self {
            event_id: event.id.clone(),
            r#type: event.kind.clone(),
            status: event.status.as_str(),
            reason: Some(event.reason.clone()).filter(|reason| !reason.is_empty()),
            payment_id: event.payment.as_ref().map(ToString::to_string),
            object_id: event.object.clone(),
            livemode: event.livemode,
            api_version: event.api_version.clone(),
            created_at: Time::from_seconds(event.created).to_string(),
            received_at: event.received_at.to_string(),
            processed_at: event.worked_at.map(|at| at.to_string()),
        }
    }
}

const EVENT_STATUSES: &[(&str, EventStatus)] = &[
    ("pending", EventStatus::Pending),
    ("waiting", EventStatus::Waiting),
    ("applied", EventStatus::Applied),
    ("ignored", EventStatus::Ignored),
    ("quarantined", EventStatus::Quarantined),
    ("failed", EventStatus::Failed),
];

/// `GET /v1/payment.stripe/events`
pub(super) async fn events(
    State(app): State<App>,
    _: Admin,
    Query(mut query): Query,
) -> Result<impl IntoResponse, ApiError> {
    let payment = query.text("payment_id", 200)?;
    let filter = EventFilter {
        status: query.choice("status", EVENT_STATUSES)?,
        kind: query.text("type", 255)?,
        id: query.text("event_id", 255)?,
        payment: payment
            .map(|text| PaymentId::parse(&text).ok_or(Refusal::PaymentNotFound))
            .transpose()?,
    };
    let request = page::request(&mut query)?;
    query.finish()?;
    let events = app
        .engine()
        .read(move |reader| reader.events(&filter, &request))
        .await?;
    Ok(page::list(events, EventView::of))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_status_can_be_filtered_by() {
        for status in EventStatus::ALL {
            assert!(
                EVENT_STATUSES.contains(&(status.as_str(), status)),
                "{status:?}"
            );
        }
    }
}
