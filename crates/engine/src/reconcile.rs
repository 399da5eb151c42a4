//! Reconciliation: whether Stripe and the books say the same, and what to do where they do not.
//!
//! Every layer looks at the world in another way, so that what one cannot see another does: events that were not delivered, the
//! objects themselves, every movement of Stripe's balance, and our own rows. What is repaired goes the way that webhooks go, with
//! everything that is compared there; a reconciliation has no way of its own to move a credit.

mod adopt;
mod books;
mod events;
mod money;
mod pass;
mod report;
mod returns;
mod sessions;
mod worker;

use std::sync::Mutex;
use std::time::Duration;

use bursar_domain::command::{Command, OtherReply, Reply};
use bursar_domain::event::EventStatus;
use bursar_domain::payment::Payment;
use bursar_domain::recovery::{Recovery, Step};
use bursar_store::query::{Reader, Span};

use crate::outside::{Books, Live, Provider};
use crate::{Engine, EngineError};
use pass::Pass;

pub use events::{EVENT_KINDS, scan_events};
pub use report::{Class, Count, Finding, Looked, Money, Report, State};
pub use worker::Schedule;

/// What is younger may be on its way: a difference that is none.
pub const GRACE_SECONDS: i64 = 120;

/// Without a beginning, so far back is looked.
pub const DEFAULT_SECONDS: i64 = 35 * 86_400;

/// A run that looked up to so long ago has seen the present.
const PRESENT_SECONDS: i64 = 900;

/// A run waits for events that it has taken in to be worked off: so many looks, five minutes in all.
const INBOX_LOOKS: u32 = 60_000;

/// The pause between two of these.
const INBOX_PAUSE: Duration = Duration::from_millis(5);

/// What a run looks at, and what it may do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// Objects made at Stripe in this time.
    pub span: Span,
    /// Whether differences are repaired that can be repaired without a person.
    pub repair: bool,
    /// At most so many repairs; events that are taken in do not count.
    pub count_max: u64,
    /// At most so much money in all repairs, in smallest steps of each currency.
    pub amount_max: Option<i64>,
    /// Whether events are asked for as well. Stripe keeps them for thirty days.
    pub with_events: bool,
}

impl Options {
    /// The last 35 days up to two minutes ago, at most 50 repairs; nothing is repaired unless it is asked for.
    pub fn until(now: i64) -> Self {
        Self {
            span: Span {
                from: now - DEFAULT_SECONDS,
                to: now - GRACE_SECONDS,
            },
            repair: false,
            count_max: 50,
            amount_max: None,
            with_events: true,
        }
    }
}

/// What an engine remembers of reconciliations.
#[derive(Debug, Default)]
pub(crate) struct Desk {
    /// One at a time: two would find the same, and repair it twice over their limits.
    turn: tokio::sync::Mutex<()>,
    state: Mutex<RunState>,
}

/// How the newest run stands.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum RunState {
    /// There was none since the start.
    #[default]
    None,
    /// It is under way.
    Running,
    /// It has come to its end.
    Done(Box<Report>),
    /// It could not come to its end.
    Failed(String),
}

impl Engine {
    /// Compares Stripe and the books. One run at a time; a second one waits.
    pub async fn reconcile(&self, options: &Options) -> Result<Report, EngineError> {
        let _turn = self.shared.reconciling.turn.lock().await;
        self.remember_run(RunState::Running);
        let outcome = self.reconcile_alone(options).await;
        self.remember_run(match &outcome {
            Ok(report) => RunState::Done(Box::new(report.clone())),
            Err(error) => RunState::Failed(error.to_string()),
        });
        outcome
    }

    /// How the newest run stands.
    pub fn reconciliation(&self) -> RunState {
        let state = self.shared.reconciling.state.lock();
        state
            .unwrap_or_else(std::sync::PoisonError::into_inner)
            .clone()
    }

    /// Begins a run and does not wait for its end. False if one is under way.
    pub fn begin_reconciliation(&self, options: Options) -> bool {
        if self.shared.reconciling.turn.try_lock().is_err() {
            return false;
        }
        self.remember_run(RunState::Running);
        let engine = self.clone();
        tokio::spawn(async move {
            if let Err(error) = engine.reconcile(&options).await {
                tracing::error!(%error, "a reconciliation could not come to its end");
            }
        });
        true
    }

    fn remember_run(&self, run: RunState) {
        let state = self.shared.reconciling.state.lock();
        *state.unwrap_or_else(std::sync::PoisonError::into_inner) = run;
    }

