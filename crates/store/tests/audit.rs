//! The audit finds what was tampered with: each test changes one row behind the program's back.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a helper of a test fails the test"
)]

mod books;

use std::path::PathBuf;

use bursar_domain::audit::{Difference, Report};
use bursar_domain::notice::Standing;
use bursar_store::StoreError;
use bursar_store::audit;
use bursar_store::query::{PageRequest, Reader, TopupFilter};
use tempfile::TempDir;

use books::{Books, folder};

/// Anna: 100 added, 30 taken, 500 bought; Bob: 10 added. One top-up of each is still open, one is expired.
fn tampered(sql: &str) -> (TempDir, PathBuf) {
    let folder = folder();
    let path = folder.path().join("books.db");
    let mut books = Books::at(&path);
    books.adjust("anna", 100);
    books.adjust("bob", 10);
    books.adjust("anna", -30);
    let paid = books.checkout("anna", 500);
    books.settle(&paid, 500, Standing::Paid);
    books.checkout("anna", 200);
    books.receive("evt_1", "cs_1");
    let expired = books.checkout("bob", 300);
    books.settle(&expired, 300, Standing::Expired);
    drop(books);
    let file = rusqlite::Connection::open(&path).unwrap();
    file.execute_batch("PRAGMA ignore_check_constraints = ON; PRAGMA foreign_keys = OFF")
        .unwrap();
    let before = file.total_changes();
    file.execute_batch(sql).unwrap();
    assert!(
        sql.is_empty() || file.total_changes() > before,
        "nothing was tampered with: {sql}"
    );
    (folder, path)
}

fn audit_after(sql: &str) -> Result<Report, StoreError> {
    let (_folder, path) = tampered(sql);
    audit::run(&mut Reader::open_sqlite(&path).unwrap())
}

#[test]
fn books_nobody_touched_are_right() {
    let report = audit_after("").unwrap();
    assert_eq!(report.differences, vec![]);
    assert_eq!((report.accounts, report.postings), (6, 5));
    assert!(
        report.sums.values().all(|sum| *sum == 0) && report.sums.len() == 2,
        "{:?}",
        report.sums
    );
    let wallets = report
        .balances
        .iter()
        .filter(|(key, _)| key.kind.keeps_balance());
    let wallets: Vec<(&str, i128)> = wallets
        .map(|(key, balance)| (key.owner.as_str(), *balance))
        .collect();
    assert_eq!(wallets, [("anna", 570), ("bob", 10)]);
}

type Kind = fn(&Difference) -> bool;

/// What is changed in the journal or at an account, and how the audit calls it.
const TAMPERINGS: &[(&str, Kind)] = &[
    (
        "UPDATE posting SET to_account = 99 WHERE number = 1",
        |found| {
            matches!(
                found,
                Difference::UnknownAccount {
                    posting: 1,
                    account: 99
                }
            )
        },
    ),
    (
        "UPDATE account SET unit = 'usd/2' WHERE kind = 'adjusted'",
        |found| matches!(found, Difference::MixedUnits { posting: 1 }),
    ),
    ("UPDATE posting SET amount = 0 WHERE number = 2", |found| {
        matches!(found, Difference::NotPositive { posting: 2 })
    }),
    (
        "UPDATE posting SET amount = -10 WHERE number = 2",
        |found| matches!(found, Difference::NotPositive { posting: 2 }),
    ),
    ("DELETE FROM posting WHERE number = 2", |found| {
        matches!(found, Difference::Gap { after: 1, found: 3 })
    }),
    // Before the first number nobody looks by chance.
    ("UPDATE posting SET number = -1 WHERE number = 5", |found| {
        matches!(found, Difference::Gap { found: -1, .. })
    }),
    ("UPDATE posting SET number = 12 WHERE number = 5", |found| {
        matches!(
            found,
            Difference::Gap {
                after: 4,
                found: 12
            }
        )
    }),
    (
        "UPDATE posting SET from_previous = 2 WHERE number = 3",
        |found| matches!(found, Difference::BrokenChain { posting: 3, .. }),
    ),
    (
        "UPDATE posting SET from_previous = NULL, from_balance = NULL WHERE number = 3",
        |found| matches!(found, Difference::BrokenChain { posting: 3, .. }),
    ),
    (
        "UPDATE posting SET to_balance = to_balance + 1 WHERE number = 1",
        |found| {
            matches!(
                found,
                Difference::WrongRunningBalance {
                    posting: 1,
                    stored: 101,
                    rebuilt: 100,
                    ..
                }
            )
        },
    ),
    ("UPDATE posting SET amount = 31 WHERE number = 3", |found| {
        matches!(
            found,
            Difference::WrongRunningBalance {
                posting: 3,
                stored: 70,
                rebuilt: 69,
                ..
            }
        )
    }),
    (
        "UPDATE account SET balance = balance + 1 WHERE owner = 'anna'",
        |found| {
            matches!(
                found,
                Difference::WrongBalance {
                    stored: 571,
                    rebuilt: 570,
                    ..
                }
            )
        },
    ),
    (
        "UPDATE account SET entries = entries + 1 WHERE owner = 'anna'",
        |found| {
            matches!(
                found,
                Difference::WrongEntryCount {
                    stored: 4,
                    rebuilt: 3,
                    ..
                }
            )
        },
    ),
    (
        "UPDATE account SET head = 1 WHERE owner = 'anna'",
        |found| {
            matches!(
                found,
                Difference::WrongHead {
                    stored: 1,
                    rebuilt: 4,
                    ..
                }
            )
        },
    ),
    (
        "UPDATE account SET held = 571 WHERE owner = 'anna'",
        |found| matches!(found, Difference::BelowZero { available: -1, .. }),
    ),
    (
        "UPDATE account SET held = 5 WHERE owner = 'anna'",
        |found| matches!(found, Difference::HeldForNothing { held: 5, .. }),
    ),
    ("DELETE FROM account WHERE owner = 'bob'", |found| {
        matches!(found, Difference::UnknownAccount { .. })
    }),
];

