//! What a product written in Rust asks for, as typed calls without HTTP.
//!
//! The product composes three services. [`Balance`] is everything about wallets. [`Payments`] is given ways to pay and a
//! [`TopupDesk`], which can read a top-up and finish it: so the side that hears of money can never touch a balance except by
//! finishing a top-up, and that once. [`Usage`] records what was used; it knows no prices. [`Hooks`] are put around the product's
//! own work, and there the product says what the work costs:
//!
//! ```no_run
//! # use bursar_engine::{Engine, service::{Balance, Call, Hooks, Usage, charge}};
//! # use bursar_domain::id::UserId;
//! # async fn paint() -> Result<String, std::io::Error> { Ok(String::new()) }
//! # async fn run(engine: Engine, user: UserId) -> Result<(), Box<dyn std::error::Error>> {
//! let balance = Balance::new(engine.clone());
//! let (before, after) = (balance.clone(), balance);
//! let hooks = Hooks::new()
//!     .before(move |call| {
//!         let (balance, price) = (before.clone(), charge::credits(&call.user, 10));
//!         async move { balance.require(price).await.map(drop) }
//!     })
//!     .after(move |call, _| {
//!         let (balance, price, key) = (after.clone(), charge::credits(&call.user, 10), call.key.clone());
//!         async move { balance.charge(price, &key).await.map(drop) }
//!     });
//! let hooks = Usage::new(engine).install(hooks);
//! let picture = hooks.run(&Call::new(user, "picture", "picture-4711"), paint()).await?;
//! # Ok(()) }
//! ```
//!
//! Whatever changes something takes an idempotency key. It is optional where it is over HTTP, and belongs to one operation: the same
//! key under another operation, or over HTTP, is another key. Asked again under the same key, [`Once`] gives the first answer and
//! says so; with another request the key is refused.

mod asked;
mod balance;
pub mod charge;
mod form;
mod grant;
mod hold;
mod hook;
mod limit;
mod payment;
mod topup;
mod usage;

use std::pin::Pin;

use bursar_domain::amount::{Amount, Unit};
use bursar_domain::id::TopupId;
use bursar_domain::refusal::Refusal;
use bursar_store::StoreError;

use crate::EngineError;

pub use crate::Once;
pub use balance::{Balance, Events, PastBalance, WalletView};
pub use charge::{Batch, BatchAnswer};
pub use hook::{Call, CallError, HookError, Hooks};
pub use payment::{
    Checkout, Method, Notification, PaidTopup, PayAt, Payments, Provider, ProviderError,
};
pub use topup::TopupDesk;
pub use usage::Usage;

/// A future in a box, which a trait object can give.
pub type Promise<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Why a service did not do as asked.
#[derive(Debug, thiserror::Error)]
pub enum ServiceError {
    /// The rules say no, or the engine gave no answer.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// What is asked has not the form it needs. Nothing was done.
    #[error("{field} {rule}")]
    Invalid {
        /// What is wrong.
        field: &'static str,
        /// What it has to be.
        rule: String,
    },
    /// No way to pay has this name.
    #[error("there is no way to pay called {id:?}")]
    ProviderUnknown {
        /// The name.
        id: String,
    },
    /// A provider did not do as asked.
    #[error(transparent)]
    Provider(#[from] ProviderError),
    /// What was paid is not what the top-up costs. Nothing was credited: a person has to look.
    #[error(
        "{topup} costs {price}, and {paid} were paid: nothing was credited; pay them back, or finish it by hand"
    )]
    OtherPrice {
        /// Which top-up.
        topup: TopupId,
        /// What it costs.
        price: Amount,
        /// What the provider says was paid.
        paid: Amount,
    },
    /// The provider collects another currency than the one that the top-up's price is in.
    #[error("{topup} costs {price}, and this way to pay collects {}: choose another", currency.code())]
    OtherCurrency {
        /// Which top-up.
        topup: TopupId,
        /// What it costs.
        price: Amount,
        /// What the provider collects.
        currency: Unit,
    },
    /// The top-up was paid before, and not by this payment. Nothing was credited: the customer has paid twice.
    #[error(
        "{topup} was paid before, and not by {reference:?}: nothing was credited; pay this one back"
    )]
    PaidBefore {
        /// Which top-up.
        topup: TopupId,
        /// The payment that came too late.
        reference: String,
    },
    /// This payment came for another top-up before. Nothing was credited.
    #[error("{reference:?} came for another top-up before: it cannot pay {topup}, too")]
    ReferenceSpent {
        /// Which top-up it was said to pay.
        topup: TopupId,
        /// The payment.
        reference: String,
    },
}

impl ServiceError {
    /// What the rules say, if it is they who say no.
    pub const fn refusal(&self) -> Option<&Refusal> {
        match self {
            Self::Engine(error) => error.refusal(),
            _ => None,
        }
    }

    fn invalid(field: &'static str, rule: impl Into<String>) -> Self {
        let rule = rule.into();
        Self::Invalid { field, rule }
    }
}

impl From<Refusal> for ServiceError {
    fn from(refusal: Refusal) -> Self {
        Self::Engine(refusal.into())
    }
}

impl From<StoreError> for ServiceError {
    fn from(error: StoreError) -> Self {
        Self::Engine(error.into())
    }
}
