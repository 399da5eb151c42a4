//! The HTTP surface from outside: who may do what, what is accepted, what is answered, and how it is refused.
//!
//! What is about the edge asks the router itself. What is about wallets goes through the listener, over a socket.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    missing_docs,
    reason = "a test that panics has failed"
)]

mod answer;
mod batch;
mod body;
mod bonus;
mod card;
mod charge;
mod contract;
mod credential;
mod door;
mod exchange;
mod explain;
mod facade;
mod grant;
mod happening;
mod hold;
mod hostile;
mod house;
mod limit;
mod list;
mod listener;
mod package;
mod precheck;
mod rate;
mod refund;
mod repetition;
mod role;
mod secrecy;
mod shop;
mod transcript;
mod usage;
mod wallet;
mod webhook;
