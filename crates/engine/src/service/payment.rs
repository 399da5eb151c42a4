//! Payments through providers of the product's own.
//!
//! A provider says where a customer pays, and what a notification means. It never credits anything: [`Payments`] compares what was
//! paid with the price of the top-up, and finishes the top-up at the [`TopupDesk`]. Cards by Stripe need none of this: the router
//! takes Stripe's webhooks, and [`Engine::open_checkout`](crate::Engine::open_checkout) opens its page.

use std::fmt;
use std::sync::Arc;

use bursar_domain::amount::{Amount, Unit};
use bursar_domain::id::{TopupId, UserId};
use bursar_domain::refusal::Refusal;
use bursar_domain::topup::{Topup, TopupStatus};

use super::{Promise, ServiceError, TopupDesk, form};
use crate::Once;

/// The longest name that a provider gives to a payment, in characters.
const REFERENCE_MAX: usize = 90;

/// A way to pay, as customers are offered it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Method {
    /// Its name for programs, as in `bank-transfer`: 1 to 100 visible ASCII characters without a colon. It becomes a part of what
    /// payments are called, so it must not change.
    pub id: String,
    /// Its name for people.
    pub label: String,
    /// What customers pay in.
    pub currency: Unit,
}

/// Where a customer pays.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PayAt {
    /// On a page with this address.
    Page(String),
    /// Elsewhere, as these words say.
    Instructions(String),
}

/// A top-up that waits to be paid through a provider.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkout {
    /// The provider.
    pub method: Method,
    /// What is paid for, and how much it costs.
    pub topup: Topup,
    /// Where.
    pub pay_at: PayAt,
}

/// What came from a provider, as it came: a signature covers the exact bytes.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Notification {
    /// Names and values that came with the body, as those of HTTP.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
}

impl Notification {
    /// The value of the first header of this name, in upper or lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        let named = |header: &&(String, String)| header.0.eq_ignore_ascii_case(name);
        let header = self.headers.iter().find(named);
        header.map(|(_, value)| value.as_str())
    }
}

/// What a provider vouches for: that a top-up is paid.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PaidTopup {
    /// Which top-up.
    pub topup: TopupId,
    /// What the provider calls the payment: 1 to 90 characters, and never the number of a card. One payment has one reference for
    /// ever, whatever is repeated, and no two payments have the same.
    pub reference: String,
    /// What was paid.
    pub amount: Amount,
}

/// Why a provider did not do as asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProviderError {
    /// The notification does not come from the provider, or cannot be read. Whoever sent it need not send it again.
    #[error("the notification is not one of the provider's: {0}")]
    Unverified(String),
    /// The provider cannot be reached or does not answer. Worth another try.
    #[error("the provider cannot be reached: {0}")]
    Unavailable(String),
    /// The provider says no for good.
    #[error("the provider refused: {0}")]
    Refused(String),
}

/// A way to pay that the product brings along.
pub trait Provider: Send + Sync {
    /// How it is called, and what it collects.
    fn method(&self) -> Method;

    /// Says where the customer pays for this top-up: exactly its price. Asked again for the same top-up, it should lead to the same
    /// place, so that nobody pays twice.
    fn open<'a>(&'a self, topup: &'a Topup) -> Promise<'a, Result<PayAt, ProviderError>>;

    /// Makes sure that a notification comes from the provider, and says which top-up it reports as paid; none if it reports
    /// something else.
    fn verify<'a>(
        &'a self,
        notification: &'a Notification,
    ) -> Promise<'a, Result<Option<PaidTopup>, ProviderError>>;
}

/// Payments through providers of the product's own. Clones share them.
#[derive(Clone)]
pub struct Payments {
    desk: TopupDesk,
    providers: Arc<[(Method, Box<dyn Provider>)]>,
}

impl fmt::Debug for Payments {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.methods()).finish()
    }
}

impl Payments {
    /// Payments through these providers, each with a name of its own.
    pub fn new(desk: TopupDesk, providers: Vec<Box<dyn Provider>>) -> Result<Self, ServiceError> {
        let mut named: Vec<(Method, Box<dyn Provider>)> = Vec::with_capacity(providers.len());
        for provider in providers {
            let method = provider.method();
            form::check_name("provider", &method.id)?;
            // The colon ends the name where a payment is called by the provider and the provider's reference.
            if method.id.contains(':') {
                return Err(ServiceError::invalid("provider", "must not have a colon"));
            }
            if named.iter().any(|(other, _)| other.id == method.id) {
                let rule = format!("{} is there twice", method.id);
                return Err(ServiceError::invalid("provider", rule));
            }
            named.push((method, provider));
        }
        Ok(Self {
            desk,
            providers: named.into(),
        })
    }

    /// The ways to pay, in the order in which they were given.
    pub fn methods(&self) -> impl Iterator<Item = &Method> {
        self.providers.iter().map(|(method, _)| method)
    }

    fn provider(&self, id: &str) -> Result<&(Method, Box<dyn Provider>), ServiceError> {
        let found = self.providers.iter().find(|(method, _)| method.id == id);
        found.ok_or_else(|| ServiceError::ProviderUnknown { id: id.to_owned() })
    }

    /// Says where a user pays for one of his pending top-ups.
    pub async fn open(
        &self,
        provider: &str,
        user: &UserId,
        topup: &TopupId,
    ) -> Result<Checkout, ServiceError> {
        let (method, provider) = self.provider(provider)?;
        let topup = self.desk.read(topup).await?;
        // Whether somebody else's top-up exists is nobody's business.
        if topup.user != *user {
            return Err(Refusal::TopupNotFound.into());
        }
        if topup.status != TopupStatus::Pending {
            let status = topup.status;
            return Err(Refusal::TopupNotPending { status }.into());
        }
        if topup.price.unit != method.currency {
            return Err(ServiceError::OtherCurrency {
                topup: topup.id,
                price: topup.price,
                currency: method.currency,
            });
        }
        let pay_at = provider.open(&topup).await?;
        Ok(Checkout {
            method: method.clone(),
            topup,
            pay_at,
        })
    }

    /// Takes a notification in. If it says that a top-up is paid, the top-up is finished, once, whatever is repeated; gives it then,
    /// and whether it was finished by this payment before. None if the notification says something else.
    ///
    /// An answer of [`OtherPrice`](ServiceError::OtherPrice), [`PaidBefore`](ServiceError::PaidBefore),
    /// [`ReferenceSpent`](ServiceError::ReferenceSpent), or a refusal means that money has come for which nothing was credited: a
    /// person has to look. After any other error the provider should send it again.
    pub async fn finish(
        &self,
        provider: &str,
        notification: &Notification,
    ) -> Result<Option<Once<Topup>>, ServiceError> {
        let (method, provider) = self.provider(provider)?;
        let Some(paid) = provider.verify(notification).await? else {
            return Ok(None);
        };
        form::check_reference(&paid.reference, REFERENCE_MAX)?;
        let topup = self.desk.read(&paid.topup).await?;
        if topup.price != paid.amount {
            return Err(ServiceError::OtherPrice {
                topup: topup.id,
                price: topup.price,
                paid: paid.amount,
            });
        }
        let reference = format!("{}:{}", method.id, paid.reference);
        self.desk.finish(&topup.id, &reference).await.map(Some)
    }
}
