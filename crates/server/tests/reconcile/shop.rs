//! A Stripe in this process, and engines beside it.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use bursar_domain::checkout::OpenCheckout;
use bursar_domain::command::{Command, Reply};
use bursar_domain::event::EventStatus;
use bursar_domain::id::UserId;
use bursar_domain::intent::OpenIntent;
use bursar_domain::policy::Policy;
use bursar_domain::recovery::Step;
use bursar_domain::time::Time;
use bursar_domain::topup::CreateTopup;
use bursar_engine::bridge::inbound;
use bursar_engine::reconcile::{Options, Report};
use bursar_engine::{Engine, EngineConfig};
use bursar_sandbox::{Sandbox, SandboxConfig};
use bursar_store::query::Span;
use bursar_stripe::client::{Client, ClientConfig};
use bursar_stripe::secret_key::SecretKey;
use tokio::task::JoinSet;

const KEY: &str = "sk_test_four_ways";

/// The first moment of every test: 2026-11-01.
pub(crate) const BEGIN: i64 = 1_793_491_200;

/// One clock for Stripe and all engines. It stands still until it is moved.
#[derive(Default)]
pub(crate) struct Clock(AtomicI64);

impl Clock {
    pub(crate) fn seconds(&self) -> i64 {
        self.0.load(Ordering::SeqCst)
    }

    pub(crate) fn advance(&self, seconds: i64) {
        self.0.fetch_add(seconds, Ordering::SeqCst);
    }
}

impl bursar_engine::Clock for Clock {
    fn now(&self) -> Time {
        Time::from_seconds(self.seconds())
    }
}

impl bursar_sandbox::clock::Clock for Clock {
    fn millis(&self) -> i64 {
        self.seconds() * 1_000
    }
}

pub(crate) struct Shop {
    pub(crate) sandbox: Sandbox,
    pub(crate) clock: Arc<Clock>,
    base: String,
}

impl Shop {
    pub(crate) async fn open(seed: u64) -> Self {
        let clock = Arc::new(Clock::default());
        clock.advance(BEGIN);
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let mut config = SandboxConfig::new(base.clone(), KEY);
        config.seed = Some(seed);
        let sandbox = Sandbox::open_at(config, Arc::clone(&clock) as _).unwrap();
        let router = sandbox.router();
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self {
            sandbox,
            clock,
            base,
        }
    }

    pub(crate) fn engine(&self, database: &Path) -> Engine {
        let many = std::num::NonZeroU32::new(1_000_000).unwrap();
        let client = Client::new(&ClientConfig {
            base_url: self.base.clone(),
            calls_per_second: many,
            burst: many,
            timeout: Duration::from_mins(2),
            ..ClientConfig::new(SecretKey::new(KEY).unwrap())
        });
        Engine::start(EngineConfig {
            database: database.to_owned().into(),
            policy: Policy::standard(),
            stripe: Some(client.unwrap()),
            clock: Arc::clone(&self.clock) as _,
        })
        .unwrap()
    }

    /// The bodies of all events after the one with this id, oldest first.
    pub(crate) fn events_after(&self, last: Option<&str>) -> Vec<(String, Vec<u8>)> {
        self.sandbox.read(|world, _| {
            let events = world.events_after(last, usize::MAX, None);
            events
                .into_iter()
                .map(|told| (told.id, told.body))
                .collect()
        })
    }

    /// Everything up to this moment.
    pub(crate) fn all(&self) -> Options {
        let now = self.clock.seconds();
        Options {
            span: Span {
                from: BEGIN - 100 * 86_400,
                to: now,
            },
            count_max: u64::MAX,
            repair: true,
            ..Options::until(now)
        }
    }
}

/// Opens a purchase on a page of the product; its payment intent.
pub(crate) async fn open_intent(engine: &Engine, user: &str, credits: i64) -> String {
    let user = UserId::parse(user).unwrap();
    let wish = CreateTopup::plain(user.clone(), credits);
    let Ok(Reply::Topup(topup)) = engine.submit(Command::CreateTopup(wish)).await else {
        panic!("no top-up");
    };
    let wish = OpenIntent {
        topup: topup.id,
        user,
        save_card: false,
    };
    let opened = engine.open_intent(wish, None).await.unwrap();
    opened.into_inner().intent.unwrap()
}

/// Opens a purchase; the session that the customer sees.
pub(crate) async fn open(engine: &Engine, user: &str, credits: i64) -> String {
    let user = UserId::parse(user).unwrap();
    let wish = CreateTopup::plain(user.clone(), credits);
    let Ok(Reply::Topup(topup)) = engine.submit(Command::CreateTopup(wish)).await else {
        panic!("no top-up");
    };
    let wish = OpenCheckout {
        topup: topup.id,
        user,
        success_url: "http://127.0.0.1/paid".to_owned(),
        cancel_url: "http://127.0.0.1/canceled".to_owned(),
        save_card: false,
    };
    let opened = engine.open_checkout(wish, None).await.unwrap();
    opened.into_inner().session.unwrap()
}

/// Delivers in this order; the writer may take several at once.
pub(crate) async fn deliver(engine: &Engine, bodies: &[Vec<u8>]) {
    let mut answers = JoinSet::new();
    for body in bodies {
        let event = inbound::event(&body.clone().into()).unwrap();
        let engine = engine.clone();
        answers.spawn(async move { engine.submit(Command::ReceiveEvent(event)).await });
        if answers.len() >= 64 {
            answers.join_next().await.unwrap().unwrap().unwrap();
        }
    }
    while let Some(answer) = answers.join_next().await {
        answer.unwrap().unwrap();
    }
}

/// Waits until everything that was delivered is worked off.
pub(crate) async fn settled(engine: &Engine) {
    for _ in 0..20_000 {
        let pending = engine.read(|reader| reader.event_count(Some(EventStatus::Pending)));
        if pending.await.unwrap() == 0 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    panic!("events are never worked off");
}

/// The books as one text, when they are right.
pub(crate) async fn books(engine: &Engine) -> String {
    settled(engine).await;
    let report = engine.read(bursar_store::audit::run).await.unwrap();
    assert_eq!(report.differences, vec![]);
    engine.read(bursar_store::canon::text).await.unwrap()
}

/// Reconciles as often as an old copy needs; the last report.
pub(crate) async fn recover(shop: &Shop, engine: &Engine, with_events: bool) -> Report {
    let newest = engine
        .read(bursar_store::query::Reader::newest_moment)
        .await
        .unwrap();
    let why = "a test".to_owned();
    let step = Step::Begin {
        since: newest - 86_400,
        why,
    };
    assert!(engine.step_recovery(step).await.unwrap().is_some());
    for _ in 0..4 {
        let options = Options {
            with_events,
            ..shop.all()
        };
        let report = engine.reconcile(&options).await.unwrap();
        if engine.recovery().await.unwrap().is_none() {
            return report;
        }
    }
    panic!("recovery never ends");
}

pub(crate) fn copy(from: &Path, name: &str) -> PathBuf {
    let to = from.with_file_name(format!("{name}.db"));
    std::fs::copy(from, &to).unwrap();
    to
}

/// A session as Stripe has it.
pub(crate) fn session_of(shop: &Shop, id: &str) -> serde_json::Value {
    let object = |world: &bursar_sandbox::World, _| {
        world
            .records
            .get(bursar_sandbox::records::Collection::Object, id)
            .cloned()
    };
    shop.sandbox.read(object).unwrap()
}
