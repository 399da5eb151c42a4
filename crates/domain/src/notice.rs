//! What a provider tells us: stored events, and what they say in our own words.
//!
//! An event is stored first and worked off later. The bridge (crate `bursar-engine`) translates its body into a
//! [`Notice`]; [`apply`] decides what it means for a payment of ours. Metadata of the provider's objects is only a hint
//! which payment to look at; money is credited against our own row alone.

use crate::command::Context;
use crate::dispute::{self, DisputeFact};
use crate::event::{EventStatus, StoredEvent};
use crate::fraud;
use crate::id::PaymentId;
use crate::job::{self, JobKey, JobKind};
use crate::payment::{self, Flow, Payment};
use crate::planted::{self, Bug};
use crate::refund::{self, RefundFact};
use crate::refusal::Refusal;
use crate::state::{State, Table, Wanted};

use crate::payment::fact::check_money;
pub use crate::payment::fact::{Declined, IntentFact, Mismatch, SessionFact, Standing};

/// What an event says, in our own words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Notice {
    /// Something about a checkout session.
    Session {
        /// The payment its metadata names.
        hint: Option<PaymentId>,
        /// What it says.
        fact: SessionFact,
        /// Whether it names the session without saying how it stands, so that the session has to be read.
        read: bool,
    },
    /// Something about a payment intent. Where the payment has a session it is a reason to read that, and no proof of anything.
    Intent {
        /// The payment its metadata names.
        hint: Option<PaymentId>,
        /// What it says.
        fact: IntentFact,
    },
    /// Something about a refund of a payment intent.
    Refund {
        /// The payment intent.
        intent: String,
        /// What it says.
        fact: RefundFact,
    },
    /// Something about a dispute of a payment intent.
    Dispute {
        /// The payment intent.
        intent: String,
        /// What it says.
        fact: DisputeFact,
    },
    /// Money of a payment intent may have moved: a reason to read its refunds and disputes.
    Returns {
        /// The payment intent.
        intent: String,
    },
    /// The card's network takes a payment intent for fraud.
    FraudWarning {
        /// The payment intent.
        intent: String,
    },
    /// Nothing we act on.
    Foreign {
        /// Why.
        why: String,
    },
    /// It cannot be read.
    Unreadable {
        /// Why.
        why: String,
    },
}

/// A stored event and what it says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApplyEvent {
    /// The event's number.
    pub number: i64,
    /// What it says.
    pub notice: Notice,
}

impl Notice {
    /// The checkout session or payment intent it is about.
    fn object(&self) -> Option<&String> {
        match self {
            Self::Session { fact, .. } => Some(&fact.session),
            Self::Intent { fact, .. } => Some(&fact.intent),
            Self::Refund { intent, .. }
            | Self::Dispute { intent, .. }
            | Self::Returns { intent }
            | Self::FraudWarning { intent } => Some(intent),
            Self::Foreign { .. } | Self::Unreadable { .. } => None,
        }
    }

    /// The payment its metadata names.
    const fn hint(&self) -> Option<&PaymentId> {
        match self {
            Self::Session { hint, .. } | Self::Intent { hint, .. } => hint.as_ref(),
            _ => None,
        }
    }

    /// Whether it has to be taken up again when its object turns out to be ours. What an intent says, its session says too.
    const fn waits(&self) -> bool {
        !matches!(self, Self::Intent { .. })
    }
}

pub(crate) fn needs_to_apply(wanted: &mut Wanted<'_>, event: &ApplyEvent) {
    wanted.event(&event.number);
    let notice = &event.notice;
    let Some(object) = notice.object() else {
        return;
    };
    let known = match notice {
        Notice::Session { fact, .. } => {
            fact.needs(wanted);
            wanted.session(&fact.session)
        }
        _ => wanted.intent(object),
    };
    if notice.waits() {
        wanted.unmatched_events(object);
    }
    if let Notice::Refund { fact, .. } = notice
        && let Some(hint) = &fact.hint
    {
        wanted.job(&JobKey::of_refund(JobKind::SendRefund, hint));
    }
    for id in notice.hint().into_iter().chain(known) {
        payment::needs_to_observe(wanted, id);
    }
}

