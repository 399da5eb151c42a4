//! Books that somebody has changed behind the program's back, in a file and on a server.

#![allow(
    dead_code,
    reason = "no test needs everything that can be done to books"
)]

pub(crate) mod sealed;

use std::path::{Path, PathBuf};

use bursar_domain::amount::{Amount, Unit};
use bursar_domain::audit::Report;
use bursar_domain::command::Command;
use bursar_domain::exchange::Exchange;
use bursar_domain::grant::Category;
use bursar_domain::journal::Remark;
use bursar_domain::notice::Standing;
use bursar_store::connection::Connection as _;
use bursar_store::postgres::{Address, Postgres};
use bursar_store::query::Reader;
use bursar_store::{Database, StoreError, audit, transfer};
use tempfile::TempDir;

use crate::books::{Books, folder, user};
use crate::server::server;

/// The journal that all tests tamper with:
///
/// | transaction | postings | what |
/// |---|---|---|
/// | 1 | 1 | 100 added to Anna: grant 1 |
/// | 2 | 2 | 10 added to Bob: grant 2 |
/// | 3 | 3 | 30 taken from Anna |
/// | 4, 5 | 4, 5 | 500 bought by Anna, and the money for them: grant 3 |
/// | 6 | 6 | 10 of a hold of 15 settled |
/// | 7, 8 | 7, 8 | 20 of Anna's credits exchanged for 2.00 USD: grant 4 |
///
/// One top-up of each is still open, one has expired; a hold of 25 is open.
pub(crate) fn tampered(sql: &str) -> (TempDir, PathBuf) {
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
    let hold = books.hold("anna", 15);
    let remark = Remark::default();
    let settle = Command::SettleHold {
        hold,
        used: 10,
        remark,
    };
    books.ask(settle).unwrap();
    books.hold("anna", 25);
    books
        .ask(Command::Exchange(Exchange {
            user: user("anna"),
            give: Amount::credits(20),
            get: Amount::new(200, Unit::currency("usd").unwrap()),
            category: Category::Paid,
            remark: Remark::default(),
        }))
        .unwrap();
    books.store.catch_up().unwrap();
    drop(books);
    tamper(&path, sql);
    (folder, path)
}

/// Changes a file's rows, whatever its checks and keys say to it.
pub(crate) fn tamper(path: &Path, sql: &str) {
    let file = rusqlite::Connection::open(path).unwrap();
    file.execute_batch("PRAGMA ignore_check_constraints = ON; PRAGMA foreign_keys = OFF")
        .unwrap();
    let before = file.total_changes();
    file.execute_batch(sql).unwrap();
    assert!(
        sql.is_empty() || file.total_changes() > before,
        "nothing was tampered with: {sql}"
    );
}

/// Moves the books of a file to a server and changes rows there, in the same words.
pub(crate) fn tampered_on_server(path: &Path, sql: &str) -> Address {
    let address = server().fresh();
    transfer::run(&path.to_path_buf().into(), &address.clone().into()).unwrap();
    tamper_on_server(&address, sql);
    address
}

/// Changes a server's rows, whatever its checks and keys say to it.
pub(crate) fn tamper_on_server(address: &Address, sql: &str) {
    let mut server = Postgres::open(address.clone()).unwrap();
    let checks = server
        .rows(
            "SELECT CAST(CAST(conrelid AS regclass) AS TEXT), CAST(conname AS TEXT) FROM pg_constraint \
             WHERE contype IN ('c', 'f') AND connamespace = CAST(current_schema() AS regnamespace)",
            vec![],
        )
        .unwrap();
    for check in &checks {
        let (table, name) = (check.text(0).unwrap(), check.text(1).unwrap());
        let drop = format!("ALTER TABLE {table} DROP CONSTRAINT \"{name}\"");
        server.run_script(&drop).unwrap();
    }
    let sql = sql
        .replace("zeroblob(32)", "decode(repeat('00', 32), 'hex')")
        .replace("char(2)", "chr(2)");
    server.run_script(&sql).unwrap();
}

pub(crate) fn audit_after(sql: &str) -> Result<Report, StoreError> {
    let (_folder, path) = tampered(sql);
    audit::run(&mut Reader::open_sqlite(&path).unwrap())
}

/// What the audit says of a file and of a server, after the same change.
pub(crate) fn audits_after(sql: &str) -> [Result<Report, StoreError>; 2] {
    let (_folder, path) = tampered("");
    let address = tampered_on_server(&path, sql);
    tamper(&path, sql);
    [path.into(), Database::from(address)]
        .map(|database| audit::run(&mut database.reader().unwrap()))
}
