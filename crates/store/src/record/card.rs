//! Rows about saved cards: who a user is at the provider.

use bursar_domain::customer::{Customer, CustomerKey};
use bursar_domain::id::UserId;

use crate::connection::{Parameters, Row, StoreError};

pub(crate) const CUSTOMER: &str = "user_id, livemode, id";

pub(crate) fn customer_key(key: &CustomerKey) -> Parameters {
    vec![key.user.as_str().into(), key.livemode.into()]
}

pub(crate) fn write_customer(customer: &Customer) -> Parameters {
    let mut row = customer_key(&customer.key);
    row.push(customer.id.as_str().into());
    row
}

pub(crate) fn read_customer(row: &Row) -> Result<Customer, StoreError> {
    let key = CustomerKey {
        user: row.parsed(0, UserId::parse)?,
        livemode: row.boolean(1)?,
    };
    let id = row.text(2)?.to_owned();
    Ok(Customer { key, id })
}
