//! Purchases, and what becomes of them.

use bursar_domain::auto_topup::{Cap, Refill, SetAutoTopup, Terms};
use bursar_domain::checkout::OpenCheckout;
use bursar_domain::command::Command;
use bursar_domain::id::{TopupId, UserId};
use bursar_domain::intent::{ChargeCard, OpenIntent};
use bursar_domain::journal::Remark;
use bursar_domain::topup::{CreateTopup, Wish};

use crate::client::user;
use crate::model::Model;
use crate::node::PACKAGES;
use crate::script::{Step, Verb};
use crate::stripe::{Stripe, pick, pick_recent};

/// About top-ups, payments and cards.
pub(super) fn command(step: Step, model: &Model, stripe: &Stripe) -> Option<Command> {
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
        Verb::BuyPackage => {
            let coupons = model.coupons();
            let coupon = pick(&coupons, step.which / 3).filter(|_| how % 4 == 1);
            let package = PACKAGES[step.how as usize % PACKAGES.len()];
            Command::CreateTopup(CreateTopup {
                wish: Wish::Package(package.to_owned()),
                coupon: coupon.cloned(),
                ..CreateTopup::plain(user, 0)
            })
        }
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
        Verb::EndAuto => Command::EndAutoTopup(user),
        Verb::Finish => Command::FinishTopup {
            topup: recent_topup(step, model)?.0,
            remark,
        },
        Verb::Cancel => Command::CancelTopup {
            topup: recent_topup(step, model)?.0,
            remark,
        },
        _ => return None,
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
