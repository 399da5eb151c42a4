//! What all pages of the sandbox have in common: how they are sent, and their style and script files.

use askama::Template;
use axum::Router;
use axum::http::{HeaderName, StatusCode, header};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::get;

use crate::Sandbox;

/// Nothing is loaded but our own files, and nobody may frame the page. A form may lead to any web address: a
/// browser applies `form-action` to the redirects that follow, and the last one leads to the shop.
const POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; img-src data:; \
    form-action 'self' http: https:; base-uri 'none'; frame-ancestors 'none'";

const STYLE: &str = include_str!("../templates/sandbox.css");
const SCRIPT: &str = include_str!("../templates/cards.js");

/// The style and script files of the pages.
pub(crate) fn routes() -> Router<Sandbox> {
    Router::new()
        .route(
            "/sandbox/assets/sandbox.css",
            get(|| async { asset("text/css; charset=utf-8", STYLE) }),
        )
        .route(
            "/sandbox/assets/cards.js",
            get(|| async { asset("text/javascript; charset=utf-8", SCRIPT) }),
        )
}

/// A page. It must not be kept by any cache: it shows a state that changes, or a form that pays.
pub(crate) fn page(status: StatusCode, template: &impl Template) -> Response {
    match template.render() {
        Ok(html) => (status, headers(), Html(html)).into_response(),
        Err(error) => {
            tracing::error!(%error, "a page cannot be rendered");
            (
                StatusCode::INTERNAL_SERVER_ERROR,
                "This page cannot be shown.",
            )
                .into_response()
        }
    }
}

fn headers() -> [(HeaderName, &'static str); 4] {
    [
        (header::CACHE_CONTROL, "no-store"),
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        // The shop must not learn the address of the page, but our own forms have to say where they come from.
        (header::REFERRER_POLICY, "same-origin"),
    ]
}

fn asset(kind: &'static str, text: &'static str) -> Response {
    let headers = [
        (header::CONTENT_TYPE, kind),
        (header::CACHE_CONTROL, "no-cache"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ];
    (headers, text).into_response()
}
