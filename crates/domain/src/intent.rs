//! Payments without the provider's page: by a payment intent on a page of the product, or by a saved card without the customer.
//!
//! The intent is opened, read and canceled by jobs; their results come back as commands. What it says settles the payment through
//! [`payment::observe`].

use crate::checkout;
use crate::command::Context;
use crate::id::{PaymentId, TopupId, UserId};
use crate::job::{self, Claim, JobKey, JobKind};
use crate::notice::{self, IntentFact};
use crate::payment::opening::{self, Way};
use crate::payment::{self, Flow, Payment, PaymentStatus};
use crate::refusal::Refusal;
use crate::state::{State, Wanted};

/// An intent that nobody has paid for so long is canceled, as the provider closes a checkout session.
pub const OPEN_SECONDS_MAX: i64 = 86_400;

/// Asks for a payment intent for a top-up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenIntent {
    /// Which top-up.
    pub topup: TopupId,
    /// Who asks; another user's top-up is as good as none.
    pub user: UserId,
    /// Whether the card is to be kept for payments without the customer.
    pub save_card: bool,
}

/// Opens a payment for a top-up, or gives the open one again. The intent itself is a job.
pub(crate) fn open(
    state: &mut State,
    context: &mut Context<'_>,
    wish: &OpenIntent,
) -> Result<Payment, Refusal> {
    let way = Way {
        flow: Flow::Intent,
        save_card: wish.save_card,
        card: None,
        pages: (String::new(), String::new()),
    };
    opening::open(state, context, (&wish.topup, &wish.user), way)
}

/// Asks for a top-up to be paid by a saved card, without the customer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChargeCard {
    /// Which top-up.
    pub topup: TopupId,
    /// Whose; another user's is as good as none.
    pub user: UserId,
    /// The provider's id of the card.
    pub card: String,
}

/// Opens a payment for a top-up, or gives the open one again. The charge itself is a job.
pub(crate) fn charge(
    state: &mut State,
    context: &mut Context<'_>,
    wish: &ChargeCard,
) -> Result<Payment, Refusal> {
    let way = Way {
        flow: Flow::OffSession,
        save_card: false,
        card: Some(wish.card.clone()),
        pages: (String::new(), String::new()),
    };
    opening::open(state, context, (&wish.topup, &wish.user), way)
}

/// The provider opened an intent for a payment. Where a saved card was charged, it says at once what came of that.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IntentOpened {
    /// The job that asked for it.
    pub claim: Claim,
    /// What the answer says about the intent.
    pub fact: IntentFact,
}

pub(crate) fn needs_of_opened(wanted: &mut Wanted<'_>, opened: &IntentOpened) {
    checkout::needs_of_claim(wanted, &opened.claim);
    if let Some(payment) = opened.claim.key.payment() {
        opening::needs_to_close(wanted, &payment);
    }
    wanted.intent(&opened.fact.intent);
    notice::needs_early(wanted, &opened.fact.intent);
}

/// Records the intent. Events about it that came before are taken up again.
pub(crate) fn opened(
    state: &mut State,
    context: &mut Context<'_>,
    opened: &IntentOpened,
) -> Result<Payment, Refusal> {
    job::check_claim(state, &opened.claim)?;
    let id = &opened.claim.key.payment().ok_or(Refusal::PaymentNotFound)?;
    let payment = payment::find(state, id)?;
    let (is_new, intent, now) = (!payment.is_bound(), &opened.fact.intent, context.now);
    let owner = state.payment_of_intent.get(intent);
    if let Some(owner) = owner.filter(|owner| *owner != id) {
        let why = format!("the provider gave the intent of {owner} again: ask for a new payment");
        let failure = ("intent_taken", why.as_str());
        return checkout::session_refused(state, context, &opened.claim, failure);
    }
    if is_new {
        state.payments.change(id, |payment| {
            payment.intent = Some(intent.clone());
            payment.updated_at = now;
        });
        state.payment_of_intent.set(intent.clone(), id.clone());
        notice::wake_early(state, id, Some(intent));
    }
    state.jobs.remove(&opened.claim.key);
    let read = JobKey::of_payment(JobKind::ReadIntent, id);
    job::owe_reading(state, now, read);
    payment::settle(state, context, id, &opened.fact)?;
    opening::close_unwanted(state, now, id);
    payment::find(state, id).cloned()
}

/// A worker has read, or canceled, the intent of a payment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IntentRead {
    /// The payment it was read for.
    pub payment: PaymentId,
    /// The job that asked for it; none when somebody did who waits.
    pub claim: Option<Claim>,
    /// What the intent says.
    pub fact: IntentFact,
}

pub(crate) fn needs_of_read(wanted: &mut Wanted<'_>, read: &IntentRead) {
    if let Some(claim) = &read.claim {
        wanted.job(&claim.key);
    }
    opening::needs_to_close(wanted, &read.payment);
    payment::needs_to_observe(wanted, &read.payment);
}

/// Settles by what was read. An open payment is read again later; one that nobody has paid for long is to be canceled.
pub(crate) fn read(
    state: &mut State,
    context: &mut Context<'_>,
    read: &IntentRead,
) -> Result<Payment, Refusal> {
    if let Some(claim) = &read.claim {
        job::check_claim(state, claim)?;
    }
    let (id, now) = (&read.payment, context.now);
    payment::settle(state, context, id, &read.fact)?;
    let payment = payment::find(state, id)?.clone();
    match &read.claim {
        Some(claim) if payment.status.is_open() => job::read_later(state, now, claim),
        Some(claim) => state.jobs.remove(&claim.key),
        None => {}
    }
    let is_old = payment.created_at.plus_seconds(OPEN_SECONDS_MAX) <= now;
    let by_sweeper = |claim: &Claim| claim.key.kind == JobKind::ReadIntent;
    if is_old
        && payment.status == PaymentStatus::Pending
        && read.claim.as_ref().is_some_and(by_sweeper)
    {
        opening::close(state, now, id);
    }
    Ok(payment)
}
