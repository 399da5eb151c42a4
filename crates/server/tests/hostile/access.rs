//! F: who is nobody, somebody else, or more than he is.

use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Value, json};

use crate::exchange::{Answer, ask};
use crate::program::Program;
use crate::world::{JWT_SECRET, World, assert_answered, now, sign};

const ME: &str = "/v1/balance/me";
const KEYS: &str = "/v1/keys";

pub(crate) fn attack(world: &World) {
    world.grant("anna", 100);
    world.grant("victim", 500);
    let before = world.books();
    credentials(world);
    tokens(world);
    headers(world);
    roles(world);
    paths(world);
    lists(world);
    others(world);
    world.assert_untouched("F: all of them", &before);
    guesses(world);
    revocation(world);
}

/// F01: credentials that are none.
fn credentials(world: &World) {
    let (admin, anna) = (&world.admin, world.token("anna"));
    let cut = &admin[..admin.len() - 1];
    #[rustfmt::skip]
    let cases: &[(&str, String, Vec<(&str, String)>)] = &[
        ("F01 none", KEYS.into(), vec![]),
        ("F01 a word", KEYS.into(), vec![("Authorization", "Bearer x".into())]),
        ("F01 nothing behind the word", KEYS.into(), vec![("Authorization", "Bearer".into())]),
        ("F01 a blank behind the word", KEYS.into(), vec![("Authorization", "Bearer ".into())]),
        ("F01 without the word", KEYS.into(), vec![("Authorization", admin.clone())]),
        ("F01 another word", KEYS.into(), vec![("Authorization", format!("Basic {admin}"))]),
        ("F01 twice", KEYS.into(), vec![("Authorization", format!("Bearer {admin}")), ("Authorization", format!("Bearer {admin}"))]),
        ("F01 two in one", KEYS.into(), vec![("Authorization", format!("Bearer {admin}, Bearer {admin}"))]),
        ("F01 a letter less", KEYS.into(), vec![("Authorization", format!("Bearer {cut}"))]),
        ("F01 a letter more", KEYS.into(), vec![("Authorization", format!("Bearer {admin}0"))]),
        ("F01 in upper case", KEYS.into(), vec![("Authorization", format!("Bearer {}", admin.to_uppercase()))]),
        ("F01 the digest of a key", KEYS.into(), vec![("Authorization", format!("Bearer {}", "0".repeat(64)))]),
        ("F01 a pattern", KEYS.into(), vec![("Authorization", "Bearer bursar_admin_%".into())]),
        ("F01 SQL", KEYS.into(), vec![("Authorization", "Bearer bursar_admin_'OR'1'='1".into())]),
        ("F01 a long one", KEYS.into(), vec![("Authorization", format!("Bearer bursar_admin_{}", "0".repeat(8_000)))]),
        ("F01 in the address", format!("{KEYS}?api_key={cut}"), vec![]),
        ("F01 in the address of a token", format!("{ME}?access_token={anna}"), vec![]),
        ("F01 in a cookie", KEYS.into(), vec![("Cookie", format!("Authorization=Bearer {admin}"))]),
        ("F01 in another header", KEYS.into(), vec![("X-Api-Key", admin.clone()), ("Proxy-Authorization", format!("Bearer {admin}"))]),
    ];
    for (case, path, headers) in cases {
        let headers: Vec<(&str, &str)> = headers
            .iter()
            .map(|(name, value)| (*name, value.as_str()))
            .collect();
        assert_answered(
            case,
            &world.ask(("GET", path), &headers, b""),
            (401, "unauthenticated"),
        );
        world.assert_unharmed(case);
    }
}

