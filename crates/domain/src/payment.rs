//! Payments: one attempt to collect the price of a top-up through a provider.
//!
//! Facts about a payment arrive in any order and any number of times: from webhooks, from the return page, from the
//! sweeper. [`observe`] is the one function they all go through, and [`transition`] is the table that says what each makes of a
//! payment. The end does not depend on the order of arrival, and paid always wins.

pub mod fact;
pub(crate) mod opening;
pub mod transition;

use serde::{Deserialize, Serialize};

use crate::account::{AccountKey, AccountKind};
use crate::amount::{Amount, Unit};
use crate::announcement::{self, Happening};
use crate::auto_topup;
use crate::command::Context;
use crate::coupon;
use crate::fraud;
use crate::grant;
use crate::id::{PaymentId, TopupId, UserId};
use crate::intent::OPEN_SECONDS_MAX;
use crate::job::{JobKey, JobKind};
use crate::journal::{self, Cause, Posting, Reason, Remark, Transaction};
use crate::notice;
use crate::planted::{self, Bug};
use crate::referral;
use crate::refusal::Refusal;
use crate::reversal;
use crate::state::{State, Wanted};
use crate::time::Time;
use crate::topup::{self, TopupStatus, Voucher};
use crate::word::words;
use fact::{Declined, Fact, Mismatch};
use transition::News;

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
    /// Given up: the provider takes no payment for it any more.
    Canceled,
}

words!(PaymentStatus: Pending = "pending", Processing = "processing", Paid = "paid",
       PartiallyRefunded = "partially_refunded", Refunded = "refunded", Disputed = "disputed", Expired = "expired",
       Failed = "failed", Canceled = "canceled");

impl PaymentStatus {
    /// Whether the customer may still pay, or the money may still come.
    pub const fn is_open(self) -> bool {
        matches!(self, Self::Pending | Self::Processing)
    }

    /// Whether the money has come, whatever became of it later.
    pub const fn is_paid(self) -> bool {
        matches!(
            self,
            Self::Paid | Self::PartiallyRefunded | Self::Refunded | Self::Disputed
        )
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
    /// When the card's network first took it for fraud, if it did. Moves nothing by itself.
    pub warned_at: Option<Time>,
}

/// Why an attempt to pay did not work, in the provider's words. Never card data.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// The provider's code: `card_declined`, `insufficient_funds`.
    pub code: String,
    /// The provider's text for the customer.
    pub message: String,
    /// Whether and how to try again, where the provider said it: `do_not_try_again`.
    pub advice: Option<String>,
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
    /// Whether the card is to be kept for payments without the customer.
    pub save_card: bool,
    /// The provider's id of the saved card that is charged, where the customer is not there.
    pub card: Option<String>,
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
    /// When nobody can pay it any more, if nobody has; the provider may close it a little later.
    pub fn closes_at(&self) -> Time {
        self.created_at.plus_seconds(OPEN_SECONDS_MAX)
    }

    pub(crate) fn job(&self, kind: JobKind) -> JobKey {
        JobKey::of_payment(kind, &self.id)
    }

    pub(crate) fn job_to_read(&self) -> JobKey {
        self.job(self.flow.job_to_read())
    }

    /// Whether it is known what of the provider's it is: its session, or its intent where it was opened without one.
    pub const fn is_bound(&self) -> bool {
        match self.flow {
            Flow::Checkout => self.session.is_some(),
            Flow::Intent | Flow::OffSession => self.intent.is_some(),
        }
    }

    /// What the provider calls it: its session, else its intent.
    pub fn reference(&self) -> &str {
        let name = self.session.as_deref().or(self.intent.as_deref());
        name.unwrap_or_default()
    }
}

/// Rows that [`observe`] may touch.
pub(crate) fn needs_to_observe(wanted: &mut Wanted<'_>, id: &PaymentId) {
    for kind in [
        JobKind::ReadSession,
        JobKind::ReadIntent,
        JobKind::ReadReturns,
    ] {
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
    if payment.flow == Flow::OffSession {
        wanted.auto_topup(&payment.user);
        grant::needs_wallet(wanted, &AccountKey::wallet(&payment.user));
    }
    for key in money_accounts(payment) {
        wanted.account(&key);
    }
    wanted.cause(&cause(id));
    reversal::needs(wanted, id);
    referral::needs_to_reward(wanted, payment);
    // What is given here may have to be taken back at once.
    wanted.account(&AccountKey::house(AccountKind::Absorbed, Unit::CREDIT));
    topup::needs_to_finish(wanted, &payment.topup);
    let current = wanted.topup(&payment.topup);
    let current = current.and_then(|topup| topup.payment.as_ref());
    if let Some(other) = current.filter(|current| *current != id) {
        wanted.payment(other);
        opening::needs_to_close(wanted, other);
    }
}

fn cause(id: &PaymentId) -> Cause {
    Cause::new("payment", id.as_str())
}

pub(crate) fn money_accounts(payment: &Payment) -> [AccountKey; 2] {
    [AccountKind::Received, AccountKind::Clearing]
        .map(|kind| AccountKey::of_provider(kind, &payment.provider, payment.amount.unit))
}

/// The payment of this id.
pub(crate) fn find<'s>(state: &'s State, id: &PaymentId) -> Result<&'s Payment, Refusal> {
    state.payments.get(id).ok_or(Refusal::PaymentNotFound)
}

