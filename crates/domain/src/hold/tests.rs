//! Every order of calls on one hold, against a naive model; and what a random run would hardly meet.

use super::{CreateHold, Hold, OPEN_MAX, Overage, SECONDS_MAX};
use crate::account::AccountKind;
use crate::charge::Charge;
use crate::command::{Command, Reply, Request};
use crate::grant::{CreateGrant, RollOver};
use crate::id::HoldId;
use crate::journal::{Cause, Reason, Remark};
use crate::refusal::Refusal;
use crate::sweep::Sweep;
use crate::world::{World, credits, plain_charge, terms};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Call {
    Progress(i64),
    Extend(i64, Option<i64>),
    Settle(i64),
    Release,
    /// Its time runs out, and the clock sees it.
    Expire,
    /// Its time runs out, and the clock has not come by.
    Lapse,
    /// The clock comes by, whether or not its time has run out.
    Look,
}

/// The hold is made over 10, for 50 seconds.
const CALLS: [Call; 11] = [
    Call::Progress(4),
    Call::Progress(19),
    Call::Extend(5, None),
    Call::Extend(0, Some(100)),
    Call::Settle(6),
    Call::Settle(17),
    Call::Settle(0),
    Call::Release,
    Call::Expire,
    Call::Lapse,
    Call::Look,
];

const CALLS_MAX: usize = 4;

/// How far below zero a wallet may go here.
const OVERDRAFT: i64 = 3;

/// What should be, as told by somebody who knows nothing of grants, parts and postings.
#[derive(Debug, Clone)]
struct Model {
    balance: i64,
    amount: i64,
    progress: i64,
    seconds_left: i64,
    overage: Overage,
    /// How it ended, what it settled, and what was answered then.
    end: Option<(&'static str, i64, Option<Hold>)>,
}

impl Model {
    fn available(&self) -> i64 {
        self.balance - if self.end.is_none() { self.amount } else { 0 }
    }

    /// What may be taken beyond what is reserved.
    fn room(&self) -> i64 {
        let floor = if self.overage == Overage::Debt {
            OVERDRAFT
        } else {
            0
        };
        self.available() + floor
    }

    fn finish(&mut self, end: &'static str, settled: i64) {
        self.balance -= settled;
        self.end = Some((end, settled, None));
    }

    /// The code of the refusal, if it is one.
    fn call(&mut self, call: Call) -> Result<(), &'static str> {
        match (call, &self.end) {
            (Call::Settle(used), Some(("hold_settled", settled, _))) if *settled == used => {
                return Ok(());
            }
            (Call::Release, Some(("hold_released", ..)))
            | (Call::Expire | Call::Lapse | Call::Look, Some(_)) => return Ok(()),
            (_, Some((end, ..))) => return Err(end),
            (Call::Expire | Call::Lapse, None) => {
                self.seconds_left = self.seconds_left.min(0);
            }
            (Call::Look, None) if self.seconds_left > 0 => return Ok(()),
            (Call::Look, None) => {}
            (_, None) if self.seconds_left <= 0 => return Err("hold_expired"),
            (_, None) => {}
        }
        match call {
            Call::Lapse => {}
            Call::Progress(used) if used < self.progress => return Err("parameter_out_of_range"),
            Call::Progress(used) | Call::Settle(used)
                if used > self.amount && self.overage == Overage::Refuse =>
            {
                return Err("hold_exceeded");
            }
            Call::Progress(used) => self.progress = used,
            Call::Extend(more, _) if more > self.available() => return Err("insufficient_credits"),
            Call::Extend(more, seconds) => {
                self.amount += more;
                self.seconds_left = self.seconds_left.max(seconds.unwrap_or(0));
            }
            Call::Settle(used) if used > self.amount && used - self.amount > self.room() => {
                return Err("insufficient_credits");
            }
            Call::Settle(used) => self.finish("hold_settled", used),
            Call::Release => self.finish("hold_released", 0),
            Call::Expire | Call::Look => {
                let most = self.amount + self.room().max(0);
                self.finish("hold_expired", self.progress.min(most));
            }
        }
        Ok(())
    }
}

