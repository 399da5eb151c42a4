//! A Stripe that can be told how to behave, on a port of its own. Knows as much as the engine asks for: opening, reading
//! and closing checkout sessions, and that a repeated key gets the answer of the first call.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::routing::{get, post};
use bursar_stripe::client::{Client, ClientConfig};
use bursar_stripe::secret_key::SecretKey;
use serde_json::{Value, json};

/// How calls that open a session are answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mood {
    Works,
    /// 500, and nothing was done.
    Fails,
    /// The session is made, and the answer never arrives.
    LosesAnswers,
    /// 400 for good.
    Refuses,
}

#[derive(Debug)]
struct World {
    mood: Mood,
    /// Idempotency keys of the calls that open a session, in the order of arrival.
    keys: Vec<String>,
    /// Keys of the calls that close one.
    closings: Vec<String>,
    versions: Vec<String>,
    forms: Vec<String>,
    session_by_key: BTreeMap<String, String>,
    sessions: BTreeMap<String, Value>,
    reads: usize,
}

type Shared = Arc<Mutex<World>>;

pub(crate) struct Stripe {
    world: Shared,
    pub(crate) base: String,
}

impl Stripe {
    pub(crate) async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let world = Arc::new(Mutex::new(World {
            mood: Mood::Works,
            keys: vec![],
            closings: vec![],
            versions: vec![],
            forms: vec![],
            session_by_key: BTreeMap::new(),
            sessions: BTreeMap::new(),
            reads: 0,
        }));
        let router = Router::new()
            .route("/v1/checkout/sessions", post(open))
            .route("/v1/checkout/sessions/{id}", get(read))
            .route("/v1/checkout/sessions/{id}/expire", post(close))
            .with_state(Arc::clone(&world));
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { world, base }
    }

    /// A client that gives up soon.
    pub(crate) fn client(&self) -> Client {
        client(&self.base, Duration::from_millis(1_500))
    }

    pub(crate) fn is(&self, mood: Mood) {
        self.world.lock().unwrap().mood = mood;
    }

    pub(crate) fn keys(&self) -> Vec<String> {
        self.world.lock().unwrap().keys.clone()
    }

    pub(crate) fn closings(&self) -> Vec<String> {
        self.world.lock().unwrap().closings.clone()
    }

    pub(crate) fn reads(&self) -> usize {
        self.world.lock().unwrap().reads
    }

    pub(crate) fn sessions(&self) -> usize {
        self.world.lock().unwrap().sessions.len()
    }

    /// The version and the form of the first call.
    pub(crate) fn first_call(&self) -> (String, String) {
        let world = self.world.lock().unwrap();
        (world.versions[0].clone(), world.forms[0].clone())
    }

    /// The customer pays.
    pub(crate) fn pay(&self, session: &str) {
        let mut world = self.world.lock().unwrap();
        let session = world.sessions.get_mut(session).unwrap();
        session["status"] = json!("complete");
        session["payment_status"] = json!("paid");
        session["url"] = json!(null);
    }

    /// The event that tells how a session stands.
    pub(crate) fn event(&self, id: &str, kind: &str, session: &str) -> Vec<u8> {
        let world = self.world.lock().unwrap();
        let event = json!({
            "id": id, "object": "event", "type": kind, "created": 1_767_225_600, "livemode": false,
            "api_version": bursar_stripe::VERSION, "data": {"object": world.sessions[session]},
        });
        serde_json::to_vec(&event).unwrap()
    }
}

pub(crate) fn client(base: &str, timeout: Duration) -> Client {
    let config = ClientConfig::new(SecretKey::new("sk_test_engine").unwrap());
    Client::new(&ClientConfig {
        base_url: base.to_owned(),
        timeout,
        ..config
    })
    .unwrap()
}

type Answer = (StatusCode, String);

fn error(status: StatusCode, code: &str) -> Answer {
    let error = json!({"error": {"type": "invalid_request_error", "code": code, "message": "This cannot be done."}});
    (status, error.to_string())
}

async fn open(State(world): State<Shared>, headers: HeaderMap, form: String) -> Answer {
    let header = |name: &str| headers[name].to_str().unwrap().to_owned();
    let (key, mood) = {
        let mut world = world.lock().unwrap();
        world.keys.push(header("idempotency-key"));
        world.versions.push(header("stripe-version"));
        world.forms.push(form.clone());
        (header("idempotency-key"), world.mood)
    };
    match mood {
        Mood::Fails => return error(StatusCode::INTERNAL_SERVER_ERROR, "api_error"),
        Mood::Refuses => return error(StatusCode::BAD_REQUEST, "url_invalid"),
        Mood::Works | Mood::LosesAnswers => {}
    }
    let session = make(&mut world.lock().unwrap(), &key, &form);
    if mood == Mood::LosesAnswers {
        tokio::time::sleep(Duration::from_mins(1)).await;
    }
    (StatusCode::OK, session.to_string())
}

/// One session for one key, however often it comes.
fn make(world: &mut World, key: &str, form: &str) -> Value {
    if let Some(id) = world.session_by_key.get(key) {
        return world.sessions[id].clone();
    }
    let params = bursar_stripe::form::decode(form.as_bytes()).unwrap();
    let id = format!("cs_test_{}", world.sessions.len() + 1);
    let price = &params["line_items"][0]["price_data"];
    let amount: i64 = price["unit_amount"].as_str().unwrap().parse().unwrap();
    let session = json!({
        "id": id, "object": "checkout.session", "mode": "payment", "status": "open", "payment_status": "unpaid",
        "amount_total": amount, "currency": price["currency"], "livemode": false, "metadata": params["metadata"],
        "payment_intent": null, "url": format!("https://pay.example/{id}"),
    });
    world.session_by_key.insert(key.to_owned(), id.clone());
    world.sessions.insert(id, session.clone());
    session
}

async fn read(State(world): State<Shared>, Path(id): Path<String>) -> Answer {
    let mut world = world.lock().unwrap();
    world.reads += 1;
    match world.sessions.get(&id) {
        Some(session) => (StatusCode::OK, session.to_string()),
        None => error(StatusCode::NOT_FOUND, "resource_missing"),
    }
}

async fn close(State(world): State<Shared>, Path(id): Path<String>, headers: HeaderMap) -> Answer {
    let mut world = world.lock().unwrap();
    world
        .closings
        .push(headers["idempotency-key"].to_str().unwrap().to_owned());
    match world.sessions.get_mut(&id) {
        Some(session) if session["status"] == "open" => {
            session["status"] = json!("expired");
            (StatusCode::OK, session.to_string())
        }
        Some(_) => error(StatusCode::BAD_REQUEST, "resource_not_open"),
        None => error(StatusCode::NOT_FOUND, "resource_missing"),
    }
}
