//! What holds for wallets whatever happens to them. Steps are drawn at random; `world` says which.

use std::collections::BTreeSet;

use proptest::prelude::*;

use crate::account::{AccountKey, AccountKind};
use crate::amount::{Amount, Unit};
use crate::announcement::Happening;
use crate::charge::{Charge, Charged};
use crate::command::{Command, Reply, Request};
use crate::grant::{Category, CreateGrant, Part, Source};
use crate::journal::Reason;
use crate::refusal::Refusal;
use crate::world::{Answered, Step, World, plain_charge, steps, user};

/// The largest overdraft that steps set, or that is configured.
const OVERDRAFT_MAX: i64 = 90;

/// So much more than usual, up to the most that one movement may move.
const SCALES: [i64; 2] = [1, 10_000_000_000];

/// Lets time pass or asks what the step asks, in a batch of its own; what was answered, and whether anything changed.
fn take(world: &mut World, place: usize, step: &Step, scale: i64) -> Option<(Answered, bool)> {
    if let Step::Wait(seconds) = step {
        world.now = world.now.plus_seconds(*seconds);
        return None;
    }
    let command = step.command(world, place, scale)?;
    let request = Request {
        command,
        idempotency: None,
    };
    let (mut answers, changed) = world.run(&[request]);
    Some((answers.remove(0), changed))
}

/// What a charge says about itself agrees with the journal and with what was asked for.
fn check_charged(world: &World, charged: &Charged, cost: Option<i64>) {
    let paid: i64 = charged.parts.iter().map(|part| part.amount).sum();
    assert_eq!(paid + charged.debt, charged.amount, "{charged:#?}");
    assert!(cost.is_none_or(|cost| cost == charged.amount));
    assert!(charged.debt >= 0 && charged.parts.iter().all(|part| part.amount > 0));
    let grants: BTreeSet<_> = charged.parts.iter().map(|part| part.grant).collect();
    assert_eq!(grants.len(), charged.parts.len(), "a grant paid twice");
    let posted = world.journal.iter().find(|posted| posted.id == charged.id);
    let postings = &posted.unwrap().transaction.postings;
    let spent = AccountKey::house(AccountKind::Spent, charged.wallet.unit);
    assert!(
        postings
            .iter()
            .all(|it| it.from == charged.wallet && it.to == spent)
    );
    let booked = postings.iter().map(|it| it.amount.minor);
    assert_eq!(booked.sum::<i64>(), charged.amount);
}

fn check_answer(world: &World, step: &Step, scale: i64, answer: &Result<Reply, Refusal>) {
    match (step, answer) {
        (Step::Charge(drawn), Ok(Reply::Charged(charged))) => {
            check_charged(world, charged, Some(drawn.2 * scale));
        }
        (Step::ChargeAll(all, _), Ok(Reply::ChargedAll(answers))) => {
            assert_eq!(all.len(), answers.len());
            for (drawn, answer) in all.iter().zip(answers) {
                if let Ok((charged, _)) = answer {
                    check_charged(world, charged, Some(drawn.2 * scale));
                }
            }
        }
        (Step::Settle(_, used), Ok(Reply::Hold(hold))) => {
            assert_eq!((hold.settled, hold.uncovered), (used * scale, 0));
        }
        _ => {}
    }
}

/// A debt is paid back first: by what is granted, and by what would be lost.
fn check_repaid(before: &World, world: &World, step: &Step, answer: &Result<Reply, Refusal>) {
    if let Ok(Reply::Grant(grant)) = answer
        && matches!(step, Step::Grant { .. })
    {
        let mut swept = before.clone();
        take(&mut swept, 0, &Step::SweepWallets, 1);
        let wallet = swept.wallet(&grant.wallet);
        let debt = wallet.map_or(0, |wallet| wallet.debt());
        let begins = grant.starts_at.is_none_or(|start| start <= world.now);
        let repaid = if begins { debt.min(grant.granted) } else { 0 };
        assert_eq!(grant.remaining, grant.granted - repaid);
    }
    // A hold that ends by the clock may make a new debt after something was lost.
    if matches!(step, Step::SweepWallets) {
        for told in &world.announcements[before.announcements.len()..] {
            if matches!(told.happening, Happening::GrantExpired { expired, .. } if expired > 0) {
                assert_eq!(world.wallet(&told.wallet).unwrap().debt(), 0);
            }
        }
    }
}

