use super::{ActionPrice, Charge, Charged, Price};
use crate::amount::{Amount, Unit};
use crate::command::{Command, Precheck, Reply};
use crate::grant::{AMOUNT_MAX, CreateGrant};
use crate::limit::Spender;
use crate::refusal::Refusal;
use crate::world::{World, plain_charge, terms};

fn action(name: &str, quantity: i64) -> Charge {
    Charge {
        price: Price::Action {
            name: name.to_owned(),
            quantity,
        },
        ..plain_charge(0, 1)
    }
}

fn world() -> World {
    let mut world = World::new();
    let prices = [
        ("picture", "10"),
        ("token", "1/1000"),
        ("dear", "1000000000"),
    ];
    for (name, price) in prices {
        let price = ActionPrice::parse(price).unwrap();
        world.policy.actions.insert(name.to_owned(), price);
    }
    world.give(terms(100));
    world
}

fn code(refused: Result<Charged, Refusal>) -> &'static str {
    refused.unwrap_err().code()
}

#[test]
fn actions_cost_what_the_operator_says_rounded_up() {
    let mut world = world();
    for (name, quantity, cost) in [("picture", 3, 30), ("token", 1, 1), ("token", 1_001, 2)] {
        let charged = world.charge_as(action(name, quantity)).unwrap();
        assert_eq!(charged.amount, cost);
    }
    assert_eq!(
        code(world.charge_as(action("picture", 0))),
        "parameter_out_of_range"
    );
    assert_eq!(code(world.charge_as(action("sound", 1))), "action_unknown");
    assert_eq!(
        code(world.charge_as(action("dear", 1_001))),
        "parameter_invalid"
    );
    assert_eq!(
        code(world.charge_as(action("dear", AMOUNT_MAX))),
        "balance_out_of_range"
    );
    assert_eq!(code(world.charge(0)), "parameter_out_of_range");
    assert_eq!(code(world.charge(AMOUNT_MAX + 1)), "parameter_out_of_range");
    world.check();
}

#[test]
fn an_action_is_paid_in_credits_only() {
    let mut world = world();
    let usd = Unit::currency("usd").unwrap();
    world.give(CreateGrant {
        amount: Amount::new(100, usd),
        ..terms(1)
    });
    let in_dollars = Charge {
        unit: usd,
        ..action("picture", 1)
    };
    assert_eq!(code(world.charge_as(in_dollars)), "parameter_invalid");
}

#[test]
fn a_charge_says_what_it_was_for_in_words_that_programs_read() {
    let mut world = world();
    let spender = Spender {
        api_key: Some("k-7".to_owned()),
        labels: vec!["red".to_owned(), "red".to_owned()],
    };
    let charge = Charge {
        spender,
        ..action("picture", 3)
    };
    world.charge_as(charge).unwrap();
    let tags = &world.journal.last().unwrap().transaction.tags;
    assert_eq!(tags, "action:picture*3 key:k-7 label:red");
}

#[test]
fn without_a_price_it_is_only_asked_whether_there_is_a_debt() {
    let mut world = world();
    let ask = |world: &mut World| {
        let precheck = Precheck {
            charge: plain_charge(0, 1_000),
            priced: false,
        };
        match world.ask(Command::Precheck(precheck)) {
            Ok(Reply::Prechecked(told)) => told,
            other => panic!("{other:?}"),
        }
    };
    let told = ask(&mut world);
    assert_eq!((told.cost, told.available, told.refusal), (0, 100, None));
    world.owe(101);
    let told = ask(&mut world);
    let refusal = Refusal::InsufficientCredits {
        available: -1,
        missing: 1,
    };
    assert_eq!((told.available, told.refusal), (-1, Some(refusal)));
}
