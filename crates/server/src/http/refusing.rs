//! By which rules requests may be refused, as codes, where several routes have the same or one has many.

/// What may come of asking Stripe.
pub(super) const STRIPE: &[&str] = &[
    "payment_not_configured",
    "recovery_mode",
    "stripe_refused",
    "stripe_unavailable",
];

/// What may be in the way of paying a top-up.
pub(super) const PAYING: &[&str] = &[
    "base_url_missing",
    "coupon_held",
    "coupon_invalid",
    "coupon_unfit",
    "coupon_used",
    "coupon_used_up",
    "payment_not_configured",
    "recovery_mode",
    "stripe_refused",
    "stripe_unavailable",
    "topup_not_pending",
];

/// What may be in the way of a wish for credits that is paid in the same step.
pub(super) const BUYING: &[&str] = &[
    "base_url_missing",
    "currency_not_offered",
    "payment_not_configured",
    "price_not_chargeable",
    "price_out_of_range",
    "recovery_mode",
    "stripe_refused",
    "stripe_unavailable",
    "topup_not_pending",
];

/// What may be in the way of spending.
pub(super) const SPENDING: &[&str] = &[
    "balance_out_of_range",
    "insufficient_credits",
    "spending_limit_reached",
    "wallet_frozen",
];

/// What may be in the way of a refund.
pub(super) const REFUNDING: &[&str] = &[
    "nothing_to_refund",
    "payment_not_configured",
    "payment_not_found",
    "payment_not_paid",
    "recovery_mode",
    "refund_not_awaiting",
    "second_approver_needed",
    "stripe_refused",
    "stripe_unavailable",
];

/// What may be in the way of credits to begin with.
pub(super) const WELCOME: &[&str] = &[
    "already_claimed",
    "balance_out_of_range",
    "not_offered",
    "too_many",
];

/// What may be in the way of a hold, and of what becomes of it.
pub(super) const HOLDING: &[&str] = &[
    "balance_out_of_range",
    "hold_exceeded",
    "hold_expired",
    "hold_released",
    "hold_settled",
    "insufficient_credits",
    "spending_limit_reached",
    "too_many",
    "wallet_frozen",
];

/// What may be in the way of an automatic top-up.
pub(super) const AUTO_TOPUP: &[&str] = &[
    "auto_topup_not_found",
    "card_not_found",
    "payment_not_configured",
    "price_not_chargeable",
    "price_out_of_range",
    "recovery_mode",
    "stripe_refused",
    "stripe_unavailable",
];

/// What may be in the way of redeeming a code.
pub(super) const REDEEMING: &[&str] = &[
    "balance_out_of_range",
    "code_invalid",
    "code_redeemed",
    "too_many",
    "too_many_attempts",
];

/// What may be in the way of having been brought.
pub(super) const REFERRING: &[&str] = &[
    "already_referred",
    "not_new",
    "not_offered",
    "referral_invalid",
    "self_referral",
    "too_many_attempts",
];

/// What may be in the way of a wish for credits.
pub(super) const WISHING: &[&str] = &[
    "coupon_invalid",
    "coupon_unfit",
    "coupon_used",
    "coupon_used_up",
    "currency_not_offered",
    "package_not_found",
    "price_not_chargeable",
    "price_out_of_range",
    "too_many_attempts",
];

/// What may be in the way of an exchange.
pub(super) const EXCHANGING: &[&str] = &[
    "balance_out_of_range",
    "insufficient_credits",
    "same_unit",
    "too_many",
    "wallet_frozen",
];

/// What may be in the way of an explanation.
pub(super) const EXPLAINING: &[&str] = &[
    "answer_not_found",
    "forbidden",
    "parameter_missing",
    "transaction_not_found",
    "wallet_not_found",
];
