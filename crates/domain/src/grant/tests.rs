//! How grants begin and end.

use super::{AMOUNT_MAX, CreateGrant, GrantEnd, LIVE_MAX, PRIORITY_MAX, RollOver, Source};
use crate::account::{AccountKey, AccountKind};
use crate::amount::{Amount, Unit};
use crate::announcement::Happening;
use crate::command::{Adjust, Command, Reply, Request};
use crate::currency::ChargeLimits;
use crate::exchange::Exchange;
use crate::grant::Category;
use crate::hold::Overage;
use crate::id::GrantId;
use crate::journal::Remark;
use crate::refusal::Refusal;
use crate::topup::CreateTopup;
use crate::world::{World, credits, terms, user};

/// Terms of a grant that expires in so many seconds.
fn expiring(world: &World, amount: i64, seconds: i64) -> CreateGrant {
    CreateGrant {
        expires_at: Some(world.now.plus_seconds(seconds)),
        ..terms(amount)
    }
}

/// The same, of which something passes on.
fn rolling(world: &World, amount: i64, seconds: i64, cap: i64, for_seconds: i64) -> CreateGrant {
    let roll_over = Some(RollOver {
        cap,
        seconds: for_seconds,
    });
    CreateGrant {
        roll_over,
        ..expiring(world, amount, seconds)
    }
}

fn code<T>(refused: Result<T, Refusal>) -> Option<&'static str> {
    refused.err().map(|refusal| refusal.code())
}

#[test]
fn what_expires_pays_nothing_from_its_moment_on_and_is_booked_once() {
    let mut world = World::new();
    let grant = world.give(expiring(&world, 30, 10)).id;
    world.wait(9);
    world.charge(5).unwrap();
    world.wait(1);
    assert_eq!(world.available(&credits()), 0);
    assert_eq!(code(world.charge(1)), Some("insufficient_credits"));
    for _ in 0..2 {
        world.sweep();
        assert_eq!(world.house(AccountKind::Breakage), 25);
    }
    let ended = world.grant(grant);
    assert_eq!((ended.remaining, ended.end), (0, Some(GrantEnd::Expired)));
    assert_eq!(ended.ended_at, Some(world.now));
    let expired = Happening::GrantExpired {
        grant,
        expired: 25,
        rolled_over: 0,
    };
    assert_eq!(world.announced("grant.expired"), [expired]);
    assert_eq!(
        world.void(grant),
        Err(Refusal::GrantEnded {
            end: GrantEnd::Expired
        })
    );
}

#[test]
fn a_rest_passes_on_once_up_to_its_cap_and_for_its_time() {
    let mut world = World::new();
    world.give(rolling(&world, 30, 10, 12, 60));
    // Booked late: the new grant holds from the moment the old one expired.
    world.wait(25);
    assert_eq!(world.available(&credits()), 12);
    world.charge(2).unwrap();
    let next = world.grant(GrantId::of(2));
    assert_eq!(
        (next.source, next.category),
        (Source::RollOver, Category::Paid)
    );
    assert_eq!((next.granted, next.remaining), (12, 10));
    assert_eq!(next.expires_at, Some(world.now.plus_seconds(-15 + 60)));
    assert_eq!(world.house(AccountKind::Breakage), 18);
    world.wait(60);
    assert_eq!(world.available(&credits()), 0);
    world.sweep();
    assert_eq!(world.house(AccountKind::Breakage), 28);
    assert_eq!(world.house(AccountKind::RolledOver), 0);
}

#[test]
fn what_passes_on_can_be_reserved_before_it_is_booked() {
    let mut world = World::new();
    world.give(rolling(&world, 30, 10, 12, 60));
    let hold = world.hold(3, 100, Overage::Refuse).id;
    world.wait(10);
    let mut other = world.clone();
    assert_eq!(other.hold(12, 100, Overage::Refuse).parts.len(), 1);
    let (more, seconds) = (12, None);
    let longer = world.ask_hold(Command::ExtendHold {
        hold,
        more,
        seconds,
    });
    assert_eq!(longer.unwrap().amount, 15);
    [world, other].iter().for_each(World::check);
}

