//! Facts: what is said about a payment, and whether it is about this one.

use crate::notice;
use crate::payment::transition::{self, News};
use crate::payment::{Flow, Payment};
use crate::state::Wanted;

/// What a checkout session or a payment intent is known to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// The customer has not finished. Declined attempts leave it here.
    Open,
    /// His bank wants to see the customer before it pays.
    WantsCustomer,
    /// The customer has finished; the money has not come yet.
    Unpaid,
    /// The money is there.
    Paid,
    /// The delayed method has failed.
    Failed,
    /// Closed without being paid.
    Expired,
    /// Called off: it takes no payment any more.
    Canceled,
}

/// What is said about a checkout session. `None` where the source is silent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionFact {
    /// The session.
    pub session: String,
    /// Its total, in smallest steps.
    pub amount: Option<i64>,
    /// Its currency, as written by the provider.
    pub currency: Option<String>,
    /// Whether it is about real money.
    pub livemode: Option<bool>,
    /// The payment intent behind it.
    pub intent: Option<String>,
    /// How it stands.
    pub standing: Standing,
}

/// A fact contradicts our own row.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[expect(
    missing_docs,
    reason = "the text of each variant says what its fields are"
)]
pub enum Mismatch {
    #[error("the session is {said}, our payment has {ours}")]
    Session { said: String, ours: String },
    #[error("the payment intent is {said}, our payment has {ours}")]
    Intent { said: String, ours: String },
    #[error("the amount is {said}, our payment is over {ours}")]
    Amount { said: String, ours: i64 },
    #[error("the currency is {said}, our payment is in {ours}")]
    Currency { said: String, ours: String },
    #[error("livemode is {said}, our payment was made with livemode {ours}")]
    Livemode { said: bool, ours: bool },
}

impl Mismatch {
    /// The stable code.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Session { .. } => "session_mismatch",
            Self::Intent { .. } => "intent_mismatch",
            Self::Amount { .. } => "amount_mismatch",
            Self::Currency { .. } => "currency_mismatch",
            Self::Livemode { .. } => "livemode_mismatch",
        }
    }
}

/// Compares the money named somewhere with our own payment. What is not named does not contradict.
pub(crate) fn check_money(
    payment: &Payment,
    amount: Option<i64>,
    currency: Option<&str>,
    livemode: Option<bool>,
) -> Result<(), Mismatch> {
    let ours = payment.amount;
    if let Some(said) = amount.filter(|said| *said != ours.minor) {
        return Err(Mismatch::Amount {
            said: said.to_string(),
            ours: ours.minor,
        });
    }
    if let Some(said) = currency.filter(|said| *said != ours.unit.code()) {
        return Err(Mismatch::Currency {
            said: said.to_owned(),
            ours: ours.unit.code().to_owned(),
        });
    }
    match livemode.filter(|said| *said != payment.livemode) {
        Some(said) => Err(Mismatch::Livemode {
            said,
            ours: payment.livemode,
        }),
        None => Ok(()),
    }
}

impl SessionFact {
    /// Rows that [`observe`](crate::payment) compares with.
    pub(crate) fn needs(&self, wanted: &mut Wanted<'_>) {
        if let Some(intent) = &self.intent {
            wanted.intent(intent);
            notice::needs_early(wanted, intent);
        }
    }

    /// Whether the fact is about this payment: session, amount, currency and mode are ours. A fact that says `Paid` has to
    /// name its amount and currency.
    ///
    /// The intent is not compared: the session decides, and which of two intents came first must not decide about money.
    pub fn check(&self, payment: &Payment) -> Result<(), Mismatch> {
        if payment.session.as_ref() != Some(&self.session) {
            return Err(Mismatch::Session {
                said: self.session.clone(),
                ours: payment.session.clone().unwrap_or_else(|| "none".to_owned()),
            });
        }
        check_money(
            payment,
            self.amount,
            self.currency.as_deref(),
            self.livemode,
        )?;
        if self.standing != Standing::Paid {
            return Ok(());
        }
        names_money(payment, self.amount, self.currency.as_ref())
    }
}

impl SessionFact {
    /// Whether it would move a payment that stands like this one.
    pub fn is_news_to(&self, payment: &Payment) -> bool {
        Fact::from(self).is_news_to(payment)
    }
}

impl IntentFact {
    /// Whether it would move a payment that stands like this one.
    pub fn is_news_to(&self, payment: &Payment) -> bool {
        Fact::from(self).is_news_to(payment)
    }
}

