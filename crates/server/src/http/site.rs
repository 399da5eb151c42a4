//! The page at `/` and its files: embedded, and only a client of the API.

use std::convert::Infallible;

use askama::Template;
use axum::extract::{FromRequestParts, Path, State};
use axum::response::{IntoResponse, Response};
use http::request::Parts;
use http::{HeaderName, HeaderValue, StatusCode, header};

use super::error::ApiError;
use super::openapi::{Argument, File, Operation, Page};
use crate::App;

/// Pages load their own files and nothing else; nothing may frame them.
const POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self'; \
     base-uri 'none'; frame-ancestors 'none'",
);

const FILES: &[(&str, &str, &str)] = &[
    (
        "bursar.css",
        "text/css; charset=utf-8",
        include_str!("../../web/bursar.css"),
    ),
    (
        "home.js",
        "text/javascript; charset=utf-8",
        include_str!("../../web/home.js"),
    ),
    (
        "return.js",
        "text/javascript; charset=utf-8",
        include_str!("../../web/return.js"),
    ),
    (
        "icon.svg",
        "image/svg+xml",
        include_str!("../../web/icon.svg"),
    ),
];

/// What the page needs to know before it asks: the limits and the price of a credit.
#[derive(Template)]
#[template(path = "home.html")]
struct Home<'a> {
    name: &'a str,
    min: i64,
    max: i64,
    numerator: i64,
    denominator: i64,
    currency: &'static str,
    decimals: u8,
    demo: bool,
}

/// `GET /`
pub(super) async fn home(State(app): State<App>) -> Page {
    let topup = &app.config().topup;
    let home = Home {
        name: &app.config().stripe.item_name,
        min: topup.min,
        max: topup.max,
        numerator: topup.price.numerator,
        denominator: topup.price.denominator,
        currency: topup.price.currency.code(),
        decimals: topup.price.currency.decimals(),
        demo: app.demo().is_some(),
    };
    Page(page(StatusCode::OK, &home))
}

/// `GET /assets/{name}`
pub(super) async fn asset(AssetName(name): AssetName) -> File {
    File(match FILES.iter().find(|(file, ..)| *file == name) {
        Some((_, kind, text)) => (
            [(header::CONTENT_TYPE, HeaderValue::from_static(kind))],
            *text,
        )
            .into_response(),
        None => ApiError::new(
            StatusCode::NOT_FOUND,
            "route_not_found",
            "there is no such file",
        )
        .into_response(),
    })
}

/// The name of a file in an address.
#[derive(Debug)]
pub(super) struct AssetName(String);

impl<S: Send + Sync> FromRequestParts<S> for AssetName {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Infallible> {
        // An address that is not even text names no file.
        let path = Path::<String>::from_request_parts(parts, state).await;
        Ok(Self(path.map(|Path(name)| name).unwrap_or_default()))
    }
}

impl Argument for AssetName {
    fn describe(operation: &mut Operation<'_>) {
        operation.path::<String>("name");
        operation.may(&["route_not_found"]);
    }
}

/// A page with the headers all pages carry.
pub(super) fn page(status: StatusCode, template: &impl Template) -> Response {
    let text = match template.render() {
        Ok(text) => text,
        Err(error) => return ApiError::internal(&error).into_response(),
    };
    let headers = [
        (
            header::CONTENT_TYPE,
            HeaderValue::from_static("text/html; charset=utf-8"),
        ),
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_FRAME_OPTIONS, HeaderValue::from_static("DENY")),
        (
            HeaderName::from_static("cross-origin-opener-policy"),
            HeaderValue::from_static("same-origin"),
        ),
    ];
    (status, headers, text).into_response()
}
