//! What each verb of a script does.

use bursar_domain::checkout::SessionRead;
use bursar_domain::command::{Command, Request};
use bursar_engine::bridge::inbound;
use bursar_engine::outside::{Books as _, Provider as _};
use bursar_store::digest::request_hash;
use bursar_stripe::object::CheckoutSession;
use bursar_stripe::request::retrieve_checkout_session;

use crate::fault::Trouble;
use crate::node::{Next, Task};
use crate::reach::From;
use crate::run::Run;
use crate::script::{Step, Verb};
use crate::stripe::{Told, pick, pick_recent};
use crate::wish;

/// How long a wait may be, in seconds.
const WAITS: [i64; 12] = [1, 1, 1, 2, 5, 30, 70, 130, 400, 1_000, 4_000, 30_000];

impl Run {
    /// Does one step. What is impossible at the moment does not happen.
    pub(crate) fn step(&mut self, step: Step) -> Result<(), String> {
        if let Some(command) = wish::command(step, &self.model, &self.stripe, &self.clients) {
            self.ask(command, self.at(step));
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
            Verb::Turn if is_server => self.begin_turn(at, step.how.is_multiple_of(9)),
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
            Verb::Reprice => self.reprice(step.how)?,
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

    /// A client asks for something. Mere questions are not asked again: by then there would be another answer.
    fn ask(&mut self, command: Command, at: usize) {
        if command.is_question() {
            let idempotency = None;
            let request = Request {
                command,
                idempotency,
            };
            self.submit(at, request, From::Nobody);
        } else {
            let number = self.clients.ask(command);
            self.send(number, at);
        }
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
}
