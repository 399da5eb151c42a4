//! What a client is made of, and which combinations are refused before anything is sent.

use crate::VERSION;
use crate::secret_key::{Mode, SecretKey};
use reqwest::Url;
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::time::Duration;

/// Where Stripe is.
pub const BASE_URL: &str = "https://api.stripe.com";

/// Calls a second, and how many at once after a rest. A sandbox of Stripe's allows 25 a second.
const CALLS: NonZeroU32 = NonZeroU32::MIN.saturating_add(19);

/// What a [`Client`](super::Client) is made of.
#[derive(Debug, Clone)]
pub struct ClientConfig {
    /// [`BASE_URL`], or where a sandbox listens; with or without `/v1` and a slash behind it.
    pub base_url: String,
    /// The key every request carries.
    pub secret_key: SecretKey,
    /// The API version every request asks for.
    pub version: String,
    /// How long making a connection may take, TLS included.
    pub connect_timeout: Duration,
    /// How long a call may take in all.
    pub timeout: Duration,
    /// How many calls a second may go out on average, those of all clones together.
    pub calls_per_second: NonZeroU32,
    /// How many may go out at once after a rest.
    pub burst: NonZeroU32,
}

impl ClientConfig {
    /// Stripe itself, in the pinned [`VERSION`], 10 seconds to connect and 30 for a call,
    /// 20 calls a second and 20 at once.
    pub fn new(secret_key: SecretKey) -> Self {
        Self {
            base_url: BASE_URL.to_owned(),
            secret_key,
            version: VERSION.to_owned(),
            connect_timeout: Duration::from_secs(10),
            timeout: Duration::from_secs(30),
            calls_per_second: CALLS,
            burst: CALLS,
        }
    }

    /// The address requests go to, without `/v1` and slashes at its end.
    pub(super) fn base(&self) -> Result<Url, ClientError> {
        let base = read_base(&self.base_url)?;
        let elsewhere = base.as_str().trim_end_matches('/') != BASE_URL;
        if elsewhere && self.secret_key.mode() == Mode::Live {
            return Err(ClientError::LiveKeyElsewhere {
                base_url: self.base_url.clone(),
            });
        }
        Ok(base)
    }
}

/// Why a client could not be made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ClientError {
    /// The base address is not one.
    #[error("{base_url} is not a base address for Stripe: {reason}")]
    BadBase {
        /// As configured.
        base_url: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// Plain http to another machine would show the key to the network.
    #[error("{base_url} is plain http to another machine: use https, or a loopback address")]
    Plaintext {
        /// As configured.
        base_url: String,
    },
    /// A live key must not leave for anywhere but Stripe.
    #[error(
        "a live key is used with {base_url}: it is only ever sent to {BASE_URL}. Use a test key \
         there, or remove the address"
    )]
    LiveKeyElsewhere {
        /// As configured.
        base_url: String,
    },
    /// The version cannot be sent.
    #[error("the API version cannot be sent in a header: use {VERSION}")]
    BadVersion,
    /// No TLS, most often because the machine has no root certificates.
    #[error(
        "cannot prepare TLS: {reason}. If root certificates are missing, install ca-certificates"
    )]
    Tls {
        /// What failed.
        reason: String,
    },
}

impl ClientError {
    /// A stable code for programs.
    pub fn code(&self) -> &'static str {
        match self {
            Self::BadBase { .. } => "stripe_base_invalid",
            Self::Plaintext { .. } => "stripe_base_plaintext",
            Self::LiveKeyElsewhere { .. } => "stripe_live_key_elsewhere",
            Self::BadVersion => "stripe_version_invalid",
            Self::Tls { .. } => "stripe_tls_unavailable",
        }
    }
}

