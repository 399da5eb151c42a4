//! What can go wrong with a call to Stripe, sorted by what the caller may do next.
//!
//! The question that decides about money is whether anything happened at Stripe. Each kind answers
//! it, and [`Error::retry`] draws the conclusion.

use crate::open_enum::open_enum;
use crate::redact::redacted;
use serde_json::Value;
use std::fmt;
use std::time::Duration;

/// The longest pause we let an answer ask for.
const LONGEST_PAUSE: Duration = Duration::from_hours(1);
/// The most characters of a message we keep.
const LONGEST_MESSAGE: usize = 500;

open_enum! {
    /// The `type` of Stripe's error object.
    ErrorType {
        Api = "api_error",
        Card = "card_error",
        Idempotency = "idempotency_error",
        InvalidRequest = "invalid_request_error",
    }
}

/// Stripe's error object with the status it came with. Keys and client secrets that a text quotes
/// are masked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// HTTP status.
    pub status: u16,
    /// `type`, if the answer had one: an answer that is not Stripe's has none.
    pub kind: Option<ErrorType>,
    /// `code`, such as `resource_missing` or `card_declined`.
    pub code: Option<String>,
    /// `decline_code`, the bank's reason for a refused card.
    pub decline_code: Option<String>,
    /// `advice_code`, whether and how to try a refused card again: `try_again_later`,
    /// `do_not_try_again`, `confirm_card_data`.
    pub advice_code: Option<String>,
    /// The id of the payment that was created although its card was refused.
    pub payment_intent: Option<String>,
    /// `param`, the parameter the refusal is about, with brackets.
    pub param: Option<String>,
    /// `message`, written by Stripe for developers (for card errors: for the customer).
    pub message: String,
    /// `Request-Id`, which Stripe's support asks for.
    pub request_id: Option<String>,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({}", self.message, self.status)?;
        if let Some(kind) = &self.kind {
            write!(f, " {kind}")?;
        }
        let details = [
            &self.code,
            &self.decline_code,
            &self.advice_code,
            &self.payment_intent,
            &self.param,
            &self.request_id,
        ];
        for detail in details.into_iter().flatten() {
            write!(f, ", {detail}")?;
        }
        f.write_str(")")
    }
}

/// Whether and how a call may be made again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Retry {
    /// The same call would get the same answer. Something has to change first.
    Never,
    /// Call again with the same idempotency key and the same parameters: whatever the first call
    /// did, the two together do it once.
    SameKey {
        /// The pause Stripe asks for, if it named one. Without one the caller's own back-off
        /// applies.
        after: Option<Duration>,
    },
}

/// Why a call to Stripe gave no result.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// A definite no: 4xx other than those below. Nothing happened, and asking again does not
    /// help. A refused card (402) is one of these.
    #[error("Stripe refused: {0}")]
    Refused(Box<Refusal>),
    /// Not now: 429 (rate limit, `lock_timeout`) or 409 (`idempotency_key_in_use`). This request
    /// did nothing and may be sent again with the same key. With `idempotency_key_in_use` an
    /// earlier request with the key is still running, and the next try gets its answer.
    #[error("Stripe is busy: {refusal}")]
    Busy {
        /// What Stripe answered.
        refusal: Box<Refusal>,
        /// `Retry-After`, if it was sent.
        after: Option<Duration>,
    },
    /// No connection was made (name, network, TLS): the request never left, nothing happened.
    #[error("cannot reach Stripe: {reason}")]
    Unreachable {
        /// What the connection failed on.
        reason: String,
    },
    /// The outcome is unknown: no answer in time, the connection was lost after sending, or 5xx.
    /// It may have happened. Only the same key may be used to find out.
    #[error("Stripe's answer is unknown: {reason}")]
    Unknown {
        /// What happened to the answer.
        reason: String,
        /// HTTP status, if there was an answer.
        status: Option<u16>,
        /// `Request-Id`, if there was an answer.
        request_id: Option<String>,
        /// `Retry-After`, if it was sent.
        after: Option<Duration>,
    },
    /// 401 or 403: the key is wrong, was revoked, or may not do this. Nothing happened; the
    /// configuration has to change.
    #[error("Stripe does not accept the secret key for this: {0}")]
    Unauthorized(Box<Refusal>),
    /// The call succeeded (2xx) and we cannot read the answer. It did happen; the same key would
    /// bring the same answer.
    #[error("Stripe's answer cannot be read: {reason}")]
    Garbled {
        /// What is wrong with it, without its content.
        reason: String,
        /// `Request-Id`, if it was sent.
        request_id: Option<String>,
    },
    /// The request cannot be sent as it is: a mistake in our own code. Nothing left.
    #[error("the request to Stripe cannot be sent: {reason}")]
    Unsendable {
        /// What is wrong with it.
        reason: String,
    },
}

