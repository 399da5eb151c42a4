//! How each kind of row is written and read: the columns of its table, in order.

mod bonus;
mod card;
mod journal;
mod purchase;
mod returns;
mod wallet;

use bursar_domain::amount::{Amount, Unit};
use bursar_domain::api_key::{ApiKey, Role};
use bursar_domain::id::{ApiKeyId, UserId};
use bursar_domain::journal::Remark;

use crate::connection::{Parameters, Row, StoreError, Value};

pub(crate) use bonus::{
    CODE, CODES, COUPON, COUPONS, MEMBER, MEMBERS, PERK, perk_key, read_code, read_coupon,
    read_member, read_perk, write_code, write_coupon, write_member, write_perk,
};
pub(crate) use card::{
    AUTO_TOPUP, CUSTOMER, customer_key, read_auto_topup, read_customer, write_auto_topup,
    write_customer,
};
pub(crate) use journal::{
    ACCOUNT, POSTING, TRANSACTION, account_key, read_account, read_account_key, read_posting,
    write_account, write_posting, write_transaction,
};
pub(crate) use purchase::{
    EVENT, EVENTS, JOB, PAYMENT, PAYMENTS, TOPUP, TOPUPS, job_key, read_event, read_job,
    read_payment, read_topup, write_event, write_job, write_payment, write_topup,
};
pub(crate) use returns::{
    AWARD, DISPUTE, REFUND, read_award, read_dispute, read_refund, write_award, write_dispute,
    write_refund,
};
pub(crate) use wallet::{
    GRANT, HOLD, HOLDS, LIMIT, USAGE, read_announcement, read_grant, read_hold, read_limit,
    read_reservation, read_subject, read_usage, write_announcement, write_grant, write_hold,
    write_limit, write_usage,
};

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

pub(crate) const API_KEYS: Shape = Shape {
    table: "api_key",
    columns: API_KEY,
    fixed: &["role", "user_id", "hash", "hint", "created_at"],
};

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

/// A statement that inserts a row of these columns, or rewrites the one with the same `key`.
pub(crate) fn upsert(table: &str, columns: &str, key: &str) -> String {
    let keys: Vec<&str> = key.split(',').map(str::trim).collect();
    let rest = columns.split(',').map(str::trim);
    let sets: Vec<String> = rest
        .filter(|column| !keys.contains(column))
        .map(|column| format!("{column} = excluded.{column}"))
        .collect();
    format!(
        "{} ON CONFLICT ({key}) DO UPDATE SET {}",
        insert(table, columns),
        sets.join(", ")
    )
}

fn json<T: serde::Serialize>(value: &T) -> Result<Value, StoreError> {
    serde_json::to_string(value)
        .map(Value::Text)
        .map_err(|error| StoreError::corrupt(error.to_string()))
}

fn read_json<T: serde::de::DeserializeOwned>(row: &Row, column: usize) -> Result<T, StoreError> {
    row.parsed(column, |text| serde_json::from_str(text).ok())
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

fn read_amount(row: &Row, column: usize) -> Result<Amount, StoreError> {
    Ok(Amount::new(
        row.integer(column)?,
        row.parsed(column + 1, Unit::parse)?,
    ))
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
