use proptest::prelude::*;

use super::{Period, SetLimit, Spender, SpendingLimit, Subject, SubjectKind, Use};
use crate::amount::{Amount, Unit};
use crate::announcement::Happening;
use crate::charge::Charge;
use crate::command::{Command, Reply, Request};
use crate::hold::{CreateHold, Hold, Overage};
use crate::id::{LimitId, UserId};
use crate::refusal::Refusal;
use crate::time::Time;
use crate::world::{World, plain_charge, steps, terms};

fn at(text: &str) -> Time {
    Time(text.parse::<jiff::Timestamp>().unwrap().as_microsecond())
}

#[test]
fn periods_are_those_of_the_calendar_in_utc() {
    let now = at("2028-02-29T23:59:59.999999Z");
    let bounds = |period: Period| {
        let ends = period.ends(now).map(|at| at.to_string());
        (period.began(now).to_string(), ends.unwrap_or_default())
    };
    let day = ("2028-02-29T00:00:00Z".into(), "2028-03-01T00:00:00Z".into());
    let week = ("2028-02-28T00:00:00Z".into(), "2028-03-06T00:00:00Z".into());
    let month = ("2028-02-01T00:00:00Z".into(), "2028-03-01T00:00:00Z".into());
    assert_eq!(
        [Period::Day, Period::Week, Period::Month].map(bounds),
        [day, week, month]
    );
    assert_eq!(Period::Ever.ends(now), None);
}

#[test]
fn a_period_begins_with_its_first_microsecond() {
    let monday = at("2026-11-23T00:00:00Z");
    assert_eq!(Period::Week.began(monday), monday);
    assert_eq!(Period::Day.began(monday), monday);
    assert_eq!(Period::Day.ends(Time(monday.0 - 1)), Some(monday));
}

fn red() -> Subject {
    Subject {
        kind: SubjectKind::Label,
        name: "red".to_owned(),
    }
}

fn wish(subject: Subject, period: Period, most: i64) -> SetLimit {
    SetLimit {
        subject,
        most: Amount::credits(most),
        period,
    }
}

/// A charge of the first user for a team.
fn for_red(amount: i64) -> Charge {
    Charge {
        spender: Spender {
            api_key: None,
            labels: vec!["red".to_owned()],
        },
        ..plain_charge(0, amount)
    }
}

fn hold_for_red(amount: i64) -> CreateHold {
    CreateHold {
        charge: for_red(amount),
        seconds: Some(100),
        overage: Some(Overage::Charge),
    }
}

fn rich() -> World {
    let mut world = World::new();
    world.give(terms(10_000));
    world
}

fn limit(world: &World, id: LimitId) -> &SpendingLimit {
    &world.limits[&id]
}

fn code<T>(refused: Result<T, Refusal>) -> Option<&'static str> {
    refused.err().map(|refusal| refusal.code())
}

#[test]
fn a_limit_holds_to_the_last_credit_and_begins_again() {
    let mut world = rich();
    let month = world.set_limit(wish(red(), Period::Month, 100));
    world.charge_as(for_red(60)).unwrap();
    assert_eq!(
        code(world.charge_as(for_red(41))),
        Some("spending_limit_reached")
    );
    // Others are not concerned.
    world.charge(41).unwrap();
    world.charge_as(for_red(40)).unwrap();
    assert_eq!(limit(&world, month.id).used(world.now), 100);
    let reached = Happening::LimitReached {
        limit: month.id,
        spent: 100,
    };
    assert_eq!(world.announced("limit.reached"), [reached]);
    // The month is over in half a minute.
    world.wait(30);
    assert_eq!(limit(&world, month.id).used(world.now), 0);
    world.charge_as(for_red(100)).unwrap();
    // A clock that steps back does not open the old month again.
    world.wait(-30);
    assert_eq!(
        code(world.charge_as(for_red(1))),
        Some("spending_limit_reached")
    );
}

