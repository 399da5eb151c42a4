//! Between Stripe's words and ours: the only place that knows both.

pub(crate) mod inbound;
pub(crate) mod outbound;
