//! Exchanges: what leaves one wallet and what comes into another are the two amounts that were named, and nothing is left over.

use bursar_domain::account::AccountKey;
use bursar_domain::amount::Unit;
use bursar_domain::command::Reply;
use bursar_domain::exchange::{Exchange, Exchanged};
use bursar_domain::grant::{CreateGrant, Source};
use bursar_domain::refusal::Refusal;
use bursar_domain::time::Time;

use super::Model;
use super::expect::{Outcome, same};
use super::wallet::out_of_range;

impl Model {
    pub(super) fn exchange(
        &mut self,
        wish: &Exchange,
        outcome: &Outcome,
        now: Time,
    ) -> Result<(), String> {
        if wish.give.unit == Unit::CREDIT {
            self.learn_frozen(&wish.user, outcome, true);
        }
        let expected = self.may_exchange(wish, now);
        same(wish, &expected, outcome)?;
        match outcome {
            Ok(Reply::Exchanged(done)) => self.was_exchanged(wish, done, now),
            Ok(other) => Err(format!("{wish:?} was answered {other:?}")),
            Err(_) => Ok(()),
        }
    }

    fn may_exchange(&self, wish: &Exchange, now: Time) -> Result<(), Refusal> {
        if wish.give.minor < 1 || wish.get.minor < 1 {
            return Err(out_of_range());
        }
        if wish.give.unit == wish.get.unit {
            return Err(Refusal::SameUnit);
        }
        if wish.give.unit == Unit::CREDIT {
            self.covers(&wish.user, wish.give.minor, 0)
        } else {
            self.lots_cover(&wish.user, wish.give.minor, now)
        }
    }

    fn was_exchanged(
        &mut self,
        wish: &Exchange,
        done: &Exchanged,
        now: Time,
    ) -> Result<(), String> {
        self.exchanges += 1;
        let (user, got) = (&wish.user, &done.got);
        let balance = if wish.give.unit == Unit::CREDIT {
            self.spend(user, wish.give.minor);
            self.balance(user)
        } else {
            self.take_lots(user, wish.give.minor, now);
            self.euros(user, now).0
        };
        if wish.get.unit == Unit::CREDIT {
            self.give(user, wish.get.minor);
        } else {
            let terms = CreateGrant::plain(user.clone(), wish.get, wish.category, Source::Exchange);
            self.add_lot(got.id, &terms, now);
        }
        let wallet = AccountKey::wallet_in(user, wish.get.unit);
        let said = (done.give, done.balance, got.granted, &got.wallet);
        if said == (wish.give, balance, wish.get.minor, &wallet) {
            return Ok(());
        }
        Err(format!(
            "{wish:?} leaves {balance}, and the answer is {done:?}"
        ))
    }
}
