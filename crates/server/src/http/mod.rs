//! The HTTP surface: every route on one screen, then one file for each thing it is about.
//!
//! A handler extracts, asks the engine, renders; rules are in the domain. Roles are in the types of the arguments:
//! [`auth::User`], [`auth::Admin`], or neither for guests.

pub mod admission;
pub mod answer;
pub mod auth;
mod auto_topup;
mod balance;
mod card;
mod charge;
mod checkout;
mod code;
mod coupon;
mod demo;
pub mod error;
mod exchange;
mod explain;
pub mod extract;
mod facade;
mod field;
mod grant;
mod happening;
mod health;
mod hold;
mod intent;
mod json;
pub mod jwt;
mod key;
mod limit;
mod order;
mod package;
mod page;
mod payment;
mod reconcile;
mod redirect;
mod referral;
mod refund;
mod return_url;
mod site;
mod topup;
mod usage;
mod wallet;
mod webhook;

use axum::middleware::from_fn_with_state;
use axum::routing::{get, post};
use axum::{Extension, Router};
use http::StatusCode;
use tower_http::catch_panic::CatchPanicLayer;

use crate::App;
use admission::Toll;
use error::ApiError;

/// Where Stripe delivers its events, below the base URL.
pub const WEBHOOK_PATH: &str = "/v1/payment.stripe/webhook";

/// The events Stripe has to deliver there.
pub const EVENTS: &[&str] = &[
    "checkout.session.completed",
    "checkout.session.async_payment_succeeded",
    "checkout.session.async_payment_failed",
    "checkout.session.expired",
    "payment_intent.succeeded",
    "payment_intent.payment_failed",
    "payment_intent.canceled",
    "payment_intent.processing",
    "charge.refunded",
    "refund.created",
    "refund.updated",
    "refund.failed",
    "charge.dispute.created",
    "charge.dispute.updated",
    "charge.dispute.funds_withdrawn",
    "charge.dispute.funds_reinstated",
    "charge.dispute.closed",
    "radar.early_fraud_warning.created",
];

/// All routes.
pub fn router(app: App) -> Router {
    let mut routes = Router::new()
        .route("/", get(site::home))
        .route("/assets/{name}", get(site::asset))
        .route("/livez", get(health::live))
        .route("/readyz", get(health::ready))
        .merge(payments())
        .merge(purchases())
        .merge(balances())
        .merge(spending())
        .merge(usage_and_keys())
        .merge(facade::routes());
    if app.demo().is_some() {
        routes = routes.route("/demo/session", post(demo::session));
    }
    routes
        .fallback(nowhere)
        .method_not_allowed_fallback(wrong_method)
        .layer(CatchPanicLayer::custom(answer::panicked))
        .layer(from_fn_with_state(app.clone(), answer::finish))
        .with_state(app)
}

/// Paying, and what becomes of payments. A route that costs more than others says which [`Toll`] it takes.
fn payments() -> Router<App> {
    Router::new()
        .route("/v1/payment/methods", get(payment::methods))
        .route(
            "/v1/payment.stripe/checkout/create",
            post(checkout::create).layer(Extension(Toll::Checkout)),
        )
        .route(
            "/v1/payment.stripe/intent/create",
            post(intent::create).layer(Extension(Toll::Checkout)),
        )
        .route("/v1/payment.stripe/cards", get(card::all))
        .route(
            "/v1/payment.stripe/cards/setup",
            post(card::set_up).layer(Extension(Toll::Checkout)),
        )
        .route("/v1/payment.stripe/cards/detach", post(card::detach))
        .route(
            "/v1/payment.stripe/cards/charge",
            post(card::charge).layer(Extension(Toll::Checkout)),
        )
        .route(WEBHOOK_PATH, post(webhook::receive))
        .route(
            "/v1/payment.stripe/redirect/success",
            get(redirect::success),
        )
        .route("/v1/payment.stripe/redirect/cancel", get(redirect::cancel))
        .route(
            "/v1/payment.stripe/payments/me",
            get(payment::mine).layer(Extension(Toll::Reading)),
        )
        .route("/v1/payment.stripe/payments", get(payment::all))
        .route(
            "/v1/payment.stripe/payments/{payment_id}",
            get(payment::one),
        )
        .route("/v1/payment.stripe/refunds", get(refund::all))
        .route("/v1/payment.stripe/refunds/create", post(refund::create))
        .route("/v1/payment.stripe/refunds/approve", post(refund::approve))
        .route("/v1/payment.stripe/refunds/reject", post(refund::reject))
        .route("/v1/payment.stripe/events", get(payment::events))
        .route("/v1/payment.stripe/events/replay", post(reconcile::replay))
        .route(
            "/v1/payment.stripe/reconcile",
            get(reconcile::state).post(reconcile::begin),
        )
        .route(
            "/v1/payment.stripe/recovery/end",
            post(reconcile::end_recovery),
        )
}

