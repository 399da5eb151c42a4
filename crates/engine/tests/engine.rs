//! The engine as it runs: writer, inbox and jobs on real threads, and a Stripe that can be told how to behave.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a helper of a test fails the test"
)]

mod engine {
    pub(crate) mod customer;
    pub(crate) mod stripe;
}

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use bursar_domain::account::AccountKey;
use bursar_domain::command::{Adjust, AnswerKey, Command, Reply};
use bursar_domain::journal::Remark;
use bursar_domain::payment::{Payment, PaymentStatus};
use bursar_domain::policy::Policy;
use bursar_domain::topup::TopupStatus;
use bursar_engine::bridge::inbound;
use bursar_engine::clock::SystemClock;
use bursar_engine::{Engine, EngineConfig, EngineError};
use bursar_store::digest::request_hash;
use bursar_store::query::EventFilter;
use tempfile::TempDir;

use engine::customer::{anna, checkout, credits, open, page, payments, topup, wallet};
use engine::stripe::{Mood, Stripe, client};

fn config(folder: &TempDir, stripe: Option<&Stripe>) -> EngineConfig {
    EngineConfig {
        database: folder.path().join("bursar.db").into(),
        policy: Policy::standard(),
        stripe: stripe.map(Stripe::client),
        clock: Arc::new(SystemClock),
    }
}

