//! A product with Bursar inside: its own routes beside Bursar's, and credits spent without a request in between.
//!
//! ```sh
//! BURSAR_BASE_URL=http://127.0.0.1:8787/billing cargo run -p bursar-server --example embed
//! curl -X POST http://127.0.0.1:8787/paint/anna/picture-1
//! curl http://127.0.0.1:8787/billing/v1/payment/methods
//! ```

use axum::Router;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::routing::post;
use bursar::{App, Config, Sources, listener};
use bursar_domain::id::UserId;
use bursar_domain::refusal::Refusal;
use bursar_engine::service::{ServiceError, charge};

/// What a picture costs, in credits.
const PICTURE: i64 = 10;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let (config, _) = Config::load(&Sources::of_process(None))?;
    let socket = tokio::net::TcpListener::bind(&config.listen).await?;
    let app = App::start(config)?;
    let routes = Router::new()
        .route("/paint/{user}/{picture}", post(paint))
        .with_state(app.clone())
        .nest_service("/billing", app.router());
    let bounds = app.config().edge.bounds();
    listener::serve(socket, routes, bounds, listener::asked_to_stop()).await;
    app.stop().await;
    Ok(())
}

/// Paints a picture. Who the user is, a real product knows from its own session. The same picture, asked for again, is not charged
/// again.
async fn paint(
    State(app): State<App>,
    Path((user, picture)): Path<(String, String)>,
) -> Result<String, (StatusCode, String)> {
    let user = UserId::parse(&user).ok_or((StatusCode::NOT_FOUND, "no such user".to_owned()))?;
    let price = charge::credits(&user, PICTURE);
    match app.balance().charge(price, &picture).await {
        Ok(charged) => Ok(format!("Your picture. Credits left: {}\n", charged.balance)),
        Err(error) => {
            let status = match (error.refusal(), &error) {
                (Some(Refusal::InsufficientCredits { .. }), _) => StatusCode::PAYMENT_REQUIRED,
                (Some(_), _) => StatusCode::CONFLICT,
                (None, ServiceError::Invalid { .. }) => StatusCode::BAD_REQUEST,
                (None, _) => StatusCode::SERVICE_UNAVAILABLE,
            };
            Err((status, format!("{error}\n")))
        }
    }
}
