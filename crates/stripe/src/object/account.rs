//! The account behind a key.

use serde::Deserialize;

/// The account behind a key.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Account {
    /// `acct_…`.
    pub id: String,
    /// Two letters.
    #[serde(default)]
    pub country: Option<String>,
    /// Three letters in lower case.
    #[serde(default)]
    pub default_currency: Option<String>,
    /// Whether it may take money.
    #[serde(default)]
    pub charges_enabled: Option<bool>,
}
