//! Spending, and what may be spent.

use bursar_domain::amount::{Amount, Unit};
use bursar_domain::charge::{Charge, Price};
use bursar_domain::command::{Adjust, Command, Precheck};
use bursar_domain::exchange::Exchange;
use bursar_domain::grant::{Category, CreateGrant, RollOver, Source};
use bursar_domain::hold::{CreateHold, Overage};
use bursar_domain::id::UserId;
use bursar_domain::journal::Remark;
use bursar_domain::limit::{Period, SetLimit, Spender, Subject, SubjectKind};
use bursar_domain::time::Time;

use crate::client::user;
use crate::model::Model;
use crate::script::{Step, Verb};
use crate::stripe::pick_recent;

/// A key of the product, and a team, for which users spend.
const KEY: &str = "k-1";
const LABEL: &str = "team-red";

/// By the product.
pub(super) fn command(step: Step, model: &Model) -> Option<Command> {
    let user = user(step.which)?;
    let how = i64::from(step.how);
    let remark = Remark::default();
    Some(match step.verb {
        Verb::Charge => Command::Charge(Charge {
            spender: spender(step),
            ..charge(user, 1 + how / 2, step.how.is_multiple_of(9))
        }),
        Verb::Hold => Command::CreateHold(CreateHold {
            charge: Charge {
                spender: spender(step),
                ..charge(user, 1 + how / 3, false)
            },
            seconds: Some([20, 200, 2_000, 50_000][step.how as usize % 4]),
            overage: Some([Overage::Charge, Overage::Refuse, Overage::Debt][step.how as usize % 3]),
        }),
        Verb::Precheck => Command::Precheck(Precheck {
            charge: Charge {
                spender: spender(step),
                unit: if how % 4 == 0 { euro()? } else { Unit::CREDIT },
                ..charge(user, 1 + how / 2, how % 4 == 1)
            },
            priced: true,
        }),
        Verb::Burn => Command::Charge(Charge {
            unit: euro()?,
            ..charge(user, 1 + how / 4, false)
        }),
        Verb::Exchange => Command::Exchange(exchange(user, step)?),
        Verb::Progress | Verb::Extend | Verb::Settle | Verb::Release => {
            let holds: Vec<_> = model.holds.keys().copied().collect();
            let hold = *pick_recent(&holds, step.which)?;
            match step.verb {
                Verb::Progress => Command::ProgressHold {
                    hold,
                    used: how / 3,
                },
                Verb::Extend => Command::ExtendHold {
                    hold,
                    more: how % 100,
                    seconds: Some(100),
                },
                Verb::Settle => Command::SettleHold {
                    hold,
                    used: how / 3,
                    remark,
                },
                _ => Command::ReleaseHold { hold, remark },
            }
        }
        _ => return None,
    })
}

/// By an administrator.
pub(super) fn by_administrator(step: Step, model: &Model, now: i64) -> Option<Command> {
    let user = user(step.which)?;
    let how = i64::from(step.how);
    let remark = Remark::default();
    Some(match step.verb {
        Verb::Grant => {
            let amount = Amount::credits(1 + how * 2);
            let terms = CreateGrant::plain(user, amount, Category::Promotional, Source::Manual);
            Command::CreateGrant(terms)
        }
        Verb::Gift => Command::CreateGrant(gift(user, step, now)?),
        Verb::Adjust => Command::Adjust(Adjust {
            user,
            credits: (how - 500) / 4,
            remark,
        }),
        Verb::Overdraft => Command::SetOverdraft {
            user,
            unit: Unit::CREDIT,
            overdraft: (how % 3 > 0).then_some(how),
        },
        Verb::Void => Command::VoidGrant {
            grant: *pick_recent(&model.lots(), step.which)?,
            remark,
        },
        Verb::Freeze => Command::SetFrozen {
            user,
            unit: Unit::CREDIT,
            frozen: step.how.is_multiple_of(3),
        },
        Verb::Limit => Command::SetLimit(SetLimit {
            subject: match step.which / 3 % 3 {
                0 => named(SubjectKind::User, user.as_str()),
                1 => named(SubjectKind::ApiKey, KEY),
                _ => named(SubjectKind::Label, LABEL),
            },
            most: Amount::credits(how * 3),
            period: [Period::Day, Period::Ever, Period::Week][step.how as usize % 3],
        }),
        Verb::Unlimit => {
            let limits: Vec<_> = model.limits.iter().map(|limit| limit.id).collect();
            Command::RemoveLimit(*pick_recent(&limits, step.which)?)
        }
        _ => return None,
    })
}

/// What there is besides credits.
pub(crate) fn euro() -> Option<Unit> {
    Unit::currency("eur")
}

/// A grant that begins, ends and passes on as it likes.
fn gift(user: UserId, step: Step, now: i64) -> Option<CreateGrant> {
    let how = step.how as usize;
    let later = |seconds: i64| Time::from_seconds(now + seconds);
    let amount = Amount::new(1 + i64::from(step.how), euro()?);
    let expires = [None, Some(100), Some(2_000), Some(30_000), Some(300_000)][how % 5];
    let starts = [None, None, Some(50)][how / 5 % 3];
    let rolls = [None, Some(3_000), Some(100_000)][how / 15 % 3];
    Some(CreateGrant {
        priority: [50, 50, 10][step.which as usize % 3],
        starts_at: starts.map(later),
        expires_at: expires.map(later),
        roll_over: rolls.filter(|_| expires.is_some()).map(|seconds| RollOver {
            cap: 1 + i64::from(step.how) / 2,
            seconds,
        }),
        ..CreateGrant::plain(user, amount, Category::Promotional, Source::Manual)
    })
}

/// Credits for euros or euros for credits, at a rate that seldom divides evenly.
fn exchange(user: UserId, step: Step) -> Option<Exchange> {
    let how = i64::from(step.how);
    let rate = [2, 3, 7][step.which as usize / 3 % 3];
    let euros = Amount::new(how / 8, euro()?);
    let credits = Amount::credits(how / 8 * rate / 5);
    let (give, get) = match how % 8 {
        0..4 => (euros, credits),
        4..7 => (credits, euros),
        _ => (credits, Amount::credits(how / 8)),
    };
    let category = [Category::Promotional, Category::Paid][step.how as usize % 2];
    let remark = Remark::default();
    Some(Exchange {
        user,
        give,
        get,
        category,
        remark,
    })
}

/// For whom the product spends.
fn spender(step: Step) -> Spender {
    Spender {
        api_key: step.which.is_multiple_of(4).then(|| KEY.to_owned()),
        labels: match step.which % 5 {
            0 => vec![LABEL.to_owned()],
            _ => vec![],
        },
    }
}

fn named(kind: SubjectKind, name: &str) -> Subject {
    Subject {
        kind,
        name: name.to_owned(),
    }
}

pub(super) fn charge(user: UserId, amount: i64, allow_debt: bool) -> Charge {
    Charge {
        user,
        unit: Unit::CREDIT,
        price: Price::Exactly(amount),
        allow_debt,
        spender: Spender::default(),
        remark: Remark::default(),
    }
}
