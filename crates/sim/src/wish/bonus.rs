//! What is given away.

use bursar_domain::amount::{Amount, Unit};
use bursar_domain::code::{CodeTerms, CreateCodes, Redeem};
use bursar_domain::command::BonusCommand;
use bursar_domain::coupon::{Benefit, CouponTerms};
use bursar_domain::referral::Join;
use bursar_domain::time::Time;
use bursar_domain::welcome::{ClaimWelcome, Welcome};

use crate::client::user;
use crate::model::Model;
use crate::script::{Step, Verb};
use crate::stripe::{pick, pick_recent};

/// At most so many coupons are made.
const COUPONS_MAX: usize = 2;

/// What somebody asks about what is given away.
pub(super) fn command(step: Step, model: &Model, now: i64) -> Option<BonusCommand> {
    let user = user(step.which)?;
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
        Verb::Coupon if coupons.len() >= COUPONS_MAX => return None,
        Verb::Coupon => BonusCommand::CreateCoupon(CouponTerms {
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
        _ => return None,
    })
}