#[test]
fn what_would_have_expired_again_by_now_does_not_pass_on() {
    let mut world = World::new();
    world.give(rolling(&world, 30, 10, 12, 60));
    world.wait(70);
    assert_eq!(world.available(&credits()), 0);
    world.sweep();
    assert_eq!(world.house(AccountKind::Breakage), 30);
}

#[test]
fn what_expires_pays_a_debt_before_it_passes_on() {
    let mut world = World::new();
    let later = world.now.plus_seconds(5);
    world.give(CreateGrant {
        starts_at: Some(later),
        ..rolling(&world, 30, 10, 12, 60)
    });
    world.owe(25);
    world.wait(5);
    assert_eq!(world.available(&credits()), 5);
    world.wait(5);
    // 25 pay the debt, and 5 pass on.
    assert_eq!(world.available(&credits()), 5);
    assert_eq!(code(world.charge(6)), Some("insufficient_credits"));
    world.charge(5).unwrap();
    assert_eq!(
        (
            world.balance(&credits()),
            world.house(AccountKind::Breakage)
        ),
        (0, 0)
    );
    world.check();
}

/// As if the clock had come by in time: the debt is paid by what expired, and the new grant stays whole.
#[test]
fn a_new_grant_does_not_pay_what_an_expired_one_pays() {
    let mut world = World::new();
    let later = world.now.plus_seconds(5);
    world.give(CreateGrant {
        starts_at: Some(later),
        ..expiring(&world, 30, 10)
    });
    world.owe(25);
    world.wait(10);
    let grant = world.give(terms(40));
    assert_eq!(grant.remaining, 40);
    assert_eq!(world.house(AccountKind::Breakage), 5);
    world.check();
}

#[test]
fn a_grant_that_has_not_begun_neither_pays_nor_pays_back() {
    let mut world = World::new();
    world.owe(10);
    let starts_at = Some(world.now.plus_seconds(10));
    let grant = world.give(CreateGrant {
        starts_at,
        ..terms(30)
    });
    assert_eq!(grant.remaining, 30);
    assert_eq!(world.available(&credits()), -10);
    world.wait(10);
    assert_eq!(world.available(&credits()), 20);
    assert_eq!(code(world.charge(21)), Some("insufficient_credits"));
    world.charge(20).unwrap();
    world.check();
}

#[test]
fn what_is_voided_goes_back_where_it_came_from_and_stays_voided() {
    let mut world = World::new();
    let sold = world.give(terms(30));
    let given = world.give(CreateGrant {
        category: Category::Promotional,
        ..terms(20)
    });
    world.charge(10).unwrap();
    assert_eq!(world.void(sold.id).unwrap().end, Some(GrantEnd::Voided));
    let voided = world.void(given.id).unwrap();
    assert_eq!(world.void(given.id).unwrap(), voided);
    assert_eq!(world.house(AccountKind::Sold), -10);
    assert_eq!(world.house(AccountKind::Granted), 0);
    assert_eq!(world.available(&credits()), 0);
    assert_eq!(code(world.void(GrantId::of(9))), Some("grant_not_found"));
    world.check();
}

#[test]
fn what_is_rolled_over_and_voided_goes_back_to_its_first_account() {
    let mut world = World::new();
    world.give(rolling(&world, 30, 10, 12, 60));
    world.wait(10);
    world.sweep();
    world.void(GrantId::of(2)).unwrap();
    assert_eq!(world.house(AccountKind::Sold), -18);
    assert_eq!(world.house(AccountKind::RolledOver), 0);
    world.check();
}

/// The number of a grant can be guessed, so that it may be taken back in the batch that makes it.
#[test]
fn a_rest_can_be_voided_in_the_batch_in_which_it_passes_on() {
    let mut world = World::new();
    world.give(rolling(&world, 30, 10, 12, 60));
    world.wait(10);
    let void = Command::VoidGrant {
        grant: GrantId::of(2),
        remark: Remark::default(),
    };
    let requests = [Command::Sweep(world.due()), void].map(|command| Request {
        command,
        idempotency: None,
    });
    let (answers, _) = world.run(&requests);
    assert!(
        answers.iter().all(|(answer, _)| answer.is_ok()),
        "{answers:?}"
    );
    assert_eq!(world.available(&credits()), 0);
    world.check();
}