/// Events about an object that were stored before it was known to be ours.
pub(crate) fn needs_early(wanted: &mut Wanted<'_>, object: &String) {
    let numbers = wanted.unmatched_events(object);
    numbers
        .into_iter()
        .flatten()
        .for_each(|number| wanted.event(number));
}

/// Works off one stored event. One that has its end keeps it; one that cannot be taken in has failed, and says why.
pub(crate) fn apply(
    state: &mut State,
    context: &mut Context<'_>,
    event: &ApplyEvent,
) -> EventStatus {
    let Some(stored) = state.events.get(&event.number).cloned() else {
        return EventStatus::Ignored;
    };
    if planted::is(Bug::DoneBeforeEffect) {
        if stored.status == EventStatus::Pending {
            state.events.change(&event.number, |stored| {
                stored.status = EventStatus::Applied;
            });
            return EventStatus::Pending;
        }
    } else if stored.status != EventStatus::Pending {
        return stored.status;
    }
    let (status, reason, payment) = work_off(state, context, &stored, &event.notice);
    let object = event.notice.object().filter(|_| event.notice.waits());
    let waits_for = object.filter(|_| payment.is_none() && !planted::is(Bug::EarlyForgotten));
    let waits_for = waits_for.cloned();
    if let Some(object) = &waits_for {
        remember(&mut state.unmatched_events, object, event.number);
    }
    if let (EventStatus::Waiting, Some(id)) = (status, &payment) {
        remember(&mut state.waiting_events, id, event.number);
    }
    let now = context.now;
    state.events.change(&event.number, |stored| {
        stored.status = status;
        stored.reason = reason;
        stored.payment = payment;
        stored.waits_for = waits_for;
        stored.worked_at = Some(now);
    });
    status
}

fn work_off(
    state: &mut State,
    context: &mut Context<'_>,
    stored: &StoredEvent,
    notice: &Notice,
) -> Outcome {
    let known = match notice {
        Notice::Foreign { why } => return (EventStatus::Ignored, why.clone(), None),
        Notice::Unreadable { why } => return (EventStatus::Failed, why.clone(), None),
        Notice::Session { fact, .. } => state.payment_of_session.get(&fact.session),
        Notice::Intent { .. }
        | Notice::Refund { .. }
        | Notice::Dispute { .. }
        | Notice::Returns { .. }
        | Notice::FraudWarning { .. } => {
            let intent = notice.object();
            intent.and_then(|intent| state.payment_of_intent.get(intent))
        }
    };
    let payment = match find(state, known, notice.hint()) {
        Found::Ours(payment) => payment,
        Found::NotBoundYet(payment) => {
            let what = match payment.flow {
                Flow::Checkout => "session",
                Flow::Intent | Flow::OffSession => "payment intent",
            };
            let why = format!("the payment's {what} is not known yet");
            return (EventStatus::Waiting, why, Some(payment.id));
        }
        Found::Foreign => {
            return (
                EventStatus::Ignored,
                "no payment of ours has this object".into(),
                None,
            );
        }
    };
    let id = payment.id.clone();
    if let Err(mismatch) = check_money(&payment, None, None, Some(stored.livemode)) {
        return quarantined(id, &mismatch);
    }
    if planted::is(Bug::StrictlyNewer) && stored.created <= payment.updated_at.seconds() {
        return (EventStatus::Ignored, "not newer".into(), Some(id));
    }
    let taken = match notice {
        Notice::Session { fact, read, .. } => apply_session(state, context, &payment, fact, *read),
        Notice::Intent { fact, .. } => apply_intent(state, context, &payment, fact),
        Notice::Refund { fact, .. } => refund::observe(state, context, &id, fact),
        Notice::Dispute { fact, .. } => dispute::observe(state, context, &id, fact),
        Notice::Returns { .. } => {
            read_returns(state, context, &id);
            Ok(Ok(()))
        }
        Notice::FraudWarning { .. } => fraud::warned(state, context, &id).map(Ok),
        Notice::Foreign { .. } | Notice::Unreadable { .. } => Ok(Ok(())),
    };
    match taken {
        Ok(Ok(())) => (EventStatus::Applied, String::new(), Some(id)),
        Ok(Err(mismatch)) => quarantined(id, &mismatch),
        Err(refusal) => (
            EventStatus::Failed,
            format!("{}: {refusal}", refusal.code()),
            Some(id),
        ),
    }
}

