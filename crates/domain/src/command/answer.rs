//! Answers that are remembered under idempotency keys, so that what is asked twice happens once.

use super::{Context, Reply};
use crate::planted::{self, Bug};
use crate::refusal::Refusal;
use crate::state::State;
use crate::time::Time;

/// Scope of an idempotency key: the same text from another principal or on another route is another key.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AnswerKey {
    /// The key the caller chose. It stands first because it tells two of them apart soonest.
    pub key: String,
    /// Who asked.
    pub principal: String,
    /// The route, as written in the list of routes.
    pub route: String,
}

/// The first 16 bytes of the SHA-256 of what a request asks: the same idempotency key with another one is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RequestHash(pub [u8; 16]);

/// The idempotency key under which something is asked, if it is under any, with the digest of what is asked.
pub type Idempotency = Option<(AnswerKey, RequestHash)>;

/// What is remembered under an idempotency key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// Digest of the request's body: the same key with another body is refused.
    pub request_hash: RequestHash,
    /// What was answered.
    pub outcome: Result<Reply, Refusal>,
    /// When.
    pub at: Time,
}

/// Decides what was not decided before under this idempotency key, and remembers the answer.
pub(super) fn once(
    state: &mut State,
    context: &mut Context<'_>,
    idempotency: Option<&(AnswerKey, RequestHash)>,
    decide: impl FnOnce(&mut State, &mut Context<'_>) -> Result<Reply, Refusal>,
) -> (Result<Reply, Refusal>, bool) {
    let Some((key, request_hash)) = idempotency else {
        return (decide(state, context), false);
    };
    if let Some(before) = state.answers.get(key) {
        if before.request_hash != *request_hash && !planted::is(Bug::KeyWithoutBody) {
            return (Err(Refusal::IdempotencyKeyReused), false);
        }
        return (before.outcome.clone(), true);
    }
    let outcome = decide(state, context);
    // Wallets are read as they stand, again and again.
    let passes = match &outcome {
        Ok(reply) => matches!(reply, Reply::Wallets(_)),
        Err(refusal) => refusal.is_transient() || planted::is(Bug::RefusalNotKept),
    };
    if !passes {
        let answer = Answer {
            request_hash: *request_hash,
            outcome: outcome.clone(),
            at: context.now,
        };
        state.answers.insert(key.clone(), answer);
    }
    (outcome, false)
}
