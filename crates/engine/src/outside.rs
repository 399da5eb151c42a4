//! What a worker reaches: rows, the writer, the time, and Stripe.
//!
//! Jobs, inbox, ticker and reconciliation are written against these two traits. In the program they are the [`Engine`] and its client; in the
//! simulator (crate `bursar-sim`) they are places where the run can stop, so that the very same steps are driven one by one, lose an
//! answer, or die in between.

use std::time::Duration;

use bursar_domain::command::{Command, Reply};
use bursar_domain::mark::StampKey;
use bursar_domain::time::Time;
use bursar_store::query::Reader;
use bursar_store::{Share, StoreError};
use bursar_stripe::client::Client;
use bursar_stripe::request::Request;
use bursar_stripe::secret_key::Mode;
use serde::de::DeserializeOwned;

use crate::{Engine, EngineError};

/// How long a result of Stripe's is kept for a database that takes nothing, and how often it is brought again.
const PATIENCE: Duration = Duration::from_mins(1);
const PAUSE: Duration = Duration::from_millis(250);

/// The books: rows to read, a writer to ask, and the time it is there.
pub trait Books: Send + Sync {
    /// What time it is.
    fn now(&self) -> Time;

    /// Asks the database. Sees everything that was answered before.
    fn read<T: Send + 'static>(
        &self,
        question: impl FnOnce(&mut Reader) -> Result<T, StoreError> + Send + 'static,
    ) -> impl Future<Output = Result<T, EngineError>> + Send;

    /// Asks the writer; the answer comes when it is on disk.
    fn submit(&self, command: Command) -> impl Future<Output = Result<Reply, EngineError>> + Send;

    /// Which events are worked off here; all if there is only one node.
    fn share(&self) -> Option<Share> {
        None
    }

    /// Waits so long, while others go on.
    fn pause(&self, duration: Duration) -> impl Future<Output = ()> + Send;
}

/// The books, and Stripe beside them.
pub trait Provider: Books {
    /// Whether the key is for real money.
    fn mode(&self) -> Mode;

    /// Asks Stripe.
    fn call<T: DeserializeOwned + Send>(
        &self,
        request: &Request,
    ) -> impl Future<Output = Result<T, bursar_stripe::Error>> + Send;

    /// The key of this database for stamps.
    fn stamp_key(&self) -> impl Future<Output = Result<StampKey, EngineError>> + Send;
}

impl Books for Engine {
    fn now(&self) -> Time {
        Self::now(self)
    }

    async fn read<T: Send + 'static>(
        &self,
        question: impl FnOnce(&mut Reader) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, EngineError> {
        Self::read(self, question).await
    }

    async fn submit(&self, command: Command) -> Result<Reply, EngineError> {
        Self::submit(self, command).await
    }

    fn share(&self) -> Option<Share> {
        self.event_share()
    }

    async fn pause(&self, duration: Duration) {
        tokio::time::sleep(duration).await;
    }
}

/// An engine with the client that it calls Stripe by.
#[derive(Clone)]
pub(crate) struct Live {
    pub(crate) engine: Engine,
    pub(crate) client: Client,
}

impl Books for Live {
    fn now(&self) -> Time {
        self.engine.now()
    }

    async fn read<T: Send + 'static>(
        &self,
        question: impl FnOnce(&mut Reader) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, EngineError> {
        self.engine.read(question).await
    }

    /// What was found out at Stripe is not lost to a database that is away for a moment. All that is brought here may come twice.
    async fn submit(&self, command: Command) -> Result<Reply, EngineError> {
        let begun = tokio::time::Instant::now();
        loop {
            match self.engine.submit(command.clone()).await {
                Err(error) if error.is_outage() && begun.elapsed() < PATIENCE => {
                    tokio::time::sleep(PAUSE).await;
                }
                done => return done,
            }
        }
    }

    async fn pause(&self, duration: Duration) {
        tokio::time::sleep(duration).await;
    }
}

impl Provider for Live {
    fn mode(&self) -> Mode {
        self.client.mode()
    }

    async fn call<T: DeserializeOwned + Send>(
        &self,
        request: &Request,
    ) -> Result<T, bursar_stripe::Error> {
        self.client.call(request).await
    }

    async fn stamp_key(&self) -> Result<StampKey, EngineError> {
        self.engine.stamp_key().await
    }
}
