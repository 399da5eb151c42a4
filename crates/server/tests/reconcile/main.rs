//! Reconciliation against a Stripe in the same process.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a helper of a test fails the test"
)]

mod findings;
mod four_ways;
mod history;
mod recovery;
mod shop;
