//! For those who watch the process: is it alive, can it serve.

use std::time::Duration;

use axum::extract::State;
use http::StatusCode;
use schemars::JsonSchema;
use serde::Serialize;

use super::answer::{Item, item};
use super::error::ApiError;
use crate::App;

/// Whoever watches wants to know soon, also of a database that takes connections and says nothing.
const PATIENCE: Duration = Duration::from_secs(3);

/// How it is.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Health {
    status: Status,
}

#[derive(Debug, Clone, Copy, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
enum Status {
    Ok,
    Recovery,
}

/// `GET /livez`: the process answers.
pub(super) async fn live() -> Item<Health> {
    item(Health { status: Status::Ok })
}

/// `GET /readyz`: the database answers, and the server is not about to stop. In recovery mode it can serve, and says so.
pub(super) async fn ready(State(app): State<App>) -> Result<Item<Health>, ApiError> {
    let asked = tokio::time::timeout(PATIENCE, app.engine().recovery()).await;
    let recovery = match asked {
        Ok(Ok(recovery)) if !app.is_stopping() => recovery,
        _ => {
            let message = "the server is stopping, or its database does not answer";
            let status = StatusCode::SERVICE_UNAVAILABLE;
            return Err(ApiError::new(status, "not_ready", message));
        }
    };
    let status = if recovery.is_some() {
        Status::Recovery
    } else {
        Status::Ok
    };
    Ok(item(Health { status }))
}