#[test]
fn what_has_expired_cannot_be_voided_whether_or_not_it_is_booked() {
    let mut world = World::new();
    let grant = world.give(expiring(&world, 30, 10)).id;
    world.wait(10);
    let before = world.clone();
    assert_eq!(code(world.void(grant)), Some("grant_ended"));
    world.assert_same(&before);
    // What a hold reserves of one that has expired can: the rest goes back if the hold gives it back.
    let grant = world.give(expiring(&world, 30, 10)).id;
    let hold = world.hold(10, 100, Overage::Refuse);
    world.wait(10);
    world.void(grant).unwrap();
    assert_eq!(world.house(AccountKind::Breakage), 50);
    world.settle(hold.id, 4).unwrap();
    assert_eq!(world.house(AccountKind::Sold), -54);
    world.check();
}

#[test]
fn terms_that_make_no_sense_are_refused() {
    let mut world = World::new();
    let (fine, now) = (rolling(&world, 30, 10, 12, 60), world.now);
    let roll = |cap, seconds| Some(RollOver { cap, seconds });
    for (terms, expected) in [
        (
            CreateGrant {
                roll_over: roll(0, 60),
                ..fine.clone()
            },
            "parameter_out_of_range",
        ),
        (
            CreateGrant {
                roll_over: roll(-5, 60),
                ..fine.clone()
            },
            "parameter_out_of_range",
        ),
        (
            CreateGrant {
                roll_over: roll(5, 0),
                ..fine.clone()
            },
            "parameter_out_of_range",
        ),
        (
            CreateGrant {
                expires_at: None,
                ..fine.clone()
            },
            "parameter_invalid",
        ),
        (
            CreateGrant {
                expires_at: Some(now),
                ..fine.clone()
            },
            "parameter_invalid",
        ),
        (
            CreateGrant {
                starts_at: fine.expires_at,
                ..fine.clone()
            },
            "parameter_invalid",
        ),
        (
            CreateGrant {
                priority: -1,
                ..fine.clone()
            },
            "parameter_out_of_range",
        ),
        (
            CreateGrant {
                priority: PRIORITY_MAX + 1,
                ..fine.clone()
            },
            "parameter_out_of_range",
        ),
        (
            CreateGrant {
                amount: Amount::credits(0),
                ..fine.clone()
            },
            "parameter_out_of_range",
        ),
        (
            CreateGrant {
                amount: Amount::credits(AMOUNT_MAX + 1),
                ..fine.clone()
            },
            "parameter_out_of_range",
        ),
    ] {
        let refused = world.ask(Command::CreateGrant(terms.clone()));
        assert_eq!(code(refused), Some(expected), "{terms:?}");
    }
    world.give(fine);
}

#[test]
fn a_grant_is_announced_once_before_it_expires() {
    let mut world = World::new();
    let starts_at = Some(world.now.plus_seconds(18));
    let grant = world
        .give(CreateGrant {
            starts_at,
            ..expiring(&world, 30, 20)
        })
        .id;
    world.wait(9);
    world.sweep();
    assert!(world.announcements.is_empty());
    // Also of one that has not begun: the clock shall not find it again and again.
    for _ in 0..3 {
        world.wait(1);
        world.sweep();
        let told = Happening::GrantExpiring {
            grant,
            remaining: 30,
            expires_at: world.grant(grant).expires_at.unwrap(),
        };
        assert_eq!(world.announced("grant.expiring"), [told]);
    }
    assert!(world.grant(grant).announced);
}

/// The clock looks for grants that were not announced.
#[test]
fn what_has_ended_under_a_hold_counts_as_announced() {
    let mut world = World::new();
    let terms = [expiring(&world, 30, 20), expiring(&world, 30, 20)];
    let grants = terms.map(|terms| world.give(terms).id);
    let hold = world.hold(50, 100, Overage::Refuse);
    world.void(grants[0]).unwrap();
    world.wait(20);
    world.sweep();
    assert!(grants.iter().all(|id| world.grant(*id).announced));
    assert!(world.announced("grant.expiring").is_empty());
    world.release(hold.id).unwrap();
    world.check();
}