#[test]
fn what_a_hold_reserves_counts_until_it_ends_and_what_it_settles_in_the_period_of_its_end() {
    let mut world = rich();
    let month = world.set_limit(wish(red(), Period::Month, 100)).id;
    let hold = world.hold_as(hold_for_red(60)).unwrap();
    assert_eq!(
        code(world.hold_as(hold_for_red(41))),
        Some("spending_limit_reached")
    );
    world.charge_as(for_red(10)).unwrap();
    world.wait(30);
    // A new month: what was spent is forgotten, what is reserved is not.
    assert_eq!(limit(&world, month).used(world.now), 60);
    world.settle(hold.id, 25).unwrap();
    let now = limit(&world, month);
    assert_eq!((now.spent, now.reserved), (25, 0));
}

#[test]
fn what_is_used_beyond_a_hold_needs_room_in_the_limits() {
    let mut world = rich();
    let set = world.set_limit(wish(red(), Period::Ever, 100)).id;
    world.charge_as(for_red(30)).unwrap();
    let [hold, lapsed] = [40, 20].map(|amount| world.hold_as(hold_for_red(amount)).unwrap().id);
    let before = world.clone();
    assert_eq!(code(world.settle(hold, 51)), Some("spending_limit_reached"));
    world.assert_same(&before);
    world.settle(hold, 45).unwrap();
    // One that nobody ends settles as far as the limits allow.
    let used = 90;
    let progress = Command::ProgressHold { hold: lapsed, used };
    world.ask(progress).unwrap();
    world.wait(100);
    world.sweep();
    let lapsed = &world.holds[&lapsed];
    assert_eq!((lapsed.settled, lapsed.uncovered), (25, 65));
    assert_eq!(limit(&world, set).used(world.now), 100);
}

#[test]
fn a_limit_that_a_hold_fills_is_reached_once() {
    let mut world = rich();
    world.set_limit(wish(red(), Period::Ever, 60));
    let hold = world.hold_as(hold_for_red(60)).unwrap();
    assert_eq!(world.announced("limit.reached").len(), 1);
    world.settle(hold.id, 60).unwrap();
    assert_eq!(world.announced("limit.reached").len(), 1);
}

#[test]
fn a_limit_set_during_a_hold_counts_what_it_settles_and_all_of_it_once_it_is_extended() {
    let extend = |world: &mut World, hold: &Hold, more| {
        world.ask_hold(Command::ExtendHold {
            hold: hold.id,
            more,
            seconds: None,
        })
    };
    let mut world = rich();
    let hold = world.hold_as(hold_for_red(60)).unwrap();
    let set = world.set_limit(wish(red(), Period::Ever, 100)).id;
    assert_eq!(limit(&world, set).reserved, 0);
    // Not by small steps, either.
    assert_eq!(
        code(extend(&mut world, &hold, 41)),
        Some("spending_limit_reached")
    );
    extend(&mut world, &hold, 30).unwrap();
    assert_eq!(limit(&world, set).reserved, 90);
    assert_eq!(
        code(extend(&mut world, &hold, 11)),
        Some("spending_limit_reached")
    );
    extend(&mut world, &hold, 10).unwrap();
    world.check();
    world.settle(hold.id, 70).unwrap();
    assert_eq!(
        (limit(&world, set).spent, limit(&world, set).reserved),
        (70, 0)
    );
}

#[test]
fn a_limit_removed_and_set_again_during_a_hold_begins_at_zero() {
    let mut world = rich();
    let first = world.set_limit(wish(red(), Period::Ever, 100)).id;
    let hold = world.hold_as(hold_for_red(60)).unwrap();
    world.ask(Command::RemoveLimit(first)).unwrap();
    assert_eq!(
        code(world.ask(Command::RemoveLimit(first))),
        Some("limit_not_found")
    );
    let second = world.set_limit(wish(red(), Period::Ever, 100)).id;
    world.check();
    world.settle(hold.id, 60).unwrap();
    assert_eq!(
        (limit(&world, second).spent, limit(&world, second).reserved),
        (60, 0)
    );
}

#[test]
fn a_label_named_twice_counts_once() {
    let mut world = rich();
    let set = world.set_limit(wish(red(), Period::Day, 10)).id;
    let mut twice = for_red(6);
    twice.spender.labels.push("red".to_owned());
    world.charge_as(twice.clone()).unwrap();
    assert_eq!(limit(&world, set).spent, 6);
    let wish = CreateHold {
        charge: Charge {
            price: crate::charge::Price::Exactly(4),
            ..twice
        },
        seconds: None,
        overage: None,
    };
    let hold = world.hold_as(wish).unwrap();
    assert_eq!((limit(&world, set).reserved, hold.limits), (4, vec![set]));
}

