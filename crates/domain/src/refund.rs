//! Refunds: money on its way back to a customer, whoever asked for it.
//!
//! A refund is a fact of the provider's with a status; some are asked for here, others are made in the provider's dashboard and
//! adopted when we hear of them. What is taken out of wallets follows from all facts of a payment together
//! ([`crate::reversal`]), never from one refund alone.

use serde::{Deserialize, Serialize};

use crate::amount::Amount;
use crate::command::Context;
use crate::grant::within;
use crate::id::{PaymentId, RefundId};
use crate::job::{self, Claim, JobKey, JobKind};
use crate::journal::Remark;
use crate::notice::Mismatch;
use crate::payment::{self, Payment};
use crate::planted::{self, Bug};
use crate::recovery;
use crate::refusal::Refusal;
use crate::reversal;
use crate::state::{State, Wanted};
use crate::time::Time;
use crate::word::words;

/// Where a refund stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RefundStatus {
    /// Asked for here; a second administrator has to agree.
    AwaitingApproval,
    /// Asked for here; the provider has not been reached yet.
    Requested,
    /// The provider is about to send it.
    Pending,
    /// The customer has to say where the money shall go.
    RequiresAction,
    /// The money is on its way.
    Succeeded,
    /// Called off before the money left.
    Canceled,
    /// The money came back: the customer's bank did not take it.
    Failed,
    /// The provider does not make this refund, or an administrator did not agree to it.
    Refused,
}

words!(RefundStatus: AwaitingApproval = "awaiting_approval", Requested = "requested", Pending = "pending",
       RequiresAction = "requires_action", Succeeded = "succeeded", Canceled = "canceled", Failed = "failed",
       Refused = "refused");

impl RefundStatus {
    /// Facts come in any order; a refund only moves up. One that succeeded may still fail
    /// (<https://docs.stripe.com/refunds#failed-refunds>), and nothing follows a failure.
    const fn rank(self) -> u8 {
        match self {
            Self::AwaitingApproval => 0,
            Self::Requested => 1,
            Self::Pending => 2,
            Self::RequiresAction => 3,
            Self::Succeeded => 4,
            Self::Canceled => 5,
            Self::Failed => 6,
            Self::Refused => 7,
        }
    }

    /// Whether this status, said by the provider, would move a refund that stands like this.
    pub const fn is_behind(self, said: Self) -> bool {
        said.rank() > self.rank()
    }

    /// Whether the money has left us: the provider takes it from our balance as soon as there is a refund.
    pub const fn stands(self) -> bool {
        matches!(self, Self::Pending | Self::RequiresAction | Self::Succeeded)
    }

    /// Whether the money has left or may still leave.
    pub const fn is_owed(self) -> bool {
        self.stands() || matches!(self, Self::AwaitingApproval | Self::Requested)
    }
}

/// Money on its way back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refund {
    /// Its id; also the provider's idempotency key for asking for it.
    pub id: RefundId,
    /// What is taken back.
    pub payment: PaymentId,
    /// The provider's id of it, once it is known.
    pub provider_id: Option<String>,
    /// How much; more than zero.
    pub amount: Amount,
    /// Where it stands.
    pub status: RefundStatus,
    /// Why, in the provider's words: `duplicate`, `fraudulent`, `requested_by_customer`; empty if nobody said.
    pub reason: String,
    /// Why it did not work, if it did not.
    pub failure: String,
    /// Who asked for it; empty if it was not asked for here.
    pub requested_by: String,
    /// Who agreed to it, where a second administrator has to.
    pub approved_by: String,
    /// What was said about it.
    pub remark: Remark,
    /// When we learned of it.
    pub created_at: Time,
    /// When it last changed.
    pub updated_at: Time,
}

/// Reasons that can be given for a refund, in the provider's words.
pub const REASONS: [&str; 3] = ["duplicate", "fraudulent", "requested_by_customer"];

