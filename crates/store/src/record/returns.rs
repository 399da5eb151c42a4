//! Rows about money that goes back: what payments have given, refunds, disputes.

use bursar_domain::account::{AccountKey, AccountKind};
use bursar_domain::amount::Unit;
use bursar_domain::award::{Award, AwardKind};
use bursar_domain::dispute::{Dispute, DisputeStatus};
use bursar_domain::id::{PaymentId, RefundId};
use bursar_domain::refund::{Refund, RefundStatus};

use super::{json, read_amount, read_json, read_remark, write_remark};
use crate::connection::{Parameters, Row, StoreError};

pub(crate) const AWARD: &str =
    "payment_id, kind, owner, unit, origin, granted, taken, absorbed, grants";
pub(crate) const REFUND: &str = "id, payment_id, provider_id, amount_minor, amount_unit, status, reason, failure, \
                                 requested_by, approved_by, note, reference, meta, created_at, updated_at";
pub(crate) const DISPUTE: &str =
    "id, payment_id, amount_minor, amount_unit, status, reason, movements, created_at, updated_at";

pub(crate) fn write_award(award: &Award) -> Result<Parameters, StoreError> {
    Ok(vec![
        award.payment.as_str().into(),
        award.kind.as_str().into(),
        award.wallet.owner.as_str().into(),
        award.wallet.unit.to_string().into(),
        award.from.as_str().into(),
        award.granted.into(),
        award.taken.into(),
        award.absorbed.into(),
        json(&award.grants)?,
    ])
}

pub(crate) fn read_award(row: &Row) -> Result<Award, StoreError> {
    Ok(Award {
        payment: row.parsed(0, PaymentId::parse)?,
        kind: row.parsed(1, AwardKind::parse)?,
        wallet: AccountKey {
            kind: AccountKind::Wallet,
            owner: row.text(2)?.into(),
            unit: row.parsed(3, Unit::parse)?,
        },
        from: row.parsed(4, AccountKind::parse)?,
        granted: row.integer(5)?,
        taken: row.integer(6)?,
        absorbed: row.integer(7)?,
        grants: read_json(row, 8)?,
    })
}

pub(crate) fn write_refund(refund: &Refund) -> Parameters {
    let mut row = vec![
        refund.id.as_str().into(),
        refund.payment.as_str().into(),
        refund.provider_id.as_deref().into(),
        refund.amount.minor.into(),
        refund.amount.unit.to_string().into(),
        refund.status.as_str().into(),
        refund.reason.as_str().into(),
        refund.failure.as_str().into(),
        refund.requested_by.as_str().into(),
        refund.approved_by.as_str().into(),
    ];
    row.extend(write_remark(&refund.remark));
    row.extend([refund.created_at.into(), refund.updated_at.into()]);
    row
}

pub(crate) fn read_refund(row: &Row) -> Result<Refund, StoreError> {
    Ok(Refund {
        id: row.parsed(0, RefundId::parse)?,
        payment: row.parsed(1, PaymentId::parse)?,
        provider_id: row.optional_text(2)?.map(str::to_owned),
        amount: read_amount(row, 3)?,
        status: row.parsed(5, RefundStatus::parse)?,
        reason: row.text(6)?.to_owned(),
        failure: row.text(7)?.to_owned(),
        requested_by: row.text(8)?.to_owned(),
        approved_by: row.text(9)?.to_owned(),
        remark: read_remark(row, 10)?,
        created_at: row.time(13)?,
        updated_at: row.time(14)?,
    })
}

pub(crate) fn write_dispute(dispute: &Dispute) -> Result<Parameters, StoreError> {
    Ok(vec![
        dispute.id.as_str().into(),
        dispute.payment.as_str().into(),
        dispute.amount.minor.into(),
        dispute.amount.unit.to_string().into(),
        dispute.status.as_str().into(),
        dispute.reason.as_str().into(),
        json(&dispute.movements)?,
        dispute.created_at.into(),
        dispute.updated_at.into(),
    ])
}

pub(crate) fn read_dispute(row: &Row) -> Result<Dispute, StoreError> {
    Ok(Dispute {
        id: row.text(0)?.to_owned(),
        payment: row.parsed(1, PaymentId::parse)?,
        amount: read_amount(row, 2)?,
        status: row.parsed(4, DisputeStatus::parse)?,
        reason: row.text(5)?.to_owned(),
        movements: read_json(row, 6)?,
        created_at: row.time(7)?,
        updated_at: row.time(8)?,
    })
}
