//! Remembered answers, put together again: of charges and ended holds only numbers are stored. The database is asked as often for
//! many answers as for one, because callers who repeat themselves do so all at once: after a failover, for example.

use std::collections::{BTreeMap, BTreeSet};

use bursar_domain::account::AccountKey;
use bursar_domain::charge::Charged;
use bursar_domain::command::{Answer, Reply, RequestHash};
use bursar_domain::grant::Part;
use bursar_domain::hold::Hold;
use bursar_domain::id::TransactionId;
use bursar_domain::journal::PostingRow;
use bursar_domain::time::Time;

use super::{ChargeAt, Stored};
use crate::connection::{Connection, Parameters, Row, StoreError};
use crate::{load, record};

/// So many postings of a charge are asked for at a time. Nearly all have one or two: one for each grant that paid.
const POSTINGS: i64 = 4;

/// The answers in these rows of `fingerprint, request_hash, outcome, at`.
pub(crate) fn given(
    connection: &mut dyn Connection,
    rows: &[Row],
) -> Result<Vec<Answer>, StoreError> {
    let read = |row: &Row| {
        let hash = row.bytes(1)?;
        let hash = hash
            .as_ref()
            .try_into()
            .map_err(|_| StoreError::corrupt("a request hash that has not 16 bytes"))?;
        let stored: Stored = row.parsed(2, |text| serde_json::from_str(text).ok())?;
        Ok((RequestHash(hash), stored, row.time(3)?))
    };
    let stored = rows.iter().map(read);
    let stored = stored.collect::<Result<Vec<_>, StoreError>>()?;
    let (mut charges, mut holds) = (BTreeMap::new(), BTreeSet::new());
    for (_, stored, _) in &stored {
        match stored {
            Stored::Charge(ChargeAt(transaction, first)) => {
                charges.insert(*transaction, *first);
            }
            Stored::Charges(all) => charges.extend(
                all.iter()
                    .filter_map(|charge| charge.as_ref().ok())
                    .map(|(ChargeAt(transaction, first), _)| (*transaction, *first)),
            ),
            Stored::Ended { hold } => drop(holds.insert(*hold)),
            Stored::Whole(_) => {}
        }
    }
    let charges = charged(connection, charges)?;
    let holds = ended(connection, holds)?;
    let charge = |ChargeAt(transaction, _)| found(&charges, transaction).cloned();
    let answers = stored.into_iter().map(|(request_hash, stored, at)| {
        let outcome = match stored {
            Stored::Charge(at) => Ok(Reply::Charged(charge(at)?)),
            Stored::Charges(all) => {
                let all = all.into_iter().map(|made| match made {
                    Ok((at, replayed)) => Ok(Ok((charge(at)?, replayed))),
                    Err(refusal) => Ok(Err(refusal)),
                });
                Ok(Reply::ChargedAll(all.collect::<Result<_, StoreError>>()?))
            }
            Stored::Ended { hold } => Ok(Reply::Hold(found(&holds, hold)?.clone())),
            Stored::Whole(outcome) => *outcome,
        };
        Ok(Answer {
            request_hash,
            outcome,
            at,
        })
    });
    answers.collect()
}

fn found<T>(rows: &BTreeMap<i64, T>, number: i64) -> Result<&T, StoreError> {
    rows.get(&number)
        .ok_or_else(|| StoreError::corrupt(format!("row {number} that an answer names is missing")))
}

/// The rows with these numbers, by their number.
fn by_number<T>(
    connection: &mut dyn Connection,
    sql: &str,
    numbers: impl IntoIterator<Item = i64>,
    read: impl Fn(&Row) -> Result<T, StoreError>,
) -> Result<BTreeMap<i64, T>, StoreError> {
    let numbers: Vec<i64> = numbers.into_iter().collect();
    if numbers.is_empty() {
        return Ok(BTreeMap::new());
    }
    let parameters: Vec<Parameters> = numbers
        .iter()
        .map(|number| vec![(*number).into()])
        .collect();
    let rows = connection.query(sql, &parameters)?;
    let rows = numbers.into_iter().zip(rows);
    let rows = rows.filter_map(|(number, rows)| Some((number, rows.into_iter().next()?)));
    rows.map(|(number, row)| Ok((number, read(&row)?)))
        .collect()
}

