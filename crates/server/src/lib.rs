//! The program bursar, and the router to mount in a Rust program of your own.
//!
//! [`App`] is the service; [`Config`] is what it is told. The binary is [`cli`] around both.

pub mod api_key;
pub mod app;
pub mod cli;
pub mod config;
pub mod http;
pub mod listener;
pub mod rate;
mod redeem_code;
pub mod secret;

pub use app::{App, Demo, StartError};
pub use config::{Config, Sources};
