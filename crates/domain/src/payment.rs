//! Payments: one attempt to collect the price of a top-up through a provider.
//!
//! Facts about a payment arrive in any order and any number of times: from webhooks, from the return page, from the
//! sweeper. [`observe`] is the one function they all go through. Facts have ranks, and a payment only moves up:
//! open < processing < closed without money < paid. So the end does not depend on the order of arrival, and paid always wins.

use serde::{Deserialize, Serialize};

use crate::account::{AccountKey, AccountKind};
use crate::amount::Amount;
use crate::command::Context;
use crate::id::{PaymentId, TopupId, TransactionId, UserId};
use crate::job::{self, Claim, JobKey, JobKind};
use crate::journal::{self, Cause, Posting, Reason, Remark, Transaction};
use crate::notice::{self, Mismatch, SessionFact, Standing};
use crate::refusal::Refusal;
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
    /// The money is there. Final.
    Paid,
    /// The session closed unpaid.
    Expired,
    /// The delayed method failed, or the provider refused to open a session.
    Failed,
    /// Given up.
    Canceled,
}

impl PaymentStatus {
    /// All of them, in the order of their usual life.
    pub const ALL: [Self; 6] = [
        Self::Pending,
        Self::Processing,
        Self::Paid,
        Self::Expired,
        Self::Failed,
        Self::Canceled,
    ];

    /// As written in the database and on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Processing => "processing",
            Self::Paid => "paid",
            Self::Expired => "expired",
            Self::Failed => "failed",
            Self::Canceled => "canceled",
        }
    }

    /// The status written as `text`.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.as_str() == text)
    }

    const fn rank(self) -> u8 {
        match self {
            Self::Pending => 0,
            Self::Processing => 1,
            Self::Expired | Self::Failed | Self::Canceled => 2,
            Self::Paid => 3,
        }
    }

    /// Whether the customer may still pay, or the money may still come.
    pub const fn is_open(self) -> bool {
        matches!(self, Self::Pending | Self::Processing)
    }
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
    /// When it was made.
    pub created_at: Time,
    /// When it last changed.
    pub updated_at: Time,
    /// When it was paid, if it was.
    pub paid_at: Option<Time>,
}

impl Payment {
    fn job(&self, kind: JobKind) -> JobKey {
        JobKey {
            kind,
            payment: self.id.clone(),
        }
    }
}

/// Asks for a checkout of a top-up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenCheckout {
    /// Which top-up.
    pub topup: TopupId,
    /// Who asks; another user's top-up is as good as none.
    pub user: UserId,
    /// Where the customer goes after paying.
    pub success_url: String,
    /// Where the customer goes instead of paying.
    pub cancel_url: String,
}

pub(crate) fn needs_to_open(wanted: &mut Wanted<'_>, wish: &OpenCheckout) {
    let Some(topup) = wanted.topup(&wish.topup) else {
        return;
    };
    let Some(payment) = &topup.payment else {
        return;
    };
    wanted.payment(payment);
    wanted.job(&JobKey {
        kind: JobKind::OpenSession,
        payment: payment.clone(),
    });
}

/// Opens a payment for a top-up, or gives the open one again. The session itself is a job.
pub(crate) fn open(
    state: &mut State,
    context: &mut Context<'_>,
    wish: &OpenCheckout,
) -> Result<Payment, Refusal> {
    let topup = state
        .topups
        .get(&wish.topup)
        .filter(|topup| topup.user == wish.user);
    let topup = topup.ok_or(Refusal::TopupNotFound)?.clone();
    if topup.status != TopupStatus::Pending {
        return Err(Refusal::TopupNotPending {
            status: topup.status,
        });
    }
    let current = topup
        .payment
        .as_ref()
        .and_then(|id| state.payments.get(id))
        .cloned();
    if let Some(payment) = current.filter(|payment| payment.status.is_open()) {
        if payment.session.is_none() {
            // Whoever asks again wants it now, whatever pause a failed attempt has set.
            job::owe(state, context.now, payment.job(JobKind::OpenSession));
        }
        return Ok(payment);
    }
    let payment = Payment {
        id: PaymentId::new(context.ids, context.now),
        provider: STRIPE.to_owned(),
        topup: topup.id.clone(),
        user: topup.user.clone(),
        amount: topup.price,
        livemode: context.policy.livemode,
        item_name: context.policy.item_name.clone(),
        success_url: wish.success_url.clone(),
        cancel_url: wish.cancel_url.clone(),
        status: PaymentStatus::Pending,
        session: None,
        checkout_url: None,
        intent: None,
        last_failure: None,
        created_at: context.now,
        updated_at: context.now,
        paid_at: None,
    };
    let now = context.now;
    state.topups.change(&topup.id, |topup| {
        topup.payment = Some(payment.id.clone());
        topup.updated_at = now;
    });
    job::owe_later(state, now, payment.job(JobKind::OpenSession));
    state.payments.insert(payment.id.clone(), payment.clone());
    Ok(payment)
}

