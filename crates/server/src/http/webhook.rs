//! Intake of Stripe's events: verify the bytes, store them, answer. Nothing is worked off here.
//!
//! This is the busiest route. The body is read once, checked as it came, and handed to the writer; 200 means it is on disk.

use std::convert::Infallible;
use std::sync::Arc;

use axum::extract::{FromRequest, Request, State};
use bursar_domain::command::{Command, OtherReply, Reply};
use bursar_engine::bridge::inbound;
use bursar_stripe::signature::{self, SignatureError};
use http::{HeaderMap, StatusCode, header};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::json;

use super::admission;
use super::answer::{Item, item};
use super::error::ApiError;
use super::extract::read_body;
use super::openapi::{Argument, Operation};
use crate::App;

/// How old a signature may be, in seconds. Stripe signs each delivery anew, retries too.
const TOLERANCE_SECONDS: i64 = 300;

/// That an event is on disk.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Received {
    received: bool,
    /// Whether it was before.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    duplicate: bool,
}

/// What Stripe has sent.
#[derive(Debug)]
pub(super) struct Delivery(Request);

impl<S: Send + Sync> FromRequest<S> for Delivery {
    type Rejection = Infallible;

    async fn from_request(request: Request, _: &S) -> Result<Self, Infallible> {
        Ok(Self(request))
    }
}

impl Argument for Delivery {
    fn describe(operation: &mut Operation<'_>) {
        let signature =
            json!({ "type": "string", "description": "Stripe's signature of the body." });
        operation.header("Stripe-Signature", true, &signature);
        operation.raw_body("An event, as Stripe sends and signs it.");
        operation.may(&[
            "content_encoding_unsupported",
            "event_malformed",
            "signature_invalid",
            "webhook_secret_missing",
        ]);
    }
}

/// `POST /v1/payment.stripe/webhook`
pub(super) async fn receive(
    State(app): State<App>,
    Delivery(request): Delivery,
) -> Result<Item<Received>, ApiError> {
    let (parts, body) = request.into_parts();
    let headers = &parts.headers;
    // Counted after they were looked at, so that nobody else's bad ones keep a good one out.
    let refuse = |error| admission::failed_from(&app, headers, &parts.extensions, error);
    check_encoding(headers)?;
    let signature = signature_header(headers).map_err(refuse)?;
    if !app.config().stripe.webhook_secrets.is_empty() {
        // What cannot be right whatever the body is costs no reading.
        signature::check_form(signature).map_err(|error| refuse(refused(&app, error)))?;
    }
    let body = read_body(headers, body, app.config().webhook_body_max).await?;
    let secrets = &app.config().stripe.webhook_secrets;
    signature::verify(
        signature,
        &body,
        secrets,
        app.engine().now().seconds(),
        TOLERANCE_SECONDS,
    )
    .map_err(|error| refuse(refused(&app, error)))?;
    let event = inbound::event(&Arc::from(&body[..])).map_err(|error| {
        tracing::error!(code = error.code(), "a signed delivery is no event");
        ApiError::new(
            StatusCode::BAD_REQUEST,
            "event_malformed",
            error.to_string(),
        )
    })?;
    match app.engine().submit(Command::ReceiveEvent(event)).await? {
        Reply::Received { duplicate, .. } => Ok(item(Received {
            received: true,
            duplicate,
        })),
        _ => Err(OtherReply.into()),
    }
}

/// The signature covers the bytes as sent; what would have to be unpacked first is not taken.
fn check_encoding(headers: &HeaderMap) -> Result<(), ApiError> {
    match headers.get(header::CONTENT_ENCODING) {
        None => Ok(()),
        Some(encoding) if encoding.as_bytes().eq_ignore_ascii_case(b"identity") => Ok(()),
        Some(_) => {
            let message = "a webhook body must not be compressed";
            Err(ApiError::new(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "content_encoding_unsupported",
                message,
            ))
        }
    }
}

/// Two headers leave open which one counts, so neither does.
fn signature_header(headers: &HeaderMap) -> Result<&[u8], ApiError> {
    let mut values = headers.get_all("stripe-signature").iter();
    match (values.next(), values.next()) {
        (Some(value), None) => Ok(value.as_bytes()),
        (None, _) => Ok(b""),
        (Some(_), Some(_)) => {
            let message = "there is more than one Stripe-Signature header";
            Err(ApiError::new(
                StatusCode::BAD_REQUEST,
                "signature_invalid",
                message,
            ))
        }
    }
}

fn refused(app: &App, error: SignatureError) -> ApiError {
    if error == SignatureError::NoSecret {
        let message = "no webhook signing secret is configured, so no event can be believed: set STRIPE_WEBHOOK_SECRET \
                       to the secret Stripe shows with the endpoint";
        return ApiError::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "webhook_secret_missing",
            message,
        );
    }
    // Anybody can send these; they must not fill the disk with lines.
    if app.may_complain() {
        let code = error.code();
        tracing::warn!(
            code,
            "a webhook delivery was not believed (others of this second are not listed)"
        );
    }
    ApiError::new(
        StatusCode::BAD_REQUEST,
        "signature_invalid",
        error.to_string(),
    )
}
