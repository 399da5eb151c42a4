//! What the operator decided: limits and prices, as arguments to the rules.

use crate::amount::{CreditPrice, Unit};
use crate::charge::Actions;
use crate::currency::OwnLimits;
use crate::fraud::OnFraudWarning;
use crate::hold::Overage;
use crate::package::Package;
use crate::referral::ReferralTerms;
use crate::reversal::SpentCredit;
use crate::welcome::Allowance;

/// Settings that rules ask for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// Fewest credits of a top-up.
    pub topup_credits_min: i64,
    /// Most credits of a top-up.
    pub topup_credits_max: i64,
    /// What a credit costs in the usual currency.
    pub credit_price: CreditPrice,
    /// What it costs in others.
    pub credit_prices: Vec<CreditPrice>,
    /// The least and the most that is charged at a time, where it is not as Stripe has it.
    pub charge_limits: OwnLimits,
    /// What is sold together.
    pub packages: Vec<Package>,
    /// What is given for signing up.
    pub signup: Allowance,
    /// What is given to try the product.
    pub trial: Allowance,
    /// What is given for bringing customers.
    pub referral: ReferralTerms,
    /// Whether payments are made with a live key of the provider.
    pub livemode: bool,
    /// What a customer sees as the thing bought.
    pub item_name: String,
    /// What actions cost.
    pub actions: Actions,
    /// How far below zero a charge that may make debt can take a wallet that has no setting of its own, in smallest steps.
    pub overdraft: i64,
    /// Falling below so much is announced, in smallest steps; 0 or less: only falling below zero is.
    pub balance_low: i64,
    /// For how long a hold lasts that says nothing, in seconds.
    pub hold_seconds: i64,
    /// What happens when more was used than a hold reserves that says nothing.
    pub hold_overage: Overage,
    /// How long before its expiry a grant is announced, in seconds.
    pub expiry_notice_seconds: i64,
    /// What happens to credit that has been spent when its money goes back.
    pub spent_credit: SpentCredit,
    /// What an early fraud warning leads to.
    pub on_fraud_warning: OnFraudWarning,
    /// Refunds of one payment of more than so much together, in smallest steps of its currency, need a second administrator. None:
    /// no refund does.
    pub refund_approval_above: Option<i64>,
    /// How long an automatic top-up waits after one that failed, in seconds.
    pub auto_topup_retry_seconds: i64,
}

impl Policy {
    /// What a credit costs in a currency, if credits are sold in it.
    pub fn price_in(&self, currency: Unit) -> Option<&CreditPrice> {
        let mut prices = std::iter::once(&self.credit_price).chain(&self.credit_prices);
        prices.find(|price| price.currency == currency)
    }

    /// The package with this id.
    pub fn package(&self, id: &str) -> Option<&Package> {
        self.packages.iter().find(|package| package.id == id)
    }

    /// One credit is one US cent; top-ups from 50 to 1,000,000 credits; test mode. The least of 50 is Stripe's own smallest
    /// charge in US dollars. Debt up to 1,000,000 credits where a charge may make any; holds last 15 minutes; grants are
    /// announced a week before they expire.
    ///
    /// # Panics
    /// Never: `usd` is in the table of currencies.
    #[expect(clippy::expect_used, reason = "the table of currencies holds usd")]
    pub fn standard() -> Self {
        let currency = Unit::currency("usd").expect("usd is a known currency");
        Self {
            topup_credits_min: 50,
            topup_credits_max: 1_000_000,
            credit_price: CreditPrice {
                numerator: 1,
                denominator: 1,
                currency,
            },
            credit_prices: vec![],
            charge_limits: OwnLimits::new(),
            packages: vec![],
            signup: Allowance::default(),
            trial: Allowance::default(),
            referral: ReferralTerms::default(),
            livemode: false,
            item_name: "Credits".to_owned(),
            actions: Actions::new(),
            overdraft: 1_000_000,
            balance_low: 0,
            hold_seconds: 900,
            hold_overage: Overage::Charge,
            expiry_notice_seconds: 7 * 86_400,
            spent_credit: SpentCredit::Debt,
            on_fraud_warning: OnFraudWarning::Nothing,
            refund_approval_above: None,
            auto_topup_retry_seconds: 3_600,
        }
    }
}
