//! Facades: APIs that other services have published, answered by this one.
//!
//! A facade translates: its requests become the same commands that the routes of our own submit, and its answers are made of the
//! same rows. It has no rule and asks nothing of the database but what readers give. It says no in its own, plainer shape.

mod credits;
mod money;
mod name;
mod view;

use axum::extract::Request;
use axum::middleware::{Next, from_fn};
use axum::response::Response;
use serde_json::{Value, json};

use super::error::ApiError;
use super::openapi::Routes;

/// All routes of all facades.
pub(super) fn routes() -> Routes {
    credits::routes().plain(|handler| handler.layer(from_fn(plain_errors)))
}

/// Marks a response whose error is to be written in the plain shape.
#[derive(Debug, Clone, Copy)]
pub(super) struct Plain;

async fn plain_errors(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    response.extensions_mut().insert(Plain);
    response
}

/// An error in the plain shape.
pub(super) fn error(error: &ApiError) -> Value {
    let mut body = json!({ "error": error.message, "code": error.code });
    if let Some(param) = &error.param {
        body["param"] = param.clone().into();
    }
    body
}
