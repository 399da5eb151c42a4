//! Calls that are owed: durable, committed together with their cause, done at least once.
//!
//! A job is claimed with a fresh token and for a limited time. Whoever brings a result must still hold the claim, so that
//! a worker that was paused cannot overwrite a later one. New news about the same subject raises `dirty`; a result that saw
//! an older count leaves the job in place to be done again.

use serde::{Deserialize, Serialize};

use crate::command::Context;
use crate::id::{PaymentId, RefundId};
use crate::planted::{self, Bug};
use crate::recovery;
use crate::refusal::Refusal;
use crate::state::State;
use crate::time::Time;
use crate::word::words;

/// What is to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum JobKind {
    /// Open a checkout session for a payment.
    OpenSession,
    /// Read a payment's checkout session and settle by what it says.
    ReadSession,
    /// Close a payment's checkout session, because its top-up was ended by an administrator.
    CloseSession,
    /// Open a payment intent for a payment.
    OpenIntent,
    /// Charge a saved card for a payment.
    ChargeCard,
    /// Read a payment's intent and settle by what it says.
    ReadIntent,
    /// Cancel a payment's intent, because nobody shall pay it any more.
    CancelIntent,
    /// Ask the provider for a refund.
    SendRefund,
    /// Read all refunds and disputes of a payment and settle by what they say.
    ReadReturns,
}

words!(JobKind: OpenSession = "open_session", ReadSession = "read_session", CloseSession = "close_session",
       OpenIntent = "open_intent", ChargeCard = "charge_card", ReadIntent = "read_intent", CancelIntent = "cancel_intent",
       SendRefund = "send_refund", ReadReturns = "read_returns");

impl JobKind {
    /// Whether it only reads at the provider: such a job is done in recovery mode, too.
    pub const fn only_reads(self) -> bool {
        match self {
            Self::ReadSession | Self::ReadIntent | Self::ReadReturns => true,
            Self::OpenSession
            | Self::CloseSession
            | Self::OpenIntent
            | Self::ChargeCard
            | Self::CancelIntent
            | Self::SendRefund => false,
        }
    }
}

/// Names a job: at most one of a kind for a subject.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct JobKey {
    /// What is to be done.
    pub kind: JobKind,
    /// For what: the id of a payment or of a refund, as the kind has it.
    pub subject: String,
}

impl JobKey {
    /// The job of this kind for a payment.
    pub fn of_payment(kind: JobKind, payment: &PaymentId) -> Self {
        Self {
            kind,
            subject: payment.to_string(),
        }
    }

    /// The job of this kind for a refund.
    pub fn of_refund(kind: JobKind, refund: &RefundId) -> Self {
        Self {
            kind,
            subject: refund.to_string(),
        }
    }

    /// The payment it is for, if its subject is one.
    pub fn payment(&self) -> Option<PaymentId> {
        PaymentId::parse(&self.subject)
    }

    /// The refund it is for, if its subject is one.
    pub fn refund(&self) -> Option<RefundId> {
        RefundId::parse(&self.subject)
    }
}

/// A call that is owed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Job {
    /// Which.
    pub key: JobKey,
    /// Not before.
    pub run_at: Time,
    /// How often news arrived that makes the job necessary.
    pub dirty: i64,
    /// How often it was claimed.
    pub attempts: i64,
    /// Who holds it, until when.
    pub lease: Option<Lease>,
    /// Why the last attempt failed; empty if it did not.
    pub last_error: String,
}

/// A claim on a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lease {
    /// Drawn anew at each claim.
    pub token: i64,
    /// The claim is void afterwards.
    pub until: Time,
}

/// What a worker holds while it does a job, and shows when it brings the result.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claim {
    /// Which job.
    pub key: JobKey,
    /// The token of this claim.
    pub token: i64,
    /// How dirty the job was when claimed.
    pub dirty: i64,
    /// How often the job has been claimed, this time included.
    pub attempt: i64,
}

/// How long a claim lasts unless it is renewed. When a node dies in the middle of a call, the others wait so long before they make it
/// again.
pub const LEASE_SECONDS: i64 = 30;

/// How often a worker renews a claim while it has it: often enough that one or two times may fail.
pub const RENEW_SECONDS: i64 = 10;

/// Pauses before an open session is read again although no event asked for it: a lost webhook is found at the latest by
/// these. Stripe closes a session after 24 hours.
const READ_PAUSES_SECONDS: [i64; 7] = [60, 300, 900, 3_600, 21_600, 43_200, 86_400];

