//! What must hold for any bytes that a stranger sends.
//!
//! Each target is a function of bytes that panics when something does not hold. cargo-fuzz runs it with coverage (`targets/`,
//! `./scripts/fuzz`), the stable toolchain with changed seeds (`tests/properties.rs`). Seeds are in `seeds/`, a folder for each
//! target; what has ever failed becomes one.

// Here a panic is how a fault is reported.
#![allow(
    clippy::panic,
    clippy::expect_used,
    reason = "a target says by a panic what does not hold"
)]

mod config;
mod database_url;
mod event_body;
mod form_encoding;
mod json;
mod query;
mod signature_header;

pub use config::config;
pub use database_url::database_url;
pub use event_body::event_body;
pub use form_encoding::form_encoding;
pub use json::json;
pub use query::query;
pub use signature_header::signature_header;

/// A target: its name, which is that of its folder of seeds, and what it does with bytes.
pub type Target = (&'static str, fn(&[u8]));

/// All of them.
pub const TARGETS: &[Target] = &[
    ("signature_header", signature_header),
    ("event_body", event_body),
    ("form_encoding", form_encoding),
    ("query", query),
    ("json", json),
    ("config", config),
    ("database_url", database_url),
];

/// The text before a line of dashes, and the text behind it.
fn halves(bytes: &[u8]) -> (&[u8], &[u8]) {
    const LINE: &[u8] = b"\n---\n";
    let at = bytes.windows(LINE.len()).position(|part| part == LINE);
    at.map_or((bytes, &[][..]), |at| {
        (&bytes[..at], &bytes[at + LINE.len()..])
    })
}
