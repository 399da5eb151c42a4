//! Does what is owed: claims due jobs, calls Stripe, brings back the result.

pub(crate) mod intents;
mod returns;

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use bursar_domain::checkout::{SessionOpened, SessionRead};
use bursar_domain::command::{Command, Reply};
use bursar_domain::job::{self, Claim, JobKey, JobKind};
use bursar_domain::payment::Payment;
use bursar_domain::planted::{self, Bug};
use bursar_store::query::Reader;
use bursar_stripe::error::Retry;
use bursar_stripe::object::Metadata;
use bursar_stripe::secret_key::Mode;
use tokio::sync::{Semaphore, watch};

use crate::outside::{Books, Live, Provider};
use crate::{CallEnd, Engine, EngineError, bridge};

/// As many calls to Stripe at the same time. Stripe allows 25 a second for one operation.
const CALLS_MAX: usize = 8;

/// A look without being woken: finds what became due while nobody was told.
const PAUSE_MAX: Duration = Duration::from_secs(5);

/// How often a claim is renewed while a call is under way.
const RENEW_PAUSE: Duration = Duration::from_secs(job::RENEW_SECONDS.unsigned_abs());

/// Stripe may forget an idempotency key after 24 hours. A session that could not be opened until then is given up, since
/// a later try might open a second one.
const OPEN_SECONDS_MAX: i64 = 23 * 3_600;

pub(crate) async fn run(engine: Engine, mut stopped: watch::Receiver<bool>) {
    let Some(client) = engine.stripe().cloned() else {
        return;
    };
    let live = Live { engine, client };
    let engine = &live.engine;
    let calls = Arc::new(Semaphore::new(CALLS_MAX));
    while !*stopped.borrow() {
        let pause = match start_due(&live, &calls).await {
            Ok(pause) => pause,
            Err(EngineError::Stopping) => break,
            Err(error) => {
                tracing::error!(%error, "due jobs could not be looked up; trying again");
                PAUSE_MAX
            }
        };
        tokio::select! {
            () = engine.shared.jobs_wake.notified() => {}
            () = tokio::time::sleep(pause) => {}
            _ = stopped.changed() => {}
        }
    }
    // Calls under way may finish; whatever does not is claimed again after the next start.
    let all = u32::try_from(CALLS_MAX).unwrap_or(u32::MAX);
    let _ = tokio::time::timeout(PAUSE_MAX, calls.acquire_many(all)).await;
}

/// Starts as many due jobs as there is room for; how long to wait until the next look. Never waits for a call to end: that
/// wakes us, and a stop must not wait for Stripe.
async fn start_due(live: &Live, calls: &Arc<Semaphore>) -> Result<Duration, EngineError> {
    let engine = &live.engine;
    let now = engine.now();
    let (due, next) = engine
        .read(move |reader| reader.due_jobs(now, CALLS_MAX))
        .await?;
    for key in due {
        let Ok(permit) = Arc::clone(calls).try_acquire_owned() else {
            return Ok(PAUSE_MAX);
        };
        let Some(claim) = claim(engine, key).await? else {
            continue;
        };
        let live = live.clone();
        tokio::spawn(async move {
            let key = claim.key.clone();
            let ended = tokio::select! {
                ended = work(&live, claim.clone()) => ended,
                never = keep(&live.engine, claim) => match never {},
            };
            if let Some(end) = ended {
                // Nobody may be waiting for it.
                let _ = live.engine.shared.call_ends.send((key, end));
            }
            drop(permit);
            live.engine.shared.jobs_wake.notify_one();
        });
    }
    let until_next = next.map(|next| next.0.saturating_sub(engine.now().0).max(0));
    let until_next = until_next.and_then(|microseconds| u64::try_from(microseconds).ok());
    Ok(until_next
        .map_or(PAUSE_MAX, Duration::from_micros)
        .clamp(Duration::from_millis(5), PAUSE_MAX))
}

