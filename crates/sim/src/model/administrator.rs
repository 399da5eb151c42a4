//! What an administrator books on his word: corrections, paid top-ups, and how far below zero a wallet may go.

use bursar_domain::command::{Adjust, Reply};
use bursar_domain::id::{TopupId, UserId};
use bursar_domain::refusal::Refusal;
use bursar_domain::topup::TopupStatus;

use super::Model;
use super::expect::{Outcome, same};
use super::wallet::out_of_range;

impl Model {
    pub(super) fn adjust(&mut self, wish: &Adjust, outcome: &Outcome) -> Result<(), String> {
        let (user, credits) = (&wish.user, wish.credits);
        if credits < 0 {
            self.learn_frozen(user, outcome, true);
        }
        let expected = match credits {
            0 => Err(out_of_range()),
            1.. => Ok(()),
            _ => self.covers(user, -credits, 0),
        };
        same(wish, &expected, outcome)?;
        let Ok(Reply::Adjusted(adjusted)) = outcome else {
            return Ok(());
        };
        if credits > 0 {
            self.give(user, credits);
        } else {
            self.spend(user, -credits);
        }
        let balance = self.balance(user);
        if (adjusted.credits, adjusted.balance) == (credits, balance) {
            return Ok(());
        }
        Err(format!(
            "{wish:?} leaves {balance}, and the answer is {adjusted:?}"
        ))
    }

    /// A top-up is paid because somebody says so. A payment that comes afterwards gives nothing any more. Canceled, expired and
    /// failed ones are refused, and this ledger does not know them.
    pub(super) fn finish(&mut self, id: &TopupId, outcome: &Outcome) -> Result<(), String> {
        let Some(bought) = self.topups.get_mut(id) else {
            let expected = Err(Refusal::TopupNotFound);
            return same(&"a top-up that is not there", &expected, outcome);
        };
        match outcome {
            Ok(Reply::Topup(topup)) if topup.status == TopupStatus::Paid => {}
            Err(Refusal::TopupNotPending { .. }) if !bought.is_paid() => return Ok(()),
            other => return Err(format!("to finish {bought:?} was answered {other:?}")),
        }
        if !bought.is_paid() {
            bought.by_hand = true;
            let user = bought.user.clone();
            self.may_thaw(&user);
        }
        Ok(())
    }

    pub(super) fn set_overdraft(
        &mut self,
        user: &UserId,
        overdraft: Option<i64>,
        outcome: &Outcome,
    ) -> Result<(), String> {
        match overdraft {
            Some(most) => self.overdrafts.insert(user.clone(), most),
            None => self.overdrafts.remove(user),
        };
        if *outcome == Ok(Reply::Overdraft(overdraft)) {
            return Ok(());
        }
        Err(format!(
            "{user} may owe {overdraft:?}, and the answer is {outcome:?}"
        ))
    }
}