/// What can be bought, and what comes with it.
fn purchases() -> Router<App> {
    Router::new()
        .route("/v1/balance/auto_topup", get(auto_topup::one))
        .route("/v1/balance/auto_topup/set", post(auto_topup::set))
        .route("/v1/balance/auto_topup/remove", post(auto_topup::remove))
        .route("/v1/balance/packages", get(package::all))
        .route("/v1/balance/coupons", get(coupon::all))
        .route("/v1/balance/coupons/create", post(coupon::create))
        .route("/v1/balance/coupons/disable", post(coupon::disable))
        .route("/v1/balance/codes", get(code::all))
        .route("/v1/balance/codes/create", post(code::create))
        .route("/v1/balance/codes/disable", post(code::disable))
        .route("/v1/balance/codes/redeem", post(code::redeem))
        .route("/v1/balance/signup/claim", post(referral::signup))
        .route("/v1/balance/trial/claim", post(referral::trial))
        .route("/v1/balance/referral", get(referral::mine))
        .route("/v1/balance/referral/claim", post(referral::claim))
        .route("/v1/balance/bonuses", get(code::had))
        .route("/v1/balance/topups/me", get(topup::mine))
        .route("/v1/balance/topups/create", post(topup::create))
        .route("/v1/balance/topups", get(topup::all))
        .route("/v1/balance/topups/finish", post(topup::finish))
        .route("/v1/balance/topups/cancel", post(topup::cancel))
}

/// What is in wallets, and why.
fn balances() -> Router<App> {
    Router::new()
        .route("/v1/balance/me", get(balance::mine))
        .route(
            "/v1/balance/history/me",
            get(balance::my_history).layer(Extension(Toll::Reading)),
        )
        .route("/v1/balance/users", get(balance::users))
        .route("/v1/balance/history", get(balance::history))
        .route("/v1/balance/add", post(balance::add))
        .route("/v1/balance/sub", post(balance::sub))
        .route("/v1/balance/at", get(wallet::at))
        .route(
            "/v1/balance/explain",
            get(explain::explain).layer(Extension(Toll::Reading)),
        )
        .route("/v1/balance/overdraft/set", post(wallet::set_overdraft))
        .route("/v1/balance/freeze", post(wallet::freeze))
        .route("/v1/balance/events", get(happening::list))
        .route("/v1/balance/checkpoint", get(wallet::checkpoint))
}

/// What is given, reserved and spent.
fn spending() -> Router<App> {
    Router::new()
        .route("/v1/balance/charge", post(charge::create))
        .route("/v1/balance/charge/batch", post(charge::batch))
        .route("/v1/balance/precheck", post(charge::precheck))
        .route("/v1/balance/holds", get(hold::all))
        .route("/v1/balance/holds/me", get(hold::mine))
        .route("/v1/balance/holds/{hold_id}", get(hold::one))
        .route("/v1/balance/holds/create", post(hold::create))
        .route("/v1/balance/holds/progress", post(hold::progress))
        .route("/v1/balance/holds/extend", post(hold::extend))
        .route("/v1/balance/holds/settle", post(hold::settle))
        .route("/v1/balance/holds/release", post(hold::release))
        .route("/v1/balance/grants", get(grant::all))
        .route("/v1/balance/grants/me", get(grant::mine))
        .route("/v1/balance/grants/create", post(grant::create))
        .route("/v1/balance/grants/void", post(grant::void))
        .route("/v1/balance/limits", get(limit::all))
        .route("/v1/balance/limits/set", post(limit::set))
        .route("/v1/balance/limits/remove", post(limit::remove))
        .route("/v1/balance/exchange", post(exchange::create))
}

/// What was used, and who may ask.
fn usage_and_keys() -> Router<App> {
    Router::new()
        .route("/v1/usage/record", post(usage::record))
        .route("/v1/usage/events", get(usage::all))
        .route(
            "/v1/usage/me",
            get(usage::mine).layer(Extension(Toll::Reading)),
        )
        .route("/v1/usage/summary", get(usage::summary))
        .route("/v1/keys", get(key::all))
        .route("/v1/keys/create", post(key::create))
        .route("/v1/keys/revoke", post(key::revoke))
}

async fn nowhere() -> ApiError {
    ApiError::new(
        StatusCode::NOT_FOUND,
        "route_not_found",
        "there is nothing at this address",
    )
}

async fn wrong_method() -> ApiError {
    let message = "this address does not take this method; the header `Allow` lists those it takes";
    ApiError::new(
        StatusCode::METHOD_NOT_ALLOWED,
        "method_not_allowed",
        message,
    )
}
