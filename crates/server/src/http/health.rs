//! For those who watch the process: is it alive, can it serve.

use axum::extract::State;
use axum::response::IntoResponse;
use bursar_store::query::PageRequest;
use http::StatusCode;
use serde_json::json;

use super::answer::item;
use super::error::ApiError;
use crate::App;

/// `GET /livez`: the process answers.
pub(super) async fn live() -> impl IntoResponse {
    item(json!({ "status": "ok" }))
}

/// `GET /readyz`: the database answers, and the server is not about to stop.
pub(super) async fn ready(State(app): State<App>) -> Result<impl IntoResponse, ApiError> {
    let request = PageRequest {
        limit: 1,
        cursor: None,
    };
    let asked = app
        .engine()
        .read(move |reader| reader.api_keys(&request))
        .await;
    if asked.is_err() || app.is_stopping() {
        let message = "the server is stopping, or its database does not answer";
        return Err(ApiError::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "not_ready",
            message,
        ));
    }
    Ok(item(json!({ "status": "ok" })))
}
