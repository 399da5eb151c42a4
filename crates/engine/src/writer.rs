//! The one writer: takes what is waiting, up to a bounded batch, and answers after the commit.
//!
//! No timer delays a batch: at low load it holds one command, at high load it grows while the previous one is synced.

use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use bursar_domain::command::{Reply, Request};
use bursar_store::StoreError;
use tokio::sync::{Notify, mpsc, oneshot};

use crate::batch::{Batch, Outcome};
use crate::checkpointer::Checkpointer;
use crate::{EngineError, Once};

/// Most commands in one transaction.
const BATCH_MAX: usize = 512;

/// Most commands that may wait; more are told to come back.
const QUEUE_MAX: usize = 8_192;

/// How long a command waits for its turn. Then those before it wait for a database that says nothing, and callers who are told so
/// can do something else. A batch that has begun takes as long as it takes: only its end says whether it was done.
const PATIENCE: Duration = Duration::from_secs(10);

struct Submission {
    request: Request,
    answer: oneshot::Sender<Result<Once<Reply>, EngineError>>,
    turn: Turn,
}

/// Who has a command that waits: the writer, to do it, or its caller again, who has waited for too long. Whoever takes it first.
#[derive(Clone, Default)]
struct Turn(Arc<AtomicBool>);

impl Turn {
    fn take(&self) -> bool {
        !self.0.swap(true, Ordering::AcqRel)
    }
}

pub(crate) struct Writer {
    queue: Mutex<Option<mpsc::Sender<Submission>>>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Writer {
    pub(crate) fn start(
        batch: Batch,
        checkpointer: Option<Checkpointer>,
        events_wake: Arc<Notify>,
        jobs_wake: Arc<Notify>,
        slot: Arc<AtomicI64>,
    ) -> Result<Self, EngineError> {
        let (queue, waiting) = mpsc::channel(QUEUE_MAX);
        let run = move || {
            Run {
                batch,
                checkpointer,
                events_wake,
                jobs_wake,
                slot,
            }
            .until_closed(waiting);
        };
        let thread = std::thread::Builder::new().name("writer".into()).spawn(run);
        let thread = thread
            .map_err(|error| StoreError::Unusable(format!("no thread for the writer: {error}")))?;
        Ok(Self {
            queue: Mutex::new(Some(queue)),
            thread: Mutex::new(Some(thread)),
        })
    }

    pub(crate) async fn submit(&self, request: Request) -> Result<Once<Reply>, EngineError> {
        let (answer, mut answered) = oneshot::channel();
        let turn = Turn::default();
        let submission = Submission {
            request,
            answer,
            turn: turn.clone(),
        };
        let queue = self
            .queue
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
            .clone();
        let queue = queue.ok_or(EngineError::Stopping)?;
        queue.try_send(submission).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => EngineError::Busy,
            mpsc::error::TrySendError::Closed(_) => EngineError::Stopping,
        })?;
        drop(queue);
        let answered = match tokio::time::timeout(PATIENCE, &mut answered).await {
            Ok(answered) => answered,
            Err(_) if turn.take() => return Err(EngineError::Busy),
            Err(_) => answered.await,
        };
        answered.unwrap_or(Err(EngineError::Stopping))
    }

    /// Takes nothing more, finishes what is waiting, and leaves.
    pub(crate) async fn stop(&self) {
        self.queue
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
            .take();
        let thread = self
            .thread
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
            .take();
        if let Some(thread) = thread {
            let joined = tokio::task::spawn_blocking(move || thread.join()).await;
            if !matches!(joined, Ok(Ok(()))) {
                tracing::error!("the writer has panicked");
            }
        }
    }
}

struct Run {
    batch: Batch,
    checkpointer: Option<Checkpointer>,
    events_wake: Arc<Notify>,
    jobs_wake: Arc<Notify>,
    /// The node's slot, for those who divide work by it.
    slot: Arc<AtomicI64>,
}

impl Run {
    fn until_closed(mut self, mut waiting: mpsc::Receiver<Submission>) {
        while let Some(first) = waiting.blocking_recv() {
            let next = std::iter::from_fn(|| waiting.try_recv().ok());
            let submissions = std::iter::once(first).chain(next);
            let submissions = submissions.filter(|submission| submission.turn.take());
            let submissions: Vec<_> = submissions.take(BATCH_MAX).collect();
            if submissions.is_empty() {
                continue;
            }
            self.commit(submissions);
            if let Some(checkpointer) = &self.checkpointer {
                checkpointer.wake();
            }
            let is_long = self
                .checkpointer
                .as_ref()
                .is_some_and(Checkpointer::log_is_long);
            if is_long && let Err(error) = self.batch.store.begin_log_anew() {
                tracing::warn!(%error, "the write-ahead log could not begin anew; trying again");
            }
        }
        if let Some(checkpointer) = self.checkpointer {
            checkpointer.stop();
        }
        if let Err(error) = self.batch.store.catch_up() {
            tracing::warn!(%error, "the rows of wallets could not be written; the next start catches up");
        }
        if let Err(error) = self.batch.store.checkpoint() {
            tracing::warn!(%error, "the write-ahead log could not be folded in; the next start does it");
        }
    }

    /// A batch that the database refuses is run again one by one, so that only the culprit fails. Where nothing can be
    /// written at all there is no culprit, and to wait for each of hundreds would take the better part of an hour.
    fn commit(&mut self, submissions: Vec<Submission>) {
        let requests: Vec<&Request> = submissions
            .iter()
            .map(|submission| &submission.request)
            .collect();
        match self.batch.run(&requests) {
            Ok(outcome) => self.answer(submissions, outcome),
            Err(StoreError::Unavailable(why) | StoreError::Lost(why)) => {
                let commands = submissions.len();
                tracing::error!(why, commands, "nothing can be written");
                for submission in submissions {
                    let unavailable = StoreError::Unavailable(why.clone());
                    let _ = submission.answer.send(Err(unavailable.into()));
                }
            }
            // Done or not: to do it again might do it twice.
            Err(StoreError::Unknown(why)) => {
                let commands = submissions.len();
                tracing::error!(why, commands, "nobody knows whether a batch was committed");
                for submission in submissions {
                    let unknown = StoreError::Unknown(why.clone());
                    let _ = submission.answer.send(Err(unknown.into()));
                }
            }
            Err(error) if submissions.len() == 1 => {
                tracing::error!(%error, "the database refused a command");
                for submission in submissions {
                    let refused = StoreError::Refused(error.to_string());
                    let _ = submission.answer.send(Err(refused.into()));
                }
            }
            Err(error) => {
                tracing::warn!(%error, commands = submissions.len(), "a batch was refused; trying one by one");
                for submission in submissions {
                    self.commit(vec![submission]);
                }
            }
        }
    }

    fn answer(&self, submissions: Vec<Submission>, outcome: Outcome) {
        if let Some(slot) = self.batch.store.slot() {
            self.slot.store(slot, Ordering::Relaxed);
        }
        for (submission, (answer, replayed)) in submissions.into_iter().zip(outcome.answers) {
            let answered = match answer {
                Ok(value) => Ok(Once { value, replayed }),
                Err(refusal) if replayed => Err(EngineError::RefusedBefore(refusal.into())),
                Err(refusal) => Err(EngineError::Refused(refusal)),
            };
            // Whoever asked may have gone; what was asked is done all the same.
            let _ = submission.answer.send(answered);
        }
        if outcome.has_events {
            self.events_wake.notify_one();
        }
        if outcome.has_jobs {
            self.jobs_wake.notify_one();
        }
    }
}
