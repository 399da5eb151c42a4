//! Rows about wallets: grants, holds, limits, what happened, what was used.

use bursar_domain::account::{AccountKey, AccountKind};
use bursar_domain::amount::{Amount, Unit};
use bursar_domain::announcement::Announcement;
use bursar_domain::grant::{Category, Grant, GrantEnd, RollOver, Source};
use bursar_domain::hold::{Hold, HoldStatus, Overage};
use bursar_domain::id::{GrantId, HoldId, LimitId, TransactionId, UserId};
use bursar_domain::limit::{Period, SpendingLimit, Subject, SubjectKind};
use bursar_domain::usage::{UsageEvent, UsageStatus};
use bursar_domain::wallet::Reservation;

use super::{Shape, json, read_account_key, read_json, read_remark, write_remark};
use crate::connection::{Parameters, Row, StoreError, Value};

pub(crate) const GRANT: &str = "number, category, source, origin, priority, starts_at, expires_at, roll_cap, roll_seconds, \
                                granted, remaining, announced, note, reference, meta, end_kind, created_at, ended_at";
pub(crate) const HOLD: &str = "number, account, amount, progress, parts, overage, spender, limits, status, settled, uncovered, \
                               transaction_number, balance, note, reference, meta, created_at, expires_at, updated_at, ended_at";
pub(crate) const LIMIT: &str = "number, subject_kind, subject, unit, period, most, began_at, spent, reserved, created_at, updated_at";
pub(crate) const USAGE: &str = "number, user_id, service, variant, quantity, status, meta, at";

pub(crate) const HOLDS: Shape = Shape {
    table: "hold",
    columns: HOLD,
    fixed: &["account", "overage", "spender", "created_at"],
};

pub(crate) fn write_grant(grant: &Grant, account: i64) -> Parameters {
    let roll = grant.roll_over;
    let mut row: Parameters = vec![
        grant.id.number().into(),
        grant.category.as_str().into(),
        grant.source.as_str().into(),
        grant.from.as_str().into(),
        grant.priority.into(),
        grant.starts_at.into(),
        grant.expires_at.into(),
        roll.map(|roll| roll.cap).into(),
        roll.map(|roll| roll.seconds).into(),
        grant.granted.into(),
        grant.remaining.into(),
        grant.announced.into(),
    ];
    row.extend(write_remark(&grant.remark));
    row.push(grant.end.map(GrantEnd::as_str).into());
    row.extend([grant.created_at.into(), grant.ended_at.into()]);
    row.push(account.into());
    row
}

pub(crate) fn read_grant(row: &Row, wallet: &AccountKey) -> Result<Grant, StoreError> {
    let roll_over = match (row.optional_integer(7)?, row.optional_integer(8)?) {
        (Some(cap), Some(seconds)) => Some(RollOver { cap, seconds }),
        _ => None,
    };
    Ok(Grant {
        id: GrantId::of(row.integer(0)?),
        wallet: wallet.clone(),
        category: row.parsed(1, Category::parse)?,
        source: row.parsed(2, Source::parse)?,
        from: row.parsed(3, AccountKind::parse)?,
        priority: row.integer(4)?,
        starts_at: row.optional_time(5)?,
        expires_at: row.optional_time(6)?,
        roll_over,
        granted: row.integer(9)?,
        remaining: row.integer(10)?,
        held: 0,
        announced: row.boolean(11)?,
        remark: read_remark(row, 12)?,
        end: row.optional_parsed(15, GrantEnd::parse)?,
        created_at: row.time(16)?,
        ended_at: row.optional_time(17)?,
    })
}

/// `account` is the number of the wallet's account.
pub(crate) fn write_hold(hold: &Hold, account: i64) -> Result<Parameters, StoreError> {
    let mut row = vec![
        hold.id.number().into(),
        account.into(),
        hold.amount.into(),
        hold.progress.into(),
        json(&hold.parts)?,
        hold.overage.as_str().into(),
        json(&hold.spender)?,
        json(&hold.limits)?,
        hold.status.as_str().into(),
        hold.settled.into(),
        hold.uncovered.into(),
        hold.charge.map(TransactionId::number).into(),
        hold.balance.into(),
    ];
    row.extend(write_remark(&hold.remark));
    row.extend([hold.created_at, hold.expires_at, hold.updated_at].map(Value::from));
    row.push(hold.ended_at.into());
    Ok(row)
}

