//! Charges, by themselves and many in one request.

use bursar_domain::amount::Unit;
use bursar_domain::charge::{Charge, Charged, Price};
use bursar_domain::command::{
    AnswerKey, ChargeAll, Command, Precheck, Reply, Request, RequestHash,
};
use bursar_domain::refusal::Refusal;
use bursar_domain::time::Time;

use super::Model;
use super::expect::{Outcome, same};
use super::limit::subjects;

/// The idempotency key of a charge, if it has one.
type Own = Option<(AnswerKey, RequestHash)>;

impl Model {
    pub(super) fn charge(
        &mut self,
        charge: &Charge,
        outcome: &Outcome,
        now: Time,
    ) -> Result<(), String> {
        self.learn_frozen_of(charge, outcome);
        let expected = self.allows(charge, now);
        same(charge, &expected, outcome)?;
        match outcome {
            Ok(Reply::Charged(charged)) => self.was_charged(charge, charged, now),
            Ok(other) => Err(format!("{charge:?} was answered {other:?}")),
            Err(_) => Ok(()),
        }
    }

    /// A charge was made; what was answered has to be right to the last grant, where grants are known.
    fn was_charged(&mut self, charge: &Charge, charged: &Charged, now: Time) -> Result<(), String> {
        let paid = self.book(charge, now);
        let parts = charged.parts.iter().map(|part| part.amount).collect();
        let (balance, known) = if charge.unit == Unit::CREDIT {
            (self.balance(&charge.user), parts)
        } else {
            (self.euros(&charge.user, now).0, paid.clone())
        };
        let parts: Vec<i64> = charged.parts.iter().map(|part| part.amount).collect();
        let total = parts.iter().sum::<i64>() + charged.debt;
        let amount = price(charge);
        if (charged.amount, total, charged.balance, &parts) == (amount, amount, balance, &known) {
            return Ok(());
        }
        Err(format!(
            "{charge:?} takes {paid:?} of grants and leaves {balance}, and the answer is {charged:?}"
        ))
    }

    /// What is answered to a charge tells whether its wallet is frozen.
    fn learn_frozen_of(&mut self, charge: &Charge, outcome: &Outcome) {
        if charge.unit == Unit::CREDIT {
            self.learn_frozen(&charge.user, outcome, true);
        }
    }

    fn allows(&self, charge: &Charge, now: Time) -> Result<(), Refusal> {
        let amount = price(charge);
        if charge.unit != Unit::CREDIT {
            return self.lots_cover(&charge.user, amount, now);
        }
        let floor = if charge.allow_debt {
            self.overdraft(&charge.user)
        } else {
            0
        };
        let subjects = subjects(&charge.user, &charge.spender);
        self.limits_allow(&subjects, now, |_| amount)?;
        self.covers(&charge.user, amount, floor)
    }

    /// Takes what a charge costs; what each grant pays, where that is known.
    fn book(&mut self, charge: &Charge, now: Time) -> Vec<i64> {
        let amount = price(charge);
        if charge.unit != Unit::CREDIT {
            return self.take_lots(&charge.user, amount, now);
        }
        let subjects = subjects(&charge.user, &charge.spender);
        self.spend(&charge.user, amount);
        self.limits_count(&subjects, now, |_| (amount, 0));
        Vec::new()
    }

    /// A question is answered as the charge would be, and nothing happens by it.
    pub(super) fn precheck(
        &mut self,
        asked: &Precheck,
        outcome: &Outcome,
        now: Time,
    ) -> Result<(), String> {
        self.prechecks += 1;
        let charge = &asked.charge;
        let said = match outcome {
            Ok(Reply::Prechecked(said)) => said.refusal.clone().map_or(Ok(Reply::Done), Err),
            Err(refusal) => Err(refusal.clone()),
            Ok(other) => return Err(format!("{asked:?} was answered {other:?}")),
        };
        self.learn_frozen_of(charge, if said.is_ok() { outcome } else { &said });
        let (cost, available) = (price(charge), self.available_in(charge, now));
        same(asked, &self.allows(charge, now), &said)?;
        match outcome {
            Ok(Reply::Prechecked(said)) if (said.cost, said.available) == (cost, available) => {
                Ok(())
            }
            // What is wrong in itself is no answer to the question.
            Err(Refusal::WalletFrozen) => Ok(()),
            other => Err(format!(
                "{asked:?} costs {cost} of {available} and was answered {other:?}"
            )),
        }
    }

