//! Everything that can be asked of the core, one line each.
//!
//! [`needs`] says which rows a command wants to see, [`decide`] changes them or refuses. Both are pure. A command checks
//! everything first and writes then: after its first write it cannot refuse any more.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::account::{AccountKey, AccountKind};
use crate::amount::{Amount, Unit};
use crate::api_key::{self, ApiKey, IssueKey};
use crate::charge::{self, Charge, Charged, Spending};
use crate::checkout::{self, OpenCheckout, SessionOpened, SessionRead};
use crate::event::{self, EventStatus, ReceiveEvent};
use crate::exchange::{self, Exchange, Exchanged};
use crate::grant::{self, AMOUNT_MAX, Category, CreateGrant, Grant, Source, within};
use crate::hold::{self, CreateHold, Hold};
use crate::id::{ApiKeyId, GrantId, HoldId, IdSource, LimitId, TopupId, TransactionId, UserId};
use crate::job::{self, Claim, JobKey};
use crate::journal::{Reason, Remark, Transaction};
use crate::limit::{self, SetLimit, SpendingLimit};
use crate::notice::{self, ApplyEvent};
use crate::payment::Payment;
use crate::policy::Policy;
use crate::refusal::Refusal;
use crate::state::{Needs, State, Wanted};
use crate::sweep::{self, Sweep};
use crate::time::Time;
use crate::topup::{self, CreateTopup, Topup};
use crate::usage::{self, RecordUsage, UsageEvent};
use crate::wallet::{self, Wallet};

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

/// Many charges in one request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChargeAll {
    /// The charges, each with an idempotency key of its own and the digest of what it asks: the same key that the charge would
    /// have by itself.
    pub charges: Vec<(Charge, Option<(AnswerKey, RequestHash)>)>,
    /// All or none: the first refusal undoes those before it.
    pub atomic: bool,
}

/// Asks whether a charge would be made now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Precheck {
    /// Whose wallet and limits, and what for.
    pub charge: Charge,
    /// Without a price it is only asked whether the wallet is not below zero already.
    pub priced: bool,
}

/// Whether a charge would be made now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Prechecked {
    /// What it would cost, in smallest steps; 0 if nothing was priced.
    pub cost: i64,
    /// What may be spent now.
    pub available: i64,
    /// Why not; none if it would be made.
    pub refusal: Option<Refusal>,
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
    CreateGrant(CreateGrant),
    VoidGrant {
        grant: GrantId,
        remark: Remark,
    },
    Charge(Charge),
    ChargeAll(ChargeAll),
    Precheck(Precheck),
    CreateHold(CreateHold),
    ProgressHold {
        hold: HoldId,
        used: i64,
    },
    ExtendHold {
        hold: HoldId,
        more: i64,
        seconds: Option<i64>,
    },
    SettleHold {
        hold: HoldId,
        used: i64,
        remark: Remark,
    },
    ReleaseHold {
        hold: HoldId,
        remark: Remark,
    },
    SetOverdraft {
        user: UserId,
        unit: Unit,
        overdraft: Option<i64>,
    },
    Exchange(Exchange),
    SetLimit(SetLimit),
    RemoveLimit(LimitId),
    RecordUsage(RecordUsage),
    ReadWallets(Vec<AccountKey>),
    Sweep(Sweep),
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
    Grant(Grant),
    Charged(Charged),
    ChargedAll(Vec<Result<(Charged, bool), Refusal>>),
    Prechecked(Prechecked),
    Hold(Hold),
    Exchanged(Exchanged),
    Limit(SpendingLimit),
    /// What a wallet's own setting is now; none if it has none.
    Overdraft(Option<i64>),
    Usage(UsageEvent),
    /// In the order asked for; none where nothing ever touched one. Never remembered as an answer.
    #[serde(skip)]
    Wallets(Vec<Option<Arc<Wallet>>>),
    Received {
        number: i64,
        duplicate: bool,
    },
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

/// The first 16 bytes of the SHA-256 of what a request asks: the same idempotency key with another one is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RequestHash(pub [u8; 16]);

/// What is remembered under an idempotency key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// Digest of the request's body: the same key with another body is refused.
    pub request_hash: RequestHash,
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
    pub idempotency: Option<(AnswerKey, RequestHash)>,
}

