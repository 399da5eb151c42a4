//! Every way to say no, with its stable code.

use serde::{Deserialize, Serialize};

use crate::amount::{Amount, Unit};
use crate::grant::GrantEnd;
use crate::hold::HoldStatus;
use crate::id::LimitId;
use crate::journal::Cause;
use crate::limit::{Period, Subject};
use crate::payment::PaymentStatus;
use crate::refund::RefundStatus;
use crate::time::Time;
use crate::topup::TopupStatus;

/// A named no. The text is for people, [`code`](Refusal::code) for programs; codes never change their meaning.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(tag = "refusal", rename_all = "snake_case")]
#[expect(
    missing_docs,
    reason = "the text of each variant says what its fields are"
)]
pub enum Refusal {
    #[error("{field} must be from {least} to {most}; {given} was given")]
    OutOfRange {
        field: String,
        least: i64,
        most: i64,
        given: i64,
    },
    #[error("there is no such top-up")]
    TopupNotFound,
    #[error("the top-up is {}; only a pending one can be paid or canceled: create a new one", status.as_str())]
    TopupNotPending { status: TopupStatus },
    #[error("there is no such payment")]
    PaymentNotFound,
    #[error("the payment is {}: only one that was paid can be refunded", status.as_str())]
    PaymentNotPaid { status: PaymentStatus },
    #[error("nothing of the payment is left to refund")]
    NothingToRefund,
    #[error("no automatic top-up was ever set")]
    AutoTopupNotFound,
    #[error("there is no such saved card")]
    CardNotFound,
    #[error("there is no such refund")]
    RefundNotFound,
    #[error("the refund is {}: only one that awaits approval can be approved or refused", status.as_str())]
    RefundNotAwaiting { status: RefundStatus },
    #[error("another administrator than the one who asked for the refund has to approve it")]
    SecondApproverNeeded,
    #[error(
        "the wallet is frozen: credit was spent whose payment was refunded or disputed; pay the debt back, or have it lifted"
    )]
    WalletFrozen,
    #[error(
        "the service is in recovery mode: an old copy of the database was restored, and nothing is asked of Stripe until \
         reconciliation has passed; try again later"
    )]
    RecoveryMode,
    #[error("the payment cannot be adopted: {why}")]
    NotAdoptable { why: String },
    #[error("the wallet has {available} available, {missing} too few")]
    InsufficientCredits { available: i64, missing: i64 },
    #[error(
        "there is no action {name:?} with a price: add it to wallet.actions of the configuration, or name the credits"
    )]
    ActionUnknown { name: String },
    #[error("{field} {rule}")]
    Misfit { field: String, rule: String },
    #[error("there would be more than {most} {what}: end some first")]
    TooMany { what: String, most: i64 },
    #[error("there is no such grant")]
    GrantNotFound,
    #[error("nothing is left of the grant: it is {}", end.as_str())]
    GrantEnded { end: GrantEnd },
    #[error("there is no such hold")]
    HoldNotFound,
    #[error("the hold is {}: make a new one", status.as_str())]
    HoldEnded { status: HoldStatus },
    #[error("the hold reserves {held}, and {given} are more: extend it first")]
    HoldExceeded { held: i64, given: i64 },
    #[error("there is no such spending limit")]
    LimitNotFound,
    #[error(
        "the limit of {} {} allows {most} {}; {used} are used, and {given} more would exceed it{}",
        subject.kind.as_str(), subject.name, each(*period), resets(*resets_at)
    )]
    SpendingLimitReached {
        limit: LimitId,
        subject: Subject,
        period: Period,
        most: i64,
        used: i64,
        given: i64,
        resets_at: Option<Time>,
    },
    #[error("both sides are the same unit: nothing to exchange")]
    SameUnit,
    #[error("nothing of the batch was done: charge {position} was refused: {why}")]
    BatchRefused { position: usize, why: Box<Self> },
    #[error("the price would be beyond what {currency} amounts can hold: buy fewer credits")]
    PriceOutOfRange { currency: Unit },
    #[error(
        "the price would be {given}, and {least} to {most} can be charged at a time: change `{field}`"
    )]
    PriceNotChargeable {
        field: String,
        given: Amount,
        least: Amount,
        most: Amount,
    },
    #[error(
        "nothing is sold in {currency:?} here: leave `currency` out, or name one that prices are in"
    )]
    CurrencyNotOffered { currency: String },
    #[error("there is no package {id:?}: the list of packages has them all")]
    PackageNotFound { id: String },
    #[error("the coupon is not valid, or not any more")]
    CouponInvalid,
    #[error("the coupon does not go with this purchase: {why}")]
    CouponUnfit { why: String },
    #[error("you have used this coupon before")]
    CouponUsed,
    #[error("the coupon has been used as often as it may be: buy without it, or try again later")]
    CouponUsedUp,
    #[error(
        "another checkout of yours has this coupon, and is being closed: try again in a moment"
    )]
    CouponHeld,
    #[error("there is a coupon with this code")]
    CouponExists,
    #[error("there is no such coupon")]
    CouponNotFound,
    #[error("the code is not valid, or not any more")]
    CodeInvalid,
    #[error("you have redeemed this code before")]
    CodeRedeemed,
    #[error("there is no such code")]
    CodeNotFound,
    #[error("too many wrong codes: try again in {seconds} seconds")]
    TooManyAttempts { seconds: i64 },
    #[error("no {what} credits are given here")]
    NotOffered { what: String },
    #[error("the {what} credits have been given before")]
    AlreadyClaimed { what: String },
    #[error("the referral code is not valid")]
    ReferralInvalid,
    #[error("you cannot bring yourself")]
    SelfReferral,
    #[error("you have been brought before")]
    AlreadyReferred,
    #[error("only who has not bought anything yet can be brought")]
    NotNew,
    #[error("the balance would leave the range of 64 bits: use a smaller amount")]
    BalanceOutOfRange,
    #[error("{} {} has been posted already", cause.kind, cause.id)]
    AlreadyPosted { cause: Cause },
    #[error("a posting needs a positive amount between two different accounts of one unit")]
    Unbalanced,
    #[error(
        "this idempotency key was used for a different request: use a new key for a new request"
    )]
    IdempotencyKeyReused,
    #[error("there is no such API key")]
    ApiKeyNotFound,
    #[error("the job is not held by this claim any more")]
    ClaimLost,
}

