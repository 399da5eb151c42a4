//! Awards: what a payment has given, so that it can be taken back when its money goes back.
//!
//! A payment gives the credits that were bought, and perhaps extras that came with them: for a package, for a coupon, to whoever
//! brought the customer. All of them follow their payment by the same rule ([`crate::reversal`]).

use serde::{Deserialize, Serialize};

use crate::account::{AccountKey, AccountKind};
use crate::id::{GrantId, PaymentId};
use crate::state::State;
use crate::word::words;

/// What was given.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AwardKind {
    /// The credits that were bought.
    Topup,
    /// The extra of a package or a coupon.
    Bonus,
    /// For the customer who was brought by another.
    Referred,
    /// For the customer who brought him.
    Referrer,
}

words!(AwardKind: Topup = "topup", Bonus = "bonus", Referred = "referred", Referrer = "referrer");

/// Something that a payment has given. A payment gives each kind at most once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Award {
    /// The payment it was given for.
    pub payment: PaymentId,
    /// What it is.
    pub kind: AwardKind,
    /// Who got it: the bonus of a referrer goes into another wallet than the purchase.
    pub wallet: AccountKey,
    /// Where its value came from; it goes back there.
    pub from: AccountKind,
    /// How much was given, in smallest steps of the wallet's unit; more than zero.
    pub granted: i64,
    /// How much of it has been taken back; 0 to `granted`.
    pub taken: i64,
    /// How much of what was taken back the operator bears; 0 to `taken`.
    pub absorbed: i64,
    /// The grants it was given as: the first one, and those made when some of it was given back.
    pub grants: Vec<GrantId>,
}

/// Notes what a payment has given.
pub(crate) fn note(state: &mut State, award: Award) {
    let payment = award.payment.clone();
    let mut awards = state.awards.get(&payment).cloned().unwrap_or_default();
    awards.push(award);
    state.awards.put(payment, awards);
}
