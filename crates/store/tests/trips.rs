//! How often a node waits for a PostgreSQL server: as often for a large batch as for a small one.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a helper of a test fails the test"
)]

mod books;
mod server;

use books::spy::Spy;
use books::{Books, charge_of, fact, plain, user};
use bursar_domain::amount::Amount;
use bursar_domain::command::{
    Adjust, AnswerKey, ChargeAll, Command, Precheck, Reply, Request, RequestHash,
};
use bursar_domain::event::ReceiveEvent;
use bursar_domain::grant::{Category, CreateGrant, Source};
use bursar_domain::hold::CreateHold;
use bursar_domain::id::PaymentId;
use bursar_domain::journal::Remark;
use bursar_domain::notice::{ApplyEvent, Notice, Standing};
use bursar_domain::refund::RequestRefund;
use bursar_domain::time::Time;
use bursar_domain::topup::CreateTopup;
use bursar_store::postgres::{Address, Postgres};
use bursar_store::query::{Chain, EntryFilter, PageRequest, Reader};
use server::server;

/// Sizes of batches. The first one is run twice, so that statements for one row and for many have been prepared.
const SIZES: [usize; 3] = [2, 16, 200];

/// A node whose waits are counted.
struct Node {
    books: Books,
    spy: Spy,
    address: Address,
}

impl Node {
    fn new() -> Self {
        let address = server().fresh();
        let connection = Postgres::open(address.clone()).unwrap();
        let spy = Spy::on(Box::new(connection));
        let mut books = Books::over(Box::new(spy.clone()));
        let give = |n| {
            let adjust = Adjust {
                user: user(&name(n)),
                credits: 100_000,
                remark: Remark::default(),
            };
            plain(Command::Adjust(adjust))
        };
        let requests: Vec<Request> = (0..300).map(give).collect();
        done(&mut books, &requests);
        Self {
            books,
            spy,
            address,
        }
    }

    /// How often the server is waited for with each size of batch. `make` gets a number that no other request has.
    fn waits(&mut self, mut make: impl FnMut(&mut Books, usize) -> Request) -> Vec<usize> {
        let mut number = 0;
        let mut waits = Vec::new();
        for size in [&SIZES[..1], &SIZES[..]].concat() {
            let mut requests = Vec::new();
            for _ in 0..size {
                requests.push(make(&mut self.books, number));
                number += 1;
            }
            self.spy.trips();
            done(&mut self.books, &requests);
            waits.push(self.spy.trips());
        }
        waits.split_off(1)
    }
}

fn name(n: usize) -> String {
    format!("user-{}", n % 300)
}

fn keyed(command: Command, key: &str) -> Request {
    Request {
        command,
        idempotency: Some(key_of(key)),
    }
}

fn key_of(key: &str) -> (AnswerKey, RequestHash) {
    let key = AnswerKey {
        principal: "admin".to_owned(),
        route: "test".to_owned(),
        key: key.to_owned(),
    };
    (key, RequestHash([7; 16]))
}

fn done(books: &mut Books, requests: &[Request]) -> Vec<Reply> {
    let answers = books.run(requests).unwrap();
    answers
        .into_iter()
        .map(|(answer, _)| answer.unwrap())
        .collect()
}

fn one(books: &mut Books, command: Command) -> Reply {
    done(books, &[plain(command)]).remove(0)
}

/// What each kind of request costs, whatever the size of the batch.
fn cost(what: &str, waits: &[usize], each: usize) {
    assert_eq!(waits, [each; SIZES.len()], "{what}");
}

fn hold_of(n: usize) -> Command {
    Command::CreateHold(CreateHold {
        charge: charge_of(&name(n), 5),
        seconds: None,
        overage: None,
    })
}

#[test]
fn spending_waits_as_often_for_many_as_for_few() {
    let mut node = Node::new();
    let charge = |n: usize| keyed(Command::Charge(charge_of(&name(n), 1)), &format!("c-{n}"));
    // One question that asks and locks, and the commit.
    cost("charges", &node.waits(|_, n| charge(n)), 2);
    // Transactions, postings and wallets are read for the answers.
    cost("the same charges", &node.waits(|_, n| charge(n)), 5);
    let hot = |n: usize| keyed(Command::Charge(charge_of("user-0", 1)), &format!("h-{n}"));
    cost("charges of one wallet", &node.waits(|_, n| hot(n)), 2);
    let hold = |n: usize| keyed(hold_of(n), &format!("o-{n}"));
    cost("holds", &node.waits(|_, n| hold(n)), 2);
    cost("the same holds", &node.waits(|_, n| hold(n)), 2);
    let settled = |books: &mut Books, n: usize| {
        let Reply::Hold(hold) = one(books, hold_of(n)) else {
            panic!("no hold");
        };
        let settle = Command::SettleHold {
            hold: hold.id,
            used: 3,
            remark: Remark::default(),
        };
        keyed(settle, &format!("s-{n}"))
    };
    cost("settlements", &node.waits(settled), 4);
    let question = |n: usize| {
        let charge = charge_of(&name(n), 1);
        let priced = true;
        plain(Command::Precheck(Precheck { charge, priced }))
    };
    cost("prechecks", &node.waits(|_, n| question(n)), 2);
    let grant = |n: usize| {
        let (user, amount) = (user(&name(n)), Amount::credits(5));
        let grant = CreateGrant::plain(user, amount, Category::Promotional, Source::Manual);
        keyed(Command::CreateGrant(grant), &format!("g-{n}"))
    };
    cost("grants", &node.waits(|_, n| grant(n)), 2);
    let adjust = |n: usize| {
        let adjust = Adjust {
            user: user(&format!("new-{n}")),
            credits: 5,
            remark: Remark::default(),
        };
        keyed(Command::Adjust(adjust), &format!("n-{n}"))
    };
    cost("new wallets", &node.waits(|_, n| adjust(n)), 3);
}

