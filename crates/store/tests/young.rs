//! Databases that nobody has used yet, and what must not be used.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a helper of a test fails the test"
)]

mod books;
mod server;

use std::sync::Barrier;
use std::thread;

use books::spy::Spy;
use books::{Books, charge_of, folder};
use bursar_domain::charge::Charge;
use bursar_domain::command::{AnswerKey, Command, Request, RequestHash};
use bursar_store::connection::Connection as _;
use bursar_store::postgres::{Address, Postgres};
use bursar_store::{Database, transfer};
use server::server;

const NODES: usize = 4;

/// PostgreSQL refuses one of two that make the same table at the same time, whatever `IF NOT EXISTS` says.
#[test]
fn nodes_that_start_at_the_same_moment_find_one_schema() {
    for _ in 0..8 {
        let address = server().fresh();
        assert!(!Database::from(address.clone()).is_used().unwrap());
        let begin = Barrier::new(NODES);
        thread::scope(|scope| {
            for _ in 0..NODES {
                scope.spawn(|| {
                    let database = Database::from(address.clone());
                    begin.wait();
                    let mut store = database.store().unwrap();
                    store.catch_up().unwrap();
                });
            }
        });
        assert!(Database::from(address).is_used().unwrap());
    }
}

#[test]
fn a_database_that_cannot_keep_all_texts_is_not_used() {
    let mut postgres = Postgres::open(server().fresh()).unwrap();
    for (name, encoding) in [("western", "LATIN1"), ("anything", "SQL_ASCII")] {
        let make = format!(
            "CREATE DATABASE {name} ENCODING '{encoding}' TEMPLATE template0 LOCALE 'C' LOCALE_PROVIDER libc"
        );
        postgres.run_script(&make).unwrap();
        let address = Address::parse(&server().url(name, None)).unwrap();
        let refused = Postgres::open(address).unwrap_err().to_string();
        assert!(
            refused.contains(&format!("keeps texts in {encoding}")),
            "{refused}"
        );
        assert!(refused.contains("ENCODING 'UTF8'"), "{refused}");
    }
}

/// A mistake in the name of the file must not end with an empty one that was moved successfully.
#[test]
fn books_are_moved_only_from_where_there_are_some() {
    let folder = folder();
    let to = Database::from(server().fresh());
    let missing = folder.path().join("nothing.db");
    let refused = transfer::run(&missing.clone().into(), &to).unwrap_err();
    assert!(refused.to_string().contains("nothing.db"), "{refused}");
    assert!(!missing.exists());
    let empty = folder.path().join("empty.db");
    std::fs::write(&empty, "").unwrap();
    let refused = transfer::run(&empty.clone().into(), &to).unwrap_err();
    assert!(refused.to_string().contains("no books"), "{refused}");
    assert_eq!(std::fs::metadata(&empty).unwrap().len(), 0);
    let nothing = Database::from(server().fresh()).reader().unwrap_err();
    assert!(nothing.to_string().contains("no books"), "{nothing}");
    drop(Books::at(&folder.path().join("books.db")));
    transfer::run(&folder.path().join("books.db").into(), &to).unwrap();
}

fn keyed(number: i64) -> Request {
    let charge = Charge {
        allow_debt: true,
        ..charge_of(&format!("user-{}", number % 40), 1)
    };
    let key = AnswerKey {
        principal: "admin".to_owned(),
        route: "test".to_owned(),
        key: format!("key-{number}"),
    };
    Request {
        command: Command::Charge(charge),
        idempotency: Some((key, RequestHash([7; 16]))),
    }
}

/// Tables of which the server has counted nothing yet are not read from the beginning to the end for each batch.
#[test]
fn a_batch_finds_rows_by_indexes_whatever_the_server_knows_of_its_tables() {
    let address = server().fresh();
    let spy = Spy::on(Box::new(Postgres::open_writer(address.clone()).unwrap()));
    let mut books = Books::over(Box::new(spy.clone()));
    let mut scans = Vec::new();
    for round in 0..2 {
        for batch in 0..30 {
            let first = round * 3_000 + batch * 100;
            let requests: Vec<Request> = (first..first + 100).map(keyed).collect();
            books.run(&requests).unwrap();
        }
        spy.rows("SELECT CAST(pg_stat_force_next_flush() AS TEXT)");
        scans.push(spy.rows(
            "SELECT CAST(relname AS TEXT), CAST(seq_tup_read AS BIGINT) FROM pg_stat_user_tables \
             WHERE schemaname = current_schema() AND relname <> 'node' ORDER BY relname",
        ));
    }
    assert_eq!(
        scans[0], scans[1],
        "rows read without an index, after 3,000 charges and after 6,000"
    );
}
