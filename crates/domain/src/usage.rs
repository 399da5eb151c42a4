//! Usage: facts about what was consumed. Facts do not price; what a fact costs, hooks and rules decide.

use serde::{Deserialize, Serialize};

use crate::grant::{AMOUNT_MAX, within};
use crate::id::UserId;
use crate::refusal::Refusal;
use crate::state::State;
use crate::time::Time;
use crate::word::words;

/// How what was used has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UsageStatus {
    /// It worked.
    Success,
    /// It did not.
    Error,
}

words!(UsageStatus: Success = "success", Error = "error");

/// A fact to be recorded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordUsage {
    /// Who used it.
    pub user: UserId,
    /// What was used: a service of the product.
    pub service: String,
    /// Which variant of it: a model, a size. May be empty.
    pub variant: String,
    /// How often, or how much of it; 1 or more.
    pub quantity: i64,
    /// How it ended.
    pub status: UsageStatus,
    /// A JSON object as text; opaque to us.
    pub meta: String,
}

/// A fact as recorded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UsageEvent {
    /// Its number: they are numbered without gaps.
    pub number: i64,
    /// Who used it.
    pub user: UserId,
    /// What was used.
    pub service: String,
    /// Which variant of it.
    pub variant: String,
    /// How often, or how much of it.
    pub quantity: i64,
    /// How it ended.
    pub status: UsageStatus,
    /// A JSON object as text.
    pub meta: String,
    /// When it was recorded.
    pub at: Time,
}

pub(crate) fn record(
    state: &mut State,
    now: Time,
    fact: &RecordUsage,
) -> Result<UsageEvent, Refusal> {
    within("quantity", fact.quantity, 1, AMOUNT_MAX)?;
    let event = UsageEvent {
        number: state.sequence.next_usage(),
        user: fact.user.clone(),
        service: fact.service.clone(),
        variant: fact.variant.clone(),
        quantity: fact.quantity,
        status: fact.status,
        meta: fact.meta.clone(),
        at: now,
    };
    state.usage.push(event.clone());
    Ok(event)
}
