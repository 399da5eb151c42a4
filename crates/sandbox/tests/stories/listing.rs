use std::time::Instant;

use bursar_sandbox::claim::Claim;
use bursar_sandbox::pay::Payment;
use serde_json::{Value, json};

use crate::shop::{Shop, id};

/// The ids of a whole list, read page by page.
fn all(shop: &mut Shop, path: &str, filter: &Value) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    loop {
        let mut params = filter.clone();
        params["limit"] = json!(100);
        if let Some(last) = found.last() {
            params["starting_after"] = json!(last);
        }
        let page = shop.get(path, params);
        let ids = page["data"]
            .as_array()
            .unwrap()
            .iter()
            .map(|object| id(object).to_owned());
        found.extend(ids);
        if page["has_more"] == false {
            return found;
        }
    }
}

/// A year with `count` payments: every second one is partly refunded, every fifth disputed, every seventh warned of.
fn year(count: i64) -> Shop {
    let mut shop = Shop::open();
    let (from, step) = (shop.now, 365 * 86_400 / count);
    for n in 0..count {
        shop.now = from + n * step;
        let session = shop.session(json!({}));
        let method = Payment::Method("pm_card_visa".into());
        shop.world.pay_session(id(&session), &method, shop.now);
        let intent = shop.read(&session)["payment_intent"]
            .as_str()
            .unwrap()
            .to_owned();
        if n % 2 == 0 {
            shop.post(
                "/v1/refunds",
                json!({"payment_intent": intent, "amount": 100}),
            );
        }
        if n % 5 == 0 {
            shop.world
                .open_dispute(&intent, &Claim::default(), shop.now)
                .unwrap();
        }
        if n % 7 == 0 {
            shop.world.warn_of_fraud(&intent, shop.now).unwrap();
        }
        shop.world.settle();
    }
    shop
}

#[test]
fn every_list_has_each_object_once_from_the_newest() {
    let mut shop = year(210);
    for (path, kind, count) in [
        ("/v1/checkout/sessions", "checkout.session", 210),
        ("/v1/payment_intents", "payment_intent", 210),
        ("/v1/charges", "charge", 210),
        ("/v1/refunds", "refund", 105),
        ("/v1/disputes", "dispute", 42),
        (
            "/v1/radar/early_fraud_warnings",
            "radar.early_fraud_warning",
            30,
        ),
        ("/v1/balance_transactions", "balance_transaction", 357),
    ] {
        let listed = all(&mut shop, path, &json!({}));
        let known: Vec<String> = shop
            .world
            .records
            .objects(kind)
            .map(|object| id(object).to_owned())
            .collect();
        assert_eq!((listed.len(), &listed), (count, &known), "{path}");
        let mut backwards: Vec<String> = Vec::new();
        let mut cursor = listed.last().unwrap().clone();
        loop {
            let page = shop.get(path, json!({"limit": 50, "ending_before": cursor}));
            let ids: Vec<String> = page["data"]
                .as_array()
                .unwrap()
                .iter()
                .map(|object| id(object).to_owned())
                .collect();
            cursor.clone_from(&ids[0]);
            backwards.splice(0..0, ids);
            if page["has_more"] == false {
                break;
            }
        }
        assert_eq!(backwards, listed[..listed.len() - 1], "{path}, backwards");
    }
}

#[test]
fn a_range_of_time_is_read_with_its_bounds() {
    let mut shop = year(100);
    let charges: Vec<Value> = shop.world.records.objects("charge").cloned().collect();
    let moment = |n: usize| charges[n]["created"].as_i64().unwrap();
    let mut count =
        |created: Value| all(&mut shop, "/v1/charges", &json!({"created": created})).len();
    assert_eq!(count(json!({"gte": moment(20), "lte": moment(10)})), 11);
    assert_eq!(count(json!({"gt": moment(20), "lt": moment(10)})), 9);
    assert_eq!(count(json!(moment(7))), 1);
    assert_eq!(count(json!({"gt": moment(10), "lt": moment(11)})), 0);
    assert_eq!(count(json!({"gt": moment(10), "gte": moment(20)})), 10);
    // The pages of a range end where the range does.
    let range = json!({"gte": moment(20), "lte": moment(10)});
    let first = shop.get("/v1/charges", json!({"created": range, "limit": 11}));
    assert_eq!(first["has_more"], false);
    let part = shop.get("/v1/charges", json!({"created": range, "limit": 10}));
    assert_eq!(part["has_more"], true);
    let back = json!({"created": range, "limit": 10, "ending_before": charges[20]["id"]});
    let back = shop.get("/v1/charges", back);
    assert_eq!(back["has_more"], false);
    assert_eq!(back["data"][0]["id"], charges[10]["id"]);
}

