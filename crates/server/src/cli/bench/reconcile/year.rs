//! A year of payments: made at a sandbox in this process and in a database, by the ways of production.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use anyhow::Context as _;
use bursar_domain::checkout::OpenCheckout;
use bursar_domain::command::Command;
use bursar_domain::id::UserId;
use bursar_domain::policy::Policy;
use bursar_domain::time::Time;
use bursar_domain::topup::{CreateTopup, Topup};
use bursar_engine::bridge::inbound;
use bursar_engine::{Engine, EngineConfig, Once};
use bursar_sandbox::claim::Claim;
use bursar_sandbox::pay::Payment as Paying;
use bursar_sandbox::{Sandbox, SandboxConfig};
use serde_json::json;
use tokio::task::JoinSet;

use super::{KEY, client};

/// 2026-01-01.
const BEGIN: i64 = 1_767_225_600;
const YEAR: i64 = 365 * 86_400;

/// So many customers come at a time.
const CROWD: u64 = 256;

/// One clock for both sides. It stands still until it is moved.
struct Clock(AtomicI64);

impl Clock {
    fn seconds(&self) -> i64 {
        self.0.load(Ordering::SeqCst)
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

pub(super) struct Year {
    sandbox: Sandbox,
    clock: Arc<Clock>,
    /// Where the sandbox is reached.
    pub(super) base: String,
    /// The first moment.
    pub(super) from: i64,
}

impl Year {
    /// The last moment.
    pub(super) fn to(&self) -> i64 {
        self.clock.seconds()
    }

    /// Nine of ten customers pay; every twentieth payment is refunded, every hundredth disputed.
    pub(super) async fn make(database: &Path, payments: u64) -> anyhow::Result<Self> {
        let clock = Arc::new(Clock(AtomicI64::new(BEGIN)));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
        let base = format!("http://{}", listener.local_addr()?);
        let mut config = SandboxConfig::new(base.clone(), KEY);
        config.seed = Some(1);
        let sandbox = Sandbox::open_at(config, Arc::clone(&clock) as _)?;
        let router = sandbox.router();
        tokio::spawn(async move { axum::serve(listener, router).await });
        let engine = Engine::start(EngineConfig {
            database: bursar_store::Database::File(database.to_owned()),
            policy: Policy::standard(),
            stripe: Some(client(&base)?),
            clock: Arc::clone(&clock) as _,
        })?;
        let year = Self {
            sandbox,
            clock,
            base,
            from: BEGIN,
        };
        let made = year.fill(&engine, payments).await;
        engine.shutdown().await;
        made?;
        Ok(year)
    }

    async fn fill(&self, engine: &Engine, payments: u64) -> anyhow::Result<()> {
        let crowds = payments.div_ceil(CROWD);
        let pause = YEAR / i64::try_from(crowds)?;
        let mut last = None;
        for crowd in 0..crowds {
            let first = crowd * CROWD;
            let many = CROWD.min(payments - first);
            let mut sessions = JoinSet::new();
            for place in first..first + many {
                sessions.spawn(open(engine.clone(), place));
            }
            while let Some(opened) = sessions.join_next().await {
                let (place, session) = opened??;
                self.act(place, &session)?;
            }
            last = self.deliver(engine, last).await?;
            engine.wait_for_inbox().await?;
            self.clock.0.fetch_add(pause, Ordering::SeqCst);
            if crowd % 64 == 63 {
                eprintln!("bursar: {} payments", first + many);
            }
        }
        // What ends by itself ends: the last sessions expire, and everybody hears of it.
        self.sandbox.change(bursar_sandbox::World::tick)?;
        self.deliver(engine, last).await?;
        engine.wait_for_inbox().await?;
        // Long enough for everything to be seen.
        self.clock.0.fetch_add(600, Ordering::SeqCst);
        Ok(())
    }

    /// What a customer does.
    fn act(&self, place: u64, session: &str) -> anyhow::Result<()> {
        self.sandbox.change(|world, now| {
            if place % 10 == 9 {
                world.expire(session, now);
                return;
            }
            let visa = Paying::Method("pm_card_visa".to_owned());
            world.pay_session(session, &visa, now);
            let path = format!("/v1/checkout/sessions/{session}");
            let read = world.call("GET", &path, json!({}), None, now).body;
            let intent = read["payment_intent"].as_str().unwrap_or_default();
            if place % 20 == 3 {
                let some = json!({"payment_intent": intent, "amount": 40});
                world.call("POST", "/v1/refunds", some, None, now);
            }
            if place % 100 == 5 {
                // Whether it can be disputed, the sandbox decides.
                drop(world.open_dispute(intent, &Claim::default(), now));
            }
        })?;
        Ok(())
    }

    /// Delivers what has happened since the event `last`; the newest one.
    async fn deliver(
        &self,
        engine: &Engine,
        last: Option<String>,
    ) -> anyhow::Result<Option<String>> {
        let events = self
            .sandbox
            .read(|world, _| world.events_after(last.as_deref(), usize::MAX, None));
        let newest = events.last().map(|told| told.id.clone()).or(last);
        let mut answers = JoinSet::new();
        for told in events {
            let event = inbound::event(&told.body.into())?;
            let engine = engine.clone();
            answers.spawn(async move { engine.submit(Command::ReceiveEvent(event)).await });
            if answers.len() > 1_000 {
                answers.join_next().await.context("there are some")???;
            }
        }
        while let Some(answer) = answers.join_next().await {
            answer??;
        }
        Ok(newest)
    }
}

/// A customer's wish, up to the session.
async fn open(engine: Engine, place: u64) -> anyhow::Result<(u64, String)> {
    let user = UserId::parse(&format!("user-{}", place % 20_000)).context("a user id")?;
    let wish = CreateTopup::plain(user.clone(), 100 + i64::try_from(place % 900)?);
    let topup: Once<Topup> = engine.ask(Command::CreateTopup(wish), None).await?;
    let wish = OpenCheckout {
        topup: topup.into_inner().id,
        user,
        success_url: "http://127.0.0.1/paid".to_owned(),
        cancel_url: "http://127.0.0.1/canceled".to_owned(),
        save_card: false,
    };
    let payment = engine.open_checkout(wish, None).await?.into_inner();
    Ok((place, payment.session.context("a session")?))
}
