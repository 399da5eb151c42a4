//! What happened that somebody may want to hear of, in order, to be read with a cursor.

use serde::{Deserialize, Serialize};

use crate::account::AccountKey;
use crate::auto_topup::Stop;
use crate::id::{GrantId, HoldId, LimitId, PaymentId, TopupId};
use crate::payment::PaymentStatus;
use crate::state::State;
use crate::time::Time;

/// Something that happened to a wallet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type")]
#[expect(
    missing_docs,
    reason = "docs/ledger.md lists them with their fields; amounts are smallest steps of the wallet's unit"
)]
pub enum Happening {
    #[serde(rename = "balance.low")]
    BalanceLow { available: i64, threshold: i64 },
    #[serde(rename = "balance.negative")]
    BalanceNegative { available: i64 },
    #[serde(rename = "grant.expiring")]
    GrantExpiring {
        grant: GrantId,
        remaining: i64,
        expires_at: Time,
    },
    #[serde(rename = "grant.expired")]
    GrantExpired {
        grant: GrantId,
        expired: i64,
        rolled_over: i64,
    },
    #[serde(rename = "hold.expired")]
    HoldExpired {
        hold: HoldId,
        settled: i64,
        uncovered: i64,
    },
    #[serde(rename = "limit.reached")]
    LimitReached { limit: LimitId, spent: i64 },
    #[serde(rename = "payment.fraud_warned")]
    PaymentFraudWarned { payment: PaymentId },
    #[serde(rename = "payment.returned")]
    PaymentReturned {
        payment: PaymentId,
        status: PaymentStatus,
        refunded: i64,
        disputed: i64,
    },
    #[serde(rename = "payment.surplus")]
    PaymentSurplus { payment: PaymentId, topup: TopupId },
    #[serde(rename = "auto_topup.due")]
    AutoTopupDue { available: i64, threshold: i64 },
    #[serde(rename = "auto_topup.failed")]
    AutoTopupFailed {
        payment: Option<PaymentId>,
        code: String,
    },
    #[serde(rename = "auto_topup.stopped")]
    AutoTopupStopped { reason: Stop, code: String },
}

impl Happening {
    /// As written on the wire: `balance.low`.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::BalanceLow { .. } => "balance.low",
            Self::BalanceNegative { .. } => "balance.negative",
            Self::GrantExpiring { .. } => "grant.expiring",
            Self::GrantExpired { .. } => "grant.expired",
            Self::HoldExpired { .. } => "hold.expired",
            Self::LimitReached { .. } => "limit.reached",
            Self::PaymentFraudWarned { .. } => "payment.fraud_warned",
            Self::PaymentReturned { .. } => "payment.returned",
            Self::PaymentSurplus { .. } => "payment.surplus",
            Self::AutoTopupDue { .. } => "auto_topup.due",
            Self::AutoTopupFailed { .. } => "auto_topup.failed",
            Self::AutoTopupStopped { .. } => "auto_topup.stopped",
        }
    }
}

/// A happening with its place in the order of all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Announcement {
    /// Its number: they are numbered without gaps.
    pub number: i64,
    /// Whose wallet.
    pub wallet: AccountKey,
    /// What happened.
    pub happening: Happening,
    /// When.
    pub at: Time,
}

pub(crate) fn announce(state: &mut State, wallet: &AccountKey, now: Time, happening: Happening) {
    let number = state.sequence.next_announcement();
    state.announcements.push(Announcement {
        number,
        wallet: wallet.clone(),
        happening,
        at: now,
    });
}

/// Says so when what is available has just fallen below the operator's threshold, if there is one, or below zero, or below what the
/// user wants to have.
pub(crate) fn announce_fall(
    state: &mut State,
    wallet: &AccountKey,
    now: Time,
    threshold: i64,
    (before, after): (i64, i64),
) {
    if threshold > 0 && before >= threshold && after < threshold {
        let happening = Happening::BalanceLow {
            available: after,
            threshold,
        };
        announce(state, wallet, now, happening);
    }
    let below = state
        .wallets
        .get(wallet)
        .and_then(|wallet| wallet.topup_below);
    if let Some(threshold) = below.filter(|below| before >= *below && after < *below) {
        let happening = Happening::AutoTopupDue {
            available: after,
            threshold,
        };
        announce(state, wallet, now, happening);
    }
    if before >= 0 && after < 0 {
        let happening = Happening::BalanceNegative { available: after };
        announce(state, wallet, now, happening);
    }
}