/// Asks for a refund.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestRefund {
    /// Of which payment.
    pub payment: PaymentId,
    /// How much, in smallest steps of the payment's currency; all that is left if none.
    pub amount: Option<i64>,
    /// Why: one of [`REASONS`], or empty.
    pub reason: String,
    /// Who asks.
    pub by: String,
    /// What is said about it.
    pub remark: Remark,
}

/// What is known of a refund at the provider.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefundFact {
    /// The provider's id of it.
    pub provider_id: String,
    /// Which of ours its metadata names: a hint.
    pub hint: Option<RefundId>,
    /// How much, in smallest steps.
    pub amount: i64,
    /// In which currency, as written by the provider.
    pub currency: String,
    /// Where it stands.
    pub status: RefundStatus,
    /// Why it was made, as the provider writes it; may be empty.
    pub reason: String,
    /// Why it failed, as the provider writes it; may be empty.
    pub failure: String,
}

/// What is left of a payment to refund: what was paid, without all refunds that are made or owed, and without what its
/// customer's bank has taken.
pub fn refundable(payment: &Payment, refunds: &[Refund]) -> i64 {
    let counts = |refund: &&Refund| {
        refund.status.is_owed() && (refund.status.stands() || !planted::is(Bug::RefundsPileUp))
    };
    let owed = refunds.iter().filter(counts);
    let owed: i64 = owed.map(|refund| refund.amount.minor).sum();
    if !payment.status.is_paid() {
        return 0;
    }
    let left = payment.amount.minor - owed - payment.returned.disputed.max(0);
    left.max(0)
}

pub(crate) fn needs_to_request(wanted: &mut Wanted<'_>, wish: &RequestRefund) {
    wanted.payment(&wish.payment);
    wanted.refunds(&wish.payment);
}

/// Decides on a refund. The call that makes it is a job, unless a second administrator has to agree first.
pub(crate) fn request(
    state: &mut State,
    context: &mut Context<'_>,
    wish: &RequestRefund,
) -> Result<Refund, Refusal> {
    check_reason(&wish.reason)?;
    recovery::refuse(state)?;
    let payment = payment::find(state, &wish.payment)?.clone();
    if !payment.status.is_paid() {
        return Err(Refusal::PaymentNotPaid {
            status: payment.status,
        });
    }
    let refunds = state.refunds.get(&wish.payment).cloned();
    let left = refundable(&payment, &refunds.unwrap_or_default());
    if left == 0 {
        return Err(Refusal::NothingToRefund);
    }
    let amount = wish.amount.unwrap_or(left);
    within("amount_minor", amount, 1, left)?;
    // All refunds of a payment count together: several small ones are no way around a second administrator.
    let with_others = if planted::is(Bug::RefundsInSlices) {
        amount
    } else {
        payment.amount.minor - left + amount
    };
    let free = context.policy.refund_approval_above;
    let needs_approval = free.is_some_and(|free| with_others > free);
    let refund = Refund {
        id: RefundId::new(context.ids, context.now),
        payment: payment.id,
        provider_id: None,
        amount: Amount::new(amount, payment.amount.unit),
        status: if needs_approval {
            RefundStatus::AwaitingApproval
        } else {
            RefundStatus::Requested
        },
        reason: wish.reason.clone(),
        failure: String::new(),
        requested_by: wish.by.clone(),
        approved_by: String::new(),
        remark: wish.remark.clone(),
        created_at: context.now,
        updated_at: context.now,
    };
    if !needs_approval && !planted::is(Bug::RefundNotOwed) {
        let job = JobKey::of_refund(JobKind::SendRefund, &refund.id);
        job::owe_later(state, context.now, job);
    }
    let id = refund.id.clone();
    state.payment_of_refund.set(id, refund.payment.clone());
    add(state, refund.clone());
    Ok(refund)
}

fn check_reason(reason: &str) -> Result<(), Refusal> {
    if reason.is_empty() || REASONS.contains(&reason) {
        return Ok(());
    }
    Err(Refusal::Misfit {
        field: "reason".to_owned(),
        rule: format!("must be one of: {}", REASONS.join(", ")),
    })
}