/// Adds what `request` wants to see and `state` does not have. To be asked again after loading, until nothing is added.
pub fn needs(request: &Request, state: &State, needs: &mut Needs) {
    let mut wanted = Wanted::new(state, needs);
    if let Some((key, _)) = &request.idempotency {
        wanted.answer(key);
    }
    match &request.command {
        Command::CreateTopup(_) | Command::IssueKey(_) | Command::RecordUsage(_) => {}
        Command::FinishTopup { topup, .. } | Command::CancelTopup { topup, .. } => {
            topup::needs_to_finish(&mut wanted, topup);
            checkout::needs_to_close_checkout(&mut wanted, topup);
        }
        Command::Adjust(adjust) => {
            let key = AccountKey::wallet(&adjust.user);
            grant::needs_to_give(&mut wanted, &key, AccountKind::Adjusted);
        }
        Command::CreateGrant(terms) => {
            for origin in [AccountKind::Sold, AccountKind::Granted] {
                grant::needs_to_give(&mut wanted, &terms.wallet(), origin);
            }
        }
        Command::VoidGrant { grant, .. } => grant::needs_to_void(&mut wanted, *grant),
        Command::Charge(charge) => charge::needs(&mut wanted, charge),
        Command::ChargeAll(all) => {
            for (charge, key) in &all.charges {
                charge::needs(&mut wanted, charge);
                if let Some((key, _)) = key {
                    wanted.answer(key);
                }
            }
        }
        Command::Precheck(precheck) => charge::needs(&mut wanted, &precheck.charge),
        Command::CreateHold(wish) => charge::needs(&mut wanted, &wish.charge),
        Command::ProgressHold { hold, .. }
        | Command::ExtendHold { hold, .. }
        | Command::SettleHold { hold, .. }
        | Command::ReleaseHold { hold, .. } => hold::needs_of(&mut wanted, *hold),
        Command::SetOverdraft { user, unit, .. } => {
            wanted.wallet(&AccountKey::wallet_in(user, *unit));
        }
        Command::Exchange(wish) => exchange::needs(&mut wanted, wish),
        Command::SetLimit(wish) => wanted.limits(&wish.subject),
        Command::RemoveLimit(limit) => limit::needs_to_remove(&mut wanted, *limit),
        Command::ReadWallets(keys) => keys.iter().for_each(|key| wanted.wallet(key)),
        Command::Sweep(sweep) => sweep::needs(&mut wanted, sweep),
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
    once(
        state,
        context,
        request.idempotency.as_ref(),
        |state, context| decide(state, context, &request.command),
    )
}

/// Decides what was not decided before under this idempotency key, and remembers the answer.
fn once(
    state: &mut State,
    context: &mut Context<'_>,
    idempotency: Option<&(AnswerKey, RequestHash)>,
    decide: impl FnOnce(&mut State, &mut Context<'_>) -> Result<Reply, Refusal>,
) -> (Result<Reply, Refusal>, bool) {
    let Some((key, request_hash)) = idempotency else {
        return (decide(state, context), false);
    };
    if let Some(before) = state.answers.get(key) {
        if before.request_hash != *request_hash {
            return (Err(Refusal::IdempotencyKeyReused), false);
        }
        return (before.outcome.clone(), true);
    }
    let outcome = decide(state, context);
    if !outcome.as_ref().is_err_and(Refusal::is_transient) {
        let answer = Answer {
            request_hash: *request_hash,
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
        Command::CreateGrant(_)
        | Command::VoidGrant { .. }
        | Command::Charge(_)
        | Command::ChargeAll(_)
        | Command::Precheck(_)
        | Command::CreateHold(_)
        | Command::ProgressHold { .. }
        | Command::ExtendHold { .. }
        | Command::SettleHold { .. }
        | Command::ReleaseHold { .. }
        | Command::SetOverdraft { .. }
        | Command::Exchange(_)
        | Command::SetLimit(_)
        | Command::RemoveLimit(_)
        | Command::ReadWallets(_)
        | Command::Sweep(_) => decide_wallet(state, context, command),
        Command::RecordUsage(fact) => usage::record(state, context.now, fact).map(Reply::Usage),
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

/// The commands about wallets.
fn decide_wallet(
    state: &mut State,
    context: &mut Context<'_>,
    command: &Command,
) -> Result<Reply, Refusal> {
    let now = context.now;
    match command {
        Command::CreateGrant(terms) => grant::create(state, context, terms).map(Reply::Grant),
        Command::VoidGrant { grant, remark } => {
            grant::void(state, now, *grant, remark).map(Reply::Grant)
        }
        Command::Charge(charge) => charge::charge(state, context, charge).map(Reply::Charged),
        Command::ChargeAll(all) => charge_all(state, context, all).map(Reply::ChargedAll),
        Command::Precheck(asked) => precheck(state, context, asked).map(Reply::Prechecked),
        Command::CreateHold(wish) => hold::create(state, context, wish).map(Reply::Hold),
        Command::ProgressHold { hold, used } => {
            hold::progress(state, now, *hold, *used).map(Reply::Hold)
        }
        Command::ExtendHold {
            hold,
            more,
            seconds,
        } => hold::extend(state, context, *hold, *more, *seconds).map(Reply::Hold),
        Command::SettleHold { hold, used, remark } => {
            hold::settle(state, context, *hold, *used, remark).map(Reply::Hold)
        }
        Command::ReleaseHold { hold, remark } => {
            hold::release(state, context, *hold, remark).map(Reply::Hold)
        }
        Command::SetOverdraft {
            user,
            unit,
            overdraft,
        } => set_overdraft(state, now, (user, *unit), *overdraft),
        Command::Exchange(wish) => exchange::exchange(state, context, wish).map(Reply::Exchanged),
        Command::SetLimit(wish) => limit::set(state, now, wish).map(Reply::Limit),
        Command::RemoveLimit(limit) => limit::remove(state, *limit).map(Reply::Limit),
        Command::Sweep(sweep) => sweep::sweep(state, context, sweep).map(|()| Reply::Done),
        Command::ReadWallets(keys) => {
            let wallets = keys.iter().map(|key| state.wallets.get(key).cloned());
            Ok(Reply::Wallets(wallets.collect()))
        }
        _ => Ok(Reply::Done),
    }
}

/// Makes the charges one after the other, each under its own idempotency key.
fn charge_all(
    state: &mut State,
    context: &mut Context<'_>,
    all: &ChargeAll,
) -> Result<Vec<Result<(Charged, bool), Refusal>>, Refusal> {
    let before = all.atomic.then(|| state.clone());
    let mut answers = Vec::with_capacity(all.charges.len());
    for (position, (charge, key)) in all.charges.iter().enumerate() {
        let (answer, replayed) = once(state, context, key.as_ref(), |state, context| {
            charge::charge(state, context, charge).map(Reply::Charged)
        });
        let answer = match answer {
            Ok(Reply::Charged(charged)) => Ok((charged, replayed)),
            // A key belongs to one route, and that route answers with charges.
            Ok(_) => Err(Refusal::IdempotencyKeyReused),
            Err(refusal) => Err(refusal),
        };
        if let (Err(refusal), Some(before)) = (&answer, &before) {
            let why = Box::new(refusal.clone());
            *state = before.clone();
            return Err(Refusal::BatchRefused { position, why });
        }
        answers.push(answer);
    }
    Ok(answers)
}

fn precheck(state: &State, context: &Context<'_>, asked: &Precheck) -> Result<Prechecked, Refusal> {
    let key = asked.charge.wallet();
    let available = wallet::available(state, &key, context.now);
    let outcome = if asked.priced {
        charge::check(state, context, &asked.charge)
    } else {
        charge::covers(state, &key, 0, 0, context.now).map(|()| 0)
    };
    match outcome {
        Ok(cost) => Ok(Prechecked {
            cost,
            available,
            refusal: None,
        }),
        Err(
            refusal @ (Refusal::InsufficientCredits { .. } | Refusal::SpendingLimitReached { .. }),
        ) => Ok(Prechecked {
            cost: asked.charge.cost(context.policy).unwrap_or(0),
            available,
            refusal: Some(refusal),
        }),
        // What is wrong in itself is no answer to the question.
        Err(refusal) => Err(refusal),
    }
}

fn set_overdraft(
    state: &mut State,
    now: Time,
    (user, unit): (&UserId, Unit),
    overdraft: Option<i64>,
) -> Result<Reply, Refusal> {
    if let Some(overdraft) = overdraft {
        within("overdraft", overdraft, 0, AMOUNT_MAX)?;
    }
    let key = AccountKey::wallet_in(user, unit);
    wallet::open(state, &key, now);
    wallet::change(state, &key, |wallet| wallet.overdraft = overdraft);
    Ok(Reply::Overdraft(overdraft))
}

/// Adds credits as a grant, or takes them as a charge is taken, by an administrator's word.
fn adjust(
    state: &mut State,
    context: &mut Context<'_>,
    adjust: &Adjust,
) -> Result<Adjusted, Refusal> {
    let (given, now) = (adjust.credits.saturating_abs(), context.now);
    within("credits", given, 1, AMOUNT_MAX)?;
    let key = AccountKey::wallet(&adjust.user);
    if adjust.credits > 0 {
        grant::check_room(state, &key)?;
        let terms = CreateGrant::plain(
            adjust.user.clone(),
            Amount::credits(given),
            Category::Promotional,
            Source::Manual,
        );
        let transaction = Transaction {
            reason: Reason::Add,
            cause: None,
            at: now,
            remark: adjust.remark.clone(),
            tags: String::new(),
            postings: vec![],
        };
        grant::give(state, &terms, AccountKind::Adjusted, transaction)?;
    } else {
        charge::covers(state, &key, given, 0, now)?;
        let spending = Spending {
            key: key.clone(),
            amount: given,
            to: AccountKind::Adjusted,
            reason: Reason::Sub,
            cause: None,
            remark: adjust.remark.clone(),
            tags: String::new(),
        };
        charge::spend(state, context, spending)?;
    }
    let wallet = state.wallets.get(&key);
    Ok(Adjusted {
        transaction: TransactionId::of(state.sequence.transaction),
        user: adjust.user.clone(),
        credits: adjust.credits,
        balance: wallet.map_or(0, |wallet| wallet.account.balance),
        at: now,
    })
}
