//! A desk: batches one by one over a real database, with a clock that is set and ids that repeat.

#[path = "../../../store/tests/server/mod.rs"]
pub(crate) mod server;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bursar_domain::account::AccountKey;
use bursar_domain::audit::Report;
use bursar_domain::command::{Command, Reply, Request};
use bursar_domain::id::IdSource;
use bursar_domain::policy::Policy;
use bursar_domain::refusal::Refusal;
use bursar_domain::time::Time;
use bursar_domain::wallet::Wallet;
use bursar_engine::batch::Batch;
use bursar_engine::clock::FixedClock;
use bursar_store::Store;
use bursar_store::connection::Connection;
use bursar_store::postgres::{Address, Postgres};
use bursar_store::query::Reader;
use bursar_store::sqlite::Sqlite;
use tempfile::TempDir;

/// Ids in the order of making, the same in every run. They go on counting when the store is opened again.
#[derive(Clone, Default)]
struct CountedIds(Arc<AtomicU64>);

impl IdSource for CountedIds {
    fn random80(&mut self) -> u128 {
        u128::from(self.0.fetch_add(1, Ordering::SeqCst)) + 1
    }
}

pub(crate) struct Desk {
    batch: Option<Batch>,
    pub(crate) clock: Arc<FixedClock>,
    pub(crate) policy: Policy,
    pub(crate) reader: Reader,
    ids: CountedIds,
    pub(crate) place: Place,
}

/// Where the books are.
pub(crate) enum Place {
    /// In a SQLite file in this folder.
    File(TempDir),
    /// On a PostgreSQL server.
    Server(Address),
}

impl Place {
    fn file() -> Self {
        Self::File(folder())
    }

    fn path(folder: &TempDir) -> PathBuf {
        folder.path().join("bursar.db")
    }

    fn writer(&self) -> Box<dyn Connection> {
        match self {
            Self::File(folder) => Box::new(Sqlite::open_writer(&Self::path(folder)).unwrap()),
            Self::Server(address) => Box::new(Postgres::open(address.clone()).unwrap()),
        }
    }

    fn reader(&self) -> Reader {
        match self {
            Self::File(folder) => Reader::open_sqlite(&Self::path(folder)).unwrap(),
            Self::Server(_) => Reader::over(self.writer()),
        }
    }

    /// A connection that can change rows behind the program's back.
    #[allow(dead_code, reason = "few tests tamper")]
    pub(crate) fn back_door(&self) -> Box<dyn Connection> {
        match self {
            Self::File(folder) => Box::new(Sqlite::open_checkpointer(&Self::path(folder)).unwrap()),
            Self::Server(_) => self.writer(),
        }
    }
}

/// Memory, where the system has a file system in it: what is proved here is what is written, not how fast a disk syncs.
fn folder() -> TempDir {
    let memory = Path::new("/dev/shm");
    if memory.is_dir() {
        tempfile::tempdir_in(memory).unwrap()
    } else {
        tempfile::tempdir().unwrap()
    }
}

impl Desk {
    pub(crate) fn new() -> Self {
        Self::at(Place::file())
    }

    /// A desk whose books are on the test program's PostgreSQL server.
    #[allow(dead_code, reason = "not every test is run on both databases")]
    pub(crate) fn on_server() -> Self {
        Self::at(Place::Server(server::server().fresh()))
    }

    fn at(place: Place) -> Self {
        let clock = Arc::new(FixedClock::at(Time::from_seconds(1_767_225_600)));
        let (ids, policy) = (CountedIds::default(), Policy::standard());
        let batch = open(&place, &ids, &policy, &clock);
        let reader = place.reader();
        Self {
            batch: Some(batch),
            clock,
            policy,
            reader,
            ids,
            place,
        }
    }

    /// Closes the store and opens it again, as a program does that was stopped between two requests.
    #[allow(dead_code, reason = "not every test that has a desk closes it")]
    pub(crate) fn restart(&mut self) {
        self.batch = None;
        let batch = open(&self.place, &self.ids, &self.policy, &self.clock);
        self.batch = Some(batch);
    }

    pub(crate) fn request(&mut self, request: &Request) -> (Result<Reply, Refusal>, bool) {
        self.batch(std::slice::from_ref(request)).pop().unwrap()
    }

    /// Several requests in one transaction.
    pub(crate) fn batch(&mut self, requests: &[Request]) -> Vec<(Result<Reply, Refusal>, bool)> {
        let batch = self.batch.as_mut().unwrap();
        batch.policy.clone_from(&self.policy);
        let requests: Vec<&Request> = requests.iter().collect();
        batch.run(&requests).unwrap().answers
    }

    pub(crate) fn ask(&mut self, command: Command) -> Result<Reply, Refusal> {
        let idempotency = None;
        self.request(&Request {
            command,
            idempotency,
        })
        .0
    }

    #[allow(dead_code, reason = "not every test that has a desk looks at wallets")]
    /// Wallets as they stand, asked of the writer: their rows may be older than the journal. None where nothing ever touched one.
    pub(crate) fn wallets(&mut self, keys: Vec<AccountKey>) -> Vec<Option<Arc<Wallet>>> {
        match self.ask(Command::ReadWallets(keys)) {
            Ok(Reply::Wallets(wallets)) => wallets,
            other => panic!("wallets were asked for, and {other:?} came"),
        }
    }

    pub(crate) fn audit(&mut self) -> Report {
        bursar_store::audit::run(&mut self.reader).unwrap()
    }
}

fn open(place: &Place, ids: &CountedIds, policy: &Policy, clock: &Arc<FixedClock>) -> Batch {
    let clock = Arc::clone(clock);
    Batch {
        store: Store::open(place.writer()).unwrap(),
        ids: Box::new(ids.clone()),
        policy: policy.clone(),
        clock,
    }
}
