//! A run: the state of everything, and what one step does to it.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;
use std::sync::Arc;

use bursar_domain::command::{Command, Reply, Request};
use bursar_domain::id::UserId;
use bursar_domain::refusal::Refusal;
use bursar_domain::time::Time;
use bursar_engine::batch::Outcome;
use bursar_engine::{Answered, EngineError};
use bursar_store::StoreError;
use bursar_store::postgres::Address;
use tempfile::TempDir;

use crate::act::unknown;
use crate::client::Clients;
use crate::model::{Attempt, Model};
use crate::node::{self, NODES_MAX, Next, Node, Place};
use crate::reach::{Call, From, Slot, Waiting, put, take};
use crate::script::{Script, Step};
use crate::stripe::{BEGIN, Stripe, Told};
use crate::{check, end};

/// So many requests may wait; more are told to come back.
const QUEUE_MAX: usize = 32;

/// So long a call may take, in seconds. A claim is shorter, so that a worker may come too late with its result.
const CALL_SECONDS_MAX: i64 = 200;

/// After so many steps wallets and Stripe are looked at.
const LOOK_STEPS: usize = 16;

/// After so many steps the whole journal is audited.
const AUDIT_STEPS: usize = 128;

/// What went wrong, and at which step; a step beyond the last is one after the faults had stopped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// How many steps had been done.
    pub step: usize,
    /// What was wrong.
    pub what: String,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "after {} steps: {}", self.step, self.what)
    }
}

/// How often what happened, so that a run in which nothing happens is not taken for a good one.
pub type Seen = BTreeMap<&'static str, u64>;

/// A batch in the middle of another node's.
struct Between {
    other: usize,
    taken: Vec<Waiting>,
    done: Slot<Result<Outcome, StoreError>>,
}

/// A batch of a node that was written, with who had asked.
type Written = (usize, Vec<Waiting>, Outcome);

pub(crate) struct Run {
    pub(crate) nodes: Vec<Node>,
    pub(crate) stripe: Stripe,
    pub(crate) clients: Clients,
    pub(crate) model: Model,
    /// All that Stripe has told so far.
    pub(crate) told: Vec<Told>,
    /// Whether nodes have a real server.
    pub(crate) is_real: bool,
    pub(crate) seen: Seen,
    _folder: TempDir,
}

/// Plays a script to its end, and what comes after it. The failure is the first one.
pub fn play(script: &Script) -> Result<Seen, Failure> {
    play_in(script, &Place::Server)
}

/// The same, and several nodes have a real server: an empty database, or an empty schema of one. There, batches of nodes meet in the
/// middle.
pub fn play_on(script: &Script, server: Address) -> Result<Seen, Failure> {
    play_in(script, &Place::Postgres(Box::new(server)))
}

fn play_in(script: &Script, server: &Place) -> Result<Seen, Failure> {
    let failed = |step: usize| move |what: String| Failure { step, what };
    let mut run = Run::new(script, server).map_err(failed(0))?;
    for (number, step) in script.steps.iter().enumerate() {
        let done = number + 1;
        run.step(*step).map_err(failed(done))?;
        if done % LOOK_STEPS == 0 {
            check::look(&mut run, done / LOOK_STEPS).map_err(failed(done))?;
        }
        if done % AUDIT_STEPS == 0 {
            check::audit(&mut run).map_err(failed(done))?;
        }
    }
    end::settle(&mut run).map_err(failed(script.steps.len() + 1))?;
    run.model.count(&mut run.seen);
    for node in &run.nodes {
        let inner = node.reach.inner();
        let seen = inner.seen.iter();
        seen.for_each(|(what, count)| *run.seen.entry(what).or_default() += count);
    }
    Ok(run.seen)
}

/// Memory, where the system has a file system in it: what is tested is what is written, not how fast a disk syncs.
fn folder() -> std::io::Result<TempDir> {
    let memory = Path::new("/dev/shm");
    if memory.is_dir() {
        tempfile::tempdir_in(memory)
    } else {
        tempfile::tempdir()
    }
}

