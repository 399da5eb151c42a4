//! Moves the write-ahead log into the database file, on a thread of its own.
//!
//! A checkpoint copies pages and syncs the database file, which takes several milliseconds. Done by the writer, everybody
//! waits for it. Done beside it, only one thing is left to the writer: a log can begin anew only when all of it has been
//! moved, which never happens by itself while commits keep coming. So when the log has become long, the writer moves the
//! few pages that came during the last round, and the next commit starts at the log's beginning.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;

use bursar_store::{Database, StoreError};

use crate::EngineError;

/// How long commits are gathered before their pages are moved. Longer rounds write less, as pages that were changed several
/// times are moved once; shorter ones are noticed less by whoever waits for a sync.
const GATHER: Duration = Duration::from_millis(10);

/// Pages in a log that is to begin anew: 16 MB. Overwriting a log is quicker than making it longer, and a short one stays in
/// the processor's reach.
const PAGES_MAX: u64 = 4_096;

/// Rounds without a pause before the writer is asked to move the rest. Each one takes less time than the one before, and so
/// leaves less.
const ROUNDS: usize = 3;

pub(crate) struct Checkpointer {
    wake: SyncSender<()>,
    log_is_long: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

impl Checkpointer {
    /// Starts the thread, for a file. The writer must have opened it.
    pub(crate) fn start(database: &Database) -> Result<Option<Self>, EngineError> {
        let Some(store) = database.checkpointer()? else {
            return Ok(None);
        };
        let (wake, woken) = sync_channel(1);
        let log_is_long = Arc::new(AtomicBool::new(false));
        let tell = Arc::clone(&log_is_long);
        let thread = std::thread::Builder::new()
            .name("checkpointer".into())
            .spawn(move || until_closed(store, &woken, &tell))
            .map_err(|error| {
                StoreError::Unusable(format!("no thread for the checkpointer: {error}"))
            })?;
        Ok(Some(Self {
            wake,
            log_is_long,
            thread,
        }))
    }

    /// Says that something was committed.
    pub(crate) fn wake(&self) {
        // Full means that it has been said already.
        let _ = self.wake.try_send(());
    }

    /// Whether the writer should begin the log anew. Says so once.
    pub(crate) fn log_is_long(&self) -> bool {
        self.log_is_long.swap(false, Ordering::Relaxed)
    }

    /// Finishes the round under way.
    pub(crate) fn stop(self) {
        drop(self.wake);
        if self.thread.join().is_err() {
            tracing::error!("the checkpointer has panicked");
        }
    }
}

fn until_closed(
    mut store: bursar_store::Checkpointer,
    woken: &Receiver<()>,
    log_is_long: &AtomicBool,
) {
    while woken.recv().is_ok() {
        std::thread::sleep(GATHER);
        match fold(&mut store) {
            Ok(pages) => log_is_long.store(pages > PAGES_MAX, Ordering::Relaxed),
            Err(error) => {
                tracing::warn!(%error, "the write-ahead log could not be moved; trying again");
            }
        }
    }
}

/// Moves what is there, and what has come meanwhile if the log is long; how many pages it has.
fn fold(store: &mut bursar_store::Checkpointer) -> Result<u64, StoreError> {
    let mut pages = store.fold()?;
    for _ in 1..ROUNDS {
        if pages > PAGES_MAX {
            pages = store.fold()?;
        }
    }
    Ok(pages)
}
