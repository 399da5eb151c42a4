//! Clients: the product's server, customers' browsers, an administrator. What they ask has an idempotency key, and they ask again.

use bursar_domain::amount::{Amount, Unit};
use bursar_domain::auto_topup::{Cap, Refill, SetAutoTopup, Terms};
use bursar_domain::charge::{Charge, Price};
use bursar_domain::checkout::OpenCheckout;
use bursar_domain::code::{CodeTerms, CreateCodes, Redeem};
use bursar_domain::command::{AnswerKey, BonusCommand, Command, Reply, Request};
use bursar_domain::coupon::{Benefit, CouponTerms};
use bursar_domain::grant::{Category, CreateGrant, RollOver, Source};
use bursar_domain::hold::{CreateHold, Overage};
use bursar_domain::id::{TopupId, UserId};
use bursar_domain::intent::{ChargeCard, OpenIntent};
use bursar_domain::journal::Remark;
use bursar_domain::limit::{Period, SetLimit, Spender, Subject, SubjectKind};
use bursar_domain::referral::Join;
use bursar_domain::refund::RequestRefund;
use bursar_domain::refusal::Refusal;
use bursar_domain::time::Time;
use bursar_domain::topup::CreateTopup;
use bursar_domain::welcome::{ClaimWelcome, Welcome};
use bursar_store::digest::request_hash;

use crate::model::Model;
use crate::node::NODES_MAX;
use crate::script::{Step, Verb};
use crate::stripe::{Stripe, pick, pick_recent};

/// Whose wallets there are.
pub(crate) const USERS: [&str; 3] = ["anna", "ben", "cara"];

/// A key of the product, and a team, for which users spend.
const KEY: &str = "k-1";
const LABEL: &str = "team-red";

/// At most so many coupons are made.
const COUPONS_MAX: usize = 2;

pub(crate) fn user(which: u32) -> Option<UserId> {
    UserId::parse(USERS[which as usize % USERS.len()])
}

/// Something a client has asked for.
pub(crate) struct Asked {
    pub(crate) request: Request,
    /// What the client was answered, once an answer has reached it.
    pub(crate) answered: Option<Result<Reply, Refusal>>,
    /// At which nodes it waits for an answer.
    pub(crate) waits: [bool; NODES_MAX],
}

/// All that clients have asked for, in order.
#[derive(Default)]
pub(crate) struct Clients {
    pub(crate) asked: Vec<Asked>,
}

impl Clients {
    /// A new request; its number.
    pub(crate) fn ask(&mut self, command: Command) -> usize {
        let number = self.asked.len();
        let key = AnswerKey {
            key: format!("k-{number}"),
            principal: "product".to_owned(),
            route: "sim".to_owned(),
        };
        let hash = request_hash(format!("{command:?}").as_bytes());
        let request = Request {
            command,
            idempotency: Some((key, hash)),
        };
        self.asked.push(Asked {
            request,
            answered: None,
            waits: [false; NODES_MAX],
        });
        number
    }
}