/// Claims a job that was found to be due; none if somebody was faster.
pub async fn claim(books: &impl Books, key: JobKey) -> Result<Option<Claim>, EngineError> {
    match books.submit(Command::ClaimJob(key)).await {
        Ok(Reply::Claimed(claim)) => Ok(Some(claim)),
        Ok(_) | Err(EngineError::Refused(_)) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Keeps a claim for as long as somebody works on the job. One that was lost is not called back: its result will be refused.
async fn keep(engine: &Engine, claim: Claim) -> Infallible {
    loop {
        tokio::time::sleep(RENEW_PAUSE).await;
        if let Err(error) = engine.submit(Command::RenewClaim(claim.clone())).await {
            tracing::debug!(%error, job.subject = %claim.key.subject, "a claim was not renewed");
        }
    }
}

/// Does a claimed job; how it has ended, if anybody may want to know.
pub async fn work(provider: &impl Provider, claim: Claim) -> Option<CallEnd> {
    match call(provider, claim.clone()).await {
        Ok(()) => Some(CallEnd::Done),
        Err(CallError::Engine(EngineError::Refused(_) | EngineError::Stopping)) => None,
        Err(CallError::Engine(error)) => {
            tracing::error!(%error, job.subject = %claim.key.subject, "a call could not be made, or its result not be stored");
            put_back(provider, claim, 1, error.to_string()).await;
            Some(CallEnd::Deferred {
                code: "not_stored",
                message: error.to_string(),
            })
        }
        Err(CallError::Stripe(error)) => Some(defer(provider, claim, &error).await),
    }
}

pub(crate) enum CallError {
    Stripe(bursar_stripe::Error),
    Engine(EngineError),
}

impl From<EngineError> for CallError {
    fn from(error: EngineError) -> Self {
        Self::Engine(error)
    }
}

async fn call(provider: &impl Provider, claim: Claim) -> Result<(), CallError> {
    let result = match claim.key.kind {
        JobKind::OpenSession
        | JobKind::ReadSession
        | JobKind::CloseSession
        | JobKind::OpenIntent
        | JobKind::ChargeCard
        | JobKind::ReadIntent
        | JobKind::CancelIntent
        | JobKind::ReadReturns => call_for_payment(provider, claim).await?,
        JobKind::SendRefund => returns::send_refund(provider, claim).await?,
    };
    provider.submit(result).await?;
    Ok(())
}

async fn call_for_payment(provider: &impl Provider, claim: Claim) -> Result<Command, CallError> {
    let id = claim.key.payment();
    let read = move |reader: &mut Reader| match &id {
        Some(id) => reader.payment(id),
        None => Ok(None),
    };
    let Some(payment) = provider.read(read).await? else {
        return Ok(Command::DropJob(claim));
    };
    match claim.key.kind {
        JobKind::OpenSession => open_session(provider, claim, &payment).await,
        JobKind::CloseSession => close_session(provider, claim, &payment).await,
        JobKind::ReadReturns => returns::read(provider, claim, &payment).await,
        JobKind::OpenIntent | JobKind::ChargeCard => intents::open(provider, claim, &payment).await,
        JobKind::ReadIntent => intents::read(provider, claim, &payment).await,
        JobKind::CancelIntent => intents::cancel(provider, claim, &payment).await,
        _ => read_session(provider, claim, &payment).await,
    }
}

async fn open_session(
    provider: &impl Provider,
    claim: Claim,
    payment: &Payment,
) -> Result<Command, CallError> {
    if payment.created_at.plus_seconds(OPEN_SECONDS_MAX) < provider.now() {
        let message = "no session could be opened within a day: ask for a new checkout".to_owned();
        return Ok(refused(claim, "open_timed_out", message));
    }
    if let Some(message) = wrong_mode(provider, payment) {
        return Ok(refused(claim, "key_mode_changed", message));
    }
    let discount = match take_off(provider, payment).await {
        Ok(discount) => discount,
        Err(CallError::Stripe(bursar_stripe::Error::Refused(refusal))) => {
            return Ok(refused_by(claim, &refusal));
        }
        Err(error) => return Err(error),
    };
    let customer = intents::customer_of(provider, payment).await?;
    let carried = carried(provider, payment).await?;
    let mut asked = bridge::outbound::open_session(payment, customer.as_ref(), discount, carried);
    if planted::is(Bug::SessionKeyPerTry) {
        asked.idempotency_key = Some(format!("{}-{}", payment.id, claim.attempt));
    }
    match provider.call(&asked).await {
        Ok(session) => {
            let fact = bridge::inbound::session_fact(&session);
            Ok(Command::SessionOpened(SessionOpened {
                claim,
                checkout_url: session.url,
                fact,
            }))
        }
        Err(bursar_stripe::Error::Refused(refusal)) => Ok(refused_by(claim, &refusal)),
        Err(error) => Err(CallError::Stripe(error)),
    }
}

/// What Stripe is to carry for a payment, so that it can be made again after a loss.
async fn carried(provider: &impl Provider, payment: &Payment) -> Result<Metadata, EngineError> {
    let key = provider.stamp_key().await?;
    let id = payment.topup.clone();
    let topup = provider.read(move |reader| reader.topup(&id)).await?;
    Ok(topup.map_or_else(Metadata::default, |topup| {
        bridge::stamp::write(&key, &bridge::stamp::Wish::of(payment, &topup))
    }))
}

/// What the coupon of a payment's top-up takes off the price. Stripe is told of it first, as a coupon for this payment alone.
async fn take_off(provider: &impl Provider, payment: &Payment) -> Result<i64, CallError> {
    let id = payment.topup.clone();
    let topup = provider.read(move |reader| reader.topup(&id)).await?;
    let Some((code, discount)) = topup
        .filter(|topup| topup.discount > 0)
        .and_then(|topup| Some((topup.coupon?, topup.discount)))
    else {
        return Ok(0);
    };
    let request = bridge::outbound::create_coupon(payment, discount, &code);
    match provider
        .call::<bursar_stripe::object::Coupon>(&request)
        .await
    {
        Ok(_) => Ok(discount),
        Err(bursar_stripe::Error::Refused(refusal))
            if refusal.code.as_deref() == Some("resource_already_exists") =>
        {
            Ok(discount)
        }
        Err(error) => Err(CallError::Stripe(error)),
    }
}

fn refused(claim: Claim, code: &str, message: String) -> Command {
    Command::SessionRefused {
        claim,
        code: code.to_owned(),
        message,
    }
}

/// What Stripe refuses for good, in its own words.
fn refused_by(claim: Claim, refusal: &bursar_stripe::error::Refusal) -> Command {
    let code = refusal.code.as_deref().unwrap_or("provider_refused");
    refused(claim, code, refusal.message.clone())
}

/// Why the key that is configured cannot open this payment, if it cannot.
fn wrong_mode(provider: &impl Provider, payment: &Payment) -> Option<String> {
    let is_right = payment.livemode == (provider.mode() == Mode::Live);
    let message = "the key was changed between test and live: ask for a new checkout";
    (!is_right).then(|| message.to_owned())
}

async fn read_session(
    provider: &impl Provider,
    claim: Claim,
    payment: &Payment,
) -> Result<Command, CallError> {
    let Some(session) = &payment.session else {
        return Ok(Command::DropJob(claim));
    };
    let session = provider
        .call(&bridge::outbound::read_session(session))
        .await
        .map_err(CallError::Stripe)?;
    let fact = bridge::inbound::session_fact(&session);
    Ok(Command::SessionRead(SessionRead {
        payment: payment.id.clone(),
        claim: Some(claim),
        fact,
    }))
}

/// Stripe refuses to close a session that has ended by itself; how, the session says.
async fn close_session(
    provider: &impl Provider,
    claim: Claim,
    payment: &Payment,
) -> Result<Command, CallError> {
    let Some(session) = &payment.session else {
        return Ok(Command::DropJob(claim));
    };
    match provider
        .call(&bridge::outbound::close_session(payment, session))
        .await
    {
        Ok(session) => {
            let fact = bridge::inbound::session_fact(&session);
            Ok(Command::SessionRead(SessionRead {
                payment: payment.id.clone(),
                claim: Some(claim),
                fact,
            }))
        }
        Err(bursar_stripe::Error::Refused(_)) => read_session(provider, claim, payment).await,
        Err(error) => Err(CallError::Stripe(error)),
    }
}

/// Puts the job back with a growing pause. Whatever the call did at Stripe, the next try uses the same key.
async fn defer(provider: &impl Provider, claim: Claim, error: &bursar_stripe::Error) -> CallEnd {
    tracing::warn!(%error, job.subject = %claim.key.subject, job.kind = claim.key.kind.as_str(), "a call to Stripe failed");
    let asked_for = match error.retry() {
        Retry::SameKey { after } => after.and_then(|after| i64::try_from(after.as_secs()).ok()),
        // Only a person can change that; until then it is not asked more often than an open session is.
        Retry::Never => Some(job::read_pause_seconds(claim.attempt)),
    };
    let exponent = u32::try_from(claim.attempt.clamp(0, 9)).unwrap_or(0);
    let pause = asked_for.unwrap_or(0).max(2_i64.pow(exponent) / 2);
    put_back(provider, claim, pause, error.to_string()).await;
    CallEnd::Deferred {
        code: error.code(),
        message: error.to_string(),
    }
}

/// Lets go of a job, which is due again after so many seconds.
async fn put_back(provider: &impl Provider, claim: Claim, pause: i64, error: String) {
    let deferred = Command::DeferJob {
        claim,
        run_at: provider.now().plus_seconds(pause),
        error,
    };
    if let Err(error) = provider.submit(deferred).await {
        tracing::warn!(%error, "a job could not be put back; its claim runs out by itself");
    }
}
