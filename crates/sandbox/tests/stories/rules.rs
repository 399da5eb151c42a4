use bursar_sandbox::world::ApiRequest;
use serde_json::{Value, json};

use crate::shop::{Shop, id, merged, order};

fn with_key(key: Option<&str>) -> ApiRequest {
    let api_key = key.map(str::to_owned);
    ApiRequest {
        method: "GET".into(),
        path: "/v1/balance".into(),
        api_key,
        ..ApiRequest::default()
    }
}

#[test]
fn only_the_accounts_keys_open_it() {
    let mut shop = Shop::open();
    assert_eq!(
        shop.world
            .request(&with_key(Some("rk_test_stories")), 0)
            .status,
        200
    );
    for wrong in [
        None,
        Some(""),
        Some("sk_test_other0000000000000000"),
        Some("sk_test_storiesx"),
    ] {
        let answer = shop.world.request(&with_key(wrong), 0);
        assert_eq!(
            (answer.status, &answer.body["error"]["type"]),
            (401, &json!("invalid_request_error"))
        );
        assert!(
            !answer.body.to_string().contains("other0000"),
            "a wrong key is not shown in full"
        );
    }
}

#[test]
fn a_version_is_named_by_the_request_or_the_account() {
    let mut shop = Shop::open();
    let ask = |version: Option<&str>, params: Value| ApiRequest {
        method: "POST".into(),
        path: "/v1/checkout/sessions".into(),
        params: merged(text_order(), params),
        version: version.map(str::to_owned),
        ..ApiRequest::default()
    };
    let types = json!({"payment_method_types": ["card"]});
    let by_default = shop.ask(ask(None, types.clone()));
    assert_eq!(
        (by_default.status, &by_default.body["ui_mode"]),
        (200, &json!("hosted_page"))
    );
    assert_eq!(by_default.body["payment_method_types"], json!(["card"]));
    let clover = shop.ask(ask(Some("2025-09-30.clover"), types.clone()));
    assert_eq!(clover.body["ui_mode"], "hosted");
    let endive = shop.ask(ask(Some("2026-10-28.endive"), types));
    assert_eq!(
        endive.body["error"]["code"],
        "payment_method_types_no_longer_supported"
    );
    assert_eq!(shop.ask(ask(Some("2020-08-27"), json!({}))).status, 400);
    assert!(
        clover
            .headers
            .contains(&("Stripe-Version", "2025-09-30.clover".to_owned()))
    );
}

fn text_order() -> Value {
    let mut order = order();
    order["line_items"] = json!([{"quantity": "1", "price_data": {
        "currency": "usd", "unit_amount": "500", "product_data": {"name": "500 credits"},
    }}]);
    order
}

#[test]
fn pages_follow_each_other_from_the_newest() {
    let mut shop = Shop::open();
    let made: Vec<Value> = (0..5)
        .map(|n| shop.post("/v1/customers", json!({"name": n})))
        .collect();
    let first = shop.get("/v1/customers", json!({"limit": 2}));
    assert_eq!(
        (&first["has_more"], &first["url"]),
        (&json!(true), &json!("/v1/customers"))
    );
    assert_eq!(first["data"][0]["id"], made[4]["id"]);
    let next = shop.get(
        "/v1/customers",
        json!({"limit": 3, "starting_after": first["data"][1]["id"]}),
    );
    assert_eq!(
        (&next["has_more"], &next["data"][2]["id"]),
        (&json!(false), &made[0]["id"])
    );
    let back = shop.get("/v1/customers", json!({"ending_before": made[2]["id"]}));
    assert_eq!(back["data"].as_array().unwrap().len(), 2);
    assert_eq!(
        shop.refused("GET", "/v1/customers", json!({"limit": 101}))
            .2,
        "limit"
    );
}

#[test]
fn related_objects_expand_four_levels_deep() {
    let mut shop = Shop::open();
    let session = shop.session(json!({}));
    shop.pay(&session, "4242424242424242");
    let path = "/v1/checkout/sessions";
    let deep = json!({"expand": ["data.payment_intent.latest_charge.balance_transaction"]});
    let listed = shop.get(path, deep);
    let intent = &listed["data"][0]["payment_intent"];
    assert_eq!(
        intent["latest_charge"]["balance_transaction"]["object"],
        "balance_transaction"
    );
    for wrong in [
        "data.a.b.c.customer",
        "amount_total",
        "data.amount_total",
        "payment_intent",
    ] {
        assert_eq!(
            shop.refused("GET", path, json!({"expand": [wrong]})).2,
            "expand",
            "{wrong}"
        );
    }
}

