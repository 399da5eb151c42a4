//! Why a balance is what it is, why something moved, why a charge was refused.

use bursar_domain::id::{GrantId, TransactionId};
use serde_json::{Value, json};

use crate::door::{CHARGE, Door, EXCHANGE, GRANT, HOLD, LIMIT, SETTLE, TODAY, VOID};
use crate::house::token;

const EXPLAIN: &str = "/v1/balance/explain";

async fn explained(door: &Door, user: &str) -> Value {
    let path = format!("{EXPLAIN}?user_id={user}");
    let explained = door.get(&path).await.ok();
    assert_eq!(explained["sum"], explained["balance"], "{explained:#}");
    explained
}

async fn transaction(door: &Door, id: &Value) -> Value {
    let path = format!("{EXPLAIN}?transaction_id={}", id.as_str().unwrap());
    door.get(&path).await.ok()
}

/// `[kind, account, transactions, in, out]` of each sum.
fn movements(explained: &Value) -> Vec<Value> {
    let sums = explained["movements"].as_array().unwrap();
    let fields = ["kind", "account", "transactions", "in", "out"];
    sums.iter()
        .map(|sum| {
            assert_eq!(
                sum["sum"].as_i64().unwrap(),
                sum["in"].as_i64().unwrap() - sum["out"].as_i64().unwrap()
            );
            Value::Array(fields.iter().map(|field| sum[*field].clone()).collect())
        })
        .collect()
}

fn text(explained: &Value) -> Vec<&str> {
    let text = explained["text"].as_array().unwrap();
    text.iter().map(|line| line.as_str().unwrap()).collect()
}

/// A top-up that an administrator finishes; its id.
async fn top_up(door: &Door, user: &str, credits: i64) -> String {
    let (user, body) = (token(user), json!({"amount": credits}).to_string());
    let path = "/v1/balance/topups/create";
    let made = door.house.post(path, &user, &body, &[]).await.ok();
    let id = made["topup_id"].clone();
    let finish = json!({"topup_id": id});
    door.post("/v1/balance/topups/finish", finish).await.ok();
    id.as_str().unwrap().to_owned()
}

/// A wallet in which something of every kind has happened.
async fn eventful(door: &Door) {
    top_up(door, "u1", 500).await;
    let soon = json!({
        "user_id": "u1", "credits": 100, "source": "bonus", "priority": 10, "expires_at": "2027-01-15T08:00:10Z",
        "roll_over": {"cap": 20, "expires_in": 3600},
    });
    door.post(GRANT, soon).await.ok();
    let paid = json!({"user_id": "u1", "credits": 40, "category": "paid"});
    let paid = door.post(GRANT, paid).await.ok();
    door.charge("c1", "u1", 30).await.ok();
    door.charge("c2", "u1", 10).await.ok();
    let held = door.hold("u1", 25).await;
    let settled = json!({"hold_id": held, "credits": 15});
    door.post(SETTLE, settled).await.ok();
    door.post(VOID, json!({"grant_id": paid["grant_id"]}))
        .await
        .ok();
    let exchange = json!({
        "user_id": "u1", "from": {"unit": "credit", "amount": 50}, "to": {"unit": "usd", "amount": 49},
    });
    door.post_once(EXCHANGE, "e1", exchange).await.ok();
    door.later(20);
    let add = json!({"user_id": "u1", "credits": 7});
    door.post("/v1/balance/add", add).await.ok();
    let sub = json!({"user_id": "u1", "credits": 5});
    door.post("/v1/balance/sub", sub).await.ok();
    door.post(
        HOLD,
        json!({"user_id": "u1", "credits": 60, "note": "a film"}),
    )
    .await
    .ok();
}

