//! Bodies that are none.

use bursar_domain::id::{GrantId, HoldId, LimitId};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::{REMOVE, furnished, refuse};
use crate::door::{
    BATCH, CHARGE, Door, EXCHANGE, EXTEND, GRANT, HOLD, LIMIT, OVERDRAFT, PRECHECK, PROGRESS,
    RELEASE, SETTLE, USAGE, VOID,
};
use crate::house::Answer;

/// Every route that changes something, with the least it takes.
fn least() -> [(&'static str, Value); 15] {
    let (hold, side) = (
        HoldId::of(1).to_string(),
        |unit: &str| json!({"unit": unit, "amount": 1}),
    );
    [
        (CHARGE, json!({"user_id": "u1", "credits": 1})),
        (
            BATCH,
            json!({"charges": [{"user_id": "u1", "credits": 1, "idempotency_key": "b"}]}),
        ),
        (PRECHECK, json!({"user_id": "u1", "credits": 1})),
        (HOLD, json!({"user_id": "u1", "credits": 1})),
        (PROGRESS, json!({"hold_id": hold, "credits": 60})),
        (EXTEND, json!({"hold_id": hold, "credits": 1})),
        (SETTLE, json!({"hold_id": hold, "credits": 1})),
        (RELEASE, json!({"hold_id": hold})),
        (GRANT, json!({"user_id": "u1", "credits": 1})),
        (VOID, json!({"grant_id": GrantId::of(1).to_string()})),
        (
            LIMIT,
            json!({"label": "red", "period": "day", "credits": 1}),
        ),
        (REMOVE, json!({"limit_id": LimitId::of(1).to_string()})),
        (
            EXCHANGE,
            json!({"user_id": "u1", "from": side("credit"), "to": side("usd")}),
        ),
        (OVERDRAFT, json!({"user_id": "u1", "overdraft": 1})),
        (USAGE, json!({"user_id": "u1", "service": "s"})),
    ]
}

#[tokio::test]
async fn a_body_that_is_not_one_plain_object_is_refused_everywhere() {
    let door = furnished().await;
    let before = door.everything().await;
    for (path, body) in least() {
        let text = body.to_string();
        let inner = text.strip_prefix('{').unwrap();
        for (wrong, code, param) in [
            (String::new(), "parameter_missing", ""),
            ("{}".to_owned(), "parameter_missing", ""),
            ("null".to_owned(), "json_malformed", ""),
            (format!("[{text}]"), "json_malformed", ""),
            (format!("{text}{text}"), "json_malformed", ""),
            (format!("{text},"), "json_malformed", ""),
            (format!("\u{feff}{text}"), "json_malformed", ""),
            (format!("//\n{text}"), "json_malformed", ""),
            (text[..text.len() - 1].to_owned(), "json_malformed", ""),
            (text.replace('"', "'"), "json_malformed", ""),
            (format!("{text}\u{0}"), "json_malformed", ""),
            // A field twice, whatever it says the second time; also inside, and by another spelling.
            (
                format!(r#"{{"user_id":"u1","user_id":"u1",{inner}"#),
                "parameter_invalid",
                "user_id",
            ),
            (
                format!(r#"{{"meta":{{"a":1,"\u0061":2}},{inner}"#),
                "parameter_invalid",
                "a",
            ),
            // What programs try when they hope that more is taken than is written down.
            (
                format!(r#"{{"balance":1,{inner}"#),
                "parameter_unknown",
                "balance",
            ),
            (
                format!(r#"{{"role":"admin",{inner}"#),
                "parameter_unknown",
                "role",
            ),
            (
                format!(r#"{{"__proto__":{{}},{inner}"#),
                "parameter_unknown",
                "__proto__",
            ),
            (
                format!(r#"{{"Credits":5,{inner}"#),
                "parameter_unknown",
                "Credits",
            ),
            (format!(r#"{{"":5,{inner}"#), "parameter_unknown", ""),
            (
                format!(r#"{{"created_at":"2000-01-01T00:00:00Z",{inner}"#),
                "parameter_unknown",
                "created_at",
            ),
            // Deep, and deeper than any parser should follow.
            (
                format!(r#"{{"meta":{}{},{inner}"#, "[".repeat(200), "]".repeat(200)),
                "json_malformed",
                "",
            ),
            (
                format!(
                    r#"{{"meta":{}1{},{inner}"#,
                    r#"{"a":"#.repeat(150),
                    "}".repeat(150)
                ),
                "json_malformed",
                "",
            ),
        ] {
            refuse(&door, (path, &wrong), 400, code, param).await;
        }
        let bytes: Vec<u8> = text.bytes().chain([0xff, 0xfe]).collect();
        let answer = send(&door, path, &[], bytes).await;
        answer.refused(400, "json_malformed", None);
        let most = if path == BATCH { 1 << 20 } else { 64 << 10 };
        let large = format!("{text}{}", " ".repeat(most + 1 - text.len()));
        refuse(&door, (path, &large), 413, "body_too_large", "").await;
    }
    assert_eq!(door.everything().await, before);
}

async fn send(door: &Door, path: &str, more: &[(&str, &str)], body: Vec<u8>) -> Answer {
    let bearer = format!("Bearer {}", door.house.admin);
    let mut headers = vec![
        ("authorization", bearer.as_str()),
        ("idempotency-key", "hostile"),
    ];
    if !more.iter().any(|(name, _)| *name == "content-type") {
        headers.push(("content-type", "application/json"));
    }
    headers.extend_from_slice(more);
    door.call(("POST", path), &headers, body).await
}

#[tokio::test]
async fn what_does_not_call_itself_json_is_not_read() {
    let door = furnished().await;
    let before = door.everything().await;
    for (path, body) in least() {
        for kind in [
            "",
            "text/plain",
            "text/json",
            "application/x-www-form-urlencoded",
            "multipart/form-data; boundary=x",
            "application/json5",
            "application/ld+json",
            "text/plain; application/json",
        ] {
            let kind = [("content-type", kind)];
            let answer = send(&door, path, &kind, body.to_string().into()).await;
            answer.refused(415, "content_type_unsupported", None);
        }
        // A field in the address is none.
        let path = format!("{path}?user_id=u1");
        let answer = send(&door, &path, &[], body.to_string().into()).await;
        answer.refused(400, "parameter_unknown", Some("user_id"));
    }
    assert_eq!(door.everything().await, before);
}

#[tokio::test]
async fn a_body_that_does_not_say_how_long_it_is_ends_at_the_limit() {
    let door = furnished().await;
    let before = door.everything().await;
    for path in [CHARGE, BATCH] {
        let mut stream = TcpStream::connect(door.address).await.unwrap();
        let (mut reading, mut writing) = stream.split();
        let head = format!(
            "POST {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {}\r\nContent-Type: application/json\r\n\
             Transfer-Encoding: chunked\r\n\r\n",
            door.house.admin
        );
        let endless = async {
            writing.write_all(head.as_bytes()).await.unwrap();
            let chunk = format!("4000\r\n{}\r\n", " ".repeat(0x4000));
            // Until the other side has had enough; then only the answer is waited for.
            while writing.write_all(chunk.as_bytes()).await.is_ok() {}
            std::future::pending::<()>().await;
        };
        let mut answer = Vec::new();
        let answered = async {
            while !answer.windows(4).any(|four| four == b"\r\n\r\n") {
                let mut some = [0; 1024];
                let read = reading.read(&mut some).await.unwrap();
                assert!(read > 0, "the connection ended without an answer");
                answer.extend_from_slice(&some[..read]);
            }
        };
        tokio::select! {
            () = endless => {}
            () = answered => {}
        }
        assert!(answer.starts_with(b"HTTP/1.1 413 "), "{path}");
    }
    assert_eq!(door.everything().await, before);
}
