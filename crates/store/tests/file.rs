//! The file: who may have it, how it is written, and what it refuses.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a helper of a test fails the test"
)]

mod books;

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::{Arc, Mutex};

use bursar_domain::api_key::{IssueKey, Role};
use bursar_domain::checkout::OpenCheckout;
use bursar_domain::command::{AnswerKey, Command, Reply, Request};
use bursar_domain::event::EventStatus;
use bursar_domain::job::JobKind;
use bursar_domain::journal::{Reason, Remark};
use bursar_domain::notice::{ApplyEvent, IntentFact, Notice, Standing};
use bursar_domain::payment::PaymentStatus;
use bursar_domain::time::Time;
use bursar_domain::topup::{CreateTopup, TopupStatus};
use bursar_store::connection::{Connection, Parameters, Row, Value};
use bursar_store::query::{
    EntryFilter, EventFilter, PageRequest, PaymentFilter, Reader, TopupFilter,
};
use bursar_store::sqlite::{self, Sqlite};
use bursar_store::{Store, StoreError, audit};

use books::{Books, fact, folder, user};

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
    for name in ["books.db", "books.db-wal"] {
        std::fs::copy(folder.path().join(name), crashed.path().join(name)).unwrap();
    }
    let path = crashed.path().join("books.db");
    let _recovered = Books::at(&path);
    let mut reader = Reader::open_sqlite(&path).unwrap();
    assert_eq!(reader.wallet(&user("anna")).unwrap().unwrap().balance, 12);
    assert_eq!(audit::run(&mut reader).unwrap().differences, vec![]);
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
    assert_eq!(job.payment, payment);
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
    let wish = CreateTopup {
        user: user("bob"),
        credits: 500,
        remark: Remark::default(),
    };
    let Ok(Reply::Topup(topup)) = books.ask(Command::CreateTopup(wish)) else {
        panic!("no top-up");
    };
    let wish = OpenCheckout {
        topup: topup.id,
        user: user("bob"),
        success_url: String::new(),
        cancel_url: String::new(),
    };
    let Ok(Reply::Payment(payment)) = books.ask(Command::OpenCheckout(wish)) else {
        panic!("no payment");
    };
    let mut reader = Reader::open_sqlite(&path).unwrap();
    let (due, _) = reader.due_jobs(Time(i64::MAX), 8).unwrap();
    assert_eq!(
        (due.len(), due[0].kind, &due[0].payment),
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
        idempotency: Some((answer.clone(), "digest".to_owned())),
    };
    let said = books.request(&refused);
    assert!(matches!(said, Err(StoreError::Refused(_))), "{said:?}");
    // Not even the answer under the idempotency key: the same key may be used for a better request.
    let better = Request {
        command: Command::CreateTopup(CreateTopup {
            user: user("anna"),
            credits: 500,
            remark: Remark::default(),
        }),
        idempotency: Some((answer, "digest".to_owned())),
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

/// A connection that keeps every statement it is given.
struct Recorder {
    inner: Sqlite,
    seen: Arc<Mutex<BTreeSet<String>>>,
}

impl Recorder {
    fn note(&self, sql: &str) {
        self.seen.lock().unwrap().insert(sql.to_owned());
    }
}

impl Connection for Recorder {
    fn query(&mut self, sql: &str, parameters: &[Parameters]) -> Result<Vec<Vec<Row>>, StoreError> {
        self.note(sql);
        self.inner.query(sql, parameters)
    }

    fn execute(&mut self, sql: &str, parameters: &[Parameters]) -> Result<usize, StoreError> {
        self.note(sql);
        self.inner.execute(sql, parameters)
    }

    fn run_script(&mut self, sql: &str) -> Result<(), StoreError> {
        self.inner.run_script(sql)
    }

    fn begin(&mut self) -> Result<(), StoreError> {
        self.inner.begin()
    }

    fn commit(&mut self) -> Result<(), StoreError> {
        self.inner.commit()
    }

    fn rollback(&mut self) -> Result<(), StoreError> {
        self.inner.rollback()
    }

    fn checkpoint(&mut self) -> Result<(), StoreError> {
        self.inner.checkpoint()
    }
}

/// Uses every table for reading and writing, and every question a reader can ask with and without its filters. Each is
/// prepared by the database on the way; those that find single rows must find them by an index.
#[test]
fn every_statement_is_prepared_and_none_reads_a_whole_table_for_one_row() {
    let folder = folder();
    let path = folder.path().join("books.db");
    let seen = Arc::new(Mutex::new(BTreeSet::new()));
    let recorder = |inner| {
        Box::new(Recorder {
            inner,
            seen: Arc::clone(&seen),
        })
    };
    let mut books = Books::over(recorder(Sqlite::open_writer(&path).unwrap()));
    write_everything(&mut books);
    let written = seen.lock().unwrap().len();
    let mut reader = Reader::over(recorder(Sqlite::open_reader(&path).unwrap()));
    read_everything(&mut reader);
    let seen = seen.lock().unwrap().clone();
    assert!(
        written >= 35 && seen.len() >= written + 25,
        "{written} and {} statements",
        seen.len()
    );

    let file = rusqlite::Connection::open(&path).unwrap();
    for sql in seen.iter().filter(|sql| sql.starts_with("SELECT")) {
        let steps = plan(&file, sql);
        let is_audit =
            sql.contains("NOT EXISTS") || sql.contains("<>") || sql.ends_with("FROM account");
        let is_small = sql.contains("FROM migration");
        let reads_all = is_audit || is_small || sql.contains("count(") || sql.contains("sum(");
        let is_list = sql.contains("LIMIT");
        if reads_all || is_list {
            // Lists stop at their limit, because they are read in the order of a key.
            assert!(
                is_audit || !steps.iter().any(|step| step.contains("TEMP B-TREE")),
                "{sql}: {steps:?}"
            );
        } else {
            assert!(
                !steps.iter().any(|step| step.starts_with("SCAN")),
                "{sql}: {steps:?}"
            );
        }
    }
}

/// How the database goes about a query, one step a line.
fn plan(file: &rusqlite::Connection, sql: &str) -> Vec<String> {
    let mut explained = file
        .prepare(&format!("EXPLAIN QUERY PLAN {}", sql.replace('$', "?")))
        .unwrap();
    let mut rows = explained.raw_query();
    let mut steps = Vec::new();
    while let Some(row) = rows.next().unwrap() {
        steps.push(row.get(3).unwrap());
    }
    steps
}

fn write_everything(books: &mut Books) {
    books.adjust("anna", 100);
    books.adjust("anna", -30);
    let paid = books.checkout("anna", 500);
    let notice = Notice::Session {
        hint: Some(paid.clone()),
        fact: fact(&paid, 500, Standing::Paid),
        read: true,
    };
    let number = books.receive("evt_1", &format!("cs_{paid}"));
    books
        .ask(Command::ApplyEvents(vec![ApplyEvent { number, notice }]))
        .unwrap();
    let notice = Notice::Intent {
        hint: None,
        fact: IntentFact {
            intent: format!("pi_{paid}"),
            amount: None,
            currency: None,
            livemode: None,
            failure: None,
        },
    };
    let number = books.receive("evt_2", "pi_x");
    books
        .ask(Command::ApplyEvents(vec![ApplyEvent { number, notice }]))
        .unwrap();
    let key = IssueKey {
        role: Role::Admin,
        hash: "h".to_owned(),
        hint: String::new(),
        label: String::new(),
    };
    let answer = AnswerKey {
        principal: "admin".to_owned(),
        route: "keys".to_owned(),
        key: "K-1".to_owned(),
    };
    let request = Request {
        command: Command::IssueKey(key),
        idempotency: Some((answer, "digest".to_owned())),
    };
    let Ok(Reply::ApiKey(key)) = books.request(&request) else {
        panic!("no key");
    };
    books.ask(Command::RevokeKey(key.id)).unwrap();
    let expired = books.checkout("bob", 500);
    books.settle(&expired, 500, Standing::Expired);
}

fn read_everything(reader: &mut Reader) {
    let page = PageRequest {
        limit: 5,
        cursor: Some("1000".to_owned()),
    };
    for page in [&all(), &page] {
        for status in [None, Some(EventStatus::Pending)] {
            let filter = EventFilter {
                status,
                kind: status.map(|_| "x".to_owned()),
                id: status.map(|_| "evt_1".to_owned()),
                payment: None,
            };
            reader.events(&filter, page).unwrap();
        }
        for reason in [None, Some(Reason::Add)] {
            reader
                .entries(&EntryFilter { user: None, reason }, page)
                .unwrap();
        }
        reader.wallets(page).unwrap();
    }
    for (who, status) in [(None, None), (Some(user("anna")), Some(TopupStatus::Paid))] {
        let filter = TopupFilter { user: who, status };
        let topups = reader.topups(&filter, &all()).unwrap().items;
        reader.topup(&topups[0].id).unwrap().unwrap();
        let cursor = Some(topups[0].id.to_string());
        reader
            .topups(&filter, &PageRequest { limit: 1, cursor })
            .unwrap();
    }
    for (who, status) in [
        (None, None),
        (Some(user("anna")), Some(PaymentStatus::Paid)),
    ] {
        let filter = PaymentFilter {
            user: who,
            status,
            topup: None,
        };
        let payments = reader.payments(&filter, &all()).unwrap().items;
        let payment = payments.into_iter().next().unwrap();
        reader.payment(&payment.id).unwrap().unwrap();
        reader
            .payment_of_session(payment.session.as_ref().unwrap())
            .unwrap()
            .unwrap();
        let filter = PaymentFilter {
            topup: Some(payment.topup),
            ..filter
        };
        let cursor = Some(payment.id.to_string());
        reader
            .payments(&filter, &PageRequest { limit: 1, cursor })
            .unwrap();
        let filter = EventFilter {
            payment: Some(payment.id),
            ..EventFilter::default()
        };
        reader.events(&filter, &all()).unwrap();
    }
    let entries = EntryFilter {
        user: Some(user("anna")),
        reason: None,
    };
    reader.entries(&entries, &all()).unwrap();
    reader.pending_events(10).unwrap();
    reader.event_count(None).unwrap();
    reader.event_count(Some(EventStatus::Pending)).unwrap();
    reader.due_jobs(Time(0), 10).unwrap();
    reader.api_key_by_hash("h").unwrap().unwrap();
    let keys = reader.api_keys(&all()).unwrap().items;
    let cursor = Some(keys[0].id.to_string());
    reader.api_keys(&PageRequest { limit: 1, cursor }).unwrap();
    reader.credits_outstanding().unwrap();
    audit::run(reader).unwrap();
}
