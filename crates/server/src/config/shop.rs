//! The part about purchases: prices, limits, packages.

use bursar_domain::amount::{Amount, CreditPrice, Unit};
use bursar_domain::currency::{self, ChargeLimits, OwnLimits};
use bursar_domain::package::Package;
use serde::Deserialize;

use super::{CREDITS_MAX, Reader, currency as parse_currency, whole};

/// The part about purchases.
#[derive(Debug, Clone)]
pub struct TopupConfig {
    /// The fewest credits of a purchase.
    pub min: i64,
    /// The most credits of a purchase.
    pub max: i64,
    /// What a credit costs in the usual currency.
    pub price: CreditPrice,
    /// What it costs in others.
    pub prices: Vec<CreditPrice>,
    /// The least and the most that is charged at a time, where it is not as Stripe has it.
    pub limits: OwnLimits,
    /// What is sold together.
    pub packages: Vec<Package>,
}

impl Reader<'_> {
    pub(super) fn topup(&mut self) -> Option<TopupConfig> {
        let min = self.read("topup.min", |text| whole(text, 1, CREDITS_MAX))?;
        let max = self.read("topup.max", |text| whole(text, 1, CREDITS_MAX))?;
        if min > max {
            self.problems.0.push(format!(
                "BURSAR_TOPUP_MIN ({min}) is larger than BURSAR_TOPUP_MAX ({max}); lower one or raise the other"
            ));
        }
        let code = self
            .values
            .get("stripe.currency")
            .map_or("", |found| &found.value);
        let usual = parse_currency(code).ok()?;
        let price = self.read("topup.credit_price", |text| credit_price(text, usual));
        let prices = self.read("topup.credit_prices", |text| {
            by_currency(text, |currency, text| {
                if currency == usual {
                    let code = usual.code();
                    return Err(format!(
                        "{code:?} is stripe.currency: its price is topup.credit_price"
                    ));
                }
                credit_price(text, currency)
            })
        });
        let limits = self.read("topup.limits", |text| by_currency(text, charge_limits));
        let limits: Option<OwnLimits> = limits.map(|limits| limits.into_iter().collect());
        let packages = self.read("topup.packages", |text| {
            packages(text, usual, limits.as_ref().unwrap_or(&OwnLimits::new()))
        });
        Some(TopupConfig {
            min,
            max,
            price: price?,
            prices: prices?.into_iter().map(|(_, price)| price).collect(),
            limits: limits?,
            packages: packages?,
        })
    }
}

impl Reader<'_> {
    pub(super) fn facade_price(&mut self) -> Option<CreditPrice> {
        let code = self.values.get("stripe.currency");
        let currency = parse_currency(code.map_or("", |found| &found.value)).ok()?;
        self.read("facade.credit_price", |text| credit_price(text, currency))
    }
}

fn credit_price(text: &str, currency: Unit) -> Result<CreditPrice, String> {
    CreditPrice::parse(text, currency)
        .ok_or_else(|| "must be a whole number or a fraction of two, such as 1 or 1/100".to_owned())
}

/// `eur=1, jpy=3/2`: each currency once.
pub(super) fn by_currency<T>(
    text: &str,
    parse: impl Fn(Unit, &str) -> Result<T, String>,
) -> Result<Vec<(Unit, T)>, String> {
    let mut all: Vec<(Unit, T)> = Vec::new();
    let parts = text.split(',').map(str::trim);
    for part in parts.filter(|part| !part.is_empty()) {
        let (code, value) = part
            .split_once('=')
            .ok_or_else(|| format!("{part:?} must be a currency and a value, such as eur=1"))?;
        let currency = parse_currency(code.trim()).map_err(|why| format!("{part:?}: {why}"))?;
        if all.iter().any(|(other, _)| *other == currency) {
            return Err(format!("{:?} stands there twice", currency.code()));
        }
        let value = parse(currency, value.trim()).map_err(|why| format!("{part:?}: {why}"))?;
        all.push((currency, value));
    }
    Ok(all)
}

/// `50..99999999`, in smallest steps.
fn charge_limits(currency: Unit, text: &str) -> Result<ChargeLimits, String> {
    let shape = || "must be the least and the most in minor units, such as 50..99999999".to_owned();
    let (least, most) = text.split_once("..").ok_or_else(shape)?;
    let step = currency::step(currency);
    let bound = |text: &str| whole(text, 1, CREDITS_MAX).map_err(|_| shape());
    let limits = ChargeLimits {
        least: bound(least)?,
        most: bound(most)?,
    };
    if limits.least > limits.most || limits.least % step != 0 || limits.most % step != 0 {
        return Err(format!(
            "the least must not exceed the most, and both must be multiples of {step}"
        ));
    }
    Ok(limits)
}

/// A package as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    id: String,
    name: String,
    credits: i64,
    amount_minor: i64,
    currency: Option<String>,
    #[serde(default)]
    prices: Vec<String>,
    #[serde(default)]
    bonus: i64,
    #[serde(default)]
    popular: bool,
}

/// A list of packages as JSON; nothing is no package.
fn packages(text: &str, usual: Unit, limits: &OwnLimits) -> Result<Vec<Package>, String> {
    if text.is_empty() {
        return Ok(vec![]);
    }
    let written: Vec<Written> =
        serde_json::from_str(text).map_err(|error| format!("is no list of packages: {error}"))?;
    let mut all: Vec<Package> = Vec::new();
    for written in written {
        let id = written.id.clone();
        let package = package(written, usual, limits);
        let package = package.map_err(|why| format!("the package {id:?} {why}"))?;
        if all.iter().any(|other| other.id == package.id) {
            return Err(format!("the package {id:?} stands there twice"));
        }
        all.push(package);
    }
    Ok(all)
}

fn package(written: Written, usual: Unit, limits: &OwnLimits) -> Result<Package, String> {
    let currency = match &written.currency {
        Some(code) => parse_currency(code).map_err(|why| format!("has a currency that {why}"))?,
        None => usual,
    };
    let minor = |_, text: &str| whole(text, 1, CREDITS_MAX);
    let others = by_currency(&written.prices.join(","), minor)?;
    let mut prices = vec![Amount::new(written.amount_minor, currency)];
    prices.extend(
        others
            .into_iter()
            .map(|(unit, minor)| Amount::new(minor, unit)),
    );
    let package = Package {
        id: written.id,
        name: written.name,
        credits: written.credits,
        bonus: written.bonus,
        prices,
        popular: written.popular,
    };
    package.check().map_err(|why| why.to_string())?;
    for price in &package.prices {
        currency::check(limits, *price, "its price")
            .map_err(|why| format!("cannot be charged: {why}"))?;
    }
    Ok(package)
}
