//! Refunds: an administrator asks for one, where so configured a second one has to agree.

use axum::extract::State;
use axum::response::IntoResponse;
use bursar_domain::grant::AMOUNT_MAX;
use bursar_domain::id::{PaymentId, RefundId};
use bursar_domain::refund::{Refund, RefundStatus, RequestRefund};
use bursar_domain::refusal::Refusal;
use bursar_store::query::RefundFilter;
use serde::Serialize;
use serde_json::Value;

use super::answer::answer;
use super::auth::Admin;
use super::error::ApiError;
use super::extract::{Input, Query, required};
use super::order::Order;
use super::{json, page};
use crate::App;

/// A refund as administrators see it.
#[derive(Debug, Serialize)]
pub(super) struct View {
    #[serde(flatten)]
    short: Short,
    reason: Option<String>,
    failure: Option<String>,
    requested_by: Option<String>,
    decided_by: Option<String>,
    stripe_refund_id: Option<String>,
    note: String,
    r#ref: String,
    meta: Value,
}

/// What the customer may see of it: not what administrators say about it among themselves.
#[derive(Debug, Serialize)]
pub(super) struct Short {
    refund_id: String,
    payment_id: String,
    status: &'static str,
    amount_minor: i64,
    currency: &'static str,
    display: String,
    created_at: String,
    updated_at: String,
}

impl Short {
    pub(super) fn of(refund: &Refund) -> Self {
        Self {
            refund_id: refund.id.to_string(),
            payment_id: refund.payment.to_string(),
            status: refund.status.as_str(),
            amount_minor: refund.amount.minor,
            currency: refund.amount.unit.code(),
            display: refund.amount.to_string(),
            created_at: refund.created_at.to_string(),
            updated_at: refund.updated_at.to_string(),
        }
    }
}

impl View {
    pub(super) fn of(refund: &Refund) -> Self {
        let given = |text: &String| Some(text.clone()).filter(|text| !text.is_empty());
        Self {
            short: Short::of(refund),
            reason: given(&refund.reason),
            failure: given(&refund.failure),
            requested_by: given(&refund.requested_by),
            decided_by: given(&refund.approved_by),
            stripe_refund_id: refund.provider_id.clone(),
            note: refund.remark.note.clone(),
            r#ref: refund.remark.reference.clone(),
            meta: json::stored(&refund.remark.meta),
        }
    }
}

/// `POST /v1/payment.stripe/refunds/create`
pub(super) async fn create(
    State(app): State<App>,
    admin: Admin,
    mut order: Order,
) -> Result<impl IntoResponse, ApiError> {
    let idempotency = order.idempotency_required(&admin.caller())?;
    let payment = required("payment_id", payment_id(&mut order.input)?)?;
    let amount = order.input.integer("amount_minor", 1, AMOUNT_MAX)?;
    let reason = order.input.text("reason", 64)?.unwrap_or_default();
    let remark = order.input.remark()?;
    order.input.finish()?;
    let wish = RequestRefund {
        payment,
        amount,
        reason,
        by: admin.0.to_string(),
        remark,
    };
    let asked = app.engine().request_refund(wish, Some(idempotency));
    let (refund, replayed) = asked.await?;
    Ok(answer(View::of(&refund), replayed))
}

/// `POST /v1/payment.stripe/refunds/approve`
pub(super) async fn approve(
    State(app): State<App>,
    admin: Admin,
    order: Order,
) -> Result<impl IntoResponse, ApiError> {
    decide(&app, &admin, order, true).await
}

/// `POST /v1/payment.stripe/refunds/reject`
pub(super) async fn reject(
    State(app): State<App>,
    admin: Admin,
    order: Order,
) -> Result<impl IntoResponse, ApiError> {
    decide(&app, &admin, order, false).await
}

async fn decide(
    app: &App,
    admin: &Admin,
    mut order: Order,
    agrees: bool,
) -> Result<impl IntoResponse + use<>, ApiError> {
    let idempotency = order.idempotency(&admin.caller());
    let text = required("refund_id", order.input.text("refund_id", 200)?)?;
    order.input.finish()?;
    let refund = RefundId::parse(&text).ok_or(Refusal::RefundNotFound)?;
    let by = admin.0.to_string();
    let decided = app.engine().decide_refund(refund, agrees, by, idempotency);
    let (refund, replayed) = decided.await?;
    Ok(answer(View::of(&refund), replayed))
}

/// `GET /v1/payment.stripe/refunds`
pub(super) async fn all(
    State(app): State<App>,
    _: Admin,
    Query(mut query): Query,
) -> Result<impl IntoResponse, ApiError> {
    let filter = RefundFilter {
        payment: payment_id(&mut query)?,
        status: query.word("status", RefundStatus::ALL, RefundStatus::as_str)?,
    };
    let request = page::request(&mut query)?;
    query.finish()?;
    let refunds = app
        .engine()
        .read(move |reader| reader.refunds(&filter, &request))
        .await?;
    Ok(page::list(refunds, View::of))
}

/// A text that is no id of ours names nothing of ours: 404, like any id that does not exist.
fn payment_id(input: &mut Input) -> Result<Option<PaymentId>, ApiError> {
    let text = input.text("payment_id", 200)?;
    let parsed = text.map(|text| PaymentId::parse(&text).ok_or(Refusal::PaymentNotFound));
    Ok(parsed.transpose()?)
}