    fn available_in(&self, charge: &Charge, now: Time) -> i64 {
        if charge.unit == Unit::CREDIT {
            self.available(&charge.user)
        } else {
            self.euros(&charge.user, now).1
        }
    }

    /// The charges of a batch are answered as if they had come one by one. Where all or none were wanted, the first refusal is the
    /// answer, and nothing has happened.
    pub(super) fn charge_all(
        &mut self,
        all: &ChargeAll,
        outcome: &Outcome,
        now: Time,
    ) -> Result<(), String> {
        match outcome {
            Ok(Reply::ChargedAll(answers)) if answers.len() == all.charges.len() => {
                if all.atomic && answers.iter().any(Result::is_err) {
                    return Err(format!("of {all:?} only some were made: {answers:?}"));
                }
                self.batches += 1;
                for ((charge, own), answer) in all.charges.iter().zip(answers) {
                    let request = Request {
                        command: Command::Charge(charge.clone()),
                        idempotency: own.clone(),
                    };
                    let (outcome, replayed) = match answer {
                        Ok((charged, replayed)) => (Ok(Reply::Charged(charged.clone())), *replayed),
                        // Whether a refusal is an old one is not said.
                        Err(refusal) => (Err(refusal.clone()), self.was_asked(own)),
                    };
                    self.compare(&request, (&outcome, replayed), now)?;
                }
                Ok(())
            }
            Err(Refusal::BatchRefused { position, why }) if all.atomic => {
                self.batches_undone += 1;
                self.clone().foresee(all, (*position, why), now)
            }
            other => Err(format!("{all:?} was answered {other:?}")),
        }
    }

    /// Whether just this was decided under a key before.
    fn was_asked(&self, own: &Own) -> bool {
        let Some((key, hash)) = own else {
            return false;
        };
        let known = self.answers.get(&key.key);
        known.is_some_and(|(known, _)| known == hash)
    }

    /// Whether the charges up to this one would have been made, and this one refused. What happens to this ledger on the way is to be
    /// thrown away.
    fn foresee(
        &mut self,
        all: &ChargeAll,
        (position, why): (usize, &Refusal),
        now: Time,
    ) -> Result<(), String> {
        let Some((refused, own)) = all.charges.get(position) else {
            return Err(format!("charge {position} of {all:?} was refused"));
        };
        for (charge, own) in &all.charges[..position] {
            same(charge, &self.try_one(charge, own, now), &Ok(Reply::Done))?;
        }
        let why = Err(why.clone());
        if !self.was_asked(own) {
            self.learn_frozen_of(refused, &why);
        }
        same(refused, &self.try_one(refused, own, now), &why)
    }

    fn try_one(&mut self, charge: &Charge, own: &Own, now: Time) -> Result<(), Refusal> {
        if let Some((key, hash)) = own
            && let Some((known, before)) = self.answers.get(&key.key)
        {
            return if known == hash {
                before.clone().map(drop)
            } else {
                Err(Refusal::IdempotencyKeyReused)
            };
        }
        self.allows(charge, now)?;
        self.book(charge, now);
        if let Some((key, hash)) = own {
            let answer = (*hash, Ok(Reply::Done));
            self.answers.insert(key.key.clone(), answer);
        }
        Ok(())
    }
}

fn price(charge: &Charge) -> i64 {
    match charge.price {
        Price::Exactly(amount) => amount,
        // Nobody asks for that here.
        Price::Action { .. } => 0,
    }
}
