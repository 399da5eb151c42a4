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
    /// still loses its locks: its process has been stopped, or a network has swallowed it. In the middle of a batch that only
    /// the server's keepalive notices, or, where it has one, its limit for transactions.
    pub(super) fn settings(self) -> String {
        let (statement, lock, idle, transaction) = match self {
            Self::Reading => (30, 10, 30, 0),
            Self::Writing => (10, 5, 10, 20),
        };
        format!(
            "SET statement_timeout = '{statement}s'; SET lock_timeout = '{lock}s'; \
             SET idle_in_transaction_session_timeout = '{idle}s'; \
             SELECT set_config(name, '{transaction}s', false) FROM pg_settings WHERE name = 'transaction_timeout'; \
             SELECT set_config(name, CASE name WHEN 'tcp_keepalives_count' THEN '3' ELSE '5' END, false) FROM pg_settings \
             WHERE name IN ('tcp_keepalives_idle', 'tcp_keepalives_interval', 'tcp_keepalives_count'); "
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
