//! How nodes divide among themselves what has to be done once.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use bursar_domain::command::{Command, Reply};
use bursar_domain::event::{EventStatus, ReceiveEvent};
use bursar_domain::policy::Policy;
use bursar_domain::time::Time;
use bursar_domain::turn::{self, Step};
use bursar_engine::clock::SystemClock;
use bursar_engine::reconcile::Schedule;
use bursar_engine::{Engine, EngineConfig};
use bursar_store::postgres::Address;
use bursar_store::query::Reader;
use bursar_store::{Database, Share};
use bursar_stripe::client::{Client, ClientConfig};
use bursar_stripe::secret_key::SecretKey;

use super::several::{ask, node, reader, request};
use crate::server::server;

fn event(id: &str) -> Command {
    Command::ReceiveEvent(ReceiveEvent {
        id: id.to_owned(),
        kind: "charge.updated".to_owned(),
        created: 1,
        livemode: false,
        api_version: String::new(),
        object: String::new(),
        body: b"{}".as_slice().into(),
    })
}

#[test]
fn each_node_works_off_its_own_events_and_one_of_them_what_is_left() {
    let address = server().fresh();
    let mut nodes = [node(&address), node(&address)];
    let mut numbers = [vec![], vec![]];
    for n in 0..20 {
        for (place, node) in nodes.iter_mut().enumerate() {
            let received = request(event(&format!("evt_{place}_{n}")), None);
            match ask(node, &received).unwrap().0 {
                Ok(Reply::Received { number, .. }) => numbers[place].push(number),
                other => panic!("{other:?}"),
            }
        }
    }
    let mut reader = reader(&address);
    let mut share = |slot: usize, others_at: Option<Time>, limit: usize| {
        let slot = nodes[slot].store.slot().unwrap();
        let share = Share { slot, others_at };
        let pending = reader.pending_events(limit, Some(share)).unwrap();
        let numbers = pending.into_iter().map(|(number, _)| number);
        numbers.collect::<Vec<i64>>()
    };
    assert_eq!(share(0, None, 100), numbers[0]);
    assert_eq!(share(1, None, 100), numbers[1]);
    // What a node has stored comes first, and what is young is its holder's.
    let stored_at = Time::from_seconds(1_767_225_600);
    for seconds in [-10, 0, 10] {
        let at = Some(stored_at.plus_seconds(seconds));
        assert_eq!(share(0, at, 100), numbers[0], "{seconds}");
    }
    // From far in the future it comes from a clock that was wrong, and need not wait until then.
    let earlier = Some(stored_at.plus_seconds(-11));
    assert_eq!(share(0, earlier, 100), numbers.concat());
    let later = Some(stored_at.plus_seconds(11));
    assert_eq!(share(0, later, 100), numbers.concat());
    assert_eq!(share(1, later, 25).len(), 25);
    assert_eq!(share(1, later, 25)[..20], numbers[1]);
}

#[test]
fn one_node_has_the_turn_and_another_gets_it_when_it_is_over() {
    let address = server().fresh();
    let mut nodes = [node(&address), node(&address)];
    let mut take = |place: usize, step: Step| {
        let asked = request(Command::Turn(step), None);
        match ask(&mut nodes[place], &asked).unwrap().0 {
            Ok(Reply::Turn(turn)) => turn,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(take(0, Step::Take { held: None }), Some(1));
    assert_eq!(take(1, Step::Take { held: None }), None);
    assert_eq!(take(0, Step::Take { held: Some(1) }), Some(1));
    assert_eq!(take(0, Step::End(1)), None);
    assert_eq!(take(1, Step::Take { held: None }), Some(2));
    assert_eq!(take(0, Step::Take { held: Some(1) }), None);
}

/// A Stripe that has no events, and counts how often it is asked for some.
async fn counted() -> (Client, Arc<AtomicUsize>) {
    let asked = Arc::new(AtomicUsize::new(0));
    let count = |State(asked): State<Arc<AtomicUsize>>| async move {
        asked.fetch_add(1, Ordering::SeqCst);
        r#"{"object": "list", "data": [], "has_more": false, "url": "/v1/events"}"#
    };
    let router = Router::new().fallback(count).with_state(Arc::clone(&asked));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, router).await });
    let key = SecretKey::new("sk_test_nodes").unwrap();
    let client = Client::new(&ClientConfig {
        base_url: base,
        ..ClientConfig::new(key)
    });
    (client.unwrap(), asked)
}

async fn engine(address: &Address) -> (Engine, Arc<AtomicUsize>) {
    let (client, asked) = counted().await;
    let engine = Engine::start(EngineConfig {
        database: Database::from(address.clone()),
        policy: Policy::standard(),
        stripe: Some(client),
        clock: Arc::new(SystemClock),
    });
    let engine = engine.unwrap();
    engine.keep_reconciling(Schedule {
        events_seconds: 1,
        objects_seconds: 0,
        count_max: 1,
        amount_max: None,
    });
    (engine, asked)
}

/// Waits until it is so.
async fn until(mut is_so: impl AsyncFnMut() -> bool) {
    for _ in 0..900 {
        if is_so().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("it never came to that");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_node_reconciles_and_all_work_off_events() {
    let address = server().fresh();
    let (first, of_first) = engine(&address).await;
    until(async || of_first.load(Ordering::SeqCst) > 1).await;
    let (second, of_second) = engine(&address).await;
    let before = of_first.load(Ordering::SeqCst);
    for n in 0..100 {
        first.submit(event(&format!("evt_a{n}"))).await.unwrap();
        second.submit(event(&format!("evt_b{n}"))).await.unwrap();
    }
    let pending = |reader: &mut Reader| reader.event_count(Some(EventStatus::Pending));
    until(async || second.read(pending).await.unwrap() == 0).await;
    until(async || of_first.load(Ordering::SeqCst) > before + 1).await;
    assert_eq!(of_second.load(Ordering::SeqCst), 0);
    // The next one need not wait until the turn is over: it is given back.
    first.shutdown().await;
    let before = std::time::Instant::now();
    let take = Command::Turn(Step::Take { held: None });
    let taken = second.submit(take).await.unwrap();
    if let Reply::Turn(Some(turn)) = taken {
        second.submit(Command::Turn(Step::End(turn))).await.unwrap();
    }
    until(async || of_second.load(Ordering::SeqCst) > 0).await;
    // Unless it was free it had been taken by then, and not when it was over.
    let most = Duration::from_secs(turn::SECONDS.unsigned_abs());
    assert!(matches!(taken, Reply::Turn(Some(_))) || before.elapsed() < most);
    second.shutdown().await;
}