/// F04: tokens that somebody else has made.
fn tokens(world: &World) {
    let good = json!({"sub": "victim", "exp": now() + 600});
    let token = sign(&good, JWT_SECRET, Algorithm::HS256);
    let mut parts = token.split('.');
    let (head, claims, signature) = (
        parts.next().unwrap(),
        parts.next().unwrap(),
        parts.next().unwrap(),
    );
    let with = |name: &str, value: Value| {
        let mut claims = good.clone();
        claims[name] = value;
        sign(&claims, JWT_SECRET, Algorithm::HS256)
    };
    let mut crit = Header::new(Algorithm::HS256);
    crit.crit = Some(vec!["exp".to_owned()]);
    let key = EncodingKey::from_secret(JWT_SECRET.as_bytes());
    let crit = jsonwebtoken::encode(&crit, &good, &key).unwrap();
    // {"alg":"none"}, {"alg":"None","typ":"JWT"} and {"alg":"RS256"}
    let (none, upper, rsa) = (
        "eyJhbGciOiJub25lIn0",
        "eyJhbGciOiJOb25lIiwidHlwIjoiSldUIn0",
        "eyJhbGciOiJSUzI1NiJ9",
    );
    // {"sub":"admin","exp":9999999999}
    let admin = "eyJzdWIiOiJhZG1pbiIsImV4cCI6OTk5OTk5OTk5OX0";
    #[rustfmt::skip]
    let cases: &[(&str, String)] = &[
        ("F04 not signed", format!("{none}.{claims}.")),
        ("F04 not signed, and no end", format!("{none}.{claims}")),
        ("F04 not signed, in upper case", format!("{upper}.{claims}.")),
        ("F04 not signed, with a signature", format!("{none}.{claims}.{signature}")),
        ("F04 another algorithm's name", format!("{rsa}.{claims}.{signature}")),
        ("F04 other claims under the signature", format!("{head}.{admin}.{signature}")),
        ("F04 a signature that is empty", format!("{head}.{claims}.")),
        ("F04 a signature that is cut", format!("{head}.{claims}.{}", &signature[..20])),
        ("F04 four parts", format!("{token}.{signature}")),
        ("F04 another secret", sign(&good, "another secret of the right length", Algorithm::HS256)),
        ("F04 an empty secret", sign(&good, "", Algorithm::HS256)),
        ("F04 a stronger algorithm", sign(&good, JWT_SECRET, Algorithm::HS512)),
        ("F04 extensions", crit),
        ("F04 no end", { let mut claims = good.clone(); claims.as_object_mut().unwrap().remove("exp"); sign(&claims, JWT_SECRET, Algorithm::HS256) }),
        ("F04 an end that is a text", with("exp", json!("9999999999"))),
        ("F04 an end that is too large", with("exp", json!(1e300))),
        ("F04 ended", with("exp", json!(now() - 120))),
        ("F04 not begun", with("nbf", json!(now() + 600))),
        ("F04 nobody", with("sub", Value::Null)),
        ("F04 a number", with("sub", json!(5))),
        ("F04 a list", with("sub", json!(["victim"]))),
        ("F04 blanks", with("sub", json!("vic tim"))),
        ("F04 a zero byte", with("sub", json!("victim\u{0}"))),
        ("F04 too long", with("sub", json!("v".repeat(129)))),
    ];
    for (case, token) in cases {
        assert_answered(case, &world.get(token, ME), (401, "unauthenticated"));
        world.assert_unharmed(case);
    }
    // What a token says beside its user changes nothing: there is one key, and roles are not in it.
    let mut header = Header::new(Algorithm::HS256);
    header.kid = Some("../../../../dev/null".to_owned());
    header.jku = Some("https://evil.test/keys".to_owned());
    let claims = json!({"sub": "anna", "exp": now() + 600, "role": "admin", "admin": true, "scope": "admin"});
    let token = jsonwebtoken::encode(&header, &claims, &key).unwrap();
    assert_eq!(
        world.get(&token, ME).ok()["user_id"],
        "anna",
        "F04 kid and jku"
    );
    assert_answered(
        "F03 a role in the token",
        &world.get(&token, KEYS),
        (403, "forbidden"),
    );
}

/// F05: who somebody is is in his credentials alone.
fn headers(world: &World) {
    let bearer = format!("Bearer {}", world.token("anna"));
    for name in [
        "X-User-Id",
        "X-Forwarded-User",
        "X-Remote-User",
        "Remote-User",
        "X-Auth-User",
        "X-Real-IP",
        "X-Role",
    ] {
        let answer = world.ask(
            ("GET", ME),
            &[("Authorization", &bearer), (name, "victim")],
            b"",
        );
        assert_eq!(answer.ok()["user_id"], "anna", "F05 {name}");
        assert_answered(
            "F05",
            &world.ask(("GET", ME), &[(name, "victim")], b""),
            (401, "unauthenticated"),
        );
    }
}