#[test]
fn every_kind_of_difference_is_found() {
    for (sql, is_expected) in TAMPERINGS {
        let report = audit_after(sql).unwrap();
        assert!(
            report.differences.iter().any(is_expected),
            "{sql}: {:?}",
            report.differences
        );
        assert!(
            report
                .differences
                .iter()
                .all(|found| !found.to_string().is_empty())
        );
    }
}

/// What is changed in rows that belong together, and how the audit's sentence begins.
const CONTRADICTIONS: &[(&str, &str)] = &[
    (
        "UPDATE topup SET status = 'paid' WHERE status = 'pending'",
        "a paid top-up without its posting",
    ),
    (
        "UPDATE topup SET status = 'expired' WHERE status = 'paid'",
        "a posting for a top-up that is not paid",
    ),
    (
        "DELETE FROM topup WHERE status = 'paid'",
        "a posting for a top-up that is not paid",
    ),
    (
        "UPDATE topup SET credits = 501 WHERE status = 'paid'",
        "a top-up credited with another amount",
    ),
    (
        "UPDATE topup SET user_id = 'bob' WHERE status = 'paid'",
        "a top-up credited to another wallet",
    ),
    (
        "UPDATE payment SET status = 'paid' WHERE status = 'pending'",
        "a paid payment without its posting",
    ),
    (
        "UPDATE topup SET status = 'expired' WHERE status = 'paid'",
        "a paid payment whose top-up is not paid",
    ),
    (
        "UPDATE payment SET status = 'expired' WHERE status = 'paid'",
        "a posting for a payment that is not paid",
    ),
    (
        "UPDATE payment SET amount_minor = 499 WHERE status = 'paid'",
        "a payment booked with another amount",
    ),
    (
        "DELETE FROM posting WHERE number = 5",
        "a transaction without postings",
    ),
    // Credited twice in one transaction: each posting has the right amount.
    (
        "INSERT INTO posting SELECT 6, transaction_number, amount, from_account, NULL, NULL, to_account, 4, 1070 \
             FROM posting WHERE number = 4; \
             UPDATE account SET balance = 1070, entries = 4, head = 6 WHERE owner = 'anna'",
        "a top-up credited with another amount",
    ),
    (
        "UPDATE posting SET from_account = (SELECT number FROM account WHERE kind = 'adjusted') WHERE number = 4",
        "a top-up whose credits do not come from those sold",
    ),
    (
        "UPDATE account SET owner = 'other' WHERE kind = 'clearing'",
        "a payment booked elsewhere",
    ),
    (
        "UPDATE account SET unit = 'eur/2' WHERE owner = 'stripe'",
        "a payment booked elsewhere",
    ),
    (
        "UPDATE payment SET user_id = 'bob' WHERE status = 'paid'",
        "a payment without its top-up, or of another user",
    ),
    (
        "UPDATE topup SET price_minor = 1 WHERE status = 'pending'",
        "a payment without its top-up, or of another user or price",
    ),
    (
        "DELETE FROM topup WHERE status = 'expired'",
        "a payment without its top-up",
    ),
    (
        "UPDATE ledger_transaction SET cause_kind = 'gift' WHERE number = 1",
        "a transaction of another kind than its cause",
    ),
    (
        "UPDATE ledger_transaction SET reason = 'sub' WHERE number = 1",
        "an adjustment that is none",
    ),
    (
        "UPDATE posting SET transaction_number = 77 WHERE number = 1",
        "a posting without its transaction",
    ),
    (
        "UPDATE stripe_event SET payment_id = 'pay_00000000000000000000000000'",
        "an event that is applied to a payment which does not exist",
    ),
];

#[test]
fn every_contradiction_between_rows_is_found() {
    for (sql, what) in CONTRADICTIONS {
        let report = audit_after(sql).unwrap();
        let is_told = |found: &Difference| matches!(found, Difference::Unexplained { what: told } if told.starts_with(what));
        assert!(
            report.differences.iter().any(is_told),
            "{sql}: {:?}",
            report.differences
        );
    }
}

/// The newest movement cut off together with its transaction leaves no gap; the wallet and the payment still know.
#[test]
fn a_cut_off_end_is_found() {
    let of_wallet =
        "DELETE FROM posting WHERE number >= 4; DELETE FROM ledger_transaction WHERE number >= 4";
    assert!(!audit_after(of_wallet).unwrap().differences.is_empty());
    let of_money =
        "DELETE FROM posting WHERE number = 5; DELETE FROM ledger_transaction WHERE number = 5";
    assert!(!audit_after(of_money).unwrap().differences.is_empty());
}

#[test]
fn what_cannot_be_read_is_an_error_and_no_guess() {
    for sql in [
        "UPDATE account SET kind = 'purse' WHERE owner = 'anna'",
        "UPDATE account SET unit = 'usd/3' WHERE kind = 'clearing'",
    ] {
        let audited = audit_after(sql);
        assert!(
            matches!(audited, Err(StoreError::Corrupt(_))),
            "{sql}: {audited:?}"
        );
    }
    let (_folder, path) = tampered("UPDATE topup SET status = 'lost' WHERE status = 'paid'");
    let mut reader = Reader::open_sqlite(&path).unwrap();
    let all = PageRequest {
        limit: 10,
        cursor: None,
    };
    let read = reader.topups(&TopupFilter::default(), &all);
    assert!(matches!(read, Err(StoreError::Corrupt(_))), "{read:?}");
}
