//! A standby of a PostgreSQL server: not used while it is one, and noticed when it has taken over without the last commits.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a helper of a test fails the test"
)]

mod nodes {
    pub(crate) mod several;
}
#[path = "../../store/tests/server/mod.rs"]
mod server;

use std::time::{Duration, Instant};

use bursar_store::StoreError;
use bursar_store::connection::Connection as _;
use bursar_store::postgres::{Address, Postgres};
use nodes::several::{are_right, ask, balance, charge, charged, give, node, reader};
use server::{SETTINGS, Server};

/// Both places, this one first.
fn either(first: &Server, second: &Server) -> Address {
    let (first, second) = (first.folder().display(), second.folder().display());
    Address::parse(&format!(
        "postgres://bursar@/postgres?host={first},{second}"
    ))
    .unwrap()
}

/// Waits until the standby has what the primary has.
fn is_followed(primary: &mut Postgres) {
    let sql =
        "SELECT application_name FROM pg_stat_replication WHERE replay_lsn = pg_current_wal_lsn()";
    let begun = Instant::now();
    while primary.rows(sql, vec![]).unwrap().is_empty() {
        assert!(begun.elapsed() < Duration::from_mins(1));
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// From now on nothing reaches the standby any more, as when the network between them is gone.
fn cut_off(primary: &mut Postgres) {
    primary.run_script("ALTER ROLE replica NOLOGIN").unwrap();
    let sql = "SELECT CAST(pg_terminate_backend(pid) AS TEXT) FROM pg_stat_replication";
    primary.rows(sql, vec![]).unwrap();
    let begun = Instant::now();
    while !primary
        .rows("SELECT pid FROM pg_stat_replication", vec![])
        .unwrap()
        .is_empty()
    {
        assert!(begun.elapsed() < Duration::from_mins(1));
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn a_standby_is_passed_over_and_its_promotion_without_the_last_commits_is_noticed() {
    let primary = Server::start(SETTINGS);
    let standby = primary.standby();
    // The standby stands first, and the node is on the primary all the same.
    let address = either(&standby, &primary);
    let mut first = node(&address);
    let mut second = node(&address);
    give(&mut first, "anna", 100);
    let mut at_primary = Postgres::open(either(&primary, &standby)).unwrap();
    is_followed(&mut at_primary);
    // Nobody reads from a standby either: it may be behind what somebody was told.
    let alone = Address::parse(&standby.url("postgres", None)).unwrap();
    let refused = Postgres::open(alone.clone()).unwrap_err().to_string();
    assert!(
        refused.contains("it is not the primary and takes no writes"),
        "{refused}"
    );

    // One node commits what the standby never hears of, the other one does not.
    charged(&ask(&mut second, &charge("anna", 1, "kept")).unwrap().0);
    is_followed(&mut at_primary);
    cut_off(&mut at_primary);
    for n in 0..3 {
        charged(
            &ask(&mut first, &charge("anna", 1, &format!("lost-{n}")))
                .unwrap()
                .0,
        );
    }
    drop(at_primary);
    primary.stop();
    standby.promote();
    standby.wait_for(|opened| opened.is_ok());

    // The connection is gone, so the first try may fail; then the node finds the other server, and what that one has forgotten.
    let lost = loop {
        match ask(&mut first, &charge("anna", 1, "after")).unwrap_err() {
            StoreError::Unavailable(_) => {}
            other => break other,
        }
    };
    assert!(matches!(lost, StoreError::Lost(_)), "{lost:?}");
    let mark = reader(&alone)
        .mark(bursar_domain::mark::RECOVERY)
        .unwrap()
        .unwrap();
    assert!(mark.contains("has lost commits"), "{mark}");
    assert_eq!(balance(&mut first, "anna"), 99);
    // The same keys again are charges that were never made.
    for n in 0..3 {
        let (answer, replayed) = ask(&mut first, &charge("anna", 1, &format!("lost-{n}"))).unwrap();
        assert!(!replayed);
        assert_eq!(charged(&answer).balance, 98 - n);
    }
    // The node that has lost nothing goes on, without a balance from before.
    let answer = loop {
        match ask(&mut second, &charge("anna", 1, "kept")) {
            Err(StoreError::Unavailable(_)) => {}
            other => break other.unwrap(),
        }
    };
    assert!(answer.1, "what was answered and kept is remembered");
    assert_eq!(balance(&mut second, "anna"), 96);
    are_right(&alone);
}
