//! Reconciliation without being asked: events every few minutes, objects every hour, everything in recovery mode.

use std::time::Duration;

use bursar_domain::recovery::Recovery;
use bursar_store::query::Span;
use tokio::sync::watch;

use super::{GRACE_SECONDS, Options};
use crate::{Engine, EngineError};

/// How often what is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Schedule {
    /// Events are asked for this often; 0 never.
    pub events_seconds: u64,
    /// Objects of the last days are compared this often, and repaired as `bursar reconcile --repair` does; 0 never.
    pub objects_seconds: u64,
    /// At most so many repairs each time.
    pub count_max: u64,
    /// At most so much money in them, in smallest steps of each currency.
    pub amount_max: Option<i64>,
}

/// So far back objects are compared each time. What is older is found by its events, and by a run over all of it.
const OBJECTS_SECONDS: i64 = 3 * 86_400;

/// The pause between two runs in recovery mode.
const RECOVERY_SECONDS: u64 = 60;

impl Engine {
    /// Begins to reconcile by itself. Without Stripe there is nothing to do.
    pub fn keep_reconciling(&self, schedule: Schedule) {
        if !self.has_provider() || schedule.events_seconds == 0 {
            return;
        }
        let stopped = self.shared.stop.subscribe();
        let worker = tokio::spawn(run(self.clone(), schedule, stopped));
        let workers = self.shared.workers.lock();
        workers
            .unwrap_or_else(std::sync::PoisonError::into_inner)
            .push(worker);
    }
}

async fn run(engine: Engine, schedule: Schedule, mut stopped: watch::Receiver<bool>) {
    let mut objects_at = i64::MIN;
    while !*stopped.borrow() {
        if !engine.has_turn() {
            tokio::select! {
                () = engine.wait_for_turn() => {}
                _ = stopped.changed() => {}
            }
            continue;
        }
        let work = work(&engine, schedule, &mut objects_at);
        let outcome = tokio::select! {
            outcome = work => outcome,
            // What it has done is done; the rest is found by the next run.
            _ = stopped.changed() => return,
        };
        let is_recovering = match outcome {
            Ok(is_recovering) => is_recovering,
            Err(EngineError::Stopping) => return,
            Err(error) => {
                tracing::warn!(%error, "reconciliation could not come to its end; trying again");
                false
            }
        };
        let seconds = if is_recovering {
            schedule.events_seconds.min(RECOVERY_SECONDS)
        } else {
            schedule.events_seconds
        };
        tokio::select! {
            () = tokio::time::sleep(Duration::from_secs(seconds)) => {}
            _ = stopped.changed() => {}
        }
    }
}

/// One round; whether the service is in recovery mode.
async fn work(
    engine: &Engine,
    schedule: Schedule,
    objects_at: &mut i64,
) -> Result<bool, EngineError> {
    if let Some(recovery) = engine.recovery().await? {
        engine
            .reconcile(&over_all(engine, schedule, &recovery))
            .await?;
        return Ok(engine.recovery().await?.is_some());
    }
    engine.scan_events().await?;
    if engine.recovery().await?.is_some() {
        return Ok(true);
    }
    let now = engine.now().seconds();
    let pause = i64::try_from(schedule.objects_seconds).unwrap_or(i64::MAX);
    if pause > 0 && now.saturating_sub(*objects_at) >= pause {
        let options = Options {
            span: Span {
                from: now - OBJECTS_SECONDS,
                to: now - GRACE_SECONDS,
            },
            repair: true,
            count_max: schedule.count_max,
            amount_max: schedule.amount_max,
            with_events: false,
        };
        engine.reconcile(&options).await?;
        *objects_at = now;
    }
    Ok(false)
}

fn over_all(engine: &Engine, schedule: Schedule, recovery: &Recovery) -> Options {
    let now = engine.now().seconds();
    Options {
        span: Span {
            from: recovery.since,
            to: now - GRACE_SECONDS,
        },
        repair: true,
        count_max: schedule.count_max,
        amount_max: schedule.amount_max,
        ..Options::until(now)
    }
}
