//! Rows about saved cards: who a user is at the provider, and what is bought automatically.

use bursar_domain::auto_topup::{AutoTopup, Breaker, Cap, Refill, Stop, Terms, Used};
use bursar_domain::customer::{Customer, CustomerKey};
use bursar_domain::id::{PaymentId, UserId};
use bursar_domain::limit::Period;

use crate::connection::{Parameters, Row, StoreError};

pub(crate) const AUTO_TOPUP: &str = "user_id, livemode, enabled, threshold, refill, refill_size, period, topups_max, credits_max, card, \
                                     began_at, topups_used, credits_used, failures, stopped, told, retry_at, payment_id, \
                                     created_at, updated_at";

const CREDITS: &str = "credits";
const TARGET: &str = "target";

pub(crate) fn write_auto_topup(row: &AutoTopup) -> Parameters {
    let (terms, used, breaker) = (&row.terms, row.used, row.breaker);
    let (refill, size) = match terms.refill {
        Refill::Credits(size) => (CREDITS, size),
        Refill::Target(size) => (TARGET, size),
    };
    vec![
        row.user.as_str().into(),
        row.livemode.into(),
        terms.enabled.into(),
        terms.threshold.into(),
        refill.into(),
        size.into(),
        terms.cap.period.as_str().into(),
        terms.cap.topups.into(),
        terms.cap.credits.into(),
        terms.card.as_str().into(),
        used.began_at.into(),
        used.topups.into(),
        used.credits.into(),
        breaker.failures.into(),
        breaker.stopped.map(Stop::as_str).into(),
        breaker.told.into(),
        breaker.retry_at.into(),
        row.payment.as_ref().map(PaymentId::as_str).into(),
        row.created_at.into(),
        row.updated_at.into(),
    ]
}

pub(crate) fn read_auto_topup(row: &Row) -> Result<AutoTopup, StoreError> {
    let size = row.integer(5)?;
    let refill = match row.text(4)? {
        CREDITS => Refill::Credits(size),
        TARGET => Refill::Target(size),
        other => return Err(StoreError::corrupt(format!("a refill is {other}"))),
    };
    Ok(AutoTopup {
        user: row.parsed(0, UserId::parse)?,
        livemode: row.boolean(1)?,
        terms: Terms {
            enabled: row.boolean(2)?,
            threshold: row.integer(3)?,
            refill,
            cap: Cap {
                period: row.parsed(6, Period::parse)?,
                topups: row.optional_integer(7)?,
                credits: row.optional_integer(8)?,
            },
            card: row.text(9)?.to_owned(),
        },
        used: Used {
            began_at: row.time(10)?,
            topups: row.integer(11)?,
            credits: row.integer(12)?,
        },
        breaker: Breaker {
            failures: row.integer(13)?,
            stopped: row.optional_parsed(14, Stop::parse)?,
            told: row.boolean(15)?,
            retry_at: row.optional_time(16)?,
        },
        payment: row.optional_parsed(17, PaymentId::parse)?,
        created_at: row.time(18)?,
        updated_at: row.time(19)?,
    })
}

pub(crate) const CUSTOMER: &str = "user_id, livemode, id";

pub(crate) fn customer_key(key: &CustomerKey) -> Parameters {
    vec![key.user.as_str().into(), key.livemode.into()]
}

pub(crate) fn write_customer(customer: &Customer) -> Parameters {
    let mut row = customer_key(&customer.key);
    row.push(customer.id.as_str().into());
    row
}

pub(crate) fn read_customer(row: &Row) -> Result<Customer, StoreError> {
    let key = CustomerKey {
        user: row.parsed(0, UserId::parse)?,
        livemode: row.boolean(1)?,
    };
    let id = row.text(2)?.to_owned();
    Ok(Customer { key, id })
}
