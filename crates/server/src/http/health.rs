//! For those who watch the process: is it alive, can it serve.

use axum::extract::State;
use axum::response::IntoResponse;
use http::StatusCode;
use serde_json::json;

use super::answer::item;
use super::error::ApiError;
use crate::App;

/// `GET /livez`: the process answers.
pub(super) async fn live() -> impl IntoResponse {
    item(json!({ "status": "ok" }))
}

/// `GET /readyz`: the database answers, and the server is not about to stop. In recovery mode it can serve, and says so.
pub(super) async fn ready(State(app): State<App>) -> Result<impl IntoResponse, ApiError> {
    let recovery = match app.engine().recovery().await {
        Ok(recovery) if !app.is_stopping() => recovery,
        _ => {
            let message = "the server is stopping, or its database does not answer";
            let status = StatusCode::SERVICE_UNAVAILABLE;
            return Err(ApiError::new(status, "not_ready", message));
        }
    };
    let status = if recovery.is_some() { "recovery" } else { "ok" };
    Ok(item(json!({ "status": status })))
}
