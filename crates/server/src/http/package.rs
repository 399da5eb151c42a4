//! Packages: what is sold together, for everybody to read.

use axum::extract::State;
use axum::response::IntoResponse;
use bursar_domain::amount::Amount;
use bursar_domain::package::Package;
use serde::Serialize;
use serde_json::json;

use super::answer::item;
use super::error::ApiError;
use super::extract::Query;
use crate::App;

#[derive(Debug, Serialize)]
struct View {
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

#[derive(Debug, Serialize)]
struct Price {
    amount_minor: i64,
    currency: &'static str,
    display: String,
}

impl Price {
    fn of(amount: &Amount) -> Self {
        Self {
            amount_minor: amount.minor,
            currency: amount.unit.code(),
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
    Query(query): Query,
) -> Result<impl IntoResponse, ApiError> {
    query.finish()?;
    let packages = app.config().topup.packages.iter();
    let items: Vec<View> = packages.map(View::of).collect();
    Ok(item(json!({ "items": items })))
}