#[test]
fn filters_leave_what_they_name() {
    let mut shop = year(20);
    let dispute = shop.world.records.objects("dispute").next();
    let dispute = dispute.unwrap().clone();
    let (charge, intent) = (dispute["charge"].clone(), dispute["payment_intent"].clone());
    let mut ids = |path: &str, params: Value| all(&mut shop, path, &params);
    let own = [dispute["id"].as_str().unwrap().to_owned()];
    assert_eq!(ids("/v1/disputes", json!({"charge": charge})), own);
    assert_eq!(ids("/v1/disputes", json!({"payment_intent": intent})), own);
    assert_eq!(
        ids("/v1/charges", json!({"payment_intent": intent})),
        [charge.as_str().unwrap()]
    );
    assert_eq!(
        ids("/v1/balance_transactions", json!({"source": charge})).len(),
        1
    );
    assert_eq!(
        ids("/v1/balance_transactions", json!({"source": own[0]})).len(),
        1
    );
    assert_eq!(
        ids("/v1/balance_transactions", json!({"type": "adjustment"})).len(),
        4
    );
    assert_eq!(
        ids(
            "/v1/balance_transactions",
            json!({"type": "charge", "currency": "eur"})
        )
        .len(),
        0
    );
    assert_eq!(ids("/v1/refunds", json!({"charge": "ch_none"})).len(), 0);
    assert_eq!(
        ids("/v1/events", json!({"type": "refund.created"})).len(),
        1,
        "the rest is older than a month"
    );
    assert_eq!(
        ids("/v1/checkout/sessions", json!({"status": "expired"})).len(),
        0
    );
    let foreign = shop.refused("GET", "/v1/charges", json!({"starting_after": own[0]}));
    assert_eq!(
        foreign,
        (
            400,
            "resource_missing".to_owned(),
            "starting_after".to_owned()
        )
    );
}

#[test]
fn everything_that_happened_can_be_read_as_it_would_be_delivered() {
    let mut shop = year(60);
    let mut seen = Vec::new();
    loop {
        let last = seen.last().map(|(id, _): &(String, String)| id.as_str());
        let told = shop
            .world
            .events_after(last, 7, Some(bursar_stripe::VERSION));
        if told.is_empty() {
            break;
        }
        for event in told {
            let body: Value = serde_json::from_slice(&event.body).unwrap();
            assert_eq!(
                (&body["id"], &body["type"]),
                (&json!(event.id), &json!(event.kind))
            );
            assert_eq!(body["api_version"], bursar_stripe::VERSION);
            seen.push((event.id, event.kind));
        }
    }
    let kinds: Vec<String> = seen.iter().map(|(_, kind)| kind.clone()).collect();
    assert_eq!(kinds, shop.told());
    shop.charge("pm_card_visa");
    let last = seen.last().map(|(id, _)| id.as_str());
    assert_eq!(shop.world.events_after(last, 100, None).len(), 3);
}

/// `cargo test --release -p bursar-sandbox --test stories -- --ignored --nocapture` says how long a large world takes.
#[test]
#[ignore = "measures a world with 100,000 payments"]
fn a_year_with_many_payments_is_read_in_pages() {
    let count = std::env::var("PAYMENTS").map_or(100_000, |count| count.parse().unwrap());
    let begun = Instant::now();
    let mut shop = year(count);
    println!("made: {:?}", begun.elapsed());
    for path in [
        "/v1/checkout/sessions",
        "/v1/charges",
        "/v1/balance_transactions",
    ] {
        let begun = Instant::now();
        let listed = all(&mut shop, path, &json!({"created": {"gte": 0}}));
        println!("{path}: {} in {:?}", listed.len(), begun.elapsed());
    }
    let begun = Instant::now();
    let last = shop.event("charge.succeeded");
    for _ in 0..1000 {
        shop.get(
            "/v1/refunds",
            json!({"payment_intent": last["payment_intent"]}),
        );
    }
    println!("a thousand lists of one payment: {:?}", begun.elapsed());
}