const ID: HoldId = HoldId::of(1);

/// Makes the call in the world; the code of the refusal, if it is one.
fn make(world: &mut World, call: Call) -> Result<(), &'static str> {
    let command = match call {
        Call::Progress(used) => Command::ProgressHold { hold: ID, used },
        Call::Extend(more, seconds) => Command::ExtendHold {
            hold: ID,
            more,
            seconds,
        },
        Call::Settle(used) => Command::SettleHold {
            hold: ID,
            used,
            remark: Remark::default(),
        },
        Call::Release => Command::ReleaseHold {
            hold: ID,
            remark: Remark::default(),
        },
        Call::Expire | Call::Lapse | Call::Look => {
            if call != Call::Look {
                world.now = world.now.max(world.holds[&ID].expires_at);
            }
            if call == Call::Lapse {
                return Ok(());
            }
            Command::Sweep(Sweep {
                holds: vec![ID],
                wallets: vec![],
            })
        }
    };
    let before = world.clone();
    match world.ask(command) {
        Ok(Reply::Hold(hold)) => {
            assert_eq!(hold, world.holds[&ID]);
            Ok(())
        }
        Ok(_) => Ok(()),
        Err(refusal) => {
            world.assert_same(&before);
            Err(refusal.code())
        }
    }
}

/// What the world says after a call is what the model says.
fn compare(world: &World, model: &mut Model, calls: &[Call]) {
    let hold = &world.holds[&ID];
    assert_eq!(world.balance(&credits()), model.balance, "{calls:?}");
    assert_eq!(world.available(&credits()), model.available(), "{calls:?}");
    assert_eq!((hold.amount, hold.progress), (model.amount, model.progress));
    let posted = world.journal.iter().map(|posted| &posted.transaction);
    let settled: Vec<i64> = posted
        .filter(|it| it.reason == Reason::Settle)
        .map(|it| it.postings.iter().map(|it| it.amount.minor).sum())
        .collect();
    let told = world.announced("hold.expired").len();
    match &mut model.end {
        None => {
            assert!(hold.ended_at.is_none() && settled.is_empty() && told == 0);
        }
        Some((end, used, first)) => {
            let ended = Refusal::HoldEnded {
                status: hold.status,
            };
            assert_eq!((ended.code(), hold.settled), (*end, *used), "{calls:?}");
            let uncovered = if *end == "hold_expired" {
                model.progress - *used
            } else {
                0
            };
            assert_eq!(hold.uncovered, uncovered, "{calls:?}");
            let expected: Vec<i64> = (*used > 0).then_some(*used).into_iter().collect();
            assert_eq!(settled, expected, "{calls:?}");
            assert_eq!(told, usize::from(*end == "hold_expired"), "{calls:?}");
            // The first end is the only one, to the last field.
            assert_eq!(first.get_or_insert_with(|| hold.clone()), hold, "{calls:?}");
        }
    }
    world.check();
}

fn descend(world: &World, model: &Model, calls: &mut Vec<Call>) -> usize {
    let mut orders = 0;
    for call in CALLS {
        let (mut world, mut model) = (world.clone(), model.clone());
        calls.push(call);
        world.wait(1);
        model.seconds_left -= 1;
        let (made, expected) = (make(&mut world, call), model.call(call));
        assert_eq!(made, expected, "{calls:?} {:?}", model.overage);
        compare(&world, &mut model, calls);
        orders += 1;
        if calls.len() < CALLS_MAX {
            orders += descend(&world, &model, calls);
        }
        calls.pop();
    }
    orders
}

#[test]
fn whatever_the_order_of_calls_a_hold_ends_once() {
    for overage in Overage::ALL {
        for balance in [100, 15] {
            let mut world = World::new();
            world.policy.overdraft = OVERDRAFT;
            world.give(terms(balance - 4));
            world.give(terms(4));
            world.hold(10, 50, *overage);
            let model = Model {
                balance,
                amount: 10,
                progress: 0,
                seconds_left: 50,
                overage: *overage,
                end: None,
            };
            let orders = descend(&world, &model, &mut vec![]);
            assert_eq!(orders, 11 + 121 + 1_331 + 14_641);
        }
    }
}