    async fn reconcile_alone(&self, options: &Options) -> Result<Report, EngineError> {
        run(&self.in_background()?, options).await
    }

    /// Stripe as it is reached where nobody waits.
    fn in_background(&self) -> Result<Live, EngineError> {
        let client = self.stripe().ok_or(EngineError::NoProvider)?.background();
        let engine = self.clone();
        Ok(Live { engine, client })
    }

    /// Asks Stripe for the events since the last time, and takes in those that were not delivered; how many of them were late and not
    /// just on their way.
    pub async fn scan_events(&self) -> Result<usize, EngineError> {
        scan_events(&self.in_background()?).await
    }

    /// Events that were taken in are worked off by the inbox, as always.
    pub async fn wait_for_inbox(&self) -> Result<(), EngineError> {
        wait_for_inbox(self).await
    }

    /// The recovery mode, if the service is in it.
    pub async fn recovery(&self) -> Result<Option<Recovery>, EngineError> {
        recovery(self).await
    }

    /// Begins or ends the recovery mode; what it is then.
    pub async fn step_recovery(&self, step: Step) -> Result<Option<Recovery>, EngineError> {
        step_recovery(self, step).await
    }

    /// Works stored events off again: those that arrived in `span`. How many there were.
    pub async fn replay_span(&self, span: Span) -> Result<i64, EngineError> {
        const CHUNK: usize = 256;
        let (mut after, mut count) = (0, 0);
        loop {
            let from = after;
            let numbers = self
                .read(move |reader| reader.events_received(span, from, CHUNK))
                .await?;
            let Some(last) = numbers.last() else {
                return Ok(count);
            };
            after = *last;
            count += self.replay(numbers).await?;
        }
    }

    /// Works these stored events off again, by number; how many of them there are.
    pub async fn replay(&self, numbers: Vec<i64>) -> Result<i64, EngineError> {
        let reply = self.submit(Command::ReplayEvents(numbers)).await?;
        self.shared.events_wake.notify_one();
        match reply {
            Reply::Replayed(count) => Ok(count),
            _ => Err(OtherReply.into()),
        }
    }
}

/// One run, from its beginning to its end. Whoever calls it sees to it that there is one at a time.
pub async fn run(provider: &impl Provider, options: &Options) -> Result<Report, EngineError> {
    let key = provider.stamp_key().await?;
    let mut pass = Pass::new(provider, key, options);
    if options.with_events {
        events::compare(&mut pass).await?;
        wait_for_inbox(provider).await?;
    }
    sessions::compare_sessions(&mut pass).await?;
    sessions::compare_intents(&mut pass).await?;
    returns::compare_refunds(&mut pass).await?;
    returns::compare_disputes(&mut pass).await?;
    money::compare(&mut pass).await?;
    wait_for_inbox(provider).await?;
    books::compare(&mut pass).await?;
    let report = pass.report;
    tell_recovery(provider, options, &report).await?;
    Ok(report)
}

async fn wait_for_inbox(books: &impl Books) -> Result<(), EngineError> {
    for _ in 0..INBOX_LOOKS {
        let pending = |reader: &mut Reader| reader.event_count(Some(EventStatus::Pending));
        if books.read(pending).await? == 0 {
            break;
        }
        books.pause(INBOX_PAUSE).await;
    }
    Ok(())
}

/// A run that has looked up to the present counts towards the end of recovery mode.
async fn tell_recovery(
    books: &impl Books,
    options: &Options,
    report: &Report,
) -> Result<(), EngineError> {
    if options.span.to < books.now().seconds() - PRESENT_SECONDS {
        return Ok(());
    }
    let Some(before) = recovery(books).await? else {
        return Ok(());
    };
    let step = Step::Passed {
        from: options.span.from,
        clean: report.is_settled(),
    };
    match step_recovery(books, step).await? {
        None => tracing::warn!("reconciliation has passed twice: recovery mode has ended"),
        Some(after) if after != before => {
            tracing::warn!(passes = after.passes, "recovery mode goes on");
        }
        Some(_) => {}
    }
    Ok(())
}

async fn recovery(books: &impl Books) -> Result<Option<Recovery>, EngineError> {
    books.read(Reader::recovery).await
}

async fn step_recovery(books: &impl Books, step: Step) -> Result<Option<Recovery>, EngineError> {
    let reply = books.submit(Command::Recovery(step)).await?;
    Ok(reply.try_into()?)
}

/// How a payment stands, in a word.
fn standing(payment: &Payment) -> String {
    format!("{} {}", payment.id, payment.status.as_str())
}
