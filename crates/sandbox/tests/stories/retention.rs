//! What the world forgets, and how much memory it needs for what it does not.

use std::collections::BTreeMap;
use std::fs;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bursar_sandbox::claim::Claim;
use bursar_sandbox::clock::FixedClock;
use bursar_sandbox::delivery::{self, Attempt};
use bursar_sandbox::pay::Payment;
use bursar_sandbox::records::Collection;
use bursar_sandbox::{Sandbox, SandboxConfig, World};
use serde_json::{Value, json};

use crate::shop::{KEY, Shop, id};

const DAY: i64 = 86_400;

/// Everything that can be read of events, oldest first.
fn events(shop: &mut Shop) -> Vec<String> {
    let list = shop.get("/v1/events", json!({"limit": 100}));
    assert_eq!(list["has_more"], false);
    let listed = list["data"].as_array().unwrap().iter().rev();
    let listed: Vec<String> = listed.map(|event| id(event).to_owned()).collect();
    let told = shop.world.events_after(None, 1_000, None);
    let told: Vec<String> = told.into_iter().map(|event| event.id).collect();
    assert_eq!(told, listed);
    listed
}

fn is_there(shop: &mut Shop, event: &str) -> bool {
    let path = format!("/v1/events/{event}");
    let (status, body) = shop.call("GET", &path, json!({}));
    if status == 404 {
        assert_eq!(body["error"]["code"], "resource_missing");
    }
    status == 200
}

fn endpoint(shop: &mut Shop) -> String {
    let wish = json!({"url": "http://127.0.0.1:1/hook", "enabled_events": ["*"]});
    id(&shop.post("/v1/webhook_endpoints", wish)).to_owned()
}

fn due(shop: &Shop) -> Vec<String> {
    let due = delivery::due(&shop.world.records, shop.now * 1000, 1_000);
    due.into_iter().map(|outgoing| outgoing.delivery).collect()
}

fn answer(shop: &mut Shop, delivery: &str, status: u16) {
    let attempt = Attempt {
        at: shop.now * 1000,
        millis: 1,
        status: Some(status),
        error: None,
    };
    delivery::record_outcome(
        &mut shop.world.records,
        delivery,
        attempt,
        &[Duration::from_secs(1)],
    );
}

#[test]
fn events_are_forgotten_after_thirty_days_and_not_a_second_earlier() {
    let mut shop = Shop::open();
    let begun = shop.now;
    let old = shop.charge("pm_card_visa");
    let first = events(&mut shop);
    shop.now += 1;
    shop.charge("pm_card_visa");
    let later = events(&mut shop).split_off(first.len());
    assert!(!first.is_empty() && !later.is_empty());
    shop.now = begun + 30 * DAY;
    assert_eq!(events(&mut shop).len(), first.len() + later.len());
    shop.now += 1;
    let last = first.last().unwrap();
    assert!(!is_there(&mut shop, last), "asked for before it is listed");
    assert_eq!(events(&mut shop), later);
    assert!(later.iter().all(|event| is_there(&mut shop, event)));
    let read_on = shop.world.events_after(Some(last), 1_000, None);
    assert_eq!(
        read_on.len(),
        later.len(),
        "nobody who has read less is stuck"
    );
    shop.now += 1;
    assert!(events(&mut shop).is_empty());
    let page = shop.refused("GET", "/v1/events", json!({"starting_after": last}));
    assert_eq!(page.1, "resource_missing");
    assert!(shop.world.records.objects("event").next().is_none());
    assert_eq!(shop.read(&old)["status"], "succeeded", "objects stay");
}

#[test]
fn deliveries_go_with_their_event_once_nothing_is_owed() {
    let mut shop = Shop::open();
    endpoint(&mut shop);
    shop.charge("pm_card_visa");
    let all = due(&shop);
    let [delivered, failed, rest @ ..] = &all[..] else {
        panic!("too few: {all:?}");
    };
    answer(&mut shop, delivered, 200);
    let copy = delivery::resend(&mut shop.world.records, delivered, shop.now * 1000).unwrap();
    answer(&mut shop, &copy, 200);
    answer(&mut shop, failed, 500);
    shop.now += 30 * DAY;
    shop.world.tick(shop.now);
    assert_eq!(
        delivery::newest(&shop.world.records, 100).len(),
        all.len() + 1
    );
    answer(&mut shop, failed, 500);
    shop.now += 1;
    shop.world.tick(shop.now);
    let left = delivery::newest(&shop.world.records, 100);
    let left: Vec<&String> = left.iter().rev().map(|delivery| &delivery.id).collect();
    assert_eq!(left, rest.iter().collect::<Vec<_>>());
}

#[test]
fn what_is_owed_outlives_a_jump_of_the_clock_for_three_days() {
    let mut shop = Shop::open();
    endpoint(&mut shop);
    shop.charge("pm_card_visa");
    let owed = due(&shop);
    shop.now += 365 * DAY;
    assert!(events(&mut shop).is_empty(), "too old to be read");
    // After a restart, too, every event is forgotten at one moment only.
    let planned = |shop: &Shop| {
        shop.world
            .records
            .of_kind(Collection::Private, "due")
            .count()
    };
    let once = planned(&shop);
    shop.world.settle();
    shop.world.rollback();
    shop.world.tick(shop.now);
    assert_eq!(planned(&shop), once);
    let event = owed[0].split_once('.').unwrap().0.to_owned();
    assert!(!is_there(&mut shop, &event));
    assert_eq!(due(&shop), owed);
    answer(&mut shop, &owed[0], 500);
    answer(&mut shop, &owed[1], 200);
    shop.now += 3 * DAY - 1;
    shop.world.tick(shop.now);
    let mut still = due(&shop);
    still.sort();
    let mut expected = owed.clone();
    expected.remove(1);
    expected.sort();
    assert_eq!(still, expected);
    shop.now += 1;
    shop.world.tick(shop.now);
    assert!(due(&shop).is_empty());
    assert!(delivery::newest(&shop.world.records, 100).is_empty());
    assert!(shop.world.records.objects("event").next().is_none());
    let left = shop.world.records.snapshot();
    assert!(left.iter().all(|change| !change.id.starts_with("evt_")));
}

