//! Every no on the wire, in Stripe's shape, and the one table from refusals to statuses.
//!
//! An [`ApiError`] travels as an extension of an empty response; [`render`](super::answer::finish) writes it out at the
//! edge, where the id of the request is known. So no handler and no extractor can answer in another shape.

use axum::response::{IntoResponse, Response};
use bursar_domain::command::OtherReply;
use bursar_domain::refusal::Refusal;
use bursar_domain::text::Flaw;
use bursar_engine::EngineError;
use bursar_store::StoreError;
use http::StatusCode;
use serde_json::{Map, Value};

/// Why a request was not done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiError {
    /// The HTTP status.
    pub status: StatusCode,
    /// Stable, for programs.
    pub code: &'static str,
    /// For people: what is wrong and what to do.
    pub message: String,
    /// The field, query parameter or header to blame.
    pub param: Option<String>,
    /// Seconds after which it is worth another try.
    pub retry_after: Option<u32>,
    /// Numbers and names that the message speaks of, for programs.
    pub details: Vec<(&'static str, Value)>,
    /// Whether it was said before under the same idempotency key.
    pub replayed: bool,
}

impl ApiError {
    /// An error with this status, code and message.
    pub fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Self {
            status,
            code,
            message: message.into(),
            param: None,
            retry_after: None,
            details: vec![],
            replayed: false,
        }
    }

    /// Names the field to blame.
    #[must_use]
    pub fn with_param(mut self, param: impl Into<String>) -> Self {
        self.param = Some(param.into());
        self
    }

    /// Says when to come back.
    #[must_use]
    pub fn with_retry_after(mut self, seconds: u32) -> Self {
        self.retry_after = Some(seconds);
        self
    }

    /// A value that is not what the field takes. The message goes on where the name of the field ends.
    pub fn invalid(param: &str, message: impl std::fmt::Display) -> Self {
        let message = format!("`{param}` {message}");
        Self::new(StatusCode::BAD_REQUEST, "parameter_invalid", message).with_param(param)
    }

    /// A text that is not as texts have to be.
    pub(super) fn flawed(param: &str, flaw: Flaw) -> Self {
        let error = Self::invalid(param, flaw);
        match flaw {
            Flaw::CardNumber => Self {
                code: "card_number_refused",
                ..error
            },
            _ => error,
        }
    }

    /// A field that has to be there and is not.
    pub fn missing(param: &str) -> Self {
        let message = format!("`{param}` is missing");
        Self::new(StatusCode::BAD_REQUEST, "parameter_missing", message).with_param(param)
    }

    /// A field this request does not know.
    pub fn unknown(param: &str, known: &[&str]) -> Self {
        let known = known.join("`, `");
        let message = if known.is_empty() {
            "this request takes no parameters".to_owned()
        } else {
            format!("this parameter is not known here; there are: `{known}`")
        };
        Self::new(StatusCode::BAD_REQUEST, "parameter_unknown", message).with_param(param)
    }

    /// The same about a field of an object inside the request: `from.amount`.
    #[must_use]
    pub(super) fn inside(self, name: &str) -> Self {
        let field = self.param.unwrap_or_default();
        Self {
            message: format!("in `{name}`: {}", self.message),
            param: Some(format!("{name}.{field}")),
            ..self
        }
    }

    /// No or no valid credentials.
    pub fn unauthenticated(message: impl Into<String>) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "unauthenticated", message)
    }

    /// Valid credentials of the wrong role.
    pub fn forbidden(message: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, "forbidden", message)
    }

    /// A transaction that does not exist, or is somebody else's.
    pub(super) fn no_transaction() -> Self {
        let message = "there is no such transaction";
        Self::new(StatusCode::NOT_FOUND, "transaction_not_found", message)
            .with_param("transaction_id")
    }

    /// A bug or a broken disk: the cause is logged, never told.
    pub fn internal(cause: &dyn std::fmt::Display) -> Self {
        tracing::error!(error = %cause, "a request failed");
        Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "internal_error",
            "something went wrong here; the request id leads to the reason in the log",
        )
    }

    /// The `type` of Stripe's error objects, which follows from the status.
    pub fn kind(&self) -> &'static str {
        match self.status.as_u16() {
            401 => "authentication_error",
            403 => "permission_error",
            402 => "card_error",
            409 if self.code.starts_with("idempotency") => "idempotency_error",
            429 => "rate_limit_error",
            500.. => "api_error",
            _ => "invalid_request_error",
        }
    }

    /// The body, with the id of the request in it.
    pub fn body(&self, request_id: &str) -> Value {
        let error = self.object(Some(request_id));
        Value::Object(Map::from_iter([("error".to_owned(), error)]))
    }

    /// What stands under `error`. An error that is part of an answer has no request of its own.
    pub fn object(&self, request_id: Option<&str>) -> Value {
        let mut error = Map::new();
        error.insert("type".into(), self.kind().into());
        error.insert("code".into(), self.code.into());
        error.insert("message".into(), self.message.clone().into());
        if let Some(param) = &self.param {
            error.insert("param".into(), param.clone().into());
        }
        let details = self.details.iter();
        error.extend(details.map(|(name, value)| ((*name).to_owned(), value.clone())));
        if let Some(request_id) = request_id {
            error.insert("request_id".into(), request_id.into());
        }
        Value::Object(error)
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let mut response = self.status.into_response();
        response.extensions_mut().insert(self);
        response
    }
}

