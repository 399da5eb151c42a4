//! What time alone causes: looks every second whether holds or grants have ended.
//!
//! No rule waits for it (crate `bursar-domain`, `sweep`); it books what the rules already take for granted.

use std::time::Duration;

use bursar_domain::command::Command;
use bursar_domain::sweep::Sweep;
use bursar_store::StoreError;
use tokio::sync::watch;

use crate::outside::Books;
use crate::{Engine, EngineError};

/// How often.
const PAUSE: Duration = Duration::from_secs(1);

/// Most holds, and most wallets, in one command, so that others get their turn in between.
const SWEEP_MAX: usize = 128;

pub(crate) async fn run(engine: Engine, mut stopped: watch::Receiver<bool>) {
    while !*stopped.borrow() {
        if !engine.has_turn() {
            tokio::select! {
                () = engine.wait_for_turn() => {}
                _ = stopped.changed() => {}
            }
            continue;
        }
        match tick(&engine, engine.shared.expiry_notice_seconds).await {
            Ok(SWEEP_MAX..) => continue,
            Ok(_) => {}
            Err(EngineError::Stopping) => return,
            Err(error) => {
                tracing::error!(%error, "holds and grants that have ended could not be booked; trying again");
            }
        }
        tokio::select! {
            () = tokio::time::sleep(PAUSE) => {}
            _ = stopped.changed() => {}
        }
    }
}

/// Books what is due; how much of the fuller kind there was.
pub async fn tick(books: &impl Books, expiry_notice_seconds: i64) -> Result<usize, EngineError> {
    let now = books.now();
    let soon = now.plus_seconds(expiry_notice_seconds);
    let due = books
        .read(move |reader| reader.due(now, soon, SWEEP_MAX))
        .await?;
    if due.is_empty() {
        return Ok(0);
    }
    let count = due.holds.len().max(due.wallets.len());
    match books.submit(Command::Sweep(due.clone())).await {
        Ok(_) => Ok(count),
        Err(EngineError::Store(error)) if !matches!(error, StoreError::Unavailable(_)) => {
            tracing::warn!(%error, count, "what has ended could not be booked together; trying one by one");
            one_by_one(books, due).await;
            Ok(0)
        }
        Err(error) => Err(error),
    }
}

/// One that the database does not take must not hold up all others.
async fn one_by_one(books: &impl Books, due: Sweep) {
    let holds = due.holds.into_iter().map(|hold| Sweep {
        holds: vec![hold],
        wallets: vec![],
    });
    let wallets = due.wallets.into_iter().map(|wallet| Sweep {
        holds: vec![],
        wallets: vec![wallet],
    });
    for sweep in holds.chain(wallets) {
        if let Err(error) = books.submit(Command::Sweep(sweep.clone())).await {
            tracing::error!(%error, ?sweep, "what has ended could not be booked; trying again");
        }
    }
}
