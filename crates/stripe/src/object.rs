//! Stripe's objects, as far as we read them.
//!
//! Everything but the id is optional, unknown fields are ignored and every enum is open, because
//! an answer or an event may come from any API version from basil on. An amount that is not an
//! integer makes the object unreadable on purpose: there is no second way to read money.

use crate::event::Event;
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;

mod account;
mod balance;
mod charge;
mod coupon;
mod customer;
mod dispute;
mod endpoint;
mod intent;
mod payment_method;
mod refund;
mod session;

pub use account::Account;
pub use balance::{Balance, BalanceStatus, BalanceTransaction, Source};
pub use charge::{Charge, ChargeStatus, PaymentMethodDetails};
pub use coupon::Coupon;
pub use customer::Customer;
pub use dispute::{Dispute, DisputeStatus, EarlyFraudWarning};
pub use endpoint::{EndpointStatus, WebhookEndpoint};
pub use intent::{
    FutureUsage, IntentStatus, PaymentError, PaymentIntent, SetupIntent, SetupStatus,
};
pub use payment_method::{Card, PaymentMethod};
pub use refund::{Refund, RefundStatus};
pub use session::{
    CheckoutSession, CurrencyConversion, PaymentStatus, PresentmentDetails, SessionMode,
    SessionStatus, TotalDetails,
};

/// `metadata`: our own keys and values on an object. Null reads as empty.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Metadata(pub BTreeMap<String, String>);

impl Metadata {
    /// The value of one key.
    pub fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key).map(String::as_str)
    }
}

impl<'de> Deserialize<'de> for Metadata {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Option::deserialize(deserializer).map(|entries| Self(entries.unwrap_or_default()))
    }
}

impl Serialize for Metadata {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

/// A text that must not be printed, such as a client secret.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct Hidden(String);

impl Hidden {
    /// The text itself, for the one place that needs it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Hidden {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// An object with an id.
pub trait Identified {
    /// The object's id.
    fn id(&self) -> &str;
}

/// A field that holds an object's id or, when expanded, the object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Expandable<T> {
    /// The id alone.
    Id(String),
    /// The whole object.
    Object(Box<T>),
}

impl<T: Identified> Expandable<T> {
    /// The id, in either form.
    pub fn id(&self) -> &str {
        match self {
            Self::Id(id) => id,
            Self::Object(object) => object.id(),
        }
    }
}

impl<T> Expandable<T> {
    /// The object, if it was expanded.
    pub fn object(&self) -> Option<&T> {
        match self {
            Self::Id(_) => None,
            Self::Object(object) => Some(object),
        }
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Expandable<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either<T>(PhantomData<T>);

        impl<'de, T: Deserialize<'de>> Visitor<'de> for Either<T> {
            type Value = Expandable<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an id or an object")
            }

            fn visit_str<E>(self, id: &str) -> Result<Self::Value, E> {
                Ok(Expandable::Id(id.to_owned()))
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
                let object = T::deserialize(MapAccessDeserializer::new(map))?;
                Ok(Expandable::Object(Box::new(object)))
            }
        }

        deserializer.deserialize_any(Either(PhantomData))
    }
}

/// One page of a list, newest first.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct List<T> {
    /// The items of this page.
    pub data: Vec<T>,
    /// Whether another page follows; ask with the last item's id as `starting_after`.
    #[serde(default)]
    pub has_more: bool,
}

impl<T: Identified> List<T> {
    /// The `starting_after` of the page behind this one; `None` on the last page.
    pub fn next_starting_after(&self) -> Option<&str> {
        let last = self.data.last().filter(|_| self.has_more)?;
        Some(last.id())
    }
}

/// Reads an expandable field whose object may be of many types: only its id counts.
fn only_id<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    #[derive(Deserialize)]
    struct Bare {
        id: String,
    }
    let field = Option::<Expandable<Bare>>::deserialize(deserializer)?;
    Ok(field.map(|field| match field {
        Expandable::Id(id) => id,
        Expandable::Object(object) => object.id,
    }))
}

/// Reads a list that may be null.
fn null_as_empty<'de, D, T>(deserializer: D) -> Result<Vec<T>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    Option::deserialize(deserializer).map(Option::unwrap_or_default)
}

macro_rules! identified {
    ($($name:ident)+) => {
        $(impl Identified for $name {
            fn id(&self) -> &str {
                &self.id
            }
        })+
    };
}

identified!(CheckoutSession PaymentIntent SetupIntent Charge Refund Dispute EarlyFraudWarning);
identified!(Source BalanceTransaction PaymentMethod Coupon Customer WebhookEndpoint Account);

impl Identified for Event {
    fn id(&self) -> &str {
        &self.id
    }
}

#[cfg(test)]
mod tests;
