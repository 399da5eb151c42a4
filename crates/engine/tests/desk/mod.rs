//! A desk: batches one by one over a real SQLite file, with a clock that is set and ids that repeat.

use std::path::Path;
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
    pub(crate) folder: TempDir,
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
        let folder = folder();
        let clock = Arc::new(FixedClock::at(Time::from_seconds(1_767_225_600)));
        let (ids, policy) = (CountedIds::default(), Policy::standard());
        let batch = open(&folder, &ids, &policy, &clock);
        let reader = Reader::open_sqlite(&folder.path().join("bursar.db")).unwrap();
        Self {
            batch: Some(batch),
            clock,
            policy,
            reader,
            ids,
            folder,
        }
    }

    /// Closes the store and opens it again, as a program does that was stopped between two requests.
    #[allow(dead_code, reason = "not every test that has a desk closes it")]
    pub(crate) fn restart(&mut self) {
        self.batch = None;
        let batch = open(&self.folder, &self.ids, &self.policy, &self.clock);
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

fn open(folder: &TempDir, ids: &CountedIds, policy: &Policy, clock: &Arc<FixedClock>) -> Batch {
    let sqlite = Sqlite::open_writer(&folder.path().join("bursar.db")).unwrap();
    let clock = Arc::clone(clock);
    Batch {
        store: Store::open(Box::new(sqlite)).unwrap(),
        ids: Box::new(ids.clone()),
        policy: policy.clone(),
        clock,
    }
}
