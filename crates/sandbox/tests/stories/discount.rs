use bursar_sandbox::pay::{PayOutcome, Payment};
use serde_json::{Value, json};

use crate::shop::{Shop, id, merged, order};

const SESSIONS: &str = "/v1/checkout/sessions";

fn coupon(shop: &mut Shop, id: &str, more: Value) -> Value {
    let params = merged(json!({"id": id, "duration": "once"}), more);
    shop.post("/v1/coupons", params)
}

fn with(coupon: &str) -> Value {
    json!({"discounts": [{"coupon": coupon}]})
}

fn refused(shop: &mut Shop, more: Value) -> (u16, String, String) {
    shop.refused("POST", SESSIONS, merged(order(), more))
}

fn told(code: &str, param: &str) -> (u16, String, String) {
    (400, code.to_owned(), param.to_owned())
}

#[test]
fn a_coupon_has_the_id_the_shop_chose_once() {
    let mut shop = Shop::open();
    let made = coupon(
        &mut shop,
        "topup_1",
        json!({"amount_off": 120, "currency": "USD", "name": "Welcome", "max_redemptions": 1}),
    );
    assert_eq!(made["id"], "topup_1");
    assert_eq!(
        (&made["amount_off"], &made["currency"], &made["percent_off"]),
        (&json!(120), &json!("usd"), &json!(null))
    );
    assert_eq!(
        (&made["valid"], &made["times_redeemed"]),
        (&json!(true), &json!(0))
    );
    let again = json!({"id": "topup_1", "percent_off": 5});
    assert_eq!(
        shop.refused("POST", "/v1/coupons", again.clone()),
        told("resource_already_exists", "")
    );
    assert_eq!(shop.get("/v1/coupons/topup_1", json!({})), made);
    shop.call("DELETE", "/v1/coupons/topup_1", json!({}));
    assert_eq!(shop.refused("GET", "/v1/coupons/topup_1", json!({})).0, 404);
    assert_eq!(shop.get("/v1/coupons", json!({}))["data"], json!([]));
    shop.post("/v1/coupons", again);
    assert_eq!(
        shop.told(),
        ["coupon.created", "coupon.deleted", "coupon.created"]
    );
    let other = shop.session(json!({}));
    let taken = json!({"id": id(&other), "percent_off": 5});
    assert_eq!(
        shop.refused("POST", "/v1/coupons", taken).1,
        "resource_already_exists",
        "an id belongs to one object of any kind"
    );
    assert_eq!(shop.read(&other)["object"], "checkout.session");
}

#[test]
fn a_coupon_is_worth_an_amount_or_a_percentage() {
    let mut shop = Shop::open();
    let mut refused = |params| shop.refused("POST", "/v1/coupons", params);
    assert_eq!(refused(json!({})), told("parameter_missing", "percent_off"));
    assert_eq!(
        refused(json!({"amount_off": 5})),
        told("parameter_missing", "currency")
    );
    assert_eq!(
        refused(json!({"amount_off": 5, "currency": "usd", "percent_off": 5})).1,
        "parameters_exclusive"
    );
    for wrong in ["0", "100.01", "x", "1.234"] {
        assert_eq!(
            refused(json!({"percent_off": wrong})),
            told("", "percent_off")
        );
    }
    assert_eq!(
        refused(json!({"amount_off": 0, "currency": "usd"})),
        told("parameter_invalid_integer", "amount_off")
    );
    assert_eq!(
        refused(json!({"percent_off": 5, "max_redemptions": 0})),
        told("parameter_invalid_integer", "max_redemptions")
    );
    let precise = shop.post("/v1/coupons", json!({"percent_off": "12.5"}));
    assert_eq!(precise["percent_off"].to_string(), "12.5");
    assert_eq!(precise["duration"], "once");
}

