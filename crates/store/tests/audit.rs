//! The audit finds what was tampered with: each test changes one row behind the program's back.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a helper of a test fails the test"
)]

mod books;
mod server;
mod tampered;

use bursar_domain::audit::Difference;
use bursar_domain::id::GrantId;
use bursar_domain::journal::Reason;
use bursar_store::query::{PageRequest, Reader, TopupFilter};
use bursar_store::{Database, StoreError, audit};

use tampered::{audit_after, audits_after, tamper, tampered, tampered_on_server};

#[test]
fn books_nobody_touched_are_right() {
    let report = audit_after("").unwrap();
    assert_eq!(report.differences, vec![]);
    assert_eq!(
        (report.accounts, report.postings, report.transactions),
        (10, 8, 8)
    );
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
    assert_eq!(wallets, [("anna", 540), ("anna", 200), ("bob", 10)]);
}

type Kind = fn(&Difference) -> bool;

/// What is changed in the journal, and how the audit calls it.
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
                after: 8,
                found: 12
            }
        )
    }),
    (
        "UPDATE posting SET transaction_number = 3 WHERE number = 2",
        |found| {
            matches!(
                found,
                Difference::TransactionGap {
                    posting: 2,
                    after: 1,
                    found: 3
                }
            )
        },
    ),
    (
        "UPDATE posting SET transaction_number = 1 WHERE number = 3",
        |found| {
            matches!(
                found,
                Difference::TransactionGap {
                    posting: 3,
                    after: 2,
                    found: 1
                }
            )
        },
    ),
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
        "UPDATE posting SET from_account = (SELECT number FROM account WHERE kind = 'sold') WHERE number = 1",
        |found| {
            matches!(
                found,
                Difference::WrongWay {
                    posting: 1,
                    reason: Reason::Add,
                    ..
                }
            )
        },
    ),
    (
        "UPDATE posting SET from_account = (SELECT number FROM account WHERE kind = 'adjusted') WHERE number = 4",
        |found| {
            matches!(
                found,
                Difference::WrongWay {
                    posting: 4,
                    reason: Reason::Topup,
                    ..
                }
            )
        },
    ),
    (
        "UPDATE ledger_transaction SET reason = 'sub' WHERE number = 1",
        |found| {
            matches!(
                found,
                Difference::WrongWay {
                    posting: 1,
                    reason: Reason::Sub,
                    ..
                }
            )
        },
    ),
    // Bob's grant, and one that nobody made.
    (
        "UPDATE posting SET grant_number = 2 WHERE number = 3",
        |found| matches!(found, Difference::ForeignGrant { posting: 3, .. }),
    ),
    (
        "UPDATE posting SET grant_number = 77 WHERE number = 2",
        |found| matches!(found, Difference::ForeignGrant { posting: 2, .. }),
    ),
    // Spent before it was there.
    (
        "UPDATE posting SET grant_number = 3 WHERE number = 3",
        |found| matches!(found, Difference::BelowZero { grant, left: -30 } if *grant == GrantId::of(3)),
    ),
    (
        "UPDATE posting SET grant_number = NULL WHERE number = 2",
        |found| matches!(found, Difference::Overpaid { paid: 10, .. }),
    ),
];

