//! What readers ask about money that goes back.

use bursar_domain::award::Award;
use bursar_domain::dispute::Dispute;
use bursar_domain::id::{PaymentId, RefundId};
use bursar_domain::refund::{Refund, RefundStatus};

use super::{Conditions, Page, PageRequest, Reader, id_cursor};
use crate::connection::StoreError;
use crate::record;

/// Narrows a list of refunds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RefundFilter {
    /// Only those of this payment.
    pub payment: Option<PaymentId>,
    /// Only those that stand so.
    pub status: Option<RefundStatus>,
}

impl Reader {
    /// One refund.
    pub fn refund(&mut self, id: &RefundId) -> Result<Option<Refund>, StoreError> {
        let sql = format!("SELECT {} FROM refund WHERE id = $1", record::REFUND);
        self.one(&sql, id.as_str(), record::read_refund)
    }

    /// Refunds, the newest first.
    pub fn refunds(
        &mut self,
        filter: &RefundFilter,
        request: &PageRequest,
    ) -> Result<Page<Refund>, StoreError> {
        let mut conditions = Conditions::default();
        conditions.equal("payment_id", filter.payment.as_ref().map(PaymentId::as_str));
        conditions.equal("status", filter.status.map(RefundStatus::as_str));
        let known = |text: &str| RefundId::parse(text).is_some();
        conditions.compare("id", "<", id_cursor(request, known)?);
        let table = (record::REFUND, "refund", "id");
        self.page(table, &conditions, request, record::read_refund, |refund| {
            refund.id.to_string()
        })
    }

    /// All disputes of a payment, in the order of their ids.
    pub fn disputes(&mut self, payment: &PaymentId) -> Result<Vec<Dispute>, StoreError> {
        let sql = format!(
            "SELECT {} FROM dispute WHERE payment_id = $1 ORDER BY id",
            record::DISPUTE
        );
        let rows = self.connection.rows(&sql, vec![payment.as_str().into()])?;
        rows.iter().map(record::read_dispute).collect()
    }

    /// What a payment has given.
    pub fn awards(&mut self, payment: &PaymentId) -> Result<Vec<Award>, StoreError> {
        let sql = format!(
            "SELECT {} FROM award WHERE payment_id = $1 ORDER BY kind",
            record::AWARD
        );
        let rows = self.connection.rows(&sql, vec![payment.as_str().into()])?;
        rows.iter().map(record::read_award).collect()
    }

    /// A value that is remembered.
    pub fn mark(&mut self, name: &str) -> Result<Option<String>, StoreError> {
        let sql = "SELECT value FROM mark WHERE name = $1";
        self.one(sql, name, |row| row.text(0).map(str::to_owned))
    }
}
