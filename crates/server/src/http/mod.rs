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
mod form;
mod grant;
mod happening;
mod health;
mod hold;
mod intent;
mod json;
pub mod jwt;
mod key;
mod kind;
mod limit;
pub mod openapi;
mod order;
mod package;
mod page;
mod payment;
mod reconcile;
mod redirect;
mod referral;
mod refund;
mod refusing;
mod return_url;
mod site;
mod topup;
mod usage;
mod wallet;
mod webhook;

use axum::Router;
use axum::middleware::from_fn_with_state;
use http::StatusCode;
use tower_http::catch_panic::CatchPanicLayer;

use crate::App;
use admission::Toll;
use error::ApiError;
use openapi::Routes;

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

/// Everything that is asked here, ready to be answered.
pub fn router(app: App) -> Router {
    let mut router = routes().into_router();
    if app.demo().is_some() {
        router = router.route("/demo/session", axum::routing::post(demo::session));
    }
    router
        .fallback(nowhere)
        .method_not_allowed_fallback(wrong_method)
        .layer(CatchPanicLayer::custom(answer::panicked))
        .layer(from_fn_with_state(app.clone(), answer::finish))
        .with_state(app)
}

/// All routes that are there in every configuration. Beside each stand the rules by which it may refuse, as codes; what a request
/// lacks in shape or in credentials, its types say.
fn routes() -> Routes {
    Routes::new()
        .get("/", site::home, &[])
        .get("/assets/{name}", site::asset, &[])
        .get("/livez", health::live, &[])
        .get("/readyz", health::ready, &["not_ready"])
        .get("/v1/openapi.json", openapi::get, &[])
        .merge(payments())
        .merge(purchases())
        .merge(balances())
        .merge(spending())
        .merge(usage_and_keys())
        .merge(facade::routes())
}

/// Paying, and what becomes of payments. A route that costs more than others says which [`Toll`] it takes.
fn payments() -> Routes {
    Routes::new()
        .get("/v1/payment/methods", payment::methods, &[])
        .post(
            "/v1/payment.stripe/checkout/create",
            checkout::create,
            refusing::PAYING,
        )
        .costs(Toll::Checkout)
        .post(
            "/v1/payment.stripe/intent/create",
            intent::create,
            refusing::PAYING,
        )
        .costs(Toll::Checkout)
        .get("/v1/payment.stripe/cards", card::all, refusing::STRIPE)
        .post(
            "/v1/payment.stripe/cards/setup",
            card::set_up,
            refusing::STRIPE,
        )
        .costs(Toll::Checkout)
        .post(
            "/v1/payment.stripe/cards/detach",
            card::detach,
            refusing::STRIPE,
        )
        .post(
            "/v1/payment.stripe/cards/charge",
            card::charge,
            refusing::PAYING,
        )
        .costs(Toll::Checkout)
        .post(WEBHOOK_PATH, webhook::receive, &[])
        .get(
            "/v1/payment.stripe/redirect/success",
            redirect::success,
            &[],
        )
        .get("/v1/payment.stripe/redirect/cancel", redirect::cancel, &[])
        .get("/v1/payment.stripe/payments/me", payment::mine, &[])
        .costs(Toll::Reading)
        .get("/v1/payment.stripe/payments", payment::all, &[])
        .get(
            "/v1/payment.stripe/payments/{payment_id}",
            payment::one,
            refusing::STRIPE,
        )
        .get("/v1/payment.stripe/refunds", refund::all, &[])
        .post(
            "/v1/payment.stripe/refunds/create",
            refund::create,
            refusing::REFUNDING,
        )
        .post(
            "/v1/payment.stripe/refunds/approve",
            refund::approve,
            refusing::REFUNDING,
        )
        .post(
            "/v1/payment.stripe/refunds/reject",
            refund::reject,
            refusing::REFUNDING,
        )
        .get("/v1/payment.stripe/events", payment::events, &[])
        .post("/v1/payment.stripe/events/replay", reconcile::replay, &[])
        .get("/v1/payment.stripe/reconcile", reconcile::state, &[])
        .post(
            "/v1/payment.stripe/reconcile",
            reconcile::begin,
            &["payment_not_configured", "reconciliation_running"],
        )
        .post(
            "/v1/payment.stripe/recovery/end",
            reconcile::end_recovery,
            &[],
        )
}

