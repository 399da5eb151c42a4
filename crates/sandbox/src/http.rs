//! The HTTP skin of the API.

use axum::Router;

use crate::Sandbox;

/// The routes of the API.
pub fn router(sandbox: Sandbox) -> Router {
    Router::new()
        .merge(pages())
        .with_state(sandbox)
}

/// What is not the API: the hosted pages, the control API, and what `stripe listen` needs.
fn pages() -> Router<Sandbox> {
    Router::new()
        .merge(crate::page::routes())
        .merge(crate::pay_page::routes())
        .merge(crate::control::routes())
        .merge(crate::listen::routes())
}
