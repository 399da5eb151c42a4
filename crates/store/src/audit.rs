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
         JOIN posting p ON p.transaction_number = t.number GROUP BY topup.id, topup.credits \
         HAVING sum(p.amount) <> topup.credits",
    ),
    (
        "a top-up whose credits do not come from those sold",
        "SELECT topup.id FROM topup JOIN ledger_transaction t ON t.cause_kind = 'topup' AND t.cause_id = topup.id \
         JOIN posting p ON p.transaction_number = t.number JOIN account a ON a.number = p.from_account \
         WHERE a.kind <> 'sold'",
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
         GROUP BY payment.id, payment.amount_minor HAVING sum(p.amount) <> payment.amount_minor",
    ),
    (
        "a payment booked elsewhere than from what was received to its provider, in its currency",
        "SELECT payment.id FROM payment JOIN ledger_transaction t ON t.cause_kind = 'payment' \
         AND t.cause_id = payment.id JOIN posting p ON p.transaction_number = t.number \
         JOIN account f ON f.number = p.from_account JOIN account a ON a.number = p.to_account \
         WHERE f.kind <> 'received' OR a.kind <> 'clearing' OR a.owner <> payment.provider \
         OR a.unit <> payment.amount_unit",
    ),
    (
        "a payment without its top-up, or of another user or price than its top-up",
        "SELECT payment.id FROM payment LEFT JOIN topup ON topup.id = payment.topup_id WHERE topup.id IS NULL \
         OR topup.user_id <> payment.user_id OR topup.price_minor <> payment.amount_minor \
         OR topup.price_unit <> payment.amount_unit",
    ),
    (
        "a transaction of another kind than its cause",
        "SELECT id FROM ledger_transaction WHERE cause_kind <> CASE reason WHEN 'add' THEN 'adjustment' \
         WHEN 'sub' THEN 'adjustment' ELSE reason END",
    ),
    (
        "an adjustment that is none between the house and a wallet",
        "SELECT t.id FROM ledger_transaction t JOIN posting p ON p.transaction_number = t.number \
         JOIN account f ON f.number = p.from_account JOIN account a ON a.number = p.to_account \
         WHERE t.cause_kind = 'adjustment' AND CASE t.reason WHEN 'add' THEN 'adjusted wallet' \
         ELSE 'wallet adjusted' END <> f.kind || ' ' || a.kind",
    ),
    (
        "a posting without its transaction",
        "SELECT CAST(p.number AS TEXT) FROM posting p WHERE NOT EXISTS (SELECT 1 FROM ledger_transaction t \
         WHERE t.number = p.transaction_number)",
    ),
    (
        "an event that is applied to a payment which does not exist",
        "SELECT id FROM stripe_event WHERE payment_id IS NOT NULL AND NOT EXISTS (SELECT 1 FROM payment \
         WHERE payment.id = payment_id)",
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
    let mut last = i64::MIN;
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
