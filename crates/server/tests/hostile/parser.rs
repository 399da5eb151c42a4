//! I: what is no request, or too much of one, or none that ends.

use std::io::Write as _;
use std::net::TcpStream;
use std::time::{Duration, Instant};

use crate::exchange::{bytes, read_to_end};
use crate::program::PATIENCE;
use crate::world::{WEBHOOK, World, assert_answered};

const TOPUP: &str = "/v1/balance/topups/create";

pub(crate) fn attack(world: &World) {
    world.grant("anna", 100);
    let before = world.books();
    sizes(world);
    bodies(world);
    framing(world);
    paths(world);
    world.assert_untouched("I: all of them", &before);
}

/// I01, I02: too long, and said so before it is read.
fn sizes(world: &World) {
    let (anna, admin) = (
        format!("Bearer {}", world.token("anna")),
        format!("Bearer {}", world.admin),
    );
    let json = ("Content-Type", "application/json");
    for (case, path, token, length) in [
        ("I01 10 GiB", TOPUP, &anna, "10737418240"),
        ("I01 a byte too many", TOPUP, &anna, "65537"),
        (
            "I01 a batch of a MiB and a byte",
            "/v1/balance/charge/batch",
            &admin,
            "1048577",
        ),
        ("I01 2 to the 63", TOPUP, &anna, "9223372036854775808"),
    ] {
        let headers = [
            ("Authorization", token.as_str()),
            json,
            ("Content-Length", length),
        ];
        let begun = Instant::now();
        let answer = world.ask(("POST", path), &headers, b"");
        assert_answered(case, &answer, (413, "body_too_large"));
        assert_eq!(answer.header("connection"), Some("close"), "{case}");
        assert!(
            begun.elapsed() < Duration::from_secs(9),
            "{case}: it was waited for the body"
        );
        world.assert_unharmed(case);
    }
    let answer = world.ask(
        ("POST", WEBHOOK),
        &[
            ("Content-Length", "1048577"),
            ("Stripe-Signature", &format!("t=1,v1={}", "0".repeat(64))),
        ],
        b"",
    );
    assert_answered(
        "I01 a delivery of a MiB and a byte",
        &answer,
        (413, "body_too_large"),
    );
    for length in [
        "-1",
        "1e3",
        "0x10",
        "18446744073709551616",
        "1 1",
        "",
        "+5",
        "5, 6",
    ] {
        let answer = world.raw(&bytes(
            "POST",
            TOPUP,
            &[("Authorization", &anna), json, ("Content-Length", length)],
            b"",
        ));
        assert!(
            answer.starts_with("HTTP/1.1 400") || answer.starts_with("HTTP/1.1 413"),
            "I01 a length of {length:?}: {answer}"
        );
        world.assert_unharmed("I01");
    }
    endless(world, &anna);
    let many = |count: usize| vec![("X-Many", "1"); count];
    // With Host and Connection.
    assert_eq!(
        world.ask(("GET", "/livez"), &many(62), b"").status,
        200,
        "I02 64 headers"
    );
    assert_answered(
        "I02 65 headers",
        &world.ask(("GET", "/livez"), &many(63), b""),
        (431, "head_too_large"),
    );
    assert_eq!(
        world.ask(("GET", "/livez"), &many(2_000), b"").status,
        431,
        "I02 2,000 headers"
    );
    let long = "x".repeat(17 * 1024);
    assert_eq!(
        world
            .ask(("GET", "/livez"), &[("X-Long", &long)], b"")
            .status,
        431,
        "I02 a head of 17 KiB"
    );
    assert_answered(
        "I02 an address of 9 KiB",
        &world.ask(("GET", &format!("/livez?{}", &long[..9 * 1024])), &[], b""),
        (414, "uri_too_long"),
    );
    assert_eq!(
        world.ask(("GET", &format!("/{long}")), &[], b"").status,
        431,
        "I02 an address of 17 KiB"
    );
    let query: Vec<String> = (0..1_000).map(|number| format!("a{number}=1")).collect();
    let query = query.join("&");
    assert_answered(
        "I02 1,000 parameters",
        &world.get(&world.admin, &format!("/v1/balance/users?{query}")),
        (400, "parameter_unknown"),
    );
    assert_eq!(
        world.ask((&"M".repeat(10_000), "/livez"), &[], b"").status,
        405,
        "I02 a long method"
    );
}

