//! Feeds the domain's audit from the database, and looks for rows that contradict each other.

mod cause;

use std::collections::HashMap;

use bursar_domain::account::AccountKey;
use bursar_domain::audit::{Audit, Books, Difference, Report};
use bursar_domain::grant::{Grant, Part};
use bursar_domain::id::GrantId;
use bursar_domain::journal::Reason;

use crate::connection::{Connection, Dialect, Row, StoreError};
use crate::node::BLOCK;
use crate::query::Reader;
use crate::seal::{self, ChainReport};
use crate::{load, record};

/// Postings read at a time: bounds memory whatever the size of the journal.
const CHUNK: i64 = 10_000;

/// Rows that must not exist, each with the sentence that names one.
const CONTRADICTIONS: &[(&str, &str)] = &[
    (
        "a paid top-up without its transaction",
        "SELECT id FROM topup WHERE status = 'paid' AND NOT EXISTS (SELECT 1 FROM ledger_transaction \
         WHERE cause_kind = 'topup' AND cause_id = topup.id)",
    ),
    (
        "a paid top-up without the transaction of its bonus",
        "SELECT id FROM topup WHERE status = 'paid' AND bonus > 0 AND NOT EXISTS (SELECT 1 FROM ledger_transaction \
         WHERE cause_kind = 'topup_bonus' AND cause_id = topup.id)",
    ),
    (
        "a coupon with other uses than it has users",
        "SELECT code FROM coupon WHERE uses <> (SELECT count(*) FROM perk WHERE kind = 'coupon' AND subject = coupon.code \
         AND status IN ('reserved', 'given'))",
    ),
    (
        "a redeem code with other uses than it has users",
        "SELECT id FROM redeem_code WHERE uses <> (SELECT count(*) FROM perk WHERE kind = 'code' \
         AND subject = redeem_code.id AND status = 'given')",
    ),
    (
        "a gift that was had without its transaction",
        "SELECT kind || ' ' || subject || ' ' || holder FROM perk WHERE amount > 0 AND status = 'given' \
         AND NOT EXISTS (SELECT 1 FROM ledger_transaction WHERE cause_kind = perk.kind \
         AND cause_id = CASE kind WHEN 'code' THEN subject || ':' || holder ELSE holder END)",
    ),
    (
        "a paid payment without its transaction",
        "SELECT id FROM payment WHERE status IN ('paid', 'partially_refunded', 'refunded', 'disputed') \
         AND NOT EXISTS (SELECT 1 FROM ledger_transaction WHERE cause_kind = 'payment' AND cause_id = payment.id)",
    ),
    (
        "a paid payment whose top-up is not paid",
        "SELECT payment.id FROM payment JOIN topup ON topup.id = payment.topup_id \
         WHERE payment.status IN ('paid', 'partially_refunded', 'refunded', 'disputed') AND topup.status <> 'paid'",
    ),
    (
        "a payment without its top-up, or of another user or price than its top-up",
        "SELECT payment.id FROM payment LEFT JOIN topup ON topup.id = payment.topup_id WHERE topup.id IS NULL \
         OR topup.user_id <> payment.user_id OR topup.price_minor <> payment.amount_minor \
         OR topup.price_unit <> payment.amount_unit",
    ),
    (
        "a hold that was settled for something without its transaction",
        "SELECT CAST(number AS TEXT) FROM hold WHERE settled <> 0 AND NOT EXISTS (SELECT 1 FROM ledger_transaction \
         WHERE cause_kind = 'hold' AND cause_id = CAST(hold.number AS TEXT))",
    ),
    (
        "a hold in an account that does not exist",
        "SELECT CAST(number AS TEXT) FROM hold WHERE NOT EXISTS (SELECT 1 FROM account WHERE account.number = hold.account)",
    ),
    (
        "a grant in an account that does not exist",
        "SELECT CAST(number AS TEXT) FROM credit_grant \
         WHERE NOT EXISTS (SELECT 1 FROM account WHERE account.number = credit_grant.account)",
    ),
    (
        "a grant with more left than was granted",
        "SELECT CAST(number AS TEXT) FROM credit_grant WHERE remaining > granted",
    ),
    (
        "a grant that has ended with something left, or that has nothing left and has not ended",
        "SELECT CAST(number AS TEXT) FROM credit_grant \
         WHERE (ended_at IS NOT NULL AND remaining <> 0) OR (ended_at IS NULL AND remaining = 0)",
    ),
    (
        "an event that is applied to a payment which does not exist",
        "SELECT id FROM stripe_event WHERE payment_id IS NOT NULL AND NOT EXISTS (SELECT 1 FROM payment \
         WHERE payment.id = payment_id)",
    ),
];

