//! A: deliveries that are not Stripe's, or are made to look as if they were.

use bursar_stripe::signature::{self, Secret};
use sha2::{Digest as _, Sha256};

use crate::exchange::bytes;
use crate::world::{Expected, OLD_SECRET, WEBHOOK, WEBHOOK_SECRET, World, assert_answered, now};

/// A delivery that would be genuine if its header were left alone.
struct Delivery {
    time: i64,
    body: &'static str,
}

const BODY: &str = r#"{"id":"evt_a","object":"event","type":"x.y","created":1800000000,"livemode":false,"data":{"object":{}}}"#;

impl Delivery {
    fn hex(&self, key: &str) -> String {
        hmac(
            key.as_bytes(),
            format!("{}.{}", self.time, self.body).as_bytes(),
        )
    }

    /// The right signature.
    fn v1(&self) -> String {
        self.hex(WEBHOOK_SECRET)
    }

    /// The header for this time as text, signed with it as it stands.
    fn at(&self, time: &str) -> String {
        let signed = format!("{time}.{}", self.body);
        format!(
            "t={time},v1={}",
            hmac(WEBHOOK_SECRET.as_bytes(), signed.as_bytes())
        )
    }
}

fn hmac(key: &[u8], text: &[u8]) -> String {
    let mut block = [0; 64];
    block[..key.len()].copy_from_slice(key);
    let inner = Sha256::new()
        .chain_update(block.map(|byte| byte ^ 0x36))
        .chain_update(text);
    let outer = Sha256::new().chain_update(block.map(|byte| byte ^ 0x5c));
    hex::encode(outer.chain_update(inner.finalize()).finalize())
}

const REFUSED: Expected = (400, "signature_invalid");
const TAKEN: Expected = (200, "");

/// The case, what the header says, and what it is answered. {} is the right time.
#[rustfmt::skip]
const HEADERS: &[(&str, fn(&Delivery) -> String, Expected)] = &[
    ("A01 no signature", |_| String::new(), REFUSED),
    ("A02 blanks", |_| "   ".into(), REFUSED),
    ("A02 commas", |_| ",,,,".into(), REFUSED),
    ("A02 nothing named", |it| it.v1(), REFUSED),
    ("A04 the key is empty", |it| format!("t={},v1={}", it.time, it.hex("")), REFUSED),
    ("A04 the key is the prefix", |it| format!("t={},v1={}", it.time, it.hex("whsec_")), REFUSED),
    ("A04 the key without its prefix", |it| format!("t={},v1={}", it.time, it.hex(&WEBHOOK_SECRET[6..])), REFUSED),
    ("A07 only v0", |it| format!("t={},v0={}", it.time, it.v1()), REFUSED),
    ("A08 v2", |it| format!("t={},v2={}", it.time, it.v1()), REFUSED),
    ("A08 V1", |it| format!("t={},V1={}", it.time, it.v1()), REFUSED),
    ("A08 v1a", |it| format!("t={},v1a={}", it.time, it.v1()), REFUSED),
    ("A09 a digit less", |it| format!("t={},v1={}", it.time, &it.v1()[..63]), REFUSED),
    ("A09 a digit more", |it| format!("t={},v1={}0", it.time, it.v1()), REFUSED),
    ("A09 no digits", |it| format!("t={},v1=", it.time), REFUSED),
    ("A09 no hexadecimal digits", |it| format!("t={},v1={}", it.time, "g".repeat(64)), REFUSED),
    ("A09 upper case", |it| format!("t={},v1={}", it.time, it.v1().to_uppercase()), REFUSED),
    ("A09 0x", |it| format!("t={},v1=0x{}", it.time, it.v1()), REFUSED),
    ("A09 bytes that are no text", |it| format!("t={},v1={}", it.time, "\u{ff}".repeat(32)), REFUSED),
    ("A10 wrong, then right", |it| format!("t={},v1={},v1={}", it.time, "0".repeat(64), it.v1()), TAKEN),
    ("A10 right, then wrong", |it| format!("t={},v1={},v1={}", it.time, it.v1(), "0".repeat(64)), TAKEN),
    ("A11 eight", |it| format!("t={},{}v1={}", it.time, format!("v1={},", "0".repeat(64)).repeat(7), it.v1()), TAKEN),
    ("A11 nine", |it| format!("t={},{}v1={}", it.time, format!("v1={},", "0".repeat(64)).repeat(8), it.v1()), REFUSED),
    ("A12 two times, the first right", |it| format!("t={},t=1,v1={}", it.time, it.v1()), REFUSED),
    ("A12 two times, the last right", |it| format!("t=1,t={},v1={}", it.time, it.v1()), REFUSED),
    ("A12 no time", |it| format!("v1={}", it.v1()), REFUSED),
    ("A12 letters", |it| it.at("abc"), REFUSED),
    ("A12 negative", |it| it.at("-1"), REFUSED),
    ("A12 a sign", |it| it.at(&format!("+{}", it.time)), REFUSED),
    ("A12 an exponent", |it| it.at("1e9"), REFUSED),
    ("A12 a leading zero", |it| it.at(&format!("0{}", it.time)), REFUSED),
    ("A12 the largest number", |it| it.at("9223372036854775807"), REFUSED),
    ("A12 one more", |it| it.at("9223372036854775808"), REFUSED),
    ("A12 the smallest number", |it| it.at("-9223372036854775808"), REFUSED),
    ("A12 digits of another script", |it| it.at("１８"), REFUSED),
    ("A12 milliseconds", |it| it.at(&format!("{}000", it.time)), REFUSED),
    ("A13 five minutes and more ago", |it| it.at(&(it.time - 303).to_string()), REFUSED),
    ("A13 five minutes and more ahead", |it| it.at(&(it.time + 310).to_string()), REFUSED),
    ("A14 almost five minutes ago", |it| it.at(&(it.time - 290).to_string()), TAKEN),
    ("A14 almost five minutes ahead", |it| it.at(&(it.time + 290).to_string()), TAKEN),
    ("A15 the same again", |it| it.at(&it.time.to_string()), TAKEN),
    ("A16 signed anew, as a retry is", |it| it.at(&(it.time - 1).to_string()), TAKEN),
    ("A17 the secret that is being replaced", |it| format!("t={},v1={}", it.time, it.hex(OLD_SECRET)), TAKEN),
    ("A18 another endpoint's secret", |it| format!("t={},v1={}", it.time, it.hex("whsec_9sDf8gHj7kL6zXc5vBn4")), REFUSED),
];

