//! A stop while Stripe keeps everybody waiting.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a helper of a test fails the test"
)]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use bursar_domain::checkout::OpenCheckout;
use bursar_domain::command::{Command, Reply};
use bursar_domain::id::UserId;
use bursar_domain::policy::Policy;
use bursar_domain::topup::CreateTopup;
use bursar_engine::clock::SystemClock;
use bursar_engine::{Engine, EngineConfig};
use bursar_stripe::client::{Client, ClientConfig};
use bursar_stripe::secret_key::SecretKey;

/// Takes connections and says nothing; counts them.
async fn silent_stripe() -> (String, Arc<AtomicUsize>) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    let calls = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&calls);
    tokio::spawn(async move {
        let mut open = Vec::new();
        while let Ok((stream, _)) = listener.accept().await {
            counted.fetch_add(1, Ordering::SeqCst);
            open.push(stream);
        }
    });
    (base, calls)
}

async fn ask_for_a_checkout(engine: &Engine) {
    let user = UserId::parse("anna").unwrap();
    let wish = CreateTopup::plain(user.clone(), 500);
    let Ok(Reply::Topup(topup)) = engine.submit(Command::CreateTopup(wish)).await else {
        panic!("no top-up");
    };
    let wish = OpenCheckout {
        topup: topup.id,
        user,
        success_url: "http://127.0.0.1/".to_owned(),
        cancel_url: "http://127.0.0.1/".to_owned(),
        save_card: false,
    };
    engine.submit(Command::OpenCheckout(wish)).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn more_calls_than_places_do_not_hold_up_a_stop() {
    let (base, calls) = silent_stripe().await;
    let folder = tempfile::tempdir().unwrap();
    let mut config = ClientConfig::new(SecretKey::new("sk_test_stop").unwrap());
    config.base_url = base;
    let engine = Engine::start(EngineConfig {
        database: folder.path().join("bursar.db").into(),
        policy: Policy::standard(),
        stripe: Some(Client::new(&config).unwrap()),
        clock: Arc::new(SystemClock),
    })
    .unwrap();
    for _ in 0..20 {
        ask_for_a_checkout(&engine).await;
    }
    while calls.load(Ordering::SeqCst) < 8 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    // The runner has had time to look for the ninth.
    tokio::time::sleep(Duration::from_millis(200)).await;
    let begun = Instant::now();
    engine.shutdown().await;
    // A call may take 30 seconds; those under way are given five.
    assert!(
        begun.elapsed() < Duration::from_secs(25),
        "{:?}",
        begun.elapsed()
    );
    assert_eq!(calls.load(Ordering::SeqCst), 8);
}