pub(crate) fn text(error: impl fmt::Display) -> String {
    error.to_string()
}

impl Run {
    fn new(script: &Script, server: &Place) -> Result<Self, String> {
        let folder = folder().map_err(text)?;
        let count = script.nodes.clamp(1, NODES_MAX);
        let place = if count > 1 { server } else { &Place::File };
        let begin = Time::from_seconds(BEGIN);
        let nodes = (0..count as u64).map(|number| {
            let drawn = (script.seed, number);
            Node::start(folder.path(), drawn, place.clone(), begin).map_err(text)
        });
        let nodes = nodes.collect::<Result<Vec<_>, _>>()?;
        let model = Model::new(&nodes[0].policy);
        let mut seen = Seen::new();
        seen.insert("two_nodes", u64::from(count > 1));
        Ok(Self {
            nodes,
            stripe: Stripe::new(script.seed),
            clients: Clients::default(),
            model,
            told: Vec::new(),
            is_real: matches!(place, Place::Postgres(_)),
            seen,
            _folder: folder,
        })
    }

    /// The node at which a step happens.
    pub(crate) fn at(&self, step: Step) -> usize {
        step.node as usize % self.nodes.len()
    }

    pub(crate) fn count(&mut self, what: &'static str) {
        *self.seen.entry(what).or_default() += 1;
    }

    /// What time it is for a node.
    pub(crate) fn now(&self, at: usize) -> Time {
        Time::from_seconds(self.stripe.now + self.nodes[at].ahead)
    }

    /// Time passes, everywhere.
    pub(crate) fn wait(&mut self, seconds: i64) {
        self.stripe.wait(seconds);
        for node in &mut self.nodes {
            let now = self.stripe.now + node.ahead;
            node.reach.clock.set(Time::from_seconds(now));
            give_up_calls(node, now);
        }
    }

    /// Asks the writer of a node, unless too much is waiting.
    pub(crate) fn submit(&mut self, at: usize, request: Request, from: From) -> bool {
        let mut inner = self.nodes[at].reach.inner();
        let has_room = inner.queue.len() < QUEUE_MAX;
        if has_room {
            inner.queue.push(Waiting { request, from });
        }
        drop(inner);
        if !has_room {
            self.count("busy");
        }
        has_room
    }

    /// A node dies and starts again.
    pub(crate) fn crash(&mut self, at: usize) -> Result<(), String> {
        self.lose_clients(at);
        self.nodes[at].crash().map_err(text)
    }

    /// A node dies, and takes over the slot of another one when it starts again.
    pub(crate) fn steal(&mut self, at: usize) -> Result<(), String> {
        let victim = (at + 1) % self.nodes.len();
        let Some(slot) = self.nodes[victim].slot().filter(|_| victim != at) else {
            return Ok(());
        };
        self.count("slots_stolen");
        self.lose_clients(at);
        self.nodes[at].crash_into(slot).map_err(text)
    }

    fn lose_clients(&mut self, at: usize) {
        self.count("crashes");
        if self.nodes.len() == 1 {
            self.model.restart();
        }
        let all = self.clients.asked.iter_mut();
        all.for_each(|asked| asked.waits[at] = false);
    }

