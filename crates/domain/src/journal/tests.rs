use proptest::prelude::*;

use super::{Cause, Link, Posting, Reason, Remark, Transaction, post};
use crate::account::{AccountKey, AccountKind};
use crate::amount::{Amount, Unit};
use crate::audit::{Audit, Books, Difference};
use crate::id::UserId;
use crate::refusal::Refusal;
use crate::state::{Change, Sequence, State};
use crate::time::Time;

fn wallet(name: &str) -> AccountKey {
    AccountKey::wallet(&UserId::parse(name).unwrap())
}

fn house() -> AccountKey {
    AccountKey::house(AccountKind::Adjusted, Unit::CREDIT)
}

fn usd() -> Unit {
    Unit::currency("usd").unwrap()
}

fn posting(from: &AccountKey, to: &AccountKey, amount: Amount) -> Posting {
    Posting {
        from: from.clone(),
        to: to.clone(),
        amount,
        grant: None,
    }
}

/// A transaction with a cause of its own, its accounts and cause loaded as absent.
fn transaction(state: &mut State, number: usize, postings: Vec<Posting>) -> Transaction {
    let cause = Cause::new("test", &number.to_string());
    state.causes.load(cause.clone(), None);
    for key in postings
        .iter()
        .flat_map(|posting| [&posting.from, &posting.to])
    {
        if key.kind.keeps_balance() {
            state.wallets.load(key.clone(), None);
        } else {
            state.accounts.load(key.clone(), None);
        }
    }
    Transaction {
        reason: Reason::Add,
        cause: Some(cause),
        at: Time(7),
        remark: Remark::default(),
        tags: String::new(),
        postings,
    }
}

fn balance(state: &State, key: &AccountKey) -> i64 {
    if key.kind.keeps_balance() {
        let wallet = state.wallets.get(key);
        wallet.map_or(0, |wallet| wallet.account.balance)
    } else {
        state.accounts.get(key).map_or(0, |account| account.balance)
    }
}

#[test]
fn a_posting_moves_an_amount_and_continues_the_chain() {
    let mut state = State::default();
    for number in 1..=3 {
        let step = transaction(
            &mut state,
            number,
            vec![posting(&house(), &wallet("a"), Amount::credits(10))],
        );
        post(&mut state, step).unwrap();
    }
    let account = &state.wallets.get(&wallet("a")).unwrap().account;
    assert_eq!(
        (
            account.balance,
            account.entries,
            account.head,
            account.number
        ),
        (30, 3, 3, 2)
    );
    let links: Vec<_> = state
        .journal
        .iter()
        .map(|posted| posted.rows[0].to.chain.unwrap())
        .collect();
    let link = |previous, balance| Link { previous, balance };
    assert_eq!(links, [link(0, 10), link(1, 20), link(2, 30)]);
    // The house keeps no balance: it would be one hot row for everybody.
    assert!(
        state
            .journal
            .iter()
            .all(|posted| posted.rows[0].from.chain.is_none())
    );
    assert_eq!(balance(&state, &house()), 0);
    assert_eq!((state.sequence.account, state.sequence.posting), (2, 3));
}

#[test]
fn what_is_not_a_movement_is_refused_and_writes_nothing() {
    let (credits, a, b) = (Amount::credits, wallet("a"), wallet("b"));
    let dollars = AccountKey::house(AccountKind::Clearing, usd());
    for (what, postings) in [
        ("no posting", vec![]),
        ("nothing", vec![posting(&a, &b, credits(0))]),
        ("less than nothing", vec![posting(&a, &b, credits(-5))]),
        ("to itself", vec![posting(&a, &a, credits(5))]),
        (
            "from credits to dollars",
            vec![posting(&a, &dollars, credits(5))],
        ),
        (
            "from dollars to credits",
            vec![posting(&dollars, &a, credits(5))],
        ),
        (
            "dollars between credits",
            vec![posting(&a, &b, Amount::new(5, usd()))],
        ),
        (
            "the second of two",
            vec![posting(&b, &a, credits(5)), posting(&a, &b, credits(0))],
        ),
    ] {
        let mut state = State::default();
        let wrong = transaction(&mut state, 1, postings);
        assert_eq!(post(&mut state, wrong), Err(Refusal::Unbalanced), "{what}");
        assert!(
            state.journal.is_empty()
                && state.accounts.changes().next().is_none()
                && state.wallets.changes().next().is_none(),
            "{what}"
        );
        assert_eq!(state.sequence, Sequence::default(), "{what}");
    }
}

