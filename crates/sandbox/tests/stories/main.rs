//! What the sandbox does, told as stories: a shop asks, customers pay, and the events say what happened.
//!
//! Every story runs on a world in memory at a moment of its own; no clock, no network.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a story that cannot go on stops and says where"
)]

mod checkout;
mod discount;
mod dispute;
mod idempotency;
mod intent;
mod listing;
mod refund;
mod retention;
mod rules;
mod saved_card;
mod shop;
