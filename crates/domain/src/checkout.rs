//! Checkouts: opening a payment for a top-up, and what becomes of its session.
//!
//! The session itself is opened, read and closed by jobs; their results come back as commands that carry the claim.

use crate::command::Context;
use crate::id::{PaymentId, TopupId, UserId};
use crate::job::{self, Claim, JobKey, JobKind};
use crate::notice::{self, SessionFact};
use crate::payment::{self, Flow, Payment, PaymentStatus, Returned, STRIPE};
use crate::refusal::Refusal;
use crate::state::{State, Wanted};
use crate::time::Time;
use crate::topup::TopupStatus;

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
    wanted.job(&JobKey::of_payment(JobKind::OpenSession, payment));
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
    // With another kind of key its session could not be opened, or is out of reach.
    let livemode = context.policy.livemode;
    let usable = |payment: &Payment| payment.status.is_open() && payment.livemode == livemode;
    if let Some(payment) = current.filter(usable) {
        if payment.session.is_none() {
            // Whoever asks again wants it now, whatever pause a failed attempt has set.
            job::owe(state, context.now, payment.job(JobKind::OpenSession));
        }
        return Ok(payment);
    }
    let payment = Payment {
        id: PaymentId::new(context.ids, context.now),
        number: state.sequence.next_payment(),
        flow: Flow::Checkout,
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
        returned: Returned::default(),
        created_at: context.now,
        updated_at: context.now,
        paid_at: None,
    };
    let now = context.now;
    state.topups.change(&topup.id, |topup| {
        topup.payment = Some(payment.id.clone());
        topup.updated_at = now;
    });
    // Nothing can be owed for a fresh id. Whoever ends the top-up in the same batch has to know.
    state.jobs.load(payment.job(JobKind::CloseSession), None);
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
    wanted.job(&JobKey::of_payment(JobKind::CloseSession, &payment));
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
    if let Some(payment) = opened.claim.key.payment() {
        wanted.job(&JobKey::of_payment(JobKind::CloseSession, &payment));
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
    let known = state
        .payments
        .get(id)
        .ok_or(Refusal::PaymentNotFound)?
        .session
        .clone();
    let owner = state.payment_of_session.get(&opened.fact.session);
    if let Some(owner) = owner.filter(|owner| *owner != id) {
        let why = format!("the provider gave the session of {owner} again: ask for a new checkout");
        return session_refused(state, context, &opened.claim, ("session_taken", &why));
    }
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
        notice::wake_early(state, id, Some(&opened.fact.session));
    }
    state.jobs.remove(&opened.claim.key);
    let read = JobKey::of_payment(JobKind::ReadSession, id);
    if state.jobs.get(&read).is_none() {
        job::owe_later(state, now.plus_seconds(job::read_pause_seconds(0)), read);
    }
    close_unwanted(state, now, id);
    if let Err(mismatch) = payment::observe(state, context, id, &opened.fact)? {
        payment::record_failure(state, now, id, mismatch.code(), &mismatch.to_string());
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

/// The provider will never open a session for this payment: the payment has failed, its top-up may be tried again. Events
/// that wait for its session are taken up again, so that they do not wait for ever.
pub(crate) fn session_refused(
    state: &mut State,
    context: &Context<'_>,
    claim: &Claim,
    failure: (&str, &str),
) -> Result<Payment, Refusal> {
    job::check_claim(state, claim)?;
    let id = &claim.key.payment().ok_or(Refusal::PaymentNotFound)?;
    state.payments.get(id).ok_or(Refusal::PaymentNotFound)?;
    state.jobs.remove(&claim.key);
    payment::record_failure(state, context.now, id, failure.0, failure.1);
    notice::wake_early(state, id, None);
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
    let now = context.now;
    let observed = payment::observe(state, context, &read.payment, &read.fact)?;
    if let Err(mismatch) = &observed {
        payment::record_failure(
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
