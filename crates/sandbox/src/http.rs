//! The HTTP skin of the API.

use axum::Router;

use crate::Sandbox;

/// The routes of the API.
pub fn router(sandbox: Sandbox) -> Router {
    Router::new().with_state(sandbox)
}