#[test]
fn what_does_not_exist_is_named() {
    let mut shop = Shop::open();
    let missing = |status, param: &str| (status, "resource_missing".to_owned(), param.to_owned());
    assert_eq!(
        shop.refused("GET", "/v1/customers/cus_x", json!({})),
        missing(404, "id")
    );
    assert_eq!(
        shop.refused("GET", "/v1/payment_intents/pi_x", json!({})),
        missing(404, "intent")
    );
    let params = json!({"amount": 500, "currency": "usd", "customer": "cus_x"});
    assert_eq!(
        shop.refused("POST", "/v1/payment_intents", params),
        missing(400, "customer")
    );
    assert_eq!(shop.call("GET", "/v1/unheard_of", json!({})).0, 404);
}

#[test]
fn what_is_deleted_is_gone_from_lists() {
    let mut shop = Shop::open();
    let customer = shop.post("/v1/customers", json!({"name": "Ada"}));
    let path = format!("/v1/customers/{}", id(&customer));
    let (_, deleted) = shop.call("DELETE", &path, json!({}));
    assert_eq!(
        deleted,
        json!({"id": id(&customer), "object": "customer", "deleted": true})
    );
    assert_eq!(shop.get("/v1/customers", json!({}))["data"], json!([]));
    assert_eq!(shop.get(&path, json!({}))["deleted"], true);
    assert_eq!(
        shop.refused("POST", &path, json!({"name": "Bob"})).1,
        "resource_missing"
    );
    assert_eq!(shop.event("customer.deleted")["name"], "Ada");
}

#[test]
fn a_webhook_secret_is_shown_once() {
    let mut shop = Shop::open();
    let params = json!({"url": "https://shop.example/hook", "enabled_events": ["*"]});
    let endpoint = shop.post("/v1/webhook_endpoints", params);
    assert!(endpoint["secret"].as_str().unwrap().starts_with("whsec_"));
    let path = format!("/v1/webhook_endpoints/{}", id(&endpoint));
    assert!(shop.get(&path, json!({})).get("secret").is_none());
    shop.post("/v1/customers", json!({}));
    assert_eq!(
        shop.get("/v1/events", json!({}))["data"][0]["pending_webhooks"],
        1
    );
}

#[test]
fn events_are_found_by_type_and_time() {
    let mut shop = Shop::open();
    shop.post("/v1/customers", json!({}));
    shop.now += 60;
    shop.post("/v1/products", json!({"name": "x"}));
    let types = |shop: &mut Shop, params: Value| -> Vec<String> {
        let listed = shop.get("/v1/events", params);
        listed["data"]
            .as_array()
            .unwrap()
            .iter()
            .map(|e| e["type"].as_str().unwrap().to_owned())
            .collect()
    };
    assert_eq!(
        types(&mut shop, json!({"types": ["customer.created", "x.y"]})),
        ["customer.created"]
    );
    let since = json!({"created": {"gte": shop.now}});
    assert_eq!(types(&mut shop, since), ["product.created"]);
    shop.now += 30 * 86_400;
    assert_eq!(types(&mut shop, json!({})), ["product.created"]);
}

#[test]
fn funds_become_available_after_two_days() {
    let mut shop = Shop::open();
    shop.charge("pm_card_visa");
    let sums = |shop: &mut Shop| {
        let balance = shop.get("/v1/balance", json!({}));
        (
            balance["available"][0]["amount"].as_i64().unwrap(),
            balance["pending"][0]["amount"].as_i64().unwrap(),
        )
    };
    assert_eq!(sums(&mut shop), (0, 1912));
    shop.now += 2 * 86_400;
    assert_eq!(sums(&mut shop), (1912, 0));
}

#[test]
fn what_was_planned_survives_a_restart() {
    let mut shop = Shop::open();
    let session = shop.session(json!({}));
    let mut records = bursar_sandbox::records::Records::default();
    for change in shop.world.records.drain_changes() {
        records.load(change);
    }
    let ids = bursar_sandbox::id::Ids::seeded(2, 0);
    let mut later = Shop {
        world: bursar_sandbox::World::new(records, ids, shop.world.setup.clone()),
        now: shop.now + 86_400,
    };
    assert_eq!(later.read(&session)["status"], "expired");
}
