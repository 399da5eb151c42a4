//! Packages and prices: shown to everybody, sold as shown, and only what can be charged.

use serde_json::{Value, json};

use crate::house::{House, JWT_SECRET, token};

const CREATE: &str = "/v1/balance/topups/create";
const PACKAGES: &str = r#"[
    {"id": "starter", "name": "Starter", "credits": 1000, "amount_minor": 900, "prices": ["eur=850"], "bonus": 50},
    {"id": "yen", "name": "Y", "credits": 500, "amount_minor": 600, "currency": "jpy", "popular": true}]"#;

async fn shop() -> House {
    House::open(&[
        ("BURSAR_JWT_HS256_SECRET", JWT_SECRET),
        ("BURSAR_PACKAGES", PACKAGES),
        ("BURSAR_CREDIT_PRICES", "eur=9/10, kwd=3"),
        ("BURSAR_TOPUP_LIMITS", "usd=100..50000"),
    ])
    .await
}

async fn create(house: &House, body: Value) -> crate::house::Answer {
    house
        .post(CREATE, &token("u1"), &body.to_string(), &[])
        .await
}

#[tokio::test]
async fn everybody_sees_what_is_sold() {
    let house = shop().await;
    let request = http::Request::get("/v1/balance/packages");
    let request = request.body(axum::body::Body::empty()).unwrap();
    let items = house.send(request).await.ok()["items"].clone();
    let usd = json!({"amount_minor": 900, "currency": "usd", "display": "9.00 USD"});
    let eur = json!({"amount_minor": 850, "currency": "eur", "display": "8.50 EUR"});
    let starter = json!({
        "package_id": "starter", "name": "Starter", "credits": 1000, "bonus": 50, "total_credits": 1050,
        "amount_minor": 900, "currency": "usd", "display": "9.00 USD", "prices": [usd, eur], "popular": false,
    });
    assert_eq!(items[0], starter);
    assert_eq!(
        (&items[1]["display"], &items[1]["popular"]),
        (&json!("600 JPY"), &json!(true))
    );
}

#[tokio::test]
async fn a_package_is_bought_by_its_id_in_a_currency_it_is_sold_in() {
    let house = shop().await;
    let bought = create(&house, json!({"package_id": "starter", "currency": "eur"})).await;
    let bought = bought.ok();
    for (field, value) in [
        ("package_id", json!("starter")),
        ("credits", json!(1000)),
        ("bonus", json!(50)),
        ("amount_minor", json!(850)),
        ("currency", json!("eur")),
    ] {
        assert_eq!(bought[field], value, "{field}");
    }
    let finish = json!({"topup_id": bought["topup_id"]}).to_string();
    let finish = house.post("/v1/balance/topups/finish", &house.admin, &finish, &[]);
    assert_eq!(finish.await.ok()["status"], "paid");
    let me = house.get("/v1/balance/me", &token("u1")).await.ok();
    assert_eq!(me["credits"], 1050);
    for (body, status, code, param) in [
        (
            json!({"package_id": "x"}),
            404,
            "package_not_found",
            "package_id",
        ),
        (
            json!({"package_id": "starter", "currency": "jpy"}),
            400,
            "currency_not_offered",
            "currency",
        ),
        (
            json!({"package_id": "starter", "currency": "EUR"}),
            400,
            "parameter_invalid",
            "currency",
        ),
        (
            json!({"package_id": "starter", "credits": 1000}),
            400,
            "parameter_invalid",
            "package_id",
        ),
        (
            json!({"currency": "eur"}),
            400,
            "parameter_missing",
            "amount",
        ),
        (
            json!({"credits": 100, "currency": "gbp"}),
            400,
            "currency_not_offered",
            "currency",
        ),
    ] {
        create(&house, body)
            .await
            .refused(status, code, Some(param));
    }
}

#[tokio::test]
async fn what_cannot_be_charged_is_refused_before_anybody_pays() {
    let house = shop().await;
    let price = |answer: crate::house::Answer| answer.ok()["amount_minor"].clone();
    assert_eq!(price(create(&house, json!({"credits": 100})).await), 100);
    // 303 thousandths of a dinar; the last digit has to be 0.
    let dinar = create(&house, json!({"credits": 101, "currency": "kwd"})).await;
    assert_eq!(price(dinar), 310);
    for credits in [99, 50_001] {
        let answer = create(&house, json!({"credits": credits})).await;
        answer.refused(400, "price_not_chargeable", Some("credits"));
        let error = &answer.body["error"];
        assert_eq!(
            (
                &error["least_minor"],
                &error["most_minor"],
                &error["currency"]
            ),
            (&json!(100), &json!(50_000), &json!("usd"))
        );
        assert!(
            answer.message().contains("1.00 USD to 500.00 USD"),
            "{}",
            answer.message()
        );
    }
}
