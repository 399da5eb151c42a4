//! Payments: one attempt to collect the price of a top-up through a provider.
//!
//! Facts about a payment arrive in any order and any number of times: from webhooks, from the return page, from the
//! sweeper. [`observe`] is the one function they all go through. Facts have ranks, and a payment only moves up:
//! open < processing < closed without money (expired < failed) < paid. So the end does not depend on the order of arrival, and paid always wins.

use serde::{Deserialize, Serialize};

use crate::account::{AccountKey, AccountKind};
use crate::amount::Amount;
use crate::command::Context;
use crate::grant::words;
use crate::id::{PaymentId, TopupId, UserId};
use crate::job::{JobKey, JobKind};
use crate::journal::{self, Cause, Posting, Reason, Remark, Transaction};
use crate::notice::{self, Mismatch, SessionFact, Standing};
use crate::refusal::Refusal;
use crate::reversal;
use crate::state::{State, Wanted};
use crate::time::Time;
use crate::topup::{self, TopupStatus, Voucher};

/// The one provider so far.
pub const STRIPE: &str = "stripe";

/// Where a payment stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PaymentStatus {
    /// Waits for the customer. Declined attempts leave it here: the customer may try again.
    Pending,
    /// The customer has finished; a delayed method has not yet said whether the money comes.
    Processing,
    /// The money is there. Nothing takes that back: what follows is about money that goes out again.
    Paid,
    /// Paid, and some of the money went back to the customer.
    PartiallyRefunded,
    /// Paid, and all of the money went back to the customer.
    Refunded,
    /// Paid, and the customer's bank asks for the money back, or has it.
    Disputed,
    /// The session closed unpaid.
    Expired,
    /// The delayed method failed, or the provider refused to open a session.
    Failed,
    /// Given up.
    Canceled,
}

words!(PaymentStatus: Pending = "pending", Processing = "processing", Paid = "paid",
       PartiallyRefunded = "partially_refunded", Refunded = "refunded", Disputed = "disputed", Expired = "expired",
       Failed = "failed", Canceled = "canceled");

impl PaymentStatus {
    const fn rank(self) -> u8 {
        match self {
            Self::Pending => 0,
            Self::Processing => 1,
            Self::Canceled => 2,
            Self::Expired => 3,
            Self::Failed => 4,
            Self::Paid | Self::PartiallyRefunded | Self::Refunded | Self::Disputed => 5,
        }
    }

    /// Whether the customer may still pay, or the money may still come.
    pub const fn is_open(self) -> bool {
        matches!(self, Self::Pending | Self::Processing)
    }

    /// Whether the money has come, whatever became of it later.
    pub const fn is_paid(self) -> bool {
        self.rank() == Self::Paid.rank()
    }
}

/// How the customer pays.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Flow {
    /// On the provider's page.
    Checkout,
    /// On a page of the product, by a payment intent.
    Intent,
    /// Without being there, by a card that was saved.
    OffSession,
}

words!(Flow: Checkout = "checkout", Intent = "intent", OffSession = "off_session");

/// Money of a payment that went back, in smallest steps of its currency.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Returned {
    /// By refunds that stand.
    pub refunded: i64,
    /// By disputes: withdrawn, less what was given back.
    pub disputed: i64,
    /// How much of both has been posted.
    pub posted: i64,
}

/// Why an attempt to pay did not work, in the provider's words. Never card data.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// The provider's code: `card_declined`, `insufficient_funds`.
    pub code: String,
    /// The provider's text for the customer.
    pub message: String,
    /// When we learned of it.
    pub at: Time,
}

/// One attempt to collect the price of a top-up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Payment {
    /// Its id; also the provider's idempotency key for opening the session.
    pub id: PaymentId,
    /// Its number: payments are numbered without gaps in the order in which they are made.
    pub number: i64,
    /// How the customer pays.
    pub flow: Flow,
    /// Who collects: [`STRIPE`].
    pub provider: String,
    /// What is paid for.
    pub topup: TopupId,
    /// Whose top-up.
    pub user: UserId,
    /// What is to be paid, exactly.
    pub amount: Amount,
    /// Whether it is real money.
    pub livemode: bool,
    /// What the customer sees as the thing bought.
    pub item_name: String,
    /// Where the customer goes after paying.
    pub success_url: String,
    /// Where the customer goes instead of paying.
    pub cancel_url: String,
    /// Where it stands.
    pub status: PaymentStatus,
    /// Stripe's checkout session, once it is known.
    pub session: Option<String>,
    /// Where the customer pays, once it is known.
    pub checkout_url: Option<String>,
    /// Stripe's payment intent, once it is known.
    pub intent: Option<String>,
    /// The last attempt that did not work.
    pub last_failure: Option<Failure>,
    /// Money of it that went back.
    pub returned: Returned,
    /// When it was made.
    pub created_at: Time,
    /// When it last changed.
    pub updated_at: Time,
    /// When it was paid, if it was.
    pub paid_at: Option<Time>,
}

impl Payment {
    pub(crate) fn job(&self, kind: JobKind) -> JobKey {
        JobKey::of_payment(kind, &self.id)
    }
}

