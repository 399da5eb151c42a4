//! Feeds the domain's audit from the database, and looks for rows that contradict each other.

use bursar_domain::audit::{Audit, Books, Difference, Report};
use bursar_domain::journal::{PostingRow, Reason};

use crate::connection::{Cells, Connection, Row, StoreError, Value};
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
        "a paid payment without its transaction",
        "SELECT id FROM payment WHERE status = 'paid' AND NOT EXISTS (SELECT 1 FROM ledger_transaction \
         WHERE cause_kind = 'payment' AND cause_id = payment.id)",
    ),
    (
        "a paid payment whose top-up is not paid",
        "SELECT payment.id FROM payment JOIN topup ON topup.id = payment.topup_id \
         WHERE payment.status = 'paid' AND topup.status <> 'paid'",
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

fn in_snapshot<T>(
    reader: &mut Reader,
    read: impl FnOnce(&mut dyn Connection) -> Result<T, StoreError>,
) -> Result<T, StoreError> {
    let connection = reader.connection();
    connection.run_script("BEGIN")?;
    let answer = read(connection);
    connection.run_script("ROLLBACK")?;
    answer
}

fn read_books(connection: &mut dyn Connection) -> Result<Report, StoreError> {
    let mut audit = Audit::of(books(connection)?);
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
            match row.optional_text(10)? {
                Some(reason) => {
                    let reason = Reason::parse(reason).ok_or_else(|| {
                        StoreError::corrupt(format!("a transaction with the reason {reason:?}"))
                    })?;
                    audit.read(&posting, transaction, reason);
                }
                None => audit.add(unexplained(format!(
                    "a posting without its transaction: {last}"
                ))),
            }
            collect(&mut caused, row, transaction, posting)
        })?;
        if last == after {
            break;
        }
        // The last one may go on in the next chunk.
        let open = caused.pop();
        for caused in caused.drain(..) {
            check_cause(connection, &mut audit, &caused)?;
        }
        caused.extend(open);
    }
    for caused in caused {
        check_cause(connection, &mut audit, &caused)?;
    }
    for (what, sql) in CONTRADICTIONS {
        for row in connection.rows(sql, vec![])? {
            audit.add(unexplained(format!("{what}: {}", row.text(0)?)));
        }
    }
    let transactions = number(
        connection,
        "SELECT coalesce(max(number), 0) FROM ledger_transaction",
    )?;
    let mut report = audit.finish();
    if transactions != report.transactions {
        report.differences.push(unexplained(format!(
            "the newest transaction is {transactions}, and the newest posting belongs to {}",
            report.transactions
        )));
    }
    Ok(report)
}

const fn unexplained(what: String) -> Difference {
    Difference::Unexplained { what }
}

fn books(connection: &mut dyn Connection) -> Result<Books, StoreError> {
    let accounts = connection.rows(&format!("SELECT {} FROM account", record::ACCOUNT), vec![])?;
    let grants = connection.rows(&load::select_grants(""), vec![])?;
    let holds = "SELECT number, parts FROM hold WHERE status = 'open'";
    let mut reserved = Vec::new();
    for row in connection.rows(holds, vec![])? {
        reserved.extend(record::read_reservation(&row)?.parts);
    }
    let newest = number(connection, "SELECT coalesce(max(number), 0) FROM posting")?;
    let rows_to = seal::newest(connection)?.1;
    Ok(Books {
        accounts: accounts
            .iter()
            .map(record::read_account)
            .collect::<Result<_, _>>()?,
        grants: grants
            .iter()
            .map(load::read_grant)
            .collect::<Result<_, _>>()?,
        reserved,
        newest_posting: newest,
        lag: newest - rows_to,
    })
}

fn number(connection: &mut dyn Connection, sql: &str) -> Result<i64, StoreError> {
    let rows = connection.rows(sql, vec![])?;
    rows.first().map_or(Ok(0), |row| row.integer(0))
}

/// A transaction with a cause, and its postings.
struct Caused {
    transaction: i64,
    reason: String,
    kind: String,
    id: String,
    postings: Vec<PostingRow>,
}

