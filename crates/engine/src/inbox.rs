//! Works off stored events in the order of their arrival.
//!
//! A stored event that is pending is itself the durable job: a crash before it is applied leaves it pending, and
//! applying it twice changes nothing.

use std::sync::atomic::Ordering;
use std::time::Duration;

use bursar_domain::command::Command;
use bursar_domain::notice::ApplyEvent;
use bursar_domain::planted::{self, Bug};
use bursar_store::query::Reader;
use bursar_store::{Share, StoreError};
use tokio::sync::watch;

use crate::outside::Books;
use crate::{Engine, EngineError, bridge};

/// Most events in one command, so that others get their turn in between.
const BATCH_MAX: usize = 128;

/// How long events are gathered after some have been worked off.
const BREATH: Duration = Duration::from_millis(10);

/// A look without being woken, and the pause after trouble with the database.
const PAUSE: Duration = Duration::from_secs(2);

impl Engine {
    /// Each node works off what it has stored, and the one whose turn it is sees to what is left lying.
    pub(crate) fn event_share(&self) -> Option<Share> {
        let slot = self.shared.slot.load(Ordering::Relaxed);
        let now = self.now();
        (slot >= 0).then(|| Share {
            slot,
            others_at: self.has_turn().then_some(now),
        })
    }
}

pub(crate) async fn run(engine: Engine, mut stopped: watch::Receiver<bool>) {
    while !*stopped.borrow() {
        match work_off(&engine).await {
            Ok(BATCH_MAX) => continue,
            Ok(0) => {}
            // An event that comes alone is worked off at once; those that follow are gathered for a moment, so that a
            // rush costs few commits and intake is not held up.
            Ok(_) => tokio::time::sleep(BREATH).await,
            Err(EngineError::Stopping) => return,
            Err(error) => {
                tracing::error!(%error, "stored events could not be worked off; trying again");
            }
        }
        tokio::select! {
            () = engine.shared.events_wake.notified() => {}
            () = tokio::time::sleep(PAUSE) => {}
            _ = stopped.changed() => {}
        }
    }
}

/// Applies the oldest pending events; how many there were.
pub async fn work_off(books: &impl Books) -> Result<usize, EngineError> {
    // The bodies are parsed where they are read, apart from the threads that take in requests.
    let share = books.share();
    let read = move |reader: &mut Reader| {
        let pending = reader.pending_events(BATCH_MAX, share)?;
        let understood = pending.into_iter().map(|(number, body)| ApplyEvent {
            number,
            notice: bridge::inbound::notice(&body),
        });
        Ok(understood.collect())
    };
    let events: Vec<ApplyEvent> = books.read(read).await?;
    if events.is_empty() {
        return Ok(0);
    }
    let count = events.len();
    if planted::is(Bug::DoneBeforeEffect) {
        books.submit(Command::ApplyEvents(events.clone())).await?;
    }
    match books.submit(Command::ApplyEvents(events.clone())).await {
        Ok(_) => Ok(count),
        Err(error @ EngineError::Store(StoreError::Unavailable(_))) => Err(error),
        Err(EngineError::Store(error)) if count > 1 => {
            tracing::warn!(%error, events = count, "stored events could not be worked off together; trying one by one");
            one_by_one(books, events).await
        }
        Err(error) => Err(error),
    }
}

/// One event that the database does not take must not hold up all others.
async fn one_by_one(books: &impl Books, events: Vec<ApplyEvent>) -> Result<usize, EngineError> {
    let mut done = 0;
    for event in events {
        let number = event.number;
        match books.submit(Command::ApplyEvents(vec![event])).await {
            Ok(_) => done += 1,
            Err(EngineError::Store(error)) => {
                tracing::error!(%error, event.number = number, "a stored event could not be worked off; trying again");
            }
            Err(error) => return Err(error),
        }
    }
    Ok(done)
}