/// What is available, now and later, for each wallet.
fn available(world: &World) -> Vec<(AccountKey, i64)> {
    let keys = world.wallet_keys().into_iter();
    keys.map(|key| {
        let available = world.available(&key);
        (key, available)
    })
    .collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// The books add up after every command, and what is refused or only asked changes nothing.
    #[test]
    fn books_add_up_whatever_happens(
        (debt, steps) in any::<bool>().prop_flat_map(|debt| (Just(debt), steps(debt))),
        scale in prop::sample::select(&SCALES[..]),
    ) {
        let mut world = World::new();
        world.policy.overdraft *= scale;
        for (place, step) in steps.iter().enumerate() {
            prop_assert!(debt || !step.may_make_debt());
            let before = world.clone();
            let Some(((answer, replayed), changed)) = take(&mut world, place, step, scale) else {
                continue;
            };
            prop_assert!(!replayed);
            world.check();
            check_answer(&world, step, scale, &answer);
            check_repaid(&before, &world, step, &answer);
            if answer.is_err() || matches!(step, Step::Precheck(..)) {
                prop_assert!(!changed, "{step:?} changed something: {answer:?}");
                world.assert_same(&before);
            }
            for key in world.wallet_keys() {
                let wallet = world.wallet(&key).unwrap();
                let least = if debt { -OVERDRAFT_MAX * scale } else { 0 };
                prop_assert!(wallet.available(world.now) >= least, "{wallet:#?}");
                prop_assert!(debt || wallet.debt() == 0);
            }
        }
    }

    /// Whoever asks first whether a charge would be made is told the truth: yes, and what it costs, or no in the same words.
    #[test]
    fn a_precheck_says_what_a_charge_would_say(steps in steps(true)) {
        let mut world = World::new();
        for (place, step) in steps.iter().enumerate() {
            if let Step::Charge(drawn) = step {
                let asked = take(&mut world, place, &Step::Precheck(*drawn, true), 1).unwrap().0.0;
                let Ok(Reply::Prechecked(told)) = asked else {
                    return Err(TestCaseError::fail("not answered"));
                };
                let made = take(&mut world, place, step, 1).unwrap().0.0;
                prop_assert_eq!(told.cost, drawn.2);
                prop_assert_eq!(made.err(), told.refusal);
            } else {
                take(&mut world, place, step, 1);
            }
        }
    }

    /// Commands that come together end as if they had come one by one, or in any other batches.
    #[test]
    fn batches_do_not_matter(steps in steps(true), cut in 1..5_usize) {
        let mut worlds = [World::new(), World::new(), World::new()];
        let mut answers = [vec![], vec![], vec![]];
        let moments = steps.split_inclusive(|step| matches!(step, Step::Wait(_)));
        let mut place = 0;
        for moment in moments {
            let begun = worlds[0].clone();
            let asked = moment.iter().enumerate();
            let requests: Vec<Request> = asked
                .filter_map(|(at, step)| step.request(&begun, place + at, 1))
                .collect();
            place += moment.len();
            for ((world, answers), size) in worlds.iter_mut().zip(&mut answers).zip([1, cut, 60]) {
                for batch in requests.chunks(size) {
                    answers.extend(world.run(batch).0);
                }
                if let Some(Step::Wait(seconds)) = moment.last() {
                    world.now = world.now.plus_seconds(*seconds);
                }
            }
            let [one, some, all] = &worlds;
            one.assert_same(some);
            one.assert_same(all);
        }
        let [one, some, all] = &answers;
        prop_assert_eq!(one, some);
        prop_assert_eq!(one, all);
    }

    /// Whatever was asked before is answered in the same words, and not done again, also much later.
    #[test]
    fn repeats_change_nothing(steps in steps(true), later in 0..100_i64, prefix in 1..60_usize) {
        let mut world = World::new();
        let mut asked = vec![];
        for (place, step) in steps.iter().enumerate() {
            if let Step::Wait(seconds) = step {
                world.now = world.now.plus_seconds(*seconds);
            }
            let Some(request) = step.request(&world, place, 1) else { continue };
            let (answers, _) = world.run(std::slice::from_ref(&request));
            asked.extend(answers.into_iter().map(|answer| (request.clone(), answer.0)));
        }
        world.now = world.now.plus_seconds(later);
        asked.truncate(prefix);
        let before = world.clone();
        let requests: Vec<Request> = asked.iter().map(|(request, _)| request.clone()).collect();
        let (answers, changed) = world.run(&requests);
        prop_assert!(!changed);
        world.assert_same(&before);
        for ((_, first), (answer, replayed)) in asked.into_iter().zip(answers) {
            prop_assert_eq!(answer, first);
            prop_assert!(replayed);
        }
    }

    /// Charges that are made together under keys of their own are the same charges as by themselves.
    #[test]
    fn charges_of_a_batch_are_made_once(
        charges in prop::collection::vec((1..60_i64, 1..9_usize), 1..6), atomic in any::<bool>(),
    ) {
        let mut world = World::new();
        give(&mut world, 150, 50, None, None);
        let drawn = charges.iter().map(|(amount, _)| (0, 0, *amount, false, 0)).collect();
        let step = Step::ChargeAll(drawn, atomic);
        let first = take(&mut world, 0, &step, 1).unwrap().0.0;
        let cost: i64 = charges.iter().map(|(amount, _)| amount).sum();
        if atomic {
            prop_assert_eq!(first.is_ok(), cost <= 150);
        }
        let (again, changed) = take(&mut world, 0, &step, 1).unwrap();
        prop_assert!(!changed);
        let Ok(Reply::ChargedAll(first)) = first else { return Ok(()) };
        let Ok(Reply::ChargedAll(again)) = again.0 else {
            return Err(TestCaseError::fail("not answered again"));
        };
        for (first, again) in first.into_iter().zip(again) {
            let again = again.map(|(charged, replayed)| (charged, !replayed));
            prop_assert_eq!(first, again);
        }
    }

    /// Grants pay in the order that a naive sort gives: priority, the sooner expiry, age.
    #[test]
    fn grants_burn_in_order(
        grants in prop::collection::vec(
            (1..50_i64, 0..3_i64, prop::option::weighted(0.3, 1..20_i64), prop::option::of(1..20_i64)), 1..12),
        wait in 0..25_i64,
        amount in 1..200_i64,
    ) {
        let mut world = World::new();
        let key = AccountKey::wallet(&user(0));
        let mut model = vec![];
        for (credits, priority, starts_in, expires_in) in grants {
            let Some(id) = give(&mut world, credits, priority, starts_in, expires_in) else { continue };
            let usable = starts_in.is_none_or(|start| start <= wait) && expires_in.is_none_or(|expiry| wait < expiry);
            model.push((priority, expires_in.unwrap_or(i64::MAX), id, if usable { credits } else { 0 }));
        }
        world.now = world.now.plus_seconds(wait);
        model.sort_by_key(|(priority, expiry, id, _)| (*priority, *expiry, *id));
        let (mut left, mut expected) = (amount, vec![]);
        for (_, _, grant, credits) in &model {
            let paid = left.min(*credits);
            left -= paid;
            if paid > 0 {
                expected.push(Part { grant: *grant, amount: paid });
            }
        }
        let all: i64 = model.iter().map(|(_, _, _, credits)| credits).sum();
        prop_assert_eq!(world.available(&key), all);
        match world.ask(Command::Charge(plain_charge(0, amount))) {
            Ok(Reply::Charged(charged)) => {
                prop_assert_eq!((left, charged.debt), (0, 0));
                prop_assert_eq!(charged.parts, expected);
            }
            refused => {
                let missing = amount - all;
                prop_assert!(missing > 0);
                prop_assert_eq!(refused, Err(Refusal::InsufficientCredits { available: all, missing }));
            }
        }
        world.check();
    }
}

