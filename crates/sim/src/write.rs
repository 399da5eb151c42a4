//! What the writer of a node does with what waits for it: a batch, what it meets, who is answered, and whether the answers are right.

use std::sync::Arc;

use bursar_domain::command::{Command, Reply, Request};
use bursar_domain::id::UserId;
use bursar_domain::refusal::Refusal;
use bursar_engine::batch::Outcome;
use bursar_engine::{EngineError, Once};
use bursar_store::StoreError;

use crate::model::Attempt;
use crate::node::{self, Next};
use crate::reach::{From, Slot, Waiting, put, take};
use crate::run::{Run, text};

/// A batch in the middle of another node's.
struct Between {
    other: usize,
    taken: Vec<Waiting>,
    done: Slot<Result<Outcome, StoreError>>,
}

/// A batch of a node that was written, with who had asked.
type Written = (usize, Vec<Waiting>, Outcome);

impl Run {
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
                    let answered = outcome.map(|value| Once { value, replayed });
                    put(&slot, answered.map_err(EngineError::from));
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
