//! Between Stripe's words and ours: the only place that knows both.

pub mod inbound;
pub mod kept;
pub(crate) mod outbound;
pub mod returns;
pub mod stamp;
