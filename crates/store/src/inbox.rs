//! What waits to be worked off, and how much there is.

use std::sync::Arc;

use bursar_domain::event::EventStatus;
use bursar_domain::time::Time;

use crate::connection::{Parameters, StoreError};
use crate::node;
use crate::query::Reader;

/// An event's number and what is kept of its body.
type NumberedBody = (i64, Arc<[u8]>);

/// An event that another node has stored and not worked off for so long is taken over: that node is gone, or has too much to do. So
/// is one from so far in the future: the clock of its node was wrong, and it would lie until that time has come.
const LEFT_SECONDS: i64 = 10;

/// Which events a node works off where there are several: those that it has stored, and what another one leaves lying.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Share {
    /// Its slot.
    pub slot: i64,
    /// The time, if it sees to what others leave lying; none if another node does.
    pub others_at: Option<Time>,
}

impl Reader {
    /// The oldest events that nobody has worked off, with number and body: of all, or of this share.
    pub fn pending_events(
        &mut self,
        limit: usize,
        share: Option<Share>,
    ) -> Result<Vec<NumberedBody>, StoreError> {
        let Some(share) = share else {
            return self.pending("", vec![], limit);
        };
        let slot = node::slot_of("e.number");
        let own = format!("AND {slot} = {}", share.slot);
        let mut events = self.pending(&own, vec![], limit)?;
        if let Some(now) = share.others_at
            && events.len() < limit
        {
            let lying = "(e.received_at < $1 OR e.received_at > $2)";
            let others = format!("AND {slot} <> {} AND {lying}", share.slot);
            let span =
                [-LEFT_SECONDS, LEFT_SECONDS].map(|seconds| now.plus_seconds(seconds).into());
            let left = limit - events.len();
            events.extend(self.pending(&others, span.to_vec(), left)?);
        }
        Ok(events)
    }

    fn pending(
        &mut self,
        condition: &str,
        parameters: Parameters,
        limit: usize,
    ) -> Result<Vec<NumberedBody>, StoreError> {
        let sql = format!(
            "SELECT e.number, b.body FROM stripe_event e JOIN stripe_event_body b ON b.number = e.number \
             WHERE e.status = 'pending' {condition} ORDER BY e.number LIMIT {limit}"
        );
        let rows = self.connection().rows(&sql, parameters)?;
        rows.iter()
            .map(|row| Ok((row.integer(0)?, row.bytes(1)?)))
            .collect()
    }

    /// How many events are stored: all, or those of one status.
    pub fn event_count(&mut self, status: Option<EventStatus>) -> Result<u64, StoreError> {
        // Written out, not a parameter, so that the partial index of pending events serves.
        let condition = status.map_or(String::new(), |status| {
            format!(" WHERE status = '{}'", status.as_str())
        });
        let sql = format!("SELECT count(*) FROM stripe_event{condition}");
        let rows = self.connection().rows(&sql, vec![])?;
        let count = rows.first().map_or(Ok(0), |row| row.integer(0))?;
        u64::try_from(count).map_err(|_| StoreError::corrupt("a negative count"))
    }
}
