//! What time alone causes: looks every second whether holds or grants have ended.
//!
//! No rule waits for it (crate `bursar-domain`, `sweep`); it books what the rules already take for granted.

use std::time::Duration;

use bursar_domain::command::Command;
use bursar_domain::sweep::Sweep;
use bursar_store::StoreError;
use tokio::sync::watch;

use crate::{Engine, EngineError};

/// How often.
const PAUSE: Duration = Duration::from_secs(1);

/// Most holds, and most wallets, in one command, so that others get their turn in between.
const SWEEP_MAX: usize = 128;

pub(crate) async fn run(engine: Engine, mut stopped: watch::Receiver<bool>) {
    while !*stopped.borrow() {
        match tick(&engine).await {
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
async fn tick(engine: &Engine) -> Result<usize, EngineError> {
    let now = engine.now();
    let soon = now.plus_seconds(engine.shared.expiry_notice_seconds);
    let due = engine
        .read(move |reader| reader.due(now, soon, SWEEP_MAX))
        .await?;
    if due.is_empty() {
        return Ok(0);
    }
    let count = due.holds.len().max(due.wallets.len());
    match engine.submit(Command::Sweep(due.clone())).await {
        Ok(_) => Ok(count),
        Err(EngineError::Store(error)) if !matches!(error, StoreError::Unavailable(_)) => {
            tracing::warn!(%error, count, "what has ended could not be booked together; trying one by one");
            one_by_one(engine, due).await;
            Ok(0)
        }
        Err(error) => Err(error),
    }
}

/// One that the database does not take must not hold up all others.
async fn one_by_one(engine: &Engine, due: Sweep) {
    let holds = due.holds.into_iter().map(|hold| Sweep {
        holds: vec![hold],
        wallets: vec![],
    });
    let wallets = due.wallets.into_iter().map(|wallet| Sweep {
        holds: vec![],
        wallets: vec![wallet],
    });
    for sweep in holds.chain(wallets) {
        if let Err(error) = engine.submit(Command::Sweep(sweep.clone())).await {
            tracing::error!(%error, ?sweep, "what has ended could not be booked; trying again");
        }
    }
}
