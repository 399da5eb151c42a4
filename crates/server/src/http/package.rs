//! Packages: what is sold together, for everybody to read.

use axum::extract::State;
use bursar_domain::amount::Amount;
use bursar_domain::package::Package;
use schemars::JsonSchema;
use serde::Serialize;

use super::answer::{Item, item};
use super::error::ApiError;
use super::extract::Query;
use super::form::Nothing;
use super::kind::Currency;
use super::page;
use crate::App;

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Package")]
pub(super) struct View {
    package_id: String,
    name: String,
    credits: i64,
    bonus: i64,
    total_credits: i64,
    #[serde(flatten)]
    price: Option<Price>,
    prices: Vec<Price>,
    popular: bool,
}

#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Price {
    amount_minor: i64,
    currency: Currency,
    display: String,
}

impl Price {
    pub(super) fn of(amount: &Amount) -> Self {
        Self {
            amount_minor: amount.minor,
            currency: Currency(amount.unit),
            display: amount.to_string(),
        }
    }
}

impl View {
    fn of(package: &Package) -> Self {
        Self {
            package_id: package.id.clone(),
            name: package.name.clone(),
            credits: package.credits,
            bonus: package.bonus,
            total_credits: package.credits.saturating_add(package.bonus),
            price: package.prices.first().map(Price::of),
            prices: package.prices.iter().map(Price::of).collect(),
            popular: package.popular,
        }
    }
}

/// `GET /v1/balance/packages`
pub(super) async fn all(
    State(app): State<App>,
    _: Query<Nothing>,
) -> Result<Item<page::Whole<View>>, ApiError> {
    let packages = app.config().topup.packages.iter();
    Ok(item(page::Whole {
        items: packages.map(View::of).collect(),
    }))
}
