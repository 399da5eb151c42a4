//! What each verb of a script does.

use bursar_domain::checkout::SessionRead;
use bursar_domain::command::{Command, Request};
use bursar_engine::bridge::inbound;
use bursar_engine::outside::{Books as _, Provider as _};
use bursar_engine::reconcile::{self, Options};
use bursar_engine::{auto_topup, inbox, jobs, ticker};
use bursar_store::Share;
use bursar_store::digest::request_hash;
use bursar_stripe::object::CheckoutSession;
use bursar_stripe::request::retrieve_checkout_session;

use crate::fault::Trouble;
use crate::node::{Next, Task};
use crate::reach::{From, put};
use crate::run::{Run, text};
use crate::script::{Step, Verb};
use crate::stripe::{Told, pick, pick_recent};
use crate::wish;

/// Most jobs that are begun at once.
const JOBS_MAX: usize = 8;

/// How long a wait may be, in seconds.
const WAITS: [i64; 12] = [1, 1, 1, 2, 5, 30, 70, 130, 400, 1_000, 4_000, 30_000];

impl Run {
    /// Does one step. What is impossible at the moment does not happen.
    pub(crate) fn step(&mut self, step: Step) -> Result<(), String> {
        if let Some(command) = wish::command(step, &self.model, &self.stripe) {
            let number = self.clients.ask(command);
            self.send(number, self.at(step));
            return Ok(());
        }
        match step.verb {
            Verb::Retry => {
                let number = step.which as usize % self.clients.asked.len().max(1);
                if self.clients.asked.len() > number {
                    self.send(number, self.at(step));
                }
            }
            Verb::Reuse => self.reuse(step),
            Verb::Return => self.come_back(step),
            Verb::Pay
            | Verb::Decline
            | Verb::PayDelayed
            | Verb::Arrive
            | Verb::Bounce
            | Verb::Expire
            | Verb::RefundThere
            | Verb::RefundTurns
            | Verb::Dispute
            | Verb::Inquire
            | Verb::Escalate
            | Verb::Win
            | Verb::Lose => {
                if let Some((session, _)) = pick_recent(&self.model.known, step.which) {
                    let session = session.clone();
                    self.stripe.act(&session, step);
                }
            }
            Verb::SaveCard => {
                let customers: Vec<&String> = self.model.customers.values().collect();
                if let Some(customer) = pick(&customers, step.which) {
                    self.stripe.save_card(customer, step.how);
                }
            }
            Verb::Deliver => {
                self.listen();
                let told: Vec<&Told> = self.told.iter().filter(|told| !told.is_lost).collect();
                if let Some(told) = pick(&told, step.which).copied().cloned() {
                    self.deliver(&told, self.at(step))?;
                }
            }
            Verb::DeliverNewest => {
                self.listen();
                let newest: Vec<Told> = self
                    .told
                    .iter()
                    .rev()
                    .filter(|told| !told.is_lost)
                    .take(1 + step.how as usize % 6)
                    .cloned()
                    .collect();
                let at = self.at(step);
                newest.iter().try_for_each(|told| self.deliver(told, at))?;
            }
            _ => return self.work(step),
        }
        Ok(())
    }

    /// What happens inside of the process and to it.
    fn work(&mut self, step: Step) -> Result<(), String> {
        let at = self.at(step);
        let is_server = self.nodes.len() > 1;
        let node = &mut self.nodes[at];
        match step.verb {
            Verb::Write => {
                let most = if step.how.is_multiple_of(4) {
                    1 + step.which as usize % 4
                } else {
                    usize::MAX
                };
                if self.is_real && node.next == Next::Well && step.which.is_multiple_of(2) {
                    node.next = Next::Between(step.which / 2 % 20);
                }
                self.write(at, most)?;
            }
            Verb::Mute => node.mute = true,
            Verb::Inbox => self.begin_inbox(at),
            Verb::Look => self.begin_look(at),
            Verb::Tick => self.begin_tick(at),
            Verb::Jobs => self.begin_jobs(at)?,
            Verb::Work => self.go_well(at, 1 + step.how as usize % 8)?,
            Verb::Drop => self.lose_events(step),
            Verb::Scan => self.begin_scan(at),
            Verb::Reconcile => self.begin_reconciliation(at, step.how.is_multiple_of(2)),
            Verb::Behind => {
                self.stripe.fall_behind(1 + step.how % 12);
                self.count("stripe_behind");
            }
            Verb::Slow => node.reach.inner().slow = 1 + step.how % 4,
            Verb::Seen => self.see(at, step.which),
            Verb::Reach => self.arrive(at, step.which, true),
            Verb::Answer => self.bring(at, step.which),
            Verb::TimeOut => self.time_out(at, step.which),
            Verb::Fail => self.arrive(at, step.which, false),
            Verb::Crash => self.crash(at)?,
            Verb::DieBefore => node.next = Next::Trouble(step.which % 24, Trouble::Die),
            Verb::Full => node.next = Next::Trouble(step.which % 24, Trouble::Full),
            Verb::DieAfter => node.next = Next::DieAfter,
            Verb::Clash if is_server => {
                node.next = Next::Trouble(step.which % 24, Trouble::Clash);
            }
            Verb::Cut if is_server => node.next = Next::Cut(step.which.is_multiple_of(2)),
            Verb::Steal => self.steal(at)?,
            Verb::Wait => self.wait(WAITS[step.which as usize % WAITS.len()]),
            Verb::Jump => {
                node.ahead = i64::from(step.which % 1_200) - 600;
                self.wait(0);
            }
            _ => {}
        }
        Ok(())
    }

