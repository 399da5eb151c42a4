//! Opening a payment for a top-up, in whichever way the customer pays, and closing it again.

use crate::amount::Amount;
use crate::command::Context;
use crate::coupon;
use crate::id::{PaymentId, TopupId, UserId};
use crate::job::{self, JobKey, JobKind};
use crate::payment::{Flow, Payment, PaymentStatus, Returned, STRIPE};
use crate::planted::{self, Bug};
use crate::recovery;
use crate::refusal::Refusal;
use crate::state::{State, Wanted};
use crate::time::Time;
use crate::topup::{Topup, TopupStatus};

/// In which way the customer pays.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Way {
    pub(crate) flow: Flow,
    /// Whether the card is to be kept for payments without the customer.
    pub(crate) save_card: bool,
    /// The saved card that is charged, where the customer is not there.
    pub(crate) card: Option<String>,
    /// Where the customer goes after paying, and instead of paying; empty where no page of the provider's sends him.
    pub(crate) pages: (String, String),
}

impl Flow {
    pub(crate) const fn job_to_open(self) -> JobKind {
        match self {
            Self::Checkout => JobKind::OpenSession,
            Self::Intent => JobKind::OpenIntent,
            Self::OffSession => JobKind::ChargeCard,
        }
    }

    pub(crate) const fn job_to_read(self) -> JobKind {
        match self {
            Self::Checkout => JobKind::ReadSession,
            Self::Intent | Self::OffSession => JobKind::ReadIntent,
        }
    }

    const fn job_to_close(self) -> JobKind {
        match self {
            Self::Checkout => JobKind::CloseSession,
            Self::Intent | Self::OffSession => JobKind::CancelIntent,
        }
    }
}

/// Rows that [`open`] may touch.
pub(crate) fn needs(wanted: &mut Wanted<'_>, topup: &TopupId) {
    let Some(topup) = wanted.topup(topup) else {
        return;
    };
    if let Some(code) = &topup.coupon
        && let Some(holder) = coupon::needs(wanted, code, &topup.user)
    {
        wanted.payment(&holder);
    }
    let payment = topup.payment.as_ref();
    if let Some(payment) = payment.and_then(|id| wanted.payment(id)) {
        wanted.job(&payment.job(payment.flow.job_to_open()));
        wanted.job(&payment.job(payment.flow.job_to_close()));
    }
}

/// Opens a payment for a top-up, or gives the open one again. What the provider has to do for it is a job. One that is open in another
/// way is to be closed: a customer who is faster pays it all the same, and whichever is paid first credits.
pub(crate) fn open(
    state: &mut State,
    context: &mut Context<'_>,
    (topup, user): (&TopupId, &UserId),
    way: Way,
) -> Result<Payment, Refusal> {
    recovery::refuse(state)?;
    let topup = state.topups.get(topup).filter(|topup| topup.user == *user);
    let topup = topup.ok_or(Refusal::TopupNotFound)?.clone();
    if topup.status != TopupStatus::Pending {
        return Err(Refusal::TopupNotPending {
            status: topup.status,
        });
    }
    let current = topup.payment.as_ref().and_then(|id| state.payments.get(id));
    // With another kind of key it could not be opened, or is out of reach.
    let livemode = context.policy.livemode;
    let reachable = |payment: &&Payment| payment.status.is_open() && payment.livemode == livemode;
    let current = current.filter(reachable).cloned();
    if let Some(payment) = current.as_ref().filter(|payment| is_same(payment, &way)) {
        if !payment.is_bound() {
            // Whoever asks again wants it now, whatever pause a failed attempt has set.
            let key = payment.job(payment.flow.job_to_open());
            job::owe(state, context.now, key);
        }
        return Ok(payment.clone());
    }
    coupon::check_reservable(state, context.now, &topup)?;
    if let Some(other) = current {
        close(state, context.now, &other.id);
    }
    let payment = Payment {
        id: PaymentId::new(context.ids, context.now),
        number: state.sequence.next_payment(),
        flow: way.flow,
        provider: STRIPE.to_owned(),
        topup: topup.id.clone(),
        user: topup.user.clone(),
        amount: price(context, &topup),
        livemode,
        item_name: context.policy.item_name.clone(),
        success_url: way.pages.0,
        cancel_url: way.pages.1,
        save_card: way.save_card,
        card: way.card,
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
    coupon::reserve(state, now, &topup, &payment.id);
    state.topups.change(&topup.id, |topup| {
        topup.payment = Some(payment.id.clone());
        topup.updated_at = now;
    });
    // Nothing can be owed for a fresh id. Whoever ends the top-up in the same batch has to know.
    let to_close = payment.job(payment.flow.job_to_close());
    state.jobs.load(to_close, None);
    let to_open = payment.job(payment.flow.job_to_open());
    job::owe_later(state, now, to_open);
    state.payments.insert(payment.id.clone(), payment.clone());
    Ok(payment)
}

/// What was agreed when the top-up was made.
fn price(context: &Context<'_>, topup: &Topup) -> Amount {
    if planted::is(Bug::PriceOfTheDay)
        && let Some(id) = &topup.package
        && let Some(price) = context
            .policy
            .package(id)
            .and_then(|it| it.price_in(topup.price.unit))
    {
        return price;
    }
    topup.price
}

fn is_same(payment: &Payment, way: &Way) -> bool {
    payment.flow == way.flow && payment.save_card == way.save_card && payment.card == way.card
}

/// The job that [`close`] may owe.
pub(crate) fn needs_to_close(wanted: &mut Wanted<'_>, id: &PaymentId) {
    for kind in [JobKind::CloseSession, JobKind::CancelIntent] {
        wanted.job(&JobKey::of_payment(kind, id));
    }
}

/// Nobody shall pay it any more. Telling the provider is a job; a customer who is faster has paid, and paid wins.
pub(crate) fn close(state: &mut State, now: Time, id: &PaymentId) {
    let payment = state.payments.get(id);
    let pending = payment.filter(|payment| payment.status == PaymentStatus::Pending);
    if let Some(payment) = pending {
        let key = payment.job(payment.flow.job_to_close());
        job::owe(state, now, key);
    }
}

/// Closes a payment that has just been bound, if its top-up has ended meanwhile or is paid in another way.
pub(crate) fn close_unwanted(state: &mut State, now: Time, id: &PaymentId) {
    let payment = state.payments.get(id);
    let topup = payment.and_then(|payment| state.topups.get(&payment.topup));
    let is_wanted = topup.is_some_and(|topup| {
        topup.status == TopupStatus::Pending && topup.payment.as_ref() == Some(id)
    });
    if !is_wanted {
        close(state, now, id);
    }
}