#[tokio::test]
async fn the_movements_sum_up_to_the_balance() {
    let door = Door::open().await;
    eventful(&door).await;
    let explained = explained(&door, "u1").await;
    // Of the bonus 30 + 10 + 15 were charged and 45 exchanged; so nothing of it was left to expire.
    assert_eq!(
        movements(&explained),
        [
            json!(["topup", "sold", 1, 500, 0]),
            json!(["add", "adjusted", 1, 7, 0]),
            json!(["sub", "adjusted", 1, 0, 5]),
            json!(["grant", "sold", 1, 40, 0]),
            json!(["grant", "granted", 1, 100, 0]),
            json!(["charge", "spent", 2, 0, 40]),
            json!(["settle", "spent", 1, 0, 15]),
            json!(["void", "sold", 1, 0, 40]),
            json!(["exchange", "exchanged", 1, 0, 50]),
        ]
    );
    let numbers = ["balance", "available", "held", "debt"].map(|name| explained[name].clone());
    assert_eq!(numbers, [497, 437, 60, 0].map(|number| json!(number)));
    assert_eq!(explained["grants"].as_array().unwrap().len(), 2);
    let first = &explained["grants"][0];
    assert_eq!(
        [&first["source"], &first["remaining"], &first["held"]],
        [&json!("topup"), &json!(490), &json!(60)]
    );
    let hold = &explained["holds"][0];
    assert_eq!(
        [&hold["credits"], &hold["note"], &hold["created_at"]],
        [&json!(60), &json!("a film"), &json!("2027-01-15T08:00:20Z")]
    );
    let text = text(&explained);
    assert_eq!(text[0], "The balance is 497 credits.");
    assert_eq!(
        text[6],
        "Charged for what was used, 2 times: 40 credits went out."
    );
    assert_eq!(
        text[10],
        "Together that is 497 credits, which is the balance."
    );
    assert_eq!(text.last(), Some(&"437 credits can be spent now."));
    let other = door.get(&format!("{EXPLAIN}?user_id=u1&unit=usd")).await;
    let other = other.ok();
    assert_eq!(
        movements(&other),
        [json!(["exchange", "exchanged", 1, 49, 0])]
    );
    assert_eq!(self::text(&other)[0], "The balance is 0.49 USD.");
}

#[tokio::test]
async fn what_expires_passes_on_and_is_owed_is_told() {
    let door = Door::open().await;
    let soon = json!({
        "user_id": "u1", "credits": 100, "source": "trial", "expires_at": "2027-01-15T08:00:10Z",
        "roll_over": {"cap": 30, "expires_in": 3600},
    });
    door.post(GRANT, soon).await.ok();
    let later = json!({"user_id": "u1", "credits": 11, "starts_at": "2027-01-15T09:00:00Z"});
    door.post(GRANT, later).await.ok();
    door.later(20);
    let body = json!({"user_id": "u1", "credits": 50, "allow_debt": true});
    door.post(
        "/v1/balance/overdraft/set",
        json!({"user_id": "u1", "overdraft": 1000}),
    )
    .await
    .ok();
    let charge = door.post_once(CHARGE, "c1", body).await.ok();
    let before = explained(&door, "u1").await;
    assert_eq!(
        movements(&before),
        [
            json!(["grant", "granted", 2, 111, 0]),
            json!(["charge", "spent", 1, 0, 50]),
            json!(["expire", "breakage", 1, 0, 70]),
            json!(["roll_over", "rolled_over", 2, 30, 30]),
        ]
    );
    let numbers = ["balance", "available", "debt"].map(|name| before[name].clone());
    assert_eq!(numbers, [-9, -20, 20].map(|number| json!(number)));
    let said = text(&before);
    assert!(
        said.contains(
            &"20 credits were spent beyond what was there; the next grant pays that back first."
        ),
        "{said:?}"
    );
    assert_eq!(
        said.last(),
        Some(&"Nothing can be spent now: 20 credits are owed.")
    );
    assert!(
        said.iter()
            .any(|line| line.ends_with("11 credits are left, from 2027-01-15T09:00:00Z on.")),
        "{said:?}"
    );
    // What the rolled-over grant paid leads back to the grant whose rest it was.
    let charge = transaction(&door, &charge["charge_id"]).await;
    assert_eq!(
        charge["wallet"],
        json!({"user_id": "u1", "unit": "credit", "balance_before": 41, "balance_after": -9})
    );
    let paid = &charge["postings"][0];
    assert_eq!(paid["credits"], 30);
    assert_eq!(paid["grant"]["source"], "roll_over");
    assert_eq!(
        paid["grant"]["rolled_over_from"],
        GrantId::of(1).to_string()
    );
    let owed = &charge["postings"][1];
    assert_eq!(
        [&owed["credits"], &owed["grant"]],
        [&json!(20), &Value::Null]
    );
    assert_eq!(
        text(&charge).last(),
        Some(&"20 credits were covered by no grant and became a debt.")
    );
    // The debt is paid back by the next grant, in a transaction with two postings into the wallet.
    door.grant("u1", 200).await;
    let after = explained(&door, "u1").await;
    assert_eq!(movements(&after)[0], json!(["grant", "granted", 3, 311, 0]));
    assert_eq!(after["available"], 180);
}

