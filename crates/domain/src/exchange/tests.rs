use super::{Exchange, Exchanged};
use crate::account::{AccountKey, AccountKind};
use crate::amount::{Amount, Unit};
use crate::command::{Command, Reply};
use crate::grant::{Category, CreateGrant, Source};
use crate::journal::{Posted, Remark};
use crate::refusal::Refusal;
use crate::world::{World, credits, terms, user};

fn dollars() -> Unit {
    Unit::currency("usd").unwrap()
}

fn wish(give: Amount, get: Amount) -> Exchange {
    Exchange {
        user: user(0),
        give,
        get,
        category: Category::Paid,
        remark: Remark::default(),
    }
}

fn exchange(world: &mut World, wish: Exchange) -> Result<Exchanged, Refusal> {
    match world.ask(Command::Exchange(wish))? {
        Reply::Exchanged(exchanged) => Ok(exchanged),
        other => panic!("{other:?}"),
    }
}

#[test]
fn one_unit_is_given_and_another_got_by_two_transactions_that_name_each_other() {
    let mut world = World::new();
    // Something expires in both wallets, so that more than the exchange has to be booked.
    for unit in [Unit::CREDIT, dollars()] {
        world.give(CreateGrant {
            amount: Amount::new(30, unit),
            expires_at: Some(world.now.plus_seconds(5)),
            ..terms(1)
        });
    }
    world.give(terms(100));
    world.wait(5);
    let done = exchange(
        &mut world,
        wish(Amount::credits(40), Amount::new(7, dollars())),
    )
    .unwrap();
    assert_eq!((done.balance, done.got.remaining), (60, 7));
    assert_eq!(done.got.source, Source::Exchange);
    let halves: Vec<&Posted> = world
        .journal
        .iter()
        .filter(|posted| posted.transaction.tags == format!("exchange:{}", done.given))
        .collect();
    assert_eq!(halves.len(), 2);
    assert_eq!(halves[0].id, done.given);
    let causes = halves
        .iter()
        .map(|half| half.transaction.cause.clone().unwrap());
    let number = done.given.number().to_string();
    assert!(causes.into_iter().all(|cause| cause.id == number));
    assert_eq!(
        world.balance(&AccountKey::wallet_in(&user(0), dollars())),
        7
    );
    assert_eq!(world.balance(&credits()), 60);
    assert_eq!(world.house(AccountKind::Exchanged), 40);
    world.check();
}

#[test]
fn what_is_not_there_or_not_another_unit_is_not_exchanged() {
    let mut world = World::new();
    world.give(terms(10));
    let before = world.clone();
    let refused = |world: &mut World, give, get| {
        let refused = exchange(world, wish(give, get));
        refused.unwrap_err().code()
    };
    let (credits, dollars) = (Amount::credits, |cents| Amount::new(cents, dollars()));
    for (give, get, code) in [
        (credits(11), dollars(1), "insufficient_credits"),
        (dollars(1), credits(1), "insufficient_credits"),
        (credits(1), credits(1), "same_unit"),
        (credits(0), dollars(1), "parameter_out_of_range"),
        (credits(1), dollars(-1), "parameter_out_of_range"),
    ] {
        assert_eq!(refused(&mut world, give, get), code);
    }
    world.assert_same(&before);
}
