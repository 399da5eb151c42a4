//! Checkouts: opening a payment for a top-up, and what becomes of its session.
//!
//! The session itself is opened, read and closed by jobs; their results come back as commands that carry the claim.

use crate::command::Context;
use crate::id::{PaymentId, TopupId, UserId};
use crate::job::{self, Claim, JobKey, JobKind};
use crate::notice::{self, SessionFact};
use crate::payment::opening::{self, Way};
use crate::payment::transition::{self, News};
use crate::payment::{self, Flow, Payment};
use crate::refusal::Refusal;
use crate::state::{State, Wanted};
use crate::time::Time;

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
    /// Whether the card is to be kept for payments without the customer.
    pub save_card: bool,
}

/// Opens a payment for a top-up, or gives the open one again. The session itself is a job.
pub(crate) fn open(
    state: &mut State,
    context: &mut Context<'_>,
    wish: &OpenCheckout,
) -> Result<Payment, Refusal> {
    let way = Way {
        flow: Flow::Checkout,
        save_card: wish.save_card,
        card: None,
        pages: (wish.success_url.clone(), wish.cancel_url.clone()),
    };
    opening::open(state, context, (&wish.topup, &wish.user), way)
}

/// Rows that [`close_checkout`] may touch.
pub(crate) fn needs_to_close_checkout(wanted: &mut Wanted<'_>, topup: &TopupId) {
    let Some(payment) = wanted.topup(topup).and_then(|topup| topup.payment.clone()) else {
        return;
    };
    wanted.payment(&payment);
    opening::needs_to_close(wanted, &payment);
}

/// An administrator has ended the top-up: nobody shall pay for it any more.
pub(crate) fn close_checkout(state: &mut State, now: Time, topup: &TopupId) {
    let payment = state
        .topups
        .get(topup)
        .and_then(|topup| topup.payment.clone());
    if let Some(payment) = payment {
        opening::close(state, now, &payment);
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
    if let Some(payment) = opened.claim.key.payment() {
        opening::needs_to_close(wanted, &payment);
    }
    opened.fact.needs(wanted);
    wanted.session(&opened.fact.session);
    notice::needs_early(wanted, &opened.fact.session);
}

pub(crate) fn needs_of_claim(wanted: &mut Wanted<'_>, claim: &Claim) {
    wanted.job(&claim.key);
    if let Some(payment) = claim.key.payment() {
        payment::needs_to_observe(wanted, &payment);
    }
}

/// Records the session. Events about it that came before are taken up again.
pub(crate) fn session_opened(
    state: &mut State,
    context: &mut Context<'_>,
    opened: &SessionOpened,
) -> Result<Payment, Refusal> {
    job::check_claim(state, &opened.claim)?;
    let id = &opened.claim.key.payment().ok_or(Refusal::PaymentNotFound)?;
    let is_new = payment::find(state, id)?.session.is_none();
    let owner = state.payment_of_session.get(&opened.fact.session);
    if let Some(owner) = owner.filter(|owner| *owner != id) {
        let why = format!("the provider gave the session of {owner} again: ask for a new checkout");
        return session_refused(state, context, &opened.claim, ("session_taken", &why));
    }
    let now = context.now;
    if is_new {
        state.payments.change(id, |payment| {
            payment.session = Some(opened.fact.session.clone());
            payment.checkout_url.clone_from(&opened.checkout_url);
            payment.updated_at = now;
        });
        state
            .payment_of_session
            .set(opened.fact.session.clone(), id.clone());
        notice::wake_early(state, id, Some(&opened.fact.session));
    }
    state.jobs.remove(&opened.claim.key);
    let read = JobKey::of_payment(JobKind::ReadSession, id);
    job::owe_reading(state, now, read);
    opening::close_unwanted(state, now, id);
    payment::settle(state, context, id, &opened.fact)?;
    payment::find(state, id).cloned()
}

/// The provider will never open a session or an intent for this payment, or charge its card: the payment has failed, its top-up may be
/// tried again. Events that wait for it are taken up again, so that they do not wait for ever.
pub(crate) fn session_refused(
    state: &mut State,
    context: &mut Context<'_>,
    claim: &Claim,
    failure: (&str, &str),
) -> Result<Payment, Refusal> {
    job::check_claim(state, claim)?;
    let id = &claim.key.payment().ok_or(Refusal::PaymentNotFound)?;
    payment::find(state, id)?;
    state.jobs.remove(&claim.key);
    payment::record_failure(state, context.now, id, failure.0, failure.1);
    notice::wake_early(state, id, None);
    let payment = payment::find(state, id)?.clone();
    match payment.flow {
        // Nobody is there to try again.
        Flow::OffSession => payment::hear(state, context, &payment, News::Failed)?,
        Flow::Checkout | Flow::Intent => {
            state.payments.change(id, |payment| {
                payment.status = transition::next(payment.status, News::Failed);
            });
            payment::free_coupon(state, context.now, &payment);
        }
    }
    payment::find(state, id).cloned()
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

pub(crate) fn needs_of_read(wanted: &mut Wanted<'_>, read: &SessionRead) {
    if let Some(claim) = &read.claim {
        wanted.job(&claim.key);
    }
    read.fact.needs(wanted);
    payment::needs_to_observe(wanted, &read.payment);
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
    payment::settle(state, context, &read.payment, &read.fact)?;
    let payment = payment::find(state, &read.payment)?.clone();
    match &read.claim {
        Some(claim) if payment.status.is_open() => job::read_later(state, context.now, claim),
        Some(claim) => state.jobs.remove(&claim.key),
        None => {}
    }
    Ok(payment)
}