#[test]
fn a_discount_takes_off_what_the_customer_pays() {
    let mut shop = Shop::open();
    coupon(
        &mut shop,
        "less",
        json!({"amount_off": 120, "currency": "usd"}),
    );
    let session = shop.session(with("less"));
    assert_eq!(
        (&session["amount_subtotal"], &session["amount_total"]),
        (&json!(500), &json!(380))
    );
    assert_eq!(session["total_details"]["amount_discount"], 120);
    assert_eq!(
        session["discounts"],
        json!([{"coupon": "less", "promotion_code": null}])
    );
    let items = shop.get(
        &format!("{SESSIONS}/{}/line_items", id(&session)),
        json!({}),
    );
    let item = &items["data"][0];
    assert_eq!(
        (
            &item["amount_subtotal"],
            &item["amount_discount"],
            &item["amount_total"]
        ),
        (&json!(500), &json!(120), &json!(380))
    );
    assert_eq!(shop.get("/v1/coupons/less", json!({}))["times_redeemed"], 0);
    assert_eq!(
        shop.pay(&session, "4242424242424242"),
        PayOutcome::Succeeded
    );
    assert_eq!(shop.event("charge.succeeded")["amount"], 380);
    assert_eq!(
        shop.event("checkout.session.completed")["amount_total"],
        380
    );
    assert_eq!(shop.get("/v1/coupons/less", json!({}))["times_redeemed"], 1);
    let path = format!("{SESSIONS}/{}", id(&session));
    let expanded = shop.get(&path, json!({"expand": ["discounts.coupon"]}));
    assert_eq!(expanded["discounts"][0]["coupon"]["amount_off"], 120);
}

#[test]
fn a_session_takes_one_discount_that_is_good_for_it() {
    let mut shop = Shop::open();
    coupon(
        &mut shop,
        "euro",
        json!({"amount_off": 100, "currency": "eur"}),
    );
    coupon(&mut shop, "half", json!({"percent_off": 50}));
    coupon(&mut shop, "most", json!({"percent_off": 95}));
    let at = "discounts[0][coupon]";
    assert_eq!(
        refused(&mut shop, with("none")),
        told("resource_missing", at)
    );
    assert_eq!(refused(&mut shop, with("euro")), told("", at));
    assert_eq!(
        refused(&mut shop, with("most")).1,
        "amount_too_small",
        "25 cents cannot be charged"
    );
    let two = json!({"discounts": [{"coupon": "half"}, {"coupon": "half"}]});
    assert_eq!(refused(&mut shop, two), told("", "discounts"));
    assert_eq!(
        refused(&mut shop, json!({"discounts": [{}]})),
        told("parameter_missing", at)
    );
    let both = merged(with("half"), json!({"allow_promotion_codes": true}));
    assert_eq!(
        refused(&mut shop, both),
        told("parameters_exclusive", "discounts")
    );
    coupon(&mut shop, "free", json!({"percent_off": 100}));
    let free = shop.session(with("free"));
    assert_eq!(free["amount_total"], 0);
    shop.pay(&free, "4242424242424242");
    assert_eq!(shop.read(&free)["payment_status"], "no_payment_required");
    assert!(!shop.told().contains(&"charge.succeeded".to_owned()));
}

#[test]
fn a_coupon_is_redeemed_as_often_as_it_may() {
    let mut shop = Shop::open();
    coupon(
        &mut shop,
        "once",
        json!({"percent_off": 20, "max_redemptions": 1}),
    );
    let first = shop.session(with("once"));
    let second = shop.session(with("once"));
    shop.pay(&first, "4000000000000002");
    assert_eq!(
        shop.get("/v1/coupons/once", json!({}))["times_redeemed"],
        0,
        "a declined card redeems nothing"
    );
    assert_eq!(shop.pay(&first, "4242424242424242"), PayOutcome::Succeeded);
    let used = shop.get("/v1/coupons/once", json!({}));
    assert_eq!(
        (&used["times_redeemed"], &used["valid"]),
        (&json!(1), &json!(false))
    );
    let late = shop.pay(&second, "4242424242424242");
    assert!(
        matches!(late, PayOutcome::NotPayable { code: Some(code), .. } if code == "coupon_expired")
    );
    assert_eq!(
        refused(&mut shop, with("once")),
        told("coupon_expired", "discounts[0][coupon]")
    );
}

#[test]
fn a_coupon_ends_with_its_time() {
    let mut shop = Shop::open();
    let until = shop.now + 60;
    coupon(
        &mut shop,
        "soon",
        json!({"percent_off": 20, "redeem_by": until}),
    );
    shop.now = until;
    shop.session(with("soon"));
    shop.now += 1;
    assert_eq!(shop.get("/v1/coupons/soon", json!({}))["valid"], false);
    assert_eq!(refused(&mut shop, with("soon")).1, "coupon_expired");
}

