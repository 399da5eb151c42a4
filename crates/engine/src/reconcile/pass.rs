//! One run of a reconciliation: what it may do, what it has found so far, and the way it asks Stripe.

use std::collections::{BTreeMap, HashSet};
use std::time::Duration;

use bursar_domain::command::{Command, Reply};
use bursar_domain::mark::StampKey;
use bursar_domain::payment::Payment;
use bursar_stripe::error::Retry;
use bursar_stripe::object::{Identified, List};
use bursar_stripe::request::{Pages, Request, Window};
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::Options;
use super::report::{Class, Finding, Report, State};
use crate::EngineError;
use crate::outside::Provider;

/// What is made at Stripe a little before the window may appear inside it a little later.
const OVERLAP_SECONDS: i64 = 600;

/// So many payment intents of others are remembered.
const FOREIGN_MAX: usize = 10_000;

/// How often a call is made again, with pauses that grow from a second.
const TRIES_MAX: u32 = 6;

pub(super) struct Pass<'a, P> {
    pub(super) provider: &'a P,
    pub(super) key: StampKey,
    pub(super) options: &'a Options,
    pub(super) report: Report,
    /// Stripe's movements of the payments of this run, by the number of the payment.
    pub(super) nets: super::money::Nets,
    told: HashSet<String>,
    /// Payment intents that were asked for and are nothing of ours; a few, so that one is not asked for again and again.
    foreign: HashSet<String>,
    repaired: u64,
    moved: BTreeMap<String, i64>,
}

/// Something that can be repaired by the way everything goes.
pub(super) struct Repair {
    pub(super) commands: Vec<Command>,
    /// Whether it has worked, by the last answer.
    pub(super) has_worked: fn(&Payment) -> bool,
}

impl Repair {
    pub(super) fn by(command: Command) -> Self {
        Self {
            commands: vec![command],
            has_worked: |_| true,
        }
    }
}

impl<'a, P: Provider> Pass<'a, P> {
    pub(super) fn new(provider: &'a P, key: StampKey, options: &'a Options) -> Self {
        Self {
            provider,
            key,
            options,
            report: Report::new(options.span, options.repair),
            nets: super::money::Nets::default(),
            told: HashSet::new(),
            foreign: HashSet::new(),
            repaired: 0,
            moved: BTreeMap::new(),
        }
    }

    /// The part of a list that was made in the time this run looks at.
    pub(super) fn window(&self) -> Window {
        Window {
            created_from: Some(
                self.options
                    .span
                    .from
                    .saturating_sub(OVERLAP_SECONDS)
                    .max(0),
            ),
            created_to: Some(self.options.span.to),
            limit: Some(100),
            ..Window::default()
        }
    }

    /// The next page of a walk; none when it is over.
    pub(super) async fn turn<T: DeserializeOwned + Identified>(
        &mut self,
        pages: &mut Pages,
        request: impl Fn(&Window) -> Request,
    ) -> Result<Option<Vec<T>>, EngineError> {
        let Some(window) = pages.window() else {
            return Ok(None);
        };
        let page: List<T> = self.call(&request(window)).await?;
        pages.turn(&page);
        Ok(Some(page.data))
    }

    /// Asks Stripe, and asks again where that may help.
    pub(super) async fn call<T: DeserializeOwned>(
        &mut self,
        request: &Request,
    ) -> Result<T, EngineError> {
        let body = self.ask(request).await?;
        serde_json::from_value(body).map_err(|_| EngineError::Provider {
            code: "stripe_answer_garbled",
            message: format!("what Stripe answered to {} cannot be read", request.path),
        })
    }

