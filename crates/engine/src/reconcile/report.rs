//! What a reconciliation has found, in words and in numbers.

use std::collections::BTreeMap;
use std::fmt;

use bursar_store::query::Span;
use schemars::JsonSchema;
use serde::Serialize;

/// So many findings of one class are listed; all are counted.
const LISTED_MAX: usize = 200;

/// In which way Stripe and we differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(rename = "DifferenceClass")]
pub enum Class {
    /// D1: an event was not delivered.
    MissingEvent,
    /// D2: paid at Stripe, and no credit was given.
    PaidNotCredited,
    /// D3: paid at Stripe with another amount, currency or mode than ours.
    BindingMismatch,
    /// D4: credit was given, and Stripe has no money for it.
    CreditedNotPaid,
    /// D5: money went back, and what it had bought was not taken back.
    NotTakenBack,
    /// D6: more was taken back than money went back.
    TakenBackTooMuch,
    /// D7: Stripe has a payment of ours that we do not have.
    Orphan,
    /// D8: paid twice for one thing.
    PaidTwice,
    /// D9: a status is behind, and no money depends on it.
    Stale,
    /// D10: money moved at Stripe, and nothing here explains it.
    UnexplainedMovement,
    /// D12: our own books contradict themselves.
    BooksBroken,
}

impl Class {
    /// As it is called in the documentation: `D1` to `D12`.
    pub const fn number(self) -> &'static str {
        match self {
            Self::MissingEvent => "D1",
            Self::PaidNotCredited => "D2",
            Self::BindingMismatch => "D3",
            Self::CreditedNotPaid => "D4",
            Self::NotTakenBack => "D5",
            Self::TakenBackTooMuch => "D6",
            Self::Orphan => "D7",
            Self::PaidTwice => "D8",
            Self::Stale => "D9",
            Self::UnexplainedMovement => "D10",
            Self::BooksBroken => "D12",
        }
    }

    /// As programs know it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::MissingEvent => "missing_event",
            Self::PaidNotCredited => "paid_not_credited",
            Self::BindingMismatch => "binding_mismatch",
            Self::CreditedNotPaid => "credited_not_paid",
            Self::NotTakenBack => "not_taken_back",
            Self::TakenBackTooMuch => "taken_back_too_much",
            Self::Orphan => "orphan",
            Self::PaidTwice => "paid_twice",
            Self::Stale => "stale",
            Self::UnexplainedMovement => "unexplained_movement",
            Self::BooksBroken => "books_broken",
        }
    }
}

/// What became of a difference.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(rename = "DifferenceState")]
pub enum State {
    /// `--repair` would do it.
    Proposed,
    /// It was done.
    Done,
    /// It was not done: there were more than the run was allowed.
    OverLimit,
    /// It was tried, and this came of it.
    Failed(String),
    /// Only a person can decide that.
    ForPerson,
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Proposed => f.write_str("can be repaired"),
            Self::Done => f.write_str("done"),
            Self::OverLimit => f.write_str("over the limit of this run"),
            Self::Failed(why) => write!(f, "failed: {why}"),
            Self::ForPerson => f.write_str("for a person"),
        }
    }
}

/// One difference.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(rename = "Difference")]
pub struct Finding {
    /// Its class.
    pub class: Class,
    /// What it is about: an object of Stripe's, or one of ours.
    pub object: String,
    /// What we have.
    pub ours: String,
    /// What Stripe has.
    pub stripe: String,
    /// How much money it is about, in smallest steps; 0 if none.
    pub amount: i64,
    /// In which currency; empty if it is about no money.
    pub currency: String,
    /// What to do.
    pub action: &'static str,
    /// What became of it.
    pub state: State,
}

/// How many differences of a class there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, JsonSchema)]
#[schemars(rename = "DifferenceCount")]
pub struct Count {
    /// All of them.
    pub found: u64,
    /// Those that were repaired.
    pub done: u64,
    /// Those that this run, or one with `--repair`, may still repair.
    pub left: u64,
    /// Those only a person can decide.
    pub for_person: u64,
}

/// What was looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, JsonSchema)]
#[schemars(rename = "LookedAt")]
pub struct Looked {
    /// Events at Stripe.
    pub events: u64,
    /// Checkout sessions at Stripe.
    pub sessions: u64,
    /// Payment intents at Stripe.
    pub intents: u64,
    /// Refunds at Stripe.
    pub refunds: u64,
    /// Disputes at Stripe.
    pub disputes: u64,
    /// Movements of Stripe's balance.
    pub movements: u64,
    /// Payments of ours.
    pub payments: u64,
    /// Objects at Stripe that are nothing of ours.
    pub foreign: u64,
    /// Calls to Stripe.
    pub calls: u64,
}