/// Behind the columns of the hold: kind, owner and unit of its account.
pub(crate) fn read_hold(row: &Row) -> Result<Hold, StoreError> {
    Ok(Hold {
        id: HoldId::of(row.integer(0)?),
        wallet: read_account_key(row, 20)?,
        amount: row.integer(2)?,
        progress: row.integer(3)?,
        parts: read_json(row, 4)?,
        overage: row.parsed(5, Overage::parse)?,
        spender: read_json(row, 6)?,
        limits: read_json(row, 7)?,
        status: row.parsed(8, HoldStatus::parse)?,
        settled: row.integer(9)?,
        uncovered: row.integer(10)?,
        charge: row.optional_integer(11)?.map(TransactionId::of),
        balance: row.optional_integer(12)?,
        remark: read_remark(row, 13)?,
        created_at: row.time(16)?,
        expires_at: row.time(17)?,
        updated_at: row.time(18)?,
        ended_at: row.optional_time(19)?,
    })
}

/// Columns: number, parts.
pub(crate) fn read_reservation(row: &Row) -> Result<Reservation, StoreError> {
    Ok(Reservation {
        hold: HoldId::of(row.integer(0)?),
        parts: read_json(row, 1)?,
    })
}

pub(crate) fn write_limit(limit: &SpendingLimit) -> Parameters {
    vec![
        limit.id.number().into(),
        limit.subject.kind.as_str().into(),
        limit.subject.name.as_str().into(),
        limit.most.unit.to_string().into(),
        limit.period.as_str().into(),
        limit.most.minor.into(),
        limit.began_at.into(),
        limit.spent.into(),
        limit.reserved.into(),
        limit.created_at.into(),
        limit.updated_at.into(),
    ]
}

pub(crate) fn read_limit(row: &Row) -> Result<SpendingLimit, StoreError> {
    let unit = row.parsed(3, Unit::parse)?;
    Ok(SpendingLimit {
        id: LimitId::of(row.integer(0)?),
        subject: read_subject(row, 1)?,
        most: Amount::new(row.integer(5)?, unit),
        period: row.parsed(4, Period::parse)?,
        began_at: row.time(6)?,
        spent: row.integer(7)?,
        reserved: row.integer(8)?,
        created_at: row.time(9)?,
        updated_at: row.time(10)?,
    })
}

pub(crate) fn read_subject(row: &Row, column: usize) -> Result<Subject, StoreError> {
    Ok(Subject {
        kind: row.parsed(column, SubjectKind::parse)?,
        name: row.text(column + 1)?.to_owned(),
    })
}

/// `account` is the number of the wallet's account.
pub(crate) fn write_announcement(
    announcement: &Announcement,
    account: i64,
) -> Result<Parameters, StoreError> {
    Ok(vec![
        announcement.number.into(),
        account.into(),
        announcement.happening.kind().into(),
        json(&announcement.happening)?,
        announcement.at.into(),
    ])
}

/// Columns: number, body, at, and kind, owner and unit of the account.
pub(crate) fn read_announcement(row: &Row) -> Result<Announcement, StoreError> {
    Ok(Announcement {
        number: row.integer(0)?,
        happening: read_json(row, 1)?,
        at: row.time(2)?,
        wallet: read_account_key(row, 3)?,
    })
}

pub(crate) fn write_usage(event: &UsageEvent) -> Parameters {
    vec![
        event.number.into(),
        event.user.as_str().into(),
        event.service.as_str().into(),
        event.variant.as_str().into(),
        event.quantity.into(),
        event.status.as_str().into(),
        event.meta.as_str().into(),
        event.at.into(),
    ]
}

pub(crate) fn read_usage(row: &Row) -> Result<UsageEvent, StoreError> {
    Ok(UsageEvent {
        number: row.integer(0)?,
        user: row.parsed(1, UserId::parse)?,
        service: row.text(2)?.to_owned(),
        variant: row.text(3)?.to_owned(),
        quantity: row.integer(4)?,
        status: row.parsed(5, UsageStatus::parse)?,
        meta: row.text(6)?.to_owned(),
        at: row.time(7)?,
    })
}