/// The pause after `attempt` fruitless readings.
pub fn read_pause_seconds(attempt: i64) -> i64 {
    let last = READ_PAUSES_SECONDS.len() - 1;
    let index = usize::try_from(attempt).unwrap_or(0).min(last);
    READ_PAUSES_SECONDS[index]
}

/// Makes a job necessary now, whether it exists or not.
pub(crate) fn owe(state: &mut State, now: Time, key: JobKey) {
    if state.jobs.get(&key).is_none() {
        owe_later(state, now, key);
        return;
    }
    state.jobs.change(&key, |job| {
        job.dirty += 1;
        job.run_at = job.run_at.min(now);
    });
}

/// Adds a job that is not there yet, to run at `run_at`.
pub(crate) fn owe_later(state: &mut State, run_at: Time, key: JobKey) {
    let job = Job {
        key: key.clone(),
        run_at,
        dirty: 1,
        attempts: 0,
        lease: None,
        last_error: String::new(),
    };
    state.jobs.insert(key, job);
}

/// Owes a reading after the first pause, for the case that no event ever asks for it; nothing if it is owed already.
pub(crate) fn owe_reading(state: &mut State, now: Time, key: JobKey) {
    if state.jobs.get(&key).is_none() {
        owe_later(state, now.plus_seconds(read_pause_seconds(0)), key);
    }
}

/// Gives the job to the caller, unless it is gone, not due or held.
pub(crate) fn claim(
    state: &mut State,
    context: &mut Context<'_>,
    key: &JobKey,
) -> Result<Claim, Refusal> {
    let now = context.now;
    if !key.kind.only_reads() {
        recovery::refuse(state)?;
    }
    let job = state.jobs.get(key).ok_or(Refusal::ClaimLost)?;
    let held = job
        .lease
        .is_some_and(|lease| lease.until > now || planted::is(Bug::ClaimForEver));
    if held && !planted::is(Bug::ClaimTwice) || job.run_at > now {
        return Err(Refusal::ClaimLost);
    }
    let token = i64::try_from(context.ids.random80() & 0x7fff_ffff_ffff_ffff).unwrap_or(0);
    Ok(state.jobs.change(key, |job| {
        job.attempts += 1;
        job.lease = Some(Lease {
            token,
            until: now.plus_seconds(LEASE_SECONDS),
        });
        Claim {
            key: key.clone(),
            token,
            dirty: job.dirty,
            attempt: job.attempts,
        }
    }))
}

/// Makes a claim that still stands last longer.
pub(crate) fn renew(state: &mut State, now: Time, claim: &Claim) {
    state.jobs.change(&claim.key, |job| {
        job.lease = Some(Lease {
            token: claim.token,
            until: now.plus_seconds(LEASE_SECONDS),
        });
    });
}

/// Whether the claim still stands.
pub(crate) fn check_claim(state: &State, claim: &Claim) -> Result<(), Refusal> {
    let job = state.jobs.get(&claim.key).ok_or(Refusal::ClaimLost)?;
    let token = job.lease.map(|lease| lease.token);
    if token == Some(claim.token) || planted::is(Bug::NoFencing) {
        Ok(())
    } else {
        Err(Refusal::ClaimLost)
    }
}

/// Ends a claimed job that found nothing to do; at once again if more news has arrived meanwhile.
pub(crate) fn give_up(state: &mut State, now: Time, claim: &Claim) {
    let has_news = state
        .jobs
        .get(&claim.key)
        .is_some_and(|job| job.dirty > claim.dirty);
    if has_news {
        put_back(state, now, claim, now, "");
    } else {
        state.jobs.remove(&claim.key);
    }
}

/// Puts a claimed job back, to run at `run_at`; at once if more news has arrived meanwhile.
pub(crate) fn put_back(state: &mut State, now: Time, claim: &Claim, run_at: Time, error: &str) {
    state.jobs.change(&claim.key, |job| {
        job.lease = None;
        job.run_at = if job.dirty > claim.dirty { now } else { run_at };
        error.clone_into(&mut job.last_error);
    });
}

/// Puts a claimed job that has read something back, to read it again after a pause that grows with each time.
pub(crate) fn read_later(state: &mut State, now: Time, claim: &Claim) {
    let later = now.plus_seconds(read_pause_seconds(claim.attempt));
    put_back(state, now, claim, later, "");
}

#[cfg(test)]
mod tests;
