//! Coupons, redeem codes, credits to begin with, referrals: who may do what, what is shown, and what never is.

use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Value, json};

use crate::house::{Answer, House, JWT_SECRET, NOW, token};

const COUPON: &str = "/v1/balance/coupons/create";
const CODES: &str = "/v1/balance/codes/create";
const REDEEM: &str = "/v1/balance/codes/redeem";
const TOPUP: &str = "/v1/balance/topups/create";

async fn shop() -> House {
    House::open(&[
        ("BURSAR_JWT_HS256_SECRET", JWT_SECRET),
        ("BURSAR_SIGNUP_CREDITS", "100"),
        ("BURSAR_TRIAL_CREDITS", "50"),
        ("BURSAR_TRIAL_DAYS", "7"),
    ])
    .await
}

impl House {
    async fn admin_asks(&self, path: &str, body: Value) -> Answer {
        self.post(path, &self.admin, &body.to_string(), &[]).await
    }

    async fn user_asks(&self, user: &str, path: &str, body: Value) -> Answer {
        self.post(path, &token(user), &body.to_string(), &[]).await
    }
}

/// A token with an e-mail address.
fn mailed(user: &str, email: &str, verified: bool) -> String {
    let key = EncodingKey::from_secret(JWT_SECRET.as_bytes());
    let claims = json!({"sub": user, "exp": NOW + 600, "email": email, "email_verified": verified});
    jsonwebtoken::encode(&Header::new(Algorithm::HS256), &claims, &key).unwrap()
}

#[tokio::test]
async fn a_coupon_takes_something_off_and_is_listed() {
    let house = shop().await;
    let ten = json!({"code": "ten", "percent_off": 10, "uses_max": 5, "note": "spring"});
    let made = house.admin_asks(COUPON, ten).await.ok();
    assert_eq!(
        (&made["code"], &made["percent_off"]),
        (&json!("TEN"), &json!(10))
    );
    let listed = house.get("/v1/balance/coupons", &house.admin).await.ok();
    assert_eq!(listed["items"], json!([made]));
    let bought = json!({"credits": 1005, "coupon": "Ten"});
    let bought = house.user_asks("u1", TOPUP, bought).await.ok();
    for (field, value) in [
        ("amount_minor", json!(905)),
        ("discount_minor", json!(100)),
        ("coupon", json!("TEN")),
        ("credits", json!(1005)),
    ] {
        assert_eq!(bought[field], value, "{field}");
    }
    let finish = json!({"topup_id": bought["topup_id"]});
    house
        .admin_asks("/v1/balance/topups/finish", finish)
        .await
        .ok();
    let again = house.user_asks("u1", TOPUP, json!({"credits": 1000, "coupon": "TEN"}));
    again.await.refused(409, "coupon_used", Some("coupon"));
    let had = house
        .get("/v1/balance/bonuses?user_id=u1", &house.admin)
        .await
        .ok();
    let had = &had["items"][0];
    assert_eq!(
        (&had["kind"], &had["subject"], &had["status"]),
        (&json!("coupon"), &json!("TEN"), &json!("given"))
    );
    let off = house.admin_asks("/v1/balance/coupons/disable", json!({"code": "TEN"}));
    assert_eq!(off.await.ok()["disabled_at"], "2027-01-15T08:00:00Z");
    let gone = house.user_asks("u2", TOPUP, json!({"credits": 1000, "coupon": "TEN"}));
    gone.await.refused(400, "coupon_invalid", Some("coupon"));
}

