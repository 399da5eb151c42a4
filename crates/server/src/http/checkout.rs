//! Opening a checkout: where a top-up meets Stripe's payment page.

use axum::extract::State;
use bursar_domain::checkout::OpenCheckout;
use bursar_domain::id::TopupId;
use http::{HeaderMap, StatusCode, Uri};

use super::answer::{Item, answer};
use super::auth::User;
use super::error::ApiError;
use super::form::form;
use super::kind::Id;
use super::order::Order;
use super::{payment, return_url};
use crate::App;

form! {
    /// What is to be paid.
    pub(super) struct Pay {
        pub(super) topup_id: Id<TopupId>,
        /// Whether the card is kept for later payments.
        pub(super) save_card: Option<bool>,
    }
}

/// `POST /v1/payment.stripe/checkout/create`
pub(super) async fn create(
    State(app): State<App>,
    user: User,
    headers: HeaderMap,
    uri: Uri,
    order: Order<Pay>,
) -> Result<Item<payment::View>, ApiError> {
    configured(&app)?;
    let idempotency = order.idempotency(&user.caller());
    let pages = return_url::pages(app.config(), &headers, &uri)?;
    let wish = OpenCheckout {
        topup: order.form.topup_id.0,
        user: user.0,
        success_url: pages.success,
        cancel_url: pages.cancel,
        save_card: order.form.save_card.unwrap_or(false),
    };
    let opened = app.engine().open_checkout(wish, idempotency).await?;
    Ok(answer(&opened, payment::View::of))
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
