//! The imperative shell: writer, readers, jobs, clock, and the bridge between Stripe and the domain.
//!
//! An [`Engine`] owns a database. Commands go through one writer that commits whatever is waiting in one transaction and
//! answers when it is on disk; readers ask on connections of their own; calls to Stripe are durable jobs. The same
//! functions serve HTTP handlers and Rust programs that embed the engine.

pub mod auto_topup;
pub mod batch;
pub mod bridge;
pub mod card;
mod checkout;
mod checkpointer;
pub mod clock;
mod ids;
pub mod inbox;
pub mod jobs;
mod once;
pub mod outside;
mod readers;
pub mod reconcile;
mod refund;
pub mod service;
pub mod ticker;
pub mod turn;
mod wallet;
mod writer;

use std::sync::atomic::AtomicI64;
use std::sync::{Arc, Mutex};

use bursar_domain::command::{Command, OtherReply, Reply};
use bursar_domain::job::JobKey;
use bursar_domain::mark::{self, Keep, StampKey};
use bursar_domain::policy::Policy;
use bursar_domain::refusal::Refusal;
use bursar_domain::time::Time;
use bursar_store::query::Reader;
use bursar_store::{Database, StoreError};
use bursar_stripe::client::Client;
use tokio::sync::{Notify, OnceCell, broadcast, watch};
use tokio::task::JoinHandle;

pub use clock::Clock;
pub use ids::RandomIds;
pub use once::Once;

/// What an engine is started with.
#[derive(Clone)]
#[expect(
    missing_debug_implementations,
    reason = "the client keeps a secret key"
)]
pub struct EngineConfig {
    /// The SQLite file (created if missing) or the PostgreSQL server.
    pub database: Database,
    /// Limits and prices.
    pub policy: Policy,
    /// How Stripe is reached; none while it is not configured.
    pub stripe: Option<Client>,
    /// What time it is.
    pub clock: Arc<dyn Clock>,
}

/// Why the engine gave no answer.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// The rules say no.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The rules said no before, under the same idempotency key.
    #[error(transparent)]
    RefusedBefore(Box<Refusal>),
    /// More is waiting than is sensible. Nothing was done: try again.
    #[error("too many requests are waiting; nothing was done: try again in a moment")]
    Busy,
    /// The engine is stopping. Nothing was done.
    #[error("the service is stopping; nothing was done: try again")]
    Stopping,
    /// No payment provider is configured.
    #[error("Stripe is not configured: set STRIPE_SECRET_KEY")]
    NoProvider,
    /// The provider could not be asked, or gave no answer. What was asked for stays owed and is tried again.
    #[error("{message}")]
    Provider {
        /// A stable code.
        code: &'static str,
        /// What happened, without secrets.
        message: String,
    },
    /// The provider said no for good.
    #[error("{message}")]
    ProviderRefused {
        /// The provider's code.
        code: String,
        /// The provider's words.
        message: String,
    },
    /// The database did not do as asked. Nothing was changed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// It was done, and what was answered is not what this command is answered with.
    #[error(transparent)]
    OtherReply(#[from] OtherReply),
}

impl EngineError {
    /// What the rules say, if it is they who say no.
    pub const fn refusal(&self) -> Option<&Refusal> {
        match self {
            Self::Refused(refusal) => Some(refusal),
            Self::RefusedBefore(refusal) => Some(&**refusal),
            _ => None,
        }
    }

    /// Whether the same may work in a moment: there is too much to do, or the database is away.
    pub(crate) const fn is_outage(&self) -> bool {
        matches!(
            self,
            Self::Busy
                | Self::Store(
                    StoreError::Unavailable(_) | StoreError::Unknown(_) | StoreError::Lost(_)
                )
        )
    }
}

/// How a call to the provider for a payment has ended.
#[derive(Debug, Clone)]
pub enum CallEnd {
    /// Its result has been taken in.
    Done,
    /// It will be tried again.
    Deferred {
        /// A stable code for why.
        code: &'static str,
        /// Why, without secrets.
        message: String,
    },
}

pub(crate) struct Shared {
    writer: writer::Writer,
    readers: readers::Readers,
    clock: Arc<dyn Clock>,
    expiry_notice_seconds: i64,
    stripe: Option<Client>,
    events_wake: Arc<Notify>,
    jobs_wake: Arc<Notify>,
    call_ends: broadcast::Sender<(JobKey, CallEnd)>,
    stop: watch::Sender<bool>,
    workers: Mutex<Vec<JoinHandle<()>>>,
    stamp_key: OnceCell<StampKey>,
    reconciling: reconcile::Desk,
    /// Whether this node does what one node does for all.
    turn: watch::Sender<bool>,
    /// The slot of this node among several, which is in the numbers that it gives out; -1 if there is only one.
    slot: Arc<AtomicI64>,
}

