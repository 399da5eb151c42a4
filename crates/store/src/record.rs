//! How each kind of row is written and read: the columns of its table, in order.

use bursar_domain::account::{Account, AccountKey, AccountKind};
use bursar_domain::amount::{Amount, Unit};
use bursar_domain::announcement::Announcement;
use bursar_domain::api_key::{ApiKey, Role};
use bursar_domain::event::{EventStatus, StoredEvent};
use bursar_domain::grant::{Category, Grant, GrantEnd, RollOver, Source};
use bursar_domain::hold::{Hold, HoldStatus, Overage};
use bursar_domain::id::{
    ApiKeyId, GrantId, HoldId, LimitId, PaymentId, TopupId, TransactionId, UserId,
};
use bursar_domain::job::{Job, JobKey, JobKind, Lease};
use bursar_domain::journal::{Link, PostingRow, Remark, Side, Transaction};
use bursar_domain::limit::{Period, SpendingLimit, Subject, SubjectKind};
use bursar_domain::payment::{Failure, Payment, PaymentStatus};
use bursar_domain::topup::{Topup, TopupStatus};
use bursar_domain::usage::{UsageEvent, UsageStatus};
use bursar_domain::wallet::Reservation;

use crate::connection::{Parameters, Row, StoreError, Value};

pub(crate) const ACCOUNT: &str =
    "number, kind, owner, unit, balance, entries, head, opened_at, updated_at";
pub(crate) const TRANSACTION: &str =
    "number, reason, cause_kind, cause_id, at, note, reference, meta, tags";
pub(crate) const POSTING: &str = "number, transaction_number, amount, from_account, from_previous, from_balance, \
                                  to_account, to_previous, to_balance, grant_number";
pub(crate) const GRANT: &str = "number, category, source, origin, priority, starts_at, expires_at, roll_cap, roll_seconds, \
                                granted, remaining, announced, note, reference, meta, end_kind, created_at, ended_at";
pub(crate) const HOLD: &str = "number, account, amount, progress, parts, overage, spender, limits, status, settled, uncovered, \
                               transaction_number, balance, note, reference, meta, created_at, expires_at, updated_at, ended_at";
pub(crate) const LIMIT: &str = "number, subject_kind, subject, unit, period, most, began_at, spent, reserved, created_at, updated_at";
pub(crate) const USAGE: &str = "number, user_id, service, variant, quantity, status, meta, at";
pub(crate) const TOPUP: &str = "id, user_id, credits, price_minor, price_unit, status, payment_id, note, reference, \
                                meta, created_at, updated_at, paid_at";
pub(crate) const PAYMENT: &str = "id, provider, topup_id, user_id, amount_minor, amount_unit, livemode, item_name, \
                                  success_url, cancel_url, status, session, checkout_url, intent, failure_code, \
                                  failure_message, failed_at, created_at, updated_at, paid_at";
pub(crate) const EVENT: &str = "number, id, kind, created, livemode, api_version, object, status, reason, payment_id, unmatched, \
                                received_at, worked_at";
pub(crate) const JOB: &str =
    "kind, payment_id, run_at, dirty, attempts, lease_token, lease_until, last_error";
pub(crate) const API_KEY: &str = "id, role, user_id, hash, hint, label, created_at, revoked_at";

/// How the rows of a table are written.
pub(crate) struct Shape {
    pub(crate) table: &'static str,
    /// The columns in the order in which a row gives them. The first one is the key.
    pub(crate) columns: &'static str,
    /// Those that keep the value they were inserted with. They are left out of updates: SQLite rewrites the entry of an
    /// index whenever one of its columns is assigned, be it to the same value.
    pub(crate) fixed: &'static [&'static str],
}

