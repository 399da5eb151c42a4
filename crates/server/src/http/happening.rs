//! What happened to wallets, in order, to be read with a cursor.

use axum::extract::State;
use bursar_domain::account::Owner;
use bursar_domain::announcement::{Announcement, Happening};
use bursar_domain::auto_topup::Stop;
use bursar_domain::id::{GrantId, HoldId, LimitId, PaymentId, TopupId};
use bursar_domain::payment::PaymentStatus;
use schemars::JsonSchema;
use serde::Serialize;

use super::answer::{Item, item};
use super::auth::Admin;
use super::error::ApiError;
use super::extract::Query;
use super::form::form;
use super::kind::{Code, Id, Moment, Whole, Word};
use crate::App;

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "WalletEvent")]
struct View {
    event_id: i64,
    #[serde(flatten)]
    happened: Happened,
    user_id: Id<Owner>,
    unit: Code,
    created_at: Moment,
}

/// What happened, with its numbers.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(tag = "type", content = "data")]
enum Happened {
    #[serde(rename = "balance.low")]
    BalanceLow { available: i64, threshold: i64 },
    #[serde(rename = "balance.negative")]
    BalanceNegative { available: i64 },
    #[serde(rename = "grant.expiring")]
    GrantExpiring {
        grant_id: Id<GrantId>,
        remaining: i64,
        expires_at: Moment,
    },
    #[serde(rename = "grant.expired")]
    GrantExpired {
        grant_id: Id<GrantId>,
        expired: i64,
        rolled_over: i64,
    },
    #[serde(rename = "hold.expired")]
    HoldExpired {
        hold_id: Id<HoldId>,
        settled: i64,
        uncovered: i64,
    },
    #[serde(rename = "limit.reached")]
    LimitReached { limit_id: Id<LimitId>, used: i64 },
    #[serde(rename = "payment.fraud_warned")]
    PaymentFraudWarned { payment_id: Id<PaymentId> },
    #[serde(rename = "payment.returned")]
    PaymentReturned {
        payment_id: Id<PaymentId>,
        status: Word<PaymentStatus>,
        refunded_minor: i64,
        disputed_minor: i64,
    },
    #[serde(rename = "payment.surplus")]
    PaymentSurplus {
        payment_id: Id<PaymentId>,
        topup_id: Id<TopupId>,
    },
    #[serde(rename = "auto_topup.due")]
    AutoTopupDue { available: i64, threshold: i64 },
    #[serde(rename = "auto_topup.failed")]
    AutoTopupFailed {
        payment_id: Option<Id<PaymentId>>,
        code: String,
    },
    #[serde(rename = "auto_topup.stopped")]
    AutoTopupStopped { reason: Word<Stop>, code: String },
}

impl View {
    fn of(announcement: &Announcement) -> Self {
        Self {
            event_id: announcement.number,
            happened: Happened::of(&announcement.happening),
            user_id: Id(announcement.wallet.owner.clone()),
            unit: Code(announcement.wallet.unit),
            created_at: Moment(announcement.at),
        }
    }
}

impl Happened {
    fn of(happening: &Happening) -> Self {
        match happening.clone() {
            Happening::BalanceLow {
                available,
                threshold,
            } => Self::BalanceLow {
                available,
                threshold,
            },
            Happening::AutoTopupDue {
                available,
                threshold,
            } => Self::AutoTopupDue {
                available,
                threshold,
            },
            Happening::BalanceNegative { available } => Self::BalanceNegative { available },
            Happening::GrantExpiring {
                grant,
                remaining,
                expires_at,
            } => Self::GrantExpiring {
                grant_id: Id(grant),
                remaining,
                expires_at: Moment(expires_at),
            },
            Happening::GrantExpired {
                grant,
                expired,
                rolled_over,
            } => Self::GrantExpired {
                grant_id: Id(grant),
                expired,
                rolled_over,
            },
            Happening::HoldExpired {
                hold,
                settled,
                uncovered,
            } => Self::HoldExpired {
                hold_id: Id(hold),
                settled,
                uncovered,
            },
            Happening::LimitReached { limit, spent } => Self::LimitReached {
                limit_id: Id(limit),
                used: spent,
            },
            Happening::PaymentFraudWarned { payment } => Self::PaymentFraudWarned {
                payment_id: Id(payment),
            },
            Happening::PaymentReturned {
                payment,
                status,
                refunded,
                disputed,
            } => Self::PaymentReturned {
                payment_id: Id(payment),
                status: Word(status),
                refunded_minor: refunded,
                disputed_minor: disputed,
            },
            Happening::AutoTopupFailed { payment, code } => Self::AutoTopupFailed {
                payment_id: payment.map(Id),
                code,
            },
            Happening::AutoTopupStopped { reason, code } => Self::AutoTopupStopped {
                reason: Word(reason),
                code,
            },
            Happening::PaymentSurplus { payment, topup } => Self::PaymentSurplus {
                payment_id: Id(payment),
                topup_id: Id(topup),
            },
        }
    }
}

/// What happened, the oldest first.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "WalletEvents")]
pub(super) struct Events {
    items: Vec<View>,
    has_more: bool,
    /// Where to go on: also when nothing new is there, so that a reader never asks from the beginning again.
    next: String,
}

form! {
    /// Where to go on reading.
    pub(super) struct After {
        /// Only those after this number; 0 without it.
        after: Option<Whole<0, { i64::MAX }>>,
        /// Most items; 100 without it.
        limit: Option<Whole<1, 1_000>>,
    }
}

/// `GET /v1/balance/events`
pub(super) async fn list(
    State(app): State<App>,
    _: Admin,
    Query(form): Query<After>,
) -> Result<Item<Events>, ApiError> {
    let after = form.after.map_or(0, |number| number.0);
    let limit = form.limit.map_or(100, |number| number.0);
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
