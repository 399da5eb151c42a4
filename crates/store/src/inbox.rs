//! What waits to be worked off, and how much there is.

use std::sync::Arc;

use bursar_domain::event::EventStatus;

use crate::connection::StoreError;
use crate::query::Reader;

/// An event's number and what is kept of its body.
type NumberedBody = (i64, Arc<[u8]>);

impl Reader {
    /// The oldest events that nobody has worked off, with number and body.
    pub fn pending_events(&mut self, limit: usize) -> Result<Vec<NumberedBody>, StoreError> {
        let sql = format!(
            "SELECT e.number, b.body FROM stripe_event e JOIN stripe_event_body b ON b.number = e.number \
             WHERE e.status = 'pending' ORDER BY e.number LIMIT {limit}"
        );
        let rows = self.connection().rows(&sql, vec![])?;
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