/// F03, F06: a user does not become more by asking for it.
fn roles(world: &World) {
    let anna = world.token("anna");
    let charge = json!({"user_id": "victim", "credits": 1, "idempotency_key": "f"});
    #[rustfmt::skip]
    let orders: &[(&str, Value)] = &[
        ("/v1/keys/create", json!({"role": "admin", "label": "x"})),
        ("/v1/balance/grants/create", json!({"user_id": "anna", "credits": 5})),
        ("/v1/balance/add", json!({"user_id": "anna", "credits": 5})),
        ("/v1/balance/charge", charge),
        ("/v1/balance/topups/finish", json!({"topup_id": "x"})),
        ("/v1/balance/freeze", json!({"user_id": "victim", "frozen": true})),
        ("/v1/payment.stripe/refunds/create", json!({"payment_id": "x", "idempotency_key": "f"})),
        ("/v1/payment.stripe/recovery/end", json!({})),
        ("/api/stripe/refund", json!({"payment_id": 1})),
    ];
    for (path, body) in orders {
        assert_answered(
            &format!("F03 {path}"),
            &world.post(&anna, path, body),
            (403, "forbidden"),
        );
    }
    for path in [
        "/v1/keys",
        "/v1/balance/users",
        "/v1/balance/history",
        "/v1/payment.stripe/events",
        "/v1/balance/checkpoint",
    ] {
        assert_answered(
            &format!("F03 {path}"),
            &world.get(&anna, path),
            (403, "forbidden"),
        );
    }
    for body in [
        json!({"role": "root"}),
        json!({"role": "user"}),
        json!({"role": "admin", "user_id": "anna"}),
        json!({"role": "user", "user_id": "anna", "api_key": "bursar_user_mine"}),
    ] {
        let answer = world.post(&world.admin, "/v1/keys/create", &body);
        assert_eq!(answer.status, 400, "F06 {body}: {}", answer.text);
    }
}

/// F07: another spelling of a path is another path, for everybody.
fn paths(world: &World) {
    let anna = world.token("anna");
    for path in [
        "/v1/keys/",
        "//v1/keys",
        "/v1//keys",
        "/v1%2fkeys",
        "/V1/keys",
        "/v1/KEYS",
        "/v1/./keys",
        "/v1/balance/../keys",
        "/v1/balance/%2e%2e/keys",
        "/v1/keys;x=1",
        "/v1/keys%00",
        "/v1/keys%20",
        "/v1/keys.json",
        "/%76%31/keys",
        "/v1\\keys",
        "/v1/balance/me/..;/keys",
    ] {
        for token in [&anna, &world.admin] {
            let answer = world.get(token, path);
            assert!(
                [400, 404].contains(&answer.status),
                "F07 {path}: {} {}",
                answer.status,
                answer.text
            );
        }
        world.assert_unharmed(path);
    }
    let override_headers = [
        ("X-HTTP-Method-Override", "POST"),
        ("X-Method-Override", "POST"),
    ];
    let answer = world.ask(("GET", "/v1/balance/grants/create"), &override_headers, b"");
    assert_answered(
        "F07 another method in a header",
        &answer,
        (405, "method_not_allowed"),
    );
}

