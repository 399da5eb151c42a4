//! Each route is for one role.

use axum::body::Body;
use http::Request;

use crate::house::{House, token};

const GUEST: &[(&str, &str)] = &[
    ("GET", "/"),
    ("GET", "/livez"),
    ("GET", "/readyz"),
    ("GET", "/v1/payment/methods"),
    ("GET", "/v1/balance/packages"),
    ("GET", "/v1/payment.stripe/redirect/cancel"),
];
const USER: &[(&str, &str)] = &[
    ("GET", "/v1/balance/me"),
    ("GET", "/v1/balance/history/me"),
    ("GET", "/v1/balance/topups/me"),
    ("GET", "/v1/payment.stripe/payments/me"),
    ("GET", "/v1/balance/grants/me"),
    ("GET", "/v1/balance/holds/me"),
    ("GET", "/v1/usage/me"),
    ("POST", "/v1/balance/topups/create"),
    ("POST", "/v1/balance/codes/redeem"),
    ("POST", "/v1/balance/signup/claim"),
    ("POST", "/v1/balance/trial/claim"),
    ("GET", "/v1/balance/referral"),
    ("POST", "/v1/balance/referral/claim"),
    ("POST", "/v1/payment.stripe/checkout/create"),
    ("POST", "/v1/payment.stripe/intent/create"),
];
const ADMIN: &[(&str, &str)] = &[
    ("GET", "/v1/balance/users"),
    ("GET", "/v1/balance/history"),
    ("GET", "/v1/balance/topups"),
    ("GET", "/v1/payment.stripe/payments"),
    ("GET", "/v1/payment.stripe/events"),
    ("GET", "/v1/keys"),
    ("POST", "/v1/balance/add"),
    ("POST", "/v1/balance/sub"),
    ("POST", "/v1/balance/topups/finish"),
    ("POST", "/v1/balance/topups/cancel"),
    ("GET", "/v1/balance/coupons"),
    ("POST", "/v1/balance/coupons/create"),
    ("POST", "/v1/balance/coupons/disable"),
    ("GET", "/v1/balance/codes"),
    ("POST", "/v1/balance/codes/create"),
    ("POST", "/v1/balance/codes/disable"),
    ("GET", "/v1/balance/bonuses"),
    ("POST", "/v1/keys/create"),
    ("POST", "/v1/keys/revoke"),
    ("GET", "/v1/balance/at"),
    ("POST", "/v1/balance/overdraft/set"),
    ("POST", "/v1/balance/freeze"),
    ("GET", "/v1/payment.stripe/refunds"),
    ("POST", "/v1/payment.stripe/events/replay"),
    ("GET", "/v1/payment.stripe/reconcile"),
    ("POST", "/v1/payment.stripe/reconcile"),
    ("POST", "/v1/payment.stripe/recovery/end"),
    ("POST", "/v1/payment.stripe/refunds/create"),
    ("POST", "/v1/payment.stripe/refunds/approve"),
    ("POST", "/v1/payment.stripe/refunds/reject"),
    ("POST", "/v1/balance/charge"),
    ("POST", "/v1/balance/charge/batch"),
    ("POST", "/v1/balance/precheck"),
    ("GET", "/v1/balance/holds"),
    ("GET", "/v1/balance/holds/{hold_id}"),
    ("POST", "/v1/balance/holds/create"),
    ("POST", "/v1/balance/holds/progress"),
    ("POST", "/v1/balance/holds/extend"),
    ("POST", "/v1/balance/holds/settle"),
    ("POST", "/v1/balance/holds/release"),
    ("GET", "/v1/balance/grants"),
    ("POST", "/v1/balance/grants/create"),
    ("POST", "/v1/balance/grants/void"),
    ("GET", "/v1/balance/limits"),
    ("POST", "/v1/balance/limits/set"),
    ("POST", "/v1/balance/limits/remove"),
    ("POST", "/v1/balance/exchange"),
    ("GET", "/v1/balance/events"),
    ("GET", "/v1/balance/checkpoint"),
    ("POST", "/v1/usage/record"),
    ("GET", "/v1/usage/events"),
    ("GET", "/v1/usage/summary"),
];

/// The routes of the facades, which say no in a shape of their own.
const FACADE_USER: &[(&str, &str)] = &[
    ("POST", "/api/stripe/checkout-session"),
    ("POST", "/api/stripe/payment-intent"),
    ("GET", "/user/balance"),
];
const FACADE_BOTH: &[(&str, &str)] = &[
    ("GET", "/api/stripe/checkout-session/x"),
    ("GET", "/api/stripe/payment-intent/x"),
    ("GET", "/api/stripe/payments"),
    ("GET", "/api/stripe/payments/1"),
];
const FACADE_ADMIN: &[(&str, &str)] = &[("POST", "/api/stripe/refund")];