/// Waits for what the engine does by itself. Long enough for a busy machine, and no longer than needed.
async fn until<F: Future<Output = bool>>(what: &str, check: impl Fn() -> F) {
    for _ in 0..6_000 {
        if check().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("it never came to pass: {what}");
}

async fn right(engine: &Engine) {
    let report = engine.read(bursar_store::audit::run).await.unwrap();
    assert_eq!(report.differences, vec![]);
}

async fn receive(engine: &Engine, body: Vec<u8>) -> bool {
    let event = inbound::event(&body.into()).unwrap();
    match engine.submit(Command::ReceiveEvent(event)).await {
        Ok(Reply::Received { duplicate, .. }) => duplicate,
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_purchase_from_the_wish_to_the_wallet() {
    let (stripe, folder) = (Stripe::start().await, TempDir::new().unwrap());
    let engine = Engine::start(config(&folder, Some(&stripe))).unwrap();
    let topup = topup(&engine, 500).await;
    let payment = open(&engine, &topup).await.unwrap();
    let session = payment.session.clone().unwrap();
    assert_eq!(
        payment.checkout_url.as_deref(),
        Some("https://pay.example/cs_test_1")
    );

    // Asked for again, it is the same session, and Stripe is not bothered.
    assert_eq!(open(&engine, &topup).await.unwrap(), payment);
    assert_eq!(stripe.keys(), [payment.id.to_string()]);
    let (version, form) = stripe.first_call();
    assert_eq!(version, bursar_stripe::VERSION);
    let form = bursar_stripe::form::decode(form.as_bytes()).unwrap();
    assert_eq!(form["metadata"]["payment_id"], payment.id.as_str());
    assert_eq!(
        form["payment_intent_data"]["metadata"]["payment_id"],
        payment.id.as_str()
    );
    assert_eq!(form["line_items"][0]["price_data"]["unit_amount"], "500");

    stripe.pay(&session);
    let event = stripe.event("evt_1", "checkout.session.completed", &session);
    assert!(!receive(&engine, event.clone()).await);
    until("the wallet is credited", || async {
        credits(&engine).await == 500
    })
    .await;
    assert!(receive(&engine, event).await);
    assert!(matches!(
        open(&engine, &topup).await,
        Err(EngineError::Refused(_))
    ));
    assert_eq!(credits(&engine).await, 500);
    engine.shutdown().await;
    right(&engine).await;
    // A clean stop leaves the rows as the writer knew them.
    let key = AccountKey::wallet(&anna());
    let row = engine.read(move |reader| reader.account(&key)).await;
    assert_eq!(row.unwrap().unwrap().balance, 500);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_return_page_settles_without_any_event() {
    let (stripe, folder) = (Stripe::start().await, TempDir::new().unwrap());
    let engine = Engine::start(config(&folder, Some(&stripe))).unwrap();
    let topup = topup(&engine, 500).await;
    let session = open(&engine, &topup).await.unwrap().session.unwrap();
    let unpaid = engine.settle_by_session(&session).await.unwrap().unwrap();
    assert_eq!(unpaid.status, PaymentStatus::Pending);
    stripe.pay(&session);
    let paid = engine.settle_by_session(&session).await.unwrap().unwrap();
    assert_eq!(
        (paid.status, credits(&engine).await),
        (PaymentStatus::Paid, 500)
    );

    // Once settled, nobody is asked any more; a session of somebody else is unknown.
    let reads = stripe.reads();
    assert_eq!(
        engine.settle_by_session(&session).await.unwrap().unwrap(),
        paid
    );
    assert_eq!(
        engine.settle_by_session("cs_test_other").await.unwrap(),
        None
    );
    assert_eq!(stripe.reads(), reads);
    right(&engine).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn news_of_the_intent_alone_lead_to_the_session() {
    let (stripe, folder) = (Stripe::start().await, TempDir::new().unwrap());
    let engine = Engine::start(config(&folder, Some(&stripe))).unwrap();
    let topup = topup(&engine, 500).await;
    let payment = open(&engine, &topup).await.unwrap();
    stripe.pay(payment.session.as_ref().unwrap());
    let event = serde_json::json!({
        "id": "evt_1", "type": "payment_intent.succeeded", "livemode": false,
        "data": {"object": {"id": "pi_1", "object": "payment_intent", "amount": 500, "currency": "usd",
                            "metadata": {"payment_id": payment.id.as_str()}}},
    });
    receive(&engine, event.to_string().into_bytes()).await;
    until("the session was read", || async {
        credits(&engine).await == 500
    })
    .await;
    assert_eq!(stripe.reads(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_that_fails_is_made_again_with_the_same_key() {
    let (stripe, folder) = (Stripe::start().await, TempDir::new().unwrap());
    let engine = Engine::start(config(&folder, Some(&stripe))).unwrap();
    let topup = topup(&engine, 500).await;
    stripe.is(Mood::Fails);
    let failed = open(&engine, &topup).await;
    assert!(
        matches!(
            failed,
            Err(EngineError::Provider {
                code: "stripe_outcome_unknown",
                ..
            })
        ),
        "{failed:?}"
    );
    stripe.is(Mood::Works);
    let payment = open(&engine, &topup).await.unwrap();
    let keys = stripe.keys();
    assert!(
        keys.len() >= 2 && keys.iter().all(|key| key == payment.id.as_str()),
        "{keys:?}"
    );
    assert_eq!((stripe.sessions(), payments(&engine).await.len()), (1, 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_repeated_request_gets_the_session_as_soon_as_stripe_works() {
    let (stripe, folder) = (Stripe::start().await, TempDir::new().unwrap());
    let engine = Engine::start(config(&folder, Some(&stripe))).unwrap();
    let topup = topup(&engine, 500).await;
    let key = AnswerKey {
        principal: "anna".to_owned(),
        route: "checkout".to_owned(),
        key: "K-1".to_owned(),
    };
    let ask = || {
        engine.open_checkout(
            checkout(&topup),
            Some((key.clone(), request_hash(b"digest"))),
        )
    };
    stripe.is(Mood::Fails);
    for _ in 0..5 {
        // Every failure doubles the pause; whoever asks again does not wait for its end.
        assert!(matches!(ask().await, Err(EngineError::Provider { .. })));
    }
    stripe.is(Mood::Works);
    // The pause is at sixteen seconds.
    let began = std::time::Instant::now();
    let again = ask().await.unwrap();
    assert!(again.session.is_some() && again.replayed);
    assert!(
        began.elapsed() < Duration::from_secs(14),
        "{:?}",
        began.elapsed()
    );
    assert_eq!(payments(&engine).await.len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_answer_opens_no_second_session() {
    let (stripe, folder) = (Stripe::start().await, TempDir::new().unwrap());
    let engine = Engine::start(config(&folder, Some(&stripe))).unwrap();
    let topup = topup(&engine, 500).await;
    stripe.is(Mood::LosesAnswers);
    let lost = open(&engine, &topup).await;
    assert!(
        matches!(
            lost,
            Err(EngineError::Provider {
                code: "stripe_outcome_unknown",
                ..
            })
        ),
        "{lost:?}"
    );
    assert_eq!(stripe.sessions(), 1);
    stripe.is(Mood::Works);
    // Nobody asks again: what is owed is done all the same.
    until("the session is known", || async {
        payments(&engine).await[0].session.is_some()
    })
    .await;
    assert_eq!(stripe.sessions(), 1);
    let keys = stripe.keys();
    assert!(
        keys.len() >= 2 && keys.iter().all(|key| *key == keys[0]),
        "{keys:?}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stripe_that_cannot_be_reached_leaves_the_payment_open() {
    let folder = TempDir::new().unwrap();
    let port = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let engine = Engine::start(EngineConfig {
        stripe: Some(client(&format!("http://{port}"), Duration::from_secs(2))),
        ..config(&folder, None)
    })
    .unwrap();
    let topup = topup(&engine, 500).await;
    let failed = open(&engine, &topup).await;
    assert!(
        matches!(
            failed,
            Err(EngineError::Provider {
                code: "stripe_unreachable",
                ..
            })
        ),
        "{failed:?}"
    );
    assert_eq!(payments(&engine).await[0].status, PaymentStatus::Pending);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_definite_no_ends_the_payment_and_the_next_one_is_new() {
    let (stripe, folder) = (Stripe::start().await, TempDir::new().unwrap());
    let engine = Engine::start(config(&folder, Some(&stripe))).unwrap();
    let topup = topup(&engine, 500).await;
    stripe.is(Mood::Refuses);
    match open(&engine, &topup).await {
        Err(EngineError::ProviderRefused { code, message }) => {
            assert_eq!(
                (code.as_str(), message.as_str()),
                ("url_invalid", "This cannot be done.")
            );
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(payments(&engine).await[0].status, PaymentStatus::Failed);
    stripe.is(Mood::Works);
    let payment = open(&engine, &topup).await.unwrap();
    let keys = stripe.keys();
    assert_eq!(keys.len(), 2);
    assert!(
        keys[0] != keys[1] && keys[1] == payment.id.as_str(),
        "{keys:?}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_of_the_other_mode_opens_nothing() {
    let (stripe, folder) = (Stripe::start().await, TempDir::new().unwrap());
    let mut config = config(&folder, Some(&stripe));
    config.policy.livemode = true;
    let engine = Engine::start(config).unwrap();
    let topup = topup(&engine, 500).await;
    let refused = open(&engine, &topup).await;
    assert!(
        matches!(&refused, Err(EngineError::ProviderRefused { code, .. }) if code == "key_mode_changed"),
        "{refused:?}"
    );
    assert!(stripe.keys().is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_top_up_that_was_given_up_has_its_session_closed() {
    let (stripe, folder) = (Stripe::start().await, TempDir::new().unwrap());
    let engine = Engine::start(config(&folder, Some(&stripe))).unwrap();
    let (given_up, paid) = (topup(&engine, 500).await, topup(&engine, 700).await);
    open(&engine, &given_up).await.unwrap();
    let faster = open(&engine, &paid).await.unwrap();
    stripe.pay(faster.session.as_ref().unwrap());
    for topup in [given_up, paid] {
        let remark = Remark::default();
        let canceled = engine
            .submit(Command::CancelTopup { topup, remark })
            .await
            .unwrap();
        assert!(matches!(canceled, Reply::Topup(topup) if topup.status == TopupStatus::Canceled));
    }
    until("both sessions have ended", || async {
        let open = |payment: &Payment| payment.status.is_open();
        !payments(&engine).await.iter().any(open)
    })
    .await;
    // Closing came too late for the one that was paid: paid wins.
    assert_eq!(credits(&engine).await, 700);
    assert_eq!(stripe.closings().len(), 2);
    assert!(stripe.closings().iter().all(|key| key.ends_with("-close")));
    right(&engine).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_stripe_there_is_no_checkout_and_everything_else_works() {
    let folder = TempDir::new().unwrap();
    let engine = Engine::start(config(&folder, None)).unwrap();
    let topup = topup(&engine, 500).await;
    assert!(matches!(
        open(&engine, &topup).await,
        Err(EngineError::NoProvider)
    ));
    let adjust = Adjust {
        user: anna(),
        credits: 5,
        remark: Remark::default(),
    };
    engine.submit(Command::Adjust(adjust)).await.unwrap();
    assert_eq!(credits(&engine).await, 5);
}

/// A process that dies takes its runtime with it; the file stays as the last commit left it.
#[test]
fn a_call_cut_off_by_a_crash_is_completed_with_the_same_key() {
    let runtime = || {
        tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .unwrap()
    };
    let (outside, folder) = (runtime(), TempDir::new().unwrap());
    let stripe = outside.block_on(Stripe::start());
    stripe.is(Mood::LosesAnswers);
    let first = runtime();
    first.block_on(async {
        let engine = Engine::start(config(&folder, Some(&stripe))).unwrap();
        let topup = topup(&engine, 500).await;
        tokio::spawn(async move { open(&engine, &topup).await });
        until("the call has arrived", || async {
            !stripe.keys().is_empty()
        })
        .await;
    });
    first.shutdown_background();
    stripe.is(Mood::Works);

    let second = runtime();
    second.block_on(async {
        let engine = start_when_free(&folder, &stripe).await;
        until("the session is known", || async {
            payments(&engine).await[0].session.is_some()
        })
        .await;
        let payments = payments(&engine).await;
        assert_eq!((payments.len(), stripe.sessions()), (1, 1));
        let keys = stripe.keys();
        assert!(
            keys.len() >= 2 && keys.iter().all(|key| key == payments[0].id.as_str()),
            "{keys:?}"
        );
        engine.shutdown().await;
    });
}

async fn start_when_free(folder: &TempDir, stripe: &Stripe) -> Engine {
    for _ in 0..6_000 {
        if let Ok(engine) = Engine::start(config(folder, Some(stripe))) {
            return engine;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("the file is never free");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn deliveries_at_the_same_moment_credit_once() {
    let (stripe, folder) = (Stripe::start().await, TempDir::new().unwrap());
    let engine = Engine::start(config(&folder, Some(&stripe))).unwrap();
    let topup = topup(&engine, 500).await;
    let session = open(&engine, &topup).await.unwrap().session.unwrap();
    stripe.pay(&session);
    let mut deliveries = tokio::task::JoinSet::new();
    for number in 0..64 {
        // 64 deliveries of one event, and of five events that say the same.
        for id in ["evt_1".to_owned(), format!("evt_{}", 2 + number % 5)] {
            let (engine, body) = (
                engine.clone(),
                stripe.event(&id, "checkout.session.completed", &session),
            );
            deliveries.spawn(async move { receive(&engine, body).await });
        }
    }
    let duplicates = deliveries.join_all().await;
    assert_eq!(
        duplicates.iter().filter(|duplicate| !**duplicate).count(),
        6
    );
    until("all are worked off", || async {
        engine
            .read(|reader| reader.pending_events(1, None))
            .await
            .unwrap()
            .is_empty()
    })
    .await;
    let events = engine
        .read(|reader| reader.events(&EventFilter::default(), &page()))
        .await
        .unwrap();
    assert_eq!((events.items.len(), credits(&engine).await), (6, 500));
    assert_eq!(wallet(&engine).await.unwrap().account.entries, 1);
    right(&engine).await;
}
