//! Pure rules of Bursar: amounts, accounts, the journal, wallets, top-ups, payments.
//!
//! Nothing in this crate performs I/O, reads a clock or draws a random number: the time, new ids and the
//! configured [`Policy`](policy::Policy) are arguments. The shell (crate `bursar-engine`) loads the rows that a
//! [`Command`](command::Command) needs into a [`State`](state::State), lets [`decide`](command::decide) change it,
//! and writes back what changed.
//!
//! Reading order: [`amount`], [`account`], [`journal`], [`wallet`], [`grant`], [`charge`], [`hold`], [`limit`], [`currency`], [`package`], [`coupon`], [`topup`], [`payment`], [`checkout`], [`intent`], [`customer`], [`auto_topup`], [`award`], [`refund`], [`dispute`], [`reversal`], [`perk`], [`code`], [`welcome`], [`referral`], [`event`], [`notice`], [`command`].

pub mod account;
pub mod adoption;
pub mod amount;
pub mod announcement;
pub mod api_key;
pub mod attempt;
pub mod audit;
pub mod auto_topup;
pub mod award;
pub mod card_number;
pub mod charge;
pub mod checkout;
pub mod code;
pub mod command;
pub mod coupon;
pub mod currency;
pub mod customer;
pub mod dispute;
pub mod event;
pub mod exchange;
pub mod fraud;
mod gift;
pub mod grant;
pub mod hold;
pub mod id;
pub mod identity;
pub mod intent;
pub mod job;
pub mod journal;
pub mod limit;
pub mod mark;
pub mod notice;
pub mod package;
pub mod payment;
pub mod perk;
pub mod planted;
pub mod policy;
pub mod recovery;
pub mod referral;
pub mod refund;
pub mod refusal;
pub mod reversal;
pub mod state;
pub mod sweep;
pub mod text;
pub mod time;
pub mod topup;
pub mod turn;
pub mod usage;
pub mod wallet;
pub mod welcome;
mod word;

#[cfg(test)]
mod world;
