//! Commits that fail: nothing has changed, in the file and in memory, and the next batch works.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a helper of a test fails the test"
)]

mod books;

use bursar_store::query::Reader;
use bursar_store::{Sizes, StoreError};

use books::twins::Twins;

/// Rows are written all the time, wallets forgotten, and neighbourhoods come and go.
const SIZES: Sizes = Sizes { lag: 15, kept: 5 };

/// Tables that a batch about wallets writes to, the answers and their index included.
const WRITES: &[&str] = &[
    "INSERT ON ledger_transaction",
    "INSERT ON posting",
    "INSERT ON seal",
    "INSERT ON account",
    "UPDATE ON account",
    "INSERT ON credit_grant",
    "UPDATE ON credit_grant",
    "INSERT ON hold",
    "UPDATE ON hold",
    "INSERT ON spending_limit",
    "UPDATE ON spending_limit",
    "DELETE ON spending_limit",
    "INSERT ON announcement",
    "INSERT ON usage_event",
    "INSERT ON answer",
];

/// Runs the same batch until the store takes it: what did not happen can still happen.
fn insist(twins: &mut Twins, fails: impl Fn(&Twins, bool)) -> usize {
    let requests = twins.requests();
    let before = twins.books.store.seal();
    fails(twins, true);
    let mut failures = 0;
    let first = twins.try_run(&requests);
    if let Err(error) = first {
        failures = 1;
        assert!(
            matches!(error, StoreError::Refused(_) | StoreError::Unavailable(_)),
            "{error}"
        );
        assert_eq!(twins.books.store.seal(), before);
        let mut reader = Reader::open_sqlite(&twins.path).unwrap();
        assert_eq!(reader.seal().unwrap(), before);
        // It fails each time, and leaves nothing each time.
        assert!(twins.try_run(&requests).is_err());
    }
    fails(twins, false);
    if failures > 0 {
        twins.run(&requests);
    }
    failures
}

#[test]
fn a_batch_that_a_table_does_not_take_has_not_happened() {
    for (seed, table) in (20..).zip(WRITES) {
        let mut twins = Twins::new(seed, 5, SIZES);
        for _ in 0..30 {
            twins.batch();
        }
        let create = format!(
            "CREATE TRIGGER test BEFORE {table} BEGIN SELECT RAISE(ABORT, 'the test says no'); END"
        );
        let mut failures = 0;
        for _ in 0..60 {
            failures += insist(&mut twins, |twins, fails| {
                let sql = if fails { &create } else { "DROP TRIGGER test" };
                twins.spy.rows(sql);
            });
            if twins.roll.dice.chance(10) {
                twins = twins.reopened();
            }
        }
        assert!(failures > 0, "nothing was ever written: {table}");
        twins.check();
    }
}

#[test]
fn a_commit_that_fails_at_the_last_moment_has_not_happened() {
    let mut twins = Twins::new(40, 6, SIZES);
    let mut failures = 0;
    for _ in 0..200 {
        failures += insist(&mut twins, |twins, fails| twins.spy.refuse_commits(fails));
        if twins.roll.dice.chance(5) {
            twins = twins.reopened();
        }
    }
    assert!(failures > 100, "{failures}");
    twins.check();
    // Nor has a clean stop that fails.
    twins.spy.refuse_commits(true);
    assert!(twins.books.store.catch_up().is_err());
    twins.spy.refuse_commits(false);
    twins.check();
    for _ in 0..20 {
        twins.batch();
    }
    twins.books.store.catch_up().unwrap();
    let (newest, rows_to) = twins.newest_and_rows_to();
    assert_eq!(newest, rows_to);
    twins.reopened().check();
}

#[test]
fn a_full_disk_stops_the_books_and_does_not_spoil_them() {
    let mut twins = Twins::new(41, 6, SIZES);
    let mut failures = 0;
    for _ in 0..40 {
        for _ in 0..5 {
            twins.batch();
        }
        failures += insist(&mut twins, |twins, fails| {
            // A page or two may still be found inside the file.
            let pages = twins.spy.rows("PRAGMA page_count")[0].integer(0).unwrap();
            let most = if fails { pages } else { 1 << 30 };
            twins.spy.rows(&format!("PRAGMA max_page_count = {most}"));
        });
    }
    assert!(failures > 2, "the disk was never full");
    twins.check();
    twins.reopened().check();
}

/// Whoever has loaded a wallet and decided nothing has not changed it.
#[test]
fn a_batch_that_is_given_up_has_not_happened() {
    let mut twins = Twins::new(42, 5, SIZES);
    for _ in 0..100 {
        twins.batch();
        let requests = twins.requests();
        let mut state = twins.books.loaded(&requests).unwrap();
        twins.books.decide(&requests, &mut state);
        twins.books.store.give_up().unwrap();
        if twins.roll.dice.chance(10) {
            twins = twins.reopened();
        }
    }
    twins.check();
}
