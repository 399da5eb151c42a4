//! Makes commits durable, on a thread of its own, and only then lets their answers go.
//!
//! A sync takes the better part of a batch's time, and no processor. While one batch is being synced the writer decides and writes
//! the next; it gets one batch ahead and no further, so that batches stay large. Answers leave in the order of their commits.
//!
//! Nothing that is not on disk is ever seen outside: answers of the writer wait for the sync of their batch, and answers of readers
//! for the sync of whatever was committed when they read ([`Durable::settled`]).
//!
//! A sync that fails cannot be repeated: the system may have thrown away what it could not write, and say at the next attempt
//! that all is well (<https://wiki.postgresql.org/wiki/Fsync_Errors>). Then nothing is answered any more but errors, until the
//! program is started again and reads what is there.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;

use bursar_store::StoreError;
use tokio::sync::watch;

use crate::EngineError;

/// What is done with the answers of a batch when it is durable, or when it could not be made so.
pub(crate) type Release = Box<dyn FnOnce(Result<(), StoreError>) + Send>;

/// A batch that was committed, or that had nothing to write.
struct Committed {
    /// How many commits there have been, this one included.
    number: u64,
    release: Release,
}

/// How far commits have got.
#[derive(Debug, Clone)]
pub(crate) struct Durable {
    /// Commits made so far.
    committed: Arc<AtomicU64>,
    /// Commits that are on disk; none any more once a sync has failed.
    synced: watch::Receiver<Option<u64>>,
}

impl Durable {
    /// Waits until everything is on disk that has been committed by now.
    pub(crate) async fn settled(&self) -> Result<(), EngineError> {
        let committed = self.committed.load(Ordering::Acquire);
        let mut synced = self.synced.clone();
        let reached = synced
            .wait_for(|synced| synced.is_none_or(|synced| synced >= committed))
            .await
            .map(|synced| synced.is_some());
        match reached {
            Ok(true) => Ok(()),
            Ok(false) => Err(lost().into()),
            Err(_) => Err(EngineError::Stopping),
        }
    }
}

fn lost() -> StoreError {
    StoreError::Unusable(
        "the disk could not take what was committed; whether it has is known after a restart"
            .into(),
    )
}

pub(crate) struct Syncer {
    batches: SyncSender<Committed>,
    committed: Arc<AtomicU64>,
    durable: Durable,
    thread: JoinHandle<()>,
}

impl Syncer {
    /// Starts the thread. The writer must have opened the file.
    pub(crate) fn start(database: &Path) -> Result<Self, EngineError> {
        let log = bursar_store::Log::open_sqlite(database)?;
        // Without room: whoever sends waits until the sync before has ended.
        let (batches, waiting) = sync_channel(0);
        let (synced, watched) = watch::channel(Some(0));
        let committed = Arc::new(AtomicU64::new(0));
        let thread = std::thread::Builder::new()
            .name("syncer".into())
            .spawn(move || until_closed(&log, &waiting, &synced))
            .map_err(|error| StoreError::Unusable(format!("no thread for syncs: {error}")))?;
        Ok(Self {
            batches,
            durable: Durable {
                committed: Arc::clone(&committed),
                synced: watched,
            },
            committed,
            thread,
        })
    }

    /// For readers.
    pub(crate) fn durable(&self) -> Durable {
        self.durable.clone()
    }

    /// Takes over a batch. `wrote` says whether there is anything to sync.
    pub(crate) fn take(&self, wrote: bool, release: Release) {
        let number =
            self.committed.fetch_add(u64::from(wrote), Ordering::AcqRel) + u64::from(wrote);
        let sent = self.batches.send(Committed { number, release });
        if let Err(unsent) = sent {
            (unsent.0.release)(Err(lost()));
        }
    }

    /// Finishes what was taken over.
    pub(crate) fn stop(self) {
        drop(self.batches);
        if self.thread.join().is_err() {
            tracing::error!("the syncer has panicked");
        }
    }
}

fn until_closed(
    log: &bursar_store::Log,
    waiting: &Receiver<Committed>,
    synced: &watch::Sender<Option<u64>>,
) {
    while let Ok(batch) = waiting.recv() {
        let before = *synced.borrow();
        let outcome = match before {
            Some(before) if before >= batch.number => Ok(()),
            Some(_) => log.sync().inspect_err(|error| {
                tracing::error!(%error, "a commit could not be synced; nothing is taken any more until a restart");
            }),
            None => Err(lost()),
        };
        let reached = outcome.is_ok().then_some(batch.number);
        // Readers that wait are told before callers, who might read at once.
        if before != reached {
            synced.send_replace(reached);
        }
        (batch.release)(outcome.map_err(|_| lost()));
    }
}
