//! One batch: needs, load, decide, commit. Used by the writer, and by whoever runs the engine step by step.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use bursar_domain::command::{self, Command, Context, Reply, Request};
use bursar_domain::event::EventStatus;
use bursar_domain::id::IdSource;
use bursar_domain::policy::Policy;
use bursar_domain::recovery::Step;
use bursar_domain::refusal::Refusal;
use bursar_domain::state::{Needs, State};
use bursar_store::{Store, StoreError};

use crate::clock::Clock;

/// Rounds of asking and loading. A session names a payment, the payment its top-up, the top-up its wallet; more would
/// mean that a command asks in circles.
const ROUNDS_MAX: usize = 6;

/// How often what is in memory may turn out to be old while one batch is prepared. The second time all rows are locked.
const SETTLES_MAX: usize = 6;

/// How often a batch is run again because another node was faster.
const ATTEMPTS: u32 = 12;

/// What Stripe knows from this long before is looked at again when the database has lost commits. No standby is so far behind
/// and still takes over.
const LOOK_BACK_SECONDS: i64 = 86_400;

/// What is needed to run batches.
#[expect(
    missing_debug_implementations,
    reason = "clock and ids are trait objects"
)]
pub struct Batch {
    /// The database.
    pub store: Store,
    /// Where new ids come from.
    pub ids: Box<dyn IdSource + Send>,
    /// What the operator decided.
    pub policy: Policy,
    /// What time it is.
    pub clock: Arc<dyn Clock>,
}

/// One answer for each request, in their order, and whether it was given before.
pub type Answers = Vec<(Result<Reply, Refusal>, bool)>;

/// The answers of a batch, and who has to be woken.
#[derive(Debug)]
pub struct Outcome {
    /// What was answered.
    pub answers: Answers,
    /// Whether stored events wait to be worked off.
    pub has_events: bool,
    /// Whether jobs were added or changed.
    pub has_jobs: bool,
}

impl Batch {
    /// Runs the requests one after the other and commits them together. Durable when it returns. After an error nothing has
    /// changed, and the next batch can be run.
    pub fn run(&mut self, requests: &[&Request]) -> Result<Outcome, StoreError> {
        for attempt in 0..ATTEMPTS {
            match self.run_once(requests) {
                Err(StoreError::Conflict(why)) => {
                    tracing::debug!(why, attempt, "another node was faster");
                    self.pause(attempt);
                }
                Err(StoreError::Lost(what)) => return self.recover(what),
                done => return done,
            }
        }
        self.run_once(requests)
    }

    /// A standby that was behind has taken over. What was answered and is gone, Stripe may still know: recovery mode begins, and
    /// whoever asks again is answered by what is there now.
    fn recover(&mut self, what: String) -> Result<Outcome, StoreError> {
        tracing::error!(
            what,
            "the database has lost commits that were answered: recovery mode"
        );
        self.store.accept_loss();
        let since = self.clock.now().plus_seconds(-LOOK_BACK_SECONDS).0 / 1_000_000;
        let why = format!("the database has lost commits: {what}");
        let begin = Request {
            command: Command::Recovery(Step::Begin { since, why }),
            idempotency: None,
        };
        self.run_once(&[&begin])?;
        Err(StoreError::Lost(what))
    }

    /// Each node waits another while, so that they do not meet again.
    fn pause(&mut self, attempt: u32) {
        let most = 1_000_u64 << attempt.min(6);
        let random = u64::try_from(self.ids.random80() % u128::from(most)).unwrap_or(0);
        std::thread::sleep(Duration::from_micros(random));
    }

    fn run_once(&mut self, requests: &[&Request]) -> Result<Outcome, StoreError> {
        // A bug in a decision must cost the request that meets it, and not the writer: without a writer nothing works any
        // more, and after a restart a stored event would stop it again.
        let decided = catch_unwind(AssertUnwindSafe(|| self.decide(requests)));
        let decided = decided.unwrap_or_else(|_| Err(bug("a decision panicked")));
        let (state, answers) = match decided {
            Ok(decided) => decided,
            Err(error) => {
                self.store.give_up()?;
                return Err(error);
            }
        };
        if state.has_changes() {
            self.store.commit(&state)?;
        } else {
            self.store.give_up()?;
        }
        let mut events = state.events.changes();
        let has_events = events
            .any(|(_, _, event)| event.is_some_and(|event| event.status == EventStatus::Pending));
        let has_jobs = state.jobs.has_changes();
        Ok(Outcome {
            answers,
            has_events,
            has_jobs,
        })
    }

    fn decide(&mut self, requests: &[&Request]) -> Result<(State, Answers), StoreError> {
        let mut state = self.settled(requests)?;
        let mut context = Context {
            now: self.clock.now(),
            ids: self.ids.as_mut(),
            policy: &self.policy,
        };
        let mut answers = Vec::with_capacity(requests.len());
        for request in requests {
            answers.push(command::answer(&mut state, &mut context, request));
        }
        match state.missed() {
            Some(key) => Err(bug(&format!("no command asked for {key}"))),
            None => Ok((state, answers)),
        }
    }

    /// A state with all that the requests need, which nobody else changes any more. Where other nodes write, what is in memory may
    /// turn out to be old, and then it is begun again.
    fn settled(&mut self, requests: &[&Request]) -> Result<State, StoreError> {
        let changes = requests
            .iter()
            .any(|request| request.idempotency.is_some() || !request.command.is_question());
        for _ in 0..SETTLES_MAX {
            let mut state = self.store.state();
            self.load(requests, &mut state)?;
            if self.store.settle(&mut state, changes)? {
                return Ok(state);
            }
        }
        Err(StoreError::Conflict(
            "what the batch needs kept changing".into(),
        ))
    }

    fn load(&mut self, requests: &[&Request], state: &mut State) -> Result<(), StoreError> {
        for _ in 0..ROUNDS_MAX {
            let mut needs = Needs::default();
            for request in requests {
                command::needs(request, state, &mut needs);
            }
            if needs.is_empty() {
                return Ok(());
            }
            self.store.load(needs, state)?;
        }
        Err(bug("commands ask in circles"))
    }
}

fn bug(what: &str) -> StoreError {
    StoreError::Unusable(format!("{what}; nothing was changed: please report this"))
}
