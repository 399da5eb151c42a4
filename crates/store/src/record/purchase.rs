//! Rows about purchases: top-ups, payments, events from the provider, jobs.

use bursar_domain::event::{EventStatus, StoredEvent};
use bursar_domain::id::{PaymentId, TopupId, UserId};
use bursar_domain::job::{Job, JobKey, JobKind, Lease};
use bursar_domain::payment::{Failure, Flow, Payment, PaymentStatus, Returned};
use bursar_domain::topup::{Topup, TopupStatus};

use super::{Shape, read_amount, read_remark, write_remark};
use crate::connection::{Parameters, Row, StoreError};

pub(crate) const TOPUP: &str = "id, user_id, credits, bonus, package, coupon, discount, price_minor, price_unit, status, payment_id, note, reference, \
                                meta, created_at, updated_at, paid_at";
pub(crate) const PAYMENT: &str = "id, number, flow, provider, topup_id, user_id, amount_minor, amount_unit, livemode, item_name, \
                                  success_url, cancel_url, save_card, card, status, session, checkout_url, intent, failure_code, \
                                  failure_message, failure_advice, failed_at, refunded, disputed, posted, created_at, updated_at, paid_at, warned_at";
pub(crate) const EVENT: &str = "number, id, kind, created, livemode, api_version, object, status, reason, payment_id, waits_for, \
                                received_at, worked_at";
pub(crate) const JOB: &str =
    "kind, subject, run_at, dirty, attempts, lease_token, lease_until, last_error";

pub(crate) const TOPUPS: Shape = Shape {
    table: "topup",
    columns: TOPUP,
    fixed: &["user_id", "created_at"],
};

pub(crate) const PAYMENTS: Shape = Shape {
    table: "payment",
    columns: PAYMENT,
    fixed: &[
        "number",
        "flow",
        "provider",
        "topup_id",
        "user_id",
        "created_at",
    ],
};

pub(crate) const EVENTS: Shape = Shape {
    table: "stripe_event",
    columns: EVENT,
    fixed: &[
        "id",
        "kind",
        "created",
        "livemode",
        "api_version",
        "object",
        "received_at",
    ],
};

pub(crate) fn write_topup(topup: &Topup) -> Parameters {
    let mut row = vec![
        topup.id.as_str().into(),
        topup.user.as_str().into(),
        topup.credits.into(),
        topup.bonus.into(),
        topup.package.as_deref().into(),
        topup.coupon.as_deref().into(),
        topup.discount.into(),
        topup.price.minor.into(),
        topup.price.unit.to_string().into(),
        topup.status.as_str().into(),
        topup.payment.as_ref().map(PaymentId::as_str).into(),
    ];
    row.extend(write_remark(&topup.remark));
    row.extend([
        topup.created_at.into(),
        topup.updated_at.into(),
        topup.paid_at.into(),
    ]);
    row
}

pub(crate) fn read_topup(row: &Row) -> Result<Topup, StoreError> {
    Ok(Topup {
        id: row.parsed(0, TopupId::parse)?,
        user: row.parsed(1, UserId::parse)?,
        credits: row.integer(2)?,
        bonus: row.integer(3)?,
        package: row.optional_text(4)?.map(str::to_owned),
        coupon: row.optional_text(5)?.map(str::to_owned),
        discount: row.integer(6)?,
        price: read_amount(row, 7)?,
        status: row.parsed(9, TopupStatus::parse)?,
        payment: row.optional_parsed(10, PaymentId::parse)?,
        remark: read_remark(row, 11)?,
        created_at: row.time(14)?,
        updated_at: row.time(15)?,
        paid_at: row.optional_time(16)?,
    })
}

pub(crate) fn write_payment(payment: &Payment) -> Parameters {
    let failure = payment.last_failure.as_ref();
    vec![
        payment.id.as_str().into(),
        payment.number.into(),
        payment.flow.as_str().into(),
        payment.provider.as_str().into(),
        payment.topup.as_str().into(),
        payment.user.as_str().into(),
        payment.amount.minor.into(),
        payment.amount.unit.to_string().into(),
        payment.livemode.into(),
        payment.item_name.as_str().into(),
        payment.success_url.as_str().into(),
        payment.cancel_url.as_str().into(),
        payment.save_card.into(),
        payment.card.as_deref().into(),
        payment.status.as_str().into(),
        payment.session.as_deref().into(),
        payment.checkout_url.as_deref().into(),
        payment.intent.as_deref().into(),
        failure.map(|failure| failure.code.as_str()).into(),
        failure.map(|failure| failure.message.as_str()).into(),
        failure.and_then(|failure| failure.advice.as_deref()).into(),
        failure.map(|failure| failure.at).into(),
        payment.returned.refunded.into(),
        payment.returned.disputed.into(),
        payment.returned.posted.into(),
        payment.created_at.into(),
        payment.updated_at.into(),
        payment.paid_at.into(),
        payment.returned.warned_at.into(),
    ]
}