/// The one table from refusals of the domain to statuses.
pub fn status(refusal: &Refusal) -> StatusCode {
    match refusal {
        Refusal::OutOfRange { .. }
        | Refusal::PriceOutOfRange { .. }
        | Refusal::PriceNotChargeable { .. }
        | Refusal::CurrencyNotOffered { .. }
        | Refusal::BalanceOutOfRange
        | Refusal::ActionUnknown { .. }
        | Refusal::Misfit { .. }
        | Refusal::SameUnit
        | Refusal::CouponInvalid
        | Refusal::CouponUnfit { .. }
        | Refusal::CodeInvalid
        | Refusal::ReferralInvalid
        | Refusal::SelfReferral => StatusCode::BAD_REQUEST,
        Refusal::InsufficientCredits { .. }
        | Refusal::SpendingLimitReached { .. }
        | Refusal::WalletFrozen => StatusCode::PAYMENT_REQUIRED,
        Refusal::SecondApproverNeeded => StatusCode::FORBIDDEN,
        Refusal::BatchRefused { why, .. } => status(why),
        Refusal::TooManyAttempts { .. } => StatusCode::TOO_MANY_REQUESTS,
        Refusal::PackageNotFound { .. }
        | Refusal::CouponNotFound
        | Refusal::CodeNotFound
        | Refusal::TopupNotFound
        | Refusal::PaymentNotFound
        | Refusal::RefundNotFound
        | Refusal::AutoTopupNotFound
        | Refusal::CardNotFound
        | Refusal::ApiKeyNotFound
        | Refusal::GrantNotFound
        | Refusal::HoldNotFound
        | Refusal::LimitNotFound => StatusCode::NOT_FOUND,
        Refusal::TopupNotPending { .. }
        | Refusal::PaymentNotPaid { .. }
        | Refusal::NothingToRefund
        | Refusal::RefundNotAwaiting { .. }
        | Refusal::CouponUsed
        | Refusal::CouponUsedUp
        | Refusal::CouponHeld
        | Refusal::CouponExists
        | Refusal::CodeRedeemed
        | Refusal::NotOffered { .. }
        | Refusal::AlreadyClaimed { .. }
        | Refusal::AlreadyReferred
        | Refusal::NotNew
        | Refusal::AlreadyPosted { .. }
        | Refusal::TooMany { .. }
        | Refusal::GrantEnded { .. }
        | Refusal::HoldEnded { .. }
        | Refusal::HoldExceeded { .. }
        | Refusal::IdempotencyKeyReused
        | Refusal::NotAdoptable { .. }
        | Refusal::ClaimLost => StatusCode::CONFLICT,
        Refusal::RecoveryMode => StatusCode::SERVICE_UNAVAILABLE,
        Refusal::Unbalanced => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

impl From<Refusal> for ApiError {
    fn from(refusal: Refusal) -> Self {
        let code = match refusal {
            // One code for every number out of its range, whether the shape or a rule noticed it.
            Refusal::OutOfRange { .. } => "parameter_invalid",
            Refusal::BatchRefused { ref why, .. } => Self::from((**why).clone()).code,
            _ => refusal.code(),
        };
        Self {
            status: status(&refusal),
            code,
            message: refusal.to_string(),
            param: refusal.param().map(str::to_owned),
            retry_after: retry_after(&refusal),
            details: details(&refusal),
            replayed: false,
        }
    }
}

/// When it is worth another try, where that is known.
fn retry_after(refusal: &Refusal) -> Option<u32> {
    match refusal {
        Refusal::TooManyAttempts { seconds } => u32::try_from(*seconds).ok(),
        // So long it takes to close a page at Stripe, as a rule.
        Refusal::CouponHeld => Some(2),
        _ => None,
    }
}

/// What a program needs to know of a refusal beyond its code.
fn details(refusal: &Refusal) -> Vec<(&'static str, Value)> {
    match refusal {
        Refusal::InsufficientCredits { available, missing } => vec![
            ("available", (*available).into()),
            ("missing", (*missing).into()),
        ],
        Refusal::HoldExceeded { held, given } => {
            vec![("held", (*held).into()), ("given", (*given).into())]
        }
        Refusal::SpendingLimitReached {
            limit,
            most,
            used,
            resets_at,
            ..
        } => vec![
            ("limit_id", limit.to_string().into()),
            ("limit", (*most).into()),
            ("used", (*used).into()),
            ("resets_at", resets_at.map(|at| at.to_string()).into()),
        ],
        Refusal::PriceNotChargeable {
            given, least, most, ..
        } => vec![
            ("amount_minor", given.minor.into()),
            ("least_minor", least.minor.into()),
            ("most_minor", most.minor.into()),
            ("currency", given.unit.code().into()),
        ],
        Refusal::BatchRefused { position, why } => {
            let mut all = vec![("position", (*position).into())];
            all.extend(details(why));
            all
        }
        _ => vec![],
    }
}

impl From<EngineError> for ApiError {
    fn from(error: EngineError) -> Self {
        let unavailable = |code, message: String| {
            Self::new(StatusCode::SERVICE_UNAVAILABLE, code, message).with_retry_after(1)
        };
        match error {
            EngineError::Refused(refusal) => refusal.into(),
            EngineError::RefusedBefore(refusal) => Self {
                replayed: true,
                ..(*refusal).into()
            },
            EngineError::Busy => unavailable("busy", error.to_string()),
            EngineError::Stopping => unavailable("stopping", error.to_string()),
            EngineError::NoProvider => unavailable("payment_not_configured", error.to_string()),
            EngineError::Provider { code, message } => {
                tracing::warn!(code, message, "Stripe could not be asked");
                let message =
                    "Stripe could not be reached or gave no answer; nothing is lost: ask again";
                Self::new(StatusCode::BAD_GATEWAY, "stripe_unavailable", message)
                    .with_retry_after(2)
            }
            EngineError::ProviderRefused { code, message } => {
                tracing::error!(code, message, "Stripe refused a request");
                let message = format!("Stripe refused: {message}");
                Self::new(StatusCode::BAD_GATEWAY, "stripe_refused", message)
            }
            EngineError::Store(StoreError::BadCursor) => {
                Self::invalid("cursor", "is not one that was given out for this list")
            }
            // A full disk or a locked file; the writer has logged it once for all who waited.
            EngineError::Store(StoreError::Unavailable(_)) => {
                let message = "the database cannot do this at the moment; nothing was done: try again; the request id \
                               leads to the reason in the log";
                unavailable("database_unavailable", message.to_owned()).with_retry_after(5)
            }
            EngineError::Store(StoreError::Unknown(_)) => {
                let message = "the database did not say whether this was done: ask again with the same idempotency key, or \
                               look before you ask without one";
                unavailable("outcome_unknown", message.to_owned()).with_retry_after(5)
            }
            EngineError::Store(error) => Self::internal(&error),
            EngineError::OtherReply(error) => error.into(),
        }
    }
}

impl From<OtherReply> for ApiError {
    fn from(error: OtherReply) -> Self {
        Self::internal(&error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_has_stripes_shape() {
        let error = ApiError::invalid("amount", "must be a whole number from 1 to 9");
        assert_eq!(
            error.body("rq_1").to_string(),
            r#"{"error":{"type":"invalid_request_error","code":"parameter_invalid","message":"`amount` must be a whole number from 1 to 9","param":"amount","request_id":"rq_1"}}"#
        );
    }

    #[test]
    fn a_reused_key_is_stripes_idempotency_error() {
        let error = ApiError::from(Refusal::IdempotencyKeyReused);
        assert_eq!(
            (error.status.as_u16(), error.kind()),
            (409, "idempotency_error")
        );
    }

    #[test]
    fn a_full_disk_is_worth_another_try_and_says_nothing_about_the_disk() {
        let full = StoreError::Unavailable("database or disk is full at /secret".into());
        let error = ApiError::from(EngineError::Store(full));
        assert_eq!((error.status.as_u16(), error.retry_after), (503, Some(5)));
        assert!(!error.body("rq_1").to_string().contains("secret"));
    }

    #[test]
    fn an_internal_error_says_nothing_about_its_cause() {
        let error = ApiError::internal(&"disk /secret/path is full");
        assert!(!error.body("rq_1").to_string().contains("/secret"));
    }
}
