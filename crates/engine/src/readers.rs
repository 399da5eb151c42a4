//! A few connections that only read.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bursar_store::query::Reader;
use bursar_store::{Database, StoreError};
use tokio::sync::Semaphore;

use crate::EngineError;

/// As many questions are asked at the same time. Reads are short; more would only compete for the same cores.
const READERS: usize = 4;

/// How long a question waits for its turn. Then all readers have been busy with a few long questions, or the database does not answer.
const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) struct Readers {
    free: Arc<Mutex<Vec<Reader>>>,
    permits: Arc<Semaphore>,
    database: Arc<Database>,
}

impl Readers {
    pub(crate) fn open(database: &Database) -> Result<Self, EngineError> {
        let readers: Vec<Reader> = (0..READERS)
            .map(|_| database.reader())
            .collect::<Result<_, _>>()?;
        Ok(Self {
            free: Arc::new(Mutex::new(readers)),
            permits: Arc::new(Semaphore::new(READERS)),
            database: Arc::new(database.clone()),
        })
    }

    pub(crate) async fn read<T: Send + 'static>(
        &self,
        question: impl FnOnce(&mut Reader) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, EngineError> {
        let permit = Arc::clone(&self.permits).acquire_owned();
        let permit = tokio::time::timeout(PATIENCE, permit)
            .await
            .map_err(|_| EngineError::Busy)?
            .map_err(|_| EngineError::Stopping)?;
        let (free, database) = (Arc::clone(&self.free), Arc::clone(&self.database));
        let asked = tokio::task::spawn_blocking(move || {
            let _permit = permit;
            let taken = free.lock().unwrap_or_else(PoisonError::into_inner).pop();
            let mut reader =
                taken.ok_or_else(|| StoreError::Unusable("no reader is free".into()))?;
            let answer = catch_unwind(AssertUnwindSafe(|| question(&mut reader)));
            // A bug in a question must cost neither a reader nor look like a stop, at which workers end. The connection may
            // be in the middle of something: it is replaced.
            let answer = answer.unwrap_or_else(|_| {
                reader = database.reader()?;
                Err(StoreError::Unusable(
                    "a question to the database panicked: please report this".into(),
                ))
            });
            free.lock()
                .unwrap_or_else(PoisonError::into_inner)
                .push(reader);
            answer
        });
        Ok(asked.await.map_err(|_| EngineError::Stopping)??)
    }
}