#[tokio::test]
async fn a_coupon_says_one_thing() {
    let house = shop().await;
    for (body, code, param) in [
        (json!({"code": "A1B"}), "parameter_invalid", "percent_off"),
        (
            json!({"code": "A1B", "percent_off": 5, "credits": 5}),
            "parameter_invalid",
            "percent_off",
        ),
        (
            json!({"code": "A1B", "percent_off": 100}),
            "parameter_invalid",
            "percent_off",
        ),
        (
            json!({"code": "A1B", "amount_off_minor": 5}),
            "parameter_missing",
            "currency",
        ),
        (
            json!({"code": "A1B", "credits": 5, "currency": "usd"}),
            "parameter_invalid",
            "currency",
        ),
        (
            json!({"code": "A1B", "amount_off_minor": 5, "currency": "kwd"}),
            "parameter_invalid",
            "amount_off_minor",
        ),
        (
            json!({"code": "A1B", "percent_off": 5, "least_price_minor": 5}),
            "parameter_missing",
            "currency",
        ),
        (
            json!({"code": "a b", "percent_off": 5}),
            "parameter_invalid",
            "code",
        ),
        (
            json!({"code": "A1B", "percent_off": 5, "expires_at": "2027-01-15T08:00:00Z"}),
            "parameter_invalid",
            "expires_at",
        ),
    ] {
        house
            .admin_asks(COUPON, body)
            .await
            .refused(400, code, Some(param));
    }
}

#[tokio::test]
async fn codes_are_shown_once_and_kept_as_digests() {
    let house = shop().await;
    let body =
        json!({"credits": 100, "count": 2, "grant_expires_in": 86400, "note": "fair"}).to_string();
    let key = [("idempotency-key", "k1")];
    let made = house.post(CODES, &house.admin, &body, &key).await.ok();
    let codes: Vec<&str> = made["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| it["code"].as_str().unwrap())
        .collect();
    assert_ne!(codes[0], codes[1]);
    let again = house.post(CODES, &house.admin, &body, &key).await;
    assert!(again.is_replayed());
    let again = again.ok();
    assert!(
        again["items"]
            .as_array()
            .unwrap()
            .iter()
            .all(|it| it["code"].is_null())
    );
    assert_eq!(again["items"][0]["code_id"], made["items"][0]["code_id"]);
    let listed = house.get("/v1/balance/codes", &house.admin).await.ok();
    let hint = made["items"][0]["hint"].as_str().unwrap();
    assert!(
        hint.starts_with(&codes[0][..4]) && hint.ends_with(&codes[0][27..]) && hint.len() == 9,
        "{hint}"
    );
    for code in &codes {
        assert!(!listed.to_string().contains(code) && !again.to_string().contains(code));
    }
    // Entered in another way, it is the same code.
    let entered = json!({"code": codes[0].to_lowercase().replace('-', " ")}).to_string();
    let redeemed = house.post(REDEEM, &token("u1"), &entered, &key).await.ok();
    assert_eq!(
        (&redeemed["credits"], &redeemed["source"]),
        (&json!(100), &json!("code"))
    );
    assert_eq!(redeemed["expires_at"], "2027-01-16T08:00:00Z");
    let plain = json!({"code": codes[0]});
    house
        .user_asks("u1", REDEEM, plain.clone())
        .await
        .refused(409, "code_redeemed", Some("code"));
    house
        .user_asks("u2", REDEEM, plain)
        .await
        .refused(400, "code_invalid", Some("code"));
    let off = json!({"code_id": made["items"][1]["code_id"]});
    house
        .admin_asks("/v1/balance/codes/disable", off)
        .await
        .ok();
    house
        .user_asks("u2", REDEEM, json!({"code": codes[1]}))
        .await
        .refused(400, "code_invalid", Some("code"));
    // Nothing on the disk holds a code, in whatever form.
    let codes: Vec<String> = codes.iter().map(|code| (*code).to_owned()).collect();
    let data = house.data();
    house.app.stop().await;
    for entry in std::fs::read_dir(data).unwrap() {
        let bytes = std::fs::read(entry.unwrap().path()).unwrap();
        for code in &codes {
            let forms = [code.clone(), code.replace('-', ""), code.to_lowercase()];
            for form in forms {
                let found = bytes
                    .windows(form.len())
                    .any(|window| window == form.as_bytes());
                assert!(!found, "{form}");
            }
        }
    }
}

#[tokio::test]
async fn whoever_guesses_has_to_wait_and_a_restart_forgets_nothing() {
    let house = shop().await;
    let guess = |number: u32| json!({"code": format!("guess {number}")});
    for number in 0..10 {
        let answer = house.user_asks("u1", REDEEM, guess(number)).await;
        answer.refused(400, "code_invalid", Some("code"));
    }
    let house = house.reopen().await;
    let answer = house.user_asks("u1", REDEEM, guess(10)).await;
    answer.refused(429, "too_many_attempts", None);
    assert_eq!(answer.headers["retry-after"], "3600");
    // A coupon is guessed no better.
    let coupon = json!({"credits": 1000, "coupon": "GUESS"});
    house
        .user_asks("u1", TOPUP, coupon.clone())
        .await
        .refused(429, "too_many_attempts", None);
    house
        .user_asks("u2", TOPUP, coupon)
        .await
        .refused(400, "coupon_invalid", Some("coupon"));
}

#[tokio::test]
async fn credits_to_begin_with_come_once_for_a_mailbox() {
    let house = shop().await;
    let claim = |path: &'static str, token: String| {
        let house = &house;
        async move { house.post(path, &token, "{}", &[]).await }
    };
    let (signup, trial) = ("/v1/balance/signup/claim", "/v1/balance/trial/claim");
    let given = claim(signup, mailed("u1", "anna.b@gmail.com", true))
        .await
        .ok();
    assert_eq!(
        (&given["credits"], &given["source"]),
        (&json!(100), &json!("bonus"))
    );
    let given = claim(trial, mailed("u1", "anna.b@gmail.com", true))
        .await
        .ok();
    assert_eq!(
        (&given["source"], &given["expires_at"]),
        (&json!("trial"), &json!("2027-01-22T08:00:00Z"))
    );
    for (token, taken) in [
        (mailed("u2", "AnnaB+1@googlemail.com", true), true),
        (token("annab@gmail.com"), true),
        // Nobody has looked whether it is his.
        (mailed("u3", "annab@gmail.com", false), false),
        (mailed("u4", "annab@shop.example", true), false),
    ] {
        let answer = claim(signup, token).await;
        if taken {
            answer.refused(409, "already_claimed", None);
        } else {
            answer.ok();
        }
    }
    claim(signup, house.admin.clone())
        .await
        .refused(403, "forbidden", None);
}

