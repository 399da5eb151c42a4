//! One process of the service: its store, what waits for its writer, and its workers. There may be two on one database.

use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Waker};

use bursar_domain::amount::{Amount, Unit};
use bursar_domain::command::Request;
use bursar_domain::id::IdSource;
use bursar_domain::package::Package;
use bursar_domain::policy::Policy;
use bursar_domain::referral::ReferralTerms;
use bursar_domain::reversal::SpentCredit;
use bursar_domain::time::Time;
use bursar_domain::welcome::Allowance;
use bursar_engine::batch::{Batch, Outcome};
use bursar_engine::clock::FixedClock;
use bursar_store::connection::Connection;
use bursar_store::postgres::{Address, Postgres};
use bursar_store::query::Reader;
use bursar_store::sqlite::Sqlite;
use bursar_store::{Sizes, Store, StoreError};

use crate::draw::Draw;
use crate::fault::{Faults, Faulty, Trouble};
use crate::reach::Reach;
use crate::server::{self, Server};

/// At most so many nodes are there at the same time.
pub(crate) const NODES_MAX: usize = 2;

/// What the next batch of a node meets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Next {
    /// Nothing.
    Well,
    /// Trouble after so many statements.
    Trouble(u32, Trouble),
    /// Death after the commit.
    DieAfter,
    /// A connection that is lost at the commit, which was done or not.
    Cut(bool),
    /// A batch of the other node, after so many statements.
    Between(u32),
}

/// Where a node has its rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Place {
    /// A file that belongs to it alone.
    File,
    /// A file that plays a server, which others use, too.
    Server,
    /// A real server.
    Postgres(Box<Address>),
}

/// No batch waits longer for a row: whoever has it is in the middle of a batch, and goes on only when this one has given up.
const LOCK_TIMEOUT: &str = "SET lock_timeout = '30ms'";

/// How often a batch is tried again that has met the rows of a node that is gone, and of which the server has not noticed yet.
const LOCK_TRIES: u32 = 100;

/// The writer of a node. Another node can run it in the middle of a batch of its own.
pub(crate) type Writer = Arc<Mutex<Option<Batch>>>;

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

/// So much of a payment goes back without a second administrator in half of the runs, in cents.
const FREE_REFUND: i64 = 60;

/// What may be sold together; the last one is not always there.
pub(crate) const PACKAGES: [&str; 3] = ["small", "large", "rare"];

/// What is sold together and for how much, the `number`th time that the operator thinks about it. Prices and extras are such that
/// shares of them are seldom whole.
pub(crate) fn packages(number: u32, currency: Unit) -> Vec<Package> {
    let many = PACKAGES.len() - number as usize % 2;
    let number = i64::from(number);
    let terms = [(100, 7), (500, 61), (70, 0)].into_iter();
    let all = PACKAGES.into_iter().zip(terms).take(many);
    let all = all.map(|(id, (credits, bonus))| Package {
        id: id.to_owned(),
        name: id.to_owned(),
        credits: credits + 10 * (number % 3),
        bonus: bonus + number % 4,
        prices: vec![Amount::new(credits - 9 + 13 * (number % 5), currency)],
        popular: false,
    });
    all.collect()
}

/// The operator's standard, with a price that depends on the seed.
fn policy(seed: u64) -> Policy {
    let mut policy = Policy::standard();
    let place = usize::try_from(seed).unwrap_or(0) % PRICES.len();
    let price = &mut policy.credit_price;
    (price.numerator, price.denominator) = PRICES[place];
    if seed % 5 == 1 {
        policy.spent_credit = SpentCredit::Freeze;
    }
    policy.refund_approval_above = (seed / 3).is_multiple_of(2).then_some(FREE_REFUND);
    policy.packages = packages(0, policy.credit_price.currency);
    // What is given away does not run out within a run: the second ledger knows no grants of credits.
    let seconds = 10 * 366 * 86_400;
    let allowance = |credits| Allowance { credits, seconds };
    (policy.signup, policy.trial) = (allowance(30), allowance(20));
    policy.referral = ReferralTerms {
        referrer_credits: 45,
        referred_credits: 25,
        least_prices: [(policy.credit_price.currency, 150)].into(),
    };
    policy
}

/// What a worker is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Task {
    Inbox,
    Ticker,
    Job,
    Reconciliation,
    Look,
    Turn,
}

type Running = Pin<Box<dyn Future<Output = ()> + Send>>;

pub(crate) struct Node {
    path: PathBuf,
    place: Place,
    sizes: Sizes,
    ids: DrawnIds,
    pub(crate) policy: Policy,
    batch: Writer,
    pub(crate) faults: Faults,
    pub(crate) reach: Reach,
    tasks: Vec<(Task, Running)>,
    pub(crate) next: Next,
    /// Whether the next answers to clients get lost.
    pub(crate) mute: bool,
    /// How far its clock is ahead of Stripe's, in seconds.
    pub(crate) ahead: i64,
}

