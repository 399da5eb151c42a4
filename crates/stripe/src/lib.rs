//! Stripe on the wire: objects, requests, form encoding, signatures, errors and one client.
//!
//! This crate knows Stripe and nothing of the service around it. Everything but [`client`] is
//! plain data and pure functions; [`client`] is the only file that opens a connection.

pub mod client;
pub mod error;
pub mod event;
pub mod form;
pub mod object;
mod open_enum;
mod redact;
pub mod request;
pub mod secret_key;
pub mod signature;

pub use error::Error;

/// The Stripe API version every request asks for, and the newest one the types here cover.
///
/// What Stripe sends on its own (events) may be of an older version: those carry the version of
/// the endpoint at the time they were made. The types read every shape from basil on.
pub const VERSION: &str = "2026-10-28.endive";
