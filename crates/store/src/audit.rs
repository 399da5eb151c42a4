//! Feeds the domain's audit from the database, and looks for rows that contradict each other.

use bursar_domain::audit::{Audit, Difference, Report};

use crate::connection::StoreError;
use crate::query::Reader;
use crate::record;

/// Postings read at a time: bounds memory whatever the size of the journal.
const CHUNK: i64 = 10_000;

/// Rows that must not exist, each with the sentence that names one.
const CONTRADICTIONS: &[(&str, &str)] = &[
    (
        "a paid top-up without its posting",
        "SELECT id FROM topup WHERE status = 'paid' AND NOT EXISTS (SELECT 1 FROM ledger_transaction \
         WHERE cause_kind = 'topup' AND cause_id = topup.id)",
    ),
    (
        "a posting for a top-up that is not paid",
        "SELECT cause_id FROM ledger_transaction WHERE cause_kind = 'topup' AND NOT EXISTS (SELECT 1 FROM topup \
         WHERE topup.id = cause_id AND status = 'paid')",
    ),
    (
        "a top-up credited with another amount than it was for",
        "SELECT topup.id FROM topup JOIN ledger_transaction t ON t.cause_kind = 'topup' AND t.cause_id = topup.id \
         JOIN posting p ON p.transaction_number = t.number WHERE p.amount <> topup.credits",
    ),
    (
        "a top-up credited to another wallet than its user's",
        "SELECT topup.id FROM topup JOIN ledger_transaction t ON t.cause_kind = 'topup' AND t.cause_id = topup.id \
         JOIN posting p ON p.transaction_number = t.number JOIN account a ON a.number = p.to_account \
         WHERE a.kind <> 'wallet' OR a.owner <> topup.user_id",
    ),
    (
        "a paid payment without its posting",
        "SELECT id FROM payment WHERE status = 'paid' AND NOT EXISTS (SELECT 1 FROM ledger_transaction \
         WHERE cause_kind = 'payment' AND cause_id = payment.id)",
    ),
    (
        "a paid payment whose top-up is not paid",
        "SELECT payment.id FROM payment JOIN topup ON topup.id = payment.topup_id \
         WHERE payment.status = 'paid' AND topup.status <> 'paid'",
    ),
    (
        "a posting for a payment that is not paid",
        "SELECT cause_id FROM ledger_transaction WHERE cause_kind = 'payment' AND NOT EXISTS (SELECT 1 FROM payment \
         WHERE payment.id = cause_id AND status = 'paid')",
    ),
    (
        "a payment booked with another amount than it was for",
        "SELECT payment.id FROM payment JOIN ledger_transaction t ON t.cause_kind = 'payment' \
         AND t.cause_id = payment.id JOIN posting p ON p.transaction_number = t.number \
         WHERE p.amount <> payment.amount_minor",
    ),
    (
        "a transaction without postings",
        "SELECT t.id FROM ledger_transaction t WHERE NOT EXISTS (SELECT 1 FROM posting p \
         WHERE p.transaction_number = t.number)",
    ),
];

/// Recomputes every balance from the journal and compares. Reads one snapshot of the database.
pub fn run(reader: &mut Reader) -> Result<Report, StoreError> {
    let connection = reader.connection();
    connection.run_script("BEGIN")?;
    let report = read_books(connection);
    connection.run_script("ROLLBACK")?;
    report
}

fn read_books(connection: &mut dyn crate::connection::Connection) -> Result<Report, StoreError> {
    let accounts = connection.rows(&format!("SELECT {} FROM account", record::ACCOUNT), vec![])?;
    let accounts = accounts
        .iter()
        .map(record::read_account)
        .collect::<Result<Vec<_>, _>>()?;
    let mut audit = Audit::of(accounts);
    let postings = format!(
        "SELECT {} FROM posting WHERE number > $1 ORDER BY number LIMIT {CHUNK}",
        record::POSTING
    );
    let mut last = 0;
    loop {
        let rows = connection.rows(&postings, vec![last.into()])?;
        if rows.is_empty() {
            break;
        }
        for row in &rows {
            let posting = record::read_posting(row)?;
            audit.read(&posting);
            last = posting.number;
        }
    }
    for (what, sql) in CONTRADICTIONS {
        for row in connection.rows(sql, vec![])? {
            audit.add(Difference::Unexplained {
                what: format!("{what}: {}", row.text(0)?),
            });
        }
    }
    Ok(audit.finish())
}