/// Recomputes every balance from the journal and compares. Reads one snapshot of the database.
pub fn run(reader: &mut Reader) -> Result<Report, StoreError> {
    in_snapshot(reader, read_books)
}

/// Recomputes the chain of seals. `expected` are seals that were published: number, and number with hash.
pub fn chain(reader: &mut Reader, expected: &[(i64, String)]) -> Result<ChainReport, StoreError> {
    in_snapshot(reader, |connection| seal::verify(connection, expected))
}

pub(crate) fn in_snapshot<T>(
    reader: &mut Reader,
    read: impl FnOnce(&mut dyn Connection) -> Result<T, StoreError>,
) -> Result<T, StoreError> {
    let connection = reader.connection();
    connection.begin_reading()?;
    let answer = read(connection);
    connection.rollback()?;
    answer
}

fn read_books(connection: &mut dyn Connection) -> Result<Report, StoreError> {
    let (books, contradictions) = books(connection)?;
    let mut audit = Audit::of(books);
    for contradiction in contradictions {
        audit.add(unexplained(contradiction));
    }
    let postings = format!(
        "SELECT {}, t.reason, t.cause_kind, t.cause_id FROM posting p \
         LEFT JOIN ledger_transaction t ON t.number = p.transaction_number \
         WHERE p.number > $1 ORDER BY p.number LIMIT {CHUNK}",
        record::columns_of("p", record::POSTING)
    );
    let (mut last, mut caused) = (i64::MIN, Vec::new());
    loop {
        let after = last;
        connection.visit(&postings, &vec![after.into()], &mut |row| {
            let posting = record::read_posting(row)?;
            last = posting.number;
            let transaction = row.integer(1)?;
            let Some(reason) = row.optional_text(10)? else {
                audit.add(unexplained(format!(
                    "a posting without its transaction: {last}"
                )));
                return Ok(());
            };
            let reason = Reason::parse(reason).ok_or_else(|| {
                StoreError::corrupt(format!("a transaction with the reason {reason:?}"))
            })?;
            audit.read(&posting, transaction, reason);
            match (row.optional_text(11)?, row.optional_text(12)?) {
                (Some(kind), Some(id)) => {
                    cause::collect(&mut caused, transaction, (reason, kind, id), posting);
                }
                (None, None) if cause::is_needed(reason) => audit.add(unexplained(format!(
                    "a transaction of a kind that has a cause, without one: {transaction}"
                ))),
                (None, None) => {}
                _ => audit.add(unexplained(format!(
                    "a transaction with half a cause: {transaction}"
                ))),
            }
            Ok(())
        })?;
        if last == after {
            break;
        }
        // The last one may go on in the next chunk.
        let open = caused.pop();
        for caused in caused.drain(..) {
            caused.check(connection, &mut audit)?;
        }
        caused.extend(open);
    }
    for caused in caused {
        caused.check(connection, &mut audit)?;
    }
    for (what, sql) in CONTRADICTIONS {
        for row in connection.rows(sql, vec![])? {
            audit.add(unexplained(format!("{what}: {}", row.text(0)?)));
        }
    }
    let oldest = "SELECT coalesce(min(number), 1) FROM ledger_transaction";
    match number(connection, oldest)? {
        1 => {}
        // The first node of several need not have begun.
        oldest if connection.dialect() == Dialect::Postgres && oldest % BLOCK == 1 => {}
        oldest => audit.add(unexplained(format!("the oldest transaction is {oldest}"))),
    }
    let transactions = "SELECT coalesce(max(number), 0) FROM ledger_transaction";
    let transactions = number(connection, transactions)?;
    let mut report = audit.finish();
    if transactions != report.newest_transaction {
        report.differences.push(unexplained(format!(
            "the newest transaction is {transactions}, and the newest posting belongs to {}",
            report.newest_transaction
        )));
    }
    Ok(report)
}