#[test]
fn a_promotion_code_leads_to_its_coupon() {
    let mut shop = Shop::open();
    coupon(&mut shop, "ten", json!({"percent_off": 10}));
    let code = shop.post(
        "/v1/promotion_codes",
        json!({"promotion": {"type": "coupon", "coupon": "ten"}, "code": "SPRING", "max_redemptions": 1}),
    );
    assert_eq!(code["promotion"]["coupon"], "ten");
    let same = json!({"promotion": {"type": "coupon", "coupon": "ten"}, "code": "spring"});
    assert_eq!(
        shop.refused("POST", "/v1/promotion_codes", same).1,
        "resource_already_exists"
    );
    let listed = shop.get("/v1/promotion_codes", json!({"code": "spring"}));
    assert_eq!(listed["data"][0]["id"], code["id"]);
    let session = shop.session(json!({"discounts": [{"promotion_code": id(&code)}]}));
    assert_eq!(session["amount_total"], 450);
    assert_eq!(
        session["discounts"],
        json!([{"coupon": null, "promotion_code": code["id"]}])
    );
    shop.pay(&session, "4242424242424242");
    let used = shop.get(&format!("/v1/promotion_codes/{}", id(&code)), json!({}));
    assert_eq!(
        (&used["times_redeemed"], &used["active"]),
        (&json!(1), &json!(false))
    );
    assert_eq!(shop.get("/v1/coupons/ten", json!({}))["times_redeemed"], 1);
    let again = json!({"discounts": [{"promotion_code": id(&code)}]});
    assert_eq!(
        refused(&mut shop, again),
        told("", "discounts[0][promotion_code]")
    );
}

#[test]
fn a_promotion_code_may_be_for_some_orders_only() {
    let mut shop = Shop::open();
    let ada = shop.post("/v1/customers", json!({"name": "Ada"}));
    coupon(&mut shop, "ten", json!({"percent_off": 10}));
    let promotion = json!({"type": "coupon", "coupon": "ten"});
    let own = shop.post(
        "/v1/promotion_codes",
        json!({"promotion": promotion, "customer": id(&ada), "restrictions": {"first_time_transaction": true}}),
    );
    let large = shop.post(
        "/v1/promotion_codes",
        json!({"promotion": promotion, "restrictions": {"minimum_amount": 501, "minimum_amount_currency": "usd"}}),
    );
    let by =
        |code: &Value, more| merged(json!({"discounts": [{"promotion_code": id(code)}]}), more);
    let at = "discounts[0][promotion_code]";
    assert_eq!(refused(&mut shop, by(&large, json!({}))), told("", at));
    assert_eq!(refused(&mut shop, by(&own, json!({}))), told("", at));
    let session = shop.session(by(&own, json!({"customer": id(&ada)})));
    shop.pay(&session, "4242424242424242");
    let second = by(&own, json!({"customer": id(&ada)}));
    assert_eq!(
        refused(&mut shop, second),
        told("", at),
        "the first payment was made"
    );
}

#[test]
fn a_customer_types_a_promotion_code_in() {
    let mut shop = Shop::open();
    coupon(&mut shop, "ten", json!({"percent_off": 10}));
    shop.post(
        "/v1/promotion_codes",
        json!({"promotion": {"type": "coupon", "coupon": "ten"}, "code": "SPRING"}),
    );
    let closed = shop.session(json!({}));
    assert!(
        shop.world
            .apply_promotion_code(id(&closed), "SPRING", shop.now)
            .is_err()
    );
    let session = shop.session(json!({"allow_promotion_codes": true}));
    assert!(
        shop.world
            .apply_promotion_code(id(&session), "AUTUMN", shop.now)
            .is_err()
    );
    // The amount of an attempt before the code does not stay.
    shop.pay(&session, "4000000000000002");
    shop.world
        .apply_promotion_code(id(&session), "spring", shop.now)
        .unwrap();
    shop.world
        .apply_promotion_code(id(&session), "spring", shop.now)
        .unwrap();
    let method = Payment::Method("pm_card_visa".into());
    assert_eq!(
        shop.world.pay_session(id(&session), &method, shop.now),
        PayOutcome::Succeeded
    );
    assert_eq!(
        shop.event("payment_intent.succeeded")["amount_received"],
        450
    );
    assert_eq!(
        shop.event("checkout.session.completed")["amount_total"],
        450
    );
}