/// Rows that [`close_checkout`] may touch.
pub(crate) fn needs_to_close_checkout(wanted: &mut Wanted<'_>, topup: &TopupId) {
    let Some(payment) = wanted.topup(topup).and_then(|topup| topup.payment.clone()) else {
        return;
    };
    wanted.payment(&payment);
    wanted.job(&JobKey {
        kind: JobKind::CloseSession,
        payment,
    });
}

/// An administrator has ended the top-up: nobody shall pay for it any more. Closing the session is a job; a customer who
/// is faster has paid, and paid wins.
pub(crate) fn close_checkout(state: &mut State, now: Time, topup: &TopupId) {
    let payment = state
        .topups
        .get(topup)
        .and_then(|topup| topup.payment.clone());
    let Some(payment) = payment.and_then(|id| state.payments.get(&id)) else {
        return;
    };
    if payment.status == PaymentStatus::Pending {
        let key = payment.job(JobKind::CloseSession);
        job::owe(state, now, key);
    }
}

/// The provider opened a session for a payment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionOpened {
    /// The job that asked for it.
    pub claim: Claim,
    /// Where the customer pays.
    pub checkout_url: Option<String>,
    /// What the answer says about the session.
    pub fact: SessionFact,
}

pub(crate) fn needs_of_opened(wanted: &mut Wanted<'_>, opened: &SessionOpened) {
    needs_of_claim(wanted, &opened.claim);
    wanted.job(&JobKey {
        kind: JobKind::CloseSession,
        payment: opened.claim.key.payment.clone(),
    });
    let numbers = wanted.unmatched_events(&opened.fact.session);
    numbers
        .into_iter()
        .flatten()
        .for_each(|number| wanted.event(number));
}

pub(crate) fn needs_of_claim(wanted: &mut Wanted<'_>, claim: &Claim) {
    wanted.job(&claim.key);
    needs_to_observe(wanted, &claim.key.payment);
}

/// Rows that [`observe`] may touch.
pub(crate) fn needs_to_observe(wanted: &mut Wanted<'_>, id: &PaymentId) {
    wanted.job(&JobKey {
        kind: JobKind::ReadSession,
        payment: id.clone(),
    });
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
    topup::needs_to_finish(wanted, &payment.topup);
}

fn cause(id: &PaymentId) -> Cause {
    Cause::new("payment", id.as_str())
}

fn money_accounts(payment: &Payment) -> [AccountKey; 2] {
    [AccountKind::Received, AccountKind::Clearing]
        .map(|kind| AccountKey::of_provider(kind, &payment.provider, payment.amount.unit))
}

/// Records the session. Events about it that came before are taken up again.
pub(crate) fn session_opened(
    state: &mut State,
    context: &mut Context<'_>,
    opened: &SessionOpened,
) -> Result<Payment, Refusal> {
    job::check_claim(state, &opened.claim)?;
    let id = &opened.claim.key.payment;
    let known = state
        .payments
        .get(id)
        .ok_or(Refusal::PaymentNotFound)?
        .session
        .clone();
    let now = context.now;
    if known.is_none() {
        state.payments.change(id, |payment| {
            payment.session = Some(opened.fact.session.clone());
            payment.checkout_url.clone_from(&opened.checkout_url);
            payment.updated_at = now;
        });
        state
            .payment_of_session
            .set(opened.fact.session.clone(), id.clone());
        notice::wake_early(state, id, &opened.fact.session);
    }
    state.jobs.remove(&opened.claim.key);
    let read = JobKey {
        kind: JobKind::ReadSession,
        payment: id.clone(),
    };
    if state.jobs.get(&read).is_none() {
        job::owe_later(state, now.plus_seconds(job::read_pause_seconds(0)), read);
    }
    close_unwanted(state, now, id);
    if let Err(mismatch) = observe(state, context, id, &opened.fact)? {
        record_failure(state, now, id, mismatch.code(), &mismatch.to_string());
    }
    state
        .payments
        .get(id)
        .cloned()
        .ok_or(Refusal::PaymentNotFound)
}

