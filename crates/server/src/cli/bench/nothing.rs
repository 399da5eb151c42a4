//! The handler that does nothing, behind the listener and the HTTP stack of the service.

use std::process::ExitCode;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::response::{IntoResponse as _, Response};
use axum::routing::post;
use http::{HeaderMap, HeaderValue, header};
use tokio::net::TcpListener;

use super::wallet::request::{BATCH, CHARGE, CHARGES_OF_A_BATCH, HOLD, SETTLE};
use crate::http::WEBHOOK_PATH;
use crate::http::error::ApiError;
use crate::http::extract::read_body;
use crate::listener::{self, Bounds};

/// The largest body, in bytes.
const BODY_MAX: usize = 1 << 20;

/// As long as what the service answers to a charge.
const CHARGED: &str = r#"{"charge_id":"chg_01KAH5Q3Y8M4T7W2Z9B6C1D0EF","user_id":"u00000","credits":1,"balance":999999999,"available":999999999,"unit":"credit","note":"picture","ref":"picture-1000000","created_at":"2026-11-21T12:00:00.000Z"}"#;

/// As long as what the service answers to a hold; the next request of the connection names it.
const HELD: &str = r#"{"hold_id":"hld_01KAH5Q3Y8M4T7W2Z9B6C1D0EF","user_id":"u00000","credits":5,"status":"open","available":999999994,"unit":"credit","expires_at":"2026-11-21T12:10:00.000Z","created_at":"2026-11-21T12:00:00.000Z"}"#;

/// Every route that is measured, each with an answer that never changes.
pub(super) fn router() -> Router {
    let charges = vec![CHARGED; CHARGES_OF_A_BATCH].join(",");
    Router::new()
        .route(WEBHOOK_PATH, always(r#"{"received":true}"#))
        .route(CHARGE, always(CHARGED))
        .route(BATCH, always(format!(r#"{{"items":[{charges}]}}"#)))
        .route(HOLD, always(HELD))
        .route(SETTLE, always(HELD))
}

/// Reads the body and gives this answer.
fn always(answer: impl Into<Bytes>) -> axum::routing::MethodRouter {
    let answer = answer.into();
    post(async move |headers: HeaderMap, body: Body| {
        read_body(&headers, body, BODY_MAX).await?;
        let json = HeaderValue::from_static("application/json");
        let answer: Response = ([(header::CONTENT_TYPE, json)], answer).into_response();
        Ok::<_, ApiError>(answer)
    })
}

pub(super) async fn serve() -> anyhow::Result<ExitCode> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    eprintln!("bursar: serving on http://{}", listener.local_addr()?);
    let stop = listener::asked_to_stop();
    listener::serve(listener, router(), Bounds::default(), stop).await;
    Ok(ExitCode::SUCCESS)
}
