//! Pure rules of Bursar: amounts, accounts, the journal, top-ups, payments.
//!
//! Nothing in this crate performs I/O, reads a clock or draws a random number: the time, new ids and the
//! configured [`Policy`](policy::Policy) are arguments. The shell (crate `bursar-engine`) loads the rows that a
//! [`Command`](command::Command) needs into a [`State`](state::State), lets [`decide`](command::decide) change it,
//! and writes back what changed.
//!
//! Reading order: [`amount`], [`account`], [`journal`], [`topup`], [`payment`], [`checkout`], [`event`], [`notice`], [`command`].

pub mod account;
pub mod amount;
pub mod api_key;
pub mod audit;
pub mod checkout;
pub mod command;
pub mod event;
pub mod id;
pub mod job;
pub mod journal;
pub mod notice;
pub mod payment;
pub mod policy;
pub mod refusal;
pub mod state;
pub mod time;
pub mod topup;
