//! What the operator decides.

use bursar_domain::amount::{Amount, CreditPrice, Unit};
use bursar_domain::charge::ActionPrice;
use bursar_domain::currency::ChargeLimits;
use bursar_domain::hold::Overage;
use bursar_domain::package::Package;
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
        if let Some(text) = words.option("limits") {
            let (least, most) = text.split_once("..").ok_or("limits are LEAST..MOST")?;
            let number = |text: &str| text.parse().map_err(|_| format!("{text} is no number"));
            let (least, most) = (number(least)?, number(most)?);
            let currency = policy.credit_price.currency;
            policy
                .charge_limits
                .insert(currency, ChargeLimits { least, most });
        }
        if let Some(prices) = words.option("also") {
            for (currency, price) in pairs(&prices)? {
                let price = CreditPrice::parse(&price, currency).ok_or("no price")?;
                policy.credit_prices.push(price);
            }
        }
        if let Some(live) = words.option("live") {
            policy.livemode = live == "yes";
        }
        Ok(vec![])
    }

    /// Puts up a package for sale.
    pub(super) fn package(&mut self, words: &mut Words) -> Said {
        let (id, credits) = (words.next("its id")?, words.number("credits")?);
        let prices = pairs(&words.next("its prices")?)?.into_iter();
        let amount = |(currency, minor): (Unit, String)| match minor.parse() {
            Ok(minor) => Ok(Amount::new(minor, currency)),
            Err(_) => Err(format!("{minor} is no amount")),
        };
        let bonus = words.option("bonus").map_or(Ok(0), |text| text.parse());
        let package = Package {
            name: id.clone(),
            id,
            credits,
            bonus: bonus.map_err(|_| "bonus is no number")?,
            prices: prices.map(amount).collect::<Result<_, _>>()?,
            popular: false,
        };
        package.check().map_err(|why| why.to_string())?;
        self.desk.policy.packages.push(package);
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

/// `usd:500,eur:450`
fn pairs(text: &str) -> Result<Vec<(Unit, String)>, String> {
    let pair = |part: &str| {
        let (code, value) = part.split_once(':').ok_or("a currency and a number")?;
        let currency = Unit::currency(code).ok_or_else(|| format!("{code} is no currency"))?;
        Ok((currency, value.to_owned()))
    };
    text.split(',').map(pair).collect()
}
