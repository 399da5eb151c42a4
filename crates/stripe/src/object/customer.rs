//! Customers.

use super::Metadata;
use serde::Deserialize;

/// A customer; of a deleted one only the id is left.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Customer {
    /// `cus_…`.
    pub id: String,
    /// Whether only the id is left.
    #[serde(default)]
    pub deleted: bool,
    /// Our own keys and values.
    #[serde(default)]
    pub metadata: Metadata,
    /// Whether it is about real money.
    #[serde(default)]
    pub livemode: Option<bool>,
}
