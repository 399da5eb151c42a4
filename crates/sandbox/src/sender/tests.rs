//! Stories with a real receiver on 127.0.0.1.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::post;
use serde_json::{Value, json};
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep, timeout};

use super::*;
use crate::SandboxConfig;
use crate::delivery::Stage;
use crate::fault::Fault;
use crate::records::Collection;

const SECRET: &str = "whsec_9f8a7b6c5d4e3f2a1b0c";

/// What came in, and what to answer from the first request on; the last answer holds for the rest.
#[derive(Clone, Default)]
struct Receiver {
    seen: Arc<Mutex<Vec<(HeaderMap, Bytes)>>>,
    answers: Arc<Mutex<Vec<u16>>>,
}

impl Receiver {
    async fn listen(answers: &[u16]) -> (Self, String) {
        let receiver = Self::default();
        *receiver.answers.lock().unwrap() = answers.to_vec();
        let router = Router::new()
            .route("/hook", post(Self::take))
            .route("/elsewhere", post(Self::take))
            .with_state(receiver.clone());
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/hook", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, router).await });
        (receiver, url)
    }

    #[expect(clippy::unused_async, reason = "a handler has to be asynchronous")]
    async fn take(State(receiver): State<Self>, headers: HeaderMap, body: Bytes) -> Response {
        receiver.seen.lock().unwrap().push((headers, body));
        let mut answers = receiver.answers.lock().unwrap();
        let status = if answers.len() > 1 {
            answers.remove(0)
        } else {
            answers[0]
        };
        match status {
            307 => Redirect::temporary("/elsewhere").into_response(),
            _ => (StatusCode::from_u16(status).unwrap(), "said the receiver").into_response(),
        }
    }

    fn event_ids(&self) -> Vec<String> {
        let seen = self.seen.lock().unwrap();
        let events = seen
            .iter()
            .map(|(_, body)| serde_json::from_slice::<Value>(body).unwrap());
        events
            .map(|event| event["id"].as_str().unwrap().to_owned())
            .collect()
    }

    async fn wait_for(&self, count: usize) {
        let arrived = async {
            while self.seen.lock().unwrap().len() < count {
                sleep(Duration::from_millis(5)).await;
            }
        };
        timeout(Duration::from_mins(1), arrived)
            .await
            .expect("the deliveries arrive");
    }
}

/// A sandbox with one endpoint, and what stops it when dropped.
fn sandbox(url: &str) -> (Sandbox, oneshot::Sender<()>) {
    let mut config = SandboxConfig::new("http://127.0.0.1:1", "sk_test_sender");
    config.retry_pauses = vec![Duration::from_millis(20); 3];
    let sandbox = Sandbox::open(config).unwrap();
    let endpoint = json!({
        "id": "we_1", "object": "webhook_endpoint", "url": url, "status": "enabled",
        "enabled_events": ["*"], "api_version": null,
    });
    let set_up = sandbox.change(|world, _| {
        world.records.put(Collection::Object, "we_1", endpoint);
        world
            .records
            .put(Collection::Private, "we_1", json!({ "secret": SECRET }));
    });
    set_up.unwrap();
    let (stop, stopped) = oneshot::channel::<()>();
    let running = sandbox.clone();
    tokio::spawn(async move {
        running.run(async { drop(stopped.await) }).await.unwrap();
    });
    (sandbox, stop)
}

fn emit(sandbox: &Sandbox, kind: &str) -> String {
    let object = json!({"id": "cs_1", "object": "checkout.session"});
    let event = sandbox
        .change(|world, now| world.emit(kind, &object, None, now))
        .unwrap();
    event["id"].as_str().unwrap().to_owned()
}

fn set(sandbox: &Sandbox, fault: Kind, count: u32) {
    let fault = Fault {
        fault,
        count: Some(count),
        event_type: None,
        times: 1,
        seconds: 60,
    };
    sandbox
        .change(|world, _| fault::add(&mut world.records, fault))
        .unwrap();
}

fn deliveries(sandbox: &Sandbox) -> Vec<delivery::Delivery> {
    sandbox.read(|world, _| delivery::newest(&world.records, 100))
}

