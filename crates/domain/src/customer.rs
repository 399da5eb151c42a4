//! Customers: who a user is at the provider, so that his cards can be kept there. One for each user and mode, for ever.

use serde::{Deserialize, Serialize};

use crate::id::UserId;
use crate::planted::{self, Bug};
use crate::state::State;

/// Whose customer, and in which mode.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct CustomerKey {
    /// The user.
    pub user: UserId,
    /// Whether it is about real money.
    pub livemode: bool,
}

/// Who a user is at the provider.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Customer {
    /// Whose, and in which mode.
    pub key: CustomerKey,
    /// The provider's id of him.
    pub id: String,
}

/// Remembers who a user is. Whoever comes second gets the first one.
pub(crate) fn opened(state: &mut State, customer: &Customer) -> Customer {
    let known = state.customers.get(&customer.key);
    if let Some(known) = known.filter(|_| !planted::is(Bug::CustomerTwice)) {
        return known.clone();
    }
    state.customers.put(customer.key.clone(), customer.clone());
    customer.clone()
}
