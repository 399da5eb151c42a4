//! Credentials: tokens and keys, and where they may stand.

use axum::body::Body;
use bursar::api_key;
use bursar_domain::api_key::Role;
use bursar_domain::id::UserId;
use http::Request;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::json;

use crate::house::{House, claims, key_file, key_path, token};

#[tokio::test]
async fn credentials_come_in_one_header_and_nowhere_else() {
    let house = House::usual().await;
    let user = token("u1");
    for request in [
        Request::get(format!("/v1/balance/me?token={user}")),
        Request::get(format!("/v1/balance/me?access_token={user}")),
        Request::get("/v1/balance/me").header("authorization", format!("Basic {user}")),
        Request::get("/v1/balance/me").header("authorization", user.clone()),
        Request::get("/v1/balance/me").header("x-user-id", "u1"),
        Request::get("/v1/balance/me").header("cookie", format!("token={user}")),
        Request::get("/v1/balance/me")
            .header("authorization", format!("Bearer {user}"))
            .header("authorization", format!("Bearer {user}")),
    ] {
        let answer = house.send(request.body(Body::empty()).unwrap()).await;
        assert_eq!(answer.status, 401);
        assert_eq!(answer.headers["www-authenticate"], "Bearer");
    }
    assert_eq!(
        house.get("/v1/balance/me", &user).await.body["user_id"],
        "u1"
    );
}

#[tokio::test]
async fn a_revoked_key_is_refused_at_once() {
    let house = House::usual().await;
    let made = house
        .post(
            "/v1/keys/create",
            &house.admin,
            r#"{"role":"user","user_id":"u1","label":"x"}"#,
            &[],
        )
        .await;
    let (id, key) = (
        made.body["api_key_id"].as_str().unwrap(),
        made.body["api_key"].as_str().unwrap(),
    );
    assert!(key.starts_with("bursar_user_"), "{key}");
    assert_eq!(house.get("/v1/balance/me", key).await.body["user_id"], "u1");
    let listed = house.get("/v1/keys", &house.admin).await.body.to_string();
    assert!(listed.contains(id) && !listed.contains(key), "{listed}");
    let revoked = house
        .post(
            "/v1/keys/revoke",
            &house.admin,
            &json!({"api_key_id": id}).to_string(),
            &[],
        )
        .await;
    assert_eq!(revoked.status, 200);
    assert_eq!(house.get("/v1/balance/me", key).await.status, 401);
}

#[tokio::test]
async fn tokens_of_every_configured_kind_open_and_of_no_other() {
    let rsa = EncodingKey::from_rsa_pem(&key_file("rs256.private.pem")).unwrap();
    let elliptic = EncodingKey::from_ec_pem(&key_file("es256.private.pem")).unwrap();
    let sign = |algorithm, key: &EncodingKey, kid: Option<&str>| {
        let mut header = Header::new(algorithm);
        header.kid = kid.map(str::to_owned);
        jsonwebtoken::encode(&header, &claims("u1"), key).unwrap()
    };
    let mut jwk = jsonwebtoken::jwk::Jwk::from_encoding_key(&elliptic, Algorithm::ES256).unwrap();
    jwk.common.key_id = Some("k1".to_owned());
    let folder = tempfile::tempdir().unwrap();
    let jwks = folder.path().join("jwks.json");
    std::fs::write(&jwks, json!({"keys": [jwk]}).to_string()).unwrap();

    let by_rsa = sign(Algorithm::RS256, &rsa, None);
    let by_elliptic = sign(Algorithm::ES256, &elliptic, None);
    let by_k1 = sign(Algorithm::ES256, &elliptic, Some("k1"));
    let by_k2 = sign(Algorithm::ES256, &elliptic, Some("k2"));
    let public = String::from_utf8(key_file("rs256.public.pem")).unwrap();
    let confused = sign(
        Algorithm::HS256,
        &EncodingKey::from_secret(public.as_bytes()),
        None,
    );
    let cases = [
        (
            "BURSAR_JWT_PUBLIC_KEY_FILE",
            key_path("rs256.public.pem"),
            vec![&by_rsa],
            vec![&by_elliptic, &confused],
        ),
        (
            "BURSAR_JWT_PUBLIC_KEY_FILE",
            key_path("es256.public.pem"),
            vec![&by_elliptic],
            vec![&by_rsa, &confused],
        ),
        (
            "BURSAR_JWT_JWKS_FILE",
            jwks.display().to_string(),
            vec![&by_k1, &by_elliptic],
            vec![&by_k2, &by_rsa, &confused],
        ),
    ];
    for (name, value, good, bad) in cases {
        let house = House::open(&[(name, &value)]).await;
        for token in good {
            assert_eq!(
                house.get("/v1/balance/me", token).await.status,
                200,
                "{value}"
            );
        }
        for token in bad {
            assert_eq!(
                house.get("/v1/balance/me", token).await.status,
                401,
                "{value}"
            );
        }
    }
}

#[tokio::test]
async fn a_key_speaks_for_the_user_it_was_made_for() {
    let house = House::usual().await;
    let user = UserId::parse("auth0|5").unwrap();
    let (secret, key) = api_key::issue(house.app.engine(), Role::User(user), "t".to_owned())
        .await
        .unwrap();
    assert!(secret.ends_with(&key.hint));
    let wallet = house.get("/v1/balance/me", &secret).await.body;
    let expected = json!({
        "user_id": "auth0|5", "credits": 0, "available": 0, "held": 0, "debt": 0, "unit": "credit",
        "overdraft": null, "frozen": false,
        "money": {"amount_minor": 0, "currency": "usd", "display": "0.00 USD"},
        "created_at": null, "updated_at": null,
    });
    assert_eq!(wallet, expected);
}
