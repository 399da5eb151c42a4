//! Requests that want to do harm, against the running program, on both databases.
//!
//! One file for each group of attacks, in it tables with a line for each case. After every case the same is asked: are the books what
//! they were, is nothing new owed or asked of Stripe, does the program live, has nothing panicked, and is no secret in the log or in
//! the answer? Where the program was meant to do something, the case says what. docs/testing.md says what is not here, and why.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    missing_docs,
    reason = "a test that panics has failed"
)]
#![allow(
    clippy::too_many_lines,
    clippy::type_complexity,
    reason = "a table is as long as there are cases, and its rows are tuples"
)]

mod access;
mod checkout;
mod exchange;
mod leak;
mod meaning;
mod parser;
mod patience;
mod program;
mod refund;
#[path = "../../../store/tests/server/mod.rs"]
mod server;
mod signature;
mod start;
mod surface;
mod wallet;
mod world;

use world::{Kind, World};

/// Each group on each database, in a world of its own.
macro_rules! on_both {
    ($($group:ident)*) => {
        mod file {
            $(#[test]
            fn $group() {
                super::$group::attack(&super::World::open(super::Kind::File));
            })*
        }

        mod postgres {
            $(#[test]
            fn $group() {
                super::$group::attack(&super::World::open(super::Kind::Server));
            })*
        }
    };
}

on_both! { signature meaning checkout wallet refund access surface parser patience leak }