impl Error {
    /// What the caller may do next.
    ///
    /// | kind | happened? | retry |
    /// |---|---|---|
    /// | `Refused` | no | never |
    /// | `Busy` | no | same key, after the pause |
    /// | `Unreachable` | no | same key |
    /// | `Unknown` | perhaps | same key, and never another one |
    /// | `Unauthorized` | no | never, until the key is changed |
    /// | `Garbled` | yes | never: the stored answer is repeated. Read the object instead |
    /// | `Unsendable` | no | never |
    ///
    /// Stripe forgets a key after a day or so. Before a call is repeated later than that, its
    /// object has to be looked for.
    pub fn retry(&self) -> Retry {
        match self {
            Self::Busy { after, .. } | Self::Unknown { after, .. } => {
                Retry::SameKey { after: *after }
            }
            Self::Unreachable { .. } => Retry::SameKey { after: None },
            Self::Refused(_)
            | Self::Unauthorized(_)
            | Self::Garbled { .. }
            | Self::Unsendable { .. } => Retry::Never,
        }
    }

    /// A stable code for programs.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Refused(_) => "stripe_refused",
            Self::Busy { .. } => "stripe_busy",
            Self::Unreachable { .. } => "stripe_unreachable",
            Self::Unknown { .. } => "stripe_outcome_unknown",
            Self::Unauthorized(_) => "stripe_unauthorized",
            Self::Garbled { .. } => "stripe_answer_garbled",
            Self::Unsendable { .. } => "stripe_request_unsendable",
        }
    }

    /// Stripe's error object, where there was one.
    pub fn refusal(&self) -> Option<&Refusal> {
        match self {
            Self::Refused(refusal) | Self::Unauthorized(refusal) | Self::Busy { refusal, .. } => {
                Some(refusal)
            }
            _ => None,
        }
    }

    /// Whether Stripe does not know the API key (401): it is wrong, was revoked or has expired. A
    /// key that is known and may not do this (403) is not meant.
    pub fn is_wrong_key(&self) -> bool {
        matches!(self, Self::Unauthorized(refusal) if refusal.status == 401)
    }

    /// Whether an object with the id we chose exists already.
    pub fn is_already_there(&self) -> bool {
        self.says("resource_already_exists")
    }

    /// Whether no such object exists, or not under this key.
    pub fn is_missing(&self) -> bool {
        self.says("resource_missing")
    }

    fn says(&self, code: &str) -> bool {
        let said = self.refusal().and_then(|refusal| refusal.code.as_deref());
        said == Some(code)
    }

    /// Sorts an answer that is not 2xx. `body` may be anything, also nothing of Stripe's.
    ///
    /// 408 is treated as 5xx is: a proxy gave up on a request that may have arrived.
    pub fn from_answer(
        status: u16,
        request_id: Option<String>,
        after: Option<Duration>,
        body: &[u8],
    ) -> Self {
        let refusal = Refusal::read(status, request_id, body);
        match status {
            401 | 403 => Self::Unauthorized(Box::new(refusal)),
            409 | 429 => Self::Busy {
                refusal: Box::new(refusal),
                after,
            },
            408 | 500.. => Self::Unknown {
                reason: refusal.to_string(),
                status: Some(status),
                request_id: refusal.request_id,
                after,
            },
            _ => Self::Refused(Box::new(refusal)),
        }
    }
}

impl Refusal {
    fn read(status: u16, request_id: Option<String>, body: &[u8]) -> Self {
        let answer: Value = serde_json::from_slice(body).unwrap_or_default();
        let error = &answer["error"];
        let text = |name: &str| error[name].as_str().map(shown);
        let intent = &error["payment_intent"];
        let message = text("message").unwrap_or_else(|| {
            let what = if (300..400).contains(&status) {
                "a redirect"
            } else {
                "no reason"
            };
            format!("{what} in the answer: is the address Stripe's?")
        });
        Self {
            status,
            kind: error["type"]
                .as_str()
                .map(|word| ErrorType::from(shown(word))),
            code: text("code"),
            decline_code: text("decline_code"),
            advice_code: text("advice_code"),
            // Only the id: the object behind it holds a client secret and the customer's address.
            payment_intent: intent["id"].as_str().or(intent.as_str()).map(shown),
            param: text("param"),
            message,
            request_id,
        }
    }
}

/// What is kept of a text. Masked first: the half of a secret is one too.
fn shown(text: &str) -> String {
    redacted(text).chars().take(LONGEST_MESSAGE).collect()
}

/// Reads `Retry-After` in its only form that Stripe uses: whole seconds.
pub(crate) fn pause(header: Option<&str>) -> Option<Duration> {
    let seconds = header?.trim().parse().ok()?;
    Some(Duration::from_secs(seconds).min(LONGEST_PAUSE))
}

/// The message of a JSON error without the value it quotes, which may be private.
pub(crate) fn without_values(error: &serde_json::Error) -> String {
    let message = error.to_string();
    match (message.find('"'), message.rfind('"')) {
        (Some(first), Some(last)) if first < last => {
            format!("{}...{}", &message[..first], &message[last + 1..])
        }
        _ => message,
    }
}

#[cfg(test)]
mod tests;
