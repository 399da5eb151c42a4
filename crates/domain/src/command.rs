//! Everything that can be asked of the core, one line each.
//!
//! [`needs`] says which rows a command wants to see, [`decide`] changes them or refuses. Both are pure. A command checks
//! everything first and writes then: after its first write it cannot refuse any more.

use serde::{Deserialize, Serialize};

use crate::account::{Account, AccountKey, AccountKind};
use crate::amount::{Amount, Unit};
use crate::api_key::{self, ApiKey, IssueKey};
use crate::checkout::{self, OpenCheckout, SessionOpened, SessionRead};
use crate::event::{self, EventStatus, ReceiveEvent};
use crate::id::{ApiKeyId, IdSource, TopupId, TransactionId, UserId};
use crate::job::{self, Claim, JobKey};
use crate::journal::{self, Cause, Posting, Reason, Remark, Transaction};
use crate::notice::{self, ApplyEvent};
use crate::payment::Payment;
use crate::policy::Policy;
use crate::refusal::Refusal;
use crate::state::{Needs, State, Wanted};
use crate::time::Time;
use crate::topup::{self, CreateTopup, Topup};

/// What a decision may use besides the rows: the time, new ids, and the operator's settings.
#[expect(
    missing_debug_implementations,
    reason = "it borrows the caller's source of ids"
)]
pub struct Context<'a> {
    /// The time of the batch.
    pub now: Time,
    /// Where new ids come from.
    pub ids: &'a mut dyn IdSource,
    /// What the operator decided.
    pub policy: &'a Policy,
}

/// Credits given or taken by an administrator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Adjust {
    /// Whose wallet.
    pub user: UserId,
    /// Credits to add; taken away when negative. Not zero.
    pub credits: i64,
    /// What is said about it.
    pub remark: Remark,
}

/// Something asked of the core.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(
    missing_docs,
    reason = "the type inside each variant is the documentation"
)]
pub enum Command {
    CreateTopup(CreateTopup),
    FinishTopup {
        topup: TopupId,
        remark: Remark,
    },
    CancelTopup {
        topup: TopupId,
        remark: Remark,
    },
    Adjust(Adjust),
    OpenCheckout(OpenCheckout),
    SessionOpened(SessionOpened),
    SessionRefused {
        claim: Claim,
        code: String,
        message: String,
    },
    SessionRead(SessionRead),
    ReceiveEvent(ReceiveEvent),
    ApplyEvents(Vec<ApplyEvent>),
    ClaimJob(JobKey),
    DeferJob {
        claim: Claim,
        run_at: Time,
        error: String,
    },
    DropJob(Claim),
    IssueKey(IssueKey),
    RevokeKey(ApiKeyId),
}

/// The answer to a command that was not refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(
    missing_docs,
    reason = "the type inside each variant is the documentation"
)]
pub enum Reply {
    Topup(Topup),
    Payment(Payment),
    Adjusted(Adjusted),
    Received { number: i64, duplicate: bool },
    Applied(Vec<EventStatus>),
    Claimed(Claim),
    ApiKey(ApiKey),
    Done,
}

/// A wallet after an adjustment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Adjusted {
    /// The transaction that did it.
    pub transaction: TransactionId,
    /// Whose wallet.
    pub user: UserId,
    /// Credits added, or taken away when negative.
    pub credits: i64,
    /// The wallet's balance afterwards.
    pub balance: i64,
    /// When.
    pub at: Time,
}

/// Scope of an idempotency key: the same text from another principal or on another route is another key.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AnswerKey {
    /// Who asked.
    pub principal: String,
    /// The route, as written in the list of routes.
    pub route: String,
    /// The key the caller chose.
    pub key: String,
}

/// What is remembered under an idempotency key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// Digest of the request's body: the same key with another body is refused.
    pub request_hash: String,
    /// What was answered.
    pub outcome: Result<Reply, Refusal>,
    /// When.
    pub at: Time,
}

/// A command with the idempotency key it came under, if any.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// What is asked.
    pub command: Command,
    /// The key and the digest of the request's body.
    pub idempotency: Option<(AnswerKey, String)>,
}

/// Adds what `request` wants to see and `state` does not have. To be asked again after loading, until nothing is added.
pub fn needs(request: &Request, state: &State, needs: &mut Needs) {
    let mut wanted = Wanted::new(state, needs);
    if let Some((key, _)) = &request.idempotency {
        wanted.answer(key);
    }
    match &request.command {
        Command::CreateTopup(_) | Command::IssueKey(_) => {}
        Command::FinishTopup { topup, .. } | Command::CancelTopup { topup, .. } => {
            topup::needs_to_finish(&mut wanted, topup);
            checkout::needs_to_close_checkout(&mut wanted, topup);
        }
        Command::Adjust(adjust) => {
            wanted.account(&AccountKey::wallet(&adjust.user));
            wanted.account(&AccountKey::house(AccountKind::Adjusted, Unit::CREDIT));
        }
        Command::OpenCheckout(wish) => checkout::needs_to_open(&mut wanted, wish),
        Command::SessionOpened(opened) => checkout::needs_of_opened(&mut wanted, opened),
        Command::SessionRefused { claim, .. }
        | Command::DeferJob { claim, .. }
        | Command::DropJob(claim) => checkout::needs_of_claim(&mut wanted, claim),
        Command::SessionRead(read) => checkout::needs_of_read(&mut wanted, read),
        Command::ReceiveEvent(event) => wanted.event_number(&event.id),
        Command::ApplyEvents(events) => events
            .iter()
            .for_each(|event| notice::needs_to_apply(&mut wanted, event)),
        Command::ClaimJob(key) => wanted.job(key),
        Command::RevokeKey(id) => wanted.api_key(id),
    }
}