/// Nobody needs to look for limits as long as there are none; one that is set counts from the next command on.
#[test]
fn the_first_limit_counts_in_the_batch_that_sets_it() {
    let mut world = rich();
    let asked = [
        Command::Charge(for_red(100)),
        Command::SetLimit(wish(red(), Period::Ever, 10)),
        Command::Charge(for_red(11)),
        Command::Charge(for_red(10)),
        Command::RemoveLimit(LimitId::of(1)),
        Command::Charge(for_red(11)),
    ];
    let requests = asked.map(|command| Request {
        command,
        idempotency: None,
    });
    let (answers, _) = world.run(&requests);
    let allowed: Vec<bool> = answers.iter().map(|(answer, _)| answer.is_ok()).collect();
    assert_eq!(allowed, [true, true, false, true, true, true]);
    assert!(world.limits.is_empty());
}

#[test]
fn counting_never_wraps() {
    let mut world = rich();
    let mut set = world.set_limit(wish(red(), Period::Ever, 10));
    set.spent = i64::MAX;
    set.spend(1, world.now);
    assert_eq!(set.spent, i64::MAX);
    set.reserved = i64::MAX;
    assert_eq!(set.used(world.now), i64::MAX);
    assert_eq!(
        Use::spent(5),
        Use {
            spent: 5,
            reserved: 0
        }
    );
}

/// What somebody spent, as seen from outside.
struct Spent {
    at: Time,
    order: usize,
    who: Vec<Subject>,
    unit: Unit,
    amount: i64,
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    /// A limit has counted what a list of all that was spent says: by whom it concerns, in its unit and period, since it was set.
    #[test]
    fn limits_count_what_was_spent(steps in steps(true)) {
        let mut world = World::new();
        let mut all: Vec<Spent> = vec![];
        let mut set_in: std::collections::BTreeMap<LimitId, usize> = std::collections::BTreeMap::new();
        for (order, step) in steps.iter().enumerate() {
            if let crate::world::Step::Wait(seconds) = step {
                world.wait(*seconds);
                continue;
            }
            let Some(command) = step.command(&world, order, 1) else { continue };
            let ended = |world: &World| -> Vec<Hold> {
                world.holds.values().filter(|hold| hold.ended_at.is_some()).cloned().collect()
            };
            let before = ended(&world);
            let answer = world.ask(command.clone());
            let mut spent = |charge: &Charge| all.push(Spent {
                at: world.now,
                order,
                who: charge.spender.subjects(&charge.user),
                unit: charge.unit,
                amount: charge.cost(&world.policy).unwrap(),
            });
            match (&command, &answer) {
                (Command::Charge(charge), Ok(_)) => spent(charge),
                (Command::ChargeAll(charges), Ok(Reply::ChargedAll(answers))) => {
                    for ((charge, _), answer) in charges.charges.iter().zip(answers) {
                        if answer.is_ok() {
                            spent(charge);
                        }
                    }
                }
                (Command::SetLimit(_), Ok(Reply::Limit(limit))) => {
                    set_in.entry(limit.id).or_insert(order);
                }
                _ => {}
            }
            for hold in ended(&world).into_iter().filter(|hold| !before.contains(hold)) {
                let (at, unit, amount) = (world.now, hold.wallet.unit, hold.settled);
                let user = UserId::parse(hold.wallet.owner.as_str()).unwrap();
                let who = hold.spender.subjects(&user);
                all.push(Spent { at, order, who, unit, amount });
            }
            for limit in world.limits.values() {
                let began = limit.period.began(world.now);
                let counted = all.iter().filter(|it| {
                    it.who.contains(&limit.subject)
                        && it.unit == limit.most.unit
                        && it.order > set_in[&limit.id]
                        && it.at >= began
                });
                let counted: i64 = counted.map(|it| it.amount).sum();
                prop_assert_eq!(limit.used(world.now), counted + limit.reserved);
            }
            world.check();
        }
    }
}