    /// As [`Pass::call`], with the answer as it came.
    pub(super) async fn ask(&mut self, request: &Request) -> Result<Value, EngineError> {
        let mut attempt = 0;
        loop {
            self.report.looked.calls += 1;
            let error = match self.provider.call(request).await {
                Ok(body) => return Ok(body),
                Err(error) => error,
            };
            attempt += 1;
            match error.retry() {
                Retry::SameKey { after } if attempt < TRIES_MAX => {
                    let pause = Duration::from_millis(250 << attempt);
                    tracing::warn!(%error, "Stripe is asked again during a reconciliation");
                    self.provider.pause(after.unwrap_or(pause)).await;
                }
                _ => {
                    return Err(EngineError::Provider {
                        code: error.code(),
                        message: error.to_string(),
                    });
                }
            }
        }
    }

    /// Whether this object was told of in this run already.
    pub(super) fn is_told(&self, object: &str) -> bool {
        self.told.contains(object)
    }

    pub(super) fn is_foreign(&self, intent: &str) -> bool {
        self.foreign.contains(intent)
    }

    pub(super) fn note_foreign(&mut self, intent: &str) {
        if self.foreign.len() < FOREIGN_MAX {
            self.foreign.insert(intent.to_owned());
        }
    }

    /// What belongs to something that was told of needs no word of its own.
    pub(super) fn note_told(&mut self, object: Option<&str>) {
        self.told.extend(object.map(str::to_owned));
    }

    /// Notes a difference that only a person can decide.
    pub(super) fn tell(&mut self, finding: Finding) {
        if self.told.insert(finding.object.clone()) {
            let state = State::ForPerson;
            self.note(Finding { state, ..finding });
        }
    }

    fn note(&mut self, finding: Finding) {
        tracing::warn!(
            class = finding.class.name(),
            object = finding.object,
            ours = finding.ours,
            stripe = finding.stripe,
            state = %finding.state,
            "reconciliation found a difference"
        );
        self.report.add(finding);
    }

    /// Notes a difference, and repairs it if this run may.
    pub(super) async fn settle(
        &mut self,
        finding: Finding,
        repair: Repair,
    ) -> Result<(), EngineError> {
        if !self.told.insert(finding.object.clone()) {
            return Ok(());
        }
        let state = if !self.options.repair {
            State::Proposed
        } else if self.may_repair(&finding) {
            self.repair(repair).await?
        } else {
            State::OverLimit
        };
        self.note(Finding { state, ..finding });
        Ok(())
    }

    fn may_repair(&mut self, finding: &Finding) -> bool {
        if self.repaired >= self.options.count_max {
            return false;
        }
        let moved = self.moved.entry(finding.currency.clone()).or_default();
        let after = moved.saturating_add(finding.amount.saturating_abs());
        if self.options.amount_max.is_some_and(|most| after > most) {
            return false;
        }
        *moved = after;
        self.repaired += 1;
        true
    }

    async fn repair(&mut self, repair: Repair) -> Result<State, EngineError> {
        let mut last = None;
        for command in repair.commands {
            match self.provider.submit(command).await {
                Ok(Reply::Payment(payment)) => last = Some(payment),
                Ok(_) => {}
                Err(EngineError::Refused(refusal)) => {
                    return Ok(State::Failed(format!("{}: {refusal}", refusal.code())));
                }
                Err(error) => return Err(error),
            }
        }
        let failed = last.filter(|payment| !(repair.has_worked)(payment));
        Ok(failed.map_or(State::Done, |payment| {
            let failure = payment.last_failure.map(|failure| failure.message);
            State::Failed(failure.unwrap_or_else(|| "it changed nothing".to_owned()))
        }))
    }
}

/// A difference about money, before anything was done.
pub(super) fn finding(
    class: Class,
    object: &str,
    (ours, stripe): (&str, &str),
    action: &'static str,
) -> Finding {
    Finding {
        class,
        object: object.to_owned(),
        ours: ours.to_owned(),
        stripe: stripe.to_owned(),
        amount: 0,
        currency: String::new(),
        action,
        state: State::Proposed,
    }
}

/// The same with its money.
pub(super) fn over(finding: Finding, amount: Option<i64>, currency: Option<&str>) -> Finding {
    Finding {
        amount: amount.unwrap_or(0),
        currency: currency.unwrap_or_default().to_owned(),
        ..finding
    }
}