/// What a step asks for, if there is something to ask about.
pub(crate) fn command(step: Step, model: &Model, stripe: &Stripe) -> Option<Command> {
    let user = user(step.which)?;
    let how = i64::from(step.how);
    let remark = Remark::default();
    Some(match step.verb {
        Verb::Buy => {
            let coupons = model.coupons();
            let coupon = pick(&coupons, step.which / 3).filter(|_| how % 4 > 0);
            Command::CreateTopup(CreateTopup {
                coupon: coupon.cloned(),
                ..CreateTopup::plain(user, 40 + how)
            })
        }
        Verb::Welcome
        | Verb::Join
        | Verb::MakeCode
        | Verb::Redeem
        | Verb::Disable
        | Verb::Coupon => Command::Bonus(bonus(user, step, model, stripe.now)?),
        Verb::Checkout => {
            let topups: Vec<_> = model.topups.keys().collect();
            let topup = (*pick_recent(&topups, step.which)?).clone();
            let wrong = step.how.is_multiple_of(20);
            let owner = model.topups.get(&topup)?.user.clone();
            Command::OpenCheckout(OpenCheckout {
                topup,
                user: if wrong { user } else { owner },
                success_url: "http://shop.test/paid".to_owned(),
                cancel_url: "http://shop.test/canceled".to_owned(),
                save_card: step.how.is_multiple_of(5),
            })
        }
        Verb::Intent => {
            let (topup, user) = recent_topup(step, model)?;
            let save_card = step.how.is_multiple_of(4);
            Command::OpenIntent(OpenIntent {
                topup,
                user,
                save_card,
            })
        }
        Verb::ChargeCard => {
            let (topup, user) = recent_topup(step, model)?;
            let card = card_of(&user, step, model, stripe);
            Command::ChargeCard(ChargeCard { topup, user, card })
        }
        Verb::AutoTopup => Command::SetAutoTopup(SetAutoTopup {
            terms: Terms {
                enabled: true,
                threshold: 1 + how / 2,
                refill: if step.how.is_multiple_of(2) {
                    Refill::Credits(50 + how / 4)
                } else {
                    Refill::Target(500 + how / 4)
                },
                cap: Cap::default(),
                card: card_of(&user, step, model, stripe),
            },
            user,
        }),
        Verb::Gift => Command::CreateGrant(gift(user, step, stripe.now)?),
        Verb::Burn => Command::Charge(Charge {
            unit: euro()?,
            ..charge(user, 1 + how / 4, false)
        }),
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
        Verb::EndAuto => Command::EndAutoTopup(user),
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
        Verb::Grant => {
            let amount = Amount::credits(1 + how * 2);
            let terms = CreateGrant::plain(user, amount, Category::Promotional, Source::Manual);
            Command::CreateGrant(terms)
        }
        Verb::Refund => {
            let payments: Vec<_> = model.known.iter().map(|(_, payment)| payment).collect();
            Command::RequestRefund(RequestRefund {
                payment: (*pick_recent(&payments, step.which)?).clone(),
                amount: (!step.how.is_multiple_of(3)).then_some(1 + how / 3),
                reason: String::new(),
                by: "admin".to_owned(),
                remark,
            })
        }
        Verb::Cancel => {
            let topups: Vec<_> = model.topups.keys().collect();
            Command::CancelTopup {
                topup: (*pick_recent(&topups, step.which)?).clone(),
                remark,
            }
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

/// What somebody asks about what is given away.
fn bonus(user: UserId, step: Step, model: &Model, now: i64) -> Option<BonusCommand> {
    let how = step.how as usize;
    let addresses = [
        None,
        Some("address-1"),
        Some("address-2"),
        Some("address-3"),
    ];
    let identity = addresses[how / 3 % 4].map(str::to_owned);
    let soon = Time::from_seconds(now + 3_000);
    let expires_at = how.is_multiple_of(5).then_some(soon);
    let (codes, coupons) = (model.codes(), model.coupons());
    Some(match step.verb {
        Verb::Welcome => BonusCommand::ClaimWelcome(ClaimWelcome {
            which: [Welcome::Signup, Welcome::Trial][how % 2],
            user,
            identity,
        }),
        Verb::Join => {
            let invitations = model.invitations();
            let known = pick(&invitations, step.how / 12).cloned();
            let code = match how % 3 {
                0 => None,
                _ => Some(known.unwrap_or_else(|| "nobody0000".to_owned())),
            };
            BonusCommand::Join(Join {
                user,
                identity,
                code,
            })
        }
        Verb::MakeCode => {
            let number = codes.len() + 1;
            let hash = format!("{number:032x}{number:032x}");
            BonusCommand::CreateCodes(CreateCodes {
                secrets: vec![(hash, "hint".to_owned())],
                terms: CodeTerms {
                    amount: Amount::credits(1 + i64::from(step.how) / 4),
                    uses_max: 1 + i64::from(step.which % 2),
                    expires_at,
                    grant_seconds: None,
                    note: String::new(),
                },
            })
        }
        Verb::Redeem => {
            let known = pick_recent(&codes, step.how).map(|(_, hash)| hash.clone());
            let wrong = || "0".repeat(64);
            let hash = known.filter(|_| how % 6 != 5).unwrap_or_else(wrong);
            BonusCommand::Redeem(Redeem { user, hash })
        }
        Verb::Disable if how.is_multiple_of(2) => {
            BonusCommand::DisableCode(pick_recent(&codes, step.which)?.0.clone())
        }
        Verb::Disable => BonusCommand::DisableCoupon(pick_recent(&coupons, step.which)?.clone()),
        // Few, so that who has had one asks for it again.
        _ if coupons.len() >= COUPONS_MAX => return None,
        _ => BonusCommand::CreateCoupon(CouponTerms {
            code: format!("COUPON-{}", coupons.len()),
            benefit: match how % 3 {
                0 => Benefit::Percent(1 + i64::from(step.which) % 60),
                1 => {
                    let cents = 1 + i64::from(step.which) / 4;
                    Benefit::Amount(Amount::new(cents, Unit::currency("usd")?))
                }
                _ => Benefit::Credits(1 + i64::from(step.which) / 4),
            },
            least_price: None,
            uses_max: [None, Some(1), Some(2)][how / 3 % 3],
            expires_at,
            note: String::new(),
        }),
    })
}

fn recent_topup(step: Step, model: &Model) -> Option<(TopupId, UserId)> {
    let topups: Vec<_> = model.topups.iter().collect();
    let (topup, bought) = pick_recent(&topups, step.which)?;
    Some(((*topup).clone(), bought.user.clone()))
}

/// A card that the user has saved; one that is not there, where he has none.
fn card_of(user: &UserId, step: Step, model: &Model, stripe: &Stripe) -> String {
    let customer = model.customers.get(user);
    let cards = customer.map_or_else(Vec::new, |customer| stripe.cards(customer));
    pick_recent(&cards, step.how).map_or_else(|| "pm_gone".to_owned(), Clone::clone)
}

fn charge(user: UserId, amount: i64, allow_debt: bool) -> Charge {
    Charge {
        user,
        unit: Unit::CREDIT,
        price: Price::Exactly(amount),
        allow_debt,
        spender: Spender::default(),
        remark: Remark::default(),
    }
}
