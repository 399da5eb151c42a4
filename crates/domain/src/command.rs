//! Everything that can be asked of the core, one line each.
//!
//! [`needs`] says which rows a command wants to see, [`decide`] changes them or refuses. Both are pure. A command checks
//! everything first and writes then: after its first write it cannot refuse any more.

mod adjustment;
mod answer;
mod bonus;
mod charges;
mod reply;

use crate::account::{AccountKey, AccountKind};
use crate::adoption::{self, Adopt};
use crate::amount::Unit;
use crate::api_key::{self, IssueKey};
use crate::auto_topup::{self, AutoTopups, SetAutoTopup};
use crate::charge::{self, Charge};
use crate::checkout::{self, OpenCheckout, SessionOpened, SessionRead};
use crate::customer::{self, Customer};
use crate::event::{self, ReceiveEvent};
use crate::exchange::{self, Exchange};
use crate::grant::{self, CreateGrant};
use crate::hold::{self, CreateHold};
use crate::id::{ApiKeyId, GrantId, HoldId, IdSource, LimitId, RefundId, TopupId, UserId};
use crate::intent::{self, ChargeCard, IntentOpened, IntentRead, OpenIntent};
use crate::job::{self, Claim, JobKey};
use crate::journal::Remark;
use crate::limit::{self, SetLimit};
use crate::mark::{self, Keep};
use crate::notice::{self, ApplyEvent};
use crate::payment::opening;
use crate::policy::Policy;
use crate::recovery;
use crate::refund::{self, RefundSent, RequestRefund};
use crate::refusal::Refusal;
use crate::reversal::{self, ReturnsRead};
use crate::state::{Needs, State, Wanted};
use crate::sweep::{self, Sweep};
use crate::time::Time;
use crate::topup::{self, CreateTopup, Topup};
use crate::turn;
use crate::usage::{self, RecordUsage};
use crate::wallet;

pub use adjustment::{Adjust, Adjusted};
pub use answer::{Answer, AnswerKey, Idempotency, RequestHash};
pub use bonus::BonusCommand;
pub use charges::{ChargeAll, ChargeAnswer, Precheck, Prechecked};
pub use reply::{OtherReply, Reply};

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
    SetFrozen {
        user: UserId,
        unit: Unit,
        frozen: bool,
    },
    Exchange(Exchange),
    SetLimit(SetLimit),
    RemoveLimit(LimitId),
    RecordUsage(RecordUsage),
    Bonus(BonusCommand),
    ReadWallets(Vec<AccountKey>),
    Sweep(Sweep),
    OpenCheckout(OpenCheckout),
    OpenIntent(OpenIntent),
    IntentOpened(IntentOpened),
    IntentRead(IntentRead),
    CustomerOpened(Customer),
    ChargeCard(ChargeCard),
    SetAutoTopup(SetAutoTopup),
    EndAutoTopup(UserId),
    AutoTopups(AutoTopups),
    SessionOpened(SessionOpened),
    SessionRefused {
        claim: Claim,
        code: String,
        message: String,
    },
    SessionRead(SessionRead),
    RequestRefund(RequestRefund),
    DecideRefund {
        refund: RefundId,
        agrees: bool,
        by: String,
    },
    RefundSent(RefundSent),
    ReturnsRead(ReturnsRead),
    Adopt(Box<Adopt>),
    Recovery(recovery::Step),
    Keep(Keep),
    Turn(turn::Step),
    /// Stored events, by number, to be worked off again.
    ReplayEvents(Vec<i64>),
    ReceiveEvent(ReceiveEvent),
    ApplyEvents(Vec<ApplyEvent>),
    ClaimJob(JobKey),
    /// Whoever works on a job says that he is still there.
    RenewClaim(Claim),
    DeferJob {
        claim: Claim,
        run_at: Time,
        error: String,
    },
    DropJob(Claim),
    IssueKey(IssueKey),
    RevokeKey(ApiKeyId),
}

impl Command {
    /// Whether it only asks: whatever comes of it, nothing is changed.
    pub const fn is_question(&self) -> bool {
        matches!(self, Self::ReadWallets(_) | Self::Precheck(_))
    }
}

/// A command with the idempotency key it came under, if any.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// What is asked.
    pub command: Command,
    /// Under which key.
    pub idempotency: Idempotency,
}

