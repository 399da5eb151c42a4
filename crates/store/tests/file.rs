//! The file: who may have it, how it is written, and what it refuses.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a helper of a test fails the test"
)]

mod books;

use std::collections::BTreeSet;
use std::path::Path;

use bursar_domain::api_key::{IssueKey, Role};
use bursar_domain::checkout::OpenCheckout;
use bursar_domain::command::{AnswerKey, Command, Reply, Request, RequestHash};
use bursar_domain::job::JobKind;
use bursar_domain::time::Time;
use bursar_domain::topup::CreateTopup;
use bursar_store::connection::{Connection, Value};
use bursar_store::query::{PageRequest, Reader};
use bursar_store::sqlite::{self, Sqlite};
use bursar_store::{Store, StoreError, audit};

use books::{Books, folder, user};

#[test]
fn the_library_is_new_enough_not_to_lose_what_was_committed() {
    assert!(
        rusqlite::version_number() >= sqlite::VERSION_LEAST,
        "{}",
        sqlite::version()
    );
}

#[test]
fn every_commit_is_synced_and_the_log_is_written_ahead() {
    let folder = folder();
    let mut connection = Sqlite::open_writer(&folder.path().join("books.db")).unwrap();
    let mut pragma =
        |name: &str| connection.rows(&format!("PRAGMA {name}"), vec![]).unwrap()[0].0[0].clone();
    assert_eq!(pragma("journal_mode"), Value::Text("wal".into()));
    assert_eq!(pragma("synchronous"), Value::Integer(2));
    assert_eq!(pragma("foreign_keys"), Value::Integer(1));
    assert_eq!(pragma("trusted_schema"), Value::Integer(0));
}

#[test]
#[cfg(unix)]
fn nobody_else_may_read_the_files() {
    use std::os::unix::fs::PermissionsExt;

    let folder = folder();
    let mut books = Books::at(&folder.path().join("books.db"));
    books.adjust("anna", 5);
    let mut names = BTreeSet::new();
    for entry in std::fs::read_dir(folder.path()).unwrap() {
        let entry = entry.unwrap();
        let mode = entry.metadata().unwrap().permissions().mode() & 0o777;
        assert_eq!(mode, 0o600, "{}", entry.path().display());
        names.insert(entry.file_name().into_string().unwrap());
    }
    let expected = ["books.db", "books.db-shm", "books.db-wal", "books.lock"];
    assert_eq!(names, expected.map(str::to_owned).into());
}

#[test]
fn a_store_opened_again_goes_on_where_it_was() {
    let folder = folder();
    let path = folder.path().join("books.db");
    for round in 1..=3 {
        let mut books = Books::at(&path);
        books.adjust(&format!("user-{round}"), 5);
        assert_eq!(books.receive(&format!("evt_{round}"), "x"), round);
        // The same event in another life of the program is still the same.
        assert_eq!(books.receive("evt_1", "x"), 1);
    }
    let mut reader = Reader::open_sqlite(&path).unwrap();
    let report = audit::run(&mut reader).unwrap();
    assert_eq!(
        (report.differences, report.postings, report.accounts),
        (vec![], 3, 4)
    );
}

/// What was committed is in the files, though nobody closed them: a copy of them is what a crash would leave.
#[test]
fn what_was_committed_survives_without_a_clean_stop() {
    let (folder, crashed) = (folder(), folder());
    let path = folder.path().join("books.db");
    let mut books = Books::at(&path);
    books.adjust("anna", 5);
    books.adjust("anna", 7);
    books.charge("anna", 3);
    for name in ["books.db", "books.db-wal"] {
        std::fs::copy(folder.path().join(name), crashed.path().join(name)).unwrap();
    }
    let path = crashed.path().join("books.db");
    let mut recovered = Books::at(&path);
    let mut reader = Reader::open_sqlite(&path).unwrap();
    assert_eq!(recovered.wallet("anna").account.balance, 9);
    assert_eq!(audit::run(&mut reader).unwrap().differences, vec![]);
    assert_eq!(
        audit::chain(&mut reader, &[]).unwrap().broken,
        Vec::<String>::new()
    );
}

#[test]
fn a_clean_stop_folds_the_log_in() {
    let folder = folder();
    let mut books = Books::at(&folder.path().join("books.db"));
    books.adjust("anna", 5);
    let log = folder.path().join("books.db-wal");
    assert!(std::fs::metadata(&log).unwrap().len() > 0);
    books.store.checkpoint().unwrap();
    assert_eq!(std::fs::metadata(&log).unwrap().len(), 0);
}

