//! Commands that meet in one batch: the same books as if each had come alone, and none of them looks at a row that was not
//! loaded. Which commands meet is chance, so every order of a few about one payment is tried.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a helper of a test fails the test"
)]

#[path = "desk/books.rs"]
mod books;
mod desk;
#[path = "desk/meeting.rs"]
mod meeting;
#[path = "spec/stripe.rs"]
mod stripe;

use std::sync::Arc;
use std::time::{Duration, Instant};

use bursar_domain::account::AccountKey;
use bursar_domain::checkout::{OpenCheckout, SessionOpened, SessionRead};
use bursar_domain::command::{Adjust, Command, Reply};
use bursar_domain::id::{TopupId, UserId};
use bursar_domain::job::{Claim, JobKey, JobKind};
use bursar_domain::journal::Remark;
use bursar_domain::notice::{ApplyEvent, SessionFact};
use bursar_domain::payment::Payment;
use bursar_domain::policy::Policy;
use bursar_domain::time::Time;
use bursar_domain::topup::CreateTopup;
use bursar_engine::bridge::inbound;
use bursar_engine::clock::SystemClock;
use bursar_engine::{Engine, EngineConfig, EngineError};
use bursar_store::StoreError;
use bursar_store::connection::Connection as _;
use bursar_store::sqlite::Sqlite;
use tokio::task::JoinSet;

use desk::Desk;
use meeting::compare;
use stripe::Told;

fn anna() -> UserId {
    UserId::parse("anna").unwrap()
}

fn topup(desk: &mut Desk) -> TopupId {
    let wish = CreateTopup::plain(anna(), 500);
    let Ok(Reply::Topup(topup)) = desk.ask(Command::CreateTopup(wish)) else {
        panic!("no top-up");
    };
    topup.id
}

fn checkout(topup: &TopupId) -> Command {
    Command::OpenCheckout(OpenCheckout {
        topup: topup.clone(),
        user: anna(),
        success_url: String::new(),
        cancel_url: String::new(),
        save_card: false,
    })
}

fn finish(topup: &TopupId) -> Command {
    Command::FinishTopup {
        topup: topup.clone(),
        remark: Remark::default(),
    }
}

fn cancel(topup: &TopupId) -> Command {
    Command::CancelTopup {
        topup: topup.clone(),
        remark: Remark::default(),
    }
}

fn payment(desk: &mut Desk, topup: &TopupId) -> Payment {
    let Ok(Reply::Payment(payment)) = desk.ask(checkout(topup)) else {
        panic!("no payment");
    };
    payment
}

fn key(payment: &Payment, kind: JobKind) -> JobKey {
    JobKey::of_payment(kind, &payment.id)
}

fn claim(desk: &mut Desk, payment: &Payment, kind: JobKind) -> Claim {
    let Ok(Reply::Claimed(claim)) = desk.ask(Command::ClaimJob(key(payment, kind))) else {
        panic!("nothing to claim");
    };
    claim
}

/// What Stripe says about the session of a payment, with or without our name in it.
fn told(payment: &Payment, standing: &str, is_named: bool) -> Told {
    Told {
        name: format!("S{}", payment.id),
        amount: 500,
        currency: "usd".to_owned(),
        live: false,
        payment: is_named.then(|| payment.id.to_string()),
        intent: Some(format!("I{}", payment.id)),
        received: None,
        failure: None,
        standing: standing.to_owned(),
    }
}

fn fact(payment: &Payment, standing: &str) -> SessionFact {
    let session = stripe::session(&told(payment, standing, true));
    inbound::session_fact(&serde_json::from_value(session).unwrap())
}

fn read(payment: &Payment, standing: &str, claim: Option<Claim>) -> Command {
    Command::SessionRead(SessionRead {
        payment: payment.id.clone(),
        claim,
        fact: fact(payment, standing),
    })
}

/// Stores an event; the command that works it off.
fn event(desk: &mut Desk, kind: &str, told: &Told) -> Command {
    let is_named = told.payment.is_some();
    let name = format!("{kind}.{}.{}.{is_named}", told.name, told.standing);
    let body = stripe::event(&name, kind, told, 1_767_225_600, None);
    let event = inbound::event(&body.clone().into()).unwrap();
    let Ok(Reply::Received { number, .. }) = desk.ask(Command::ReceiveEvent(event)) else {
        panic!("no event");
    };
    Command::ApplyEvents(vec![ApplyEvent {
        number,
        notice: inbound::notice(&body),
    }])
}

/// A top-up that nobody has asked a checkout for.
fn fresh(desk: &mut Desk) -> Vec<Command> {
    let topup = topup(desk);
    vec![checkout(&topup), cancel(&topup), finish(&topup)]
}

