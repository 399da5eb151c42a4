//! Opening a checkout: where a top-up meets Stripe's payment page.

use axum::extract::State;
use axum::response::IntoResponse;
use bursar_domain::checkout::OpenCheckout;
use http::{HeaderMap, StatusCode, Uri};

use super::answer::answer;
use super::auth::User;
use super::error::ApiError;
use super::order::Order;
use super::{payment, return_url, topup};
use crate::App;

/// `POST /v1/payment.stripe/checkout/create`
pub(super) async fn create(
    State(app): State<App>,
    user: User,
    headers: HeaderMap,
    uri: Uri,
    mut order: Order,
) -> Result<impl IntoResponse, ApiError> {
    configured(&app)?;
    let idempotency = order.idempotency(&user.caller());
    let topup = topup::id(&mut order.input)?;
    let save_card = order.input.boolean("save_card")?.unwrap_or(false);
    order.input.finish()?;
    let pages = return_url::pages(app.config(), &headers, &uri)?;
    let wish = OpenCheckout {
        topup,
        user: user.0,
        success_url: pages.success,
        cancel_url: pages.cancel,
        save_card,
    };
    let (payment, replayed) = app.engine().open_checkout(wish, idempotency).await?;
    Ok(answer(payment::View::of(&payment), replayed))
}

/// Nothing can be paid until Stripe is configured.
pub(super) fn configured(app: &App) -> Result<(), ApiError> {
    match app.missing_for_payments() {
        Some(missing) => Err(ApiError::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "payment_not_configured",
            missing,
        )),
        None => Ok(()),
    }
}