#[test]
fn another_programs_schema_is_refused() {
    for sql in [
        "UPDATE migration SET digest = '0000000000000000'",
        "UPDATE migration SET name = '0001_other'",
        "INSERT INTO migration (name, digest) VALUES ('9999_from_the_future', '00')",
    ] {
        let folder = folder();
        let path = folder.path().join("books.db");
        Books::at(&path).adjust("anna", 5);
        let file = rusqlite::Connection::open(&path).unwrap();
        file.execute_batch(sql).unwrap();
        drop(file);
        let refused = Store::open(Box::new(Sqlite::open_writer(&path).unwrap())).map(drop);
        assert!(
            matches!(&refused, Err(StoreError::Unusable(why)) if why.contains("migration")),
            "{sql}: {refused:?}"
        );
    }
}

#[test]
fn claims_do_not_outlive_who_held_them() {
    let folder = folder();
    let path = folder.path().join("books.db");
    let mut books = Books::at(&path);
    let payment = books.checkout("anna", 500);
    let later = Time::from_seconds(1_767_229_200);
    let due = |path: &Path| {
        Reader::open_sqlite(path)
            .unwrap()
            .due_jobs(later, 10)
            .unwrap()
            .0
    };
    let job = due(&path).pop().unwrap();
    assert_eq!(job.payment(), Some(payment));
    let file = rusqlite::Connection::open(&path).unwrap();
    let held = "UPDATE job SET lease_token = 1, lease_until = 9000000000000000";
    file.execute_batch(held).unwrap();
    drop(file);
    assert_eq!(due(&path), vec![]);
    drop(books);
    let _again = Books::at(&path);
    assert_eq!(due(&path), vec![job]);
}

/// After a time without Stripe every open session is due to be read.
#[test]
fn the_call_a_customer_waits_for_comes_first() {
    let folder = folder();
    let path = folder.path().join("books.db");
    let mut books = Books::at(&path);
    for _ in 0..40 {
        books.checkout("anna", 500);
    }
    let wish = CreateTopup::plain(user("bob"), 500);
    let Ok(Reply::Topup(topup)) = books.ask(Command::CreateTopup(wish)) else {
        panic!("no top-up");
    };
    let wish = OpenCheckout {
        topup: topup.id,
        user: user("bob"),
        success_url: String::new(),
        cancel_url: String::new(),
        save_card: false,
    };
    let Ok(Reply::Payment(payment)) = books.ask(Command::OpenCheckout(wish)) else {
        panic!("no payment");
    };
    let mut reader = Reader::open_sqlite(&path).unwrap();
    let (due, _) = reader.due_jobs(Time(i64::MAX), 8).unwrap();
    assert_eq!(
        (due.len(), due[0].kind, &due[0].payment().unwrap()),
        (8, JobKind::OpenSession, &payment.id)
    );
    let (all, _) = reader.due_jobs(Time(i64::MAX), 100).unwrap();
    assert_eq!(all.iter().collect::<BTreeSet<_>>().len(), 41);
    assert_eq!(all.len(), 41);
}

#[test]
fn a_refused_commit_leaves_nothing_behind() {
    let folder = folder();
    let path = folder.path().join("books.db");
    let mut books = Books::at(&path);
    let key = |label: &str| {
        Command::IssueKey(IssueKey {
            role: Role::Admin,
            hash: "same".to_owned(),
            hint: String::new(),
            label: label.to_owned(),
        })
    };
    books.ask(key("first")).unwrap();
    let answer = AnswerKey {
        principal: "admin".to_owned(),
        route: "keys".to_owned(),
        key: "K-1".to_owned(),
    };
    let refused = Request {
        command: key("second"),
        idempotency: Some((answer.clone(), RequestHash([7; 16]))),
    };
    let said = books.request(&refused);
    assert!(matches!(said, Err(StoreError::Refused(_))), "{said:?}");
    // Not even the answer under the idempotency key: the same key may be used for a better request.
    let better = Request {
        command: Command::CreateTopup(CreateTopup::plain(user("anna"), 500)),
        idempotency: Some((answer, RequestHash([7; 16]))),
    };
    assert!(matches!(books.request(&better), Ok(Reply::Topup(_))));
    let mut reader = Reader::open_sqlite(&path).unwrap();
    assert_eq!(reader.api_keys(&all()).unwrap().items.len(), 1);
}

fn all() -> PageRequest {
    PageRequest {
        limit: 1_000,
        cursor: None,
    }
}
