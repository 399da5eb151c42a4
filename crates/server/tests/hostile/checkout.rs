//! C: checkouts at another price, for another product, or with a way back to somewhere else.

use serde_json::{Value, json};

use crate::exchange::Answer;
use crate::world::{Expected, World, assert_answered};

const TOPUP: &str = "/v1/balance/topups/create";
const CHECKOUT: &str = "/v1/payment.stripe/checkout/create";
const FACADE: &str = "/api/stripe/checkout-session";

const INVALID: Expected = (400, "parameter_invalid");
const UNKNOWN: Expected = (400, "parameter_unknown");
const MALFORMED: Expected = (400, "json_malformed");

/// What is asked for, as the body of a new top-up. We answer 400 where others would say 422: a request that cannot be done as it is.
#[rustfmt::skip]
const TOPUPS: &[(&str, &str, Expected)] = &[
    ("C09 a price of one's own", r#"{"amount":500,"amount_minor":1}"#, UNKNOWN),
    ("C09 a price of a credit", r#"{"amount":500,"credit_price":"1/1000"}"#, UNKNOWN),
    ("C09 a status", r#"{"amount":500,"status":"paid"}"#, UNKNOWN),
    ("C09 a bonus", r#"{"amount":500,"bonus":500}"#, UNKNOWN),
    ("C09 somebody else", r#"{"amount":500,"user_id":"victim"}"#, UNKNOWN),
    ("C10 a package that does not exist", r#"{"package_id":"cheap"}"#, (404, "package_not_found")),
    ("C10 a price of Stripe's", r#"{"amount":500,"price_id":"price_123"}"#, UNKNOWN),
    ("C12 too few", r#"{"amount":49}"#, INVALID),
    ("C12 too many", r#"{"amount":1000001}"#, INVALID),
    ("C12 none", r#"{"amount":0}"#, INVALID),
    ("C12 negative", r#"{"amount":-500}"#, INVALID),
    ("C12 negative zero", r#"{"amount":-0}"#, INVALID),
    ("C12 an exponent", r#"{"amount":1e3}"#, INVALID),
    ("C12 a fraction", r#"{"amount":500.5}"#, INVALID),
    ("C12 a text", r#"{"amount":"500"}"#, INVALID),
    ("C12 a list", r#"{"amount":[500]}"#, INVALID),
    ("C12 2 to the 53 and one", r#"{"amount":9007199254740993}"#, INVALID),
    ("C12 2 to the 63", r#"{"amount":9223372036854775808}"#, INVALID),
    ("C12 2 to the 64 and 500", r#"{"amount":18446744073709552116}"#, INVALID),
    ("C12 a thousand digits", concat!(r#"{"amount":1"#, "0000000000000000000000000000000000000000000000000000000000000000000000000000000000", "}"), INVALID),
    ("C12 infinite", r#"{"amount":1e999}"#, MALFORMED),
    ("C13 a blank behind the currency", r#"{"amount":500,"currency":"usd "}"#, INVALID),
    ("C13 a zero byte behind it", r#"{"amount":500,"currency":"usd\u0000"}"#, MALFORMED),
    ("C13 upper case", r#"{"amount":500,"currency":"USD"}"#, INVALID),
    ("C13 no currency", r#"{"amount":500,"currency":"xxx"}"#, INVALID),
    ("C13 one that is not sold in", r#"{"amount":500,"currency":"jpy"}"#, (400, "currency_not_offered")),
    ("C18 a field twice", r#"{"amount":500,"amount":50}"#, INVALID),
    ("C18 a field twice in two spellings", r#"{"amount":500,"\u0061mount":50}"#, INVALID),
    ("C18 a field that is not known", r#"{"amount":500,"x":1}"#, UNKNOWN),
    ("C18 two documents", r#"{"amount":500}{"amount":50}"#, MALFORMED),
    ("C11 a quantity", r#"{"amount":500,"quantity":2}"#, UNKNOWN),
];

/// Ways back that are not the operator's.
#[rustfmt::skip]
const PAGES: &[(&str, &str)] = &[
    ("C05 another origin", "https://evil.test/"),
    ("C05 without a scheme", "//evil.test/"),
    ("C05 without slashes", "https:evil.test"),
    ("C05 one slash", "https:/evil.test"),
    ("C05 a script", "javascript:alert(1)"),
    ("C05 data", "data:text/html,x"),
    ("C05 a file", "file:///etc/passwd"),
    ("C05 backslashes", r"https:\\app.example.com\@evil.test"),
    ("C05 a user before the host", "https://app.example.com@evil.test/"),
    ("C05 a user before the right host", "https://evil@app.example.com/"),
    ("C05 the host as a beginning", "https://app.example.com.evil.test/"),
    ("C05 the host as an end", "https://evilapp.example.com/"),
    ("C05 a full stop behind the host", "https://app.example.com./"),
    ("C05 a letter that looks like another", "https://\u{430}pp.example.com/"),
    ("C05 the same in ASCII", "https://xn--pp-7kc.example.com/"),
    ("C05 a tab inside", "https://app.example.com\t.evil.test/"),
    ("C05 a line end inside", "https://app.example.com\n.evil.test/"),
    ("C05 blanks around", " https://app.example.com/ "),
    ("C06 another port", "https://app.example.com:8443/"),
    ("C06 without TLS", "http://app.example.com/"),
    ("C06 another host of the domain", "https://www.app.example.com/"),
    ("C05 nothing", ""),
];

pub(crate) fn attack(world: &World) {
    let anna = world.token("anna");
    let before = world.books();
    for (case, body, expected) in TOPUPS {
        assert_answered(case, &world.post_text(&anna, TOPUP, &[], body), *expected);
        world.assert_untouched(case, &before);
    }
    for kind in [
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "",
    ] {
        let answer = world.post_text(&anna, TOPUP, &[("Content-Type", kind)], r#"{"amount":500}"#);
        assert_answered(
            &format!("C18 {kind}"),
            &answer,
            (415, "content_type_unsupported"),
        );
    }
    for (number, (case, page)) in PAGES.iter().enumerate() {
        // One after the other would soon be too many for one user.
        let anna = world.token(&format!("anna{number}"));
        for field in ["success_url", "cancel_url"] {
            let mut body = json!({"amount": 10, "success_url": "https://app.example.com/a", "cancel_url": "https://app.example.com/b"});
            body[field] = (*page).into();
            let answer = world.post(&anna, FACADE, &body);
            assert_answered(case, &answer, INVALID);
            assert!(!answer.text.contains("evil"), "{case}: {}", answer.text);
            world.assert_untouched(case, &before);
        }
    }
    // Upper case in a host means the same host.
    let body = json!({"amount": 10, "success_url": "https://APP.example.com/a", "cancel_url": "https://app.example.com:443/b"});
    world.post(&anna, FACADE, &body).ok();
    world.assert_unharmed("C06 the same host in upper case");
    headers(world);
    others(world);
    redirects(world);
    at_once(world);
    too_often(world);
}

/// A session made by a request that says of itself where it comes from.
fn headers(world: &World) {
    let evil = "https://evil.test";
    #[rustfmt::skip]
    let cases: &[(&str, &str, &[(&str, &str)])] = &[
        ("C01 another host", CHECKOUT, &[("Host", "evil.test")]),
        ("C01 this machine", CHECKOUT, &[("Host", "localhost:80")]),
        ("C02 a proxy's headers", CHECKOUT, &[("X-Forwarded-Host", "evil.test"), ("X-Forwarded-Proto", "http"), ("X-Forwarded-Port", "81")]),
        ("C02 the standard's header", CHECKOUT, &[("Forwarded", "for=1.2.3.4;host=evil.test;proto=http")]),
        ("C02 others", CHECKOUT, &[("X-Original-URL", "/v1/keys"), ("X-Rewrite-URL", "/v1/keys"), ("X-HTTP-Method-Override", "DELETE")]),
        ("C03 a page of somebody else", CHECKOUT, &[("Origin", evil), ("Referer", evil)]),
        // The configured address is used, whatever the request says, so there is nothing to refuse.
        ("C04 an address with a host", "http://evil.test/v1/payment.stripe/checkout/create", &[("Host", "evil.test")]),
        ("C04 an address with another host", "http://evil.test/v1/payment.stripe/checkout/create", &[]),
    ];
    let anna = world.token("anna");
    for (case, path, more) in cases {
        let topup = world.post(&anna, TOPUP, &json!({"amount": 500})).ok();
        let body = json!({"topup_id": topup["topup_id"]}).to_string();
        let answer = world.post_text(&anna, path, more, &body);
        assert!(
            answer
                .headers
                .iter()
                .all(|(name, _)| !name.starts_with("access-control")),
            "{case}"
        );
        let session = answer.ok();
        let id = session["stripe_checkout_session_id"].as_str().unwrap();
        let session = world.stripe(("GET", &format!("/v1/checkout/sessions/{id}")), "");
        for field in ["success_url", "cancel_url"] {
            let page = session[field].as_str().unwrap();
            assert!(
                page.starts_with("https://pay.example.com/v1/payment.stripe/redirect/"),
                "{case}: {page}"
            );
        }
        world.assert_unharmed(case);
    }
    let options = world.ask(
        ("OPTIONS", CHECKOUT),
        &[("Origin", evil), ("Access-Control-Request-Method", "POST")],
        b"",
    );
    assert_eq!(options.status, 405, "G11");
    assert!(
        options
            .headers
            .iter()
            .all(|(name, _)| !name.starts_with("access-control")),
        "G11"
    );
}

/// What belongs to somebody else is not there.
fn others(world: &World) {
    let victim = world.checkout("victim", 500);
    let before = world.books();
    let same = |case: &str, theirs: &Answer, nobodys: &Answer| {
        assert_eq!(theirs.status, nobodys.status, "{case}");
        let told = |answer: &Answer| {
            (
                answer.body["error"]["code"].clone(),
                answer.body["error"]["message"].clone(),
            )
        };
        assert_eq!(told(theirs), told(nobodys), "{case}");
        world.assert_untouched(case, &before);
    };
    let evil = world.token("evil");
    let checkout = |id: &Value| world.post(&evil, CHECKOUT, &json!({"topup_id": id}));
    same(
        "C17 a top-up",
        &checkout(&victim["topup_id"]),
        &checkout(&json!("top_01m7yp6prer56f5k2584ttjgjm")),
    );
    let intent = |id: &Value| {
        world.post(
            &evil,
            "/v1/payment.stripe/intent/create",
            &json!({"topup_id": id}),
        )
    };
    same(
        "C17 a top-up by intent",
        &intent(&victim["topup_id"]),
        &intent(&json!("top_01m7yp6prer56f5k2584ttjgjm")),
    );
    let read = |id: &str| world.get(&evil, &format!("/v1/payment.stripe/payments/{id}"));
    let id = victim["payment_id"].as_str().unwrap();
    same(
        "C17 a payment",
        &read(id),
        &read("pay_01m7yp6ps1v1xzkxk21hfqwxs4"),
    );
    let read = |id: &str| world.get(&evil, &format!("/api/stripe/checkout-session/{id}"));
    let id = victim["stripe_checkout_session_id"].as_str().unwrap();
    assert_eq!(
        read(id).status,
        read("cs_test_nothing").status,
        "C17 a session"
    );

    // C14: metadata of our own names is data like any other, and says nothing about whom to credit.
    let meta = json!({"payment_id": victim["payment_id"], "user_id": "victim", "bursar_stamp": "x", "bursar_wish": "{}"});
    let topup = world
        .post(&evil, TOPUP, &json!({"amount": 500, "meta": meta}))
        .ok();
    let payment = world
        .post(&evil, CHECKOUT, &json!({"topup_id": topup["topup_id"]}))
        .ok();
    let session = payment["stripe_checkout_session_id"].as_str().unwrap();
    let path = format!("/v1/payment_pages/{session}/confirm");
    world.stripe(
        ("POST", &path),
        "payment_method=pm_card_visa&expected_amount=500",
    );
    let page = format!("/v1/payment.stripe/redirect/success?session_id={session}");
    assert_eq!(world.ask(("GET", &page), &[], b"").status, 200);
    assert_eq!(
        (world.credits("evil"), world.credits("victim")),
        (500, 0),
        "C14"
    );
}

/// The page customers come back to.
fn redirects(world: &World) {
    let open = world.checkout("waiting", 500);
    let session = open["stripe_checkout_session_id"].as_str().unwrap();
    let before = world.books();
    #[rustfmt::skip]
    let cases: &[(&str, String)] = &[
        ("C07 a script", "session_id=%3Cscript%3Ealert(1)%3C/script%3E".into()),
        ("C07 a template", "session_id=%7B%7B7*7%7D%7D".into()),
        ("C07 somewhere else", format!("session_id={session}&next=https://evil.test")),
        ("C07 twice", format!("session_id={session}&session_id=evil")),
        ("C07 another path at Stripe", "session_id=cs_test_1/../../refunds".into()),
        ("C07 too long", format!("session_id=cs_test_{}", "x".repeat(4_000))),
        ("C07 a zero byte", "session_id=cs_test_%00".into()),
        ("C07 nothing", String::new()),
        ("C20 before it is paid", format!("session_id={session}")),
    ];
    for (case, query) in cases {
        let answer = world.ask(
            (
                "GET",
                &format!("/v1/payment.stripe/redirect/success?{query}"),
            ),
            &[],
            b"",
        );
        assert!(
            answer.status < 500 && !(300..400).contains(&answer.status),
            "{case}: {}",
            answer.status
        );
        for echo in ["<script>alert", "49", "evil.test"] {
            assert!(!answer.text.contains(echo), "{case}: {}", answer.text);
        }
        assert_eq!(world.credits("waiting"), 0, "{case}");
        world.assert_untouched(case, &before);
    }
}

/// C15: sixteen at once open one session.
fn at_once(world: &World) {
    let token = world.token("hasty");
    let topup = world.post(&token, TOPUP, &json!({"amount": 500})).ok();
    let body = json!({"topup_id": topup["topup_id"]});
    let sessions: Vec<Value> = std::thread::scope(|scope| {
        let asking: Vec<_> = (0..16)
            .map(|_| scope.spawn(|| world.post(&token, CHECKOUT, &body).ok()))
            .collect();
        asking
            .into_iter()
            .map(|it| it.join().unwrap()["stripe_checkout_session_id"].clone())
            .collect()
    });
    assert!(
        sessions
            .iter()
            .all(|session| *session == sessions[0] && session.is_string()),
        "C15: {sessions:?}"
    );
    world.assert_unharmed("C15");
}

/// C16: a hundred within ten seconds.
fn too_often(world: &World) {
    let token = world.token("eager");
    let body = json!({"topup_id": "top_01m7yp6prer56f5k2584ttjgjm"});
    let answers: Vec<Answer> = (0..100)
        .map(|_| world.post(&token, CHECKOUT, &body))
        .collect();
    let refused = answers.iter().filter(|answer| answer.status == 429);
    assert!(refused.clone().count() >= 10, "C16: {}", refused.count());
    let last = answers.iter().rfind(|answer| answer.status == 429).unwrap();
    assert_answered("C16", last, (429, "rate_limited"));
    assert!(last.header("retry-after").is_some(), "C16");
    world.assert_unharmed("C16");
}
