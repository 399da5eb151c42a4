//! Checkout sessions: visits to Stripe's payment page.

use super::{Customer, Expandable, Metadata, PaymentIntent, SetupIntent};
use crate::open_enum::open_enum;
use serde::Deserialize;

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
    /// What lies between the subtotal and the total.
    #[serde(default)]
    pub total_details: Option<TotalDetails>,
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
    /// The card being saved, in `setup` mode.
    #[serde(default)]
    pub setup_intent: Option<Expandable<SetupIntent>>,
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

/// What lies between the subtotal and the total of a session, in minor units of its currency.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct TotalDetails {
    /// The sum of all discounts; positive.
    #[serde(default)]
    pub amount_discount: Option<i64>,
    /// The sum of all taxes.
    #[serde(default)]
    pub amount_tax: Option<i64>,
}