#[test]
fn what_another_node_has_changed_is_read_with_one_wait_more() {
    let mut node = Node::new();
    let mut other = Books::over(Box::new(Postgres::open(node.address.clone()).unwrap()));
    let charge = |who: &str, n: usize| {
        let charge = Command::Charge(charge_of(&name(n), 1));
        keyed(charge, &format!("{who}-{n}"))
    };
    let mut number = 0;
    let mut waits = |is_changed: bool, size: usize| {
        let first = number;
        number += size;
        let requests = |who| (first..number).map(|n| charge(who, n)).collect::<Vec<_>>();
        if is_changed {
            done(&mut other, &requests("other"));
        }
        node.spy.trips();
        done(&mut node.books, &requests("own"));
        node.spy.trips()
    };
    // The account of what was spent is opened, and statements are prepared.
    waits(false, 2);
    waits(true, 2);
    assert_eq!(SIZES.map(|size| waits(true, size)), [3; 3]);
    assert_eq!(SIZES.map(|size| waits(false, size)), [2; 3]);
}

#[test]
fn charges_in_one_request_wait_as_often_for_many_as_for_few() {
    let mut node = Node::new();
    let mut batch = |size: usize, key: &str| {
        let charge = |n| (charge_of(&name(n), 1), Some(key_of(&format!("{key}-{n}"))));
        let all = ChargeAll {
            charges: (0..size).map(charge).collect(),
            atomic: false,
        };
        node.spy.trips();
        done(&mut node.books, &[keyed(Command::ChargeAll(all), key)]);
        node.spy.trips()
    };
    batch(2, "first");
    let waits = SIZES.map(|size| batch(size, &format!("b-{size}")));
    cost("charges in one request", &waits, 2);
    batch(2, "first");
    let waits = SIZES.map(|size| batch(size, &format!("b-{size}")));
    cost("the same request", &waits, 5);
}

#[test]
fn buying_waits_as_often_for_many_as_for_few() {
    let mut node = Node::new();
    let topup = |n: usize| Command::CreateTopup(CreateTopup::plain(user(&name(n)), 500));
    let keyed_topup = |n: usize| keyed(topup(n), &format!("t-{n}"));
    cost("top-ups", &node.waits(|_, n| keyed_topup(n)), 2);
    let finished = |books: &mut Books, n: usize| {
        let Reply::Topup(made) = one(books, topup(n)) else {
            panic!("no top-up");
        };
        let (topup, remark) = (made.id, Remark::default());
        plain(Command::FinishTopup { topup, remark })
    };
    cost("finished top-ups", &node.waits(finished), 4);
    let mut bought: Vec<PaymentId> = Vec::new();
    let paid = |books: &mut Books, n: usize| {
        let id = books.checkout(&name(n), 500);
        let number = books.receive(&format!("evt_p{n}"), &format!("cs_{id}"));
        let notice = Notice::Session {
            hint: Some(id.clone()),
            fact: fact(&id, 500, Standing::Paid),
            read: false,
        };
        bought.push(id);
        plain(Command::ApplyEvents(vec![ApplyEvent { number, notice }]))
    };
    // From the event to the payment, from there to the top-up, from there to the wallet; and every table by itself.
    cost("payments", &node.waits(paid), 17);
    let mut bought = bought.into_iter();
    let refund = |_: &mut Books, n: usize| {
        let wish = RequestRefund {
            payment: bought.next().unwrap(),
            amount: None,
            reason: String::new(),
            by: "admin".to_owned(),
            remark: Remark::default(),
        };
        keyed(Command::RequestRefund(wish), &format!("r-{n}"))
    };
    cost("refunds", &node.waits(refund), 4);
    let event = |n: usize| {
        plain(Command::ReceiveEvent(ReceiveEvent {
            id: format!("evt_{n}"),
            kind: "charge.updated".to_owned(),
            created: 1,
            livemode: false,
            api_version: String::new(),
            object: format!("cs_{n}"),
            body: b"{}".to_vec().into(),
        }))
    };
    cost("events", &node.waits(|_, n| event(n)), 3);
}

#[test]
fn a_statement_is_read_with_a_few_waits_however_long_it_is() {
    let mut node = Node::new();
    for round in 0..3 {
        let charge = |n| {
            keyed(
                Command::Charge(charge_of("user-0", 1)),
                &format!("{round}-{n}"),
            )
        };
        let requests: Vec<Request> = (0..500).map(charge).collect();
        done(&mut node.books, &requests);
    }
    let chain = node.books.chain("user-0");
    let spy = Spy::on(Box::new(Postgres::open(node.address.clone()).unwrap()));
    let mut reader = Reader::over(Box::new(spy.clone()));
    let mut waits = |limit: usize, chain: Option<&Chain>| {
        let (chain, reason) = (chain.cloned(), None);
        let page = PageRequest {
            limit,
            cursor: None,
        };
        let page = reader.entries(&EntryFilter { chain, reason }, &page);
        assert_eq!(page.unwrap().items.len(), limit);
        spy.trips()
    };
    assert_eq!(
        [1, 20, 90, 1_000].map(|limit| waits(limit, Some(&chain))),
        [1, 1, 2, 6]
    );
    assert_eq!([1, 20, 90, 1_000].map(|limit| waits(limit, None)), [2; 4]);
    assert_eq!(reader.balance_at(&chain, Time(0)).unwrap(), None);
    assert_eq!(spy.trips(), 6);
    assert_eq!(reader.sums(&chain).unwrap().len(), 2);
    // A snapshot ends with a wait, and two kinds of accounts are looked up.
    assert_eq!(spy.trips(), 6 + 1 + 2);
}
