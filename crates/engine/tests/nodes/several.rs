//! Nodes on one database, run by hand, and what a test asks of them.

#![allow(dead_code, reason = "no test needs everything that can be asked")]

use std::sync::{Arc, Barrier};
use std::thread;

use bursar_domain::account::AccountKey;
use bursar_domain::amount::Unit;
use bursar_domain::charge::{Charge, Charged, Price};
use bursar_domain::command::{Adjust, AnswerKey, Command, Reply, Request, RequestHash};
use bursar_domain::id::UserId;
use bursar_domain::journal::Remark;
use bursar_domain::limit::Spender;
use bursar_domain::policy::Policy;
use bursar_domain::refusal::Refusal;
use bursar_domain::time::Time;
use bursar_engine::RandomIds;
use bursar_engine::batch::Batch;
use bursar_engine::clock::FixedClock;
use bursar_store::postgres::{Address, Postgres};
use bursar_store::query::Reader;
use bursar_store::{Store, StoreError, audit};

pub(crate) fn node(address: &Address) -> Batch {
    let connection = Postgres::open(address.clone()).unwrap();
    Batch {
        store: Store::open(Box::new(connection)).unwrap(),
        ids: Box::new(RandomIds::default()),
        policy: Policy::standard(),
        clock: Arc::new(FixedClock::at(Time::from_seconds(1_767_225_600))),
    }
}

pub(crate) fn reader(address: &Address) -> Reader {
    Reader::over(Box::new(Postgres::open(address.clone()).unwrap()))
}

pub(crate) fn user(name: &str) -> UserId {
    UserId::parse(name).unwrap()
}

pub(crate) fn request(command: Command, key: Option<&str>) -> Request {
    let key = key.map(|key| AnswerKey {
        principal: "admin".to_owned(),
        route: "test".to_owned(),
        key: key.to_owned(),
    });
    Request {
        command,
        idempotency: key.map(|key| (key, RequestHash([7; 16]))),
    }
}

pub(crate) fn charge(name: &str, credits: i64, key: &str) -> Request {
    let charge = Charge {
        user: user(name),
        unit: Unit::CREDIT,
        price: Price::Exactly(credits),
        allow_debt: false,
        spender: Spender::default(),
        remark: Remark::default(),
    };
    request(Command::Charge(charge), Some(key))
}

pub(crate) fn ask(
    node: &mut Batch,
    request: &Request,
) -> Result<(Result<Reply, Refusal>, bool), StoreError> {
    let outcome = node.run(&[request])?;
    Ok(outcome.answers.into_iter().next().unwrap())
}

pub(crate) fn give(node: &mut Batch, name: &str, credits: i64) {
    let adjust = Adjust {
        user: user(name),
        credits,
        remark: Remark::default(),
    };
    ask(node, &request(Command::Adjust(adjust), None))
        .unwrap()
        .0
        .unwrap();
}

pub(crate) fn balance(node: &mut Batch, name: &str) -> i64 {
    let question = Command::ReadWallets(vec![AccountKey::wallet(&user(name))]);
    match ask(node, &request(question, None)).unwrap().0 {
        Ok(Reply::Wallets(wallets)) => wallets[0].as_ref().unwrap().account.balance,
        other => panic!("{other:?}"),
    }
}

pub(crate) fn charged(answer: &Result<Reply, Refusal>) -> &Charged {
    match answer {
        Ok(Reply::Charged(charged)) => charged,
        other => panic!("{other:?}"),
    }
}

/// Balances add up, no posting is missing, and all seals fit.
pub(crate) fn are_right(address: &Address) {
    let mut reader = reader(address);
    let report = audit::run(&mut reader).unwrap();
    assert_eq!(report.differences, []);
    let chain = audit::chain(&mut reader, &[]).unwrap();
    assert_eq!(chain.broken, Vec::<String>::new());
    assert!(chain.seals > 0);
}

/// Runs the same work on two nodes at the same time.
pub(crate) fn on_both<T: Send>(
    nodes: &mut [Batch; 2],
    work: impl Fn(usize, &mut Batch) -> T + Sync,
) -> [T; 2] {
    let start = Barrier::new(2);
    let [a, b] = nodes;
    thread::scope(|scope| {
        let run = |place, node| {
            let (start, work) = (&start, &work);
            scope.spawn(move || {
                start.wait();
                work(place, node)
            })
        };
        let (a, b) = (run(0, a), run(1, b));
        [a.join().unwrap(), b.join().unwrap()]
    })
}
