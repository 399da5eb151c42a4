//! Rows of the journal: accounts, transactions, postings.

use bursar_domain::account::{Account, AccountKey, AccountKind};
use bursar_domain::amount::Unit;
use bursar_domain::id::GrantId;
use bursar_domain::journal::{Link, PostingRow, Side, Transaction};

use super::write_remark;
use crate::connection::{Cells, Parameters, Row, StoreError, Value};

pub(crate) const ACCOUNT: &str =
    "number, kind, owner, unit, balance, entries, head, opened_at, updated_at";
pub(crate) const TRANSACTION: &str =
    "number, reason, cause_kind, cause_id, at, note, reference, meta, tags";
pub(crate) const POSTING: &str = "number, transaction_number, amount, from_account, from_previous, from_balance, \
                                  to_account, to_previous, to_balance, grant_number";

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
        owner: row.text(column + 1)?.into(),
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

pub(crate) fn read_posting(row: &dyn Cells) -> Result<PostingRow, StoreError> {
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
