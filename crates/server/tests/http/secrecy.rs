//! Never stored or logged: card numbers, codes, names on cards, addresses of customers. Looked for in every file of the data folder,
//! in every line of the log at its most talkative, and in every answer.

use std::io::{self, Write};
use std::path::Path;
use std::sync::{Arc, Mutex};

use bursar_sandbox::ApiRequest;
use bursar_sandbox::pay::{PayOutcome, Payment};
use serde_json::{Value, json};
use tracing_subscriber::fmt::MakeWriter;

use crate::shop::Shop;

const NAME: &str = "Jenny Rosenqvist";
const EMAIL: &str = "jenny.rosenqvist@example.com";
const PHONE: &str = "5555550199";
const STREET: &str = "Elm Avenue";
const CARDS: &[&str] = &[
    "4242424242424242",
    "4000002760003184",
    "4000000000000002",
    "4000000000009995",
    "4000000000000259",
    "4000000000005126",
];

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Log {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        self.clone()
    }
}

/// A card with everything that a customer types in, at Stripe.
fn method(shop: &Shop, number: &str) -> String {
    let request = ApiRequest {
        method: "POST".to_owned(),
        path: "/v1/payment_methods".to_owned(),
        params: json!({
            "type": "card",
            "card": {"number": number, "exp_month": "12", "exp_year": "2034", "cvc": "731"},
            "billing_details": {
                "name": NAME, "email": EMAIL, "phone": PHONE, "address": {"line1": STREET, "country": "US"},
            },
        }),
        api_key: Some(shop.sandbox.config().secret_key.clone()),
        idempotency_key: None,
        version: None,
    };
    let made = shop.sandbox.request(&request).unwrap();
    assert_eq!(made.status, 200, "{}", made.body);
    made.body["id"].as_str().unwrap().to_owned()
}

fn files(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            found.push((path.display().to_string(), std::fs::read(&path).unwrap()));
        }
    }
    found
}

fn has(haystack: &[u8], needle: &str) -> bool {
    haystack
        .windows(needle.len())
        .any(|part| part == needle.as_bytes())
}

fn needles() -> Vec<String> {
    let mut all: Vec<String> = [NAME, "Rosenqvist", "rosenqvist", EMAIL, PHONE, STREET]
        .map(str::to_owned)
        .to_vec();
    for card in CARDS {
        all.push((*card).to_owned());
        let groups: Vec<&str> = (0..4).map(|at| &card[at * 4..at * 4 + 4]).collect();
        all.extend([groups.join(" "), groups.join("-")]);
    }
    // Three digits alone are found anywhere.
    all.extend(["\"731\"", ":\"731", "=731", "\"cvc", "[cvc", "cvc="].map(str::to_owned));
    all
}

#[tokio::test]
async fn nothing_of_a_card_or_its_holder_is_in_files_log_or_answers() {
    let log = Log::default();
    let lines = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_writer(log.clone())
        .finish();
    let guard = tracing::subscriber::set_default(lines);
    let shop = Shop::open(&[]).await;
    let mut answers: Vec<Value> = Vec::new();
    for number in CARDS {
        let bought = shop.checkout("anna", 500).await;
        let payment = Payment::Method(method(&shop, number));
        let session = bought.session.clone();
        let pay =
            |world: &mut bursar_sandbox::World, now| world.pay_session(&session, &payment, now);
        let outcome = shop.sandbox.change(pay).unwrap();
        if matches!(outcome, PayOutcome::RequiresAction { .. }) {
            shop.sandbox
                .change(|world, now| world.answer_challenge(&session, true, now))
                .unwrap();
        }
        shop.deliver().await;
        if outcome == PayOutcome::Succeeded {
            let body = json!({"payment_id": bought.payment});
            answers.push(shop.refund(number, body, Some(100)).await.body);
            shop.deliver().await;
        }
        answers.push(shop.payment(&bought.payment).await);
    }
    // What is sent to us against all rules is not repeated either.
    for (field, card) in [("note", CARDS[0]), ("ref", CARDS[2]), (CARDS[3], "x")] {
        let body = json!({"user_id": "anna", "credits": 1, field: card});
        let answer = shop.door.post("/v1/balance/add", body).await;
        assert_eq!(answer.status, 400);
        if field != CARDS[3] {
            answers.push(answer.body);
        }
    }
    for path in [
        "/v1/payment.stripe/events?limit=100",
        "/v1/payment.stripe/payments?limit=100",
        "/v1/payment.stripe/refunds?limit=100",
        "/v1/balance/history?limit=100",
        "/v1/balance/events",
    ] {
        answers.push(shop.door.get(path).await.ok());
    }
    let statuses = answers
        .iter()
        .filter_map(|answer| answer["status"].as_str());
    let statuses: Vec<&str> = statuses.collect();
    for status in ["paid", "pending", "partially_refunded", "disputed"] {
        assert!(
            statuses.contains(&status),
            "{status} is not in {statuses:?}"
        );
    }
    let mut all = files(&shop.door.house.data());
    assert!(all.iter().any(|(name, _)| name.ends_with("-wal")));
    shop.door.house.app.stop().await;
    all.extend(files(&shop.door.house.data()));
    drop(guard);
    all.push(("the log".to_owned(), log.0.lock().unwrap().clone()));
    all.extend(
        answers
            .iter()
            .map(|answer| ("an answer".to_owned(), answer.to_string().into_bytes())),
    );
    let events = |bytes: &[u8]| has(bytes, "checkout.session.completed");
    assert!(
        all.iter()
            .any(|(name, bytes)| name.ends_with("bursar.db") && events(bytes))
    );
    assert!(
        has(&log.0.lock().unwrap(), "/v1/refunds"),
        "the log says nothing"
    );
    for (place, bytes) in &all {
        for needle in needles() {
            assert!(!has(bytes, &needle), "{needle:?} is in {place}");
        }
    }
}