#[test]
fn a_hold_makes_no_debt_whatever_it_is_asked_with() {
    let mut world = World::new();
    world.give(terms(10));
    let wish = CreateHold {
        charge: Charge {
            allow_debt: true,
            ..plain_charge(0, 11)
        },
        seconds: None,
        overage: None,
    };
    let refused = world.hold_as(wish).map(drop);
    let refusal = Refusal::InsufficientCredits {
        available: 10,
        missing: 1,
    };
    assert_eq!(refused, Err(refusal));
}

#[test]
fn more_time_needs_nothing_of_the_wallet() {
    let mut world = World::new();
    world.give(terms(10));
    let hold = world.hold(10, 50, Overage::Charge);
    world.owe(20);
    let extended = world.ask_hold(Command::ExtendHold {
        hold: hold.id,
        more: 0,
        seconds: Some(100),
    });
    assert_eq!(extended.unwrap().expires_at, world.now.plus_seconds(100));
    let shorter = world.ask_hold(Command::ExtendHold {
        hold: hold.id,
        more: 0,
        seconds: Some(1),
    });
    assert_eq!(shorter.unwrap().expires_at, world.now.plus_seconds(100));
    let longer = world.ask_hold(Command::ExtendHold {
        hold: hold.id,
        more: 0,
        seconds: Some(SECONDS_MAX + 1),
    });
    assert_eq!(longer.unwrap_err().code(), "parameter_out_of_range");
    world.check();
}

#[test]
fn what_expires_under_a_hold_stays_until_the_hold_ends() {
    for (used, breakage) in [(0, 10), (4, 6), (10, 0)] {
        let mut world = World::new();
        let expires_at = Some(world.now.plus_seconds(20));
        let roll_over = Some(RollOver {
            cap: 30,
            seconds: 1_000,
        });
        let grant = world.give(CreateGrant {
            expires_at,
            roll_over,
            ..terms(10)
        });
        let hold = world.hold(10, 50, Overage::Refuse);
        world.wait(20);
        world.sweep();
        assert_eq!(world.grant(grant.id).remaining, 10);
        assert_eq!(world.house(AccountKind::Breakage), 0);
        let settled = world.settle(hold.id, used).unwrap();
        // What comes back had expired: it does not pass on any more.
        assert_eq!(world.house(AccountKind::Breakage), breakage);
        assert_eq!((settled.settled, settled.balance), (used, Some(0)));
        world.check();
    }
}

/// As above, but nobody has looked between the expiry of the grant and the end of the hold.
#[test]
fn it_does_not_matter_whether_the_clock_came_by_before_a_hold_ended() {
    let mut world = World::new();
    let expires_at = Some(world.now.plus_seconds(20));
    let roll_over = Some(RollOver {
        cap: 30,
        seconds: 1_000,
    });
    world.give(CreateGrant {
        expires_at,
        roll_over,
        ..terms(25)
    });
    let hold = world.hold(10, 50, Overage::Refuse);
    world.wait(25);
    let mut swept = world.clone();
    swept.sweep();
    for world in [&mut world, &mut swept] {
        world.settle(hold.id, 4).unwrap();
        // 15 were free and passed on, 6 came back and did not.
        assert_eq!(world.available(&credits()), 15);
        assert_eq!(world.house(AccountKind::Breakage), 6);
        world.check();
    }
}

#[test]
fn what_is_voided_under_a_hold_goes_back_where_it_came_from() {
    let mut world = World::new();
    let grant = world.give(terms(30));
    let hold = world.hold(10, 50, Overage::Charge);
    let voided = world.void(grant.id).unwrap();
    assert_eq!((voided.remaining, voided.held), (10, 10));
    assert_eq!(world.available(&credits()), 0);
    // Voided again, the same is said again.
    assert_eq!(world.void(grant.id).unwrap(), voided);
    world.settle(hold.id, 4).unwrap();
    assert_eq!(world.house(AccountKind::Sold), -4);
    assert_eq!(world.house(AccountKind::Spent), 4);
    assert_eq!(world.void(grant.id).unwrap().remaining, 0);
    world.check();
}

