//! What readers ask about saved cards.

use bursar_domain::auto_topup::{AutoTopup, MARK};
use bursar_domain::customer::{Customer, CustomerKey};
use bursar_domain::id::UserId;

use super::Reader;
use crate::connection::StoreError;
use crate::record;

impl Reader {
    /// Who a user is at the provider, if he is known there.
    pub fn customer(&mut self, key: &CustomerKey) -> Result<Option<Customer>, StoreError> {
        let sql = format!(
            "SELECT {} FROM customer WHERE user_id = $1 AND livemode = $2",
            record::CUSTOMER
        );
        let rows = self.connection().rows(&sql, record::customer_key(key))?;
        rows.first().map(record::read_customer).transpose()
    }

    /// The automatic top-up of a user, if he ever set one.
    pub fn auto_topup(&mut self, user: &UserId) -> Result<Option<AutoTopup>, StoreError> {
        let sql = format!(
            "SELECT {} FROM auto_topup WHERE user_id = $1",
            record::AUTO_TOPUP
        );
        let rows = self.connection().rows(&sql, vec![user.as_str().into()])?;
        rows.first().map(record::read_auto_topup).transpose()
    }

    /// Whose automatic top-up is on and not stopped, in the order of their names; those after `after`, so many at most.
    pub fn armed_auto_topups(
        &mut self,
        after: &str,
        most: usize,
    ) -> Result<Vec<UserId>, StoreError> {
        let sql = format!(
            "SELECT user_id FROM auto_topup WHERE enabled = 1 AND stopped IS NULL AND user_id > $1 \
             ORDER BY user_id LIMIT {most}"
        );
        let rows = self.connection().rows(&sql, vec![after.into()])?;
        rows.iter()
            .map(|row| row.parsed(0, UserId::parse))
            .collect()
    }

    /// The last announcement that was looked at for automatic top-ups.
    pub fn auto_topup_mark(&mut self) -> Result<i64, StoreError> {
        let sql = "SELECT value FROM mark WHERE name = $1";
        let rows = self.connection().rows(sql, vec![MARK.into()])?;
        let mark = rows
            .first()
            .map(|row| row.parsed(0, |text| text.parse().ok()));
        Ok(mark.transpose()?.unwrap_or(0))
    }
}