/// The answer to a request, and whether it was given before under the same idempotency key.
pub fn answer(
    state: &mut State,
    context: &mut Context<'_>,
    request: &Request,
) -> (Result<Reply, Refusal>, bool) {
    let Some((key, request_hash)) = &request.idempotency else {
        return (decide(state, context, &request.command), false);
    };
    if let Some(before) = state.answers.get(key) {
        if before.request_hash != *request_hash {
            return (Err(Refusal::IdempotencyKeyReused), false);
        }
        return (before.outcome.clone(), true);
    }
    let outcome = decide(state, context, &request.command);
    if !outcome.as_ref().is_err_and(Refusal::is_transient) {
        let answer = Answer {
            request_hash: request_hash.clone(),
            outcome: outcome.clone(),
            at: context.now,
        };
        state.answers.insert(key.clone(), answer);
    }
    (outcome, false)
}

/// Changes the state as the command asks, or says why not.
pub fn decide(
    state: &mut State,
    context: &mut Context<'_>,
    command: &Command,
) -> Result<Reply, Refusal> {
    match command {
        Command::CreateTopup(wish) => topup::create(state, context, wish).map(Reply::Topup),
        Command::FinishTopup { topup, remark } => {
            let finished = topup::finish_by_admin(state, context, topup, remark)?;
            checkout::close_checkout(state, context.now, topup);
            Ok(Reply::Topup(finished))
        }
        Command::CancelTopup { topup, remark } => {
            let canceled = topup::cancel(state, context.now, topup, remark)?;
            checkout::close_checkout(state, context.now, topup);
            Ok(Reply::Topup(canceled))
        }
        Command::Adjust(adjust) => self::adjust(state, context, adjust).map(Reply::Adjusted),
        Command::OpenCheckout(wish) => checkout::open(state, context, wish).map(Reply::Payment),
        Command::SessionOpened(opened) => {
            checkout::session_opened(state, context, opened).map(Reply::Payment)
        }
        Command::SessionRefused {
            claim,
            code,
            message,
        } => checkout::session_refused(state, context, claim, (code, message)).map(Reply::Payment),
        Command::SessionRead(read) => {
            checkout::session_read(state, context, read).map(Reply::Payment)
        }
        Command::ReceiveEvent(event) => {
            let (number, duplicate) = event::receive(state, context, event);
            Ok(Reply::Received { number, duplicate })
        }
        Command::ApplyEvents(events) => {
            let outcomes = events
                .iter()
                .map(|event| notice::apply(state, context, event));
            Ok(Reply::Applied(outcomes.collect()))
        }
        Command::ClaimJob(key) => job::claim(state, context, key).map(Reply::Claimed),
        Command::DeferJob {
            claim,
            run_at,
            error,
        } => {
            job::check_claim(state, claim)?;
            job::put_back(state, context.now, claim, *run_at, error);
            Ok(Reply::Done)
        }
        Command::DropJob(claim) => {
            job::check_claim(state, claim)?;
            job::give_up(state, context.now, claim);
            Ok(Reply::Done)
        }
        Command::IssueKey(key) => Ok(Reply::ApiKey(api_key::issue(state, context, key))),
        Command::RevokeKey(id) => api_key::revoke(state, context, id).map(Reply::ApiKey),
    }
}

/// The most credits one adjustment may move; a guard against a slip of the finger.
pub const ADJUSTMENT_CREDITS_MAX: i64 = 1_000_000_000_000;

fn adjust(
    state: &mut State,
    context: &mut Context<'_>,
    adjust: &Adjust,
) -> Result<Adjusted, Refusal> {
    let (given, most) = (adjust.credits.saturating_abs(), ADJUSTMENT_CREDITS_MAX);
    if !(1..=most).contains(&given) {
        return Err(Refusal::OutOfRange {
            field: "credits".into(),
            least: 1,
            most,
            given,
        });
    }
    let wallet = AccountKey::wallet(&adjust.user);
    let house = AccountKey::house(AccountKind::Adjusted, Unit::CREDIT);
    let (from, to, reason) = if adjust.credits > 0 {
        (house, wallet.clone(), Reason::Add)
    } else {
        (wallet.clone(), house, Reason::Sub)
    };
    let available = state.accounts.get(&wallet).map_or(0, Account::available);
    if adjust.credits < 0 && given > available {
        return Err(Refusal::InsufficientCredits {
            available,
            missing: given.saturating_sub(available),
        });
    }
    let id = TransactionId::new(context.ids, context.now);
    let cause = Cause::new("adjustment", id.as_str());
    // A fresh id has never been a cause; nothing needs to be asked of the store.
    state.causes.load(cause.clone(), None);
    journal::post(
        state,
        Transaction {
            id: id.clone(),
            reason,
            cause,
            at: context.now,
            remark: adjust.remark.clone(),
            postings: vec![Posting {
                from,
                to,
                amount: Amount::credits(given),
            }],
        },
    )?;
    Ok(Adjusted {
        transaction: id,
        user: adjust.user.clone(),
        credits: adjust.credits,
        balance: state
            .accounts
            .get(&wallet)
            .map_or(0, |account| account.balance),
        at: context.now,
    })
}