    /// The writer of a node takes the first `most` that wait, and answers them.
    pub(crate) fn write(&mut self, at: usize, most: usize) -> Result<(), String> {
        let node = &mut self.nodes[at];
        let taken: Vec<Waiting> = {
            let mut inner = node.reach.inner();
            let most = most.min(inner.queue.len());
            inner.queue.drain(..most).collect()
        };
        if taken.is_empty() {
            return Ok(());
        }
        let next = std::mem::replace(&mut node.next, Next::Well);
        let mut between = None;
        match next {
            Next::Trouble(statements, trouble) => node.faults.plan(statements, trouble),
            Next::Cut(is_done) => node.faults.plan_cut(is_done),
            Next::Between(statements) => between = Some(self.plan_between(at, statements)),
            Next::Well | Next::DieAfter => {}
        }
        let node = &mut self.nodes[at];
        let requests: Vec<&Request> = taken.iter().map(|waiting| &waiting.request).collect();
        let written = node.write(&requests);
        let is_dead = node.faults.end();
        let between = match between {
            Some(between) => self.take_between(between)?,
            None => None,
        };
        let decided = written
            .as_ref()
            .ok()
            .map(|outcome| (at, &requests[..], outcome));
        self.compare_all(decided, between.as_ref())?;
        if let Some((other, taken, outcome)) = between {
            self.answer(other, taken, outcome.answers)?;
        }
        match written {
            Ok(outcome) => {
                if next == Next::DieAfter {
                    self.count("died_after");
                    return self.crash(at);
                }
                self.answer(at, taken, outcome.answers)
            }
            Err(StoreError::Unavailable(_)) if is_dead => {
                self.count("died_before");
                self.crash(at)
            }
            Err(StoreError::Unavailable(why)) if matches!(next, Next::Trouble(..)) => {
                self.count("full");
                self.refuse(at, taken, &why);
                Ok(())
            }
            Err(error) => Err(format!("a batch could not be written: {error}")),
        }
    }

    /// Compares what was decided with what should be.
    fn compare(
        &mut self,
        at: usize,
        requests: &[&Request],
        outcome: &Outcome,
    ) -> Result<(), String> {
        self.count("batches");
        let now = self.now(at);
        for (request, (outcome, replayed)) in requests.iter().zip(&outcome.answers) {
            self.model.compare(request, (outcome, *replayed), now)?;
            if let (Command::AutoTopups(all), Ok(_)) = (&request.command, outcome) {
                self.look_at_attempts(at, &all.users)?;
            }
            self.count(if *replayed { "replayed" } else { "decided" });
        }
        Ok(())
    }

    /// Plans that the other node writes what waits there, in the middle of the next batch of this one.
    fn plan_between(&mut self, at: usize, statements: u32) -> Between {
        let other = (at + 1) % self.nodes.len();
        let node = &self.nodes[other];
        let taken: Vec<Waiting> = node.reach.inner().queue.drain(..).collect();
        let requests: Vec<Request> = taken.iter().map(|it| it.request.clone()).collect();
        let (done, writer) = (Slot::default(), node.share_writer());
        let put_there = Arc::clone(&done);
        let act = move || {
            let requests: Vec<&Request> = requests.iter().collect();
            if !requests.is_empty() {
                put(&put_there, node::run(&writer, &requests));
            }
        };
        self.nodes[at]
            .faults
            .plan_between(statements, Box::new(act));
        Between { other, taken, done }
    }

    /// What came of that, if it was written.
    fn take_between(&mut self, between: Between) -> Result<Option<Written>, String> {
        let Between { other, taken, done } = between;
        match take(&done) {
            Some(Ok(outcome)) => {
                self.count("between");
                Ok(Some((other, taken, outcome)))
            }
            Some(Err(error)) if !node::is_locked(&error) => {
                Err(format!("a batch could not be written: {error}"))
            }
            // It has not come to it, or it met what the other has locked.
            locked => {
                if locked.is_some() {
                    self.count("locked");
                }
                let mut inner = self.nodes[other].reach.inner();
                inner.queue.splice(0..0, taken);
                Ok(None)
            }
        }
    }