/// What can be bought, and what comes with it.
fn purchases() -> Routes {
    Routes::new()
        .get(
            "/v1/balance/auto_topup",
            auto_topup::one,
            &["auto_topup_not_found"],
        )
        .post(
            "/v1/balance/auto_topup/set",
            auto_topup::set,
            refusing::AUTO_TOPUP,
        )
        .post(
            "/v1/balance/auto_topup/remove",
            auto_topup::remove,
            &["auto_topup_not_found"],
        )
        .get("/v1/balance/packages", package::all, &[])
        .get("/v1/balance/coupons", coupon::all, &[])
        .post(
            "/v1/balance/coupons/create",
            coupon::create,
            &["coupon_exists"],
        )
        .post(
            "/v1/balance/coupons/disable",
            coupon::disable,
            &["coupon_not_found"],
        )
        .get("/v1/balance/codes", code::all, &[])
        .post("/v1/balance/codes/create", code::create, &[])
        .post("/v1/balance/codes/disable", code::disable, &[])
        .post(
            "/v1/balance/codes/redeem",
            code::redeem,
            refusing::REDEEMING,
        )
        .post(
            "/v1/balance/signup/claim",
            referral::signup,
            refusing::WELCOME,
        )
        .post(
            "/v1/balance/trial/claim",
            referral::trial,
            refusing::WELCOME,
        )
        .get("/v1/balance/referral", referral::mine, &["not_offered"])
        .post(
            "/v1/balance/referral/claim",
            referral::claim,
            refusing::REFERRING,
        )
        .get("/v1/balance/bonuses", code::had, &[])
        .get("/v1/balance/topups/me", topup::mine, &[])
        .post(
            "/v1/balance/topups/create",
            topup::create,
            refusing::WISHING,
        )
        .get("/v1/balance/topups", topup::all, &[])
        .post(
            "/v1/balance/topups/finish",
            topup::finish,
            &["balance_out_of_range", "topup_not_pending"],
        )
        .post(
            "/v1/balance/topups/cancel",
            topup::cancel,
            &["topup_not_pending"],
        )
}

/// What is in wallets, and why.
fn balances() -> Routes {
    Routes::new()
        .get("/v1/balance/me", balance::mine, &[])
        .get("/v1/balance/history/me", balance::my_history, &[])
        .costs(Toll::Reading)
        .get("/v1/balance/users", balance::users, &[])
        .get("/v1/balance/history", balance::history, &[])
        .post(
            "/v1/balance/add",
            balance::add,
            &["balance_out_of_range", "too_many"],
        )
        .post("/v1/balance/sub", balance::sub, refusing::SPENDING)
        .get("/v1/balance/at", wallet::at, &[])
        .get(
            "/v1/balance/explain",
            explain::explain,
            refusing::EXPLAINING,
        )
        .costs(Toll::Reading)
        .post("/v1/balance/overdraft/set", wallet::set_overdraft, &[])
        .post("/v1/balance/freeze", wallet::freeze, &[])
        .get("/v1/balance/events", happening::list, &[])
        .get("/v1/balance/checkpoint", wallet::checkpoint, &[])
}

/// What is given, reserved and spent.
fn spending() -> Routes {
    Routes::new()
        .post("/v1/balance/charge", charge::create, refusing::SPENDING)
        .post(
            "/v1/balance/charge/batch",
            charge::batch,
            refusing::SPENDING,
        )
        .post(
            "/v1/balance/precheck",
            charge::precheck,
            &["balance_out_of_range"],
        )
        .get("/v1/balance/holds", hold::all, &[])
        .get("/v1/balance/holds/me", hold::mine, &[])
        .get("/v1/balance/holds/{hold_id}", hold::one, &[])
        .post("/v1/balance/holds/create", hold::create, refusing::HOLDING)
        .post(
            "/v1/balance/holds/progress",
            hold::progress,
            refusing::HOLDING,
        )
        .post("/v1/balance/holds/extend", hold::extend, refusing::HOLDING)
        .post("/v1/balance/holds/settle", hold::settle, refusing::HOLDING)
        .post(
            "/v1/balance/holds/release",
            hold::release,
            refusing::HOLDING,
        )
        .get("/v1/balance/grants", grant::all, &[])
        .get("/v1/balance/grants/me", grant::mine, &[])
        .post(
            "/v1/balance/grants/create",
            grant::create,
            &["balance_out_of_range", "too_many"],
        )
        .post("/v1/balance/grants/void", grant::void, &["grant_ended"])
        .get("/v1/balance/limits", limit::all, &[])
        .post("/v1/balance/limits/set", limit::set, &[])
        .post("/v1/balance/limits/remove", limit::remove, &[])
        .post(
            "/v1/balance/exchange",
            exchange::create,
            refusing::EXCHANGING,
        )
}

/// What was used, and who may ask.
fn usage_and_keys() -> Routes {
    Routes::new()
        .post("/v1/usage/record", usage::record, &[])
        .get("/v1/usage/events", usage::all, &[])
        .get("/v1/usage/me", usage::mine, &[])
        .costs(Toll::Reading)
        .get("/v1/usage/summary", usage::summary, &[])
        .get("/v1/keys", key::all, &[])
        .post(
            "/v1/keys/create",
            key::create,
            &["idempotency_not_supported"],
        )
        .post("/v1/keys/revoke", key::revoke, &[])
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
