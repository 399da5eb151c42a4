//! What the operator decides.

use bursar_domain::amount::{CreditPrice, Unit};
use bursar_domain::charge::ActionPrice;
use bursar_domain::hold::Overage;
use bursar_domain::reversal::SpentCredit;

use super::clock::span;
use super::words::Words;
use super::world::{Said, World};

impl World {
    pub(super) fn policy(&mut self, words: &mut Words) -> Said {
        let policy = &mut self.desk.policy;
        if let Some(code) = words.option("currency") {
            policy.credit_price.currency = Unit::currency(&code).ok_or("unknown currency")?;
        }
        if let Some(price) = words.option("price") {
            let currency = policy.credit_price.currency;
            policy.credit_price = CreditPrice::parse(&price, currency).ok_or("no price")?;
        }
        for (name, number) in [
            ("least", &mut policy.topup_credits_min),
            ("most", &mut policy.topup_credits_max),
            ("overdraft", &mut policy.overdraft),
            ("low", &mut policy.balance_low),
        ] {
            if let Some(text) = words.option(name) {
                *number = text
                    .parse()
                    .map_err(|_| format!("{text} is no number for {name}"))?;
            }
        }
        for (name, seconds) in [
            ("hold", &mut policy.hold_seconds),
            ("notice", &mut policy.expiry_notice_seconds),
        ] {
            if let Some(text) = words.option(name) {
                *seconds = span(&text)?;
            }
        }
        if let Some(overage) = words.option("overage") {
            policy.hold_overage = Overage::parse(&overage).ok_or("refuse, charge or debt")?;
        }
        if let Some(spent) = words.option("spent") {
            policy.spent_credit = SpentCredit::parse(&spent).ok_or("debt, freeze or absorb")?;
        }
        if let Some(above) = words.option("approval") {
            policy.refund_approval_above = above.parse().ok();
        }
        if let Some(live) = words.option("live") {
            policy.livemode = live == "yes";
        }
        Ok(vec![])
    }

    /// Sets what an action costs.
    pub(super) fn action(&mut self, words: &mut Words) -> Said {
        let (name, price) = (words.next("an action")?, words.next("its price")?);
        let price = ActionPrice::parse(&price).ok_or_else(|| format!("{price} is no price"))?;
        self.desk.policy.actions.insert(name, price);
        Ok(vec![])
    }
}