    /// Compares what was decided, and what was in the middle of it. Two batches at the same time may have come in either order, and
    /// where nothing is that could be locked it need not be the order of their commits.
    fn compare_all(
        &mut self,
        decided: Option<(usize, &[&Request], &Outcome)>,
        between: Option<&Written>,
    ) -> Result<(), String> {
        let Some((other, taken, theirs)) = between else {
            return decided.map_or(Ok(()), |(at, requests, outcome)| {
                self.compare(at, requests, outcome)
            });
        };
        let asked: Vec<&Request> = taken.iter().map(|it| &it.request).collect();
        let before = self.model.clone();
        let in_order = self.compare(*other, &asked, theirs);
        let Some((at, requests, outcome)) = decided else {
            return in_order;
        };
        let in_order = in_order.and_then(|()| self.compare(at, requests, outcome));
        if in_order.is_ok() {
            return in_order;
        }
        self.model = before;
        self.count("other_way_round");
        let reversed = self.compare(at, requests, outcome);
        let reversed = reversed.and_then(|()| self.compare(*other, &asked, theirs));
        reversed.or(in_order)
    }

    /// Whether cards were charged unasked that may be. What was tried only the rows say.
    fn look_at_attempts(&mut self, at: usize, users: &[UserId]) -> Result<(), String> {
        for user in users {
            let found = self.nodes[at].reach.ask(|reader| {
                let Some(row) = reader.auto_topup(user)? else {
                    return Ok(None);
                };
                let payment = row.payment.as_ref().map(|id| reader.payment(id));
                let Some(payment) = payment.transpose()?.flatten() else {
                    return Ok(None);
                };
                let topup = reader.topup(&payment.topup)?;
                Ok(topup.map(|topup| Attempt {
                    row,
                    payment,
                    topup,
                }))
            });
            if let Some(attempt) = found.map_err(text)? {
                self.model.auto_tried(&attempt, self.now(at))?;
            }
        }
        Ok(())
    }

    fn answer(
        &mut self,
        at: usize,
        taken: Vec<Waiting>,
        answers: Vec<(Result<Reply, Refusal>, bool)>,
    ) -> Result<(), String> {
        let mute = std::mem::take(&mut self.nodes[at].mute);
        for (waiting, (outcome, replayed)) in taken.into_iter().zip(answers) {
            match waiting.from {
                From::Client(number) => {
                    let asked = &mut self.clients.asked[number];
                    asked.waits[at] = false;
                    if mute {
                        continue;
                    }
                    let before = asked.answered.replace(outcome.clone());
                    let is_final = |answer: &Result<Reply, Refusal>| {
                        !answer.as_ref().is_err_and(Refusal::is_transient)
                    };
                    if let Some(before) =
                        before.filter(|before| is_final(before) && *before != outcome)
                    {
                        return Err(format!(
                            "a client was answered {before:?}, and on its retry {outcome:?}"
                        ));
                    }
                }
                From::Worker(slot) => {
                    let answered = outcome.map(|reply| Answered { reply, replayed });
                    put(&slot, answered.map_err(EngineError::Refused));
                }
                From::Nobody => {}
            }
        }
        self.nodes[at].go_on();
        Ok(())
    }

    /// Nothing was written, and whoever waits is told so.
    fn refuse(&mut self, at: usize, taken: Vec<Waiting>, why: &str) {
        for waiting in taken {
            match waiting.from {
                From::Client(number) => self.clients.asked[number].waits[at] = false,
                From::Worker(slot) => {
                    put(&slot, Err(StoreError::Unavailable(why.to_owned()).into()));
                }
                From::Nobody => {}
            }
        }
        self.nodes[at].go_on();
    }
}

/// Nobody waits for ever, and what was sent long ago does not arrive any more.
fn give_up_calls(node: &mut Node, now: i64) {
    let oldest = now - CALL_SECONDS_MAX;
    let mut inner = node.reach.inner();
    let (old, young) = std::mem::take(&mut inner.calls)
        .into_iter()
        .partition(|call: &Call| call.at < oldest);
    inner.calls = young;
    drop(inner);
    for slot in old.into_iter().filter_map(|call| call.slot) {
        put(&slot, Err(unknown("no answer in time", None)));
    }
    node.go_on();
}