fn add(state: &mut State, refund: Refund) {
    let payment = refund.payment.clone();
    let mut refunds = state.refunds.get(&payment).cloned().unwrap_or_default();
    refunds.push(refund);
    state.refunds.put(payment, refunds);
}

/// The payment of a refund, with everything loaded that a change of it may touch.
pub(crate) fn needs_of(wanted: &mut Wanted<'_>, id: &RefundId) {
    wanted.job(&JobKey::of_refund(JobKind::SendRefund, id));
    if let Some(payment) = wanted.payment_of_refund(id) {
        payment::needs_to_observe(wanted, payment);
    }
}

/// A second administrator agrees to a refund, or does not.
pub(crate) fn decide(
    state: &mut State,
    context: &Context<'_>,
    (id, agrees): (&RefundId, bool),
    by: &str,
) -> Result<Refund, Refusal> {
    let refund = find(state, id)?;
    match (refund.status, agrees) {
        (RefundStatus::AwaitingApproval, _) => {}
        // Said once already.
        (RefundStatus::Refused, false) => return Ok(refund),
        (RefundStatus::Refused, true) => return Err(not_awaiting(refund.status)),
        (_, true) if !refund.approved_by.is_empty() => {
            if !planted::is(Bug::ApprovedTwice) {
                return Ok(refund);
            }
        }
        (status, _) => return Err(not_awaiting(status)),
    }
    if agrees {
        recovery::refuse(state)?;
    }
    if agrees && refund.requested_by == by && !planted::is(Bug::ApprovedByHimself) {
        return Err(Refusal::SecondApproverNeeded);
    }
    let now = context.now;
    if agrees {
        let job = JobKey::of_refund(JobKind::SendRefund, id);
        job::owe(state, now, job);
    }
    Ok(change(state, &refund, now, |refund| {
        refund.status = if agrees {
            RefundStatus::Requested
        } else {
            RefundStatus::Refused
        };
        by.clone_into(&mut refund.approved_by);
    }))
}

const fn not_awaiting(status: RefundStatus) -> Refusal {
    Refusal::RefundNotAwaiting { status }
}

/// A refund by its id.
fn find(state: &State, id: &RefundId) -> Result<Refund, Refusal> {
    let payment = state.payment_of_refund.get(id);
    let refunds = payment.and_then(|payment| state.refunds.get(payment));
    let found = refunds.and_then(|refunds| refunds.iter().find(|refund| refund.id == *id));
    found.cloned().ok_or(Refusal::RefundNotFound)
}

fn change(state: &mut State, refund: &Refund, now: Time, edit: impl FnOnce(&mut Refund)) -> Refund {
    state.refunds.change(&refund.payment, |refunds| {
        let mut changed = refund.clone();
        edit(&mut changed);
        changed.updated_at = now;
        if let Some(same) = refunds.iter_mut().find(|other| other.id == changed.id) {
            *same = changed.clone();
        }
        changed
    })
}

/// The provider has answered the call that asks for a refund.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefundSent {
    /// The job that asked.
    pub claim: Claim,
    /// What the provider says of the refund; or code and text of its refusal.
    pub outcome: Result<RefundFact, (String, String)>,
}

pub(crate) fn needs_of_sent(wanted: &mut Wanted<'_>, sent: &RefundSent) {
    wanted.job(&sent.claim.key);
    if let Some(id) = sent.claim.key.refund() {
        needs_of(wanted, &id);
    }
}

