//! What a worker of the engine reaches here: places where the run stops until a later step goes on.

use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bursar_domain::command::{Command, Reply, Request as Asked};
use bursar_domain::mark::{self, Keep, StampKey};
use bursar_domain::time::Time;
use bursar_engine::auto_topup::Place;
use bursar_engine::clock::{Clock as _, FixedClock};
use bursar_engine::outside::{Books, Provider};
use bursar_engine::reconcile::Report;
use bursar_engine::{EngineError, Once};
use bursar_store::query::Reader;
use bursar_store::{Share, StoreError};
use bursar_stripe::request::Request;
use bursar_stripe::secret_key::Mode;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::run::Seen;

/// Where an answer will be.
pub(crate) type Slot<T> = Arc<Mutex<Awaited<T>>>;

/// An answer, and who waits for it.
#[derive(Debug)]
pub(crate) struct Awaited<T> {
    answer: Option<T>,
    waker: Option<Waker>,
}

impl<T> Default for Awaited<T> {
    fn default() -> Self {
        Self {
            answer: None,
            waker: None,
        }
    }
}

pub(crate) type Written = Result<Once<Reply>, EngineError>;
pub(crate) type Called = Result<Value, bursar_stripe::Error>;

/// Who waits for the writer.
#[derive(Debug, Clone)]
pub(crate) enum From {
    /// The request of a client, by its number.
    Client(usize),
    /// Nobody who would remember the answer: a delivery of Stripe's, a client that makes a mistake.
    Nobody,
    /// A worker.
    Worker(Slot<Written>),
}

/// A request that waits for the writer.
#[derive(Debug)]
pub(crate) struct Waiting {
    pub(crate) request: Asked,
    pub(crate) from: From,
}

/// A call to Stripe under way.
#[derive(Debug)]
pub(crate) struct Call {
    pub(crate) request: Request,
    /// When it was sent.
    pub(crate) at: i64,
    /// Stripe's answer, once the call has reached it.
    pub(crate) answer: Option<Called>,
    /// Who waits; nobody after a time-out or a crash, and then it may still reach Stripe.
    pub(crate) slot: Option<Slot<Called>>,
}

pub(crate) struct Inner {
    pub(crate) reader: Option<Reader>,
    pub(crate) queue: Vec<Waiting>,
    pub(crate) calls: Vec<Call>,
    /// So many of the next readings of workers are slow.
    pub(crate) slow: u32,
    /// Where workers wait that have read, and have not got to see it.
    pub(crate) readings: Vec<Slot<()>>,
    /// What workers have done.
    pub(crate) seen: Seen,
    /// Which events the inbox works off.
    pub(crate) share: Option<Share>,
    /// How far announcements have been looked at.
    pub(crate) looked_to: Option<Place>,
    /// The number of the turn that this node believes to have.
    pub(crate) turn: Option<i64>,
    /// The report of the newest reconciliation.
    pub(crate) report: Option<Report>,
    stamp_key: Option<StampKey>,
    /// What this process would make the key for stamps of, if it were the first to need one.
    drawn: u8,
}

/// What all workers of one process share.
#[derive(Clone)]
pub(crate) struct Reach {
    inner: Arc<Mutex<Inner>>,
    pub(crate) clock: Arc<FixedClock>,
}

impl Reach {
    pub(crate) fn new(clock: Arc<FixedClock>, number: u64) -> Self {
        let inner = Inner {
            reader: None,
            queue: Vec::new(),
            calls: Vec::new(),
            slow: 0,
            readings: Vec::new(),
            seen: Seen::new(),
            share: None,
            looked_to: None,
            turn: None,
            report: None,
            stamp_key: None,
            drawn: 7 + u8::try_from(number).unwrap_or(0),
        };
        Self {
            inner: Arc::new(Mutex::new(inner)),
            clock,
        }
    }

    pub(crate) fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn count(&self, what: &'static str, number: u64) {
        *self.inner().seen.entry(what).or_default() += number;
    }