/// Rows that [`observe`] may touch.
pub(crate) fn needs_to_observe(wanted: &mut Wanted<'_>, id: &PaymentId) {
    for kind in [JobKind::ReadSession, JobKind::ReadReturns] {
        wanted.job(&JobKey::of_payment(kind, id));
    }
    wanted
        .waiting_events(id)
        .into_iter()
        .flatten()
        .for_each(|number| wanted.event(number));
    let Some(payment) = wanted.payment(id) else {
        return;
    };
    for key in money_accounts(payment) {
        wanted.account(&key);
    }
    wanted.cause(&cause(id));
    reversal::needs(wanted, id);
    topup::needs_to_finish(wanted, &payment.topup);
}

fn cause(id: &PaymentId) -> Cause {
    Cause::new("payment", id.as_str())
}

pub(crate) fn money_accounts(payment: &Payment) -> [AccountKey; 2] {
    [AccountKind::Received, AccountKind::Clearing]
        .map(|kind| AccountKey::of_provider(kind, &payment.provider, payment.amount.unit))
}

/// Takes in what is known of a payment's session, from whatever side it came.
///
/// The fact must name our session, amount, currency and mode; otherwise nothing happens and the mismatch is the answer.
pub(crate) fn observe(
    state: &mut State,
    context: &mut Context<'_>,
    id: &PaymentId,
    fact: &SessionFact,
) -> Result<Result<(), Mismatch>, Refusal> {
    let payment = state
        .payments
        .get(id)
        .ok_or(Refusal::PaymentNotFound)?
        .clone();
    if let Err(mismatch) = fact.check(&payment) {
        return Ok(Err(mismatch));
    }
    if payment.intent.is_none()
        && let Some(intent) = &fact.intent
        && state.payment_of_intent.get(intent).is_none()
    {
        state
            .payments
            .change(id, |payment| payment.intent = Some(intent.clone()));
        state.payment_of_intent.set(intent.clone(), id.clone());
        notice::wake_early(state, id, Some(intent));
    }
    let next = match fact.standing {
        Standing::Open => PaymentStatus::Pending,
        Standing::Unpaid => PaymentStatus::Processing,
        Standing::Expired => PaymentStatus::Expired,
        Standing::Failed => PaymentStatus::Failed,
        Standing::Paid => PaymentStatus::Paid,
    };
    if next.rank() > payment.status.rank() {
        advance(state, context, &payment, next)?;
    }
    Ok(Ok(()))
}

fn advance(
    state: &mut State,
    context: &mut Context<'_>,
    payment: &Payment,
    next: PaymentStatus,
) -> Result<(), Refusal> {
    let now = context.now;
    match next {
        PaymentStatus::Paid => {
            // Both or neither: the second is checked before the first is written.
            let money = money_received(context.now, payment);
            journal::check(state, &money)?;
            topup::finish(state, context, &payment.topup, Voucher::Payment(payment))?;
            journal::post(state, money)?;
        }
        PaymentStatus::Expired => close_topup(state, now, payment, TopupStatus::Expired),
        PaymentStatus::Failed => close_topup(state, now, payment, TopupStatus::Failed),
        _ => {}
    }
    state.payments.change(&payment.id, |payment| {
        payment.status = next;
        payment.updated_at = now;
        if next == PaymentStatus::Paid {
            payment.paid_at = Some(now);
        }
    });
    if next == PaymentStatus::Paid {
        // Money may have gone back before we heard that it came.
        reversal::settle(state, context, &payment.id)?;
    }
    if !next.is_open() {
        state.jobs.remove(&payment.job(JobKind::ReadSession));
    }
    Ok(())
}

fn close_topup(state: &mut State, now: Time, payment: &Payment, end: TopupStatus) {
    let is_current = state
        .topups
        .get(&payment.topup)
        .is_some_and(|topup| topup.payment.as_ref() == Some(&payment.id));
    if is_current {
        topup::close(state, now, &payment.topup, end, None);
    }
}

/// Books the customer's money as held by the provider.
fn money_received(now: Time, payment: &Payment) -> Transaction {
    let [received, clearing] = money_accounts(payment);
    Transaction {
        reason: Reason::Payment,
        cause: Some(cause(&payment.id)),
        at: now,
        remark: Remark {
            reference: payment.session.clone().unwrap_or_default(),
            ..Remark::default()
        },
        tags: String::new(),
        postings: vec![Posting {
            from: received,
            to: clearing,
            amount: payment.amount,
            grant: None,
        }],
    }
}

/// Keeps why the last attempt did not work. Says nothing about the status: the next attempt may work.
pub(crate) fn record_failure(
    state: &mut State,
    now: Time,
    id: &PaymentId,
    code: &str,
    message: &str,
) {
    let failure = Failure {
        code: code.to_owned(),
        message: message.to_owned(),
        at: now,
    };
    state.payments.change(id, |payment| {
        payment.last_failure = Some(failure);
        payment.updated_at = now;
    });
}

#[cfg(test)]
mod tests;
