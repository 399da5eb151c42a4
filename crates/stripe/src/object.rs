//! Stripe's objects, as far as we read them.
//!
//! Everything but the id is optional, unknown fields are ignored and every enum is open, because
//! an answer or an event may come from any API version from basil on. An amount that is not an
//! integer makes the object unreadable on purpose: there is no second way to read money.

use crate::open_enum::open_enum;
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;

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
#[derive(Debug, Clone, PartialEq)]
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

open_enum! {
    /// Where a checkout session stands.
    SessionStatus {
        Open = "open",
        Complete = "complete",
        Expired = "expired",
    }
}

open_enum! {
    /// Whether a checkout session has been paid.
    PaymentStatus {
        Paid = "paid",
        Unpaid = "unpaid",
        NoPaymentRequired = "no_payment_required",
    }
}

open_enum! {
    /// What a checkout session is for.
    SessionMode {
        Payment = "payment",
        Setup = "setup",
        Subscription = "subscription",
    }
}

/// A checkout session: one visit to Stripe's payment page.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct CheckoutSession {
    /// `cs_test_…` or `cs_live_…`.
    pub id: String,
    /// Open until it is completed or expires.
    #[serde(default)]
    pub status: Option<SessionStatus>,
    /// `complete` and still `unpaid` means that a delayed method is under way.
    #[serde(default)]
    pub payment_status: Option<PaymentStatus>,
    /// `payment` for what we create.
    #[serde(default)]
    pub mode: Option<SessionMode>,
    /// Before discounts and taxes, in minor units of `currency`.
    #[serde(default)]
    pub amount_subtotal: Option<i64>,
    /// After discounts and taxes, in minor units of `currency`.
    #[serde(default)]
    pub amount_total: Option<i64>,
    /// Three letters in lower case.
    #[serde(default)]
    pub currency: Option<String>,
    /// The reference we gave when creating it.
    #[serde(default)]
    pub client_reference_id: Option<String>,
    /// The metadata we gave when creating it.
    #[serde(default)]
    pub metadata: Metadata,
    /// The payment behind it; absent until the customer pays.
    #[serde(default)]
    pub payment_intent: Option<Expandable<PaymentIntent>>,
    /// The customer who pays, if one is known.
    #[serde(default)]
    pub customer: Option<Expandable<Customer>>,
    /// Whether it is about real money.
    #[serde(default)]
    pub livemode: Option<bool>,
    /// The page to send the customer to; absent once it is complete or expired.
    #[serde(default)]
    pub url: Option<String>,
    /// Unix seconds.
    #[serde(default)]
    pub expires_at: Option<i64>,
    /// Unix seconds.
    #[serde(default)]
    pub created: Option<i64>,
    /// Set where the customer paid in another currency (versions that change the session's own).
    #[serde(default)]
    pub currency_conversion: Option<CurrencyConversion>,
    /// Set where the customer saw another currency (versions that keep the session's own).
    #[serde(default)]
    pub presentment_details: Option<PresentmentDetails>,
}

/// The amount before it was converted to the currency the customer chose.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct CurrencyConversion {
    /// In minor units of `source_currency`.
    #[serde(default)]
    pub amount_subtotal: Option<i64>,
    /// In minor units of `source_currency`.
    #[serde(default)]
    pub amount_total: Option<i64>,
    /// The currency we asked for.
    #[serde(default)]
    pub source_currency: Option<String>,
    /// A decimal, as text.
    #[serde(default)]
    pub fx_rate: Option<String>,
}

/// What the customer saw, where it differs from what we asked for.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct PresentmentDetails {
    /// In minor units of `presentment_currency`.
    #[serde(default)]
    pub presentment_amount: Option<i64>,
    /// The currency shown.
    #[serde(default)]
    pub presentment_currency: Option<String>,
}

open_enum! {
    /// Where a payment stands.
    IntentStatus {
        RequiresPaymentMethod = "requires_payment_method",
        RequiresConfirmation = "requires_confirmation",
        RequiresAction = "requires_action",
        RequiresCapture = "requires_capture",
        Processing = "processing",
        Succeeded = "succeeded",
        Canceled = "canceled",
    }
}

/// A payment, from the first attempt to its end.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct PaymentIntent {
    /// `pi_…`.
    pub id: String,
    /// Final when `succeeded` or `canceled`.
    #[serde(default)]
    pub status: Option<IntentStatus>,
    /// What is asked for, in minor units.
    #[serde(default)]
    pub amount: Option<i64>,
    /// What has been paid, in minor units.
    #[serde(default)]
    pub amount_received: Option<i64>,
    /// Three letters in lower case.
    #[serde(default)]
    pub currency: Option<String>,
    /// The newest attempt.
    #[serde(default)]
    pub latest_charge: Option<Expandable<Charge>>,
    /// Why the newest attempt failed; absent after a success.
    #[serde(default)]
    pub last_payment_error: Option<PaymentError>,
    /// The metadata we gave.
    #[serde(default)]
    pub metadata: Metadata,
    /// The customer who pays, if one is known.
    #[serde(default)]
    pub customer: Option<Expandable<Customer>>,
    /// Whether it is about real money.
    #[serde(default)]
    pub livemode: Option<bool>,
    /// Unix seconds.
    #[serde(default)]
    pub created: Option<i64>,
    /// What a browser needs to confirm the payment. Never printed.
    #[serde(default)]
    pub client_secret: Option<Hidden>,
}

