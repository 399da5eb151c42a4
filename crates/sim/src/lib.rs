//! A simulator: clients, engine, jobs, Stripe and the network between them in one loop, with faults at every step.
//!
//! A run is a [`Script`]: a list of small steps, drawn from a seed or read from a file. The same script always does the same. Nothing
//! waits and nothing is mocked: the engine's batch, its jobs, its inbox and its ticker are the real ones, the store is a real one, and
//! Stripe is the sandbox's world. What the simulator owns is the order of things: when the writer writes, when a call reaches Stripe
//! and when its answer comes back, what is delivered when, and where the process dies.
//!
//! Beside it runs a ledger in plain maps ([`model`]). It is told what was asked and what was answered, and says what should have been
//! answered. After the last step all faults stop, everything is worked off, and the books have to say what Stripe says ([`end`]).

mod act;
mod call;
mod check;
mod client;
mod draw;
mod end;
mod fault;
mod model;
mod node;
mod reach;
mod run;
mod script;
mod server;
mod shrink;
mod stripe;
mod truth;
mod wish;
mod worker;
mod write;

pub use run::{Failure, Seen, play, play_on};
pub use script::{Script, Step, Verb};
pub use shrink::shrink;