const fn unexplained(what: String) -> Difference {
    Difference::Unexplained { what }
}

/// The rows to compare with the journal, and what contradicts itself among them.
fn books(connection: &mut dyn Connection) -> Result<(Books, Vec<String>), StoreError> {
    let accounts = format!("SELECT {} FROM account", record::ACCOUNT);
    let accounts = read_all(connection, &accounts, record::read_account)?;
    let grants = read_all(connection, &load::select_grants(""), load::read_grant)?;
    let (reserved, contradictions) = reserved(connection, &grants)?;
    let newest = number(connection, "SELECT coalesce(max(number), 0) FROM posting")?;
    let (lag, block) = match connection.dialect() {
        Dialect::Sqlite => (newest.saturating_sub(seal::newest(connection)?.1), None),
        Dialect::Postgres => (0, Some(BLOCK)),
    };
    let books = Books {
        accounts,
        grants,
        reserved,
        newest_posting: newest,
        lag,
        block,
    };
    Ok((books, contradictions))
}

/// Reads rows one after the other: as they come they take several times the memory of what is read.
fn read_all<T>(
    connection: &mut dyn Connection,
    sql: &str,
    read: impl Fn(&Row) -> Result<T, StoreError>,
) -> Result<Vec<T>, StoreError> {
    let mut all = Vec::new();
    connection.visit(sql, &vec![], &mut |row| {
        all.push(read(&row.copied()?)?);
        Ok(())
    })?;
    Ok(all)
}

/// What open holds reserve, and those that reserve what they must not.
fn reserved(
    connection: &mut dyn Connection,
    grants: &[Grant],
) -> Result<(Vec<Part>, Vec<String>), StoreError> {
    let (mut reserved, mut contradictions) = (Vec::new(), Vec::new());
    let open = load::select_holds("WHERE h.status = 'open'");
    for hold in read_all(connection, &open, record::read_hold)? {
        let parts = hold.parts.iter().map(|part| i128::from(part.amount));
        if parts.sum::<i128>() != i128::from(hold.amount) {
            contradictions.push(format!(
                "an open hold that reserves another amount than it is for: {}",
                hold.id
            ));
        }
        reserved.extend(hold.parts.iter().map(|part| (hold.wallet.clone(), *part)));
    }
    let mut owners: HashMap<GrantId, Option<&AccountKey>> = reserved
        .iter()
        .map(|(_, part)| (part.grant, None))
        .collect();
    for grant in grants {
        owners
            .entry(grant.id)
            .and_modify(|owner| *owner = Some(&grant.wallet));
    }
    for (wallet, part) in &reserved {
        let owner = owners.get(&part.grant).copied().flatten();
        if owner.is_some_and(|owner| owner != wallet) {
            contradictions.push(format!(
                "an open hold that reserves some of another wallet's grant: {}",
                part.grant
            ));
        }
    }
    let reserved = reserved.into_iter().map(|(_, part)| part).collect();
    Ok((reserved, contradictions))
}

fn number(connection: &mut dyn Connection, sql: &str) -> Result<i64, StoreError> {
    let rows = connection.rows(sql, vec![])?;
    rows.first().map_or(Ok(0), |row| row.integer(0))
}
