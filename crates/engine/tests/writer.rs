//! The writer under pressure: a full queue, a stop, and a command that the database refuses.

#![expect(clippy::unwrap_used, reason = "a helper of a test fails the test")]

use std::future::poll_fn;
use std::path::Path;
use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::task::Poll;
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
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// The machine's clock, at which the writer can be made to wait: it asks for the time once in every batch.
#[derive(Default)]
struct Gate {
    closed: Mutex<bool>,
    opened: Condvar,
    /// How often the writer has come to it.
    met: AtomicUsize,
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
            self.met.fetch_add(1, Ordering::SeqCst);
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

/// Puts a command into the queue; its answer may be waited for later.
async fn queued(engine: &Engine, command: Command) -> JoinHandle<Result<Reply, EngineError>> {
    let (engine, (told, heard)) = (engine.clone(), oneshot::channel());
    let asked = tokio::spawn(async move {
        let mut answer = pin!(engine.submit(command));
        let early = poll_fn(|context| Poll::Ready(answer.as_mut().poll(context))).await;
        told.send(()).unwrap();
        match early {
            Poll::Ready(early) => early,
            Poll::Pending => answer.await,
        }
    });
    heard.await.unwrap();
    asked
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
async fn a_batch_that_hangs_is_not_waited_for_by_those_behind_it() {
    let (gate, folder) = (Arc::new(Gate::default()), TempDir::new().unwrap());
    let engine = start(&folder, &gate);
    gate.set(true);
    let first = queued(&engine, add(1)).await;
    while gate.met.load(Ordering::SeqCst) == 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let behind = engine.submit(add(100)).await;
    assert!(matches!(behind, Err(EngineError::Busy)), "{behind:?}");
    gate.set(false);
    // Unless a worker was before it, it is the batch that hung.
    let first = first.await.unwrap();
    assert!(matches!(first, Ok(_) | Err(EngineError::Busy)), "{first:?}");
    assert_eq!(credits(&engine).await, i64::from(first.is_ok()));
    right(&engine).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_finishes_what_was_accepted() {
    let (gate, folder) = (Arc::new(Gate::default()), TempDir::new().unwrap());
    let engine = start(&folder, &gate);
    gate.set(true);
    let mut asked = Vec::new();
    for _ in 0..100 {
        asked.push(queued(&engine, add(1)).await);
    }
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
    for answer in asked {
        answer.await.unwrap().unwrap();
    }
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
    let mut asked = Vec::new();
    for number in 0..20 {
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
        asked.push(queued(&engine, command).await);
    }
    gate.set(false);
    let mut answers = Vec::new();
    for answer in asked {
        answers.push(answer.await.unwrap());
    }
    let refused =
        |answer: &&Result<Reply, EngineError>| matches!(answer, Err(EngineError::Store(_)));
    assert_eq!(answers.iter().filter(refused).count(), 2, "{answers:?}");
    assert_eq!(answers.iter().filter(|answer| answer.is_ok()).count(), 18);
    assert_eq!(credits(&engine).await, 16);
    right(&engine).await;
}
