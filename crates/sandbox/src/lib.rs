//! A Stripe that behaves: a pure world with a thin HTTP skin.
//!
//! [`World`] holds an account and answers requests at a given moment; it performs no I/O. [`Sandbox`] puts it
//! behind a lock and a journal, and [`Sandbox::router`] behind HTTP.

// `json!` counts the fields of an object; a checkout session has many.
#![recursion_limit = "256"]

mod account;
mod agenda;
mod authenticate;
mod balance;
mod bank;
mod card;
mod card_form;
mod charge;
pub mod claim;
pub mod clock;
mod confirm;
mod control;
mod control_page;
mod coupon;
mod customer;
mod decline;
pub mod delivery;
mod discount;
mod dispute;
pub mod error;
pub mod event;
mod expand;
pub mod fault;
mod gate;
pub mod http;
pub mod id;
mod index;
mod intent;
pub mod journal;
mod line_item;
mod list;
pub mod listen;
mod money;
mod offer;
mod order;
mod page;
pub mod pay;
mod pay_page;
mod payment_method;
mod payment_page;
mod price;
mod product;
mod promotion_code;
mod record;
pub mod records;
pub mod refund;
pub mod request;
mod route;
mod sender;
mod session;
mod setup_intent;
mod shape;
mod shapes;
pub mod trigger;
mod version;
mod warning;
mod webhook_endpoint;
pub mod world;

use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;

use clock::{Clock, SystemClock};
use id::Ids;
use journal::Journal;
use records::Records;
pub use world::{ApiRequest, ApiResponse, World};

/// What a sandbox has to be told.
#[derive(Clone)]
pub struct SandboxConfig {
    /// Where the journal is kept; `None` forgets everything at the end.
    pub data_file: Option<PathBuf>,
    /// Where the sandbox is reached, for the addresses of its pages; no slash at the end.
    pub base_url: String,
    /// The secret key of the account, `sk_test_…`.
    pub secret_key: String,
    /// Restricted keys, `rk_test_…`, that open the API too.
    pub restricted_keys: Vec<String>,
    /// The pauses before the second, third, … attempt to deliver an event; after the last one it is given up.
    /// Stripe itself tries for up to three days, with pauses it does not publish.
    pub retry_pauses: Vec<Duration>,
    /// The API version of the account, for requests and webhook endpoints that name none.
    pub default_version: String,
    /// Makes ids repeatable, for transcripts.
    pub seed: Option<u64>,
}

/// The API version of the account unless configured otherwise. It is the last one before `payment_method_types`
/// was refused, because the requests of `stripe trigger` still carry it.
pub const DEFAULT_VERSION: &str = "2026-08-26.dahlia";

impl SandboxConfig {
    /// A sandbox in memory, with pauses between deliveries that suit a person who waits.
    pub fn new(base_url: impl Into<String>, secret_key: impl Into<String>) -> Self {
        Self {
            data_file: None,
            base_url: base_url.into(),
            secret_key: secret_key.into(),
            restricted_keys: Vec::new(),
            retry_pauses: [1, 2, 5, 10, 30, 60, 300, 1800, 7200]
                .map(Duration::from_secs)
                .to_vec(),
            default_version: DEFAULT_VERSION.to_owned(),
            seed: None,
        }
    }
}

/// Why a sandbox cannot start or go on.
#[derive(Debug, thiserror::Error)]
pub enum SandboxError {
    /// The journal cannot be read or written.
    #[error("the sandbox cannot use its journal: {0}")]
    Journal(#[from] io::Error),
    /// The operating system has no randomness to give.
    #[error("the sandbox cannot get randomness from the operating system: {0}")]
    Randomness(getrandom::Error),
}

/// A world that several tasks share, and that survives the process.
#[derive(Clone)]
pub struct Sandbox(Arc<Inner>);

struct Inner {
    config: SandboxConfig,
    clock: Arc<dyn Clock>,
    state: Mutex<State>,
    changed: Notify,
}

struct State {
    world: World,
    journal: Option<Journal>,
}

impl Sandbox {
    /// Opens a sandbox on the machine's clock.
    pub fn open(config: SandboxConfig) -> Result<Self, SandboxError> {
        Self::open_at(config, Arc::new(SystemClock))
    }

    /// Opens a sandbox on a clock of the caller's.
    pub fn open_at(config: SandboxConfig, clock: Arc<dyn Clock>) -> Result<Self, SandboxError> {
        let mut records = Records::default();
        let mut journal = None;
        if let Some(path) = &config.data_file {
            let (opened, changes) = Journal::open(path)?;
            for change in changes {
                records.load(change);
            }
            journal = Some(opened);
        }
        let ids = match config.seed {
            Some(seed) => Ids::seeded(seed, records.inserted()),
            None => Ids::random().map_err(SandboxError::Randomness)?,
        };
        let mut api_keys = vec![config.secret_key.clone()];
        api_keys.extend(config.restricted_keys.iter().cloned());
        let setup = world::Setup {
            base_url: config.base_url.clone(),
            api_keys,
            default_version: config.default_version.clone(),
        };
        let state = Mutex::new(State {
            world: World::new(records, ids, setup),
            journal,
        });
        Ok(Self(Arc::new(Inner {
            config,
            clock,
            state,
            changed: Notify::new(),
        })))
    }

    /// What the sandbox was told at its start.
    pub fn config(&self) -> &SandboxConfig {
        &self.0.config
    }

    /// The real moment, in milliseconds since 1970, whatever the clock of the world shows.
    pub fn real_millis(&self) -> i64 {
        self.0.clock.millis()
    }

    /// Woken after every change; who waits on it looks for work.
    pub fn changed(&self) -> &Notify {
        &self.0.changed
    }

    /// Looks at the world, at the moment its clock shows (seconds since 1970).
    pub fn read<T>(&self, look: impl FnOnce(&World, i64) -> T) -> T {
        let state = self.0.state.lock().unwrap_or_else(PoisonError::into_inner);
        let now = self.0.clock.seconds() + state.world.clock_offset();
        look(&state.world, now)
    }

    /// Changes the world, at the moment its clock shows (seconds since 1970). When this returns the changes
    /// outlive the process. `act` must be short: everybody else waits.
    ///
    /// # Errors
    /// When the journal cannot be written; then nothing has changed.
    pub fn change<T>(&self, act: impl FnOnce(&mut World, i64) -> T) -> Result<T, SandboxError> {
        let mut state = self.0.state.lock().unwrap_or_else(PoisonError::into_inner);
        let State { world, journal } = &mut *state;
        // Changes left over from an act that panicked half way are no facts.
        if world.records.has_pending() {
            world.rollback();
        }
        let now = self.0.clock.seconds() + world.clock_offset();
        let outcome = act(world, now);
        if let Some(journal) = journal
            && let Err(error) = journal.append(&world.records.pending())
        {
            world.rollback();
            return Err(error.into());
        }
        let changed = world.records.settle();
        drop(state);
        if changed {
            self.0.changed.notify_waiters();
            self.0.changed.notify_one();
        }
        Ok(outcome)
    }

    /// Answers one request of the API.
    ///
    /// # Errors
    /// When the journal cannot be written; then nothing has changed.
    pub fn request(&self, request: &ApiRequest) -> Result<ApiResponse, SandboxError> {
        self.change(|world, now| world.request(request, now))
    }

    /// The API and the pages.
    pub fn router(&self) -> axum::Router {
        http::router(self.clone())
    }
}