#[test]
fn a_cause_is_posted_once() {
    let mut state = State::default();
    let first = transaction(
        &mut state,
        1,
        vec![posting(&house(), &wallet("a"), Amount::credits(10))],
    );
    let cause = first.cause.clone().unwrap();
    post(&mut state, first.clone()).unwrap();
    assert_eq!(
        post(&mut state, first),
        Err(Refusal::AlreadyPosted { cause })
    );
    assert_eq!(
        (balance(&state, &wallet("a")), state.journal.len()),
        (10, 1)
    );
}

#[test]
fn no_balance_leaves_the_range_of_64_bits() {
    let mut state = State::default();
    let all = Amount::credits(i64::MAX);
    let fill = transaction(&mut state, 1, vec![posting(&house(), &wallet("a"), all)]);
    post(&mut state, fill).unwrap();
    let one = Amount::credits(1);
    let over = transaction(&mut state, 2, vec![posting(&house(), &wallet("a"), one)]);
    assert_eq!(post(&mut state, over), Err(Refusal::BalanceOutOfRange));
    // Also when it would come back within the same transaction: the order of postings must not matter.
    let there_and_back = vec![
        posting(&house(), &wallet("a"), one),
        posting(&wallet("a"), &wallet("b"), one),
    ];
    let over = transaction(&mut state, 3, there_and_back);
    assert_eq!(post(&mut state, over), Err(Refusal::BalanceOutOfRange));
    let twice = vec![
        posting(&wallet("c"), &wallet("d"), all),
        posting(&wallet("c"), &wallet("d"), all),
    ];
    let under = transaction(&mut state, 4, twice);
    assert_eq!(post(&mut state, under), Err(Refusal::BalanceOutOfRange));
    assert_eq!(
        (balance(&state, &wallet("a")), state.journal.len()),
        (i64::MAX, 1)
    );
    let is_new = |change: Change| change == Change::Insert;
    let accounts = state.accounts.changes().map(|(_, change, _)| change);
    let wallets = state.wallets.changes().map(|(_, change, _)| change);
    assert_eq!(accounts.chain(wallets).filter(|it| is_new(*it)).count(), 2);
}

#[test]
fn transactions_without_a_cause_are_numbered_and_may_come_again() {
    let mut state = State::default();
    let mut step = transaction(
        &mut state,
        1,
        vec![posting(&house(), &wallet("a"), Amount::credits(10))],
    );
    step.cause = None;
    let ids = [step.clone(), step].map(|step| post(&mut state, step).unwrap().number());
    assert_eq!(ids, [1, 2]);
    assert_eq!(balance(&state, &wallet("a")), 20);
}

proptest! {
    /// Whatever is posted between whatever accounts: each unit sums to zero, and the audit finds nothing.
    #[test]
    fn any_journal_adds_up(moves in prop::collection::vec((0..5_usize, 0..5_usize, -3_i64..1_000), 0..40)) {
        let mut state = State::default();
        let accounts = [house(), wallet("a"), wallet("b"), wallet("c"), AccountKey::house(AccountKind::Sold, Unit::CREDIT)];
        for (number, (from, to, amount)) in moves.iter().enumerate() {
            let step = vec![posting(&accounts[*from], &accounts[*to], Amount::credits(*amount))];
            let step = transaction(&mut state, number, step);
            let posted = post(&mut state, step);
            prop_assert_eq!(posted.is_ok(), from != to && *amount > 0);
        }
        let houses = state.accounts.changes().filter_map(|(_, _, account)| account.cloned());
        let wallets = state.wallets.changes().filter_map(|(_, _, wallet)| wallet);
        let books = Books {
            accounts: houses.chain(wallets.map(|wallet| wallet.account.clone())).collect(),
            newest_posting: state.sequence.posting,
            ..Books::default()
        };
        let mut audit = Audit::of(books);
        for posted in &state.journal {
            for row in &posted.rows {
                audit.read(row, posted.id.number(), posted.transaction.reason);
            }
        }
        let report = audit.finish();
        prop_assert_eq!(report.postings, state.sequence.posting);
        prop_assert!(report.sums.values().all(|sum| *sum == 0));
        // Whether a wallet may get value without a grant, or go below zero, and what moves for which reason, is for the commands
        // to refuse, not for the journal.
        let is_about_sense =
            |it: &&Difference| matches!(it, Difference::Overpaid { .. } | Difference::WrongWay { .. });
        let other = report.differences.iter().find(|difference| !is_about_sense(difference));
        prop_assert_eq!(other, None);
    }
}