/// Movements of Stripe's balance in one currency, in smallest steps. What comes in is positive.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, JsonSchema)]
#[schemars(rename = "MoneyAtStripe")]
pub struct Money {
    /// By Stripe's type: `charge`, `refund`, `adjustment`, `payout` and so on.
    pub by_kind: BTreeMap<String, i64>,
    /// What payments of ours explain.
    pub explained: i64,
    /// The part of that which belongs to payments that were made in the time looked at.
    pub proven: i64,
    /// What our ledger says about these payments: it must be the same.
    pub ledger: i64,
    /// What is somebody else's: other charges on the same account.
    pub foreign: i64,
    /// What should be ours, and nothing explains.
    pub unexplained: i64,
    /// What Stripe keeps.
    pub fees: i64,
}

/// The whole result.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(rename = "ReconciliationReport")]
pub struct Report {
    /// Objects made in this time were looked at, seconds since 1970.
    pub from: i64,
    /// The end of that time.
    pub to: i64,
    /// Whether it was allowed to repair.
    pub repair: bool,
    /// What was looked at.
    pub looked: Looked,
    /// How many differences, by class.
    pub counts: BTreeMap<Class, Count>,
    /// The first of each class.
    pub findings: Vec<Finding>,
    /// Stripe's balance, by currency.
    pub money: BTreeMap<String, Money>,
    /// The same, by UTC day (`2026-11-26`) and currency: what came and went in all, fees not counted.
    pub days: BTreeMap<String, BTreeMap<String, i64>>,
    /// Top-ups that an administrator finished by hand; no money at Stripe belongs to them.
    pub finished_by_hand: u64,
}

impl Report {
    pub(super) fn new(span: Span, repair: bool) -> Self {
        Self {
            from: span.from,
            to: span.to,
            repair,
            looked: Looked::default(),
            counts: BTreeMap::new(),
            findings: Vec::new(),
            money: BTreeMap::new(),
            days: BTreeMap::new(),
            finished_by_hand: 0,
        }
    }

    pub(super) fn add(&mut self, finding: Finding) {
        let count = self.counts.entry(finding.class).or_default();
        count.found += 1;
        match finding.state {
            State::Done => count.done += 1,
            State::ForPerson => count.for_person += 1,
            State::Proposed | State::OverLimit | State::Failed(_) => count.left += 1,
        }
        let listed = self.findings.iter();
        if listed.filter(|it| it.class == finding.class).count() < LISTED_MAX {
            self.findings.push(finding);
        }
    }

    fn sum(&self, of: impl Fn(&Count) -> u64) -> u64 {
        self.counts.values().map(of).sum()
    }

    /// Whether Stripe and we agree, after what was repaired.
    pub fn agrees(&self) -> bool {
        self.sum(|count| count.left + count.for_person) == 0
    }

    /// Whether there was nothing to repair: neither done nor left. What only a person can decide does not count.
    pub fn is_settled(&self) -> bool {
        self.sum(|count| count.done + count.left) == 0
    }
}

/// A table for people.
impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let looked = &self.looked;
        writeln!(
            f,
            "looked at {} events, {} sessions, {} payment intents, {} refunds, {} disputes and {} movements at Stripe, \
             and {} payments here; {} calls, {} objects of others",
            looked.events,
            looked.sessions,
            looked.intents,
            looked.refunds,
            looked.disputes,
            looked.movements,
            looked.payments,
            looked.calls,
            looked.foreign
        )?;
        for finding in &self.findings {
            let (class, number) = (finding.class.name(), finding.class.number());
            writeln!(f, "{number:<4}{class:<22}{}", finding.object)?;
            writeln!(
                f,
                "      ours: {}; Stripe: {}",
                finding.ours, finding.stripe
            )?;
            if finding.amount != 0 {
                writeln!(
                    f,
                    "      {} {} (smallest steps)",
                    finding.amount, finding.currency
                )?;
            }
            writeln!(f, "      {}: {}", finding.action, finding.state)?;
        }
        for (currency, money) in &self.money {
            writeln!(
                f,
                "{currency}: {} explained; of payments made in this time {} at Stripe and {} in the ledger; {} unexplained, \
                 {} of others, {} fees (smallest steps)",
                money.explained,
                money.proven,
                money.ledger,
                money.unexplained,
                money.foreign,
                money.fees
            )?;
        }
        for (class, count) in &self.counts {
            writeln!(
                f,
                "{:<4}{:<22}{} found, {} repaired, {} left, {} for a person",
                class.number(),
                class.name(),
                count.found,
                count.done,
                count.left,
                count.for_person
            )?;
        }
        if self.agrees() {
            writeln!(f, "Stripe and the books agree")
        } else {
            writeln!(f, "Stripe and the books differ")
        }
    }
}