#[tokio::test]
async fn each_route_of_a_facade_is_for_its_role() {
    let house = House::usual().await;
    let (user, admin) = (token("u1"), house.admin.clone());
    let wrong = |routes: &'static [(&str, &str)], credentials: Option<String>| {
        routes.iter().map(move |route| (route, credentials.clone()))
    };
    let all = wrong(FACADE_USER, Some(admin))
        .chain(wrong(FACADE_ADMIN, Some(user)))
        .map(|(route, credentials)| (route, credentials, 403, "forbidden"));
    let nobody = [FACADE_USER, FACADE_BOTH, FACADE_ADMIN]
        .into_iter()
        .flat_map(|routes| {
            wrong(routes, None)
                .chain(wrong(routes, Some("bursar_admin_0000".to_owned())))
                .map(|(route, credentials)| (route, credentials, 401, "unauthenticated"))
        });
    for ((method, path), credentials, status, code) in all.chain(nobody) {
        let mut request = Request::builder().method(*method).uri(*path);
        if let Some(credentials) = credentials {
            request = request.header("authorization", format!("Bearer {credentials}"));
        }
        let answer = house.send(request.body(Body::empty()).unwrap()).await;
        assert_eq!(
            (answer.status.as_u16(), &answer.body["code"]),
            (status, &code.into()),
            "{method} {path}"
        );
        assert!(answer.body["error"].is_string(), "{method} {path}");
    }
}

/// Both come here, each with what he may see; tests about these are with those about what they show.
const BOTH: &[(&str, &str)] = &[("GET", "/v1/payment.stripe/payments/{payment_id}")];

/// Browsers and Stripe come to these without credentials of ours; other tests are about them.
const NOBODYS: &[&str] = &[
    "/assets/{name}",
    "/v1/payment.stripe/redirect/success",
    "/demo/session",
];

/// A user asks these about himself, an administrator about anybody.
const FOR_BOTH: &[&str] = &[
    "/v1/balance/explain",
    "/v1/payment.stripe/cards",
    "/v1/payment.stripe/cards/setup",
    "/v1/payment.stripe/cards/detach",
    "/v1/payment.stripe/cards/charge",
    "/v1/balance/auto_topup",
    "/v1/balance/auto_topup/set",
    "/v1/balance/auto_topup/remove",
];

#[test]
fn no_route_is_forgotten_here() {
    let source = include_str!("../../src/http/mod.rs");
    let arguments = source.split(".route(").skip(1).map(str::trim_start);
    let mut routes = arguments.filter_map(|rest| rest.strip_prefix('"')?.split('"').next());
    let known: Vec<&str> = [GUEST, USER, ADMIN, BOTH]
        .into_iter()
        .flatten()
        .map(|(_, path)| *path)
        .chain(NOBODYS.iter().chain(FOR_BOTH).copied())
        .collect();
    assert_eq!(routes.find(|route| !known.contains(route)), None);
}

#[tokio::test]
async fn each_route_is_for_its_role() {
    let house = House::usual().await;
    let user = token("u1");
    for (method, path) in GUEST {
        let request = Request::builder().method(*method).uri(*path);
        let answer = house.send(request.body(Body::empty()).unwrap()).await;
        assert_eq!(answer.status, 200, "{method} {path}");
    }
    for (routes, wrong) in [(USER, house.admin.as_str()), (ADMIN, user.as_str())] {
        for (method, path) in routes {
            for (credentials, status, code) in [
                (None, 401, "unauthenticated"),
                (Some("nonsense"), 401, "unauthenticated"),
                (Some("bursar_admin_0000"), 401, "unauthenticated"),
                (Some(wrong), 403, "forbidden"),
            ] {
                let uri = path.replace(['{', '}'], "");
                let mut request = Request::builder().method(*method).uri(uri);
                if let Some(credentials) = credentials {
                    request = request.header("authorization", format!("Bearer {credentials}"));
                }
                let answer = house.send(request.body(Body::empty()).unwrap()).await;
                assert_eq!(
                    (answer.status.as_u16(), answer.code()),
                    (status, code),
                    "{method} {path}"
                );
                assert!(
                    answer.body["error"]["request_id"]
                        == answer.headers["request-id"].to_str().unwrap()
                );
            }
        }
    }
}
