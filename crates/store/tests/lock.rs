//! One process has the file. A test program of its own: a process that is being started holds, for a moment, every file
//! its parent has open, locks included, and would disturb other tests.

use std::path::Path;
use std::process::Command as Process;

use bursar_store::query::Reader;
use bursar_store::sqlite::Sqlite;
use bursar_store::{Store, StoreError};

/// The other process: this test itself, told by the environment which file to open.
#[test]
fn a_second_process_is_refused() {
    const FILE: &str = "BURSAR_TEST_FILE";
    if let Some(path) = std::env::var_os(FILE) {
        let refused = Sqlite::open_writer(Path::new(&path)).map(drop);
        assert!(
            matches!(&refused, Err(StoreError::Unusable(why)) if why.contains("another process")),
            "{refused:?}"
        );
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("books.db");
    let store = Store::open(Box::new(Sqlite::open_writer(&path).unwrap())).unwrap();
    let other = Process::new(std::env::current_exe().unwrap())
        .args(["--exact", "a_second_process_is_refused"])
        .env(FILE, &path)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&other.stdout);
    assert!(
        other.status.success() && said.contains("1 passed"),
        "{said}"
    );
    // Reading is allowed, and the lock goes with whoever held it.
    Reader::open_sqlite(&path).unwrap();
    drop(store);
    Sqlite::open_writer(&path).unwrap();
}
