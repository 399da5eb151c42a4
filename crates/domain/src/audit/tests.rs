//! Each way in which books can be wrong is found, and said in a sentence.

use super::Books;
use crate::account::{AccountKey, AccountKind};
use crate::amount::Unit;
use crate::grant::{CreateGrant, Part, RollOver};
use crate::hold::Overage;
use crate::id::{GrantId, TransactionId};
use crate::journal::{Posted, Reason};
use crate::world::{World, audit, credits, terms};

/// Books of a wallet in which a bit of everything has happened: a debt that was paid back, an open hold, a roll-over.
fn sound() -> (Books, Vec<Posted>) {
    let mut world = World::new();
    world.owe(10);
    let roll_over = Some(RollOver {
        cap: 5,
        seconds: 100,
    });
    world.give(CreateGrant {
        expires_at: Some(world.now.plus_seconds(5)),
        roll_over,
        ..terms(30)
    });
    world.charge(3).unwrap();
    world.wait(5);
    world.sweep();
    world.give(terms(50));
    world.hold(7, 100, Overage::Charge);
    world.check();
    (world.books(), world.journal)
}

/// What is found, by the names of the differences, after something was falsified.
fn found(falsify: impl FnOnce(&mut Books, &mut Vec<Posted>)) -> Vec<String> {
    let (mut books, mut journal) = sound();
    falsify(&mut books, &mut journal);
    let mut names: Vec<String> = audit(books, &journal)
        .differences
        .iter()
        .map(|difference| {
            assert!(!difference.to_string().is_empty(), "{difference:?}");
            let name = format!("{difference:?}");
            let end = name.find(' ').unwrap_or(name.len());
            name[..end].to_owned()
        })
        .collect();
    names.dedup();
    names
}

fn account(books: &mut Books, key: &AccountKey) -> usize {
    let mut accounts = books.accounts.iter();
    accounts.position(|account| account.key == *key).unwrap()
}

fn wallet(books: &mut Books) -> &mut crate::account::Account {
    let place = account(books, &credits());
    &mut books.accounts[place]
}

#[test]
fn sound_books_are_found_sound() {
    assert_eq!(found(|_, _| {}), [""; 0]);
}

#[test]
fn rows_of_wallets_that_are_wrong_are_found() {
    assert_eq!(
        found(|books, _| wallet(books).balance += 1),
        ["WrongBalance"]
    );
    assert_eq!(
        found(|books, _| wallet(books).entries += 1),
        ["WrongEntryCount"]
    );
    let head = found(|books, _| wallet(books).head -= 1);
    assert!(head.contains(&"RowTooOld".to_owned()), "{head:?}");
    let head = found(|books, _| wallet(books).head += 1);
    assert!(head.contains(&"WrongHead".to_owned()), "{head:?}");
}

#[test]
fn a_row_may_lag_behind_as_far_as_is_said_and_no_further() {
    let behind = |lag| {
        found(|books, journal| {
            let newest = journal.last().unwrap().rows.last().unwrap();
            let (previous, amount) = (newest.to.chain.unwrap().previous, newest.amount);
            let row = wallet(books);
            row.head = previous;
            row.balance -= amount;
            row.entries -= 1;
            books.grants.last_mut().unwrap().remaining = 0;
            books.lag = lag;
        })
    };
    assert_eq!(behind(1), [""; 0]);
    assert_eq!(behind(0), ["RowTooOld"]);
}

#[test]
fn grants_that_are_wrong_are_found() {
    let remaining = found(|books, _| books.grants[0].remaining += 1);
    assert_eq!(remaining, ["WrongRemaining"]);
    let held = found(|books, _| books.reserved[0].amount += 1_000);
    assert_eq!(held, ["HeldTwice"]);
    let unknown = found(|books, _| {
        books.reserved.push(Part {
            grant: GrantId::of(99),
            amount: 1,
        });
    });
    assert_eq!(unknown, ["Unexplained"]);
    let foreign = found(|books, _| {
        books.grants[0].wallet = AccountKey::wallet_in(&crate::world::user(1), Unit::CREDIT);
    });
    assert!(foreign.contains(&"ForeignGrant".to_owned()), "{foreign:?}");
}

#[test]
fn a_journal_that_was_changed_is_found() {
    let of_reason = |journal: &[Posted], reason| {
        let mut transactions = journal.iter();
        transactions
            .position(|posted| posted.transaction.reason == reason)
            .unwrap()
    };
    let more = found(|_, journal| {
        let charge = of_reason(journal, Reason::Charge);
        journal[charge].rows[0].amount += 1_000;
    });
    assert!(more.contains(&"WrongRunningBalance".to_owned()), "{more:?}");
    let missing = found(|_, journal| drop(journal.remove(2)));
    for name in ["Gap", "TransactionGap", "BrokenChain"] {
        assert!(missing.contains(&name.to_owned()), "{missing:?}");
    }
    let reason = found(|_, journal| {
        let charge = of_reason(journal, Reason::Charge);
        journal[charge].transaction.reason = Reason::Topup;
    });
    assert_eq!(reason, ["WrongWay"]);
    let number = found(|_, journal| journal.last_mut().unwrap().id = TransactionId::of(99));
    assert_eq!(number, ["TransactionGap"]);
    let none = found(|_, journal| journal[0].rows[0].amount = 0);
    assert!(none.contains(&"NotPositive".to_owned()), "{none:?}");
    let account = found(|_, journal| journal[0].rows[0].to.account = 99);
    assert!(
        account.contains(&"UnknownAccount".to_owned()),
        "{account:?}"
    );
}

#[test]
fn units_that_were_mixed_are_found() {
    let mixed = found(|books, _| {
        let spent = AccountKey::house(AccountKind::Spent, Unit::CREDIT);
        let place = account(books, &spent);
        books.accounts[place].key.unit = Unit::currency("usd").unwrap();
    });
    assert_eq!(mixed, ["MixedUnits"]);
}

#[test]
fn value_that_came_from_nowhere_is_found() {
    // As if a debt had been paid back twice.
    let overpaid = found(|_, journal| {
        let grant = journal
            .iter_mut()
            .rev()
            .find(|posted| posted.transaction.reason == Reason::Grant);
        grant.unwrap().rows[0].grant = None;
    });
    assert!(overpaid.contains(&"Overpaid".to_owned()), "{overpaid:?}");
    // As if more of a grant had been spent than it had.
    let below = found(|_, journal| {
        let charge = journal
            .iter_mut()
            .filter(|posted| posted.transaction.reason == Reason::Charge);
        charge.last().unwrap().rows[0].amount = 1_000;
    });
    assert!(below.contains(&"BelowZero".to_owned()), "{below:?}");
    // As if what had passed on had not arrived.
    let stays = found(|books, journal| {
        let arrives = journal
            .iter_mut()
            .rev()
            .find(|posted| posted.transaction.reason == Reason::RollOver);
        let sold = AccountKey::house(AccountKind::Sold, Unit::CREDIT);
        let place = account(books, &sold);
        arrives.unwrap().rows[0].from.account = books.accounts[place].number;
    });
    assert_eq!(stays, ["WrongWay", "Unexplained"]);
}
