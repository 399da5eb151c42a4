//! Paying a checkout session: the one way a customer has, whether on the hosted page or by `payment_pages`.

use crate::world::World;

/// How a customer pays.
#[derive(Clone, PartialEq, Eq)]
pub enum Payment {
    /// A card as it is typed in.
    Card(CardEntry),
    /// A payment method that exists, or one of the `pm_card_…` names.
    Method(String),
    /// A method that answers days later, such as `us_bank_account` or `sepa_debit`; `settles` says when and how
    /// by itself, or leaves it to [`World::settle_delayed`].
    Delayed {
        /// The type of payment method.
        kind: String,
        /// What will become of it by itself; `None` waits until somebody decides.
        settles: Option<Settlement>,
    },
}

/// A card as a customer types it in. The number and the CVC live as long as this value and are kept nowhere.
#[derive(Clone, PartialEq, Eq)]
pub struct CardEntry {
    /// The number; blanks and dashes do not matter.
    pub number: String,
    /// The month, 1 to 12.
    pub exp_month: i64,
    /// The year, with four digits.
    pub exp_year: i64,
    /// The code on the card, if it was given.
    pub cvc: Option<String>,
    /// The customer's e-mail address, for the session's `customer_details`.
    pub email: Option<String>,
}

/// What becomes of a delayed payment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settlement {
    /// The moment, in seconds since 1970.
    pub at: i64,
    /// Whether the money arrives.
    pub succeeds: bool,
}

/// What came of an attempt to pay.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PayOutcome {
    /// Paid; the session is complete.
    Succeeded,
    /// The bank asks the customer; [`World::answer_challenge`] goes on.
    RequiresAction {
        /// The payment intent that waits.
        payment_intent: String,
    },
    /// The bank said no; the session stays open for another try.
    Declined {
        /// Stripe's error code, such as `card_declined`.
        code: String,
        /// The bank's reason, such as `insufficient_funds`.
        decline_code: Option<String>,
        /// What to tell the customer.
        message: String,
    },
    /// A delayed method: the session is complete and unpaid until the money arrives.
    Processing,
    /// The session cannot be paid, or not with this.
    NotPayable {
        /// Stripe's code for the case, where there is one.
        code: Option<String>,
        /// Why not, for the customer.
        message: String,
    },
}

impl World {
    /// Pays a session.
    pub fn pay_session(&mut self, _session: &str, _payment: &Payment, _now: i64) -> PayOutcome {
        PayOutcome::NotPayable {
            code: None,
            message: "not built yet".into(),
        }
    }

    /// Answers the bank's question about a session's payment: the customer approves, or does not.
    pub fn answer_challenge(&mut self, _session: &str, _approve: bool, _now: i64) -> PayOutcome {
        PayOutcome::NotPayable {
            code: None,
            message: "not built yet".into(),
        }
    }

    /// Lets the money of a delayed payment arrive, or not. False if no such payment waits.
    pub fn settle_delayed(&mut self, _payment_intent: &str, _succeed: bool, _now: i64) -> bool {
        false
    }

    /// Does what has become due: expires sessions, settles delayed payments.
    pub fn tick(&mut self, _now: i64) {}
}
