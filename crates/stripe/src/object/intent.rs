//! Payment intents and setup intents: payments and the saving of cards, from the first attempt to the end.

use super::{Charge, Customer, Expandable, Hidden, Metadata, PaymentMethod};
use crate::open_enum::open_enum;
use crate::redact::redacted;
use serde::{Deserialize, Deserializer};

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

open_enum! {
    /// For which later payments a card is kept.
    FutureUsage {
        OnSession = "on_session",
        OffSession = "off_session",
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
    /// What it was or will be paid with.
    #[serde(default)]
    pub payment_method: Option<Expandable<PaymentMethod>>,
    /// Set where the card is kept for later payments.
    #[serde(default)]
    pub setup_future_usage: Option<FutureUsage>,
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
    /// Whether and how to try again: `try_again_later`, `do_not_try_again` and so on.
    #[serde(default)]
    pub advice_code: Option<String>,
    /// Written for the customer. Keys and client secrets in it are masked.
    #[serde(default, deserialize_with = "masked")]
    pub message: Option<String>,
    /// `card_error` and so on.
    #[serde(default, rename = "type")]
    pub kind: Option<String>,
}

/// Reads a text that may be shown to somebody.
fn masked<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    let text = Option::<String>::deserialize(deserializer)?;
    Ok(text.map(|text| redacted(&text).into_owned()))
}

open_enum! {
    /// Where the saving of a card stands.
    SetupStatus {
        RequiresPaymentMethod = "requires_payment_method",
        RequiresConfirmation = "requires_confirmation",
        RequiresAction = "requires_action",
        Processing = "processing",
        Succeeded = "succeeded",
        Canceled = "canceled",
    }
}

/// The saving of a card without a payment.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct SetupIntent {
    /// `seti_…`.
    pub id: String,
    /// Final when `succeeded` or `canceled`.
    #[serde(default)]
    pub status: Option<SetupStatus>,
    /// What a browser needs to confirm it. Never printed.
    #[serde(default)]
    pub client_secret: Option<Hidden>,
    /// The customer whose card it is.
    #[serde(default)]
    pub customer: Option<Expandable<Customer>>,
    /// The card, once there is one.
    #[serde(default)]
    pub payment_method: Option<Expandable<PaymentMethod>>,
    /// Why the newest attempt failed; absent after a success.
    #[serde(default)]
    pub last_setup_error: Option<PaymentError>,
    /// Our own keys and values.
    #[serde(default)]
    pub metadata: Metadata,
    /// Whether it is a live one.
    #[serde(default)]
    pub livemode: Option<bool>,
    /// Unix seconds.
    #[serde(default)]
    pub created: Option<i64>,
}
