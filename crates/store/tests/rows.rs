//! The rows of wallets follow the journal at a distance: what the store says is what the commands have decided, however often
//! the program dies in between, however short the distance, and however few wallets are kept in memory.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a helper of a test fails the test"
)]

mod books;
mod server;

use std::collections::BTreeMap;

use bursar_domain::id::GrantId;
use bursar_store::Sizes;
use bursar_store::query::Reader;

use books::twins::Twins;

/// Nothing is written before it has to be.
const FAR: Sizes = Sizes {
    lag: 1_000_000,
    kept: 1_000,
};

/// Rows are written all the time, and wallets forgotten.
const NEAR: Sizes = Sizes { lag: 12, kept: 4 };

#[test]
fn whoever_opens_the_store_again_finds_everything_as_it_was() {
    for (seed, users, sizes) in [
        (1, 6, NEAR),
        (2, 30, Sizes { lag: 60, kept: 8 }),
        (3, 6, FAR),
        (4, 3, Sizes { lag: 1, kept: 1 }),
        // Far more wallets than share a few pages.
        (10, 300, Sizes { lag: 40, kept: 20 }),
    ] {
        let mut twins = Twins::new(seed, users, sizes);
        let (mut ends, mut behind) = (0, 0);
        for _ in 0..400 {
            twins.batch();
            if twins.roll.dice.chance(5) {
                behind += twins.wallets_behind();
                twins = twins.reopened();
                ends += 1;
                if twins.roll.dice.chance(50) {
                    twins.check();
                }
            }
        }
        twins.check();
        assert!(ends > 8 && behind > 0, "{ends} {behind}");
    }
}

/// On a server rows are never behind, but wallets are forgotten, and every answer comes over the wire.
#[test]
fn on_a_server_everything_is_found_as_it_was_too() {
    for (seed, users, sizes) in [(11, 6, NEAR), (12, 40, Sizes { lag: 60, kept: 8 })] {
        let mut twins = Twins::at(Some(server::server().fresh()), seed, users, sizes);
        for round in 0..150 {
            twins.batch();
            if round % 40 == 39 {
                assert_eq!(twins.wallets_behind(), 0);
                twins = twins.reopened();
                twins.check();
            }
        }
        twins.check();
    }
}

#[test]
fn rows_do_not_fall_further_behind_than_they_may() {
    for lag in [0, 1, 12, 60] {
        let mut twins = Twins::new(5, 8, Sizes { lag, kept: 1_000 });
        let (mut before, mut most) = (0, 0);
        for _ in 0..200 {
            twins.batch();
            let (newest, rows_to) = twins.newest_and_rows_to();
            if newest == before {
                continue;
            }
            // Whoever falls behind in a batch waits for the next one at least.
            let distance = newest - rows_to;
            assert!(
                distance <= lag + newest - before,
                "{distance} after {newest}"
            );
            most = most.max(distance);
            before = newest;
        }
        assert!(most >= lag, "{most} of {lag}");
        twins.check();
    }
}

#[test]
fn after_a_clean_stop_there_is_nothing_to_catch_up_with() {
    let mut twins = Twins::new(6, 8, FAR);
    for _ in 0..5 {
        for _ in 0..40 {
            twins.batch();
        }
        assert!(twins.wallets_behind() > 0);
        twins.books.store.catch_up().unwrap();
        let (newest, rows_to) = twins.newest_and_rows_to();
        assert_eq!(newest, rows_to);

        // Whoever reads the rows finds them as the writer knows them.
        let mut reader = Reader::open_sqlite(&twins.path).unwrap();
        for (key, wallet) in twins.model.wallets() {
            assert_eq!(
                reader.account(&key).unwrap().as_ref(),
                Some(&wallet.account)
            );
            for grant in &wallet.grants {
                let row = reader.grant(grant.id).unwrap().unwrap();
                assert_eq!(row.remaining, grant.remaining, "{}", grant.id);
            }
        }
        twins.check();
        // And the writer goes on, whether or not it is opened anew.
        if twins.roll.dice.chance(50) {
            twins = twins.reopened();
        }
    }
}

/// What a start reads is found by looking at what it asks for.
#[test]
fn a_start_reads_what_rows_may_miss_and_no_more() {
    let mut twins = Twins::new(
        7,
        8,
        Sizes {
            lag: 50,
            kept: 1_000,
        },
    );
    for _ in 0..100 {
        twins.batch();
    }
    let (newest, rows_to) = twins.newest_and_rows_to();
    assert!(rows_to > 0 && newest > rows_to, "{newest} {rows_to}");
    let twins = twins.reopened();
    let questions = twins.spy.seen();
    let of_postings = questions
        .keys()
        .filter(|sql| sql.contains("FROM posting p"));
    let of_postings: Vec<&String> = of_postings.collect();
    assert_eq!(of_postings.len(), 1);
    assert!(
        of_postings[0].contains("WHERE p.number > $1"),
        "{of_postings:?}"
    );
    let of_wallets = questions
        .keys()
        .filter(|sql| sql.contains("FROM account WHERE"));
    assert_eq!(of_wallets.count(), 0);
}

#[test]
fn wallets_that_were_forgotten_are_read_again() {
    let mut twins = Twins::new(8, 60, Sizes { lag: 20, kept: 5 });
    for _ in 0..300 {
        twins.batch();
    }
    twins.check();
    let read = |sql: &&String| sql.contains("topup_below, version FROM account WHERE kind");
    let seen: BTreeMap<String, usize> = twins.spy.seen();
    let times: usize = seen.keys().filter(read).map(|sql| seen[sql]).sum();
    let wallets = twins.model.wallets().len();
    assert!(times > 3 * wallets, "{times} times for {wallets} wallets");
}

/// A grant that ended long ago is not confused with one that lives.
#[test]
fn ended_grants_stay_as_they_ended() {
    let mut twins = Twins::new(9, 3, NEAR);
    for _ in 0..200 {
        twins.batch();
    }
    let mut reader = Reader::open_sqlite(&twins.path).unwrap();
    let mut ends = BTreeMap::new();
    let newest = twins.books.store.state().sequence.grant;
    for number in 1..=newest {
        let grant = reader.grant(GrantId::of(number)).unwrap().unwrap();
        if let Some(end) = grant.end.filter(|_| grant.ended_at.is_some()) {
            assert_eq!(grant.remaining, 0, "{}", grant.id);
            *ends.entry(end.as_str()).or_insert(0) += 1;
        }
    }
    assert!(ends.len() == 3 && newest > 50, "{ends:?} of {newest}");
}
