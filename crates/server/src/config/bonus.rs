//! The part about what is given: credits to begin with, and for bringing others.

use bursar_domain::referral::ReferralTerms;
use bursar_domain::welcome::Allowance;

use super::shop::by_currency;
use super::{CREDITS_MAX, Reader, currency as parse_currency, whole};

/// The part about what is given.
#[derive(Debug, Clone)]
pub struct BonusConfig {
    /// For signing up.
    pub signup: Allowance,
    /// To try the product.
    pub trial: Allowance,
    /// For bringing others.
    pub referral: ReferralTerms,
}

/// The longest that credits to begin with may last, in days.
const DAYS_MAX: i64 = 3_650;

impl Reader<'_> {
    pub(super) fn bonus(&mut self) -> Option<BonusConfig> {
        let signup = self.allowance("bonus.signup_credits", "bonus.signup_days");
        let trial = self.allowance("bonus.trial_credits", "bonus.trial_days");
        let credits = |text: &str| whole(text, 0, CREDITS_MAX);
        let bringer = self.read("referral.referrer_credits", credits);
        let referred = self.read("referral.referred_credits", credits);
        let minor = |text: &str| whole(text, 0, CREDITS_MAX);
        let usual = self.read("referral.min_price_minor", minor);
        let others = self.read("referral.min_prices", |text| {
            by_currency(text, |_, text| minor(text))
        });
        let code = self.values.get("stripe.currency");
        let currency = parse_currency(code.map_or("", |found| &found.value)).ok()?;
        let mut least_prices = std::collections::BTreeMap::from([(currency, usual?)]);
        for (currency, least) in others? {
            if least_prices.insert(currency, least).is_some() {
                self.problems.0.push(format!(
                    "BURSAR_REFERRAL_MIN_PRICES: {:?} is stripe.currency: its least price is referral.min_price_minor",
                    currency.code()
                ));
            }
        }
        Some(BonusConfig {
            signup: signup?,
            trial: trial?,
            referral: ReferralTerms {
                referrer_credits: bringer?,
                referred_credits: referred?,
                least_prices,
            },
        })
    }

    fn allowance(&mut self, credits: &str, days: &str) -> Option<Allowance> {
        let credits = self.read(credits, |text| whole(text, 0, CREDITS_MAX));
        let days = self.read(days, |text| whole(text, 1, DAYS_MAX));
        Some(Allowance {
            credits: credits?,
            seconds: days? * 86_400,
        })
    }
}