    /// A client sends a request, the first time or again.
    pub(crate) fn send(&mut self, number: usize, at: usize) {
        let asked = &self.clients.asked[number];
        if asked.waits[at] {
            return;
        }
        let request = asked.request.clone();
        if self.submit(at, request, From::Client(number)) {
            self.clients.asked[number].waits[at] = true;
        }
    }

    /// A client uses a key for something else.
    fn reuse(&mut self, step: Step) {
        let Some(asked) = pick(&self.clients.asked, step.which) else {
            return;
        };
        let mut request = asked.request.clone();
        // Where the first request was never written, this would be the first.
        let Some((key, hash)) = &mut request.idempotency else {
            return;
        };
        if self.model.answer(&key.key).is_some() {
            *hash = request_hash(b"something else");
            self.submit(self.at(step), request, From::Nobody);
        }
    }

    /// The customer's browser comes to the success page, which reads the session.
    fn come_back(&mut self, step: Step) {
        let known = &self.model.known;
        let Some((session, payment)) = pick_recent(known, step.which).cloned() else {
            return;
        };
        let at = self.at(step);
        let node = &mut self.nodes[at];
        let reach = node.reach.clone();
        node.spawn(Task::Job, async move {
            let asked = retrieve_checkout_session(&session);
            if let Ok(session) = reach.call::<CheckoutSession>(&asked).await {
                let fact = inbound::session_fact(&session);
                let read = SessionRead {
                    payment,
                    claim: None,
                    fact,
                };
                drop(reach.submit(Command::SessionRead(read)).await);
            }
        });
    }

    /// Takes note of what Stripe has told since the last time.
    pub(crate) fn listen(&mut self) {
        let last = self.told.last().map(|told| told.id.clone());
        let new = self.stripe.events_after(last.as_deref());
        self.told.extend(new);
    }

    /// Some of the events that nobody has delivered yet are lost.
    fn lose_events(&mut self, step: Step) {
        self.listen();
        let most = if step.how.is_multiple_of(3) {
            1 + step.which as usize % 6
        } else {
            usize::MAX
        };
        let model = &self.model;
        let lost = self.told.iter_mut().rev();
        let lost: Vec<&mut Told> = lost
            .take_while(|told| !model.has_received(&told.id))
            .take(most)
            .filter(|told| !told.is_lost)
            .collect();
        let count = lost.len() as u64;
        for told in lost {
            told.is_lost = true;
        }
        *self.seen.entry("webhooks_lost").or_default() += count;
    }

    /// A worker gets to see what it has read.
    pub(crate) fn see(&mut self, at: usize, which: u32) {
        let mut inner = self.nodes[at].reach.inner();
        let count = inner.readings.len();
        if count > 0 {
            put(&inner.readings.swap_remove(which as usize % count), ());
        }
        drop(inner);
        self.nodes[at].go_on();
    }

    pub(crate) fn begin_scan(&mut self, at: usize) {
        let node = &mut self.nodes[at];
        if !node.has(Task::Reconciliation) {
            let reach = node.reach.clone();
            node.spawn(Task::Reconciliation, async move {
                if let Ok(late) = reconcile::scan_events(&reach).await {
                    reach.count("scans", 1);
                    reach.count("events_found", late as u64);
                }
            });
        }
    }

    /// Compares and repairs. What a run in the middle of faults has found nobody looks at.
    pub(crate) fn begin_reconciliation(&mut self, at: usize, with_events: bool) {
        let options = Options {
            repair: true,
            count_max: u64::MAX,
            with_events,
            ..Options::until(self.now(at).seconds())
        };
        let node = &mut self.nodes[at];
        if !node.has(Task::Reconciliation) {
            let reach = node.reach.clone();
            node.spawn(Task::Reconciliation, async move {
                if let Ok(report) = reconcile::run(&reach, &options).await {
                    reach.count("reconciled", 1);
                    let done = report.counts.values().map(|count| count.done).sum();
                    reach.count("repaired", done);
                    reach.inner().report = Some(report);
                }
            });
        }
    }

    /// Delivers an event.
    pub(crate) fn deliver(&mut self, told: &Told, at: usize) -> Result<(), String> {
        let body = told.body.clone().into();
        let event = inbound::event(&body).map_err(|error| format!("{}: {error}", told.id))?;
        let request = Request {
            command: Command::ReceiveEvent(event),
            idempotency: None,
        };
        self.submit(at, request, From::Nobody);
        Ok(())
    }

