//! An old copy of the database: what it must not do, and how it catches up.

use bursar_domain::checkout::OpenCheckout;
use bursar_domain::command::{Command, Reply};
use bursar_domain::id::UserId;
use bursar_domain::recovery::Step;
use bursar_domain::refusal::Refusal;
use bursar_domain::topup::CreateTopup;
use bursar_engine::reconcile::Schedule;
use bursar_engine::{Engine, EngineError};
use bursar_sandbox::pay::Payment as Paying;
use tempfile::TempDir;

use crate::shop::{Shop, books, open};

async fn ask_for_a_checkout(engine: &Engine) -> Result<(), EngineError> {
    let user = UserId::parse("carla").unwrap();
    let wish = CreateTopup::plain(user.clone(), 700);
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
    engine.open_checkout(wish, None).await.map(drop)
}

/// A shop, the books of its engine, and a copy from before a customer came and paid.
async fn with_old_copy() -> (Shop, String, TempDir) {
    let (shop, folder) = (Shop::open(9).await, TempDir::new().unwrap());
    let engine = shop.engine(&folder.path().join("bursar.db"));
    open(&engine, "anna", 300).await;
    let to = folder.path().join("copy.db");
    engine
        .read(move |reader| bursar_store::copy::write(reader, &to))
        .await
        .unwrap();
    shop.clock.advance(1_000);
    let session = open(&engine, "berta", 500).await;
    let visa = Paying::Method("pm_card_visa".to_owned());
    shop.sandbox
        .change(|world, now| world.pay_session(&session, &visa, now))
        .unwrap();
    shop.clock.advance(1_000);
    engine.reconcile(&shop.all()).await.unwrap();
    let text = books(&engine).await;
    engine.shutdown().await;
    (shop, text, folder)
}

fn schedule() -> Schedule {
    Schedule {
        events_seconds: 1,
        objects_seconds: 0,
        count_max: 50,
        amount_max: None,
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restored_copy_asks_for_nothing_until_it_has_caught_up() {
    let (shop, text, folder) = with_old_copy().await;
    let engine = shop.engine(&folder.path().join("copy.db"));
    let newest = engine
        .read(bursar_store::query::Reader::newest_moment)
        .await
        .unwrap();
    let step = Step::Begin {
        since: newest - 10,
        why: "a test".to_owned(),
    };
    engine.step_recovery(step).await.unwrap();
    let refused = ask_for_a_checkout(&engine).await;
    assert!(
        matches!(refused, Err(EngineError::Refused(Refusal::RecoveryMode))),
        "{refused:?}"
    );
    // It holds over a restart, and ends by itself.
    engine.shutdown().await;
    let engine = shop.engine(&folder.path().join("copy.db"));
    assert!(ask_for_a_checkout(&engine).await.is_err());
    engine.keep_reconciling(schedule());
    for _ in 0..6_000 {
        if engine.recovery().await.unwrap().is_none() {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    assert_eq!(books(&engine).await, text);
    ask_for_a_checkout(&engine).await.unwrap();
    engine.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_old_file_that_somebody_put_in_place_is_noticed() {
    let (shop, text, folder) = with_old_copy().await;
    let engine = shop.engine(&folder.path().join("copy.db"));
    assert_eq!(engine.recovery().await.unwrap(), None);
    engine.scan_events().await.unwrap();
    let recovery = engine.recovery().await.unwrap().unwrap();
    assert!(recovery.why.contains("payment 2"), "{recovery:?}");
    assert!(ask_for_a_checkout(&engine).await.is_err());
    for _ in 0..3 {
        engine.reconcile(&shop.all()).await.unwrap();
    }
    assert_eq!(engine.recovery().await.unwrap(), None);
    assert_eq!(books(&engine).await, text);
    // What it knows now does not begin it again.
    engine.scan_events().await.unwrap();
    assert_eq!(engine.recovery().await.unwrap(), None);
    engine.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_are_asked_for_from_where_it_left_off() {
    let (shop, folder) = (Shop::open(10).await, TempDir::new().unwrap());
    let engine = shop.engine(&folder.path().join("bursar.db"));
    let session = open(&engine, "anna", 300).await;
    let visa = Paying::Method("pm_card_visa".to_owned());
    shop.sandbox
        .change(|world, now| world.pay_session(&session, &visa, now))
        .unwrap();
    shop.clock.advance(500);
    // Late, so somebody should hear of it; and only once.
    assert_ne!(engine.scan_events().await.unwrap(), 0);
    assert_eq!(engine.scan_events().await.unwrap(), 0);
    assert!(
        books(&engine).await.contains("user anna") || books(&engine).await.contains("wallet anna")
    );
    engine.shutdown().await;
}