proptest! {
    // Each case tries every later step twice.
    #![proptest_config(ProptestConfig::with_cases(60))]

    /// What has expired counts no more from its moment on, and booking it changes nothing that can be spent.
    #[test]
    fn what_is_available_does_not_wait_for_the_clock(steps in steps(true)) {
        let mut world = World::new();
        for (place, step) in steps.iter().enumerate() {
            take(&mut world, place, step, 1);
            let mut swept = world.clone();
            take(&mut swept, place, &Step::SweepWallets, 1);
            prop_assert_eq!(available(&world), available(&swept));
            // And so nothing is allowed or refused because nobody has looked yet.
            for next in &steps {
                if matches!(next, Step::Charge(_) | Step::Exchange(..) | Step::Precheck(..)) {
                    let (mut early, mut late) = (world.clone(), swept.clone());
                    let early = take(&mut early, place, next, 1).unwrap().0.0;
                    let late = take(&mut late, place, next, 1).unwrap().0.0;
                    prop_assert_eq!(early.map(|_| ()), late.map(|_| ()));
                }
            }
        }
    }
}

/// Grants the first user credits; none if such terms are refused.
fn give(
    world: &mut World,
    credits: i64,
    priority: i64,
    starts_in: Option<i64>,
    expires_in: Option<i64>,
) -> Option<crate::id::GrantId> {
    let from_now = |seconds: i64| world.now.plus_seconds(seconds);
    let amount = Amount::new(credits, Unit::CREDIT);
    let terms = CreateGrant {
        priority,
        starts_at: starts_in.map(from_now),
        expires_at: expires_in.map(from_now),
        ..CreateGrant::plain(user(0), amount, Category::Paid, Source::Manual)
    };
    match world.ask(Command::CreateGrant(terms)) {
        Ok(Reply::Grant(grant)) => Some(grant.id),
        Err(Refusal::Misfit { .. }) => None,
        other => panic!("{other:?}"),
    }
}