    pub(crate) fn begin_inbox(&mut self, at: usize) {
        let now = self.now(at);
        let is_alone = self.nodes.len() == 1;
        let node = &mut self.nodes[at];
        if !node.has(Task::Inbox) {
            let reach = node.reach.clone();
            let slot = node.slot().filter(|_| !is_alone);
            // Each thinks that it has to see to what others leave lying: at worst it is so for a moment.
            reach.inner().share = slot.map(|slot| Share {
                slot,
                others_at: Some(now),
            });
            node.spawn(Task::Inbox, async move {
                drop(inbox::work_off(&reach).await);
            });
        }
    }

    pub(crate) fn begin_tick(&mut self, at: usize) {
        if !self.nodes[at].has(Task::Ticker) {
            let reach = self.nodes[at].reach.clone();
            let notice = self.nodes[at].policy.expiry_notice_seconds;
            self.nodes[at].spawn(Task::Ticker, async move {
                drop(ticker::tick(&reach, notice).await);
            });
        }
    }

    /// Looks for wallets that are low. How far it came the node remembers until it dies.
    pub(crate) fn begin_look(&mut self, at: usize) {
        let node = &mut self.nodes[at];
        if !node.has(Task::Look) {
            let reach = node.reach.clone();
            node.spawn(Task::Look, async move {
                let mut place = reach.inner().looked_to.take();
                drop(auto_topup::look(&reach, &mut place).await);
                reach.inner().looked_to = place;
            });
        }
    }

    pub(crate) fn begin_jobs(&mut self, at: usize) -> Result<(), String> {
        let now = self.now(at);
        let due = self.nodes[at]
            .reach
            .ask(|reader| reader.due_jobs(now, JOBS_MAX));
        for key in due.map_err(text)?.0 {
            let reach = self.nodes[at].reach.clone();
            self.nodes[at].spawn(Task::Job, async move {
                if let Ok(Some(claim)) = jobs::claim(&reach, key).await {
                    jobs::work(&reach, claim).await;
                }
            });
        }
        Ok(())
    }

    /// Everybody does what there is to do, so many times.
    fn go_well(&mut self, at: usize, turns: usize) -> Result<(), String> {
        self.write(at, usize::MAX)?;
        self.begin_inbox(at);
        self.begin_jobs(at)?;
        for _ in 0..turns {
            self.write(at, usize::MAX)?;
            self.arrive(at, 0, true);
            self.bring(at, 0);
            self.see(at, 0);
        }
        Ok(())
    }

    /// A call arrives at Stripe, or it does not.
    pub(crate) fn arrive(&mut self, at: usize, which: u32, well: bool) {
        let mut inner = self.nodes[at].reach.inner();
        let sent = inner.calls.iter_mut().filter(|call| call.answer.is_none());
        let sent: Vec<_> = sent.collect();
        let Some(count) = sent.len().checked_sub(1) else {
            return;
        };
        let place = which as usize % (count + 1);
        let Some(call) = sent.into_iter().nth(place) else {
            return;
        };
        call.answer = Some(if well {
            self.stripe.call(&call.request)
        } else {
            Err(failure(which))
        });
        // Nobody waits for what a dead process has asked.
        inner
            .calls
            .retain(|call| call.answer.is_none() || call.slot.is_some());
        drop(inner);
        self.count(if well { "calls" } else { "calls_failed" });
    }

    /// Stripe's answer arrives.
    pub(crate) fn bring(&mut self, at: usize, which: u32) {
        let mut inner = self.nodes[at].reach.inner();
        let answered = inner.calls.iter().enumerate();
        let answered = answered.filter(|(_, call)| call.answer.is_some());
        let places: Vec<usize> = answered.map(|(place, _)| place).collect();
        let Some(place) = pick(&places, which) else {
            return;
        };
        let call = inner.calls.remove(*place);
        drop(inner);
        if let (Some(slot), Some(answer)) = (call.slot, call.answer) {
            put(&slot, answer);
        }
        self.nodes[at].go_on();
    }

    /// Whoever waits gives up; the call may still arrive.
    fn time_out(&mut self, at: usize, which: u32) {
        let mut inner = self.nodes[at].reach.inner();
        let waits = inner.calls.iter_mut().filter(|call| call.slot.is_some());
        let mut waits: Vec<_> = waits.collect();
        let Some(count) = waits.len().checked_sub(1) else {
            return;
        };
        let slot = waits[which as usize % (count + 1)].slot.take();
        inner
            .calls
            .retain(|call| call.answer.is_none() || call.slot.is_some());
        drop(inner);
        self.count("time_outs");
        if let Some(slot) = slot {
            put(&slot, Err(unknown("no answer in time", None)));
        }
        self.nodes[at].go_on();
    }
}

pub(crate) fn unknown(reason: &str, status: Option<u16>) -> bursar_stripe::Error {
    bursar_stripe::Error::Unknown {
        reason: reason.to_owned(),
        status,
        request_id: None,
        after: None,
    }
}

fn failure(which: u32) -> bursar_stripe::Error {
    match which % 3 {
        0 => bursar_stripe::Error::Unreachable {
            reason: "no connection".to_owned(),
        },
        1 => unknown("503", Some(503)),
        _ => bursar_stripe::Error::from_answer(429, None, None, b"{}"),
    }
}
