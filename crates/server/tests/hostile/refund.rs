//! E: money that goes back twice, to the wrong one, or without its credits.

use serde_json::{Value, json};

use crate::exchange::Answer;
use crate::world::{Expected, World, assert_answered};

const REFUND: &str = "/v1/payment.stripe/refunds/create";

const INVALID: Expected = (400, "parameter_invalid");

/// A payment that was paid and credited.
fn bought(world: &World, user: &str, credits: i64) -> (String, String) {
    let (payment, completed) = world.paid(user, credits);
    world.deliver(&completed.to_string()).ok();
    world.settled(completed["id"].as_str().unwrap());
    assert_eq!(world.credits(user), credits);
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    (
        text(&payment["payment_id"]),
        text(&completed["data"]["object"]["payment_intent"]),
    )
}

/// PAYMENT was paid with 500.
#[rustfmt::skip]
const REFUSED: &[(&str, &str, Expected)] = &[
    ("E01 nothing", r#"{"payment_id":"PAYMENT","amount_minor":0}"#, INVALID),
    ("E01 less than nothing", r#"{"payment_id":"PAYMENT","amount_minor":-1}"#, INVALID),
    ("E01 more than was paid", r#"{"payment_id":"PAYMENT","amount_minor":501}"#, INVALID),
    ("E01 more than there is", r#"{"payment_id":"PAYMENT","amount_minor":9223372036854775808}"#, INVALID),
    ("E01 a text", r#"{"payment_id":"PAYMENT","amount_minor":"100"}"#, INVALID),
    ("E01 a fraction", r#"{"payment_id":"PAYMENT","amount_minor":99.5}"#, INVALID),
    ("E01 a currency", r#"{"payment_id":"PAYMENT","amount_minor":100,"currency":"eur"}"#, (400, "parameter_unknown")),
    ("E01 a reason that is none", r#"{"payment_id":"PAYMENT","reason":"because"}"#, INVALID),
    ("E01 to somebody", r#"{"payment_id":"PAYMENT","destination":"acct_1"}"#, (400, "parameter_unknown")),
    ("E01 of nothing", "{}", (400, "parameter_missing")),
    ("E01 of no payment", r#"{"payment_id":"pay_01m7yp6ps1v1xzkxk21hfqwxs4"}"#, (404, "payment_not_found")),
    ("E01 of a payment of Stripe's", r#"{"payment_id":"pi_123"}"#, (404, "payment_not_found")),
];

pub(crate) fn attack(world: &World) {
    let (payment, _) = bought(world, "anna", 500);
    let before = world.books();
    for (number, (case, body, expected)) in REFUSED.iter().enumerate() {
        let (key, body) = (
            format!("refused-{number}"),
            body.replace("PAYMENT", &payment),
        );
        let answer = world.post_text(&world.admin, REFUND, &[("Idempotency-Key", &key)], &body);
        assert_answered(case, &answer, *expected);
        world.assert_untouched(case, &before);
    }
    let body = json!({"payment_id": payment}).to_string();
    let without = world.post_text(&world.admin, REFUND, &[], &body);
    assert_answered("E03 without a key", &without, (400, "parameter_missing"));
    for user in ["anna", "evil"] {
        let key = [("Idempotency-Key", "mine")];
        let answer = world.post_text(&world.token(user), REFUND, &key, &body);
        assert_answered("E10", &answer, (403, "forbidden"));
    }
    world.assert_untouched("E03 E10", &before);
    at_once(world);
    equal(world, &payment);
    from_the_dashboard(world);
    disputed(world);
    spent(world);
}

fn refund(world: &World, key: &str, payment: &str, amount: i64) -> Answer {
    world.order(
        REFUND,
        key,
        &json!({"payment_id": payment, "amount_minor": amount}),
    )
}

/// E02: together no more than was paid.
fn at_once(world: &World) {
    let (payment, _) = bought(world, "many", 500);
    let answers: Vec<Answer> = std::thread::scope(|scope| {
        let payment = &payment;
        let ask = |number: i64| move || refund(world, &format!("many-{number}"), payment, 90);
        let asking: Vec<_> = (0..24).map(|number| scope.spawn(ask(number))).collect();
        asking.into_iter().map(|it| it.join().unwrap()).collect()
    });
    let made = answers.iter().filter(|answer| answer.status == 200).count();
    assert_eq!(made, 5, "E02");
    assert!(
        answers
            .iter()
            .all(|answer| [200, 400].contains(&answer.status)),
        "E02"
    );
    assert_eq!(world.credits("many"), 50, "E02");
    world.assert_unharmed("E02");
}

/// E03: two equal ones are two, and the same one again is one.
fn equal(world: &World, payment: &str) {
    for (key, left) in [("a", 400), ("a", 400), ("b", 300), ("b", 300)] {
        refund(world, &format!("equal-{key}"), payment, 100).ok();
        assert_eq!(world.credits("anna"), left, "E03");
    }
    refund(world, "rest", payment, 300).ok();
    let before = world.books();
    assert_answered(
        "E03 when all has gone back",
        &refund(world, "more", payment, 1),
        (409, "nothing_to_refund"),
    );
    world.assert_untouched("E03", &before);
    assert_eq!(world.credits("anna"), 0, "E03");
}

/// Tells what Stripe has to say about refunds and disputes, in this order of its list, twice.
fn tell(world: &World, intent: &str, newest_first: bool) {
    let events = world.stripe(("GET", "/v1/events?limit=100"), "");
    let mut events: Vec<&Value> = events["data"].as_array().unwrap().iter().collect();
    events.retain(|event| {
        let object = &event["data"]["object"];
        let kind = event["type"].as_str().unwrap();
        let returns = kind.contains("refund") || kind.contains("dispute");
        returns && object["payment_intent"] == intent
    });
    if !newest_first {
        events.reverse();
    }
    for event in events.iter().chain(&events) {
        world.deliver(&event.to_string()).ok();
        world.settled(event["id"].as_str().unwrap());
    }
}

/// E06: made in Stripe's dashboard, told in any order and twice.
fn from_the_dashboard(world: &World) {
    for newest_first in [false, true] {
        let user = format!("dashboard-{newest_first}");
        let (_, intent) = bought(world, &user, 1_000);
        for amount in [300, 300, 400] {
            world.stripe(
                ("POST", "/v1/refunds"),
                &format!("payment_intent={intent}&amount={amount}"),
            );
        }
        tell(world, &intent, newest_first);
        assert_eq!(world.credits(&user), 0, "E06 {user}");
        world.assert_unharmed("E06");
    }
}

/// E08, E09: what the bank has taken is not refunded on top.
fn disputed(world: &World) {
    let (payment, intent) = bought(world, "disputer", 500);
    let control = |path: &str| {
        let body = "{}";
        world.control(path, body);
    };
    control(&format!("/sandbox/charges/{intent}/dispute"));
    tell(world, &intent, false);
    assert_eq!(world.credits("disputer"), 0, "E08");
    let before = world.books();
    let answer = refund(world, "disputed", &payment, 100);
    assert!([400, 409].contains(&answer.status), "E09: {}", answer.text);
    world.assert_untouched("E09", &before);
}

/// E11: credit that was spent becomes a debt, and nothing is spent on top of it.
fn spent(world: &World) {
    let (payment, _) = bought(world, "spender", 500);
    let charge = |key: &str| {
        world.order(
            "/v1/balance/charge",
            key,
            &json!({"user_id": "spender", "credits": 400}),
        )
    };
    charge("spent").ok();
    refund(world, "late", &payment, 500).ok();
    assert_eq!(world.credits("spender"), -400, "E11");
    let before = world.books();
    assert_answered("E11", &charge("more"), (402, "insufficient_credits"));
    let hold = json!({"user_id": "spender", "credits": 1});
    assert_answered(
        "E11 a hold",
        &world.order("/v1/balance/holds/create", "h", &hold),
        (402, "insufficient_credits"),
    );
    world.assert_untouched("E11", &before);
}
