//! Things that may happen, drawn at random.

use proptest::prelude::*;

use super::{World, plain_charge};
use crate::amount::{Amount, Unit};
use crate::charge::Charge;
use crate::command::{Adjust, AnswerKey, ChargeAll, Command, Precheck, Request, RequestHash};
use crate::exchange::Exchange;
use crate::grant::{Category, CreateGrant, RollOver, Source};
use crate::hold::{CreateHold, Overage};
use crate::id::{GrantId, HoldId, LimitId, UserId};
use crate::journal::Remark;
use crate::limit::{Period, SetLimit, Spender, Subject, SubjectKind};
use crate::sweep::Sweep;
use crate::topup::CreateTopup;

/// So long that several grants and holds end in one run.
const SECONDS: i64 = 40;

/// A charge as drawn: user, unit, amount, whether it may make debt, and who spends.
type Drawn = (usize, usize, i64, bool, usize);

/// Something that may happen. Rows are named by small numbers; there may be no such row.
#[derive(Debug, Clone)]
pub(crate) enum Step {
    Wait(i64),
    Sweep,
    SweepWallets,
    Grant {
        whose: (usize, usize),
        amount: i64,
        priority: i64,
        starts_in: Option<i64>,
        expires_in: Option<i64>,
        roll_over: Option<(i64, i64)>,
    },
    Void(i64),
    Adjust(usize, i64),
    Topup(usize, i64),
    FinishTopup(usize),
    Charge(Drawn),
    ChargeAll(Vec<Drawn>, bool),
    Precheck(Drawn, bool),
    Hold(Drawn, i64, Overage),
    Progress(i64, i64),
    Extend(i64, i64, Option<i64>),
    Settle(i64, i64),
    Release(i64),
    Overdraft(usize, Option<i64>),
    Exchange(usize, bool, i64, i64),
    SetLimit(usize, usize, Period, i64),
    RemoveLimit(i64),
}

pub(crate) fn user(number: usize) -> UserId {
    UserId::parse(["anna", "bert"][number]).unwrap()
}

fn unit(number: usize) -> Unit {
    [Unit::CREDIT, Unit::currency("usd").unwrap()][number]
}

fn spender(number: usize) -> Spender {
    let label = |name: &str| name.to_owned();
    let (api_key, labels) = [
        (None, vec![]),
        (Some(label("k-1")), vec![]),
        (None, vec![label("red"), label("blue"), label("red")]),
    ][number]
        .clone();
    Spender { api_key, labels }
}

fn subject(number: usize) -> Subject {
    let (kind, name) = [
        (SubjectKind::User, "anna"),
        (SubjectKind::User, "bert"),
        (SubjectKind::ApiKey, "k-1"),
        (SubjectKind::Label, "red"),
    ][number];
    Subject {
        kind,
        name: name.to_owned(),
    }
}

fn charge((whose, of, amount, allow_debt, who): Drawn, scale: i64) -> Charge {
    Charge {
        unit: unit(of),
        allow_debt,
        spender: spender(who),
        ..plain_charge(whose, amount * scale)
    }
}

/// An idempotency key of its own for everything that is asked.
fn key(route: &str, key: String) -> (AnswerKey, RequestHash) {
    let key = AnswerKey {
        principal: "admin".to_owned(),
        route: route.to_owned(),
        key,
    };
    (key, RequestHash([7; 16]))
}

impl Step {
    /// What is asked of the core; none if time passes. Amounts are multiplied by `scale`.
    pub(crate) fn command(&self, world: &World, place: usize, scale: i64) -> Option<Command> {
        let known = self.spends(place, scale).or_else(|| self.holds(scale));
        known.or_else(|| self.gives(world, scale)).or_else(|| {
            Some(match self.clone() {
                Self::Sweep => Command::Sweep(world.due()),
                Self::SweepWallets => Command::Sweep(Sweep {
                    holds: vec![],
                    ..world.due()
                }),
                Self::Overdraft(whose, overdraft) => Command::SetOverdraft {
                    user: user(whose),
                    unit: Unit::CREDIT,
                    overdraft: overdraft.map(|overdraft| overdraft * scale),
                },
                Self::SetLimit(about, of, period, most) => Command::SetLimit(SetLimit {
                    subject: subject(about),
                    most: Amount::new(most * scale, unit(of)),
                    period,
                }),
                Self::RemoveLimit(number) => Command::RemoveLimit(LimitId::of(number)),
                _ => return None,
            })
        })
    }