enum Found {
    Ours(Payment),
    NotBoundYet(Payment),
    Foreign,
}

/// The payment an event is about: the one that has this session or intent, else the one its metadata names. A named one
/// may turn out to have another session; that is a mismatch and for the caller to tell.
fn find(state: &State, known: Option<&PaymentId>, hint: Option<&PaymentId>) -> Found {
    let is_known = known.is_some();
    let Some(payment) = known.or(hint).and_then(|id| state.payments.get(id)) else {
        return Found::Foreign;
    };
    let payment = payment.clone();
    if is_known || payment.is_bound() || !payment.status.is_open() {
        Found::Ours(payment)
    } else {
        Found::NotBoundYet(payment)
    }
}

type Outcome = (EventStatus, String, Option<PaymentId>);

fn quarantined(id: PaymentId, mismatch: &Mismatch) -> Outcome {
    (
        EventStatus::Quarantined,
        format!("{}: {mismatch}", mismatch.code()),
        Some(id),
    )
}

fn apply_session(
    state: &mut State,
    context: &mut Context<'_>,
    payment: &Payment,
    fact: &SessionFact,
    read: bool,
) -> Result<Result<(), Mismatch>, Refusal> {
    let observed = payment::observe(state, context, &payment.id, fact)?;
    if read && observed.is_ok() {
        read_session(state, context, payment);
    }
    Ok(observed)
}

/// A payment that was opened by its intent is settled by what that says. One that has a session is not: the session decides, and
/// is read.
fn apply_intent(
    state: &mut State,
    context: &mut Context<'_>,
    payment: &Payment,
    fact: &IntentFact,
) -> Result<Result<(), Mismatch>, Refusal> {
    if payment.flow != Flow::Checkout && fact.standing.is_some() {
        return payment::observe(state, context, &payment.id, fact);
    }
    if let Some(ours) = payment.intent.clone().filter(|ours| *ours != fact.intent) {
        return Ok(Err(Mismatch::Intent {
            said: fact.intent.clone(),
            ours,
        }));
    }
    let money = (fact.amount, fact.currency.as_deref());
    if let Err(mismatch) = check_money(payment, money.0, money.1, fact.livemode) {
        return Ok(Err(mismatch));
    }
    if let Some(declined) = &fact.failure {
        payment::record_decline(state, context.now, &payment.id, declined);
    }
    read_session(state, context, payment);
    Ok(Ok(()))
}

/// The session, or the intent, has news; what they are, it says itself.
fn read_session(state: &mut State, context: &Context<'_>, payment: &Payment) {
    let still_open = state
        .payments
        .get(&payment.id)
        .is_some_and(|payment| payment.status.is_open());
    if still_open && payment.is_bound() {
        job::owe(state, context.now, payment.job_to_read());
    }
}

/// Money of the payment may have moved; how much, its refunds and disputes say.
fn read_returns(state: &mut State, context: &Context<'_>, id: &PaymentId) {
    let job = JobKey::of_payment(JobKind::ReadReturns, id);
    job::owe(state, context.now, job);
}

fn remember<K: Ord + Clone + std::fmt::Debug>(
    table: &mut Table<K, Vec<i64>>,
    key: &K,
    number: i64,
) {
    if table.get(key).is_none() {
        table.insert(key.clone(), Vec::new());
    }
    table.change(key, |numbers| numbers.push(number));
}

/// Puts the events that came too early back into line: those that name the payment, and those about the session or the intent
/// that it has now.
pub(crate) fn wake_early(state: &mut State, id: &PaymentId, object: Option<&String>) {
    let of_payment = state.waiting_events.get(id).cloned();
    let of_object = object.and_then(|object| state.unmatched_events.get(object).cloned());
    let numbers = of_payment.into_iter().chain(of_object).flatten();
    for number in numbers {
        state
            .events
            .change(&number, |event| event.status = EventStatus::Pending);
    }
}