impl Node {
    /// Starts the node of this number, the first one first.
    pub(crate) fn start(
        folder: &Path,
        (seed, number): (u64, u64),
        place: Place,
        now: Time,
    ) -> Result<Self, StoreError> {
        // Small, so that wallets are forgotten and rows fall behind within a run; or so large that all stay in memory and get old.
        let keeps = place != Place::File && seed.is_multiple_of(2);
        let kept = if keeps { 64 } else { 1 };
        let mut node = Self {
            path: folder.join("bursar.db"),
            place,
            sizes: Sizes { lag: 12, kept },
            ids: DrawnIds::new(seed ^ number << 48),
            policy: policy(seed),
            batch: Writer::default(),
            faults: Faults::default(),
            reach: Reach::new(Arc::new(FixedClock::at(now)), number),
            tasks: Vec::new(),
            next: Next::Well,
            mute: false,
            ahead: 0,
        };
        node.open()?;
        Ok(node)
    }

    fn open(&mut self) -> Result<(), StoreError> {
        self.faults = Faults::default();
        let (inner, reader): (Box<dyn Connection>, _) = match self.place {
            Place::File => {
                let writer = Sqlite::open_writer(&self.path)?;
                (Box::new(writer), Reader::open_sqlite(&self.path)?)
            }
            Place::Server | Place::Postgres(_) => (self.connect()?, Reader::over(self.connect()?)),
        };
        let connection = Faulty {
            inner,
            faults: self.faults.clone(),
        };
        let clock = Arc::clone(&self.reach.clock);
        let batch = Batch {
            store: Store::open_sized(Box::new(connection), self.sizes)?,
            ids: Box::new(self.ids.clone()),
            policy: self.policy.clone(),
            clock,
        };
        *self.writer() = Some(batch);
        self.reach.inner().reader = Some(reader);
        Ok(())
    }

    /// A connection to the server.
    fn connect(&self) -> Result<Box<dyn Connection>, StoreError> {
        let Place::Postgres(address) = &self.place else {
            return Ok(Box::new(Server::connect(&self.path)?));
        };
        let mut connection = Postgres::open(address.as_ref().clone())?;
        connection.run_script(LOCK_TIMEOUT)?;
        Ok(Box::new(connection))
    }

    fn writer(&self) -> MutexGuard<'_, Option<Batch>> {
        self.batch.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Its writer, for whoever runs it in the middle of a batch.
    pub(crate) fn share_writer(&self) -> Writer {
        Arc::clone(&self.batch)
    }

    /// The process dies, and starts again. Calls that were sent may still arrive at Stripe.
    pub(crate) fn crash(&mut self) -> Result<(), StoreError> {
        self.die();
        self.open()
    }

    /// As [`Node::crash`], and all slots are held meanwhile: it takes over the one of another node that goes on.
    pub(crate) fn crash_into(&mut self, slot: i64) -> Result<(), StoreError> {
        self.die();
        server::offer_slot(self.connect()?.as_mut(), slot)?;
        self.open()
    }

    /// The operator changes what is sold together, and starts the node again.
    pub(crate) fn sell(&mut self, packages: Vec<Package>) -> Result<(), StoreError> {
        self.policy.packages = packages;
        self.crash()
    }

    /// The slot on the server that this node has, if it knows one.
    pub(crate) fn slot(&self) -> Option<i64> {
        self.writer().as_ref().and_then(|batch| batch.store.slot())
    }

    fn die(&mut self) {
        self.tasks.clear();
        {
            let mut inner = self.reach.inner();
            inner.queue.clear();
            inner.readings.clear();
            inner.slow = 0;
            inner.calls.retain(|call| call.answer.is_none());
            inner.calls.iter_mut().for_each(|call| call.slot = None);
            inner.reader = None;
            inner.looked_to = None;
            inner.turn = None;
        }
        *self.writer() = None;
        self.next = Next::Well;
    }

    /// Runs a batch. Durable when it returns without an error.
    pub(crate) fn write(&mut self, requests: &[&Request]) -> Result<Outcome, StoreError> {
        let mut tries = 0;
        loop {
            match run(&self.batch, requests) {
                Err(error) if is_locked(&error) && tries < LOCK_TRIES => tries += 1,
                done => return done,
            }
        }
    }

    /// Whether a worker of this kind is at it.
    pub(crate) fn has(&self, task: Task) -> bool {
        self.tasks.iter().any(|(other, _)| *other == task)
    }

    pub(crate) fn is_idle(&self) -> bool {
        self.tasks.is_empty()
    }

    /// What it is at, for whoever looks for a failure.
    pub(crate) fn describe(&self) -> String {
        let tasks: Vec<Task> = self.tasks.iter().map(|(task, _)| *task).collect();
        let inner = self.reach.inner();
        let asked = inner.calls.iter().map(|call| &call.request.path);
        let asked: Vec<&String> = asked.collect();
        format!(
            "{tasks:?} with {} commands, calls {asked:?}",
            inner.queue.len()
        )
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

/// Runs a batch on a writer that may be another node's.
pub(crate) fn run(writer: &Writer, requests: &[&Request]) -> Result<Outcome, StoreError> {
    let mut batch = writer.lock().unwrap_or_else(PoisonError::into_inner);
    let closed = || StoreError::Unusable("the process is dead".to_owned());
    batch.as_mut().ok_or_else(closed)?.run(requests)
}

/// Whether a batch has met rows that somebody else has locked.
pub(crate) fn is_locked(error: &StoreError) -> bool {
    matches!(error, StoreError::Unavailable(why) if why.contains("lock timeout"))
}