/// The top-up may have been ended while its session was being opened.
fn close_unwanted(state: &mut State, now: Time, id: &PaymentId) {
    let topup = state
        .payments
        .get(id)
        .and_then(|payment| state.topups.get(&payment.topup));
    if let Some(topup) = topup.filter(|topup| topup.status != TopupStatus::Pending) {
        let topup = topup.id.clone();
        close_checkout(state, now, &topup);
    }
}

/// The provider will never open a session for this payment: the payment has failed, its top-up may be tried again.
pub(crate) fn session_refused(
    state: &mut State,
    context: &Context<'_>,
    claim: &Claim,
    failure: (&str, &str),
) -> Result<Payment, Refusal> {
    job::check_claim(state, claim)?;
    let id = &claim.key.payment;
    state.payments.get(id).ok_or(Refusal::PaymentNotFound)?;
    state.jobs.remove(&claim.key);
    record_failure(state, context.now, id, failure.0, failure.1);
    let now = context.now;
    Ok(state.payments.change(id, |payment| {
        if payment.status == PaymentStatus::Pending {
            payment.status = PaymentStatus::Failed;
        }
        payment.updated_at = now;
        payment.clone()
    }))
}

/// A worker has read the session of a payment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionRead {
    /// The payment it was read for.
    pub payment: PaymentId,
    /// The job that asked for it; none when a return page did.
    pub claim: Option<Claim>,
    /// What the session says.
    pub fact: SessionFact,
}

/// Settles by what was read. An open payment is read again later.
pub(crate) fn session_read(
    state: &mut State,
    context: &mut Context<'_>,
    read: &SessionRead,
) -> Result<Payment, Refusal> {
    if let Some(claim) = &read.claim {
        job::check_claim(state, claim)?;
    }
    let now = context.now;
    let observed = observe(state, context, &read.payment, &read.fact)?;
    if let Err(mismatch) = &observed {
        record_failure(
            state,
            now,
            &read.payment,
            mismatch.code(),
            &mismatch.to_string(),
        );
    }
    let payment = state
        .payments
        .get(&read.payment)
        .cloned()
        .ok_or(Refusal::PaymentNotFound)?;
    match &read.claim {
        Some(claim) if payment.status.is_open() => {
            let later = now.plus_seconds(job::read_pause_seconds(claim.attempt));
            job::put_back(state, now, claim, later, "");
        }
        Some(claim) => state.jobs.remove(&claim.key),
        None => {}
    }
    Ok(payment)
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
    {
        state
            .payments
            .change(id, |payment| payment.intent = Some(intent.clone()));
        state.payment_of_intent.set(intent.clone(), id.clone());
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
            let money = money_received(context, payment);
            journal::check(state, &money)?;
            topup::finish(state, context, &payment.topup, Voucher::Payment(payment))?;
            journal::post(state, money)?;
        }
        PaymentStatus::Expired => close_topup(state, now, payment, TopupStatus::Expired),
        PaymentStatus::Failed => close_topup(state, now, payment, TopupStatus::Failed),
        PaymentStatus::Pending | PaymentStatus::Processing | PaymentStatus::Canceled => {}
    }
    state.payments.change(&payment.id, |payment| {
        payment.status = next;
        payment.updated_at = now;
        if next == PaymentStatus::Paid {
            payment.paid_at = Some(now);
        }
    });
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
fn money_received(context: &mut Context<'_>, payment: &Payment) -> Transaction {
    let [received, clearing] = money_accounts(payment);
    Transaction {
        id: TransactionId::new(context.ids, context.now),
        reason: Reason::Payment,
        cause: cause(&payment.id),
        at: context.now,
        remark: Remark {
            reference: payment.session.clone().unwrap_or_default(),
            ..Remark::default()
        },
        postings: vec![Posting {
            from: received,
            to: clearing,
            amount: payment.amount,
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
