//! Webhook endpoints.

use super::{Hidden, Metadata};
use crate::open_enum::open_enum;
use serde::Deserialize;

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