impl Refusal {
    /// The stable code on the wire.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::OutOfRange { .. } => "parameter_out_of_range",
            Self::TopupNotFound => "topup_not_found",
            Self::TopupNotPending { .. } => "topup_not_pending",
            Self::PaymentNotFound => "payment_not_found",
            Self::PaymentNotPaid { .. } => "payment_not_paid",
            Self::NothingToRefund => "nothing_to_refund",
            Self::AutoTopupNotFound => "auto_topup_not_found",
            Self::CardNotFound => "card_not_found",
            Self::RefundNotFound => "refund_not_found",
            Self::RefundNotAwaiting { .. } => "refund_not_awaiting",
            Self::SecondApproverNeeded => "second_approver_needed",
            Self::WalletFrozen => "wallet_frozen",
            Self::RecoveryMode => "recovery_mode",
            Self::NotAdoptable { .. } => "not_adoptable",
            Self::InsufficientCredits { .. } => "insufficient_credits",
            Self::ActionUnknown { .. } => "action_unknown",
            Self::Misfit { .. } => "parameter_invalid",
            Self::TooMany { .. } => "too_many",
            Self::GrantNotFound => "grant_not_found",
            Self::GrantEnded { .. } => "grant_ended",
            Self::HoldNotFound => "hold_not_found",
            Self::HoldEnded { status } => match status {
                HoldStatus::Open | HoldStatus::Settled => "hold_settled",
                HoldStatus::Released => "hold_released",
                HoldStatus::Expired => "hold_expired",
            },
            Self::HoldExceeded { .. } => "hold_exceeded",
            Self::LimitNotFound => "limit_not_found",
            Self::SpendingLimitReached { .. } => "spending_limit_reached",
            Self::SameUnit => "same_unit",
            Self::BatchRefused { why, .. } => why.code(),
            Self::PriceOutOfRange { .. } => "price_out_of_range",
            Self::PriceNotChargeable { .. } => "price_not_chargeable",
            Self::CurrencyNotOffered { .. } => "currency_not_offered",
            Self::PackageNotFound { .. } => "package_not_found",
            Self::CouponInvalid => "coupon_invalid",
            Self::CouponUnfit { .. } => "coupon_unfit",
            Self::CouponUsed => "coupon_used",
            Self::CouponUsedUp => "coupon_used_up",
            Self::CouponHeld => "coupon_held",
            Self::CouponExists => "coupon_exists",
            Self::CouponNotFound => "coupon_not_found",
            Self::CodeInvalid => "code_invalid",
            Self::CodeRedeemed => "code_redeemed",
            Self::CodeNotFound => "code_not_found",
            Self::TooManyAttempts { .. } => "too_many_attempts",
            Self::NotOffered { .. } => "not_offered",
            Self::AlreadyClaimed { .. } => "already_claimed",
            Self::ReferralInvalid => "referral_invalid",
            Self::SelfReferral => "self_referral",
            Self::AlreadyReferred => "already_referred",
            Self::NotNew => "not_new",
            Self::BalanceOutOfRange => "balance_out_of_range",
            Self::AlreadyPosted { .. } => "already_posted",
            Self::Unbalanced => "unbalanced",
            Self::IdempotencyKeyReused => "idempotency_key_reused",
            Self::ApiKeyNotFound => "api_key_not_found",
            Self::ClaimLost => "claim_lost",
        }
    }

    /// The field of the request that is to blame, if one is.
    pub fn param(&self) -> Option<&str> {
        match self {
            Self::OutOfRange { field, .. }
            | Self::Misfit { field, .. }
            | Self::PriceNotChargeable { field, .. } => Some(field),
            Self::CurrencyNotOffered { .. } => Some("currency"),
            Self::PackageNotFound { .. } => Some("package_id"),
            Self::CouponInvalid
            | Self::CouponUnfit { .. }
            | Self::CouponUsed
            | Self::CouponUsedUp
            | Self::CouponHeld => Some("coupon"),
            Self::CouponExists
            | Self::CouponNotFound
            | Self::CodeInvalid
            | Self::CodeRedeemed
            | Self::ReferralInvalid
            | Self::SelfReferral => Some("code"),
            Self::CodeNotFound => Some("code_id"),
            Self::ActionUnknown { .. } => Some("action"),
            Self::GrantNotFound | Self::GrantEnded { .. } => Some("grant_id"),
            Self::HoldNotFound | Self::HoldEnded { .. } => Some("hold_id"),
            Self::LimitNotFound => Some("limit_id"),
            Self::SameUnit => Some("to"),
            Self::BatchRefused { .. } => Some("charges"),
            Self::TopupNotFound | Self::TopupNotPending { .. } => Some("topup_id"),
            Self::PaymentNotFound | Self::PaymentNotPaid { .. } | Self::NothingToRefund => {
                Some("payment_id")
            }
            Self::RefundNotFound | Self::RefundNotAwaiting { .. } | Self::SecondApproverNeeded => {
                Some("refund_id")
            }
            Self::WalletFrozen | Self::AutoTopupNotFound => Some("user_id"),
            Self::CardNotFound => Some("card_id"),
            Self::InsufficientCredits { .. }
            | Self::HoldExceeded { .. }
            | Self::SpendingLimitReached { .. }
            | Self::PriceOutOfRange { .. }
            | Self::BalanceOutOfRange => Some("credits"),
            Self::ApiKeyNotFound => Some("api_key_id"),
            Self::TooManyAttempts { .. }
            | Self::NotOffered { .. }
            | Self::AlreadyClaimed { .. }
            | Self::AlreadyReferred
            | Self::NotNew
            | Self::AlreadyPosted { .. }
            | Self::TooMany { .. }
            | Self::Unbalanced
            | Self::IdempotencyKeyReused
            | Self::RecoveryMode
            | Self::NotAdoptable { .. }
            | Self::ClaimLost => None,
        }
    }

    /// Whether the refusal is about the moment, not about the request: such an answer is not remembered under an idempotency
    /// key, so that the same request may succeed later.
    pub const fn is_transient(&self) -> bool {
        matches!(
            self,
            Self::ClaimLost | Self::RecoveryMode | Self::CouponHeld | Self::TooManyAttempts { .. }
        )
    }
}

fn each(period: Period) -> &'static str {
    match period {
        Period::Day => "a day",
        Period::Week => "a week",
        Period::Month => "a month",
        Period::Ever => "in all",
    }
}

fn resets(at: Option<Time>) -> String {
    at.map_or_else(String::new, |at| format!("; it resets at {at}"))
}
