//! Refunds: an administrator asks for one, where so configured a second one has to agree.

use axum::extract::State;
use bursar_domain::grant::AMOUNT_MAX;
use bursar_domain::id::{PaymentId, RefundId};
use bursar_domain::journal::Remark;
use bursar_domain::refund::{REASONS, Refund, RefundStatus, RequestRefund};
use bursar_store::query::{PageRequest, RefundFilter};
use schemars::JsonSchema;
use serde::Serialize;

use super::answer::{Item, answer};
use super::auth::Admin;
use super::error::ApiError;
use super::extract::Query;
use super::form::form;
use super::kind::{Currency, Id, Meta, Moment, Whole, Word, choice};
use super::order::{KeyedOrder, Order};
use super::page::{self, List};
use crate::App;

/// A refund as administrators see it.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Refund")]
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
    meta: Meta,
}

/// What the customer may see of it: not what administrators say about it among themselves.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "RefundOfCustomer")]
pub(super) struct Short {
    refund_id: Id<RefundId>,
    payment_id: Id<PaymentId>,
    status: Word<RefundStatus>,
    amount_minor: i64,
    currency: Currency,
    display: String,
    created_at: Moment,
    updated_at: Moment,
}

impl Short {
    pub(super) fn of(refund: &Refund) -> Self {
        Self {
            refund_id: Id(refund.id.clone()),
            payment_id: Id(refund.payment.clone()),
            status: Word(refund.status),
            amount_minor: refund.amount.minor,
            currency: Currency(refund.amount.unit),
            display: refund.amount.to_string(),
            created_at: Moment(refund.created_at),
            updated_at: Moment(refund.updated_at),
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
            meta: Meta(refund.remark.meta.clone()),
        }
    }
}

/// A reason in Stripe's words.
#[derive(Debug)]
struct InWords(&'static str);

choice!(InWords, &REASONS.map(|word| (word, word)));

form! {
    /// How much of which payment goes back, and why.
    pub(super) struct Create {
        payment_id: Id<PaymentId>,
        /// In smallest steps of the payment's currency; all that is left without it.
        amount_minor: Option<Whole<1, AMOUNT_MAX>>,
        /// For Stripe.
        reason: Option<InWords>,
        remark: Remark,
    }
}

/// `POST /v1/payment.stripe/refunds/create`
pub(super) async fn create(
    State(app): State<App>,
    admin: Admin,
    order: KeyedOrder<Create>,
) -> Result<Item<View>, ApiError> {
    let idempotency = order.idempotency(&admin.caller());
    let form = order.form;
    let wish = RequestRefund {
        payment: form.payment_id.0,
        amount: form.amount_minor.map(|number| number.0),
        reason: form
            .reason
            .map(|word| word.0.to_owned())
            .unwrap_or_default(),
        by: admin.0.to_string(),
        remark: form.remark,
    };
    let asked = app.engine().request_refund(wish, idempotency).await?;
    Ok(answer(&asked, View::of))
}

form! {
    /// Which refund is decided.
    pub(super) struct Decide {
        refund_id: Id<RefundId>,
    }
}

/// `POST /v1/payment.stripe/refunds/approve`
pub(super) async fn approve(
    State(app): State<App>,
    admin: Admin,
    order: Order<Decide>,
) -> Result<Item<View>, ApiError> {
    decide(&app, &admin, order, true).await
}

/// `POST /v1/payment.stripe/refunds/reject`
pub(super) async fn reject(
    State(app): State<App>,
    admin: Admin,
    order: Order<Decide>,
) -> Result<Item<View>, ApiError> {
    decide(&app, &admin, order, false).await
}

async fn decide(
    app: &App,
    admin: &Admin,
    order: Order<Decide>,
    agrees: bool,
) -> Result<Item<View>, ApiError> {
    let idempotency = order.idempotency(&admin.caller());
    let (Id(refund), by) = (order.form.refund_id, admin.0.to_string());
    let decided = app.engine().decide_refund(refund, agrees, by, idempotency);
    Ok(answer(&decided.await?, View::of))
}

form! {
    /// Which refunds.
    pub(super) struct All {
        payment_id: Option<Id<PaymentId>>,
        status: Option<Word<RefundStatus>>,
        page: PageRequest,
    }
}

/// `GET /v1/payment.stripe/refunds`
pub(super) async fn all(
    State(app): State<App>,
    _: Admin,
    Query(form): Query<All>,
) -> Result<Item<List<View>>, ApiError> {
    let filter = RefundFilter {
        payment: form.payment_id.map(|id| id.0),
        status: form.status.map(|word| word.0),
    };
    page::read(
        &app,
        move |reader| reader.refunds(&filter, &form.page),
        View::of,
    )
    .await
}