fn collect(
    caused: &mut Vec<Caused>,
    row: &dyn Cells,
    transaction: i64,
    posting: PostingRow,
) -> Result<(), StoreError> {
    let (Some(kind), Some(id)) = (row.optional_text(11)?, row.optional_text(12)?) else {
        return Ok(());
    };
    match caused.last_mut() {
        Some(last) if last.transaction == transaction => last.postings.push(posting),
        _ => caused.push(Caused {
            transaction,
            reason: row.optional_text(10)?.unwrap_or_default().to_owned(),
            kind: kind.to_owned(),
            id: id.to_owned(),
            postings: vec![posting],
        }),
    }
    Ok(())
}

/// What the cause's own row says must have been booked: how much, and from which account to which.
struct Due {
    amount: i64,
    from: Option<i64>,
    to: Option<i64>,
}

/// Compares a transaction with the row that caused it.
fn check_cause(
    connection: &mut dyn Connection,
    audit: &mut Audit,
    caused: &Caused,
) -> Result<(), StoreError> {
    let (kind, id) = (caused.kind.as_str(), caused.id.as_str());
    let mut complain = |what: &str| audit.add(unexplained(format!("{what}: {id}")));
    let (reason, due) = match kind {
        "topup" => ("topup", due(connection, TOPUP, id)?),
        "payment" => ("payment", due(connection, PAYMENT, id)?),
        "hold" => ("settle", due(connection, HOLD, id.parse().unwrap_or(0))?),
        "exchange_from" | "exchange_to" => {
            let partner = if kind == "exchange_to" {
                "exchange_from"
            } else {
                "exchange_to"
            };
            let sql =
                "SELECT number FROM ledger_transaction WHERE cause_kind = $1 AND cause_id = $2";
            if connection
                .rows(sql, vec![partner.into(), id.into()])?
                .is_empty()
            {
                complain("half of an exchange is missing");
            }
            ("exchange", None)
        }
        other => {
            complain(&format!("a transaction with the unknown cause {other}"));
            return Ok(());
        }
    };
    if caused.reason != reason {
        complain("a transaction of another kind than its cause");
    }
    if kind.starts_with("exchange") {
        return Ok(());
    }
    let Some(due) = due else {
        complain(&format!(
            "a transaction for a {kind} that is not paid, or not there"
        ));
        return Ok(());
    };
    let booked: i64 = caused.postings.iter().map(|posting| posting.amount).sum();
    if booked != due.amount {
        complain(&format!(
            "a {kind} booked with another amount than it was for"
        ));
    }
    let is_elsewhere = |posting: &PostingRow| {
        due.from.is_some_and(|from| posting.from.account != from)
            || due.to.is_some_and(|to| posting.to.account != to)
    };
    if caused.postings.iter().any(is_elsewhere) {
        complain(&format!("a {kind} booked in another account than its own"));
    }
    Ok(())
}

// Columns: amount, account it comes from, account it goes to. No row: nothing may be booked.
const TOPUP: &str = "SELECT credits, 0, (SELECT number FROM account WHERE kind = 'wallet' AND owner = user_id \
                     AND unit = 'credit/0') FROM topup WHERE id = $1 AND status = 'paid'";
const PAYMENT: &str = "SELECT amount_minor, (SELECT number FROM account WHERE kind = 'received' AND owner = provider \
                       AND unit = amount_unit), (SELECT number FROM account WHERE kind = 'clearing' AND owner = provider \
                       AND unit = amount_unit) FROM payment WHERE id = $1 AND status = 'paid'";
const HOLD: &str = "SELECT settled, account, 0 FROM hold WHERE number = $1 AND settled > 0";

fn due(
    connection: &mut dyn Connection,
    sql: &str,
    id: impl Into<Value>,
) -> Result<Option<Due>, StoreError> {
    let rows = connection.rows(sql, vec![id.into()])?;
    let account = |row: &Row, column| -> Result<Option<i64>, StoreError> {
        // 0 stands for any account; none where there should be one is an account nobody has.
        Ok(match row.optional_integer(column)? {
            Some(0) => None,
            other => Some(other.unwrap_or(-1)),
        })
    };
    rows.first()
        .map(|row| {
            Ok(Due {
                amount: row.integer(0)?,
                from: account(row, 1)?,
                to: account(row, 2)?,
            })
        })
        .transpose()
}