pub(crate) fn attack(world: &World) {
    let before = world.books();
    for (case, header, expected) in HEADERS {
        let delivery = Delivery {
            time: now(),
            body: BODY,
        };
        let header = header(&delivery);
        let answer = world.ask(
            ("POST", WEBHOOK),
            &[("Stripe-Signature", &header)],
            BODY.as_bytes(),
        );
        assert_answered(case, &answer, *expected);
        world.assert_untouched(case, &before);
    }
    bodies(world);
    requests(world);
    world.assert_untouched("A: all of them", &before);
}

fn genuine(body: &[u8]) -> String {
    signature::sign(&Secret::new(WEBHOOK_SECRET).unwrap(), now(), body)
}

/// The right signature of something else.
fn bodies(world: &World) {
    let signed = genuine(BODY.as_bytes());
    let header = [("Stripe-Signature", signed.as_str())];
    for (case, body) in [
        ("A05 a byte is another", BODY.replace("evt_a", "evt_b")),
        ("A05 a byte is missing", BODY[..BODY.len() - 1].to_owned()),
        ("A05 a byte more", format!("{BODY} ")),
        ("A06 written again", BODY.replace(':', ": ")),
        ("A05 nothing", String::new()),
    ] {
        let answer = world.ask(("POST", WEBHOOK), &header, body.as_bytes());
        assert_answered(case, &answer, REFUSED);
        let events = world
            .get(&world.admin, "/v1/payment.stripe/events?event_id=evt_b")
            .ok();
        assert_eq!(events["items"], serde_json::json!([]), "{case}");
    }
    // Signed rightly, and no event. Stripe shows it as a failed delivery, which is what it is.
    for (case, body) in [
        ("A26 a byte order mark", format!("\u{feff}{BODY}")),
        ("A26 a list", format!("[{BODY}]")),
        ("A26 two documents", format!("{BODY}{BODY}")),
        ("A26 an empty text", "\"\"".to_owned()),
    ] {
        assert_answered(case, &world.deliver(&body), (400, "event_malformed"));
        world.assert_unharmed(case);
    }
}