#[tokio::test]
async fn a_charge_leads_to_the_top_up_that_paid_it() {
    let door = Door::open().await;
    let topup = top_up(&door, "u1", 500).await;
    let bonus =
        json!({"user_id": "u1", "credits": 5, "priority": 1, "source": "code", "ref": "WELCOME"});
    let bonus = door.post(GRANT, bonus).await.ok();
    let body = json!({"user_id": "u1", "credits": 20, "labels": ["team-red"], "note": "a picture", "ref": "p-1"});
    let charge = door.post_once(CHARGE, "c1", body).await.ok();
    let explained = transaction(&door, &charge["charge_id"]).await;
    let said = ["kind", "note", "ref", "tags", "created_at", "cause"];
    assert_eq!(
        said.map(|field| explained[field].clone()),
        [
            json!("charge"),
            json!("a picture"),
            json!("p-1"),
            json!("label:team-red"),
            json!(TODAY),
            Value::Null
        ]
    );
    let [code, bought] = [0, 1].map(|place| explained["postings"][place].clone());
    assert_eq!(
        [&code["credits"], &code["grant"]["grant_id"]],
        [&json!(5), &bonus["grant_id"]]
    );
    assert_eq!(
        [&code["grant"]["source"], &code["grant"]["ref"]],
        [&json!("code"), &json!("WELCOME")]
    );
    let grant = &bought["grant"];
    assert_eq!(
        [&grant["category"], &grant["topup_id"], &grant["cause"]],
        [
            &json!("paid"),
            &json!(topup),
            &json!({"type": "topup", "id": topup})
        ]
    );
    assert_eq!(bought["to"], json!({"kind": "spent", "owner": ""}));
    let first = json!(TransactionId::of(1).to_string());
    assert_eq!(grant["transaction_id"], first);
    let last = format!(
        "15 credits were taken from the paid topup grant {} of {TODAY}, which came from the top-up {topup}.",
        grant["grant_id"].as_str().unwrap()
    );
    assert_eq!(text(&explained).last(), Some(&last.as_str()));
    // And the transaction that gave it is told as well.
    let giving = transaction(&door, &first).await;
    assert_eq!(giving["kind"], "topup");
    assert_eq!(
        giving["wallet"],
        json!({"user_id": "u1", "unit": "credit", "balance_before": 0, "balance_after": 500})
    );
}

#[tokio::test]
async fn where_a_grant_came_from_is_found_whatever_the_clock_did() {
    let door = Door::open().await;
    for (seconds, user) in [(1000, "u1"), (3, "u2"), (500, "u1"), (2, "u1"), (900, "u2")] {
        door.later(seconds);
        door.grant(user, 10).await;
    }
    door.later(1);
    let charge = door.charge("c1", "u1", 30).await.ok();
    let explained = transaction(&door, &charge["charge_id"]).await;
    let given: Vec<&Value> = explained["postings"]
        .as_array()
        .unwrap()
        .iter()
        .map(|posting| &posting["grant"]["transaction_id"])
        .collect();
    let expected = [1, 3, 4].map(|number| json!(TransactionId::of(number).to_string()));
    assert_eq!(given, expected.iter().collect::<Vec<_>>());
}

#[tokio::test]
async fn a_refusal_is_told_by_its_key_as_it_was() {
    let door = Door::open().await;
    door.grant("u1", 20).await;
    door.later(5);
    let refused = door.charge("c1", "u1", 50).await;
    door.post(
        LIMIT,
        json!({"user_id": "u1", "period": "day", "credits": 1}),
    )
    .await
    .ok();
    let limited = json!({"user_id": "u1", "credits": 2});
    door.post_once(HOLD, "c1", limited).await;
    let made = door.charge("c2", "u1", 1).await.ok();
    door.later(500);
    door.grant("u1", 100).await;
    let path = |key: &str| format!("{EXPLAIN}?idempotency_key={key}");
    let told = door.get(&path("c1")).await.ok();
    let answers = told["answers"].as_array().unwrap();
    assert_eq!(answers.len(), 2, "{told:#}");
    assert_eq!(answers[0]["error"], refused.error());
    assert_eq!(answers[0]["error"]["available"], 20);
    let rest = ["route", "outcome", "answered_at", "transaction_id"];
    assert_eq!(
        rest.map(|field| answers[0][field].clone()),
        [
            json!(CHARGE),
            json!("refused"),
            json!("2027-01-15T08:00:05Z"),
            Value::Null
        ]
    );
    assert_eq!(
        text(&answers[0])[0],
        "The charge was refused at 2027-01-15T08:00:05Z: the wallet has 20 available, 30 too few."
    );
    assert_eq!(answers[1]["route"], HOLD);
    assert_eq!(answers[1]["error"]["code"], "spending_limit_reached");
    let told = door.get(&path("c2")).await.ok();
    let answer = &told["answers"][0];
    assert_eq!(
        [
            &answer["outcome"],
            &answer["transaction_id"],
            &answer["error"]
        ],
        [&json!("done"), &made["charge_id"], &Value::Null]
    );
    // After a restart the same; and what nobody has asked is not there.
    let door = door.reopen().await;
    assert_eq!(door.get(&path("c2")).await.ok(), told);
    let none = door.get(&path("c3")).await;
    none.refused(404, "answer_not_found", Some("idempotency_key"));
}

