//! Works off stored events in the order of their arrival.
//!
//! A stored event that is pending is itself the durable job: a crash before it is applied leaves it pending, and
//! applying it twice changes nothing.

use std::time::Duration;

use bursar_domain::command::Command;
use bursar_domain::notice::ApplyEvent;
use tokio::sync::watch;

use crate::{Engine, EngineError, bridge};

/// Most events in one command, so that others get their turn in between.
const BATCH_MAX: usize = 256;

/// A look without being woken, and the pause after trouble with the database.
const PAUSE: Duration = Duration::from_secs(2);

pub(crate) async fn run(engine: Engine, mut stopped: watch::Receiver<bool>) {
    while !*stopped.borrow() {
        match work_off(&engine).await {
            Ok(BATCH_MAX) => continue,
            Ok(_) => {}
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
async fn work_off(engine: &Engine) -> Result<usize, EngineError> {
    let pending = engine
        .read(|reader| reader.pending_events(BATCH_MAX))
        .await?;
    if pending.is_empty() {
        return Ok(0);
    }
    let read = |(number, body): (i64, Vec<u8>)| ApplyEvent {
        number,
        notice: bridge::inbound::notice(&body),
    };
    let events: Vec<ApplyEvent> = pending.into_iter().map(read).collect();
    let count = events.len();
    match engine.submit(Command::ApplyEvents(events.clone())).await {
        Ok(_) => Ok(count),
        Err(EngineError::Store(error)) if count > 1 => {
            tracing::warn!(%error, events = count, "stored events could not be worked off together; trying one by one");
            one_by_one(engine, events).await
        }
        Err(error) => Err(error),
    }
}

/// One event that the database does not take must not hold up all others.
async fn one_by_one(engine: &Engine, events: Vec<ApplyEvent>) -> Result<usize, EngineError> {
    let mut done = 0;
    for event in events {
        let number = event.number;
        match engine.submit(Command::ApplyEvents(vec![event])).await {
            Ok(_) => done += 1,
            Err(EngineError::Store(error)) => {
                tracing::error!(%error, event.number = number, "a stored event could not be worked off; trying again");
            }
            Err(error) => return Err(error),
        }
    }
    Ok(done)
}