#[test]
fn what_a_fault_holds_back_is_owed_too() {
    let mut shop = Shop::open();
    endpoint(&mut shop);
    shop.charge("pm_card_visa");
    let mut owed = due(&shop);
    for delivery in &owed {
        let hold = |delivery: &mut Value| delivery["object"] = json!("held");
        let records = &mut shop.world.records;
        records.update(Collection::Delivery, delivery, hold);
    }
    shop.now += 31 * DAY;
    shop.world.tick(shop.now);
    delivery::release_held(&mut shop.world.records, shop.now * 1000);
    let released = delivery::newest(&shop.world.records, 100);
    let mut released: Vec<String> = released.into_iter().map(|delivery| delivery.id).collect();
    released.sort();
    owed.sort();
    assert_eq!(released, owed);
}

#[test]
fn what_was_forgotten_in_vain_is_forgotten_again() {
    let mut shop = Shop::open();
    shop.charge("pm_card_visa");
    shop.world.settle();
    shop.now += 31 * DAY;
    for _ in 0..2 {
        shop.world.tick(shop.now);
        assert!(shop.world.records.objects("event").next().is_none());
        shop.world.rollback();
        assert!(shop.world.records.objects("event").next().is_some());
    }
}

#[test]
fn what_was_forgotten_stays_forgotten_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("sandbox.jsonl");
    let clock = Arc::new(FixedClock::at(1_795_000_000));
    let open = || {
        let mut config = SandboxConfig::new("http://127.0.0.1:1", KEY);
        config.data_file = Some(file.clone());
        Sandbox::open_at(config, clock.clone()).unwrap()
    };
    let happen = |sandbox: &Sandbox| {
        let charge = json!({"amount": 500, "currency": "usd", "confirm": true, "payment_method": "pm_card_visa"});
        let act =
            |world: &mut World, now| world.call("POST", "/v1/payment_intents", charge, None, now);
        assert_eq!(sandbox.change(act).unwrap().status, 200);
    };
    let told = |sandbox: &Sandbox| sandbox.read(|world, _| world.events_after(None, 1_000, None));
    let records = |sandbox: &Sandbox| sandbox.read(|world, _| world.records.snapshot());
    let mut sandbox = open();
    happen(&sandbox);
    let first = told(&sandbox).len();
    clock.advance(20 * DAY);
    happen(&sandbox);
    let second = told(&sandbox).split_off(first);
    assert!(first > 0 && !second.is_empty());
    clock.advance(10 * DAY + 1);
    sandbox.change(World::tick).unwrap();
    for _ in 0..2 {
        assert_eq!(told(&sandbox), second);
        let before = records(&sandbox);
        drop(sandbox);
        sandbox = open();
        assert_eq!(records(&sandbox), before);
    }
    drop(sandbox);
    clock.advance(20 * DAY);
    let sandbox = open();
    sandbox.change(World::tick).unwrap();
    assert!(told(&sandbox).is_empty(), "what grew old while nothing ran");
}

/// `cargo test --release -p bursar-sandbox --test stories a_year_fits -- --ignored --nocapture` says how much memory a
/// year needs.
#[test]
#[ignore = "measures a world with 100,000 payments"]
fn a_year_fits_into_a_small_machine() {
    let count = std::env::var("PAYMENTS").map_or(100_000, |count| count.parse().unwrap());
    let mut shop = Shop::open();
    let begun = Instant::now();
    for n in 0..count {
        shop.now += 365 * DAY / count;
        let session = shop.session(json!({"metadata": {"order": n}}));
        let card = Payment::Method("pm_card_visa".into());
        shop.world.pay_session(id(&session), &card, shop.now);
        let intent = shop.read(&session)["payment_intent"].clone();
        if n % 20 == 0 {
            let wish = json!({"payment_intent": intent, "amount": 100});
            shop.post("/v1/refunds", wish);
        }
        if n % 100 == 0 {
            let intent = intent.as_str().unwrap();
            let claim = Claim::default();
            shop.world.open_dispute(intent, &claim, shop.now).unwrap();
        }
        shop.world.settle();
    }
    let spent = begun.elapsed();
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let memory = status.lines().filter(|line| line.starts_with("Vm"));
    println!(
        "{count} payments in {spent:?}\n{}",
        memory.collect::<Vec<_>>().join("\n")
    );
    if std::env::var("CENSUS").is_ok() {
        census(&shop);
    }
}

/// What the records are and how long their texts are, by group and kind.
fn census(shop: &Shop) {
    let mut sums: BTreeMap<String, (u64, usize)> = BTreeMap::new();
    for change in shop.world.records.snapshot() {
        let value = change.value.unwrap_or_default();
        let kind = format!("{:?} {}", change.collection, value["object"]);
        let sum = sums.entry(kind).or_default();
        sum.0 += 1;
        sum.1 += value.to_string().len();
    }
    for (kind, (count, bytes)) in sums {
        println!("{kind}: {count}, {bytes} bytes");
    }
}
