//! The whole benchmark but its processes: against a small wallet service in memory, and the handler that does nothing.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::extract::{Query, State};
use axum::routing::{get, post};
use axum::{Json, Router};
use http::StatusCode;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use super::book::Book;
use super::case::{Case, Pace, Pair, Party, Row};
use super::growth::Growth;
use super::proof::acknowledged_is_on_disk;
use super::request::{BATCH, CHARGE, GRANT, HOLD, SETTLE, WALLETS};
use super::shop::{charge_up_to, fill_wallets};
use super::soak::Soak;
use crate::cli::bench::nothing;

#[derive(Debug, Default)]
struct World {
    wallets: BTreeMap<String, i64>,
    holds: Vec<(String, i64)>,
    keys: std::collections::HashSet<String>,
}

type Shared = Arc<Mutex<World>>;

fn text(body: &Value, name: &str) -> String {
    body[name].as_str().unwrap().to_owned()
}

fn use_key(world: &mut World, body: &Value) {
    assert!(
        world.keys.insert(text(body, "idempotency_key")),
        "a key came twice"
    );
}

fn take(world: &mut World, body: &Value) -> Option<Value> {
    use_key(world, body);
    let wallet = world.wallets.get_mut(body["user_id"].as_str()?)?;
    *wallet -= body["credits"].as_i64()?;
    (*wallet >= 0).then(|| json!({ "charge_id": "chg_1" }))
}

async fn grant(State(shared): State<Shared>, Json(body): Json<Value>) -> Json<Value> {
    let mut world = shared.lock().unwrap();
    use_key(&mut world, &body);
    assert_eq!(body["category"], "promotional");
    let credits = body["credits"].as_i64().unwrap();
    *world.wallets.entry(text(&body, "user_id")).or_default() += credits;
    Json(json!({ "grant_id": "grt_1" }))
}

async fn charge(
    State(shared): State<Shared>,
    Json(body): Json<Value>,
) -> (StatusCode, Json<Value>) {
    match take(&mut shared.lock().unwrap(), &body) {
        Some(charged) => (StatusCode::OK, Json(charged)),
        None => (StatusCode::PAYMENT_REQUIRED, Json(json!({ "error": {} }))),
    }
}

async fn batch(State(shared): State<Shared>, Json(body): Json<Value>) -> Json<Value> {
    let mut world = shared.lock().unwrap();
    assert_eq!(body["atomic"], false);
    let charges = body["charges"].as_array().unwrap();
    let items = charges
        .iter()
        .map(|one| take(&mut world, one).unwrap_or_else(|| json!({ "error": {} })));
    Json(json!({ "items": items.collect::<Vec<_>>() }))
}

async fn hold(State(shared): State<Shared>, Json(body): Json<Value>) -> Json<Value> {
    let mut world = shared.lock().unwrap();
    use_key(&mut world, &body);
    let (user, credits) = (text(&body, "user_id"), body["credits"].as_i64().unwrap());
    *world.wallets.get_mut(&user).unwrap() -= credits;
    world.holds.push((user, credits));
    Json(json!({ "hold_id": format!("hld_{}", world.holds.len() - 1) }))
}

async fn settle(State(shared): State<Shared>, Json(body): Json<Value>) -> Json<Value> {
    let mut world = shared.lock().unwrap();
    use_key(&mut world, &body);
    let hold = text(&body, "hold_id");
    let number: usize = hold.strip_prefix("hld_").unwrap().parse().unwrap();
    let (owner, credits) = std::mem::take(&mut world.holds[number]);
    let rest = credits - body["credits"].as_i64().unwrap();
    *world.wallets.get_mut(&owner).unwrap() += rest;
    Json(json!({ "hold_id": hold }))
}

async fn wallets(
    State(shared): State<Shared>,
    Query(query): Query<BTreeMap<String, String>>,
) -> Json<Value> {
    let world = shared.lock().unwrap();
    let limit: usize = query["limit"].parse().unwrap();
    let behind = query.get("cursor").cloned().unwrap_or_default();
    let rest = world.wallets.iter().filter(|(user, _)| **user > behind);
    let page: Vec<_> = rest.clone().take(limit).collect();
    let next = (rest.count() > limit).then(|| page.last().map(|(user, _)| user));
    let items = page
        .iter()
        .map(|(user, credits)| json!({ "user_id": user, "credits": credits }));
    Json(json!({ "items": items.collect::<Vec<_>>(), "next": next }))
}

async fn listen(router: Router) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, router).await });
    address
}

async fn party(router: Router, wallets: usize) -> Party {
    Party {
        address: listen(router).await,
        process: std::process::id(),
        admin_key: "bursar_admin_test".to_owned(),
        book: Arc::new(Book::new(wallets).unwrap()),
    }
}