/// I01: a body that never ends, without a length.
fn endless(world: &World, token: &str) {
    let head = bytes(
        "POST",
        TOPUP,
        &[
            ("Authorization", token),
            ("Content-Type", "application/json"),
            ("Transfer-Encoding", "chunked"),
        ],
        b"",
    );
    let mut stream = TcpStream::connect(world.address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.set_write_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(&head).unwrap();
    let chunk = format!("1000\r\n{}\r\n", " ".repeat(0x1000));
    // It is stopped long before this.
    let sent = (0..1_000_000)
        .take_while(|_| stream.write_all(chunk.as_bytes()).is_ok())
        .count();
    assert!(sent < 100_000, "I01 endless: {sent} chunks were taken");
    let _ = read_to_end(&mut stream);
    world.assert_unharmed("I01 endless");
}

/// I03: JSON that is none, or would cost too much to be some.
fn bodies(world: &World) {
    let anna = world.token("anna");
    let deep = |open: &str, close: &str, depth: usize| {
        let (open, close) = (open.repeat(depth), close.repeat(depth));
        format!(r#"{{"amount":{open}1{close}}}"#)
    };
    let fields: Vec<String> = (0..5_000)
        .map(|number| format!("\"f{number}\":1"))
        .collect();
    let with = |note: &str| format!(r#"{{"amount":500,"note":"{note}"}}"#);
    #[rustfmt::skip]
    let cases: [(&str, String, &str); 15] = [
        ("I03 depth 129", deep("[", "]", 129), "json_malformed"),
        ("I03 depth 30,000", deep("[", "]", 30_000), "json_malformed"),
        ("I03 depth in objects", deep(r#"{"a":"#, "}", 5_000), "json_malformed"),
        ("I03 a list of 30,000", format!(r#"{{"amount":[{}1]}}"#, "1,".repeat(30_000)), "parameter_invalid"),
        ("I03 a text of 60 KiB", with(&"x".repeat(60_000)), "parameter_invalid"),
        ("I03 half a pair", with(r"\ud800"), "json_malformed"),
        ("I03 not a number", r#"{"amount":NaN}"#.into(), "json_malformed"),
        ("I03 infinity", r#"{"amount":Infinity}"#.into(), "json_malformed"),
        ("I03 a comma at the end", r#"{"amount":500,}"#.into(), "json_malformed"),
        ("I03 a comment", r#"{"amount":500/* */}"#.into(), "json_malformed"),
        ("I03 a byte order mark", "\u{feff}{\"amount\":500}".into(), "json_malformed"),
        ("I03 5,000 fields", format!("{{{},\"amount\":500}}", fields.join(",")), "parameter_unknown"),
        ("I03 UTF-16", "{\u{0}\"\u{0}".into(), "json_malformed"),
        ("I03 an octal number", r#"{"amount":0500}"#.into(), "json_malformed"),
        ("I03 a prototype", r#"{"amount":500,"__proto__":{}}"#.into(), "parameter_unknown"),
    ];
    for (case, body, code) in cases {
        let answer = world.post_text(&anna, TOPUP, &[], &body);
        assert_answered(case, &answer, (400, code));
        assert!(
            answer.text.len() < 2_000,
            "{case}: the answer has {} bytes",
            answer.text.len()
        );
        world.assert_unharmed(case);
    }
    let head = [
        ("Authorization", format!("Bearer {anna}")),
        ("Content-Type", "application/json".to_owned()),
    ];
    let head: Vec<(&str, &str)> = head
        .iter()
        .map(|(name, value)| (*name, value.as_str()))
        .collect();
    let answer = world.ask(
        ("POST", TOPUP),
        &head,
        b"{\"amount\":500,\"note\":\"\xff\xfe\"}",
    );
    assert_answered(
        "I03 bytes that are no text",
        &answer,
        (400, "json_malformed"),
    );
}

/// I07: two readings of where a request ends. What is behind the first one must never be read as a second one.
fn framing(world: &World) {
    let bearer = format!("Authorization: Bearer {}", world.admin);
    let hidden = format!("GET /v1/keys HTTP/1.1\r\nHost: x\r\n{bearer}\r\n\r\n");
    let length = hidden.len() + 5;
    let post = "POST /v1/payment.stripe/webhook HTTP/1.1\r\nHost: x\r\n";
    #[rustfmt::skip]
    let cases = [
        ("I07 a length, then chunks", format!("{post}Content-Length: {length}\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n{hidden}")),
        ("I07 chunks, then a length", format!("{post}Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n{hidden}")),
        ("I07 two lengths", format!("{post}Content-Length: 0\r\nContent-Length: {length}\r\n\r\n{hidden}")),
        ("I07 two lengths in one", format!("{post}Content-Length: 0, {length}\r\n\r\n{hidden}")),
        ("I07 chunks of another name", format!("{post}Transfer-Encoding: xchunked\r\nContent-Length: 0\r\n\r\n{hidden}")),
        ("I07 chunks twice", format!("{post}Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\nContent-Length: 0\r\n\r\n{hidden}")),
        ("I07 chunks, then something", format!("{post}Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n{hidden}")),
        ("I07 a blank before the colon", format!("{post}Transfer-Encoding : chunked\r\nContent-Length: 0\r\n\r\n{hidden}")),
        ("I07 a blank before the name", format!("{post}Content-Length: 0\r\n Transfer-Encoding: chunked\r\n\r\n{hidden}")),
        ("I07 a folded line", format!("{post}X: a\r\n b\r\nContent-Length: 0\r\n\r\n{hidden}")),
        ("I07 a bare carriage return", format!("{post}X: a\rTransfer-Encoding: chunked\r\n\r\n{hidden}")),
        ("I07 a zero byte in a header", format!("{post}X: a\u{0}b\r\nContent-Length: 0\r\n\r\n{hidden}")),
        ("I07 a length with a sign", format!("{post}Content-Length: +0\r\n\r\n{hidden}")),
        ("I07 chunks of HTTP/1.0", format!("POST /v1/payment.stripe/webhook HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n{hidden}")),
        ("I07 no version", format!("GET /v1/keys\r\n{bearer}\r\n\r\n{hidden}")),
        ("I07 a version to come", format!("GET /v1/keys HTTP/3.0\r\nHost: x\r\n{bearer}\r\n\r\n{hidden}")),
        ("I07 another protocol", "\x16\x03\x01\x02\x00\x01\x00\x01\u{fc}\x03\x03\r\n\r\n".to_owned()),
        ("I08 HTTP/2", format!("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n{hidden}")),
        ("I07 nothing but line ends", "\r\n".repeat(20_000)),
        ("I07 zero bytes", "\u{0}".repeat(20_000)),
    ];
    for (case, text) in cases {
        let answer = world.raw(text.as_bytes());
        assert!(!answer.contains("key_"), "{case}: {answer}");
        assert!(answer.matches("HTTP/1.1 ").count() <= 1, "{case}: {answer}");
        let status: u16 = answer
            .get(9..12)
            .map_or(400, |status| status.parse().unwrap());
        assert!((400..500).contains(&status), "{case}: {answer}");
        world.assert_unharmed(case);
    }
    // A line may end without its carriage return: RFC 9112 (2.2) lets a server read it so, and there is one reading of it.
    let plain = world.raw("GET /livez HTTP/1.1\nHost: x\nConnection: close\n\n".as_bytes());
    assert!(plain.starts_with("HTTP/1.1 200"), "I07 line feeds: {plain}");
    let two = world.raw("GET /livez HTTP/1.1\r\nHost: x\r\n\r\nGET /readyz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".as_bytes());
    assert_eq!(
        two.matches("HTTP/1.1 200").count(),
        2,
        "one behind the other: {two}"
    );
}

/// I09: paths that are written to be read twice.
fn paths(world: &World) {
    for path in [
        "/%00",
        "/..%2f",
        "/../../etc/passwd",
        "/%c0%ae%c0%ae/",
        "/%ff",
        "/v1/%E0%80%AF",
        "/*",
        "/v1/payment.stripe/payments/%00",
        "/v1/payment.stripe/payments/%2e%2e%2fevents",
        "/api/stripe/payments/99999999999999999999",
        "/api/stripe/payments/-1",
        "/api/stripe/payments/%00",
        "/api/stripe/checkout-session/%00",
        "/api/stripe/checkout-session/cs_test_%00",
        "/api/stripe/payment-intent/pi_%00",
    ] {
        let answer = world.get(&world.admin, path);
        assert!(
            [400, 404].contains(&answer.status),
            "I09 {path}: {} {}",
            answer.status,
            answer.text
        );
        world.assert_unharmed(path);
    }
    for path in [
        "",
        "v1/keys",
        "*",
        "\\",
        "/a b",
        "/\u{fc}",
        "/\r\nX: y",
        "http://",
        "//",
    ] {
        let answer = world.raw(&bytes("GET", path, &[], b""));
        assert!(answer.starts_with("HTTP/1.1 4"), "I09 {path:?}: {answer}");
        world.assert_unharmed(path);
    }
}
