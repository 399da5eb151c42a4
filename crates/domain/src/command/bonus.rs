//! What is asked about coupons, codes, credits to begin with, and referrals.

use super::{Context, Reply};
use crate::code::{self, CreateCodes, Redeem};
use crate::coupon::{self, CouponTerms};
use crate::id::CodeId;
use crate::referral::{self, Join};
use crate::refusal::Refusal;
use crate::state::{State, Wanted};
use crate::welcome::{self, ClaimWelcome};

/// Something asked about bonuses.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(
    missing_docs,
    reason = "the type inside each variant is the documentation"
)]
pub enum BonusCommand {
    CreateCoupon(CouponTerms),
    DisableCoupon(String),
    CreateCodes(CreateCodes),
    DisableCode(CodeId),
    Redeem(Redeem),
    ClaimWelcome(ClaimWelcome),
    Join(Join),
}

impl BonusCommand {
    pub(super) fn needs(&self, wanted: &mut Wanted<'_>) {
        match self {
            Self::CreateCoupon(terms) => wanted.coupon(&terms.code),
            Self::DisableCoupon(code) => wanted.coupon(code),
            Self::CreateCodes(wish) => code::needs_to_create(wanted, wish),
            Self::DisableCode(id) => {
                wanted.code(id);
            }
            Self::Redeem(wish) => code::needs_to_redeem(wanted, wish),
            Self::ClaimWelcome(wish) => welcome::needs(wanted, wish),
            Self::Join(wish) => referral::needs_to_join(wanted, wish),
        }
    }

    pub(super) fn decide(
        &self,
        state: &mut State,
        context: &mut Context<'_>,
    ) -> Result<Reply, Refusal> {
        let now = context.now;
        match self {
            Self::CreateCoupon(terms) => coupon::create(state, context, terms).map(Reply::Coupon),
            Self::DisableCoupon(code) => coupon::disable(state, now, code).map(Reply::Coupon),
            Self::CreateCodes(wish) => code::create(state, context, wish).map(Reply::Codes),
            Self::DisableCode(id) => {
                code::disable(state, now, id).map(|code| Reply::Codes(vec![code]))
            }
            Self::Redeem(wish) => code::redeem(state, context, wish).map(Reply::Grant),
            Self::ClaimWelcome(wish) => welcome::claim(state, context, wish).map(Reply::Grant),
            Self::Join(wish) => referral::join(state, context, wish).map(Reply::Member),
        }
    }
}
