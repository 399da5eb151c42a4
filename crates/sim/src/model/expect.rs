//! What should have been answered, command by command.

use bursar_domain::amount::Unit;
use bursar_domain::charge::Price;
use bursar_domain::command::{Command, Reply, Request};
use bursar_domain::grant::CreateGrant;
use bursar_domain::hold::{CreateHold, HoldStatus, Overage};
use bursar_domain::id::{HoldId, TopupId, UserId};
use bursar_domain::payment::Flow;
use bursar_domain::refusal::Refusal;
use bursar_domain::time::Time;
use bursar_domain::topup::{CreateTopup, Wish};

use super::limit::subjects;
use super::wallet::out_of_range;
use super::{Bought, Held, Model, Paying};

/// The least that is sold by number.
const CREDITS_LEAST: i64 = 50;

/// An answer as it was given.
pub(crate) type Outcome = Result<Reply, Refusal>;

impl Model {
    /// Compares an answer of the writer with what it should be, and takes in what has happened by it.
    pub(crate) fn compare(
        &mut self,
        request: &Request,
        (outcome, replayed): (&Outcome, bool),
        now: Time,
    ) -> Result<(), String> {
        if let Some((key, hash)) = &request.idempotency
            && let Some((known, before)) = self.answers.get(&key.key)
        {
            let expected = if known == hash {
                (before, true)
            } else {
                (&Err(Refusal::IdempotencyKeyReused), false)
            };
            return if (outcome, replayed) == expected {
                Ok(())
            } else {
                Err(format!(
                    "{} was answered {expected:?} before, and now {outcome:?}",
                    key.key
                ))
            };
        }
        if replayed {
            return Err("an answer was repeated that was never given".to_owned());
        }
        self.take(&request.command, outcome, now)?;
        if let Err(refusal) = outcome {
            *self.refused.entry(refusal.code()).or_default() += 1;
        }
        if let Some((key, hash)) = &request.idempotency
            && !outcome.as_ref().is_err_and(Refusal::is_transient)
        {
            self.answers
                .insert(key.key.clone(), (*hash, outcome.clone()));
        }
        Ok(())
    }

    fn take(&mut self, command: &Command, outcome: &Outcome, now: Time) -> Result<(), String> {
        match command {
            Command::CreateTopup(wish) => self.create_topup(wish, outcome, now),
            Command::OpenCheckout(wish) => {
                self.open((&wish.topup, &wish.user), Flow::Checkout, outcome)
            }
            Command::OpenIntent(wish) => {
                self.open((&wish.topup, &wish.user), Flow::Intent, outcome)
            }
            Command::ChargeCard(wish) => {
                self.open((&wish.topup, &wish.user), Flow::OffSession, outcome)
            }
            Command::SetAutoTopup(wish) => self.set_auto(wish, outcome),
            Command::EndAutoTopup(user) => self.end_auto(user, outcome),
            Command::CreateGrant(terms) if terms.amount.unit != Unit::CREDIT => {
                self.create_lot(terms, outcome, now)
            }
            Command::VoidGrant { grant, .. } => self.void_lot(*grant, outcome, now),
            Command::Charge(charge) => self.charge(charge, outcome, now),
            Command::ChargeAll(all) => self.charge_all(all, outcome, now),
            Command::Exchange(wish) => self.exchange(wish, outcome, now),
            Command::Precheck(asked) => self.precheck(asked, outcome, now),
            Command::FinishTopup { topup, .. } => self.finish(topup, outcome),
            Command::Adjust(wish) => self.adjust(wish, outcome),
            Command::SetOverdraft {
                user, overdraft, ..
            } => self.set_overdraft(user, *overdraft, outcome),
            Command::SetFrozen { user, frozen, .. } => self.set_frozen(user, *frozen, outcome),
            Command::Bonus(asked) => self.bonus(asked, outcome, now),
            Command::SetLimit(wish) => self.set_limit(wish, outcome, now),
            Command::RemoveLimit(limit) => self.remove_limit(*limit, outcome),
            Command::CreateHold(wish) => self.create_hold(wish, outcome, now),
            Command::ProgressHold { hold, used } => {
                let expected = self.progress(*hold, *used, now);
                same(command, &expected, outcome)
            }
            Command::ExtendHold {
                hold,
                more,
                seconds,
            } => {
                self.learn_frozen_by(*hold, outcome);
                let until = now.plus_seconds(seconds.unwrap_or(0));
                let expected = self.extend(*hold, *more, until, now);
                same(command, &expected, outcome)
            }
            Command::SettleHold { hold, used, .. } => {
                self.learn_frozen_by(*hold, outcome);
                let expected = self.settle(*hold, *used, now);
                same(command, &expected, outcome)
            }
            Command::ReleaseHold { hold, .. } => {
                let expected = self.release(*hold, now);
                same(command, &expected, outcome)
            }
            Command::Sweep(sweep) => {
                sweep.holds.iter().for_each(|hold| self.expire(*hold, now));
                let others = sweep.wallets.iter();
                let others = others.filter(|wallet| wallet.unit != Unit::CREDIT);
                for user in others.filter_map(|wallet| UserId::parse(wallet.owner.as_str())) {
                    self.close_lots(&user, now);
                }
                same(command, &Ok(()), outcome)
            }
            Command::CreateGrant(terms) => self.create_grant(terms, outcome),
            Command::RequestRefund(wish) => self.request_refund(wish, outcome),
            Command::DecideRefund { refund, agrees, by } => {
                self.decide_refund((refund, *agrees), by, outcome)
            }
            Command::Turn(step) => self.turn.take(*step, outcome, now),
            _ => self.take_told(command, outcome, now),
        }
    }