/// What is changed in rows that the journal must account for, and how the audit calls it.
const TAMPERED_ROWS: &[(&str, Kind)] = &[
    (
        "UPDATE account SET balance = balance + 1 WHERE owner = 'anna' AND unit = 'credit/0'",
        |found| {
            matches!(
                found,
                Difference::WrongBalance {
                    stored: 541,
                    rebuilt: 540,
                    ..
                }
            )
        },
    ),
    (
        "UPDATE account SET entries = entries + 1 WHERE owner = 'anna' AND unit = 'credit/0'",
        |found| {
            matches!(
                found,
                Difference::WrongEntryCount {
                    stored: 6,
                    rebuilt: 5,
                    ..
                }
            )
        },
    ),
    // A number that no posting of the wallet has, and one of another wallet.
    (
        "UPDATE account SET head = 99 WHERE owner = 'bob'",
        |found| {
            matches!(
                found,
                Difference::WrongHead {
                    stored: 99,
                    rebuilt: 2,
                    ..
                }
            )
        },
    ),
    ("UPDATE account SET head = 3 WHERE owner = 'bob'", |found| {
        matches!(
            found,
            Difference::WrongHead {
                stored: 3,
                rebuilt: 2,
                ..
            }
        )
    }),
    // A row as it once was is right in itself; but everything up to the newest posting has been written.
    (
        "UPDATE account SET balance = 100, entries = 1, head = 1 WHERE owner = 'anna' AND unit = 'credit/0'",
        |found| {
            matches!(
                found,
                Difference::RowTooOld {
                    head: 1,
                    posting: 3,
                    ..
                }
            )
        },
    ),
    ("DELETE FROM account WHERE owner = 'bob'", |found| {
        matches!(found, Difference::UnknownAccount { posting: 2, .. })
    }),
    (
        "UPDATE credit_grant SET remaining = remaining + 1 WHERE number = 1",
        |found| matches!(found, Difference::WrongRemaining { grant, stored: 41, rebuilt: 40 } if *grant == GrantId::of(1)),
    ),
    // Both grants together are right.
    (
        "UPDATE credit_grant SET remaining = remaining + 5 WHERE number = 1; \
         UPDATE credit_grant SET remaining = remaining - 5 WHERE number = 3",
        |found| matches!(found, Difference::WrongRemaining { grant, stored: 495, rebuilt: 500 } if *grant == GrantId::of(3)),
    ),
    (
        "UPDATE credit_grant SET account = (SELECT number FROM account WHERE owner = 'bob') WHERE number = 1",
        |found| matches!(found, Difference::ForeignGrant { posting: 1, .. }),
    ),
    ("DELETE FROM credit_grant WHERE number = 2", |found| {
        matches!(found, Difference::ForeignGrant { posting: 2, .. })
    }),
    (
        "UPDATE hold SET amount = 541, parts = '[{\"grant\":1,\"amount\":541}]' WHERE status = 'open'",
        |found| matches!(found, Difference::HeldTwice { grant, held: 541, left: 40 } if *grant == GrantId::of(1)),
    ),
    // Two holds that reserve the same: each by itself is within what is there.
    (
        "INSERT INTO hold SELECT 3, account, amount, progress, parts, overage, spender, limits, status, settled, uncovered, \
         transaction_number, balance, note, reference, meta, created_at, expires_at, updated_at, ended_at FROM hold WHERE number = 2",
        |found| {
            matches!(
                found,
                Difference::HeldTwice {
                    held: 50,
                    left: 40,
                    ..
                }
            )
        },
    ),
];

#[test]
fn every_kind_of_difference_is_found() {
    for (sql, is_expected) in TAMPERINGS.iter().chain(TAMPERED_ROWS) {
        for audited in audits_after(sql) {
            let differences = audited.unwrap().differences;
            assert!(
                differences.iter().any(is_expected),
                "{sql}: {differences:?}"
            );
            assert!(
                differences
                    .iter()
                    .all(|found| !found.to_string().is_empty())
            );
        }
    }
}

/// The newest movement cut off together with its transaction leaves no gap; the wallet, the other half of the exchange and the
/// seal still know.
#[test]
fn a_cut_off_end_is_found() {
    for first in 1..=8 {
        let cut = format!(
            "DELETE FROM posting WHERE number >= {first}; DELETE FROM ledger_transaction WHERE number >= {first}"
        );
        let (_folder, path) = tampered("");
        let server = Database::from(tampered_on_server(&path, &cut));
        tamper(&path, &cut);
        for mut reader in [Reader::open_sqlite(&path), server.reader()].map(Result::unwrap) {
            let audited = audit::run(&mut reader).unwrap();
            assert!(!audited.differences.is_empty(), "{first}");
            let chain = audit::chain(&mut reader, &[]).unwrap();
            assert!(!chain.broken.is_empty(), "{first}");
        }
    }
}

#[test]
fn what_cannot_be_read_is_an_error_and_no_guess() {
    for sql in [
        "UPDATE account SET kind = 'purse' WHERE owner = 'anna'",
        "UPDATE account SET unit = 'usd/3' WHERE kind = 'clearing'",
        "UPDATE ledger_transaction SET reason = 'gift' WHERE number = 1",
        "UPDATE hold SET parts = 'nothing' WHERE status = 'open'",
        "UPDATE credit_grant SET end_kind = 'lost' WHERE number = 1",
    ] {
        for audited in audits_after(sql) {
            let is_corrupt = matches!(audited, Err(StoreError::Corrupt(_)));
            assert!(is_corrupt, "{sql}: {audited:?}");
        }
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
