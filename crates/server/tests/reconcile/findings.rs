//! Each way in which Stripe and the books can differ: what it is called, and what is done about it.

use bursar_domain::account::AccountKey;
use bursar_domain::command::{Command, Reply};
use bursar_domain::id::UserId;
use bursar_domain::journal::Remark;
use bursar_domain::payment::{Payment, PaymentStatus};
use bursar_domain::time::Time;
use bursar_engine::Engine;
use bursar_engine::reconcile::{Class, Options, Report, State};
use bursar_sandbox::claim::{Claim, Verdict};
use bursar_sandbox::pay::Payment as Paying;
use bursar_sandbox::records::Collection;
use bursar_sandbox::refund::Arrival;
use bursar_store::query::{EventFilter, PageRequest, PaymentFilter, Span};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::shop::{BEGIN, Shop, books, open, open_intent, session_of};

/// A shop with an engine that hears of nothing by itself.
async fn shop() -> (Shop, Engine, TempDir) {
    let folder = TempDir::new().unwrap();
    let shop = Shop::open(7).await;
    let engine = shop.engine(&folder.path().join("bursar.db"));
    (shop, engine, folder)
}

fn pay(shop: &Shop, session: &str) {
    let visa = Paying::Method("pm_card_visa".to_owned());
    shop.sandbox
        .change(|world, now| world.pay_session(session, &visa, now))
        .unwrap();
}

fn call(shop: &Shop, path: &str, params: Value) -> Value {
    let answer = shop
        .sandbox
        .change(|world, now| world.call("POST", path, params, None, now));
    answer.unwrap().body
}

/// Changes an object at Stripe behind everybody's back.
fn tamper(shop: &Shop, id: &str, field: &str, value: Value) {
    let change = |world: &mut bursar_sandbox::World, _| {
        let mut object = world.records.get(Collection::Object, id).unwrap().clone();
        object[field] = value;
        world.records.put(Collection::Object, id, object);
    };
    shop.sandbox.change(change).unwrap();
}

fn intent_of(shop: &Shop, session: &str) -> String {
    let intent = shop.sandbox.read(|world, _| {
        world.records.get(Collection::Object, session).unwrap()["payment_intent"].clone()
    });
    intent.as_str().unwrap().to_owned()
}

async fn look(shop: &Shop, engine: &Engine) -> Report {
    let options = Options {
        repair: false,
        ..objects(shop)
    };
    engine.reconcile(&options).await.unwrap()
}

async fn repair(shop: &Shop, engine: &Engine) -> Report {
    engine.reconcile(&objects(shop)).await.unwrap()
}

/// Without events, so that the objects themselves are looked at.
fn objects(shop: &Shop) -> Options {
    Options {
        with_events: false,
        ..shop.all()
    }
}

fn said(report: &Report) -> Vec<(Class, State, i64)> {
    let said = report.findings.iter();
    said.map(|it| (it.class, it.state.clone(), it.amount))
        .collect()
}

async fn credits(engine: &Engine, user: &str) -> i64 {
    let key = AccountKey::wallet(&UserId::parse(user).unwrap());
    let wallet = engine.wallet(key).await.unwrap();
    wallet.map_or(0, |wallet| wallet.account.balance)
}