/// Takes in what is known of a payment's session or intent, from whatever side it came.
///
/// The fact must name our session or intent, amount, currency and mode; otherwise nothing happens and the mismatch is the answer.
pub(crate) fn observe<'f>(
    state: &mut State,
    context: &mut Context<'_>,
    id: &PaymentId,
    fact: impl Into<Fact<'f>>,
) -> Result<Result<(), Mismatch>, Refusal> {
    let payment = find(state, id)?.clone();
    let fact = fact.into();
    if let Err(mismatch) = fact.check(&payment) {
        return Ok(Err(mismatch));
    }
    if payment.intent.is_none()
        && let Some(intent) = fact.intent()
        && state.payment_of_intent.get(intent).is_none()
    {
        state
            .payments
            .change(id, |payment| payment.intent = Some(intent.clone()));
        state.payment_of_intent.set(intent.clone(), id.clone());
        notice::wake_early(state, id, Some(intent));
    }
    let news = fact.news(payment.flow);
    match fact.failure() {
        Some(declined) => record_decline(state, context.now, id, declined),
        None if news == Some(News::Failed) && payment.flow == Flow::OffSession => {
            let why = "the bank wants to see the customer: he has to pay by himself";
            record_failure(state, context.now, id, "authentication_required", why);
        }
        None => {}
    }
    if let Some(news) = news {
        hear(state, context, &payment, news)?;
    }
    Ok(Ok(()))
}

/// Does what the table says about the news.
pub(crate) fn hear(
    state: &mut State,
    context: &mut Context<'_>,
    payment: &Payment,
    news: News,
) -> Result<(), Refusal> {
    let next = transition::next(payment.status, news);
    let again = planted::is(Bug::CreditedAgain) && news == News::Paid;
    if next == payment.status && !again {
        return Ok(());
    }
    advance(state, context, payment, next)
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
            let is_new = topup::finish(state, context, &payment.topup, Voucher::Payment(payment))?;
            journal::post(state, money)?;
            if is_new {
                referral::reward(state, context, payment)?;
                close_other(state, now, payment);
            } else {
                announce_surplus(state, now, payment);
            }
        }
        PaymentStatus::Expired | PaymentStatus::Canceled => {
            close_topup(state, now, payment, TopupStatus::Expired);
        }
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
    if !next.is_open() && !next.is_paid() {
        free_coupon(state, now, payment);
    }
    if next == PaymentStatus::Paid {
        // Money may have gone back before we heard that it came.
        reversal::settle(state, context, &payment.id)?;
        fraud::answer(state, context, &payment.id)?;
    }
    if !next.is_open() {
        state.jobs.remove(&payment.job_to_read());
    }
    if payment.flow == Flow::OffSession {
        auto_topup::hear(state, context, payment, next);
    }
    Ok(())
}

/// Nobody shall pay in another way what has just been paid in this one.
fn close_other(state: &mut State, now: Time, payment: &Payment) {
    let topup = state.topups.get(&payment.topup);
    let current = topup.and_then(|topup| topup.payment.clone());
    if let Some(other) = current.filter(|current| *current != payment.id) {
        opening::close(state, now, &other);
    }
}

/// The top-up was paid before, by another payment or on an administrator's word: this money gave nothing and has to go back.
fn announce_surplus(state: &mut State, now: Time, payment: &Payment) {
    let happening = Happening::PaymentSurplus {
        payment: payment.id.clone(),
        topup: payment.topup.clone(),
    };
    let wallet = AccountKey::wallet(&payment.user);
    announcement::announce(state, &wallet, now, happening);
}

/// The payment has ended unpaid: whoever comes next may have the coupon.
pub(crate) fn free_coupon(state: &mut State, now: Time, payment: &Payment) {
    if let Some(topup) = state.topups.get(&payment.topup).cloned() {
        coupon::free(state, now, &topup, &payment.id);
    }
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
        cause: Some(cause(&payment.id)).filter(|_| !planted::is(Bug::CreditedAgain)),
        at: now,
        remark: Remark {
            reference: payment.reference().to_owned(),
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

/// Settles by a fact that was asked for. One that contradicts the payment is noted on it and changes nothing.
pub(crate) fn settle<'f>(
    state: &mut State,
    context: &mut Context<'_>,
    id: &PaymentId,
    fact: impl Into<Fact<'f>>,
) -> Result<(), Refusal> {
    if let Err(mismatch) = observe(state, context, id, fact)? {
        record_mismatch(state, context.now, id, &mismatch);
    }
    Ok(())
}

/// Keeps in what something that was heard of the payment contradicts it.
pub(crate) fn record_mismatch(state: &mut State, now: Time, id: &PaymentId, mismatch: &Mismatch) {
    record_failure(state, now, id, mismatch.code(), &mismatch.to_string());
}

/// Keeps why the last attempt did not work. Says nothing about the status: the next attempt may work.
pub(crate) fn record_failure(
    state: &mut State,
    now: Time,
    id: &PaymentId,
    code: &str,
    message: &str,
) {
    let declined = Declined {
        code: code.to_owned(),
        message: message.to_owned(),
        advice: None,
    };
    record_decline(state, now, id, &declined);
}

/// The same, with what the provider advises.
pub(crate) fn record_decline(state: &mut State, now: Time, id: &PaymentId, declined: &Declined) {
    let failure = Failure {
        code: declined.code.clone(),
        message: declined.message.clone(),
        advice: declined.advice.clone(),
        at: now,
    };
    state.payments.change(id, |payment| {
        payment.last_failure = Some(failure);
        payment.updated_at = now;
    });
}

#[cfg(test)]
mod tests;
