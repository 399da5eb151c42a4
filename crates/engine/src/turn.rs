//! Takes turns with the other nodes on a server: one of them does what has to be done once (crate `bursar-domain`, `turn`).

use std::time::Duration;

use bursar_domain::command::{Command, OtherReply, Reply};
use bursar_domain::turn::{self, Step};
use tokio::sync::watch;

use crate::outside::Books;
use crate::{Engine, EngineError};

/// How often the turn is asked for: often enough that one try may fail.
const PAUSE: Duration = Duration::from_secs(turn::SECONDS.unsigned_abs() / 3);

pub(crate) async fn run(engine: Engine, mut stopped: watch::Receiver<bool>) {
    let mut held = None;
    while !*stopped.borrow() {
        held = match take(&engine, held).await {
            Ok(turn) => turn,
            Err(EngineError::Stopping) => break,
            Err(error) => {
                tracing::warn!(%error, "the turn could not be asked for; trying again");
                None
            }
        };
        engine.shared.turn.send_replace(held.is_some());
        tokio::select! {
            () = tokio::time::sleep(PAUSE) => {}
            _ = stopped.changed() => {}
        }
    }
    engine.shared.turn.send_replace(false);
    if let Some(held) = held {
        // Whoever comes next need not wait. If this fails the turn ends by itself.
        let _ = engine.submit(Command::Turn(Step::End(held))).await;
    }
}

/// Takes the turn if nobody has it, or goes on with the one that this node has; the number of the turn that it has now.
pub async fn take(books: &impl Books, held: Option<i64>) -> Result<Option<i64>, EngineError> {
    match books.submit(Command::Turn(Step::Take { held })).await? {
        Reply::Turn(turn) => Ok(turn),
        _ => Err(OtherReply.into()),
    }
}

impl Engine {
    /// Whether this node does what one node does for all. The only one there is always does.
    pub(crate) fn has_turn(&self) -> bool {
        *self.shared.turn.borrow()
    }

    /// Waits for the turn.
    pub(crate) async fn wait_for_turn(&self) {
        let mut turn = self.shared.turn.subscribe();
        // The other end is not dropped while the engine is there.
        let _ = turn.wait_for(|has| *has).await;
    }
}
