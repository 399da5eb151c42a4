//! Accounts: who or what holds value, in one unit.

use std::cmp::Ordering;
use std::fmt;
use std::sync::{Arc, LazyLock};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::amount::Unit;
use crate::id::UserId;
use crate::time::Time;

/// What an account is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AccountKind {
    /// Value of one user in one unit. The only kind that keeps a running balance and a chain of entries.
    Wallet,
    /// Where sold credits come from: its sum is minus all credits ever sold.
    Sold,
    /// Where value comes from that is given and not sold: its sum is minus all of it.
    Granted,
    /// Where value goes that customers spend.
    Spent,
    /// Where value goes that expired unused.
    Breakage,
    /// The other side of an exchange of one unit for another.
    Exchanged,
    /// What passes from an expired grant to the one that follows it; always sums to zero.
    RolledOver,
    /// The other side of corrections by an administrator.
    Adjusted,
    /// What the operator bears: credit that was spent although the money for it went back.
    Absorbed,
    /// Money customers have paid to a provider: its sum is minus all money received.
    Received,
    /// Money a payment provider holds for us.
    Clearing,
}

impl AccountKind {
    /// All of them.
    pub const ALL: [Self; 11] = [
        Self::Wallet,
        Self::Sold,
        Self::Granted,
        Self::Spent,
        Self::Breakage,
        Self::Exchanged,
        Self::RolledOver,
        Self::Adjusted,
        Self::Absorbed,
        Self::Received,
        Self::Clearing,
    ];

    /// As written in the database.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Wallet => "wallet",
            Self::Sold => "sold",
            Self::Granted => "granted",
            Self::Spent => "spent",
            Self::Breakage => "breakage",
            Self::Exchanged => "exchanged",
            Self::RolledOver => "rolled_over",
            Self::Adjusted => "adjusted",
            Self::Absorbed => "absorbed",
            Self::Received => "received",
            Self::Clearing => "clearing",
        }
    }

    /// The kind written as `text` in the database.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text)
    }

    /// Whether the balance is kept with the account. The others would be one hot row for everybody; their balance is
    /// the sum of their postings.
    pub const fn keeps_balance(self) -> bool {
        matches!(self, Self::Wallet)
    }
}

/// Whose account it is. Cheap to clone: the same text is shared by everything that names it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Owner(Arc<str>);

impl Owner {
    /// As written in the database.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<Arc<str>> for Owner {
    fn from(text: Arc<str>) -> Self {
        Self(text)
    }
}

impl From<&str> for Owner {
    fn from(text: &str) -> Self {
        Self(text.into())
    }
}

impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Ord for Owner {
    fn cmp(&self, other: &Self) -> Ordering {
        // Most comparisons are of a name with itself.
        if Arc::ptr_eq(&self.0, &other.0) {
            return Ordering::Equal;
        }
        self.0.cmp(&other.0)
    }
}

impl PartialOrd for Owner {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Serialize for Owner {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Owner {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Self::from(String::deserialize(deserializer)?.as_str()))
    }
}

/// Names an account: its kind, its owner (a user id, a provider, or empty) and its unit.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct AccountKey {
    /// What it is for.
    pub kind: AccountKind,
    /// Whose it is: a user id for wallets, a provider id for clearing, empty for the house.
    pub owner: Owner,
    /// What it counts. Units never mix: a posting connects two accounts of one unit.
    pub unit: Unit,
}

impl AccountKey {
    /// The credits of `user`.
    pub fn wallet(user: &UserId) -> Self {
        Self::wallet_in(user, Unit::CREDIT)
    }

    /// What `user` has in `unit`. Wallets of different units are different accounts and never mix.
    pub fn wallet_in(user: &UserId, unit: Unit) -> Self {
        Self {
            kind: AccountKind::Wallet,
            owner: Owner::from(user.shared()),
            unit,
        }
    }

    /// An account of the house, in `unit`.
    pub fn house(kind: AccountKind, unit: Unit) -> Self {
        static NOBODY: LazyLock<Owner> = LazyLock::new(|| Owner::from(""));
        Self {
            kind,
            owner: NOBODY.clone(),
            unit,
        }
    }

    /// An account that mirrors what `provider` does, in `unit`.
    pub fn of_provider(kind: AccountKind, provider: &str, unit: Unit) -> Self {
        Self {
            kind,
            owner: Owner::from(provider),
            unit,
        }
    }
}

/// An account as stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// Its number in the database.
    pub number: i64,
    /// Its name.
    pub key: AccountKey,
    /// What came in minus what went out, in smallest steps. Zero for kinds that keep no balance.
    pub balance: i64,
    /// How many entries the account has.
    pub entries: i64,
    /// Number of the newest posting that touches it; 0 if none. The start of its chain of entries.
    pub head: i64,
    /// When it was opened.
    pub opened_at: Time,
    /// When it was last touched.
    pub updated_at: Time,
}

impl AccountKey {
    /// A new, empty account under this key.
    pub(crate) fn open(self, number: i64, now: Time) -> Account {
        Account {
            number,
            key: self,
            balance: 0,
            entries: 0,
            head: 0,
            opened_at: now,
            updated_at: now,
        }
    }
}