/// The running shell around one database. Clones share it.
#[derive(Clone)]
pub struct Engine {
    shared: Arc<Shared>,
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Engine").finish_non_exhaustive()
    }
}

impl Engine {
    /// Opens the database, brings it up to date, and starts writer and workers. Needs a tokio runtime.
    pub fn start(config: EngineConfig) -> Result<Self, EngineError> {
        let store = config.database.store()?;
        let is_alone = config.database.file().is_some();
        let readers = readers::Readers::open(&config.database)?;
        let slot = Arc::new(AtomicI64::new(store.slot().unwrap_or(-1)));
        let (events_wake, jobs_wake) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        let expiry_notice_seconds = config.policy.expiry_notice_seconds;
        let batch = batch::Batch {
            store,
            ids: Box::new(RandomIds::default()),
            policy: config.policy,
            clock: Arc::clone(&config.clock),
        };
        let writer = writer::Writer::start(
            batch,
            checkpointer::Checkpointer::start(&config.database)?,
            Arc::clone(&events_wake),
            Arc::clone(&jobs_wake),
            Arc::clone(&slot),
        )?;
        let (stop, stopped) = watch::channel(false);
        let shared = Arc::new(Shared {
            writer,
            readers,
            clock: config.clock,
            expiry_notice_seconds,
            stripe: config.stripe,
            events_wake,
            jobs_wake,
            call_ends: broadcast::channel(1024).0,
            stop,
            workers: Mutex::default(),
            stamp_key: OnceCell::new(),
            reconciling: reconcile::Desk::default(),
            turn: watch::Sender::new(is_alone),
            slot,
        });
        let engine = Self { shared };
        let mut workers = vec![
            tokio::spawn(inbox::run(engine.clone(), stopped.clone())),
            tokio::spawn(jobs::run(engine.clone(), stopped.clone())),
            tokio::spawn(auto_topup::run(engine.clone(), stopped.clone())),
            tokio::spawn(ticker::run(engine.clone(), stopped.clone())),
        ];
        if !is_alone {
            workers.push(tokio::spawn(turn::run(engine.clone(), stopped)));
        }
        *engine
            .shared
            .workers
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner) = workers;
        Ok(engine)
    }

    /// Asks for something; the answer comes when it is on disk.
    pub async fn submit(&self, command: Command) -> Result<Reply, EngineError> {
        let Once { value, .. } = self.ask(command, None).await?;
        Ok(value)
    }

    /// Asks the database, on a connection of its own. Sees everything that was answered before.
    pub async fn read<T: Send + 'static>(
        &self,
        question: impl FnOnce(&mut Reader) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, EngineError> {
        self.shared.readers.read(question).await
    }

    /// What time it is for the engine.
    pub fn now(&self) -> Time {
        self.shared.clock.now()
    }

    /// Whether payments can be made.
    pub fn has_provider(&self) -> bool {
        self.shared.stripe.is_some()
    }

    /// The client that reaches Stripe, if it is configured.
    pub fn stripe(&self) -> Option<&Client> {
        self.shared.stripe.as_ref()
    }

    /// The key of this database for stamps; made when it is asked for the first time.
    pub(crate) async fn stamp_key(&self) -> Result<StampKey, EngineError> {
        let make = || async {
            self.submit(Command::Keep(Keep::StampKey(ids::stamp_key())))
                .await?;
            let kept = self.read(|reader| reader.mark(mark::STAMP_KEY)).await?;
            let key = kept.as_deref().and_then(StampKey::parse);
            key.ok_or_else(|| {
                StoreError::Unusable("the key for stamps cannot be read".to_owned()).into()
            })
        };
        self.shared.stamp_key.get_or_try_init(make).await.cloned()
    }

    /// Stops workers and writer: finishes what was accepted, and leaves compact files behind.
    pub async fn shutdown(&self) {
        self.shared.stop.send_replace(true);
        let workers = {
            let mut workers = self
                .shared
                .workers
                .lock()
                .unwrap_or_else(std::sync::PoisonError::into_inner);
            std::mem::take(&mut *workers)
        };
        for worker in workers {
            if worker.await.is_err() {
                tracing::error!("a worker of the engine has panicked");
            }
        }
        self.shared.writer.stop().await;
    }
}