pub(crate) fn read_payment(row: &Row) -> Result<Payment, StoreError> {
    let owned = |text: Option<&str>| text.map(str::to_owned);
    let last_failure = match (
        row.optional_text(18)?,
        row.optional_text(19)?,
        row.optional_time(21)?,
    ) {
        (Some(code), Some(message), Some(at)) => Some(Failure {
            code: code.to_owned(),
            message: message.to_owned(),
            advice: owned(row.optional_text(20)?),
            at,
        }),
        _ => None,
    };
    Ok(Payment {
        id: row.parsed(0, PaymentId::parse)?,
        number: row.integer(1)?,
        flow: row.parsed(2, Flow::parse)?,
        provider: row.text(3)?.to_owned(),
        topup: row.parsed(4, TopupId::parse)?,
        user: row.parsed(5, UserId::parse)?,
        amount: read_amount(row, 6)?,
        livemode: row.boolean(8)?,
        item_name: row.text(9)?.to_owned(),
        success_url: row.text(10)?.to_owned(),
        cancel_url: row.text(11)?.to_owned(),
        save_card: row.boolean(12)?,
        card: owned(row.optional_text(13)?),
        status: row.parsed(14, PaymentStatus::parse)?,
        session: owned(row.optional_text(15)?),
        checkout_url: owned(row.optional_text(16)?),
        intent: owned(row.optional_text(17)?),
        last_failure,
        returned: Returned {
            refunded: row.integer(22)?,
            disputed: row.integer(23)?,
            posted: row.integer(24)?,
            warned_at: row.optional_time(28)?,
        },
        created_at: row.time(25)?,
        updated_at: row.time(26)?,
        paid_at: row.optional_time(27)?,
    })
}

pub(crate) fn write_event(event: &StoredEvent) -> Parameters {
    vec![
        event.number.into(),
        event.id.as_str().into(),
        event.kind.as_str().into(),
        event.created.into(),
        event.livemode.into(),
        event.api_version.as_str().into(),
        event.object.as_str().into(),
        event.status.as_str().into(),
        event.reason.as_str().into(),
        event.payment.as_ref().map(PaymentId::as_str).into(),
        event.waits_for.as_deref().into(),
        event.received_at.into(),
        event.worked_at.into(),
    ]
}

pub(crate) fn read_event(row: &Row) -> Result<StoredEvent, StoreError> {
    Ok(StoredEvent {
        number: row.integer(0)?,
        id: row.text(1)?.to_owned(),
        kind: row.text(2)?.to_owned(),
        created: row.integer(3)?,
        livemode: row.boolean(4)?,
        api_version: row.text(5)?.to_owned(),
        object: row.text(6)?.to_owned(),
        status: row.parsed(7, EventStatus::parse)?,
        reason: row.text(8)?.to_owned(),
        payment: row.optional_parsed(9, PaymentId::parse)?,
        waits_for: row.optional_text(10)?.map(str::to_owned),
        received_at: row.time(11)?,
        worked_at: row.optional_time(12)?,
    })
}

pub(crate) fn job_key(key: &JobKey) -> Parameters {
    vec![key.kind.as_str().into(), key.subject.as_str().into()]
}

pub(crate) fn write_job(job: &Job) -> Parameters {
    let mut row = job_key(&job.key);
    row.extend([
        job.run_at.into(),
        job.dirty.into(),
        job.attempts.into(),
        job.lease.map(|lease| lease.token).into(),
        job.lease.map(|lease| lease.until).into(),
        job.last_error.as_str().into(),
    ]);
    row
}

pub(crate) fn read_job(row: &Row) -> Result<Job, StoreError> {
    let lease = match (row.optional_integer(5)?, row.optional_time(6)?) {
        (Some(token), Some(until)) => Some(Lease { token, until }),
        _ => None,
    };
    Ok(Job {
        key: JobKey {
            kind: row.parsed(0, JobKind::parse)?,
            subject: row.text(1)?.to_owned(),
        },
        run_at: row.time(2)?,
        dirty: row.integer(3)?,
        attempts: row.integer(4)?,
        lease,
        last_error: row.text(7)?.to_owned(),
    })
}
