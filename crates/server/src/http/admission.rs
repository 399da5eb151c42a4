//! Admission: what is refused before anybody works on it, because it is too much.
//!
//! The listener bounds connections; here single requests are bounded, however they came: the size of their head, how many are
//! worked on at a time, and how often each guest, user and key may ask. Who asks is known in two places: a guest by his missing
//! credentials, at once, and everybody else where his credentials are checked ([`super::auth`]).

use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::extract::{ConnectInfo, Request};
use bursar_domain::api_key::Role;
use http::request::Parts;
use http::{Extensions, HeaderMap, StatusCode, header};

use super::WEBHOOK_PATH;
use super::auth::Caller;
use super::error::ApiError;
use crate::App;
use crate::config::edge::network_of;
use crate::listener::HEAD_MAX;
use crate::rate::{Buckets, Rate};

/// The longest address of a request, in bytes.
const URI_MAX: usize = 8 * 1024;

/// The most headers of a request.
const HEADERS_MAX: usize = 64;

/// What a request costs beyond being one. The table of routes says so where it does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Toll {
    /// It asks Stripe for something.
    Checkout,
    /// It reads a lot.
    Reading,
}

/// What has been used up lately.
#[derive(Debug, Default)]
pub struct Admission {
    in_flight: AtomicUsize,
    buckets: Buckets,
}

/// A request that is being worked on.
#[derive(Debug)]
pub(super) struct Admitted<'a>(&'a AtomicUsize);

impl Drop for Admitted<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Lets a request in, or says why not.
pub(super) fn admit<'a>(app: &'a App, request: &Request) -> Result<Admitted<'a>, ApiError> {
    check_head(request)?;
    let in_flight = &app.admission().in_flight;
    let before = in_flight.fetch_add(1, Ordering::Relaxed);
    let admitted = Admitted(in_flight);
    if before >= app.config().edge.requests_max {
        let message = "too many requests are worked on at the moment: try again";
        return Err(
            ApiError::new(StatusCode::SERVICE_UNAVAILABLE, "busy", message).with_retry_after(1),
        );
    }
    if !request.headers().contains_key(header::AUTHORIZATION) && !is_open(request.uri().path()) {
        let (headers, extensions) = (request.headers(), request.extensions());
        count_address(app, headers, extensions, Scope::Guest)?;
    }
    Ok(admitted)
}

/// Counts a request of somebody who is known, once.
pub(super) fn count(app: &App, parts: &mut Parts, caller: &Caller) -> Result<(), ApiError> {
    let rates = &app.config().edge.rates;
    match (&caller.role, &caller.key) {
        (Role::User(user), _) if is_first(parts) => {
            take(app, Scope::User, rates.user, user)?;
            match parts.extensions.get() {
                Some(Toll::Checkout) => take(app, Scope::Checkout, rates.checkout, user),
                Some(Toll::Reading) => take(app, Scope::Reading, rates.reading, user),
                None => Ok(()),
            }
        }
        (Role::Admin, Some(key)) if rates.admin_key.is_some() && is_first(parts) => {
            take(app, Scope::AdminKey, rates.admin_key, key)
        }
        _ => Ok(()),
    }
}

/// Counts credentials or a signature that is not valid, once for a request. What they are refused with: `error`, or that there
/// were too many.
pub(super) fn failed(app: &App, parts: &mut Parts, error: ApiError) -> ApiError {
    if !is_first(parts) {
        return error;
    }
    failed_from(app, &parts.headers, &parts.extensions, error)
}

/// The same where nothing else of the request is counted.
pub(super) fn failed_from(
    app: &App,
    headers: &HeaderMap,
    extensions: &Extensions,
    error: ApiError,
) -> ApiError {
    match count_address(app, headers, extensions, Scope::Failure) {
        Ok(()) => error,
        Err(too_many) => too_many,
    }
}

/// Who is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Scope {
    Guest,
    Failure,
    User,
    Checkout,
    Reading,
    AdminKey,
}

impl Scope {
    /// What there was too much of.
    const fn what(self) -> &'static str {
        match self {
            Self::Guest => "requests without credentials from this address",
            Self::Failure => "requests from this address that could not be believed",
            Self::User => "requests of this user",
            Self::Checkout => "requests of this user to pay or to save a card",
            Self::Reading => "requests of this user for explanations and histories",
            Self::AdminKey => "requests with this key",
        }
    }
}

/// Marks a request that was counted: several arguments of a handler may ask who the caller is.
#[derive(Debug, Clone, Copy)]
struct Counted;

fn is_first(parts: &mut Parts) -> bool {
    parts.extensions.insert(Counted).is_none()
}

/// What anybody may ask as often as he likes: Stripe's deliveries, which prove themselves, and what watches over the service.
fn is_open(path: &str) -> bool {
    [WEBHOOK_PATH, "/api/stripe/webhook", "/livez", "/readyz"].contains(&path)
}

fn count_address(
    app: &App,
    headers: &HeaderMap,
    extensions: &Extensions,
    scope: Scope,
) -> Result<(), ApiError> {
    let rates = &app.config().edge.rates;
    let rate = match scope {
        Scope::Guest => rates.guest,
        _ => rates.failure,
    };
    match address(app, headers, extensions) {
        Some(address) => take(app, scope, rate, network_of(address)),
        None => Ok(()),
    }
}

/// Where a request comes from. None if it is not known, or if it began on a machine that is trusted.
fn address(app: &App, headers: &HeaderMap, extensions: &Extensions) -> Option<IpAddr> {
    let ConnectInfo(peer) = extensions.get::<ConnectInfo<SocketAddr>>()?;
    let proxies = &app.config().edge.trusted_proxies;
    if headers.contains_key("x-forwarded-for") && !proxies.contains(peer.ip()) && app.may_complain()
    {
        let peer = peer.ip();
        tracing::warn!(
            %peer,
            "X-Forwarded-For is not believed from this address; if it is your proxy, add it to edge.trusted_proxies"
        );
    }
    proxies.client(peer.ip(), headers)
}

fn take(
    app: &App,
    scope: Scope,
    rate: Option<Rate>,
    name: impl std::hash::Hash,
) -> Result<(), ApiError> {
    let Some(rate) = rate else {
        return Ok(());
    };
    let now = app.engine().now();
    let taken = app.admission().buckets.take((scope, name), rate, now);
    taken.map_err(|seconds| {
        let (what, s) = (scope.what(), if seconds == 1 { "" } else { "s" });
        let message =
            format!("too many {what}: {rate} are taken; try again in {seconds} second{s}");
        ApiError::new(StatusCode::TOO_MANY_REQUESTS, "rate_limited", message)
            .with_retry_after(seconds)
    })
}

/// The listener refuses larger heads itself; a router that is mounted elsewhere has other bounds before it.
fn check_head(request: &Request) -> Result<(), ApiError> {
    let uri = request.uri();
    let uri_bytes = uri.path().len() + uri.query().map_or(0, str::len);
    if uri_bytes > URI_MAX {
        let message = format!("the address of the request has more than {URI_MAX} bytes");
        return Err(ApiError::new(
            StatusCode::URI_TOO_LONG,
            "uri_too_long",
            message,
        ));
    }
    let headers = request.headers();
    let lines = headers.iter();
    let bytes: usize = lines
        .map(|(name, value)| name.as_str().len() + value.len())
        .sum();
    if headers.len() > HEADERS_MAX || bytes > HEAD_MAX {
        let message =
            format!("the request has more than {HEADERS_MAX} headers or {HEAD_MAX} bytes of them");
        return Err(ApiError::new(
            StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            "head_too_large",
            message,
        ));
    }
    Ok(())
}