async fn settled(sandbox: &Sandbox) -> Vec<delivery::Delivery> {
    let done = async {
        loop {
            let now = deliveries(sandbox);
            if now.iter().all(|one| one.stage != Stage::Waiting) {
                return now;
            }
            sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(Duration::from_mins(1), done)
        .await
        .expect("the deliveries come to an end")
}

#[tokio::test]
async fn a_delivery_is_what_the_signature_check_believes() {
    let (receiver, url) = Receiver::listen(&[200]).await;
    let (sandbox, _stop) = sandbox(&url);
    let event = emit(&sandbox, "charge.succeeded");
    receiver.wait_for(1).await;
    assert_eq!(receiver.event_ids(), [event]);
    let (headers, body) = receiver.seen.lock().unwrap()[0].clone();
    let secrets = [Secret::new(SECRET).unwrap()];
    let header = headers["stripe-signature"].as_bytes();
    let now = sandbox.real_millis() / 1000;
    assert_eq!(signature::verify(header, &body, &secrets, now, 300), Ok(()));
    assert_eq!(headers["content-type"], "application/json; charset=utf-8");
    let delivered = &settled(&sandbox).await[0];
    assert_eq!(
        (delivered.stage, delivered.attempts[0].status),
        (Stage::Delivered, Some(200))
    );
}

#[tokio::test]
async fn the_signature_is_of_the_real_time_though_the_world_is_a_month_ahead() {
    let (receiver, url) = Receiver::listen(&[200]).await;
    let (sandbox, _stop) = sandbox(&url);
    sandbox
        .change(|world, _| world.set_clock_offset(30 * 86_400))
        .unwrap();
    emit(&sandbox, "charge.succeeded");
    receiver.wait_for(1).await;
    let (headers, body) = receiver.seen.lock().unwrap()[0].clone();
    let secrets = [Secret::new(SECRET).unwrap()];
    let now = sandbox.real_millis() / 1000;
    let header = headers["stripe-signature"].as_bytes();
    assert_eq!(signature::verify(header, &body, &secrets, now, 300), Ok(()));
}

#[tokio::test]
async fn failures_and_redirects_are_tried_again_until_one_succeeds() {
    let (receiver, url) = Receiver::listen(&[500, 307, 200]).await;
    let (sandbox, _stop) = sandbox(&url);
    let event = emit(&sandbox, "charge.succeeded");
    receiver.wait_for(3).await;
    assert_eq!(receiver.event_ids(), [event.clone(), event.clone(), event]);
    let delivery = settled(&sandbox).await.remove(0);
    let statuses: Vec<_> = delivery
        .attempts
        .iter()
        .map(|attempt| attempt.status)
        .collect();
    assert_eq!(statuses, [Some(500), Some(307), Some(200)]);
    assert_eq!(
        delivery.attempts[0].error.as_deref(),
        Some("said the receiver")
    );
    assert_eq!(delivery.stage, Stage::Delivered);
}

#[tokio::test]
async fn an_endpoint_that_is_down_is_given_up_after_the_last_pause() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/hook", listener.local_addr().unwrap());
    drop(listener);
    let (sandbox, _stop) = sandbox(&url);
    emit(&sandbox, "charge.succeeded");
    let delivery = settled(&sandbox).await.remove(0);
    assert_eq!(
        (delivery.stage, delivery.attempts.len()),
        (Stage::Failed, 4)
    );
    let error = delivery.attempts[0].error.as_deref().unwrap();
    assert!(error.contains("refused"), "{error}");
}

#[tokio::test]
async fn moving_the_clock_makes_a_late_retry_due() {
    let (receiver, url) = Receiver::listen(&[200]).await;
    let (sandbox, _stop) = sandbox(&url);
    set(&sandbox, Kind::Delay, 1);
    emit(&sandbox, "charge.succeeded");
    sleep(Duration::from_millis(100)).await;
    assert!(receiver.event_ids().is_empty());
    sandbox
        .change(|world, _| world.set_clock_offset(60))
        .unwrap();
    receiver.wait_for(1).await;
}

#[tokio::test]
async fn a_refusal_on_purpose_is_an_attempt_like_any_other() {
    let (receiver, url) = Receiver::listen(&[200]).await;
    let (sandbox, _stop) = sandbox(&url);
    set(&sandbox, Kind::Refuse, 2);
    emit(&sandbox, "charge.succeeded");
    let delivery = settled(&sandbox).await.remove(0);
    let statuses: Vec<_> = delivery
        .attempts
        .iter()
        .map(|attempt| attempt.status)
        .collect();
    assert_eq!(statuses, [None, None, Some(200)]);
    assert_eq!(receiver.event_ids().len(), 1);
}

#[tokio::test]
async fn duplicates_arrive_with_the_same_id() {
    let (receiver, url) = Receiver::listen(&[200]).await;
    let (sandbox, _stop) = sandbox(&url);
    set(&sandbox, Kind::Duplicate, 1);
    let event = emit(&sandbox, "charge.succeeded");
    receiver.wait_for(2).await;
    assert_eq!(receiver.event_ids(), [event.clone(), event]);
}

#[tokio::test]
async fn a_reordered_burst_arrives_backwards() {
    let (receiver, url) = Receiver::listen(&[200]).await;
    let (sandbox, _stop) = sandbox(&url);
    set(&sandbox, Kind::Reorder, 5);
    let mut events: Vec<String> = (0..5).map(|_| emit(&sandbox, "charge.succeeded")).collect();
    receiver.wait_for(5).await;
    events.reverse();
    assert_eq!(receiver.event_ids(), events);
}

#[tokio::test]
async fn checkout_waits_for_the_answer_but_not_for_ever() {
    let (_receiver, url) = Receiver::listen(&[200]).await;
    let (sandbox, stop) = sandbox(&url);
    let began = Instant::now();
    sandbox.wait_for_endpoints("cs_1").await;
    assert!(began.elapsed() < CHECKOUT_WAIT, "nothing to wait for");
    emit(&sandbox, "checkout.session.completed");
    sandbox.wait_for_endpoints("cs_1").await;
    assert_eq!(deliveries(&sandbox)[0].stage, Stage::Delivered);
    // Nobody sends any more, so the next event stays unanswered.
    stop.send(()).unwrap();
    sleep(Duration::from_millis(50)).await;
    emit(&sandbox, "checkout.session.completed");
    tokio::time::pause();
    let began = Instant::now();
    sandbox.wait_for_endpoints("cs_1").await;
    assert!(began.elapsed() >= CHECKOUT_WAIT);
}

#[tokio::test]
async fn a_flood_of_events_all_arrives() {
    let (receiver, url) = Receiver::listen(&[200]).await;
    let (sandbox, _stop) = sandbox(&url);
    let mut events: Vec<String> = (0..400)
        .map(|_| emit(&sandbox, "charge.succeeded"))
        .collect();
    receiver.wait_for(events.len()).await;
    let mut arrived = receiver.event_ids();
    events.sort();
    arrived.sort();
    assert_eq!(arrived, events);
}