pub(crate) const HOLDS: Shape = Shape {
    table: "hold",
    columns: HOLD,
    fixed: &[
        "account",
        "overage",
        "spender",
        "note",
        "reference",
        "meta",
        "created_at",
    ],
};
pub(crate) const TOPUPS: Shape = Shape {
    table: "topup",
    columns: TOPUP,
    fixed: &["user_id", "created_at"],
};
pub(crate) const PAYMENTS: Shape = Shape {
    table: "payment",
    columns: PAYMENT,
    fixed: &["provider", "topup_id", "user_id", "created_at"],
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
pub(crate) const API_KEYS: Shape = Shape {
    table: "api_key",
    columns: API_KEY,
    fixed: &["role", "user_id", "hash", "hint", "created_at"],
};

pub(crate) fn account_key(key: &AccountKey) -> Parameters {
    vec![
        key.kind.as_str().into(),
        key.owner.as_str().into(),
        key.unit.to_string().into(),
    ]
}

pub(crate) fn write_account(account: &Account) -> Parameters {
    let mut row = vec![account.number.into()];
    row.extend(account_key(&account.key));
    row.extend([account.balance, account.entries, account.head].map(Value::from));
    row.extend([account.opened_at.into(), account.updated_at.into()]);
    row
}

pub(crate) fn read_account_key(row: &Row, column: usize) -> Result<AccountKey, StoreError> {
    Ok(AccountKey {
        kind: row.parsed(column, AccountKind::parse)?,
        owner: row.text(column + 1)?.to_owned(),
        unit: row.parsed(column + 2, Unit::parse)?,
    })
}

pub(crate) fn read_account(row: &Row) -> Result<Account, StoreError> {
    Ok(Account {
        number: row.integer(0)?,
        key: read_account_key(row, 1)?,
        balance: row.integer(4)?,
        entries: row.integer(5)?,
        head: row.integer(6)?,
        opened_at: row.time(7)?,
        updated_at: row.time(8)?,
    })
}

pub(crate) fn write_posting(transaction: i64, posting: &PostingRow) -> Parameters {
    let side = |side: &Side| {
        let previous = side.chain.map(|link| link.previous);
        let balance = side.chain.map(|link| link.balance);
        [side.account.into(), previous.into(), balance.into()]
    };
    let mut row = vec![
        posting.number.into(),
        transaction.into(),
        posting.amount.into(),
    ];
    row.extend(side(&posting.from));
    row.extend(side(&posting.to));
    row.push(posting.grant.map(GrantId::number).into());
    row
}

pub(crate) fn write_transaction(number: i64, transaction: &Transaction) -> Parameters {
    let cause = transaction.cause.as_ref();
    let mut row: Parameters = vec![
        number.into(),
        transaction.reason.as_str().into(),
        cause.map(|cause| cause.kind.as_str()).into(),
        cause.map(|cause| cause.id.as_str()).into(),
        transaction.at.into(),
    ];
    row.extend(write_remark(&transaction.remark));
    row.push(transaction.tags.as_str().into());
    row
}

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

fn json<T: serde::Serialize>(value: &T) -> Result<Value, StoreError> {
    serde_json::to_string(value)
        .map(Value::Text)
        .map_err(|error| StoreError::corrupt(error.to_string()))
}

fn read_json<T: serde::de::DeserializeOwned>(row: &Row, column: usize) -> Result<T, StoreError> {
    row.parsed(column, |text| serde_json::from_str(text).ok())
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

/// The columns with the name of their table in front: `p.number, p.amount`.
pub(crate) fn columns_of(table: &str, columns: &str) -> String {
    let named = columns
        .split(',')
        .map(|column| format!("{table}.{}", column.trim()));
    named.collect::<Vec<_>>().join(", ")
}

/// A statement that inserts a row of these columns.
pub(crate) fn insert(table: &str, columns: &str) -> String {
    let count = columns.split(',').count();
    let places: Vec<String> = (1..=count).map(|place| format!("${place}")).collect();
    format!(
        "INSERT INTO {table} ({columns}) VALUES ({})",
        places.join(", ")
    )
}

pub(crate) fn read_posting(row: &Row) -> Result<PostingRow, StoreError> {
    let side = |column: usize| -> Result<Side, StoreError> {
        let chain = match (
            row.optional_integer(column + 1)?,
            row.optional_integer(column + 2)?,
        ) {
            (Some(previous), Some(balance)) => Some(Link { previous, balance }),
            _ => None,
        };
        Ok(Side {
            account: row.integer(column)?,
            chain,
        })
    };
    Ok(PostingRow {
        number: row.integer(0)?,
        amount: row.integer(2)?,
        from: side(3)?,
        to: side(6)?,
        grant: row.optional_integer(9)?.map(GrantId::of),
    })
}

pub(crate) fn write_remark(remark: &Remark) -> [Value; 3] {
    [remark.note.as_str(), &remark.reference, &remark.meta].map(Value::from)
}

pub(crate) fn read_remark(row: &Row, column: usize) -> Result<Remark, StoreError> {
    Ok(Remark {
        note: row.text(column)?.to_owned(),
        reference: row.text(column + 1)?.to_owned(),
        meta: row.text(column + 2)?.to_owned(),
    })
}

pub(crate) fn write_topup(topup: &Topup) -> Parameters {
    let mut row = vec![
        topup.id.as_str().into(),
        topup.user.as_str().into(),
        topup.credits.into(),
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
        price: read_amount(row, 3)?,
        status: row.parsed(5, TopupStatus::parse)?,
        payment: row.optional_parsed(6, PaymentId::parse)?,
        remark: read_remark(row, 7)?,
        created_at: row.time(10)?,
        updated_at: row.time(11)?,
        paid_at: row.optional_time(12)?,
    })
}

fn read_amount(row: &Row, column: usize) -> Result<Amount, StoreError> {
    Ok(Amount::new(
        row.integer(column)?,
        row.parsed(column + 1, Unit::parse)?,
    ))
}

pub(crate) fn write_payment(payment: &Payment) -> Parameters {
    let failure = payment.last_failure.as_ref();
    vec![
        payment.id.as_str().into(),
        payment.provider.as_str().into(),
        payment.topup.as_str().into(),
        payment.user.as_str().into(),
        payment.amount.minor.into(),
        payment.amount.unit.to_string().into(),
        payment.livemode.into(),
        payment.item_name.as_str().into(),
        payment.success_url.as_str().into(),
        payment.cancel_url.as_str().into(),
        payment.status.as_str().into(),
        payment.session.as_deref().into(),
        payment.checkout_url.as_deref().into(),
        payment.intent.as_deref().into(),
        failure.map(|failure| failure.code.as_str()).into(),
        failure.map(|failure| failure.message.as_str()).into(),
        failure.map(|failure| failure.at).into(),
        payment.created_at.into(),
        payment.updated_at.into(),
        payment.paid_at.into(),
    ]
}

pub(crate) fn read_payment(row: &Row) -> Result<Payment, StoreError> {
    let owned = |text: Option<&str>| text.map(str::to_owned);
    let last_failure = match (
        row.optional_text(14)?,
        row.optional_text(15)?,
        row.optional_time(16)?,
    ) {
        (Some(code), Some(message), Some(at)) => Some(Failure {
            code: code.to_owned(),
            message: message.to_owned(),
            at,
        }),
        _ => None,
    };
    Ok(Payment {
        id: row.parsed(0, PaymentId::parse)?,
        provider: row.text(1)?.to_owned(),
        topup: row.parsed(2, TopupId::parse)?,
        user: row.parsed(3, UserId::parse)?,
        amount: read_amount(row, 4)?,
        livemode: row.boolean(6)?,
        item_name: row.text(7)?.to_owned(),
        success_url: row.text(8)?.to_owned(),
        cancel_url: row.text(9)?.to_owned(),
        status: row.parsed(10, PaymentStatus::parse)?,
        session: owned(row.optional_text(11)?),
        checkout_url: owned(row.optional_text(12)?),
        intent: owned(row.optional_text(13)?),
        last_failure,
        created_at: row.time(17)?,
        updated_at: row.time(18)?,
        paid_at: row.optional_time(19)?,
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
        event.unmatched.into(),
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
        unmatched: row.boolean(10)?,
        received_at: row.time(11)?,
        worked_at: row.optional_time(12)?,
    })
}

pub(crate) fn job_key(key: &JobKey) -> Parameters {
    vec![key.kind.as_str().into(), key.payment.as_str().into()]
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
            payment: row.parsed(1, PaymentId::parse)?,
        },
        run_at: row.time(2)?,
        dirty: row.integer(3)?,
        attempts: row.integer(4)?,
        lease,
        last_error: row.text(7)?.to_owned(),
    })
}

const ADMIN: &str = "admin";
const USER: &str = "user";

pub(crate) fn write_api_key(key: &ApiKey) -> Parameters {
    let (role, user) = match &key.role {
        Role::Admin => (ADMIN, ""),
        Role::User(user) => (USER, user.as_str()),
    };
    vec![
        key.id.as_str().into(),
        role.into(),
        user.into(),
        key.hash.as_str().into(),
        key.hint.as_str().into(),
        key.label.as_str().into(),
        key.created_at.into(),
        key.revoked_at.into(),
    ]
}

pub(crate) fn read_api_key(row: &Row) -> Result<ApiKey, StoreError> {
    let role = match row.text(1)? {
        ADMIN => Role::Admin,
        _ => Role::User(row.parsed(2, UserId::parse)?),
    };
    Ok(ApiKey {
        id: row.parsed(0, ApiKeyId::parse)?,
        role,
        hash: row.text(3)?.to_owned(),
        hint: row.text(4)?.to_owned(),
        label: row.text(5)?.to_owned(),
        created_at: row.time(6)?,
        revoked_at: row.optional_time(7)?,
    })
}