#[test]
fn falling_below_zero_is_said_once_where_no_threshold_is_set() {
    let mut world = World::new();
    world.policy.balance_low = 0;
    world.give(terms(10));
    world.owe(11);
    world.owe(1);
    let kinds = world.announcements.iter().map(|it| it.happening.kind());
    assert_eq!(kinds.collect::<Vec<_>>(), ["balance.negative"]);
    world.policy.balance_low = 5;
    world.give(terms(20));
    world.charge(14).unwrap();
    assert_eq!(world.announced("balance.low").len(), 1);
}

#[test]
fn a_full_wallet_takes_what_was_paid_for_and_nothing_else() {
    let mut world = World::new();
    let command = Command::CreateGrant(terms(AMOUNT_MAX));
    let request = Request {
        command: command.clone(),
        idempotency: None,
    };
    let (answers, _) = world.run(&vec![request; LIVE_MAX]);
    assert!(answers.iter().all(|(answer, _)| answer.is_ok()));
    assert_eq!(code(world.ask(command)), Some("too_many"));
    let adjust = Command::Adjust(Adjust {
        user: user(0),
        credits: 1,
        remark: Remark::default(),
    });
    assert_eq!(code(world.ask(adjust)), Some("too_many"));
    let usd = Unit::currency("usd").unwrap();
    world.give(CreateGrant {
        amount: Amount::new(1, usd),
        ..terms(1)
    });
    let exchange = Command::Exchange(Exchange {
        user: user(0),
        give: Amount::new(1, usd),
        get: Amount::credits(1),
        category: Category::Paid,
        remark: Remark::default(),
    });
    assert_eq!(code(world.ask(exchange)), Some("too_many"));
    finish_topup(&mut world, 500).unwrap();
    assert_eq!(world.balance(&credits()), 1_000 * AMOUNT_MAX + 500);
    world.charge(AMOUNT_MAX).unwrap();
    world.check();
}

fn finish_topup(world: &mut World, amount: i64) -> Result<Reply, Refusal> {
    let wish = CreateTopup::plain(user(0), amount);
    let Reply::Topup(topup) = world.ask(Command::CreateTopup(wish))? else {
        panic!("no top-up");
    };
    world.ask(Command::FinishTopup {
        topup: topup.id,
        remark: Remark::default(),
    })
}

#[test]
fn what_does_not_fit_into_64_bits_is_refused_before_anything_is_written() {
    let mut world = World::new();
    let usd = Unit::currency("usd").unwrap();
    let (least, most) = (1, i64::MAX);
    world.policy.topup_credits_max = most;
    world
        .policy
        .charge_limits
        .insert(usd, ChargeLimits { least, most });
    world.give(expiring(&world, 10, 5));
    finish_topup(&mut world, i64::MAX - 10).unwrap();
    world.give(CreateGrant {
        amount: Amount::new(50, usd),
        ..expiring(&world, 10, 5)
    });
    let dollars = CreateGrant {
        amount: Amount::new(50, usd),
        ..terms(1)
    };
    world.give(dollars);
    let before = world.clone();
    assert_eq!(
        code(world.ask(Command::CreateGrant(terms(1)))),
        Some("balance_out_of_range")
    );
    let exchange = Command::Exchange(Exchange {
        user: user(0),
        give: Amount::new(50, usd),
        get: Amount::credits(1),
        category: Category::Paid,
        remark: Remark::default(),
    });
    // Also when something has expired meanwhile that would be booked before.
    for seconds in [0, 5] {
        world.wait(seconds);
        for command in [Command::CreateGrant(terms(20)), exchange.clone()] {
            assert_eq!(code(world.ask(command)), Some("balance_out_of_range"));
        }
    }
    world.assert_same(&before);
    assert_eq!(
        code(finish_topup(&mut world, 20)),
        Some("balance_out_of_range")
    );
    world.charge(1).unwrap();
    world.ask(exchange).unwrap();
    assert_eq!(world.available(&AccountKey::wallet_in(&user(0), usd)), 0);
    world.check();
}
