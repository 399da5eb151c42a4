use bursar_sandbox::world::{ApiRequest, ApiResponse};
use serde_json::{Value, json};

use crate::shop::Shop;

fn keyed(shop: &mut Shop, key: &str, path: &str, params: Value) -> ApiResponse {
    let request = ApiRequest {
        method: "POST".into(),
        path: path.into(),
        params,
        idempotency_key: Some(key.into()),
        ..ApiRequest::default()
    };
    shop.ask(request)
}

fn replayed(answer: &ApiResponse) -> bool {
    answer
        .headers
        .iter()
        .any(|(name, value)| *name == "Idempotent-Replayed" && value == "true")
}

#[test]
fn the_same_request_twice_is_done_once() {
    let mut shop = Shop::open();
    let first = keyed(
        &mut shop,
        "k",
        "/v1/customers",
        json!({"name": "Ada", "email": "a@example.com"}),
    );
    // The order of the parameters does not matter.
    let again = keyed(
        &mut shop,
        "k",
        "/v1/customers",
        json!({"email": "a@example.com", "name": "Ada"}),
    );
    assert_eq!((first.status, &first.body), (again.status, &again.body));
    assert!(!replayed(&first) && replayed(&again));
    assert_eq!(shop.world.records.objects("customer").count(), 1);
    assert_eq!(shop.told(), ["customer.created"]);
}

#[test]
fn a_key_belongs_to_one_request() {
    let mut shop = Shop::open();
    keyed(&mut shop, "k", "/v1/customers", json!({"name": "Ada"}));
    for (path, params) in [
        ("/v1/customers", json!({"name": "Bob"})),
        ("/v1/products", json!({"name": "Ada"})),
    ] {
        let answer = keyed(&mut shop, "k", path, params);
        assert_eq!(
            (answer.status, &answer.body["error"]["type"]),
            (400, &json!("idempotency_error"))
        );
    }
}

#[test]
fn a_decline_is_remembered_and_a_mistake_is_not() {
    let mut shop = Shop::open();
    let wrong = json!({"amount": "x", "currency": "usd"});
    assert_eq!(
        keyed(&mut shop, "k", "/v1/payment_intents", wrong).status,
        400
    );
    let declined = json!({
        "amount": "2000", "currency": "usd", "confirm": "true", "payment_method": "pm_card_visa_chargeDeclined",
    });
    let first = keyed(&mut shop, "k", "/v1/payment_intents", declined.clone());
    let again = keyed(&mut shop, "k", "/v1/payment_intents", declined);
    assert_eq!((first.status, again.status), (402, 402));
    assert_eq!(first.body, again.body);
    assert!(replayed(&again));
    assert_eq!(shop.world.records.objects("payment_intent").count(), 1);
}

#[test]
fn a_key_is_forgotten_after_a_day() {
    let mut shop = Shop::open();
    keyed(&mut shop, "k", "/v1/customers", json!({"name": "Ada"}));
    shop.now += 24 * 3600;
    let later = keyed(&mut shop, "k", "/v1/customers", json!({"name": "Bob"}));
    assert_eq!(later.body["name"], "Bob");
}

#[test]
fn an_event_names_the_request_that_caused_it() {
    let mut shop = Shop::open();
    let answer = keyed(&mut shop, "mine", "/v1/customers", json!({"name": "Ada"}));
    let event = shop.world.records.objects("event").next().unwrap();
    let request_id = answer
        .headers
        .iter()
        .find(|(name, _)| *name == "Request-Id")
        .unwrap();
    assert_eq!(
        event["request"],
        json!({"id": request_id.1, "idempotency_key": "mine"})
    );
}
