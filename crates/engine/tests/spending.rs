//! The engine and its wallets: the clock that books what has ended, a rush on one wallet, and a start after a stop of either kind.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a helper of a test fails the test"
)]

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bursar_domain::account::AccountKey;
use bursar_domain::amount::{Amount, Unit};
use bursar_domain::charge::{Charge, Charged, Price};
use bursar_domain::command::{AnswerKey, Command, Reply, Request};
use bursar_domain::grant::{Category, CreateGrant, Source};
use bursar_domain::hold::{CreateHold, Hold, HoldStatus};
use bursar_domain::id::UserId;
use bursar_domain::journal::Remark;
use bursar_domain::limit::{Period, SetLimit, Spender, Subject, SubjectKind};
use bursar_domain::policy::Policy;
use bursar_domain::refusal::Refusal;
use bursar_domain::time::Time;
use bursar_domain::wallet::Wallet;
use bursar_engine::clock::FixedClock;
use bursar_engine::{Engine, EngineConfig, EngineError};
use bursar_store::digest::request_hash;
use tempfile::TempDir;
use tokio::task::JoinSet;

const START: Time = Time::from_seconds(1_767_225_600);
const DAY: i64 = 86_400;

fn start(folder: &Path, clock: &Arc<FixedClock>) -> Engine {
    let clock = Arc::clone(clock);
    Engine::start(EngineConfig {
        database: folder.join("bursar.db").into(),
        policy: Policy::standard(),
        stripe: None,
        clock,
    })
    .unwrap()
}

fn user(name: &str) -> UserId {
    UserId::parse(name).unwrap()
}

fn key(name: &str) -> AccountKey {
    AccountKey::wallet(&user(name))
}

fn charge(name: &str, amount: i64) -> Charge {
    Charge {
        user: user(name),
        unit: Unit::CREDIT,
        price: Price::Exactly(amount),
        allow_debt: false,
        spender: Spender::default(),
        remark: Remark::default(),
    }
}

/// A grant that expires after so many days, if any.
async fn grant(engine: &Engine, name: &str, amount: Amount, days: Option<i64>) {
    let terms = CreateGrant::plain(user(name), amount, Category::Promotional, Source::Manual);
    let terms = CreateGrant {
        expires_at: days.map(|days| START.plus_seconds(days * DAY)),
        ..terms
    };
    engine.submit(Command::CreateGrant(terms)).await.unwrap();
}

async fn hold(engine: &Engine, name: &str, amount: i64) -> Hold {
    let wish = CreateHold {
        charge: charge(name, amount),
        seconds: Some(900),
        overage: None,
    };
    match engine.submit(Command::CreateHold(wish)).await {
        Ok(Reply::Hold(hold)) => hold,
        other => panic!("{other:?}"),
    }
}

async fn wallet(engine: &Engine, name: &str) -> Arc<Wallet> {
    engine.wallet(key(name)).await.unwrap().unwrap()
}

async fn right(engine: &Engine) {
    let report = engine.read(bursar_store::audit::run).await.unwrap();
    assert_eq!(report.differences, vec![]);
    let chain = engine.read(|reader| bursar_store::audit::chain(reader, &[]));
    assert_eq!(chain.await.unwrap().broken, Vec::<String>::new());
}

/// What was announced, each kind with the moment.
async fn announced(engine: &Engine) -> Vec<(&'static str, Time)> {
    let all = engine.read(|reader| reader.announcements(0, 100)).await;
    let all = all.unwrap().into_iter();
    all.map(|it| (it.happening.kind(), it.at)).collect()
}

