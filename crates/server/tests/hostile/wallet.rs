//! D: spending more than there is, twice, or somebody else's; and all that can be done with an idempotency key.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::exchange::Answer;
use crate::world::{Expected, World, assert_answered};

const CHARGE: &str = "/v1/balance/charge";
const BATCH: &str = "/v1/balance/charge/batch";
const HOLD: &str = "/v1/balance/holds/create";
const SETTLE: &str = "/v1/balance/holds/settle";
const RELEASE: &str = "/v1/balance/holds/release";
const PROGRESS: &str = "/v1/balance/holds/progress";
const GRANT: &str = "/v1/balance/grants/create";
const EXCHANGE: &str = "/v1/balance/exchange";
const USAGE: &str = "/v1/usage/record";
const REDEEM: &str = "/v1/balance/codes/redeem";
const REFERRAL: &str = "/v1/balance/referral/claim";

const INVALID: Expected = (400, "parameter_invalid");
const POOR: Expected = (402, "insufficient_credits");

/// Orders that leave the books alone, sent by an administrator under a key of their own. HOLD is one of 100 of anna, who has 1,000.
#[rustfmt::skip]
const REFUSED: &[(&str, &str, &str, Expected)] = &[
    ("D02 a hold of nothing", HOLD, r#"{"user_id":"anna","credits":0}"#, INVALID),
    ("D02 a negative hold", HOLD, r#"{"user_id":"anna","credits":-5}"#, INVALID),
    ("D02 a hold of more than a number holds", HOLD, r#"{"user_id":"anna","credits":9223372036854775808}"#, INVALID),
    ("D02 a hold of another unit", HOLD, r#"{"user_id":"anna","credits":5,"unit":"usd"}"#, POOR),
    ("D02 a hold of no unit", HOLD, r#"{"user_id":"anna","credits":5,"unit":"gold"}"#, INVALID),
    ("D02 more than is free", HOLD, r#"{"user_id":"anna","credits":901}"#, POOR),
    ("D01 a charge of what is held", CHARGE, r#"{"user_id":"anna","credits":901}"#, POOR),
    ("D01 a negative charge", CHARGE, r#"{"user_id":"anna","credits":-901}"#, INVALID),
    ("D01 a charge of nothing", CHARGE, r#"{"user_id":"anna","credits":0}"#, INVALID),
    ("D01 a charge by a fraction", CHARGE, r#"{"user_id":"anna","credits":0.5}"#, INVALID),
    ("D01 a charge by a text", CHARGE, r#"{"user_id":"anna","credits":"5"}"#, INVALID),
    ("D01 the largest debt", CHARGE, r#"{"user_id":"anna","credits":1000000000000,"allow_debt":true}"#, POOR),
    ("D01 a price that overflows", CHARGE, r#"{"user_id":"anna","action":"dear","quantity":1000000000000}"#, (400, "balance_out_of_range")),
    ("D01 an action without a price", CHARGE, r#"{"user_id":"anna","action":"free"}"#, (400, "action_unknown")),
    ("D01 a price of one's own", CHARGE, r#"{"user_id":"anna","action":"picture","credits":1}"#, INVALID),
    ("D05 more than reserved and more than there is", SETTLE, r#"{"hold_id":"HOLD","credits":1001}"#, POOR),
    ("D05 a negative settlement", SETTLE, r#"{"hold_id":"HOLD","credits":-1}"#, INVALID),
    ("D04 a hold of nobody", SETTLE, r#"{"hold_id":"hld_zzzzzzzzzzzz","credits":1}"#, (404, "hold_not_found")),
    ("D03 progress that goes back", PROGRESS, r#"{"hold_id":"HOLD","credits":-1}"#, INVALID),
    ("D02 a hold until the end of time", HOLD, r#"{"user_id":"anna","credits":5,"expires_in":9223372036854775807}"#, INVALID),
    ("D09 usage of the past", USAGE, r#"{"user_id":"anna","service":"s","created_at":"1970-01-01T00:00:00Z"}"#, (400, "parameter_unknown")),
    ("D09 usage of nothing", USAGE, r#"{"user_id":"anna","service":"s","quantity":0}"#, INVALID),
    ("D09 a grant that ended in 1970", GRANT, r#"{"user_id":"anna","credits":5,"expires_at":"1970-01-01T00:00:00Z"}"#, INVALID),
    ("D09 a grant beyond the calendar", GRANT, r#"{"user_id":"anna","credits":5,"expires_at":"10000-01-01T00:00:00Z"}"#, INVALID),
    ("D09 a grant of too much", GRANT, r#"{"user_id":"anna","credits":1000000000001}"#, INVALID),
    ("D11 an exchange for the same", EXCHANGE, r#"{"user_id":"anna","from":{"unit":"credit","amount":5},"to":{"unit":"credit","amount":9}}"#, (400, "same_unit")),
    ("D11 an exchange of what is not there", EXCHANGE, r#"{"user_id":"anna","from":{"unit":"usd","amount":5},"to":{"unit":"credit","amount":9}}"#, POOR),
    ("D11 an exchange for nothing", EXCHANGE, r#"{"user_id":"anna","from":{"unit":"credit","amount":5},"to":{"unit":"usd","amount":0}}"#, INVALID),
    ("D11 an exchange of less than nothing", EXCHANGE, r#"{"user_id":"anna","from":{"unit":"credit","amount":-5},"to":{"unit":"usd","amount":-5}}"#, INVALID),
    ("J11 a card number in a note", CHARGE, r#"{"user_id":"anna","credits":1,"note":"4242 4242 4242 4242"}"#, (400, "card_number_refused")),
    ("J11 a card number in metadata", GRANT, r#"{"user_id":"anna","credits":1,"meta":{"a":["5555-5555-5555-4444"]}}"#, (400, "card_number_refused")),
    ("D17 two keys", CHARGE, r#"{"user_id":"anna","credits":1,"idempotency_key":"another"}"#, INVALID),
];

/// Keys that are none.
#[rustfmt::skip]
const KEYS: &[(&str, &str)] = &[
    ("D17 empty", ""),
    ("D17 blanks", "   "),
    ("D17 a blank inside", "a b"),
    ("D17 a tab", "a\tb"),
    ("D17 not ASCII", "schl\u{fc}ssel"),
    ("D17 a control byte", "a\u{1}b"),
];

pub(crate) fn attack(world: &World) {
    world.grant("anna", 1_000);
    let made = world
        .order(HOLD, "hold", &json!({"user_id": "anna", "credits": 100}))
        .ok();
    let hold = made["hold_id"].as_str().unwrap();
    let before = world.books();
    for (number, (case, path, body, expected)) in REFUSED.iter().enumerate() {
        let body = body.replace("HOLD", hold);
        let key = format!("refused-{number}");
        let answer = world.post_text(&world.admin, path, &[("Idempotency-Key", &key)], &body);
        assert_answered(case, &answer, *expected);
        world.assert_untouched(case, &before);
    }
    let charge = r#"{"user_id":"anna","credits":1}"#;
    let long = "k".repeat(256);
    for (case, key) in KEYS.iter().chain(&[("D17 256 characters", long.as_str())]) {
        let answer = world.post_text(&world.admin, CHARGE, &[("Idempotency-Key", key)], charge);
        assert_eq!(answer.status, 400, "{case}: {}", answer.text);
        world.assert_untouched(case, &before);
    }
    let twice = [("Idempotency-Key", "a"), ("Idempotency-Key", "b")];
    assert_answered(
        "D17 two headers",
        &world.post_text(&world.admin, CHARGE, &twice, charge),
        INVALID,
    );
    assert_answered(
        "D17 missing",
        &world.post_text(&world.admin, CHARGE, &[], charge),
        (400, "parameter_missing"),
    );
    let many: Vec<Value> = (0..1_001)
        .map(|n| json!({"user_id": "anna", "credits": 1, "idempotency_key": format!("m{n}")}))
        .collect();
    assert_answered(
        "D10 1,001 charges",
        &world.post(&world.admin, BATCH, &json!({"charges": many})),
        INVALID,
    );
    let mixed = json!({"atomic": true, "charges": [
        {"user_id": "anna", "credits": 5, "idempotency_key": "atom-1"},
        {"user_id": "anna", "credits": 901, "idempotency_key": "atom-2"},
    ]});
    assert_answered(
        "D10 an atomic batch with one too many",
        &world.post(&world.admin, BATCH, &mixed),
        POOR,
    );
    world.assert_untouched("D10 D17", &before);
    holds(world, hold);
    keys(world);
    races(world);
    gifts(world);
}

/// D03, D05: the end of a hold happens once.
fn holds(world: &World, hold: &str) {
    let settle = |key: &str, credits: i64| {
        world.order(SETTLE, key, &json!({"hold_id": hold, "credits": credits}))
    };
    settle("s1", 150).ok();
    assert_eq!(
        world.credits("anna"),
        850,
        "D05 more was used than reserved, and the wallet had it"
    );
    let before = world.books();
    assert_eq!(settle("s2", 150).ok()["settled"], 150, "D03 the same again");
    assert_answered(
        "D03 another amount",
        &settle("s3", 100),
        (409, "hold_settled"),
    );
    let release = world.order(RELEASE, "r1", &json!({"hold_id": hold}));
    assert_answered(
        "D03 released after it was settled",
        &release,
        (409, "hold_settled"),
    );
    world.assert_untouched("D03", &before);
}

/// D12 to D18: what a key is and whose.
fn keys(world: &World) {
    let body = json!({"user_id": "anna", "credits": 10, "note": "first"});
    let first = world.order(CHARGE, "key", &body);
    let before = world.books();
    let again = world.order(CHARGE, "key", &body);
    assert_eq!((again.status, &again.text), (200, &first.text), "D12");
    assert_eq!(again.header("idempotent-replayed"), Some("true"), "D12");
    let other = json!({"user_id": "anna", "credits": 11, "note": "first"});
    assert_answered(
        "D13",
        &world.order(CHARGE, "key", &other),
        (409, "idempotency_key_reused"),
    );
    let spaced = r#"{ "note":"first" , "credits":10,"user_id" : "anna"}"#;
    let spaced = world.post_text(&world.admin, CHARGE, &[("Idempotency-Key", "key")], spaced);
    assert_eq!(spaced.text, first.text, "D12 written in another way");
    world.assert_untouched("D12 D13", &before);
    // D14: on another route it is another key.
    world
        .order(HOLD, "key", &json!({"user_id": "anna", "credits": 1}))
        .ok();
    // D15: so it is with somebody else. Nobody reads another one's answer.
    let topup = |user: &str| {
        let key = [("Idempotency-Key", "shared")];
        let body = r#"{"amount":500}"#;
        world
            .post_text(&world.token(user), "/v1/balance/topups/create", &key, body)
            .ok()
    };
    let (bert, carl) = (topup("bert"), topup("carl"));
    assert_eq!(
        (&bert["user_id"], &carl["user_id"]),
        (&json!("bert"), &json!("carl")),
        "D15"
    );
    assert_ne!(bert["topup_id"], carl["topup_id"], "D15");
    assert_eq!(topup("bert")["topup_id"], bert["topup_id"], "D15");
    // D18: what could not be read is not remembered.
    assert_answered(
        "D18",
        &world.order(CHARGE, "later", &json!({"user_id": "anna"})),
        (400, "parameter_missing"),
    );
    world
        .order(CHARGE, "later", &json!({"user_id": "anna", "credits": 1}))
        .ok();
    world.assert_unharmed("D12 to D18");
}

fn counts(answers: &[Answer]) -> BTreeMap<u16, usize> {
    let mut counts = BTreeMap::new();
    for answer in answers {
        *counts.entry(answer.status).or_default() += 1;
    }
    counts
}

/// So many requests at once, on as many connections.
fn at_once(many: usize, ask: impl Fn(usize) -> Answer + Sync) -> Vec<Answer> {
    std::thread::scope(|scope| {
        let asking: Vec<_> = (0..many)
            .map(|number| {
                scope.spawn({
                    let ask = &ask;
                    move || ask(number)
                })
            })
            .collect();
        asking.into_iter().map(|it| it.join().unwrap()).collect()
    })
}

/// Many at once: no more than there is, and no more than once.
fn races(world: &World) {
    world.grant("race", 10);
    let hold = json!({"user_id": "race", "credits": 1});
    let answers = at_once(128, |number| {
        world.order(HOLD, &format!("race-{number}"), &hold)
    });
    assert_eq!(
        counts(&answers),
        BTreeMap::from([(200, 10), (402, 118)]),
        "D01 holds"
    );
    world.grant("race2", 10);
    let charge = json!({"user_id": "race2", "credits": 1});
    let answers = at_once(64, |number| {
        world.order(CHARGE, &format!("race2-{number}"), &charge)
    });
    assert_eq!(
        counts(&answers),
        BTreeMap::from([(200, 10), (402, 54)]),
        "D01 charges"
    );
    assert_eq!(world.credits("race2"), 0, "D01");
    // D16: the same key in flight. All wait for the one that is done, and get its answer.
    world.grant("race3", 100);
    let charge = json!({"user_id": "race3", "credits": 7});
    let answers = at_once(32, |_| world.order(CHARGE, "race3", &charge));
    assert!(
        answers
            .iter()
            .all(|answer| answer.status == 200 && answer.text == answers[0].text),
        "D16"
    );
    assert_eq!(world.credits("race3"), 93, "D16");
    world.assert_unharmed("D01 D16");
}

/// D20, D21: what is given once.
fn gifts(world: &World) {
    let body = json!({"credits": 50, "unit": "credit"});
    let code = world
        .post(&world.admin, "/v1/balance/codes/create", &body)
        .ok();
    let code = json!({"code": code["items"][0]["code"]});
    let answers = at_once(48, |number| {
        world.post(&world.token(&format!("redeemer{number}")), REDEEM, &code)
    });
    assert_eq!(
        counts(&answers),
        BTreeMap::from([(200, 1), (400, 47)]),
        "D20 many users"
    );
    let guess = |user: &str| {
        world.post(
            &world.token(user),
            REDEEM,
            &json!({"code": "AAAA-AAAA-AAAA-AAAA-AAAA-AAAA"}),
        )
    };
    let answers: Vec<Answer> = (0..12).map(|_| guess("guesser")).collect();
    assert_eq!(
        counts(&answers),
        BTreeMap::from([(400, 10), (429, 2)]),
        "D20 guesses"
    );
    let own = world.get(&world.token("anna"), "/v1/balance/referral").ok();
    let claim =
        |user: &str, code: &Value| world.post(&world.token(user), REFERRAL, &json!({"code": code}));
    let before = world.books();
    assert_answered(
        "D21 oneself",
        &claim("anna", &own["code"]),
        (400, "self_referral"),
    );
    assert_answered(
        "D21 nobody",
        &claim("bert", &json!("zzzzzzzzzz")),
        (400, "referral_invalid"),
    );
    world.assert_untouched("D21", &before);
    claim("dora", &own["code"]).ok();
    let doras = world.get(&world.token("dora"), "/v1/balance/referral").ok();
    assert_answered(
        "D21 in a circle",
        &claim("anna", &doras["code"]),
        (400, "self_referral"),
    );
    assert_answered(
        "D21 a second time",
        &claim("dora", &own["code"]),
        (409, "already_referred"),
    );
    assert_eq!(
        world.credits("dora"),
        0,
        "D21 nothing before the first purchase"
    );
    world.assert_unharmed("D20 D21");
}