fn ended(
    connection: &mut dyn Connection,
    numbers: BTreeSet<i64>,
) -> Result<BTreeMap<i64, Hold>, StoreError> {
    let sql = load::select_holds("WHERE h.number = $1");
    by_number(connection, &sql, numbers, record::read_hold)
}

/// Charges as the journal has them: by the numbers of their transactions, each with the number of its first posting.
fn charged(
    connection: &mut dyn Connection,
    charges: BTreeMap<i64, i64>,
) -> Result<BTreeMap<i64, Charged>, StoreError> {
    let sql = "SELECT at FROM ledger_transaction WHERE number = $1";
    let times = by_number(connection, sql, charges.keys().copied(), |row| row.time(0))?;
    let postings = postings(connection, charges)?;
    let first_account = |postings: &Vec<PostingRow>| Some(postings.first()?.from.account);
    let accounts: BTreeSet<i64> = postings.values().filter_map(first_account).collect();
    let sql = format!("SELECT {} FROM account WHERE number = $1", record::ACCOUNT);
    let wallets = by_number(connection, &sql, accounts, |row| {
        record::read_account_key(row, 1)
    })?;
    let charges = postings.into_iter().map(|(transaction, postings)| {
        let at = *found(&times, transaction)?;
        Ok((
            transaction,
            of_postings(transaction, at, &postings, &wallets)?,
        ))
    });
    charges.collect()
}

fn postings(
    connection: &mut dyn Connection,
    charges: BTreeMap<i64, i64>,
) -> Result<BTreeMap<i64, Vec<PostingRow>>, StoreError> {
    let sql = format!(
        "SELECT {} FROM posting WHERE number >= $1 AND number < $2 AND transaction_number = $3 ORDER BY number",
        record::POSTING
    );
    let mut postings: BTreeMap<i64, Vec<PostingRow>> = BTreeMap::new();
    let mut open: Vec<(i64, i64)> = charges.into_iter().collect();
    while !open.is_empty() {
        let range = |(transaction, from): &(i64, i64)| {
            vec![
                (*from).into(),
                (from + POSTINGS).into(),
                (*transaction).into(),
            ]
        };
        let ranges: Vec<Parameters> = open.iter().map(range).collect();
        let answers = connection.query(&sql, &ranges)?;
        let mut longer = Vec::new();
        for ((transaction, from), rows) in open.into_iter().zip(answers) {
            let found = postings.entry(transaction).or_default();
            for row in &rows {
                found.push(record::read_posting(row)?);
            }
            if i64::try_from(rows.len()) == Ok(POSTINGS) {
                longer.push((transaction, from + POSTINGS));
            }
        }
        open = longer;
    }
    Ok(postings)
}

fn of_postings(
    transaction: i64,
    at: Time,
    postings: &[PostingRow],
    wallets: &BTreeMap<i64, AccountKey>,
) -> Result<Charged, StoreError> {
    let (Some(first), Some(last)) = (postings.first(), postings.last()) else {
        return Err(StoreError::corrupt("a charge without postings"));
    };
    let part = |posting: &PostingRow| {
        let grant = posting.grant?;
        let amount = posting.amount;
        Some(Part { grant, amount })
    };
    let amount: i64 = postings.iter().map(|posting| posting.amount).sum();
    let parts: Vec<Part> = postings.iter().filter_map(part).collect();
    Ok(Charged {
        id: TransactionId::of(transaction),
        wallet: found(wallets, first.from.account)?.clone(),
        amount,
        debt: amount - parts.iter().map(|part| part.amount).sum::<i64>(),
        parts,
        balance: last.from.chain.map_or(0, |link| link.balance),
        at,
    })
}
