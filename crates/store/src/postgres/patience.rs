//! How long a connection waits for the server, and the server for the connection.

use std::time::Duration;

/// For whom a connection is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Patience {
    /// Questions, of which some have long answers; and what moves whole databases.
    Reading,
    /// A node's batches. Each takes milliseconds, and all callers wait for it, those of other nodes too where it holds locks.
    Writing,
}

impl Patience {
    /// What the server is told. A statement that runs longer is given up, and so is waiting for a lock. A transaction that stands
    /// still loses its locks: its process has been stopped, or a network has swallowed it.
    pub(super) fn settings(self) -> String {
        let (statement, lock, idle) = match self {
            Self::Reading => (30, 10, 30),
            Self::Writing => (10, 5, 10),
        };
        format!(
            "SET statement_timeout = '{statement}s'; SET lock_timeout = '{lock}s'; \
             SET idle_in_transaction_session_timeout = '{idle}s'; "
        )
    }

    /// How long an answer may take before the server counts as gone: longer than any statement may run there.
    pub(super) const fn answer(self) -> Duration {
        Duration::from_secs(match self {
            Self::Reading => 45,
            Self::Writing => 15,
        })
    }
}