#[tokio::test]
async fn a_referral_is_claimed_with_a_code_and_counted() {
    let house = shop().await;
    let anna = mailed("anna", "anna@shop.example", true);
    let code = house.get("/v1/balance/referral", &anna).await.ok();
    assert_eq!(
        (&code["brought"], &code["status"]),
        (&json!(0), &Value::Null)
    );
    let code = code["code"].as_str().unwrap().to_owned();
    assert_eq!(
        house.get("/v1/balance/referral", &anna).await.ok()["code"],
        code
    );
    let body = json!({"code": code.to_uppercase()}).to_string();
    let claim = "/v1/balance/referral/claim";
    let same = mailed("ann2", "anna+x@shop.example", true);
    house
        .post(claim, &same, &body, &[])
        .await
        .refused(400, "self_referral", Some("code"));
    house
        .post(claim, &anna, &body, &[])
        .await
        .refused(400, "self_referral", Some("code"));
    let bob = token("bob");
    assert_eq!(
        house.post(claim, &bob, &body, &[]).await.ok(),
        json!({"status": "pending"})
    );
    house
        .post(claim, &bob, &body, &[])
        .await
        .refused(409, "already_referred", None);
    let wrong = json!({"code": "nobody"}).to_string();
    house
        .post(claim, &token("carl"), &wrong, &[])
        .await
        .refused(400, "referral_invalid", Some("code"));
    let sum = house.get("/v1/balance/referral", &anna).await.ok();
    assert_eq!((&sum["brought"], &sum["rewarded"]), (&json!(1), &json!(0)));
}

#[tokio::test]
async fn what_is_for_administrators_is_refused_to_users() {
    let house = shop().await;
    for path in [
        COUPON,
        CODES,
        "/v1/balance/coupons/disable",
        "/v1/balance/codes/disable",
    ] {
        house
            .user_asks("u1", path, json!({}))
            .await
            .refused(403, "forbidden", None);
    }
    for path in [
        "/v1/balance/coupons",
        "/v1/balance/codes",
        "/v1/balance/bonuses?user_id=u1",
    ] {
        house
            .get(path, &token("u1"))
            .await
            .refused(403, "forbidden", None);
    }
}