/// Reads a base address and takes `/v1` and slashes off its end.
fn read_base(text: &str) -> Result<Url, ClientError> {
    let bad = |reason| ClientError::BadBase {
        base_url: without_login(text),
        reason,
    };
    let mut base =
        Url::parse(text).map_err(|_| bad("it is not an address such as https://host"))?;
    if !matches!(base.scheme(), "https" | "http") || base.host_str().is_none() {
        return Err(bad("it has to begin with https:// or http://"));
    }
    if !base.username().is_empty() || base.password().is_some() {
        return Err(bad("it must not carry a user name or password"));
    }
    if base.query().is_some() || base.fragment().is_some() {
        return Err(bad("it must not carry a query or fragment"));
    }
    if base.scheme() == "http" && !is_loopback(&base) {
        return Err(ClientError::Plaintext {
            base_url: text.to_owned(),
        });
    }
    let path = base.path().trim_end_matches('/');
    let path = path
        .strip_suffix("/v1")
        .unwrap_or(path)
        .trim_end_matches('/')
        .to_owned();
    base.set_path(&path);
    Ok(base)
}

/// What may be shown of an address that could hold a password.
fn without_login(text: &str) -> String {
    match (text.find("://"), text.rfind('@')) {
        (Some(scheme), Some(at)) if scheme < at => {
            format!("{}://***{}", &text[..scheme], &text[at..])
        }
        _ => text.to_owned(),
    }
}

fn is_loopback(base: &Url) -> bool {
    let host = base.host_str().unwrap_or_default();
    let address = host
        .trim_start_matches('[')
        .trim_end_matches(']')
        .parse::<IpAddr>();
    host == "localhost" || address.is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn base(base_url: &str, key: &str) -> Result<Url, ClientError> {
        let config = ClientConfig::new(SecretKey::new(key).unwrap());
        ClientConfig {
            base_url: base_url.to_owned(),
            ..config
        }
        .base()
    }

    #[test]
    fn a_base_is_taken_in_any_spelling() {
        for (text, expected) in [
            ("https://api.stripe.com/v1/", "https://api.stripe.com"),
            ("https://api.stripe.com:443", "https://api.stripe.com"),
            ("http://127.0.0.1:12111", "http://127.0.0.1:12111"),
            ("http://127.0.0.1:12111/", "http://127.0.0.1:12111"),
            ("http://127.0.0.1:12111/v1", "http://127.0.0.1:12111"),
            ("http://127.0.0.1:12111/v1/", "http://127.0.0.1:12111"),
            ("http://127.0.0.1/stripe/v1/", "http://127.0.0.1/stripe"),
            ("http://localhost:1/", "http://localhost:1"),
            ("http://[::1]:1/", "http://[::1]:1"),
        ] {
            let read = base(text, "sk_test_1").unwrap();
            assert_eq!(read.as_str().trim_end_matches('/'), expected, "{text}");
        }
    }

    #[test]
    fn a_base_that_would_leak_the_key_is_refused() {
        for (text, key, code) in [
            ("", "sk_test_1", "stripe_base_invalid"),
            ("127.0.0.1:1", "sk_test_1", "stripe_base_invalid"),
            ("ftp://127.0.0.1", "sk_test_1", "stripe_base_invalid"),
            (
                "https://u:secretword@h.example",
                "sk_test_1",
                "stripe_base_invalid",
            ),
            ("https://h.example/?a=1", "sk_test_1", "stripe_base_invalid"),
            ("http://h.example", "sk_test_1", "stripe_base_plaintext"),
            ("http://10.0.0.1", "sk_test_1", "stripe_base_plaintext"),
            (
                "http://127.0.0.1.example",
                "sk_test_1",
                "stripe_base_plaintext",
            ),
            (
                "http://localhost.example",
                "rk_test_1",
                "stripe_base_plaintext",
            ),
            (
                "https://h.example",
                "sk_live_1",
                "stripe_live_key_elsewhere",
            ),
            (
                "http://127.0.0.1:1",
                "sk_live_1",
                "stripe_live_key_elsewhere",
            ),
            (
                "https://api.stripe.com:8443",
                "sk_live_1",
                "stripe_live_key_elsewhere",
            ),
            (
                "https://api.stripe.com/other",
                "rk_live_1",
                "stripe_live_key_elsewhere",
            ),
        ] {
            let error = base(text, key).unwrap_err();
            assert_eq!(error.code(), code, "{text}");
            assert!(!error.to_string().contains("secretword"), "{error}");
        }
    }
}
