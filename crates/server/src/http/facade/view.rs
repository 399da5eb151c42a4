//! How the credits API writes what there is.

use bursar_domain::amount::Amount;
use bursar_domain::id::UserId;
use bursar_domain::package::Package;
use bursar_domain::payment::{Payment, PaymentStatus};
use bursar_domain::refund::{Refund, RefundStatus};
use bursar_domain::topup::Topup;
use schemars::JsonSchema;
use serde::Serialize;

use super::super::kind::{Id, Moment, Word};
use super::money::{BigCurrency, Money};

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "FacadePackages")]
pub(super) struct Packages {
    pub(super) packages: Vec<PackageView>,
}

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "FacadePackage")]
pub(super) struct PackageView {
    id: String,
    name: String,
    credits: i64,
    bonus_credits: i64,
    total_credits: i64,
    price: Option<Money>,
    currency: Option<BigCurrency>,
    popular: bool,
}

/// Where a payment stands, in the words of this API.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
enum Status {
    Pending,
    Completed,
    Refunded,
    Expired,
    Failed,
    Canceled,
}

const fn status(status: PaymentStatus) -> Status {
    match status {
        PaymentStatus::Pending | PaymentStatus::Processing => Status::Pending,
        PaymentStatus::Paid | PaymentStatus::PartiallyRefunded | PaymentStatus::Disputed => {
            Status::Completed
        }
        PaymentStatus::Refunded => Status::Refunded,
        PaymentStatus::Expired => Status::Expired,
        PaymentStatus::Failed => Status::Failed,
        PaymentStatus::Canceled => Status::Canceled,
    }
}

impl PackageView {
    pub(super) fn of(package: &Package) -> Self {
        let price = package.prices.first();
        Self {
            id: package.id.clone(),
            name: package.name.clone(),
            credits: package.credits,
            bonus_credits: package.bonus,
            total_credits: package.credits.saturating_add(package.bonus),
            price: price.copied().map(Money),
            currency: price.map(|price| BigCurrency(price.unit)),
            popular: package.popular,
        }
    }
}

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "FacadeSession")]
pub(super) struct SessionView {
    session_id: Option<String>,
    url: Option<String>,
    payment_id: i64,
    status: Status,
    amount: Money,
    currency: BigCurrency,
    expires_at: Moment,
}

impl SessionView {
    pub(super) fn of(payment: &Payment) -> Self {
        Self {
            session_id: payment.session.clone(),
            url: payment
                .checkout_url
                .clone()
                .filter(|_| payment.status.is_open()),
            payment_id: payment.number,
            status: status(payment.status),
            amount: Money(payment.amount),
            currency: BigCurrency(payment.amount.unit),
            expires_at: Moment(payment.closes_at()),
        }
    }
}

/// The secret stands in the answer that opens it and nowhere else, and cannot be printed: this has no `Debug`.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "FacadeIntent")]
pub(super) struct IntentView {
    payment_intent_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    client_secret: Option<String>,
    payment_id: i64,
    status: Status,
    amount: Money,
    currency: BigCurrency,
}

impl IntentView {
    pub(super) fn of(payment: &Payment, client_secret: Option<String>) -> Self {
        Self {
            payment_intent_id: payment.intent.clone(),
            client_secret,
            payment_id: payment.number,
            status: status(payment.status),
            amount: Money(payment.amount),
            currency: BigCurrency(payment.amount.unit),
        }
    }
}

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "FacadePayment")]
pub(super) struct PaymentView {
    payment_id: i64,
    session_id: Option<String>,
    payment_intent_id: Option<String>,
    status: Status,
    amount: Money,
    refunded_amount: Money,
    currency: BigCurrency,
    credits: i64,
    description: String,
    created_at: Moment,
    updated_at: Moment,
    completed_at: Option<Moment>,
}

impl PaymentView {
    pub(super) fn of((payment, topup): &(Payment, Topup)) -> Self {
        let refunded = Amount::new(payment.returned.refunded, payment.amount.unit);
        Self {
            payment_id: payment.number,
            session_id: payment.session.clone(),
            payment_intent_id: payment.intent.clone(),
            status: status(payment.status),
            amount: Money(payment.amount),
            refunded_amount: Money(refunded),
            currency: BigCurrency(payment.amount.unit),
            credits: topup.credits.saturating_add(topup.bonus),
            description: topup.remark.note.clone(),
            created_at: Moment(payment.created_at),
            updated_at: Moment(payment.updated_at),
            completed_at: payment.paid_at.map(Moment),
        }
    }
}

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "FacadePayments")]
pub(super) struct Payments {
    pub(super) payments: Vec<PaymentView>,
    pub(super) has_more: bool,
    pub(super) next: Option<String>,
}

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "FacadeRefund")]
pub(super) struct RefundView {
    refund_id: Option<String>,
    payment_id: i64,
    status: Word<RefundStatus>,
    amount: Money,
    currency: BigCurrency,
    reason: Option<String>,
    created_at: Moment,
}

impl RefundView {
    pub(super) fn of(refund: &Refund, payment_id: i64) -> Self {
        let said = [&refund.reason, &refund.remark.note];
        let reason = said.into_iter().find(|text| !text.is_empty());
        Self {
            refund_id: refund.provider_id.clone(),
            payment_id,
            status: Word(refund.status),
            amount: Money(refund.amount),
            currency: BigCurrency(refund.amount.unit),
            reason: reason.cloned(),
            created_at: Moment(refund.created_at),
        }
    }
}

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "FacadeBalance")]
pub(super) struct BalanceView {
    pub(super) user_id: Id<UserId>,
    pub(super) credits: i64,
    pub(super) balance: Money,
    pub(super) currency: BigCurrency,
}
