//! G: what a browser could be made to do.

use serde_json::json;

use crate::world::{World, assert_answered};

const POSTS: [&str; 4] = [
    "/v1/balance/grants/create",
    "/v1/keys/create",
    "/v1/balance/charge",
    "/v1/payment.stripe/recovery/end",
];

/// Every route that is read.
const GETS: [&str; 25] = [
    "/",
    "/livez",
    "/readyz",
    "/v1/payment/methods",
    "/v1/payment.stripe/cards?user_id=anna",
    "/v1/payment.stripe/redirect/success",
    "/v1/payment.stripe/redirect/cancel",
    "/v1/payment.stripe/payments",
    "/v1/payment.stripe/refunds",
    "/v1/payment.stripe/events",
    "/v1/payment.stripe/reconcile",
    "/v1/balance/packages",
    "/v1/balance/coupons",
    "/v1/balance/codes",
    "/v1/balance/bonuses?user_id=anna",
    "/v1/balance/topups",
    "/v1/balance/users",
    "/v1/balance/history",
    "/v1/balance/explain?user_id=anna",
    "/v1/balance/events",
    "/v1/balance/checkpoint",
    "/v1/balance/holds",
    "/v1/balance/grants",
    "/v1/usage/events",
    "/v1/keys",
];

pub(crate) fn attack(world: &World) {
    world.grant("anna", 100);
    let before = world.books();
    // G02: nothing changes by being read, whatever asks for it.
    for path in GETS {
        for headers in [
            vec![],
            vec![
                ("Range", "bytes=0-10"),
                ("If-None-Match", "*"),
                ("If-Match", "\"x\""),
                ("Accept", "*/;q=x,,"),
                ("Accept-Encoding", "gzip;q=1.0, *;q=0"),
            ],
        ] {
            let bearer = format!("Bearer {}", world.admin);
            let mut all = vec![("Authorization", bearer.as_str())];
            all.extend(headers);
            let answer = world.ask(("GET", path), &all, b"");
            assert!(
                [200, 404].contains(&answer.status),
                "G02 {path}: {} {}",
                answer.status,
                answer.text
            );
            assert_ne!(answer.header("cache-control"), None, "G12 {path}");
            let head = world.ask(("HEAD", path), &all, b"");
            assert_eq!(
                (head.status, head.text.as_str()),
                (answer.status, ""),
                "G02 HEAD {path}"
            );
        }
    }
    world.assert_untouched("G02 I11", &before);
    for path in POSTS {
        for (name, kind) in [
            ("a form", "application/x-www-form-urlencoded"),
            ("a file", "multipart/form-data; boundary=x"),
            ("a text", "text/plain"),
            ("none", ""),
        ] {
            let more = [
                ("Content-Type", kind),
                ("Origin", "https://evil.test"),
                ("Sec-Fetch-Site", "cross-site"),
                ("Idempotency-Key", "g"),
            ];
            let answer = world.post_text(
                &world.admin,
                path,
                &more,
                r#"{"user_id":"anna","credits":1}"#,
            );
            assert_answered(
                &format!("G03 {path} {name}"),
                &answer,
                (415, "content_type_unsupported"),
            );
        }
        // No browser sends credentials by itself: they are in a header, never in a cookie.
        let answer = world.ask(
            ("POST", path),
            &[
                ("Cookie", "session=x"),
                ("Content-Type", "application/json"),
            ],
            b"{}",
        );
        assert_answered(&format!("G01 {path}"), &answer, (401, "unauthenticated"));
        assert_eq!(answer.header("set-cookie"), None, "G06");
    }
    world.assert_untouched("G01 G03", &before);
    for page in [
        "/",
        "/v1/payment.stripe/redirect/cancel",
        "/v1/payment.stripe/redirect/success?session_id=x",
    ] {
        let answer = world.ask(("GET", page), &[], b"");
        let policy = answer.header("content-security-policy").unwrap_or_default();
        assert!(
            policy.contains("frame-ancestors 'none'"),
            "G04 {page}: {policy}"
        );
        for open in ["unsafe-inline", "unsafe-eval", "*"] {
            assert!(!policy.contains(open), "G08 {page}: {policy}");
        }
        assert_eq!(
            answer
                .header("x-frame-options")
                .map(str::to_uppercase)
                .as_deref(),
            Some("DENY"),
            "G04 {page}"
        );
    }
    for path in [
        "/v1/balance/me/x.css",
        "/v1/keys/x.js",
        "/v1/keys%0a.css",
        "/v1/keys;.css",
        "/assets/../Cargo.toml",
        "/assets/..%2f..%2fCargo.toml",
        "/assets/%2e%2e/x",
        "/assets/",
        "/assets/%00",
    ] {
        let answer = world.get(&world.admin, path);
        assert!(
            [400, 404].contains(&answer.status),
            "G12 {path}: {}",
            answer.status
        );
        assert_eq!(
            answer.header("cache-control"),
            Some("no-store"),
            "G12 {path}"
        );
    }
    everywhere(world);
    texts(world);
}