#[tokio::test]
async fn a_user_is_told_about_himself_and_nobody_else() {
    let door = Door::open().await;
    let id = |answer: Value| answer["charge_id"].as_str().unwrap().to_owned();
    for user in ["u1", "u2"] {
        door.grant(user, 20).await;
    }
    let mine = id(door.charge("c1", "u1", 5).await.ok());
    let other = id(door.charge("c2", "u2", 6).await.ok());
    let as_user = async |query: &str| {
        door.get_as(&token("u1"), &format!("{EXPLAIN}{query}"))
            .await
    };
    let own = as_user("").await.ok();
    assert_eq!(own, door.get(&format!("{EXPLAIN}?user_id=u1")).await.ok());
    assert_eq!(own["balance"], 15);
    assert_eq!(as_user("?user_id=u1&unit=credit").await.ok(), own);
    as_user(&format!("?transaction_id={mine}")).await.ok();
    let none = [
        ("?user_id=u2".to_owned(), "wallet_not_found", "user_id"),
        ("?user_id=nobody".to_owned(), "wallet_not_found", "user_id"),
        (
            format!("?transaction_id={other}"),
            "transaction_not_found",
            "transaction_id",
        ),
        (
            "?transaction_id=ltx_000000000000".to_owned(),
            "transaction_not_found",
            "transaction_id",
        ),
        (
            "?transaction_id=x".to_owned(),
            "transaction_not_found",
            "transaction_id",
        ),
    ];
    let mut answers = Vec::new();
    for (query, code, param) in none {
        let answer = as_user(&query).await;
        answer.refused(404, code, Some(param));
        answers.push((code, answer.message().to_owned()));
    }
    answers.dedup();
    assert_eq!(answers.len(), 2, "one message each: {answers:?}");
    as_user("?idempotency_key=c1")
        .await
        .refused(403, "forbidden", None);
    // An administrator may look at any, and is held to the user he names.
    let admin = async |query: String| door.get(&format!("{EXPLAIN}{query}")).await;
    admin(format!("?transaction_id={other}")).await.ok();
    admin(format!("?transaction_id={other}&user_id=u2"))
        .await
        .ok();
    admin(format!("?transaction_id={other}&user_id=u1"))
        .await
        .refused(404, "transaction_not_found", Some("transaction_id"));
    admin(String::new())
        .await
        .refused(400, "parameter_missing", Some("user_id"));
    admin("?idempotency_key=c1&user_id=u1".to_owned())
        .await
        .refused(400, "parameter_invalid", Some("user_id"));
    admin(format!("?idempotency_key=c1&transaction_id={mine}"))
        .await
        .refused(400, "parameter_invalid", Some("idempotency_key"));
    admin(format!("?transaction_id={mine}&unit=usd"))
        .await
        .refused(400, "parameter_unknown", Some("unit"));
    let nobody = admin("?user_id=nobody".to_owned()).await.ok();
    assert_eq!([&nobody["balance"], &nobody["sum"]], [&json!(0), &json!(0)]);
    let stranger = door.get_as("nonsense", EXPLAIN).await;
    stranger.refused(401, "unauthenticated", None);
}

#[tokio::test]
async fn sums_and_balance_are_of_one_moment_while_the_wallet_is_spent_from() {
    let door = Door::open().await;
    door.grant("u1", 10_000).await;
    let spend = async {
        for number in 0..200 {
            door.charge(&format!("c{number}"), "u1", 3).await.ok();
        }
    };
    let ask = async {
        let mut seen = 0;
        for _ in 0..60 {
            let explained = explained(&door, "u1").await;
            let balance = explained["balance"].as_i64().unwrap();
            assert_eq!(explained["grants"][0]["remaining"], balance);
            seen += i64::from((9_400..10_000).contains(&balance));
        }
        seen
    };
    let ((), seen) = tokio::join!(spend, ask);
    assert!(seen > 10, "{seen}");
    assert_eq!(explained(&door, "u1").await["balance"], 9_400);
}
