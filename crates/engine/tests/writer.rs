//! The writer under pressure: a full queue, a stop, and a command that the database refuses.

#![expect(clippy::unwrap_used, reason = "a helper of a test fails the test")]

use std::path::Path;
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use bursar_domain::account::AccountKey;
use bursar_domain::api_key::{IssueKey, Role};
use bursar_domain::command::{Adjust, Command, Reply};
use bursar_domain::id::UserId;
use bursar_domain::journal::Remark;
use bursar_domain::policy::Policy;
use bursar_domain::time::Time;
use bursar_engine::clock::SystemClock;
use bursar_engine::{Clock, Engine, EngineConfig, EngineError};
use tempfile::TempDir;

/// The machine's clock, at which the writer can be made to wait: it asks for the time once in every batch.
#[derive(Default)]
struct Gate {
    closed: Mutex<bool>,
    opened: Condvar,
}

impl Gate {
    fn set(&self, closed: bool) {
        *self.closed.lock().unwrap() = closed;
        self.opened.notify_all();
    }
}

impl Clock for Gate {
    fn now(&self) -> Time {
        if std::thread::current().name() == Some("writer") {
            let closed = self.closed.lock().unwrap();
            drop(self.opened.wait_while(closed, |closed| *closed).unwrap());
        }
        SystemClock.now()
    }
}

fn start(folder: &TempDir, gate: &Arc<Gate>) -> Engine {
    let clock = Arc::clone(gate) as Arc<dyn Clock>;
    Engine::start(EngineConfig {
        database: folder.path().join("bursar.db").into(),
        policy: Policy::standard(),
        stripe: None,
        clock,
    })
    .unwrap()
}

fn anna() -> UserId {
    UserId::parse("anna").unwrap()
}

async fn credits(engine: &Engine) -> i64 {
    let wallet = engine.wallet(AccountKey::wallet(&anna())).await.unwrap();
    wallet.map_or(0, |wallet| wallet.account.balance)
}

async fn right(engine: &Engine) {
    let report = engine.read(bursar_store::audit::run).await.unwrap();
    assert_eq!(report.differences, vec![]);
}

fn add(credits: i64) -> Command {
    Command::Adjust(Adjust {
        user: anna(),
        credits,
        remark: Remark::default(),
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_queue_says_so_and_loses_nothing() {
    let (gate, folder) = (Arc::new(Gate::default()), TempDir::new().unwrap());
    let engine = start(&folder, &gate);
    engine.submit(add(12_000)).await.unwrap();
    gate.set(true);
    let mut asked = tokio::task::JoinSet::new();
    for _ in 0..12_000 {
        let engine = engine.clone();
        asked.spawn(async move { engine.submit(add(-1)).await });
    }
    // The first answers to come are those that were turned away: the writer stands still.
    let first = asked.join_next().await.unwrap().unwrap();
    assert!(matches!(first, Err(EngineError::Busy)), "{first:?}");
    gate.set(false);
    let mut done = 0;
    while let Some(answer) = asked.join_next().await {
        match answer.unwrap() {
            Ok(_) => done += 1,
            Err(EngineError::Busy) => {}
            Err(other) => panic!("{other:?}"),
        }
    }
    assert!((8_192..12_000).contains(&done), "{done}");
    assert_eq!(credits(&engine).await, 12_000 - done);
    right(&engine).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_finishes_what_was_accepted() {
    let (gate, folder) = (Arc::new(Gate::default()), TempDir::new().unwrap());
    let engine = start(&folder, &gate);
    gate.set(true);
    let mut asked = tokio::task::JoinSet::new();
    for _ in 0..100 {
        let engine = engine.clone();
        asked.spawn(async move { engine.submit(add(1)).await });
    }
    tokio::time::sleep(Duration::from_millis(200)).await;
    let stopping = tokio::spawn({
        let engine = engine.clone();
        async move { engine.shutdown().await }
    });
    // What is still taken while the stop begins is waited for like the others.
    for _ in 0..1_000 {
        let wish = engine.submit(add(1));
        let asked = tokio::time::timeout(Duration::from_millis(20), wish).await;
        if matches!(asked, Ok(Err(EngineError::Stopping))) {
            break;
        }
    }
    gate.set(false);
    stopping.await.unwrap();
    let answers = asked.join_all().await;
    assert!(answers.iter().all(Result::is_ok), "{answers:?}");
    assert!(matches!(
        engine.submit(add(1)).await,
        Err(EngineError::Stopping)
    ));
    assert!(
        log(folder.path()).is_none_or(|length| length == 0),
        "the log was folded in"
    );
    // The writer is gone; a clean stop leaves the rows as it knew them.
    let key = AccountKey::wallet(&anna());
    let row = engine.read(move |reader| reader.account(&key)).await;
    let row = row.unwrap().unwrap();
    assert!(row.balance >= 100 && row.balance == row.entries, "{row:?}");
    right(&engine).await;
}

/// The length of the write-ahead log, if there is one.
fn log(folder: &Path) -> Option<u64> {
    let log = std::fs::metadata(folder.join("bursar.db-wal")).ok()?;
    Some(log.len())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_command_that_the_database_refuses_does_not_fail_its_neighbours() {
    let (gate, folder) = (Arc::new(Gate::default()), TempDir::new().unwrap());
    let engine = start(&folder, &gate);
    gate.set(true);
    let mut asked = tokio::task::JoinSet::new();
    for number in 0..20 {
        let engine = engine.clone();
        // Two keys with one digest: the table allows one.
        let key = IssueKey {
            role: Role::Admin,
            hash: format!("{:064x}", number / 2),
            hint: "0000".to_owned(),
            label: String::new(),
        };
        let command = if number < 4 {
            Command::IssueKey(key)
        } else {
            add(1)
        };
        asked.spawn(async move { engine.submit(command).await });
    }
    tokio::time::sleep(Duration::from_millis(200)).await;
    gate.set(false);
    let answers = asked.join_all().await;
    let refused =
        |answer: &&Result<Reply, EngineError>| matches!(answer, Err(EngineError::Store(_)));
    assert_eq!(answers.iter().filter(refused).count(), 2, "{answers:?}");
    assert_eq!(answers.iter().filter(|answer| answer.is_ok()).count(), 18);
    assert_eq!(credits(&engine).await, 16);
    right(&engine).await;
}
