//! What happened to wallets, in order, to be read with a cursor.

use axum::extract::State;
use axum::response::IntoResponse;
use bursar_domain::announcement::{Announcement, Happening};
use serde::Serialize;
use serde_json::{Value, json};

use super::answer::item;
use super::auth::Admin;
use super::error::ApiError;
use super::extract::Query;
use crate::App;

#[derive(Debug, Serialize)]
struct View {
    event_id: i64,
    r#type: &'static str,
    user_id: String,
    unit: &'static str,
    data: Value,
    created_at: String,
}

impl View {
    fn of(announcement: &Announcement) -> Self {
        Self {
            event_id: announcement.number,
            r#type: announcement.happening.kind(),
            user_id: announcement.wallet.owner.to_string(),
            unit: announcement.wallet.unit.code(),
            data: data(&announcement.happening),
            created_at: announcement.at.to_string(),
        }
    }
}

fn data(happening: &Happening) -> Value {
    match happening {
        Happening::BalanceLow {
            available,
            threshold,
        }
        | Happening::AutoTopupDue {
            available,
            threshold,
        } => json!({ "available": available, "threshold": threshold }),
        Happening::BalanceNegative { available } => json!({ "available": available }),
        Happening::GrantExpiring {
            grant,
            remaining,
            expires_at,
        } => json!({
            "grant_id": grant.to_string(),
            "remaining": remaining,
            "expires_at": expires_at.to_string(),
        }),
        Happening::GrantExpired {
            grant,
            expired,
            rolled_over,
        } => json!({
            "grant_id": grant.to_string(),
            "expired": expired,
            "rolled_over": rolled_over,
        }),
        Happening::HoldExpired {
            hold,
            settled,
            uncovered,
        } => json!({
            "hold_id": hold.to_string(),
            "settled": settled,
            "uncovered": uncovered,
        }),
        Happening::LimitReached { limit, spent } => {
            json!({ "limit_id": limit.to_string(), "used": spent })
        }
        Happening::PaymentFraudWarned { payment } => json!({ "payment_id": payment.to_string() }),
        Happening::PaymentReturned {
            payment,
            status,
            refunded,
            disputed,
        } => json!({
            "payment_id": payment.to_string(),
            "status": status.as_str(),
            "refunded_minor": refunded,
            "disputed_minor": disputed,
        }),
        Happening::AutoTopupFailed { payment, code } => json!({
            "payment_id": payment.as_ref().map(ToString::to_string),
            "code": code,
        }),
        Happening::AutoTopupStopped { reason, code } => {
            json!({ "reason": reason.as_str(), "code": code })
        }
        Happening::PaymentSurplus { payment, topup } => json!({
            "payment_id": payment.to_string(),
            "topup_id": topup.to_string(),
        }),
    }
}

#[derive(Debug, Serialize)]
struct Events {
    items: Vec<View>,
    has_more: bool,
    /// Where to go on: also when nothing new is there, so that a reader never asks from the beginning again.
    next: String,
}

/// `GET /v1/balance/events`
pub(super) async fn list(
    State(app): State<App>,
    _: Admin,
    axum_query: Query,
) -> Result<impl IntoResponse, ApiError> {
    let Query(mut query) = axum_query;
    let after = query.integer_text("after", 0, i64::MAX)?.unwrap_or(0);
    let limit = query.integer_text("limit", 1, 1_000)?.unwrap_or(100);
    query.finish()?;
    let limit = usize::try_from(limit).unwrap_or(1);
    let mut happened = app
        .engine()
        .read(move |reader| reader.announcements(after, limit + 1))
        .await?;
    let has_more = happened.len() > limit;
    happened.truncate(limit);
    let next = happened.last().map_or(after, |last| last.number);
    Ok(item(Events {
        items: happened.iter().map(View::of).collect(),
        has_more,
        next: next.to_string(),
    }))
}