/// The service with full wallets, and what is behind it.
async fn service(wallets_count: usize) -> (Party, Shared) {
    let shared = Shared::default();
    let routes = Router::new()
        .route(GRANT, post(grant))
        .route(CHARGE, post(charge))
        .route(BATCH, post(batch))
        .route(HOLD, post(hold))
        .route(SETTLE, post(settle))
        .route(WALLETS, get(wallets))
        .with_state(Arc::clone(&shared));
    let party = party(routes, wallets_count).await;
    fill_wallets(&party).await.unwrap();
    (party, shared)
}

fn pace() -> Pace {
    Pace {
        warm_up: Duration::from_millis(20),
        time: Duration::from_millis(60),
        runs: 2,
    }
}

#[tokio::test]
async fn every_case_is_measured_and_every_credit_is_found_again() {
    let nothing = party(nothing::router(), 250).await;
    let (service, shared) = service(250).await;
    let pair = Pair {
        nothing: &nothing,
        service: &service,
    };
    for case in [Case::Uniform, Case::Hot, Case::Batch, Case::Holds] {
        let row = Row::measure(pair, pace(), case, 8).await.unwrap();
        assert_eq!((row.refused, row.refusal), (0, None), "{case:?}");
        assert_eq!((row.nothing.len(), row.service.len()), (2, 2));
        assert!(
            row.service
                .iter()
                .all(|run| run.per_second > 0 && run.p50_us > 0)
        );
        assert!(row.nothing_answer_bytes > 0 && row.service_answer_bytes > 0);
        let least = if case == Case::Batch { 1_000 } else { 1 };
        assert!(row.acknowledged >= least, "{case:?}: {}", row.acknowledged);
    }
    let balances = acknowledged_is_on_disk(service.address, "key", &service.book)
        .await
        .unwrap();
    assert!(balances.are_right(), "{balances:?}");
    assert_eq!(balances.wallets, 250);
    assert!(balances.spent > 0);

    *shared.lock().unwrap().wallets.get_mut("u00107").unwrap() += 1;
    let balances = acknowledged_is_on_disk(service.address, "key", &service.book)
        .await
        .unwrap();
    assert_eq!(balances.differing, 1);
    assert!(balances.first_difference.unwrap().starts_with("u00107 "));
}

#[tokio::test]
async fn a_wallet_that_is_missing_is_a_difference_and_so_is_one_too_many() {
    let (service, shared) = service(3).await;
    let mut world = std::mem::take(&mut *shared.lock().unwrap());
    let credits = world.wallets.remove("u00001").unwrap();
    world.wallets.insert("stranger".to_owned(), credits);
    *shared.lock().unwrap() = world;
    let balances = acknowledged_is_on_disk(service.address, "key", &service.book)
        .await
        .unwrap();
    assert_eq!((balances.wallets, balances.differing), (3, 2));
}

#[tokio::test]
async fn charging_up_to_a_number_makes_exactly_so_many() {
    let (service, _) = service(10).await;
    for charges in [2_345, 2_345, 10_001] {
        charge_up_to(&service, charges).await.unwrap();
        assert_eq!(service.book.charges(), charges);
    }
}

#[tokio::test]
async fn what_is_refused_stops_the_preparation_and_names_the_answer() {
    let (service, shared) = service(3).await;
    shared.lock().unwrap().wallets.clear();
    let error = charge_up_to(&service, 10).await.unwrap_err();
    assert!(
        format!("{error:#}").contains(r#"200 OK: {"items":[{"error""#),
        "{error:#}"
    );
}

#[tokio::test]
async fn growth_measures_twice_and_stores_what_it_says() {
    let nothing = party(nothing::router(), 10).await;
    let (service, _) = service(10).await;
    let pair = Pair {
        nothing: &nothing,
        service: &service,
    };
    let growth = Growth::measure(pair, pace(), 50_000).await.unwrap();
    assert_eq!(growth.few, 10_000);
    assert!(growth.many >= 50_000);
    assert!(growth.rate_left > 0);
    assert_eq!(growth.before.what, "charge, 10000 stored");
}

#[tokio::test]
async fn a_soak_samples_after_every_step_over_the_same_connections() {
    let (service, _) = service(10).await;
    let step = Duration::from_millis(50);
    let soak = Soak::measure(&service, 5, step).await.unwrap();
    assert_eq!(soak.samples.len(), 5);
    assert!(
        soak.samples
            .iter()
            .all(|sample| sample.figures.per_second > 0)
    );
    assert_eq!(soak.refused, 0);
    let peak = soak.resident_peak;
    assert!(soak.samples.iter().all(|sample| sample.resident <= peak));
}