/// Waits for the clock of the engine to have come by: it looks every second.
async fn until_announced(engine: &Engine, count: usize) {
    for _ in 0..4_000 {
        if announced(engine).await.len() >= count {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("it was never announced: {:?}", announced(engine).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_clock_books_holds_and_grants_that_have_ended() {
    let (folder, clock) = (TempDir::new().unwrap(), Arc::new(FixedClock::at(START)));
    let engine = start(folder.path(), &clock);
    grant(&engine, "anna", Amount::credits(100), Some(1)).await;
    let made = hold(&engine, "anna", 60).await;
    let progress = Command::ProgressHold {
        hold: made.id,
        used: 35,
    };
    engine.submit(progress).await.unwrap();
    // It expires within the week of notice.
    until_announced(&engine, 1).await;
    assert_eq!(wallet(&engine, "anna").await.available(START), 40);

    let hold_ends = made.expires_at;
    clock.set(hold_ends);
    until_announced(&engine, 2).await;
    let id = made.id;
    let ended = engine.read(move |reader| reader.hold(id)).await.unwrap();
    let ended = ended.unwrap();
    assert_eq!((ended.status, ended.settled), (HoldStatus::Expired, 35));
    assert_eq!(wallet(&engine, "anna").await.account.balance, 65);

    let grant_ends = START.plus_seconds(DAY);
    clock.set(grant_ends);
    until_announced(&engine, 3).await;
    assert_eq!(wallet(&engine, "anna").await.account.balance, 0);
    // Once, however often the clock comes by.
    tokio::time::sleep(Duration::from_millis(2_200)).await;
    let expected = [
        ("grant.expiring", START),
        ("hold.expired", hold_ends),
        ("grant.expired", grant_ends),
    ];
    assert_eq!(announced(&engine).await, expected);
    engine.shutdown().await;
    right(&engine).await;
}

/// So many charges of one credit at the same moment; how many were made, and why the others were not.
async fn rush(engine: &Engine, count: usize) -> (usize, Vec<Refusal>) {
    let mut asked = JoinSet::new();
    for _ in 0..count {
        let engine = engine.clone();
        asked.spawn(async move { engine.submit(Command::Charge(charge("anna", 1))).await });
    }
    let (mut made, mut refusals) = (0, Vec::new());
    for answer in asked.join_all().await {
        match answer {
            Ok(Reply::Charged(_)) => made += 1,
            Err(EngineError::Refused(refusal)) => refusals.push(refusal),
            other => panic!("{other:?}"),
        }
    }
    (made, refusals)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_hundred_charges_as_many_are_made_as_the_wallet_can_pay() {
    let (folder, clock) = (TempDir::new().unwrap(), Arc::new(FixedClock::at(START)));
    let engine = start(folder.path(), &clock);
    for _ in 0..4 {
        grant(&engine, "anna", Amount::credits(25), None).await;
    }
    let (made, refusals) = rush(&engine, 200).await;
    assert_eq!((made, refusals.len()), (100, 100));
    let nothing_left = Refusal::InsufficientCredits {
        available: 0,
        missing: 1,
    };
    assert!(
        refusals.iter().all(|refusal| *refusal == nothing_left),
        "{refusals:?}"
    );
    let account = wallet(&engine, "anna").await.account.clone();
    assert_eq!((account.balance, account.entries), (0, 104));
    right(&engine).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rush_does_not_get_past_a_limit() {
    let (folder, clock) = (TempDir::new().unwrap(), Arc::new(FixedClock::at(START)));
    let engine = start(folder.path(), &clock);
    grant(&engine, "anna", Amount::credits(1_000), None).await;
    let subject = Subject {
        kind: SubjectKind::User,
        name: "anna".to_owned(),
    };
    let limit = SetLimit {
        subject,
        most: Amount::credits(70),
        period: Period::Day,
    };
    engine.submit(Command::SetLimit(limit)).await.unwrap();
    let (made, refusals) = rush(&engine, 200).await;
    assert_eq!((made, refusals.len()), (70, 130));
    let by_limit = |refusal: &Refusal| refusal.code() == "spending_limit_reached";
    assert!(refusals.iter().all(by_limit), "{refusals:?}");
    assert_eq!(wallet(&engine, "anna").await.account.balance, 930);
    right(&engine).await;
}

/// Two hundred requests under one idempotency key are one charge.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rush_under_one_key_is_one_charge() {
    let (folder, clock) = (TempDir::new().unwrap(), Arc::new(FixedClock::at(START)));
    let engine = start(folder.path(), &clock);
    grant(&engine, "anna", Amount::credits(1_000), None).await;
    let request = Request {
        command: Command::Charge(charge("anna", 3)),
        idempotency: Some((
            AnswerKey {
                principal: "admin".to_owned(),
                route: "charge".to_owned(),
                key: "K-1".to_owned(),
            },
            request_hash(b"anna 3"),
        )),
    };
    let mut asked = JoinSet::new();
    for _ in 0..200 {
        let (engine, request) = (engine.clone(), request.clone());
        asked.spawn(async move {
            engine
                .ask::<Charged>(request.command, request.idempotency)
                .await
                .unwrap()
        });
    }
    let answers = asked.join_all().await;
    let first = answers.iter().filter(|answer| !answer.replayed).count();
    assert_eq!(first, 1);
    assert!(
        answers
            .iter()
            .all(|answer| answer.value == answers[0].value)
    );
    assert_eq!(wallet(&engine, "anna").await.account.balance, 997);
    right(&engine).await;
}

const NAMES: [&str; 4] = ["anna", "bob", "cora", "dave"];

/// Wallets of every kind: several grants, some of them used up, open and ended holds, a debt, an overdraft, two units.
async fn fill(engine: &Engine) {
    for (number, name) in (1..).zip(NAMES) {
        grant(engine, name, Amount::credits(50 * number), Some(30)).await;
        grant(engine, name, Amount::credits(200), None).await;
        for amount in 1..40 {
            let command = Command::Charge(charge(name, amount % 5 + 1));
            engine.submit(command).await.unwrap();
        }
        let settled = hold(engine, name, 20).await;
        hold(engine, name, 10 + number).await;
        let settle = Command::SettleHold {
            hold: settled.id,
            used: 15,
            remark: Remark::default(),
        };
        engine.submit(settle).await.unwrap();
        engine
            .submit(Command::Charge(charge(name, 7)))
            .await
            .unwrap();
    }
    let overdraft = Command::SetOverdraft {
        user: user("bob"),
        unit: Unit::CREDIT,
        overdraft: Some(5_000),
    };
    engine.submit(overdraft).await.unwrap();
    let debt = Charge {
        allow_debt: true,
        ..charge("bob", 1_000)
    };
    engine.submit(Command::Charge(debt)).await.unwrap();
    let usd = Unit::currency("usd").unwrap();
    grant(engine, "anna", Amount::new(500, usd), None).await;
    let last = Charge {
        unit: usd,
        ..charge("anna", 120)
    };
    engine.submit(Command::Charge(last)).await.unwrap();
}

/// The balance as the row of the wallet says.
async fn row(engine: &Engine, name: &str) -> i64 {
    let key = key(name);
    let account = engine.read(move |reader| reader.account(&key)).await;
    account.unwrap().unwrap().balance
}

async fn wallets(engine: &Engine) -> Vec<Option<Arc<Wallet>>> {
    let usd = AccountKey::wallet_in(&user("anna"), Unit::currency("usd").unwrap());
    let keys = NAMES.iter().map(|name| key(name)).chain([usd]);
    engine.wallets(keys.collect()).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_clean_stop_and_none_lead_to_the_same_wallets() {
    let (folder, clock) = (TempDir::new().unwrap(), Arc::new(FixedClock::at(START)));
    let engine = start(folder.path(), &clock);
    fill(&engine).await;
    let before = wallets(&engine).await;
    assert!(before.iter().all(Option::is_some), "{before:?}");

    // What a process that dies now leaves behind: the file, and the log beside it. The file first: what is moved into it
    // meanwhile is still in the log.
    tokio::time::sleep(Duration::from_millis(200)).await;
    let dead = TempDir::new().unwrap();
    for name in ["bursar.db", "bursar.db-wal"] {
        std::fs::copy(folder.path().join(name), dead.path().join(name)).unwrap();
    }
    // The row of the wallet is older than the wallet. A clean stop writes it.
    let balance = wallet(&engine, "anna").await.account.balance;
    assert_ne!(row(&engine, "anna").await, balance);
    engine.shutdown().await;
    assert_eq!(row(&engine, "anna").await, balance);

    for folder in [folder.path(), dead.path()] {
        let engine = start(folder, &clock);
        assert_eq!(wallets(&engine).await, before);
        right(&engine).await;
        // It goes on from there.
        let more = Command::Charge(charge("cora", 5));
        engine.submit(more).await.unwrap();
        right(&engine).await;
        engine.shutdown().await;
        right(&engine).await;
    }
}
