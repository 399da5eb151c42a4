//! One process of the service: its store, what waits for its writer, and its workers.

use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Waker};

use bursar_domain::command::Request;
use bursar_domain::id::IdSource;
use bursar_domain::policy::Policy;
use bursar_domain::time::Time;
use bursar_engine::batch::{Batch, Outcome};
use bursar_engine::clock::FixedClock;
use bursar_store::query::Reader;
use bursar_store::sqlite::Sqlite;
use bursar_store::{Sizes, Store, StoreError};

use crate::draw::Draw;
use crate::fault::{Faults, Faulty};
use crate::reach::Reach;

/// What is drawn for ids goes on over a restart.
#[derive(Clone)]
pub(crate) struct DrawnIds(Arc<Mutex<Draw>>);

impl DrawnIds {
    pub(crate) fn new(seed: u64) -> Self {
        Self(Arc::new(Mutex::new(Draw::new(seed))))
    }
}

impl IdSource for DrawnIds {
    fn random80(&mut self) -> u128 {
        let mut draw = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        (u128::from(draw.next()) << 16) | u128::from(draw.next() & 0xffff)
    }
}

/// In cents for so many credits: prices with which shares of credits and of money are not the same.
const PRICES: [(i64, i64); 3] = [(1, 1), (3, 2), (7, 3)];

/// The operator's standard, with a price that depends on the seed.
fn policy(seed: u64) -> Policy {
    let mut policy = Policy::standard();
    let place = usize::try_from(seed).unwrap_or(0) % PRICES.len();
    let price = &mut policy.credit_price;
    (price.numerator, price.denominator) = PRICES[place];
    policy
}

/// What a worker is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Task {
    Inbox,
    Ticker,
    Job,
}

type Running = Pin<Box<dyn Future<Output = ()> + Send>>;

pub(crate) struct Node {
    path: PathBuf,
    ids: DrawnIds,
    pub(crate) policy: Policy,
    batch: Option<Batch>,
    pub(crate) faults: Faults,
    pub(crate) reach: Reach,
    tasks: Vec<(Task, Running)>,
}

impl Node {
    pub(crate) fn start(folder: &Path, seed: u64, now: Time) -> Result<Self, StoreError> {
        let mut node = Self {
            path: folder.join("bursar.db"),
            ids: DrawnIds::new(seed),
            policy: policy(seed),
            batch: None,
            faults: Faults::default(),
            reach: Reach::new(Arc::new(FixedClock::at(now))),
            tasks: Vec::new(),
        };
        node.open()?;
        Ok(node)
    }

    fn open(&mut self) -> Result<(), StoreError> {
        self.faults = Faults::default();
        let connection = Faulty {
            inner: Box::new(Sqlite::open_writer(&self.path)?),
            faults: self.faults.clone(),
        };
        // Small, so that wallets are forgotten and rows fall behind within a run.
        let sizes = Sizes { lag: 12, kept: 1 };
        let clock = Arc::clone(&self.reach.clock);
        self.batch = Some(Batch {
            store: Store::open_sized(Box::new(connection), sizes)?,
            ids: Box::new(self.ids.clone()),
            policy: self.policy.clone(),
            clock,
        });
        self.reach.inner().reader = Some(Reader::open_sqlite(&self.path)?);
        Ok(())
    }

    /// The process dies, and starts again. Calls that were sent may still arrive at Stripe.
    pub(crate) fn crash(&mut self) -> Result<(), StoreError> {
        self.tasks.clear();
        {
            let mut inner = self.reach.inner();
            inner.queue.clear();
            inner.calls.retain(|call| call.answer.is_none());
            inner.calls.iter_mut().for_each(|call| call.slot = None);
            inner.reader = None;
        }
        self.batch = None;
        self.open()
    }

    /// Runs a batch. Durable when it returns without an error.
    pub(crate) fn write(&mut self, requests: &[&Request]) -> Result<Outcome, StoreError> {
        let closed = || StoreError::Unusable("the process is dead".to_owned());
        self.batch.as_mut().ok_or_else(closed)?.run(requests)
    }

    /// Whether a worker of this kind is at it.
    pub(crate) fn has(&self, task: Task) -> bool {
        self.tasks.iter().any(|(other, _)| *other == task)
    }

    pub(crate) fn is_idle(&self) -> bool {
        self.tasks.is_empty()
    }

    pub(crate) fn spawn(&mut self, task: Task, work: impl Future<Output = ()> + Send + 'static) {
        self.tasks.push((task, Box::pin(work)));
        self.go_on();
    }

    /// All workers go on as far as they come without an answer that is not there yet.
    pub(crate) fn go_on(&mut self) {
        let mut context = Context::from_waker(Waker::noop());
        self.tasks
            .retain_mut(|(_, work)| work.as_mut().poll(&mut context).is_pending());
    }
}
