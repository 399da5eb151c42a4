//! The service as a whole: configuration, engine, memory of credentials; start and stop.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};

use axum::Router;
use bursar_domain::policy::Policy;
use bursar_engine::clock::SystemClock;
use bursar_engine::service::{Balance, Usage};
use bursar_engine::{Clock, Engine, EngineConfig, EngineError};
use bursar_stripe::client::ClientError;

use crate::config::Config;
use crate::http;
use crate::http::admission::Admission;
use crate::http::answer::RequestIds;
use crate::http::auth::Memory;
use crate::secret::Secret;

/// The name of the database inside the data folder.
pub const DATABASE: &str = "bursar.db";

/// The running service. Clones share it.
///
/// ```no_run
/// # async fn run() -> Result<(), Box<dyn std::error::Error>> {
/// let (config, _) = bursar::Config::load(&bursar::Sources::of_process(None))?;
/// let app = bursar::App::start(config)?;
/// let listener = tokio::net::TcpListener::bind("127.0.0.1:8787").await?;
/// axum::serve(listener, app.router()).await?;
/// app.stop().await;
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
pub struct App(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    config: Config,
    engine: Engine,
    memory: Memory,
    admission: Admission,
    request_ids: RequestIds,
    demo: Option<Demo>,
    stopping: AtomicBool,
    complained_at: AtomicI64,
}

/// The demo user of `bursar dev`.
#[derive(Debug, Clone)]
pub struct Demo {
    /// Whose wallet the page at `/` shows.
    pub user_id: String,
    /// A token of that user.
    pub user_token: Secret,
}

/// Why the service cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The data folder cannot be made or used.
    #[error("the data folder {} cannot be used: {reason}", path.display())]
    DataFolder {
        /// Which folder.
        path: PathBuf,
        /// Why, and what to do.
        reason: String,
    },
    /// The database cannot be used.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// Stripe cannot be reached in the configured way.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// The system gives no random numbers.
    #[error("the system gives no randomness: {0}")]
    Randomness(#[from] getrandom::Error),
}

impl App {
    /// Opens the database in the data folder and starts to work. Needs a tokio runtime.
    pub fn start(config: Config) -> Result<Self, StartError> {
        Self::start_with(config, None, Arc::new(SystemClock))
    }

    /// The same with a demo user or another clock.
    pub fn start_with(
        config: Config,
        demo: Option<Demo>,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, StartError> {
        make_private_folder(&config.data)?;
        let engine = Engine::start(EngineConfig {
            database: config.database.clone(),
            policy: policy(&config),
            stripe: config.stripe.client()?,
            clock,
        })?;
        engine.keep_reconciling(config.reconcile);
        Ok(Self(Arc::new(Inner {
            config,
            engine,
            memory: Memory::default(),
            admission: Admission::default(),
            request_ids: RequestIds::new()?,
            demo,
            stopping: AtomicBool::new(false),
            complained_at: AtomicI64::new(0),
        })))
    }

    /// Every route of the service, to be served or to be mounted in a program of your own.
    pub fn router(&self) -> Router {
        http::router(self.clone())
    }

    /// What the service was told.
    pub fn config(&self) -> &Config {
        &self.0.config
    }

    /// The engine: the same commands and questions without HTTP.
    pub fn engine(&self) -> &Engine {
        &self.0.engine
    }

    /// Wallets, as typed calls.
    pub fn balance(&self) -> Balance {
        Balance::new(self.engine().clone())
    }

    /// What was used, as typed calls and as hooks around the product's own work.
    pub fn usage(&self) -> Usage {
        Usage::new(self.engine().clone())
    }

    pub(crate) fn memory(&self) -> &Memory {
        &self.0.memory
    }

    pub(crate) fn admission(&self) -> &Admission {
        &self.0.admission
    }

    pub(crate) fn request_ids(&self) -> &RequestIds {
        &self.0.request_ids
    }

    pub(crate) fn demo(&self) -> Option<&Demo> {
        self.0.demo.as_ref()
    }

    pub(crate) fn is_stopping(&self) -> bool {
        self.0.stopping.load(Ordering::Relaxed)
    }

    /// Whether a line about something a stranger can cause may be logged: one a second.
    pub(crate) fn may_complain(&self) -> bool {
        let now = self.engine().now().seconds();
        self.0.complained_at.swap(now, Ordering::Relaxed) != now
    }

    /// What has to be set before customers can pay; none if nothing is missing.
    pub(crate) fn missing_for_payments(&self) -> Option<&'static str> {
        let stripe = &self.0.config.stripe;
        match (&stripe.secret_key, stripe.webhook_secrets.is_empty()) {
            (None, true) => {
                Some("Stripe is not configured: set STRIPE_SECRET_KEY and STRIPE_WEBHOOK_SECRET")
            }
            (None, false) => Some("Stripe is not configured: set STRIPE_SECRET_KEY"),
            (Some(_), true) => Some("Stripe is not configured: set STRIPE_WEBHOOK_SECRET"),
            (Some(_), false) => None,
        }
    }

    /// Says at `/readyz` that no new work should be sent here. The service goes on until [`App::stop`].
    pub fn announce_stop(&self) {
        self.0.stopping.store(true, Ordering::Relaxed);
    }

    /// Finishes what was accepted and closes the database.
    pub async fn stop(&self) {
        self.announce_stop();
        self.engine().shutdown().await;
    }
}

fn policy(config: &Config) -> Policy {
    Policy {
        topup_credits_min: config.topup.min,
        topup_credits_max: config.topup.max,
        credit_price: config.topup.price,
        credit_prices: config.topup.prices.clone(),
        charge_limits: config.topup.limits.clone(),
        packages: config.topup.packages.clone(),
        signup: config.bonus.signup,
        trial: config.bonus.trial,
        referral: config.bonus.referral.clone(),
        livemode: config.stripe.livemode().unwrap_or(false),
        item_name: config.stripe.item_name.clone(),
        actions: config.wallet.actions.clone(),
        overdraft: config.wallet.overdraft,
        balance_low: config.wallet.balance_low,
        hold_seconds: config.wallet.hold_seconds,
        hold_overage: config.wallet.hold_overage,
        expiry_notice_seconds: config.wallet.expiry_notice_days * 86_400,
        spent_credit: config.refund.spent_credit,
        on_fraud_warning: config.refund.on_fraud_warning,
        refund_approval_above: config.refund.approval_above,
        auto_topup_retry_seconds: config.auto_topup.retry_minutes * 60,
    }
}

/// Makes a folder only its owner can look into. One that exists keeps its mode; `bursar doctor` complains about it.
pub fn make_private_folder(path: &Path) -> Result<(), StartError> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder
        .create(path)
        .map_err(|error| StartError::DataFolder {
            path: path.to_owned(),
            reason: error.to_string(),
        })
}