async fn payments(engine: &Engine) -> Vec<Payment> {
    let request = PageRequest {
        limit: 100,
        cursor: None,
    };
    let all = engine.read(move |reader| reader.payments(&PaymentFilter::default(), &request));
    all.await.unwrap().items
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_paid_is_credited_when_it_may_be_and_only_then() {
    let (shop, engine, _folder) = shop().await;
    let session = open(&engine, "anna", 500).await;
    pay(&shop, &session);
    let before = books(&engine).await;
    assert_eq!(
        said(&look(&shop, &engine).await),
        [(Class::PaidNotCredited, State::Proposed, 500)]
    );
    assert_eq!(books(&engine).await, before);

    let report = repair(&shop, &engine).await;
    assert_eq!(said(&report), [(Class::PaidNotCredited, State::Done, 500)]);
    assert!(report.agrees() && !report.is_settled());
    assert_eq!(credits(&engine, "anna").await, 500);
    let again = repair(&shop, &engine).await;
    assert!(again.findings.is_empty() && again.is_settled(), "{again}");
    let money = &again.money["usd"];
    assert_eq!(
        (money.explained, money.proven, money.ledger),
        (500, 500, 500)
    );
    engine.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_more_is_repaired_than_a_run_may() {
    let (shop, engine, _folder) = shop().await;
    for place in 0..5 {
        let session = open(&engine, &format!("user-{place}"), 100).await;
        pay(&shop, &session);
    }
    let few = Options {
        count_max: 2,
        ..objects(&shop)
    };
    let report = engine.reconcile(&few).await.unwrap();
    let count = report.counts[&Class::PaidNotCredited];
    assert_eq!((count.found, count.done, count.left), (5, 2, 3));
    // Of what is left, no more than 250 cents.
    let cheap = Options {
        amount_max: Some(250),
        ..objects(&shop)
    };
    let report = engine.reconcile(&cheap).await.unwrap();
    let count = report.counts[&Class::PaidNotCredited];
    assert_eq!((count.found, count.done, count.left), (3, 2, 1));
    assert!(!report.agrees());
    let report = repair(&shop, &engine).await;
    assert_eq!(report.counts[&Class::PaidNotCredited].done, 1);
    engine.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn other_money_than_ours_credits_nothing() {
    let (shop, engine, _folder) = shop().await;
    let session = open(&engine, "anna", 500).await;
    pay(&shop, &session);
    tamper(&shop, &session, "amount_total", json!(50_000));
    for _ in 0..2 {
        let report = repair(&shop, &engine).await;
        assert_eq!(
            said(&report),
            [(Class::BindingMismatch, State::ForPerson, 50_000)]
        );
        assert!(report.is_settled() && !report.agrees());
    }
    assert_eq!(credits(&engine, "anna").await, 0);
    engine.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn credit_without_money_is_told_and_left_to_a_person() {
    let (shop, engine, _folder) = shop().await;
    let session = open(&engine, "anna", 500).await;
    pay(&shop, &session);
    repair(&shop, &engine).await;
    tamper(&shop, &session, "payment_status", json!("unpaid"));
    let report = repair(&shop, &engine).await;
    assert_eq!(
        said(&report),
        [(Class::CreditedNotPaid, State::ForPerson, 500)]
    );
    assert_eq!(credits(&engine, "anna").await, 500);
    engine.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_payment_of_which_stripe_knows_nothing_is_told() {
    let (shop, engine, _folder) = shop().await;
    let session = open(&engine, "anna", 500).await;
    pay(&shop, &session);
    repair(&shop, &engine).await;
    // Another Stripe, as if all of it had been made up.
    let elsewhere = Shop::open(8).await;
    let folder = TempDir::new().unwrap();
    let copy = folder.path().join("copy.db");
    let to = copy.clone();
    engine
        .read(move |reader| bursar_store::copy::write(reader, &to))
        .await
        .unwrap();
    let stranger = elsewhere.engine(&copy);
    let report = repair(&elsewhere, &stranger).await;
    let classes: Vec<Class> = report.findings.iter().map(|it| it.class).collect();
    assert_eq!(classes, [Class::CreditedNotPaid], "{report}");
    stranger.shutdown().await;
    engine.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn metadata_without_a_stamp_prove_nothing() {
    let (shop, engine, _folder) = shop().await;
    let session = open(&engine, "anna", 500).await;
    let forged = |metadata: Value, amount: i64| {
        let made = call(
            &shop,
            "/v1/checkout/sessions",
            json!({
                "mode": "payment", "success_url": "http://127.0.0.1/", "metadata": metadata.clone(),
                "payment_intent_data": {"metadata": metadata},
                "line_items": [{"quantity": 1, "price_data": {"currency": "usd", "unit_amount": amount,
                                "product_data": {"name": "Credits"}}}],
            }),
        );
        let id = made["id"].as_str().unwrap().to_owned();
        pay(&shop, &id);
        id
    };
    let genuine = session_of(&shop, &session)["metadata"].clone();
    // A payment that never was; one that is, under another session; and a stamp that was copied.
    let unknown = format!("pay_{}", "0".repeat(26));
    let orphan = forged(json!({ "payment_id": unknown }), 500);
    let twin = forged(json!({ "payment_id": genuine["payment_id"] }), 500);
    let copied = forged(genuine, 50);
    let report = repair(&shop, &engine).await;
    let told = |id: &str| {
        let found = report.findings.iter().find(|it| it.object == id);
        found.map(|it| (it.class, it.state.clone()))
    };
    assert_eq!(told(&orphan), Some((Class::Orphan, State::ForPerson)));
    assert_eq!(told(&twin), Some((Class::PaidTwice, State::ForPerson)));
    assert_eq!(told(&copied), Some((Class::PaidTwice, State::ForPerson)));
    assert_eq!(credits(&engine, "anna").await, 0);
    engine.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_bursar_on_the_same_account_is_let_be() {
    let (shop, engine, folder) = shop().await;
    let other = shop.engine(&folder.path().join("other.db"));
    let session = open(&other, "otto", 500).await;
    pay(&shop, &session);
    let refund = json!({"payment_intent": intent_of(&shop, &session), "amount": 100});
    call(&shop, "/v1/refunds", refund);
    let report = repair(&shop, &engine).await;
    assert_eq!(said(&report), []);
    assert!(report.looked.foreign > 0);
    assert_eq!(report.money["usd"].foreign, 400);
    assert_eq!(payments(&engine).await, []);
    other.shutdown().await;
    engine.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_paid_twice_is_told_until_it_is_paid_back() {
    let (shop, engine, _folder) = shop().await;
    let session = open(&engine, "anna", 500).await;
    let topup = payments(&engine).await[0].topup.clone();
    let remark = Remark::default();
    let by_hand = Command::FinishTopup { topup, remark };
    assert!(matches!(engine.submit(by_hand).await, Ok(Reply::Topup(_))));
    pay(&shop, &session);
    repair(&shop, &engine).await;
    let report = repair(&shop, &engine).await;
    assert_eq!(said(&report), [(Class::PaidTwice, State::ForPerson, 500)]);
    assert_eq!(credits(&engine, "anna").await, 500);
    call(
        &shop,
        "/v1/refunds",
        json!({"payment_intent": intent_of(&shop, &session)}),
    );
    repair(&shop, &engine).await;
    let report = repair(&shop, &engine).await;
    assert_eq!(said(&report), []);
    assert_eq!(
        (credits(&engine, "anna").await, report.finished_by_hand),
        (500, 1)
    );
    engine.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn money_that_moves_late_is_found_by_its_movement_alone() {
    let (shop, engine, _folder) = shop().await;
    let (first, second) = (
        open(&engine, "anna", 500).await,
        open(&engine, "berta", 800).await,
    );
    pay(&shop, &first);
    pay(&shop, &second);
    let refund = call(
        &shop,
        "/v1/refunds",
        json!({"payment_intent": intent_of(&shop, &first)}),
    );
    let intent = intent_of(&shop, &second);
    let opened = shop
        .sandbox
        .change(|world, now| world.open_dispute(&intent, &Claim::default(), now));
    let dispute = opened.unwrap().unwrap()["id"].as_str().unwrap().to_owned();
    let report = repair(&shop, &engine).await;
    assert!(report.agrees(), "{report}");
    assert_eq!(
        (
            credits(&engine, "anna").await,
            credits(&engine, "berta").await
        ),
        (0, 0)
    );

    // Weeks later the refund comes back and the dispute is won. Nothing is made then, except movements.
    shop.clock.advance(40 * 86_400);
    let refund = refund["id"].as_str().unwrap().to_owned();
    shop.sandbox
        .change(|world, now| {
            world.decide_refund(&refund, Arrival::Failed, now).unwrap();
            world.decide_dispute(&dispute, Verdict::Won, now).unwrap();
        })
        .unwrap();
    let late = Span {
        from: BEGIN + 39 * 86_400,
        to: shop.clock.seconds(),
    };
    let options = Options {
        span: late,
        ..objects(&shop)
    };
    let report = engine.reconcile(&options).await.unwrap();
    let count = report.counts[&Class::TakenBackTooMuch];
    assert_eq!((count.found, count.done), (2, 2), "{report}");
    assert_eq!(
        (
            credits(&engine, "anna").await,
            credits(&engine, "berta").await
        ),
        (500, 800)
    );
    let again = engine.reconcile(&options).await.unwrap();
    assert!(again.is_settled() && again.agrees(), "{again}");
    engine.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_open_dispute_is_looked_at_again_by_itself() {
    let (shop, engine, _folder) = shop().await;
    let session = open(&engine, "anna", 500).await;
    pay(&shop, &session);
    let intent = intent_of(&shop, &session);
    let opened = shop
        .sandbox
        .change(|world, now| world.open_dispute(&intent, &Claim::default(), now));
    let dispute = opened.unwrap().unwrap()["id"].as_str().unwrap().to_owned();
    repair(&shop, &engine).await;
    assert_eq!(credits(&engine, "anna").await, 0);
    shop.sandbox
        .change(|world, now| world.decide_dispute(&dispute, Verdict::Won, now))
        .unwrap()
        .unwrap();
    shop.clock.advance(61);
    for _ in 0..3_000 {
        if credits(&engine, "anna").await == 500 {
            assert_eq!(payments(&engine).await[0].status, PaymentStatus::Paid);
            engine.shutdown().await;
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    panic!("nobody has looked again");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_ended_without_money_is_taken_over_at_once() {
    let (shop, engine, _folder) = shop().await;
    let (bounced, asked) = (
        open(&engine, "anna", 500).await,
        open(&engine, "berta", 500).await,
    );
    let delayed = Paying::Delayed {
        kind: "us_bank_account".to_owned(),
        settles: None,
    };
    let paid = shop
        .sandbox
        .change(|world, now| world.pay_session(&bounced, &delayed, now));
    paid.unwrap();
    let intent = intent_of(&shop, &bounced);
    let settled = shop
        .sandbox
        .change(|world, now| world.settle_delayed(&intent, false, now));
    assert!(settled.unwrap());
    pay(&shop, &asked);
    let intent = intent_of(&shop, &asked);
    let inquiry = Claim {
        inquiry: true,
        ..Claim::default()
    };
    let opened = shop
        .sandbox
        .change(|world, now| world.open_dispute(&intent, &inquiry, now));
    let inquiry = opened.unwrap().unwrap()["id"].as_str().unwrap().to_owned();
    repair(&shop, &engine).await;
    let statuses = |payments: Vec<Payment>| -> Vec<PaymentStatus> {
        payments.iter().map(|payment| payment.status).collect()
    };
    let found = statuses(payments(&engine).await);
    assert_eq!(found, [PaymentStatus::Disputed, PaymentStatus::Failed]);
    // No money has moved: only the status says it.
    shop.sandbox
        .change(|world, now| world.decide_dispute(&inquiry, Verdict::Lost, now))
        .unwrap()
        .unwrap();
    let report = repair(&shop, &engine).await;
    assert_eq!(said(&report), [(Class::Stale, State::Done, 0)]);
    assert_eq!(statuses(payments(&engine).await)[0], PaymentStatus::Paid);
    engine.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replayed_event_is_worked_off_again() {
    let (shop, engine, _folder) = shop().await;
    let session = open(&engine, "anna", 500).await;
    pay(&shop, &session);
    engine.scan_events().await.unwrap();
    let before = books(&engine).await;
    shop.clock.advance(5);
    let count = engine.replay_span(shop.all().span).await.unwrap();
    assert_ne!(count, 0);
    assert_eq!(books(&engine).await, before);
    let request = PageRequest {
        limit: 100,
        cursor: None,
    };
    let events = engine.read(move |reader| reader.events(&EventFilter::default(), &request));
    let events = events.await.unwrap().items;
    assert_eq!(i64::try_from(events.len()).unwrap(), count);
    let now = Time::from_seconds(shop.clock.seconds());
    assert!(
        events.iter().all(|event| event.worked_at == Some(now)),
        "{events:?}"
    );
    assert_eq!(engine.replay(vec![9_999]).await.unwrap(), 0);
    engine.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn payments_without_a_session_are_looked_at_by_their_intent() {
    let (shop, engine, _folder) = shop().await;
    let (paid, given_up) = (
        open_intent(&engine, "anna", 500).await,
        open_intent(&engine, "berta", 700).await,
    );
    let confirm = json!({"payment_method": "pm_card_visa", "return_url": "http://127.0.0.1/"});
    call(
        &shop,
        &format!("/v1/payment_intents/{paid}/confirm"),
        confirm,
    );
    call(
        &shop,
        &format!("/v1/payment_intents/{given_up}/cancel"),
        json!({}),
    );
    let mut found = said(&look(&shop, &engine).await);
    found.sort_by_key(|(class, ..)| *class);
    let proposed = State::Proposed;
    assert_eq!(
        found,
        [
            (Class::PaidNotCredited, proposed.clone(), 500),
            (Class::Stale, proposed, 0)
        ]
    );
    assert!(repair(&shop, &engine).await.agrees());
    assert_eq!(credits(&engine, "anna").await, 500);
    // Tampered with afterwards, it is credit without money.
    tamper(&shop, &paid, "status", json!("requires_payment_method"));
    let report = repair(&shop, &engine).await;
    assert_eq!(
        said(&report),
        [(Class::CreditedNotPaid, State::ForPerson, 500)]
    );
    engine.shutdown().await;
}
