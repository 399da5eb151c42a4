//! Who may drive the sandbox.
//!
//! A request that changes something carries the secret key as `Authorization: Bearer`. The control page does not
//! know the key; its forms carry a token instead, which only a page of this very origin can read. Two more checks
//! keep a web page elsewhere from using a person's browser: the `Host` has to be this machine (a name an attacker
//! points at 127.0.0.1 is not), and a browser must not say that the form comes from another site.

use axum::Json;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::Sandbox;
use crate::error::ApiError;

/// Checks the secret key of a request to the API: `Bearer`, or the user name of `Basic`.
pub(crate) fn check_key(sandbox: &Sandbox, headers: &HeaderMap) -> Result<(), ApiError> {
    let config = sandbox.config();
    let sent = header(headers, header::AUTHORIZATION.as_str())
        .and_then(key_in)
        .unwrap_or_default();
    if same(&sent, &config.secret_key) {
        return Ok(());
    }
    let message = if sent.is_empty() {
        "You did not provide an API key. Send the sandbox's secret key as 'Authorization: Bearer'."
    } else {
        "Invalid API Key provided. This sandbox has another secret key."
    };
    Err(ApiError {
        status: 401,
        ..ApiError::invalid(message)
    })
}

/// Checks that a form was sent from the control page.
pub(crate) fn check_form(
    sandbox: &Sandbox,
    headers: &HeaderMap,
    token: &str,
) -> Result<(), ApiError> {
    let elsewhere = match header(headers, "sec-fetch-site") {
        Some(site) => site != "same-origin" && site != "none",
        // An older browser says where the form comes from; a program says neither.
        None => header(headers, "origin").is_some_and(|origin| !is_here(sandbox, headers, origin)),
    };
    if elsewhere || !same(token, &form_token(sandbox)) {
        let message = "This form was not sent from the sandbox's own control page. Reload the page and try again.";
        return Err(ApiError {
            status: 403,
            ..ApiError::invalid(message)
        });
    }
    Ok(())
}

/// Checks that the sandbox was called by a name of its own.
pub(crate) fn check_host(sandbox: &Sandbox, headers: &HeaderMap) -> Result<(), ApiError> {
    let host = header(headers, "host").unwrap_or_default();
    let name = host
        .rsplit_once(':')
        .filter(|(_, port)| port.bytes().all(|b| b.is_ascii_digit()));
    let name = name.map_or(host, |(name, _)| name);
    let loopback = matches!(name, "127.0.0.1" | "localhost" | "[::1]");
    if loopback || host == own_host(sandbox) {
        return Ok(());
    }
    let message = format!(
        "The control page is reached at {}/sandbox, not at this name.",
        sandbox.config().base_url
    );
    Err(ApiError {
        status: 403,
        ..ApiError::invalid(message)
    })
}

/// What the forms of the control page carry. It follows from the key and does not tell it.
pub(crate) fn form_token(sandbox: &Sandbox) -> String {
    let digest = Sha256::new()
        .chain_update("bursar sandbox, control page, ")
        .chain_update(&sandbox.config().secret_key);
    hex::encode(digest.finalize())
}

/// A refusal as the API words it.
pub(crate) fn refusal(sandbox: &Sandbox, error: &ApiError) -> Response {
    let id = sandbox.change(|world, _| world.ids.request());
    let id = id.unwrap_or_else(|_| "req_unwritten".to_owned());
    let status = StatusCode::from_u16(error.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let body = error.body(&id);
    (status, [("Request-Id", id)], Json(body)).into_response()
}

fn is_here(sandbox: &Sandbox, headers: &HeaderMap, origin: &str) -> bool {
    let host = origin.split_once("://").map(|(_, host)| host);
    host.is_some_and(|host| Some(host) == header(headers, "host") || host == own_host(sandbox))
}

fn own_host(sandbox: &Sandbox) -> &str {
    let base = &sandbox.config().base_url;
    base.split_once("://")
        .map_or(base.as_str(), |(_, host)| host)
}

/// The key in an `Authorization` header: `Bearer KEY`, or `Basic` with the key as the user name.
pub(crate) fn key_in(authorization: &str) -> Option<String> {
    use base64::Engine;
    let (scheme, rest) = authorization.split_once(' ')?;
    match scheme.to_ascii_lowercase().as_str() {
        "bearer" => Some(rest.trim().to_owned()),
        "basic" => {
            let pair = base64::engine::general_purpose::STANDARD
                .decode(rest.trim())
                .ok()?;
            let pair = String::from_utf8(pair).ok()?;
            Some(
                pair.split_once(':')
                    .map_or(pair.as_str(), |(user, _)| user)
                    .to_owned(),
            )
        }
        _ => None,
    }
}

fn header<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

fn same(a: &str, b: &str) -> bool {
    a.as_bytes().ct_eq(b.as_bytes()).into()
}