/// Takes in the provider's answer.
pub(crate) fn sent(
    state: &mut State,
    context: &mut Context<'_>,
    sent: &RefundSent,
) -> Result<Refund, Refusal> {
    job::check_claim(state, &sent.claim)?;
    let id = sent.claim.key.refund().ok_or(Refusal::RefundNotFound)?;
    let refund = find(state, &id)?;
    match &sent.outcome {
        Ok(fact) => {
            // The hint is ours to give: the answer to our own call is about this refund, whatever its metadata say.
            let fact = RefundFact {
                hint: Some(id.clone()),
                ..fact.clone()
            };
            if let Err(mismatch) = observe(state, context, &refund.payment, &fact)? {
                let text = mismatch.to_string();
                change(state, &refund, context.now, |refund| refund.failure = text);
            }
        }
        Err((code, message)) => {
            change(state, &refund, context.now, |refund| {
                // A webhook may have been faster than the answer.
                if refund.status == RefundStatus::Requested {
                    refund.status = RefundStatus::Refused;
                }
                refund.failure = format!("{code}: {message}");
            });
        }
    }
    state.jobs.remove(&sent.claim.key);
    find(state, &id)
}

/// Takes in what is known of a refund, from whatever side it came: the payment's books follow at once.
pub(crate) fn observe(
    state: &mut State,
    context: &mut Context<'_>,
    payment: &PaymentId,
    fact: &RefundFact,
) -> Result<Result<(), Mismatch>, Refusal> {
    let paid = payment::find(state, payment)?;
    let unit = paid.amount.unit;
    if fact.currency != unit.code() {
        return Ok(Err(Mismatch::Currency {
            said: fact.currency.clone(),
            ours: unit.code().to_owned(),
        }));
    }
    if !(1..=paid.amount.minor).contains(&fact.amount) {
        return Ok(Err(Mismatch::Amount {
            said: fact.amount.to_string(),
            ours: paid.amount.minor,
        }));
    }
    let refunds = state.refunds.get(payment).cloned().unwrap_or_default();
    match known(&refunds, fact) {
        Some(refund) if refund.amount.minor != fact.amount => {
            return Ok(Err(Mismatch::Amount {
                said: fact.amount.to_string(),
                ours: refund.amount.minor,
            }));
        }
        Some(refund) => advance(state, context.now, refund, fact),
        None => adopt(
            state,
            context,
            payment,
            Amount::new(fact.amount, unit),
            fact,
        ),
    }
    reversal::settle(state, context, payment)?;
    Ok(Ok(()))
}

/// The refund a fact is about: the one with the provider's id, else the one its metadata names, if that has none yet.
fn known<'a>(refunds: &'a [Refund], fact: &RefundFact) -> Option<&'a Refund> {
    let same = |refund: &&Refund| refund.provider_id.as_ref() == Some(&fact.provider_id);
    let named = |refund: &&Refund| {
        refund.provider_id.is_none()
            && fact.hint.as_ref() == Some(&refund.id)
            && refund.amount.minor == fact.amount
    };
    let found = refunds.iter().find(same);
    found.or_else(|| refunds.iter().find(named))
}

fn advance(state: &mut State, now: Time, refund: &Refund, fact: &RefundFact) {
    let is_news = fact.status.rank() > refund.status.rank()
        // The provider has it after all.
        || refund.status == RefundStatus::Refused && refund.provider_id.is_none();
    if !is_news && refund.provider_id.is_some() {
        return;
    }
    change(state, refund, now, |refund| {
        refund.provider_id = Some(fact.provider_id.clone());
        if is_news {
            refund.status = fact.status;
        }
        if !fact.failure.is_empty() {
            refund.failure.clone_from(&fact.failure);
        }
    });
}

/// A refund that was not asked for here.
fn adopt(
    state: &mut State,
    context: &mut Context<'_>,
    payment: &PaymentId,
    amount: Amount,
    fact: &RefundFact,
) {
    let refund = Refund {
        id: RefundId::new(context.ids, context.now),
        payment: payment.clone(),
        provider_id: Some(fact.provider_id.clone()),
        amount,
        status: fact.status,
        reason: fact.reason.clone(),
        failure: fact.failure.clone(),
        requested_by: String::new(),
        approved_by: String::new(),
        remark: Remark::default(),
        created_at: context.now,
        updated_at: context.now,
    };
    add(state, refund);
}