/// What says that money has come has to say how much of what.
fn names_money(
    payment: &Payment,
    amount: Option<i64>,
    currency: Option<&String>,
) -> Result<(), Mismatch> {
    let ours = payment.amount;
    if amount.is_none() {
        return Err(Mismatch::Amount {
            said: "missing".into(),
            ours: ours.minor,
        });
    }
    if currency.is_none() {
        return Err(Mismatch::Currency {
            said: "missing".into(),
            ours: ours.unit.code().to_owned(),
        });
    }
    Ok(())
}

/// Why an attempt to pay did not work, as the provider says it. Never card data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Declined {
    /// The bank's reason, or the provider's code: `insufficient_funds`.
    pub code: String,
    /// The provider's text for the customer.
    pub message: String,
    /// Whether and how to try again, where the provider says it: `do_not_try_again`.
    pub advice: Option<String>,
}

/// What is said about a payment intent or a charge of it. `None` where the source is silent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IntentFact {
    /// The payment intent.
    pub intent: String,
    /// Its amount, in smallest steps.
    pub amount: Option<i64>,
    /// What has been paid of it, in smallest steps.
    pub received: Option<i64>,
    /// Its currency.
    pub currency: Option<String>,
    /// Whether it is about real money.
    pub livemode: Option<bool>,
    /// How it stands; none if the source does not say, so that it has to be read.
    pub standing: Option<Standing>,
    /// The attempt that failed, if that is the news.
    pub failure: Option<Declined>,
}

impl IntentFact {
    /// Whether the fact is about this payment, which has to be one that is made by an intent: intent, amount, currency and mode are
    /// ours. A fact that says `Paid` has to name its amount and currency, and all of the amount has to have come.
    pub fn check(&self, payment: &Payment) -> Result<(), Mismatch> {
        let is_ours =
            payment.flow != Flow::Checkout && payment.intent.as_ref() == Some(&self.intent);
        if !is_ours {
            return Err(Mismatch::Intent {
                said: self.intent.clone(),
                ours: payment.intent.clone().unwrap_or_else(|| "none".to_owned()),
            });
        }
        check_money(
            payment,
            self.amount,
            self.currency.as_deref(),
            self.livemode,
        )?;
        if self.standing != Some(Standing::Paid) {
            return Ok(());
        }
        names_money(payment, self.amount, self.currency.as_ref())?;
        match self.received {
            Some(received) if received == payment.amount.minor => Ok(()),
            received => Err(Mismatch::Amount {
                said: received
                    .map_or_else(|| "missing".to_owned(), |received| received.to_string()),
                ours: payment.amount.minor,
            }),
        }
    }
}

/// What is said about a payment, by what it is bound to.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Fact<'a> {
    /// Its checkout session.
    Session(&'a SessionFact),
    /// Its payment intent, where it was opened without a session.
    Intent(&'a IntentFact),
}

impl<'a> From<&'a SessionFact> for Fact<'a> {
    fn from(fact: &'a SessionFact) -> Self {
        Self::Session(fact)
    }
}

impl<'a> From<&'a IntentFact> for Fact<'a> {
    fn from(fact: &'a IntentFact) -> Self {
        Self::Intent(fact)
    }
}

impl<'a> Fact<'a> {
    pub(crate) fn check(self, payment: &Payment) -> Result<(), Mismatch> {
        match self {
            Self::Session(fact) => fact.check(payment),
            Self::Intent(fact) => fact.check(payment),
        }
    }

    fn is_news_to(self, payment: &Payment) -> bool {
        let news = self.news(payment.flow);
        news.is_some_and(|news| transition::next(payment.status, news) != payment.status)
    }

    /// The payment intent it names.
    pub(crate) fn intent(self) -> Option<&'a String> {
        match self {
            Self::Session(fact) => fact.intent.as_ref(),
            Self::Intent(fact) => Some(&fact.intent),
        }
    }

    /// The attempt that failed, if that is the news.
    pub(crate) const fn failure(self) -> Option<&'a Declined> {
        match self {
            Self::Session(_) => None,
            Self::Intent(fact) => fact.failure.as_ref(),
        }
    }

    /// What it means for a payment of this flow; none if it does not say. Whoever is not there cannot try again, so that without
    /// the customer the first attempt decides.
    pub(crate) fn news(self, flow: Flow) -> Option<News> {
        let standing = match self {
            Self::Session(fact) => fact.standing,
            Self::Intent(fact) => fact.standing?,
        };
        let is_last_try = flow == Flow::OffSession
            && (self.failure().is_some() || standing == Standing::WantsCustomer);
        Some(match standing {
            Standing::Open | Standing::WantsCustomer if is_last_try => News::Failed,
            Standing::Open | Standing::WantsCustomer => News::Open,
            Standing::Unpaid => News::Processing,
            Standing::Canceled => News::Canceled,
            Standing::Expired => News::Expired,
            Standing::Failed => News::Failed,
            Standing::Paid => News::Paid,
        })
    }
}