/// Its number can be guessed, so that the call may come in the batch that makes the hold.
#[test]
fn a_hold_can_be_ended_in_the_batch_that_made_it() {
    let mut world = World::new();
    world.give(terms(30));
    let requests = [
        Command::CreateHold(CreateHold {
            charge: plain_charge(0, 10),
            seconds: None,
            overage: None,
        }),
        Command::SettleHold {
            hold: ID,
            used: 7,
            remark: Remark::default(),
        },
    ]
    .map(|command| Request {
        command,
        idempotency: None,
    });
    let (answers, _) = world.run(&requests);
    assert!(answers.iter().all(|(answer, _)| answer.is_ok()));
    assert_eq!(world.balance(&credits()), 23);
    world.check();
}

#[test]
fn a_hold_that_contradicts_the_books_ends_nothing_else_half_way() {
    let mut world = World::new();
    world.give(terms(30));
    let holds = [1, 2].map(|_| world.hold(10, 5, Overage::Charge).id);
    for hold in holds {
        let used = 3;
        world.ask(Command::ProgressHold { hold, used }).unwrap();
    }
    let number = holds[0].number().to_string();
    world.causes.insert(Cause::new("hold", &number));
    world.wait(5);
    let sweep = Command::Sweep(world.due());
    // The other one ends.
    world.ask(sweep).unwrap();
    assert_eq!(
        world.open_holds().map(|it| it.id).collect::<Vec<_>>(),
        [holds[0]]
    );
    assert_eq!(world.balance(&credits()), 27);
    // And then it is said, and changes nothing.
    let before = world.clone();
    let alone = Sweep {
        holds: vec![holds[0]],
        wallets: vec![],
    };
    let refused = world.ask(Command::Sweep(alone));
    assert_eq!(refused.unwrap_err().code(), "already_posted");
    let refused = world.settle(holds[0], 3);
    assert_eq!(refused.unwrap_err().code(), "hold_expired");
    world.assert_same(&before);
    world.check();
}

#[test]
fn a_wallet_has_so_many_open_holds_and_no_more() {
    let mut world = World::new();
    world.give(terms(2_000));
    let wish = CreateHold {
        charge: plain_charge(0, 1),
        seconds: None,
        overage: None,
    };
    let request = Request {
        command: Command::CreateHold(wish),
        idempotency: None,
    };
    let (answers, _) = world.run(&vec![request.clone(); OPEN_MAX]);
    assert!(answers.iter().all(|(answer, _)| answer.is_ok()));
    let (answers, changed) = world.run(std::slice::from_ref(&request));
    assert_eq!(answers[0].0.as_ref().unwrap_err().code(), "too_many");
    assert!(!changed);
    world.release(ID).unwrap();
    assert!(world.run(&[request]).0[0].0.is_ok());
    assert_eq!(world.available(&credits()), 1_000);
    world.check();
}

#[test]
fn what_is_said_at_the_end_stays_with_the_hold_and_its_charge() {
    let mut world = World::new();
    world.give(terms(30));
    let said = |note: &str| Remark {
        note: note.to_owned(),
        ..Remark::default()
    };
    for (end, kept) in [("done", "done"), ("", "begun")] {
        let wish = CreateHold {
            charge: Charge {
                remark: said("begun"),
                ..plain_charge(0, 10)
            },
            seconds: None,
            overage: None,
        };
        let hold = world.hold_as(wish).unwrap();
        let settled = world.ask_hold(Command::SettleHold {
            hold: hold.id,
            used: 5,
            remark: said(end),
        });
        assert_eq!(settled.unwrap().remark, said(kept));
        assert_eq!(world.journal.last().unwrap().transaction.remark, said(kept));
    }
}