#[test]
fn an_atomic_batch_that_fails_half_way_leaves_nothing() {
    let mut world = World::new();
    give(&mut world, 100, 50, None, None);
    let before = world.clone();
    let drawn = vec![
        (0, 0, 60, false, 0),
        (0, 0, 40, false, 0),
        (0, 0, 1, false, 0),
    ];
    let refused = take(&mut world, 0, &Step::ChargeAll(drawn, true), 1).unwrap();
    let Err(Refusal::BatchRefused { position: 2, why }) = refused.0.0 else {
        panic!("{refused:?}");
    };
    assert_eq!(why.code(), "insufficient_credits");
    world.assert_same(&before);
}

/// The first charge opens accounts for what has expired; nobody must find them, or their numbers, in the same batch.
#[test]
fn an_atomic_batch_that_fails_does_not_leave_what_it_booked_on_the_way() {
    let mut world = World::new();
    give(&mut world, 10, 50, None, Some(5));
    give(&mut world, 100, 50, None, None);
    world.now = world.now.plus_seconds(5);
    let mut alone = world.clone();
    let drawn = vec![(0, 0, 60, false, 0), (0, 0, 41, false, 0)];
    let steps = [Step::ChargeAll(drawn, true), Step::Exchange(0, false, 1, 1)];
    let requests = steps.map(|step| Request {
        command: step.command(&world, 0, 1).unwrap(),
        idempotency: None,
    });
    let (answers, _) = world.run(&requests);
    assert!(answers[0].0.is_err() && answers[1].0.is_ok());
    alone.run(&requests[1..]);
    world.assert_same(&alone);
    world.check();
}

