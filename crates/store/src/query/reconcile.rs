//! What reconciliation asks: our rows of what Stripe has listed, page by page, so that no question needs more memory than a page.

use bursar_domain::award::Award;
use bursar_domain::dispute::Dispute;
use bursar_domain::mark;
use bursar_domain::payment::Payment;
use bursar_domain::recovery::Recovery;
use bursar_domain::refund::Refund;

use super::Reader;
use crate::connection::{Parameters, Row, StoreError};
use crate::record;

/// A payment with everything that belongs to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Purchase {
    /// The payment.
    pub payment: Payment,
    /// What it has given.
    pub awards: Vec<Award>,
    /// Its refunds.
    pub refunds: Vec<Refund>,
    /// Its disputes.
    pub disputes: Vec<Dispute>,
}

/// A stretch of time, both ends included, in seconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// Its beginning.
    pub from: i64,
    /// Its end.
    pub to: i64,
}

impl Reader {
    /// The payments with these checkout sessions, in their order.
    pub fn payments_of_sessions(
        &mut self,
        sessions: &[String],
    ) -> Result<Vec<Option<Payment>>, StoreError> {
        self.payments_by("session", sessions)
    }

    /// The payments with these payment intents, in their order.
    pub fn payments_of_intents(
        &mut self,
        intents: &[String],
    ) -> Result<Vec<Option<Payment>>, StoreError> {
        self.payments_by("intent", intents)
    }

    fn payments_by(
        &mut self,
        column: &str,
        keys: &[String],
    ) -> Result<Vec<Option<Payment>>, StoreError> {
        let sql = format!(
            "SELECT {} FROM payment WHERE {column} = $1",
            record::PAYMENT
        );
        let keys: Vec<Parameters> = keys.iter().map(|key| vec![key.as_str().into()]).collect();
        let answers = self.connection.query(&sql, &keys)?;
        let first = |rows: &Vec<Row>| rows.first().map(record::read_payment).transpose();
        answers.iter().map(first).collect()
    }

    /// Everything that belongs to these payments, in their order.
    pub fn purchases(&mut self, payments: Vec<Payment>) -> Result<Vec<Purchase>, StoreError> {
        let keys: Vec<Parameters> = payments
            .iter()
            .map(|payment| vec![payment.id.as_str().into()])
            .collect();
        let of = |columns: &str, table: &str, key: &str| {
            format!("SELECT {columns} FROM {table} WHERE payment_id = $1 ORDER BY {key}")
        };
        let awards = of(record::AWARD, "award", "kind");
        let awards = self.connection.query(&awards, &keys)?;
        let refunds = of(record::REFUND, "refund", "id");
        let refunds = self.connection.query(&refunds, &keys)?;
        let disputes = of(record::DISPUTE, "dispute", "id");
        let disputes = self.connection.query(&disputes, &keys)?;
        let rows = payments.into_iter().zip(awards).zip(refunds).zip(disputes);
        rows.map(|(((payment, awards), refunds), disputes)| {
            Ok(Purchase {
                payment,
                awards: all(&awards, record::read_award)?,
                refunds: all(&refunds, record::read_refund)?,
                disputes: all(&disputes, record::read_dispute)?,
            })
        })
        .collect()
    }

    /// Payments with higher numbers than `after`, in the order of their numbers.
    pub fn payments_after(&mut self, after: i64, limit: usize) -> Result<Vec<Payment>, StoreError> {
        let sql = format!(
            "SELECT {} FROM payment WHERE number > $1 ORDER BY number LIMIT {limit}",
            record::PAYMENT
        );
        let rows = self.connection.rows(&sql, vec![after.into()])?;
        all(&rows, record::read_payment)
    }

    /// Which of these events are stored, in their order.
    pub fn are_events_stored(&mut self, ids: &[String]) -> Result<Vec<bool>, StoreError> {
        let keys: Vec<Parameters> = ids.iter().map(|id| vec![id.as_str().into()]).collect();
        let sql = "SELECT number FROM stripe_event WHERE id = $1";
        let answers = self.connection.query(sql, &keys)?;
        Ok(answers.iter().map(|rows| !rows.is_empty()).collect())
    }

    /// Numbers of stored events that arrived in `span` and have higher numbers than `after`.
    pub fn events_received(
        &mut self,
        span: Span,
        after: i64,
        limit: usize,
    ) -> Result<Vec<i64>, StoreError> {
        let sql = format!(
            "SELECT number FROM stripe_event WHERE number > $1 AND received_at >= $2 AND received_at < $3 \
             ORDER BY number LIMIT {limit}"
        );
        let from = span.from.saturating_mul(1_000_000);
        let to = span.to.saturating_add(1).saturating_mul(1_000_000);
        let rows = self
            .connection
            .rows(&sql, vec![after.into(), from.into(), to.into()])?;
        rows.iter().map(|row| row.integer(0)).collect()
    }

    /// The number of the newest payment; 0 if there is none.
    pub fn newest_payment(&mut self) -> Result<i64, StoreError> {
        let sql = "SELECT coalesce(max(number), 0) FROM payment";
        let rows = self.connection.rows(sql, vec![])?;
        rows.first().map_or(Ok(0), |row| row.integer(0))
    }

    /// How many top-ups were paid by no payment: an administrator finished them.
    pub fn count_finished_by_hand(&mut self) -> Result<u64, StoreError> {
        let sql = "SELECT count(*) FROM topup WHERE status = 'paid' AND NOT EXISTS (SELECT 1 FROM payment p \
                   JOIN award a ON a.payment_id = p.id WHERE p.topup_id = topup.id)";
        let rows = self.connection.rows(sql, vec![])?;
        let count = rows.first().map_or(Ok(0), |row| row.integer(0))?;
        u64::try_from(count).map_err(|_| StoreError::corrupt("a negative count"))
    }

    /// The newest moment that anything here tells of, in seconds since 1970: what happened later is not in this database.
    pub fn newest_moment(&mut self) -> Result<i64, StoreError> {
        let mut newest = 0;
        for (column, table) in [
            ("updated_at", "payment"),
            ("updated_at", "topup"),
            ("received_at", "stripe_event"),
            ("at", "ledger_transaction"),
        ] {
            let sql = format!("SELECT coalesce(max({column}), 0) FROM {table}");
            let rows = self.connection.rows(&sql, vec![])?;
            newest = newest.max(rows.first().map_or(Ok(0), |row| row.integer(0))?);
        }
        Ok(newest.div_euclid(1_000_000))
    }

    /// The recovery mode, if the service is in it.
    pub fn recovery(&mut self) -> Result<Option<Recovery>, StoreError> {
        let value = self.mark(mark::RECOVERY)?;
        Ok(value.as_deref().and_then(Recovery::parse))
    }
}

fn all<T>(
    rows: &[Row],
    read: impl Fn(&Row) -> Result<T, StoreError>,
) -> Result<Vec<T>, StoreError> {
    rows.iter().map(read).collect()
}