    /// What is asked of a hold may spend more, or not.
    fn learn_frozen_by(&mut self, hold: HoldId, outcome: &Outcome) {
        if let Some(user) = self.holds.get(&hold).map(|held| held.user.clone()) {
            self.learn_frozen(&user, outcome, false);
        }
    }

    fn create_topup(
        &mut self,
        wish: &CreateTopup,
        outcome: &Outcome,
        now: Time,
    ) -> Result<(), String> {
        let plain = match &wish.wish {
            Wish::Credits(credits) if *credits < CREDITS_LEAST => Err(out_of_range()),
            Wish::Credits(credits) => {
                let (cents, many) = self.price;
                let price = (credits * cents + many - 1) / many;
                Ok((*credits, 0, price))
            }
            Wish::Package(id) => {
                let package = self.packages.iter().find(|package| package.id == *id);
                let package = package.ok_or_else(|| Refusal::PackageNotFound { id: id.clone() });
                package.map(|it| (it.credits, it.bonus, it.prices[0].minor))
            }
            Wish::Money { .. } => return Ok(()),
        };
        let expected = match &wish.coupon {
            Some(code) => plain.and_then(|(credits, bonus, price)| {
                let (price, more) = self.with_coupon((code, &wish.user), price, now)?;
                Ok((credits, bonus + more, price))
            }),
            None => plain,
        };
        match (&expected, outcome) {
            (Ok((credits, bonus, price)), Ok(Reply::Topup(topup)))
                if (topup.credits, topup.bonus, topup.price.minor)
                    == (*credits, *bonus, *price) =>
            {
                let bought = Bought {
                    user: wish.user.clone(),
                    credits: *credits,
                    bonus: *bonus,
                    price: *price,
                    package: topup.package.clone(),
                    coupon: wish.coupon.clone(),
                    paid_by: None,
                    by_hand: false,
                };
                self.topups.insert(topup.id.clone(), bought);
                Ok(())
            }
            // Others have it reserved.
            (_, Err(Refusal::CouponUsedUp)) if wish.coupon.is_some() => Ok(()),
            (Ok(_), _) => Err(format!(
                "{wish:?} should be {expected:?} and was answered {outcome:?}"
            )),
            (Err(_), _) => same(wish, &expected.map(drop), outcome),
        }
    }

    /// A payment for a top-up, in whichever way it is to be paid.
    fn open(
        &mut self,
        (id, user): (&TopupId, &UserId),
        flow: Flow,
        outcome: &Outcome,
    ) -> Result<(), String> {
        let bought = self.topups.get(id).filter(|bought| bought.user == *user);
        let Some(bought) = bought else {
            return same(
                &"a payment for nothing",
                &Err(Refusal::TopupNotFound),
                outcome,
            );
        };
        match outcome {
            Ok(Reply::Payment(payment))
                if !bought.is_paid()
                    && payment.amount.minor == bought.price
                    && payment.flow == flow =>
            {
                let paying = Paying::new(id.clone(), payment);
                self.payments.entry(payment.id.clone()).or_insert(paying);
                Ok(())
            }
            // Canceled, expired and failed ones are refused too.
            Err(Refusal::TopupNotPending { .. }) => Ok(()),
            Err(
                Refusal::CouponUsed
                | Refusal::CouponUsedUp
                | Refusal::CouponHeld
                | Refusal::CouponInvalid,
            ) if bought.coupon.is_some() => Ok(()),
            other => Err(format!("a payment for {bought:?} was answered {other:?}")),
        }
    }

    fn create_hold(
        &mut self,
        wish: &CreateHold,
        outcome: &Outcome,
        now: Time,
    ) -> Result<(), String> {
        let Price::Exactly(amount) = wish.charge.price else {
            return Ok(());
        };
        let subjects = subjects(&wish.charge.user, &wish.charge.spender);
        self.learn_frozen(&wish.charge.user, outcome, true);
        let expected = self
            .limits_allow(&subjects, now, |_| amount)
            .and_then(|()| self.covers(&wish.charge.user, amount, 0));
        same(wish, &expected, outcome)?;
        if let Ok(Reply::Hold(hold)) = outcome {
            let counted = self.limits_count(&subjects, now, |_| (0, amount));
            let held = Held {
                user: wish.charge.user.clone(),
                amount,
                progress: 0,
                overage: wish.overage.unwrap_or(Overage::Charge),
                expires_at: now.plus_seconds(wish.seconds.unwrap_or(0)),
                status: HoldStatus::Open,
                settled: 0,
                subjects,
                counted,
            };
            if self.holds.insert(hold.id, held).is_some() {
                return Err(format!("hold {} was made twice", hold.id));
            }
        }
        Ok(())
    }

    fn create_grant(&mut self, terms: &CreateGrant, outcome: &Outcome) -> Result<(), String> {
        same(terms, &Ok(()), outcome)?;
        self.give(&terms.user, terms.amount.minor);
        Ok(())
    }
}

/// Whether it was allowed or refused as it should be. What is said about a lack of credits has to be right to the last credit.
pub(super) fn same(
    what: &impl std::fmt::Debug,
    expected: &Result<(), Refusal>,
    outcome: &Outcome,
) -> Result<(), String> {
    let is_same = match (expected, outcome) {
        (Ok(()), Ok(_)) => true,
        (Err(Refusal::InsufficientCredits { .. }), Err(given)) => {
            expected.as_ref().err() == Some(given)
        }
        (Err(expected), Err(given)) => expected.code() == given.code(),
        _ => false,
    };
    if is_same {
        return Ok(());
    }
    Err(format!(
        "{what:?} should be {expected:?} and was answered {outcome:?}"
    ))
}
