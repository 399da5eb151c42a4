//! A JSON object a line, with nothing left out. Amounts are smallest steps, as Bursar counts them.

use std::io::{self, Write};

use bursar_domain::account::AccountKey;
use bursar_domain::amount::Unit;
use bursar_store::query::{Recorded, RecordedPosting};
use serde::Serialize;

use super::Paper;
use super::books::Standing;

pub(super) struct Jsonl;

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Line<'a> {
    Transaction(Transaction<'a>),
    Opening(Balance<'a>),
    Balance(Balance<'a>),
}

#[derive(Serialize)]
struct Transaction<'a> {
    transaction_id: String,
    number: i64,
    reason: &'static str,
    cause: Option<Cause<'a>>,
    at: String,
    note: &'a str,
    r#ref: &'a str,
    /// As it is kept: text, over which the seals go.
    meta: &'a str,
    tags: &'a str,
    postings: Vec<Posting<'a>>,
}

#[derive(Serialize)]
struct Cause<'a> {
    kind: &'a str,
    id: &'a str,
}

#[derive(Serialize)]
struct Posting<'a> {
    number: i64,
    from: Account<'a>,
    to: Account<'a>,
    amount: i64,
    unit: &'static str,
    grant_id: Option<String>,
}

#[derive(Serialize)]
struct Account<'a> {
    kind: &'static str,
    owner: &'a str,
    /// Only of wallets: others keep none.
    #[serde(skip_serializing_if = "Option::is_none")]
    balance_after: Option<i64>,
}

#[derive(Serialize)]
struct Balance<'a> {
    kind: &'static str,
    owner: &'a str,
    unit: &'static str,
    decimals: u8,
    balance: i128,
}

impl<'a> Balance<'a> {
    fn of(account: &'a Standing) -> Self {
        let AccountKey { kind, owner, unit } = &account.key;
        Self {
            kind: kind.as_str(),
            owner: owner.as_str(),
            unit: unit.code(),
            decimals: unit.decimals(),
            balance: account.own,
        }
    }
}

impl<'a> Posting<'a> {
    fn of(posting: &'a RecordedPosting) -> Self {
        let account = |key: &'a AccountKey, side: &bursar_domain::journal::Side| Account {
            kind: key.kind.as_str(),
            owner: key.owner.as_str(),
            balance_after: side.chain.map(|link| link.balance),
        };
        Self {
            number: posting.row.number,
            from: account(&posting.from, &posting.row.from),
            to: account(&posting.to, &posting.row.to),
            amount: posting.row.amount,
            unit: posting.from.unit.code(),
            grant_id: posting.row.grant.map(|grant| grant.to_string()),
        }
    }
}

fn line(mut out: &mut dyn Write, line: &Line<'_>) -> io::Result<()> {
    serde_json::to_writer(&mut out, line)?;
    out.write_all(b"\n")
}

impl Paper for Jsonl {
    fn begin(&self, _: &mut dyn Write, _: &[Unit]) -> io::Result<()> {
        Ok(())
    }

    fn account(&self, _: &mut dyn Write, _: &str, _: &Standing) -> io::Result<()> {
        Ok(())
    }

    fn opening(&self, out: &mut dyn Write, _: &str, account: &Standing) -> io::Result<()> {
        line(out, &Line::Opening(Balance::of(account)))
    }

    fn transaction(&self, out: &mut dyn Write, _: &str, recorded: &Recorded) -> io::Result<()> {
        let cause = recorded.cause.as_ref();
        let transaction = Transaction {
            transaction_id: recorded.id.to_string(),
            number: recorded.id.number(),
            reason: recorded.reason.as_str(),
            cause: cause.map(|cause| Cause {
                kind: &cause.kind,
                id: &cause.id,
            }),
            at: recorded.at.to_string(),
            note: &recorded.remark.note,
            r#ref: &recorded.remark.reference,
            meta: &recorded.remark.meta,
            tags: &recorded.tags,
            postings: recorded.postings.iter().map(Posting::of).collect(),
        };
        line(out, &Line::Transaction(transaction))
    }

    fn balance(&self, out: &mut dyn Write, _: (&str, &str), account: &Standing) -> io::Result<()> {
        line(out, &Line::Balance(Balance::of(account)))
    }

    fn end(&self, _: &mut dyn Write, _: (&str, &str), _: &[Unit], _: bool) -> io::Result<()> {
        Ok(())
    }
}