    fn spends(&self, place: usize, scale: i64) -> Option<Command> {
        Some(match self.clone() {
            Self::Charge(drawn) => Command::Charge(charge(drawn, scale)),
            Self::ChargeAll(all, atomic) => {
                let all = all.into_iter().enumerate();
                let keyed = |(inner, drawn)| {
                    let key = key("charge", format!("{place}-{inner}"));
                    (charge(drawn, scale), Some(key))
                };
                let charges = all.map(keyed).collect();
                Command::ChargeAll(ChargeAll { charges, atomic })
            }
            Self::Precheck(drawn, priced) => {
                let charge = charge(drawn, scale);
                Command::Precheck(Precheck { charge, priced })
            }
            Self::Exchange(whose, back, give, get) => Command::Exchange(Exchange {
                user: user(whose),
                give: Amount::new(give * scale, unit(usize::from(back))),
                get: Amount::new(get * scale, unit(usize::from(!back))),
                category: Category::Paid,
                remark: Remark::default(),
            }),
            _ => return None,
        })
    }

    fn holds(&self, scale: i64) -> Option<Command> {
        let remark = Remark::default;
        let hold = HoldId::of;
        Some(match self.clone() {
            Self::Hold(drawn, seconds, overage) => Command::CreateHold(CreateHold {
                charge: charge(drawn, scale),
                seconds: Some(seconds),
                overage: Some(overage),
            }),
            Self::Progress(number, used) => Command::ProgressHold {
                hold: hold(number),
                used: used * scale,
            },
            Self::Extend(number, more, seconds) => Command::ExtendHold {
                hold: hold(number),
                more: more * scale,
                seconds,
            },
            Self::Settle(number, used) => Command::SettleHold {
                hold: hold(number),
                used: used * scale,
                remark: remark(),
            },
            Self::Release(number) => Command::ReleaseHold {
                hold: hold(number),
                remark: remark(),
            },
            _ => return None,
        })
    }

    fn gives(&self, world: &World, scale: i64) -> Option<Command> {
        let remark = Remark::default;
        Some(match self.clone() {
            Self::Grant {
                whose: (whose, of),
                amount,
                priority,
                starts_in,
                expires_in,
                roll_over,
            } => {
                let amount = Amount::new(amount * scale, unit(of));
                let from_now = |seconds: i64| world.now.plus_seconds(seconds);
                Command::CreateGrant(CreateGrant {
                    priority,
                    starts_at: starts_in.map(from_now),
                    expires_at: expires_in.map(from_now),
                    roll_over: roll_over.map(|(cap, seconds)| RollOver {
                        cap: cap * scale,
                        seconds,
                    }),
                    ..CreateGrant::plain(user(whose), amount, Category::Paid, Source::Manual)
                })
            }
            Self::Void(number) => Command::VoidGrant {
                grant: GrantId::of(number),
                remark: remark(),
            },
            Self::Adjust(whose, credits) => Command::Adjust(Adjust {
                user: user(whose),
                credits: credits * scale,
                remark: remark(),
            }),
            Self::Topup(whose, credits) => Command::CreateTopup(CreateTopup {
                remark: remark(),
                ..CreateTopup::plain(user(whose), credits)
            }),
            Self::FinishTopup(number) => Command::FinishTopup {
                topup: world.topups.keys().nth(number)?.clone(),
                remark: remark(),
            },
            _ => return None,
        })
    }

    /// The same, under an idempotency key that no other step has.
    pub(crate) fn request(&self, world: &World, place: usize, scale: i64) -> Option<Request> {
        Some(Request {
            command: self.command(world, place, scale)?,
            idempotency: Some(key("step", place.to_string())),
        })
    }

    /// Whether it may leave a debt behind in some wallet.
    pub(crate) fn may_make_debt(&self) -> bool {
        match self {
            Self::Charge(drawn) => drawn.3,
            Self::ChargeAll(all, _) => all.iter().any(|drawn| drawn.3),
            Self::Hold(_, _, overage) => *overage == Overage::Debt,
            _ => false,
        }
    }
}