/// The right signature on another kind of request, or none on one that looks right.
fn requests(world: &World) {
    let signed = genuine(BODY.as_bytes());
    let own = Secret::new("whsec_OwnSecretOfTheAttacker1").unwrap();
    let forged = signature::sign(&own, now(), BODY.as_bytes());
    let (signed, forged) = (
        ("Stripe-Signature", signed.as_str()),
        ("Stripe-Signature", forged.as_str()),
    );
    let long = format!("t=1,v1={}", "0".repeat(17 * 1024));
    let secret = "whsec_OwnSecretOfTheAttacker1";
    let query = format!("{WEBHOOK}?secret={secret}");
    #[rustfmt::skip]
    let cases: &[(&str, &str, Vec<(&str, &str)>, Expected)] = &[
        ("A19 two headers, the first right", WEBHOOK, vec![signed, forged], REFUSED),
        ("A19 two headers, the last right", WEBHOOK, vec![forged, signed], REFUSED),
        ("A20 a header of 17 KiB", WEBHOOK, vec![("Stripe-Signature", &long)], (431, "")),
        ("A20 a header of 5 KiB", WEBHOOK, vec![("Stripe-Signature", &long[..5 * 1024])], REFUSED),
        ("A21 a secret of one's own in a header", WEBHOOK, vec![forged, ("X-Stripe-Webhook-Secret", secret)], REFUSED),
        ("A21 a secret of one's own in a cookie", WEBHOOK, vec![forged, ("Cookie", "secret=whsec_OwnSecretOfTheAttacker1")], REFUSED),
        ("A21 a secret of one's own in the address", &query, vec![forged], REFUSED),
        ("A22 compressed", WEBHOOK, vec![signed, ("Content-Encoding", "gzip")], (415, "content_encoding_unsupported")),
        ("A27 headers of another standard", WEBHOOK, vec![("webhook-id", "evt_a"), ("webhook-signature", signed.1)], REFUSED),
    ];
    for (case, path, headers, expected) in cases {
        let answer = world.ask(("POST", path), headers, BODY.as_bytes());
        assert_answered(case, &answer, *expected);
        world.assert_unharmed(case);
    }
    for method in ["GET", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PURGE"] {
        let answer = world.ask((method, WEBHOOK), &[signed], BODY.as_bytes());
        assert_answered(
            &format!("A24 {method}"),
            &answer,
            (405, "method_not_allowed"),
        );
        assert_eq!(answer.header("allow"), Some("POST"));
    }
    chunks(world, signed.1);
    let first = BODY.replace("evt_a", "evt_seen_before");
    let answer = world.ask(("POST", WEBHOOK), &[signed], first.as_bytes());
    assert_answered("A25 an id is used up by a forgery", &answer, REFUSED);
    let answer = world.deliver(&first).ok();
    assert_eq!(answer, serde_json::json!({"received": true}), "A25");
}

/// The same body in pieces, with everything around it that the standard allows.
fn chunks(world: &World, signed: &str) {
    let (one, two) = BODY.split_at(20);
    let head = bytes(
        "POST",
        WEBHOOK,
        &[
            ("Stripe-Signature", signed),
            ("Transfer-Encoding", "chunked"),
        ],
        b"",
    );
    let (one_length, two_length) = (one.len(), two.len());
    for (case, chunks, status) in [
        (
            "A23 pieces",
            format!("{one_length:x}\r\n{one}\r\n{two_length:X}\r\n{two}\r\n0\r\n\r\n"),
            "200",
        ),
        (
            "A23 extensions and trailers",
            format!(
                "{one_length:x};a=b\r\n{one}\r\n{two_length:x};c\r\n{two}\r\n0\r\nX-T: 1\r\nStripe-Signature: t=1\r\n\r\n"
            ),
            "200",
        ),
        (
            "A23 a piece longer than it says",
            format!("{:x}\r\n{one}\r\n0\r\n\r\n", one_length - 1),
            "400",
        ),
        (
            "A23 a length that is none",
            format!("-1\r\n{one}\r\n0\r\n\r\n"),
            "400",
        ),
        (
            "A23 a length that is too long",
            format!("{}\r\n{one}\r\n0\r\n\r\n", "f".repeat(17)),
            "400",
        ),
    ] {
        let answer = world.raw(&[head.as_slice(), chunks.as_bytes()].concat());
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {status}")),
            "{case}: {answer}"
        );
        assert_eq!(answer.matches("HTTP/1.1").count(), 1, "{case}: {answer}");
        world.assert_unharmed(case);
    }
}
