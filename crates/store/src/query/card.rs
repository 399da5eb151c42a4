//! What readers ask about saved cards.

use bursar_domain::customer::{Customer, CustomerKey};

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
}