/// The call that opens the session is under way, and Stripe's events about it are faster than its answer.
fn opening(desk: &mut Desk) -> Vec<Command> {
    let topup = topup(desk);
    let payment = payment(desk, &topup);
    let claim = claim(desk, &payment, JobKind::OpenSession);
    let intent = Told {
        name: format!("I{}", payment.id),
        ..told(&payment, "", true)
    };
    vec![
        Command::SessionOpened(SessionOpened {
            claim: claim.clone(),
            checkout_url: None,
            fact: fact(&payment, "open"),
        }),
        Command::SessionRefused {
            claim: claim.clone(),
            code: "no".to_owned(),
            message: "no".to_owned(),
        },
        Command::DeferJob {
            claim,
            run_at: Time(0),
            error: String::new(),
        },
        event(
            desk,
            "checkout.session.completed",
            &told(&payment, "paid", true),
        ),
        event(
            desk,
            "checkout.session.completed",
            &told(&payment, "paid", false),
        ),
        event(desk, "payment_intent.succeeded", &intent),
        checkout(&topup),
        cancel(&topup),
    ]
}

/// The customer is about to pay, and everybody has something to say about it.
fn paying(desk: &mut Desk) -> Vec<Command> {
    let topup = topup(desk);
    let payment = payment(desk, &topup);
    let open = claim(desk, &payment, JobKind::OpenSession);
    let opened = Command::SessionOpened(SessionOpened {
        claim: open,
        checkout_url: None,
        fact: fact(&payment, "open"),
    });
    desk.ask(opened).unwrap();
    let intent = Told {
        name: format!("I{}", payment.id),
        ..told(&payment, "", true)
    };
    // News of the intent make the reading due.
    let news = event(desk, "payment_intent.created", &intent);
    desk.ask(news).unwrap();
    let reading = claim(desk, &payment, JobKind::ReadSession);
    vec![
        read(&payment, "paid", Some(reading.clone())),
        read(&payment, "open", Some(reading.clone())),
        Command::DropJob(reading),
        read(&payment, "paid", None),
        event(
            desk,
            "checkout.session.expired",
            &told(&payment, "expired", false),
        ),
        event(desk, "payment_intent.succeeded", &intent),
        cancel(&topup),
        finish(&topup),
        Command::ClaimJob(key(&payment, JobKind::CloseSession)),
    ]
}

#[test]
fn a_checkout_and_its_end_in_one_batch() {
    compare(fresh, 3);
}

#[test]
fn a_session_being_opened_and_its_events_in_one_batch() {
    compare(opening, 8);
}

#[test]
fn everything_about_a_payment_in_one_batch() {
    compare(paying, 9);
}

async fn credits(engine: &Engine) -> i64 {
    let wallet = engine.wallet(AccountKey::wallet(&anna())).await.unwrap();
    wallet.map_or(0, |wallet| wallet.account.balance)
}

/// No policy the server lets through makes a decision panic; one that it would not let through stands for a bug.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_decision_that_panics_costs_nobody_else_anything() {
    let folder = tempfile::tempdir().unwrap();
    let mut policy = Policy::standard();
    policy.credit_price.denominator = 0;
    let engine = Engine::start(EngineConfig {
        database: folder.path().join("bursar.db").into(),
        policy,
        stripe: None,
        clock: Arc::new(SystemClock),
    })
    .unwrap();
    let wish = || Command::CreateTopup(CreateTopup::plain(anna(), 500));
    let add = || {
        Command::Adjust(Adjust {
            user: anna(),
            credits: 1,
            remark: Remark::default(),
        })
    };
    for _ in 0..5 {
        let [first, broken, last] = [add(), wish(), add()].map(|command| engine.submit(command));
        let (first, broken, last) = tokio::join!(first, broken, last);
        assert!(first.is_ok() && last.is_ok(), "{first:?} {last:?}");
        assert!(matches!(broken, Err(EngineError::Store(_))), "{broken:?}");
    }
    // As many questions that panic as would use up all readers.
    for _ in 0..10 {
        let asked = engine.read(|_| -> Result<(), StoreError> { panic!("a bug") });
        let broken = asked.await;
        assert!(matches!(broken, Err(EngineError::Store(_))), "{broken:?}");
    }
    assert_eq!(credits(&engine).await, 10);
    engine.shutdown().await;
}

/// Another program, a backup say, has locked the file. Nobody waits for more than the batch before his own and his own.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_locked_file_keeps_nobody_waiting_in_line() {
    let folder = tempfile::tempdir().unwrap();
    let database = folder.path().join("bursar.db");
    let engine = Engine::start(EngineConfig {
        database: database.clone().into(),
        policy: Policy::standard(),
        stripe: None,
        clock: Arc::new(SystemClock),
    })
    .unwrap();
    let add = || {
        Command::Adjust(Adjust {
            user: anna(),
            credits: 1,
            remark: Remark::default(),
        })
    };
    let mut other = Sqlite::open_checkpointer(&database).unwrap();
    other.begin().unwrap();
    let begun = Instant::now();
    let mut asked = JoinSet::new();
    for _ in 0..20 {
        let engine = engine.clone();
        asked.spawn(async move { engine.submit(add()).await });
    }
    for answer in asked.join_all().await {
        let unavailable = matches!(answer, Err(EngineError::Store(StoreError::Unavailable(_))));
        assert!(unavailable, "{answer:?}");
    }
    // SQLite waits five seconds for a lock; one after the other they would wait for a hundred.
    assert!(
        begun.elapsed() < Duration::from_secs(50),
        "{:?}",
        begun.elapsed()
    );
    other.rollback().unwrap();
    engine.submit(add()).await.unwrap();
    assert_eq!(credits(&engine).await, 1);
    engine.shutdown().await;
}