/// G09: whatever the answer is, it is not guessed at, not kept, and tells nobody where one was.
fn everywhere(world: &World) {
    let big = "9".repeat(12);
    let bearer = format!("Bearer {}", world.admin);
    let admin = ("Authorization", bearer.as_str());
    let json = ("Content-Type", "application/json");
    #[rustfmt::skip]
    let cases: &[(&str, &str, Vec<(&str, &str)>, &[u8], u16)] = &[
        ("GET", "/livez", vec![], b"", 200),
        ("GET", "/v1/keys", vec![admin], b"", 200),
        ("GET", "/v1/keys", vec![], b"", 401),
        ("GET", "/v1/keys?x=1", vec![admin], b"", 400),
        ("GET", "/nothing", vec![], b"", 404),
        ("DELETE", "/v1/keys", vec![admin], b"", 405),
        ("OPTIONS", "/v1/keys", vec![("Origin", "https://evil.test")], b"", 405),
        ("POST", POSTS[0], vec![admin, json], b"{", 400),
        ("POST", POSTS[0], vec![admin], b"{}", 415),
        ("POST", POSTS[0], vec![admin, json, ("Content-Length", &big)], b"", 413),
        ("POST", "/v1/payment.stripe/webhook", vec![], b"{}", 400),
    ];
    for (method, path, headers, body, status) in cases {
        let answer = world.ask((method, path), headers, body);
        assert_eq!(
            answer.status, *status,
            "G09 {method} {path}: {}",
            answer.text
        );
        for (name, value) in [
            ("x-content-type-options", "nosniff"),
            ("referrer-policy", "no-referrer"),
            ("cache-control", "no-store"),
        ] {
            assert_eq!(
                answer.header(name),
                Some(value),
                "G09 {method} {path}: {name}"
            );
        }
        assert_eq!(answer.header("server"), None, "J10 {method} {path}");
        assert_eq!(
            answer.header("access-control-allow-origin"),
            None,
            "G11 {method} {path}"
        );
    }
}

/// G08, I13: texts that would be code somewhere else are texts here, and come back as they went in.
fn texts(world: &World) {
    let texts = [
        "<script>alert(1)</script>",
        "\"><img src=x onerror=alert(1)>",
        "{{7*7}}",
        "${7*7}",
        "javascript:alert(1)",
        "'; DROP TABLE posting; --",
        "\" OR 1=1 --",
        "\\'; select pg_sleep(10); --",
        "%s%s%n",
        "$1",
        "?1",
        ":name",
        "a\u{202e}b",
        "=cmd|' /C calc'!A0",
        "@SUM(1)",
        "%%%%%%%%",
        "\u{1f4b8}\u{200d}",
    ];
    for (number, text) in texts.iter().enumerate() {
        let user = format!("texter{number}");
        world.grant(&user, 5);
        let body = json!({"user_id": user, "credits": 1, "note": text, "ref": text, "meta": {"text": text, *text: 1}});
        world
            .order("/v1/balance/charge", &format!("text-{number}"), &body)
            .ok();
        let lines = world
            .get(&world.token(&user), "/v1/balance/history/me")
            .ok();
        let line = &lines["items"][0];
        assert_eq!(
            (&line["note"], &line["ref"], &line["meta"]["text"]),
            (&json!(text), &json!(text), &json!(text)),
            "I13 {text}"
        );
        let answer = world.get(&world.token(&user), "/v1/balance/history/me");
        assert_eq!(
            answer.header("content-type"),
            Some("application/json"),
            "G08"
        );
        world.assert_unharmed(text);
    }
    let bytes = format!(
        "{{\"user_id\":\"anna\",\"credits\":1,\"note\":\"{}\"}}",
        "\u{0}"
    );
    let answer = world.post_text(
        &world.admin,
        "/v1/balance/charge",
        &[("Idempotency-Key", "zero")],
        &bytes,
    );
    assert_answered("I13 a zero byte", &answer, (400, "json_malformed"));
    let answer = world.order(
        "/v1/balance/charge",
        "zero",
        &json!({"user_id": "anna", "credits": 1, "note": "a\u{0}b"}),
    );
    assert_answered(
        "I13 a zero byte that is written out",
        &answer,
        (400, "json_malformed"),
    );
}