/// Why an attempt to pay failed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
pub struct PaymentError {
    /// `card_declined` and so on.
    #[serde(default)]
    pub code: Option<String>,
    /// The bank's reason: `insufficient_funds` and so on.
    #[serde(default)]
    pub decline_code: Option<String>,
    /// Written for the customer.
    #[serde(default)]
    pub message: Option<String>,
    /// `card_error` and so on.
    #[serde(default, rename = "type")]
    pub kind: Option<String>,
}

open_enum! {
    /// Where a charge stands.
    ChargeStatus {
        Succeeded = "succeeded",
        Pending = "pending",
        Failed = "failed",
    }
}

/// One attempt to take money.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Charge {
    /// `ch_…` or `py_…`.
    pub id: String,
    /// Where it stands.
    #[serde(default)]
    pub status: Option<ChargeStatus>,
    /// In minor units.
    #[serde(default)]
    pub amount: Option<i64>,
    /// In minor units.
    #[serde(default)]
    pub amount_captured: Option<i64>,
    /// The sum of all refunds, in minor units.
    #[serde(default)]
    pub amount_refunded: Option<i64>,
    /// Three letters in lower case.
    #[serde(default)]
    pub currency: Option<String>,
    /// The payment it belongs to.
    #[serde(default)]
    pub payment_intent: Option<Expandable<PaymentIntent>>,
    /// Whether it succeeded or was authorised.
    #[serde(default)]
    pub paid: Option<bool>,
    /// Whether it was refunded in full.
    #[serde(default)]
    pub refunded: Option<bool>,
    /// Whether the customer's bank disputes it.
    #[serde(default)]
    pub disputed: Option<bool>,
    /// Whether it is about real money.
    #[serde(default)]
    pub livemode: Option<bool>,
    /// Copied from the payment when the charge was made.
    #[serde(default)]
    pub metadata: Metadata,
    /// Unix seconds.
    #[serde(default)]
    pub created: Option<i64>,
}

open_enum! {
    /// Where a refund stands.
    RefundStatus {
        Pending = "pending",
        RequiresAction = "requires_action",
        Succeeded = "succeeded",
        Failed = "failed",
        Canceled = "canceled",
    }
}

/// Money on its way back. It can still fail after it succeeded.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Refund {
    /// `re_…`.
    pub id: String,
    /// Where it stands.
    #[serde(default)]
    pub status: Option<RefundStatus>,
    /// In minor units.
    #[serde(default)]
    pub amount: Option<i64>,
    /// Three letters in lower case.
    #[serde(default)]
    pub currency: Option<String>,
    /// The charge it takes back.
    #[serde(default)]
    pub charge: Option<Expandable<Charge>>,
    /// The payment it takes back.
    #[serde(default)]
    pub payment_intent: Option<Expandable<PaymentIntent>>,
    /// `requested_by_customer` and so on.
    #[serde(default)]
    pub reason: Option<String>,
    /// Set when it failed.
    #[serde(default)]
    pub failure_reason: Option<String>,
    /// Our own keys and values.
    #[serde(default)]
    pub metadata: Metadata,
    /// Unix seconds.
    #[serde(default)]
    pub created: Option<i64>,
}

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

open_enum! {
    /// Whether Stripe delivers to an endpoint.
    EndpointStatus {
        Enabled = "enabled",
        Disabled = "disabled",
    }
}

/// Where Stripe delivers events to.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct WebhookEndpoint {
    /// `we_…`.
    pub id: String,
    /// The address delivered to.
    #[serde(default)]
    pub url: Option<String>,
    /// The types delivered; `*` for all.
    #[serde(default)]
    pub enabled_events: Vec<String>,
    /// Whether Stripe delivers to it.
    #[serde(default)]
    pub status: Option<EndpointStatus>,
    /// The version its events are written in; absent for the account's own.
    #[serde(default)]
    pub api_version: Option<String>,
    /// Whether it is about real money.
    #[serde(default)]
    pub livemode: Option<bool>,
    /// Our own keys and values.
    #[serde(default)]
    pub metadata: Metadata,
    /// The signing secret; Stripe sends it once, when the endpoint is created. Never printed.
    #[serde(default)]
    pub secret: Option<Hidden>,
}

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

/// The balance of an account. Reading it is the cheapest proof that a key works.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Balance {
    /// Whether the key behind the question is a live one.
    #[serde(default)]
    pub livemode: Option<bool>,
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

identified!(CheckoutSession PaymentIntent Charge Refund Customer WebhookEndpoint Account);

#[cfg(test)]
mod tests;