    /// Where to wait for what was read, if this reading is slow: what was true then may be old when it is seen.
    fn slow_reading(&self) -> Option<Slot<()>> {
        let mut inner = self.inner();
        inner.slow = inner.slow.checked_sub(1)?;
        let reading = Slot::default();
        inner.readings.push(Arc::clone(&reading));
        drop(inner);
        self.count("slow_readings", 1);
        Some(reading)
    }

    /// Reads at once: nothing happens in between.
    pub(crate) fn ask<T>(
        &self,
        question: impl FnOnce(&mut Reader) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let mut inner = self.inner();
        let closed = || StoreError::Unusable("the process is dead".to_owned());
        question(inner.reader.as_mut().ok_or_else(closed)?)
    }
}

/// Waits for an answer. Whoever puts it there polls again.
struct Wait<T>(Slot<T>);

impl<T> Future for Wait<T> {
    type Output = T;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<T> {
        let mut awaited = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(answer) = awaited.answer.take() {
            return Poll::Ready(answer);
        }
        // Whoever waits for many at once asks only those again that have called.
        awaited.waker = Some(context.waker().clone());
        Poll::Pending
    }
}

/// Lets others go on once.
struct Breath(bool);

impl Future for Breath {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        if std::mem::replace(&mut self.0, true) {
            return Poll::Ready(());
        }
        context.waker().wake_by_ref();
        Poll::Pending
    }
}

/// Puts an answer where somebody waits for it.
pub(crate) fn put<T>(slot: &Slot<T>, answer: T) {
    let mut awaited = slot.lock().unwrap_or_else(PoisonError::into_inner);
    awaited.answer = Some(answer);
    if let Some(waker) = awaited.waker.take() {
        waker.wake();
    }
}

/// Takes an answer that nobody waits for.
pub(crate) fn take<T>(slot: &Slot<T>) -> Option<T> {
    let mut awaited = slot.lock().unwrap_or_else(PoisonError::into_inner);
    awaited.answer.take()
}

impl Books for Reach {
    fn now(&self) -> Time {
        self.clock.now()
    }

    async fn read<T: Send + 'static>(
        &self,
        question: impl FnOnce(&mut Reader) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, EngineError> {
        let answer = self.ask(question)?;
        if let Some(reading) = self.slow_reading() {
            Wait(reading).await;
        }
        Ok(answer)
    }

    async fn submit(&self, command: Command) -> Result<Reply, EngineError> {
        let slot = Slot::default();
        let request = Asked {
            command,
            idempotency: None,
        };
        let from = From::Worker(Arc::clone(&slot));
        self.inner().queue.push(Waiting { request, from });
        Wait(slot).await.map(|answered| answered.value)
    }

    fn share(&self) -> Option<Share> {
        self.inner().share
    }

    /// Until something else has happened: time is what a script says it is.
    async fn pause(&self, _: Duration) {
        Breath(false).await;
    }
}

impl Provider for Reach {
    fn mode(&self) -> Mode {
        Mode::Test
    }

    async fn call<T: DeserializeOwned + Send>(
        &self,
        request: &Request,
    ) -> Result<T, bursar_stripe::Error> {
        let slot = Slot::default();
        let call = Call {
            request: request.clone(),
            at: self.clock.now().seconds(),
            answer: None,
            slot: Some(Arc::clone(&slot)),
        };
        self.inner().calls.push(call);
        let body = Wait(slot).await?;
        serde_json::from_value(body).map_err(|error| bursar_stripe::Error::Garbled {
            reason: error.to_string(),
            request_id: None,
        })
    }

    async fn stamp_key(&self) -> Result<StampKey, EngineError> {
        if let Some(key) = self.inner().stamp_key.clone() {
            return Ok(key);
        }
        let drawn = self.inner().drawn;
        let keep = Keep::StampKey(StampKey::new([drawn; 32]));
        self.submit(Command::Keep(keep)).await?;
        let kept = self.ask(|reader| reader.mark(mark::STAMP_KEY))?;
        let key = kept.as_deref().and_then(StampKey::parse);
        let key = key.ok_or_else(|| StoreError::Unusable("no key for stamps".to_owned()))?;
        self.inner().stamp_key = Some(key.clone());
        Ok(key)
    }
}