fn drawn(debt: bool) -> impl Strategy<Value = Drawn> {
    let may = if debt {
        any::<bool>().boxed()
    } else {
        Just(false).boxed()
    };
    (0..2_usize, units(), 1..60_i64, may, 0..3_usize)
}

/// Mostly credits.
fn units() -> impl Strategy<Value = usize> {
    prop_oneof![3 => Just(0_usize), 1 => Just(1_usize)]
}

fn seconds() -> impl Strategy<Value = Option<i64>> {
    prop::option::of(1..SECONDS)
}

fn grant() -> impl Strategy<Value = Step> {
    let whose = (0..2_usize, units());
    let roll_over = prop::option::of((1..60_i64, 1..SECONDS));
    let starts = prop::option::weighted(0.2, 1..SECONDS / 2);
    let terms = (whose, 1..90_i64, 0..3_i64, starts, seconds(), roll_over);
    terms.prop_map(
        |(whose, amount, priority, starts_in, expires_in, roll_over)| Step::Grant {
            whose,
            amount,
            priority,
            starts_in,
            expires_in,
            roll_over: roll_over.filter(|_| expires_in.is_some()),
        },
    )
}

fn hold_step(debt: bool) -> impl Strategy<Value = Step> {
    let overage = if debt {
        prop_oneof![
            Just(Overage::Refuse),
            Just(Overage::Charge),
            Just(Overage::Debt)
        ]
        .boxed()
    } else {
        prop_oneof![Just(Overage::Refuse), Just(Overage::Charge)].boxed()
    };
    let number = 1..6_i64;
    prop_oneof![
        4 => (drawn(debt), 1..SECONDS, overage).prop_map(|(it, for_, over)| Step::Hold(it, for_, over)),
        2 => (number.clone(), 0..90_i64).prop_map(|(it, used)| Step::Progress(it, used)),
        2 => (number.clone(), 0..40_i64, seconds()).prop_map(|(it, more, for_)| Step::Extend(it, more, for_)),
        2 => (number.clone(), 0..90_i64).prop_map(|(it, used)| Step::Settle(it, used)),
        1 => number.prop_map(Step::Release),
    ]
}

fn limit_step() -> impl Strategy<Value = Step> {
    let period = prop::sample::select(Period::ALL);
    prop_oneof![
        3 => (0..4_usize, units(), period, 0..200_i64).prop_map(|(about, of, in_, most)| Step::SetLimit(about, of, in_, most)),
        1 => (1..4_i64).prop_map(Step::RemoveLimit),
    ]
}

fn step(debt: bool) -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0..20_i64).prop_map(Step::Wait),
        3 => prop_oneof![Just(Step::Sweep), Just(Step::SweepWallets)],
        6 => grant(),
        2 => (1..8_i64).prop_map(Step::Void),
        2 => (0..2_usize, -60..60_i64).prop_map(|(whose, credits)| Step::Adjust(whose, credits)),
        1 => (0..2_usize, 1..90_i64).prop_map(|(whose, credits)| Step::Topup(whose, credits)),
        1 => (0..2_usize).prop_map(Step::FinishTopup),
        6 => drawn(debt).prop_map(Step::Charge),
        2 => (prop::collection::vec(drawn(debt), 0..4), any::<bool>()).prop_map(|(all, atomic)| Step::ChargeAll(all, atomic)),
        1 => (drawn(debt), any::<bool>()).prop_map(|(it, priced)| Step::Precheck(it, priced)),
        10 => hold_step(debt),
        1 => (0..2_usize, prop::option::of(0..90_i64)).prop_map(|(whose, to)| Step::Overdraft(whose, to)),
        1 => (0..2_usize, any::<bool>(), 1..60_i64, 1..60_i64).prop_map(|(whose, back, give, get)| Step::Exchange(whose, back, give, get)),
        2 => limit_step(),
    ]
}

/// What may happen in one run, with or without anything that may make debt.
pub(crate) fn steps(debt: bool) -> impl Strategy<Value = Vec<Step>> {
    prop::collection::vec(step(debt), 1..60)
}
