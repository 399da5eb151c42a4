//! Between Stripe's words and ours: the only place that knows both.

pub mod inbound;
pub(crate) mod outbound;
pub mod returns;