#[test]
fn debt_ends_at_the_overdraft_and_is_paid_back_first() {
    let mut world = World::new();
    let key = AccountKey::wallet(&user(0));
    let with_debt = |amount| {
        Command::Charge(Charge {
            allow_debt: true,
            ..plain_charge(0, amount)
        })
    };
    give(&mut world, 10, 50, None, None);
    let Ok(Reply::Charged(charged)) = world.ask(with_debt(60)) else {
        panic!("refused");
    };
    assert_eq!((charged.debt, charged.balance), (50, -50));
    let more = world.ask(with_debt(1));
    let refusal = Refusal::InsufficientCredits {
        available: -50,
        missing: 1,
    };
    assert_eq!(more, Err(refusal));
    assert!(world.ask(Command::Charge(plain_charge(0, 1))).is_err());
    // The first grant is used up by the debt, the second in part.
    let spent = give(&mut world, 20, 50, None, None).unwrap();
    assert_eq!(world.grant(spent).remaining, 0);
    assert_eq!(world.available(&key), -30);
    let some = give(&mut world, 70, 50, None, None).unwrap();
    assert_eq!(
        (world.grant(some).remaining, world.available(&key)),
        (40, 40)
    );
    world.check();
}

#[test]
fn a_set_overdraft_is_the_wallets_own() {
    let mut world = World::new();
    let with_debt = Command::Charge(Charge {
        allow_debt: true,
        ..plain_charge(0, 20)
    });
    let set = |overdraft| Command::SetOverdraft {
        user: user(0),
        unit: Unit::CREDIT,
        overdraft,
    };
    world.ask(set(Some(19))).unwrap();
    assert!(world.ask(with_debt.clone()).is_err());
    assert!(world.ask(set(Some(-1))).is_err());
    world.ask(set(None)).unwrap();
    assert!(world.ask(with_debt).is_ok());
    // Whatever is configured, a debt stays within what one movement may move.
    world.policy.overdraft = i64::MAX;
    let most = Command::Charge(Charge {
        allow_debt: true,
        ..plain_charge(1, crate::grant::AMOUNT_MAX)
    });
    assert!(world.ask(most.clone()).is_ok());
    assert!(world.ask(most).is_err());
    world.check();
}

#[test]
fn reasons_say_what_happened() {
    let mut world = World::new();
    give(&mut world, 30, 50, None, Some(5));
    world.ask(Command::Charge(plain_charge(0, 10))).unwrap();
    world.now = world.now.plus_seconds(5);
    world.ask(Command::Sweep(world.due())).unwrap();
    let reasons = world.journal.iter().map(|it| it.transaction.reason);
    assert_eq!(
        reasons.collect::<Vec<_>>(),
        [Reason::Grant, Reason::Charge, Reason::Expire]
    );
}

#[test]
fn wallets_are_read_as_they_stand_also_under_an_idempotency_key() {
    let mut world = World::new();
    let key = AccountKey::wallet(&user(0));
    let Some(idempotency) = Step::Sweep.request(&world, 0, 1).map(|it| it.idempotency) else {
        panic!("nothing was asked");
    };
    let read = Request {
        command: Command::ReadWallets(vec![key.clone()]),
        idempotency,
    };
    for credits in [10, 20] {
        give(&mut world, 10, 50, None, None);
        let (answers, changed) = world.run(std::slice::from_ref(&read));
        let Ok(Reply::Wallets(wallets)) = &answers[0].0 else {
            panic!("{answers:?}");
        };
        let wallet = wallets[0].as_ref().unwrap();
        assert_eq!((wallet.credits(world.now), changed), (credits, false));
    }
}