/// F10: lists are read as strictly as orders.
fn lists(world: &World) {
    for path in [
        "/v1/balance/history",
        "/v1/balance/users",
        "/v1/payment.stripe/payments",
        "/v1/payment.stripe/events",
        "/v1/balance/holds",
    ] {
        for query in [
            "limit=1000000000",
            "limit=-1",
            "limit=0",
            "limit=%31%30%31",
            "cursor=-1",
            "cursor=x",
            "cursor=%27%3B--",
            "cursor=%00",
            "cursor=99999999999999999999",
            "limit=10&limit=20",
            "offset=5",
            "order=asc",
            "user_id%5B%5D=a",
            "%ff=1",
            "a=%zz",
        ] {
            let answer = world.get(&world.admin, &format!("{path}?{query}"));
            assert_eq!(answer.status, 400, "F10 {path}?{query}: {}", answer.text);
        }
        world.assert_unharmed(path);
    }
    // One list's cursor on another: it is refused, or a place in that list. Nobody sees more by it.
    let anna = world.token("anna");
    for path in [
        "/v1/balance/history/me",
        "/v1/balance/topups/me",
        "/v1/payment.stripe/payments/me",
    ] {
        for cursor in ["1", "9223372036854775807", "top_01m7yp6prer56f5k2584ttjgjm"] {
            let answer = world.get(&anna, &format!("{path}?cursor={cursor}"));
            assert!(
                [200, 400].contains(&answer.status),
                "F10 {path}: {}",
                answer.text
            );
            assert!(
                !answer.text.contains("victim"),
                "F10 {path}: {}",
                answer.text
            );
        }
    }
}

/// F02: somebody else's movement is as unknown as one that does not exist.
fn others(world: &World) {
    let lines = world
        .get(&world.admin, "/v1/balance/history?user_id=victim")
        .ok();
    let theirs = lines["items"][0]["transaction_id"].as_str().unwrap();
    let anna = world.token("anna");
    let explain = |id: &str| world.get(&anna, &format!("/v1/balance/explain?transaction_id={id}"));
    let told = |answer: Answer| {
        (
            answer.status,
            answer.body["error"]["code"].clone(),
            answer.body["error"]["message"].clone(),
        )
    };
    let (theirs, nobodys) = (told(explain(theirs)), told(explain("ltx_zzzzzzzzzzzz")));
    assert_eq!(theirs, nobodys, "F02");
    assert_eq!(theirs.0, 404, "F02");
    let answer = world.get(&anna, "/v1/balance/explain?user_id=victim");
    assert!([403, 404].contains(&answer.status), "F02: {}", answer.text);
}

/// F08: who guesses is told to wait; who has the key is not.
fn guesses(world: &World) {
    let from = ("X-Forwarded-For", "203.0.113.9");
    let guess = |number: usize| {
        let bearer = format!("Bearer bursar_admin_{number:064x}");
        ask(
            world.address,
            ("GET", KEYS),
            &[from, ("Authorization", &bearer)],
            b"",
        )
    };
    let answers: Vec<Answer> = (0..1_000).map(guess).collect();
    let refused = answers.iter().filter(|answer| answer.status == 429).count();
    assert!(refused >= 100, "F08: {refused}");
    assert!(
        answers
            .iter()
            .all(|answer| [401, 429].contains(&answer.status)),
        "F08"
    );
    let last = answers.iter().rfind(|answer| answer.status == 429).unwrap();
    assert_answered("F08", last, (429, "rate_limited"));
    let bearer = format!("Bearer {}", world.admin);
    let right = world.ask(("GET", KEYS), &[from, ("Authorization", &bearer)], b"");
    assert_eq!(
        right.status, 200,
        "F08: the right key from the same address"
    );
    world.assert_unharmed("F08");
}

/// F11: a key that was revoked is no key any more: here at once, at other nodes soon.
fn revocation(world: &World) {
    let body = json!({"role": "user", "user_id": "leaver", "label": "x"});
    let made = world.post(&world.admin, "/v1/keys/create", &body).ok();
    let key = made["api_key"].as_str().unwrap();
    let node: Option<(Program, std::net::SocketAddr)> = world.second_node();
    let bearer = format!("Bearer {key}");
    let other = |address| ask(address, ("GET", ME), &[("Authorization", &bearer)], b"").status;
    world.get(key, ME).ok();
    if let Some((_, address)) = &node {
        assert_eq!(other(*address), 200, "F11 the other node");
    }
    world
        .post(
            &world.admin,
            "/v1/keys/revoke",
            &json!({"api_key_id": made["api_key_id"]}),
        )
        .ok();
    assert_answered("F11", &world.get(key, ME), (401, "unauthenticated"));
    if let Some((_, address)) = &node {
        std::thread::sleep(std::time::Duration::from_secs(5));
        assert_eq!(other(*address), 401, "F11 the other node");
    }
    world.assert_unharmed("F11");
}