/// Adds what `request` wants to see and `state` does not have. To be asked again after loading, until nothing is added.
pub fn needs(request: &Request, state: &State, needs: &mut Needs) {
    let mut wanted = Wanted::new(state, needs);
    if let Some((key, _)) = &request.idempotency {
        wanted.answer(key);
    }
    match &request.command {
        Command::IssueKey(_) | Command::RecordUsage(_) => {}
        Command::CreateTopup(wish) => topup::needs_to_create(&mut wanted, wish),
        Command::Bonus(asked) => asked.needs(&mut wanted),
        Command::FinishTopup { topup, .. } | Command::CancelTopup { topup, .. } => {
            topup::needs_to_finish(&mut wanted, topup);
            checkout::needs_to_close_checkout(&mut wanted, topup);
        }
        Command::Adjust(adjust) => {
            let key = AccountKey::wallet(&adjust.user);
            grant::needs_to_give(&mut wanted, &key, AccountKind::Adjusted);
        }
        Command::CreateGrant(terms) => grant::needs_to_create(&mut wanted, terms),
        Command::VoidGrant { grant, .. } => grant::needs_to_void(&mut wanted, *grant),
        Command::Charge(charge) => charge::needs(&mut wanted, charge),
        Command::ChargeAll(all) => all.needs(&mut wanted),
        Command::Precheck(precheck) => charge::needs(&mut wanted, &precheck.charge),
        Command::CreateHold(wish) => charge::needs(&mut wanted, &wish.charge),
        Command::ProgressHold { hold, .. }
        | Command::ExtendHold { hold, .. }
        | Command::SettleHold { hold, .. }
        | Command::ReleaseHold { hold, .. } => hold::needs_of(&mut wanted, *hold),
        Command::SetOverdraft { user, unit, .. } | Command::SetFrozen { user, unit, .. } => {
            wanted.wallet(&AccountKey::wallet_in(user, *unit));
        }
        Command::Exchange(wish) => exchange::needs(&mut wanted, wish),
        Command::SetLimit(wish) => wanted.limits(&wish.subject),
        Command::RemoveLimit(limit) => limit::needs_to_remove(&mut wanted, *limit),
        Command::ReadWallets(keys) => keys.iter().for_each(|key| {
            wanted.wallet(key);
        }),
        Command::Sweep(sweep) => sweep::needs(&mut wanted, sweep),
        Command::OpenCheckout(wish) => opening::needs(&mut wanted, &wish.topup),
        Command::OpenIntent(wish) => opening::needs(&mut wanted, &wish.topup),
        Command::IntentOpened(opened) => intent::needs_of_opened(&mut wanted, opened),
        Command::IntentRead(read) => intent::needs_of_read(&mut wanted, read),
        Command::CustomerOpened(customer) => wanted.customer(&customer.key),
        Command::ChargeCard(wish) => opening::needs(&mut wanted, &wish.topup),
        Command::SetAutoTopup(wish) => auto_topup::needs(&mut wanted, &wish.user),
        Command::EndAutoTopup(user) => auto_topup::needs(&mut wanted, user),
        Command::AutoTopups(all) => {
            if all.read_to.is_some() {
                wanted.mark(&auto_topup::MARK.to_owned());
            }
            all.users
                .iter()
                .for_each(|user| auto_topup::needs(&mut wanted, user));
        }
        Command::SessionOpened(opened) => checkout::needs_of_opened(&mut wanted, opened),
        Command::SessionRefused { claim, .. }
        | Command::RenewClaim(claim)
        | Command::DeferJob { claim, .. }
        | Command::DropJob(claim) => checkout::needs_of_claim(&mut wanted, claim),
        Command::SessionRead(read) => checkout::needs_of_read(&mut wanted, read),
        Command::RequestRefund(wish) => refund::needs_to_request(&mut wanted, wish),
        Command::DecideRefund { refund, .. } => refund::needs_of(&mut wanted, refund),
        Command::RefundSent(sent) => refund::needs_of_sent(&mut wanted, sent),
        Command::ReturnsRead(read) => read.needs(&mut wanted),
        Command::Adopt(adopt) => adoption::needs(&mut wanted, adopt),
        Command::Recovery(_) => recovery::needs(&mut wanted),
        Command::Keep(keep) => drop(wanted.mark(&keep.name())),
        Command::Turn(_) => drop(wanted.mark(&mark::TURN.to_owned())),
        Command::ReplayEvents(numbers) => numbers.iter().for_each(|number| wanted.event(number)),
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
    answer::once(
        state,
        context,
        request.idempotency.as_ref(),
        |state, context| decide(state, context, &request.command),
    )
}

/// Changes the state as the command asks, or says why not.
#[expect(
    clippy::too_many_lines,
    reason = "one arm for each command, and none for those that were forgotten"
)]
pub fn decide(
    state: &mut State,
    context: &mut Context<'_>,
    command: &Command,
) -> Result<Reply, Refusal> {
    let now = context.now;
    match command {
        Command::CreateTopup(wish) => topup::create(state, context, wish).map(Reply::Topup),
        Command::FinishTopup { topup, remark } => {
            let finished = topup::finish_by_admin(state, context, topup, remark)?;
            Ok(ended(state, now, finished))
        }
        Command::CancelTopup { topup, remark } => {
            let canceled = topup::cancel(state, now, topup, remark)?;
            Ok(ended(state, now, canceled))
        }
        Command::Adjust(adjust) => adjustment::adjust(state, context, adjust).map(Reply::Adjusted),
        Command::CreateGrant(terms) => grant::create(state, context, terms).map(Reply::Grant),
        Command::VoidGrant { grant, remark } => {
            grant::void(state, now, *grant, remark).map(Reply::Grant)
        }
        Command::Charge(charge) => charge::charge(state, context, charge).map(Reply::Charged),
        Command::ChargeAll(all) => charges::charge_all(state, context, all).map(Reply::ChargedAll),
        Command::Precheck(asked) => charges::precheck(state, context, asked).map(Reply::Prechecked),
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
        } => {
            let key = AccountKey::wallet_in(user, *unit);
            wallet::set_overdraft(state, &key, *overdraft, now).map(Reply::Overdraft)
        }
        Command::SetFrozen { user, unit, frozen } => {
            wallet::set_frozen(state, &AccountKey::wallet_in(user, *unit), *frozen, now);
            Ok(Reply::Done)
        }
        Command::Exchange(wish) => exchange::exchange(state, context, wish).map(Reply::Exchanged),
        Command::SetLimit(wish) => limit::set(state, now, wish).map(Reply::Limit),
        Command::RemoveLimit(limit) => limit::remove(state, *limit).map(Reply::Limit),
        Command::RecordUsage(fact) => usage::record(state, now, fact).map(Reply::Usage),
        Command::Bonus(asked) => asked.decide(state, context),
        Command::ReadWallets(keys) => {
            let wallets = keys.iter().map(|key| state.wallets.get(key).cloned());
            Ok(Reply::Wallets(wallets.collect()))
        }
        Command::Sweep(sweep) => sweep::sweep(state, context, sweep).map(|()| Reply::Done),
        Command::OpenCheckout(wish) => checkout::open(state, context, wish).map(Reply::Payment),
        Command::OpenIntent(wish) => intent::open(state, context, wish).map(Reply::Payment),
        Command::IntentOpened(opened) => intent::opened(state, context, opened).map(Reply::Payment),
        Command::IntentRead(read) => intent::read(state, context, read).map(Reply::Payment),
        Command::CustomerOpened(customer) => Ok(Reply::Customer(customer::opened(state, customer))),
        Command::ChargeCard(wish) => intent::charge(state, context, wish).map(Reply::Payment),
        Command::SetAutoTopup(wish) => auto_topup::set(state, context, wish).map(Reply::AutoTopup),
        Command::EndAutoTopup(user) => auto_topup::end(state, now, user).map(Reply::AutoTopup),
        Command::AutoTopups(all) => {
            auto_topup::attempt_all(state, context, all);
            Ok(Reply::Done)
        }
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
        Command::RequestRefund(wish) => refund::request(state, context, wish).map(Reply::Refund),
        Command::DecideRefund { refund, agrees, by } => {
            refund::decide(state, context, (refund, *agrees), by).map(Reply::Refund)
        }
        Command::RefundSent(sent) => refund::sent(state, context, sent).map(Reply::Refund),
        Command::ReturnsRead(read) => reversal::read(state, context, read).map(Reply::Payment),
        Command::Adopt(adopt) => adoption::adopt(state, context, adopt).map(Reply::Payment),
        Command::Recovery(step) => Ok(Reply::Recovery(recovery::step(state, now, step))),
        Command::Keep(keep) => {
            mark::keep(state, keep);
            Ok(Reply::Done)
        }
        Command::Turn(step) => Ok(Reply::Turn(turn::step(state, now, *step))),
        Command::ReplayEvents(numbers) => Ok(Reply::Replayed(event::replay(state, numbers))),
        Command::ReceiveEvent(event) => {
            let (number, duplicate) = event::receive(state, context, event);
            Ok(Reply::Received { number, duplicate })
        }
        Command::ApplyEvents(events) => {
            let events = events.iter();
            let outcomes = events.map(|event| notice::apply(state, context, event));
            Ok(Reply::Applied(outcomes.collect()))
        }
        Command::ClaimJob(key) => job::claim(state, context, key).map(Reply::Claimed),
        Command::RenewClaim(claim) => {
            job::check_claim(state, claim)?;
            job::renew(state, now, claim);
            Ok(Reply::Done)
        }
        Command::DeferJob {
            claim,
            run_at,
            error,
        } => {
            job::check_claim(state, claim)?;
            job::put_back(state, now, claim, *run_at, error);
            Ok(Reply::Done)
        }
        Command::DropJob(claim) => {
            job::check_claim(state, claim)?;
            job::give_up(state, now, claim);
            Ok(Reply::Done)
        }
        Command::IssueKey(key) => Ok(Reply::ApiKey(api_key::issue(state, context, key))),
        Command::RevokeKey(id) => api_key::revoke(state, context, id).map(Reply::ApiKey),
    }
}

/// An administrator has ended a top-up: nobody shall pay for it any more.
fn ended(state: &mut State, now: Time, topup: Topup) -> Reply {
    checkout::close_checkout(state, now, &topup.id);
    Reply::Topup(topup)
}
