//! Many charges in one request, and the question whether a charge would be made.

use serde::{Deserialize, Serialize};

use super::answer::once;
use super::{AnswerKey, Context, Reply, RequestHash};
use crate::charge::{self, Charge, Charged};
use crate::grant;
use crate::planted::{self, Bug};
use crate::refusal::Refusal;
use crate::state::{Needs, State, Wanted};
use crate::wallet;

/// Many charges in one request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChargeAll {
    /// The charges, each with an idempotency key of its own and the digest of what it asks: the same key that the charge would
    /// have by itself.
    pub charges: Vec<(Charge, Option<(AnswerKey, RequestHash)>)>,
    /// All or none: the first refusal undoes those before it.
    pub atomic: bool,
}

impl ChargeAll {
    pub(super) fn needs(&self, wanted: &mut Wanted<'_>) {
        for (charge, key) in &self.charges {
            charge::needs(wanted, charge);
            if let Some((key, _)) = key {
                wanted.answer(key);
            }
        }
    }

    /// All rows that it asks for, be they here or not.
    fn touched(&self) -> Needs {
        let nothing_here = State {
            has_limits: true,
            ..State::default()
        };
        let mut needs = Needs::default();
        let mut wanted = Wanted::new(&nothing_here, &mut needs);
        self.needs(&mut wanted);
        // What is only needed where something can expire, which a wallet would have to be here to tell.
        for (charge, _) in &self.charges {
            grant::needs_to_expire(&mut wanted, &charge.wallet());
        }
        needs
    }
}

/// Asks whether a charge would be made now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Precheck {
    /// Whose wallet and limits, and what for.
    pub charge: Charge,
    /// Without a price it is only asked whether the wallet is not below zero already.
    pub priced: bool,
}

/// Whether a charge would be made now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Prechecked {
    /// What it would cost, in smallest steps; 0 if nothing was priced.
    pub cost: i64,
    /// What may be spent now.
    pub available: i64,
    /// Why not; none if it would be made.
    pub refusal: Option<Refusal>,
}

/// The charge that was made, and whether it was made before under its key; or why not.
pub type ChargeAnswer = Result<(Charged, bool), Refusal>;

/// Makes the charges one after the other, each under its own idempotency key.
pub(super) fn charge_all(
    state: &mut State,
    context: &mut Context<'_>,
    all: &ChargeAll,
) -> Result<Vec<ChargeAnswer>, Refusal> {
    let mut before = all.atomic.then(|| state.save(&all.touched()));
    let mut answers = Vec::with_capacity(all.charges.len());
    for (position, (charge, key)) in all.charges.iter().enumerate() {
        let key = key.as_ref();
        let key = key.filter(|_| !planted::is(Bug::BatchKeysForgotten));
        let (answer, replayed) = once(state, context, key, |state, context| {
            charge::charge(state, context, charge).map(Reply::Charged)
        });
        let answer = match answer {
            Ok(Reply::Charged(charged)) => Ok((charged, replayed)),
            // A key belongs to one route, and that route answers with charges.
            Ok(_) => Err(Refusal::IdempotencyKeyReused),
            Err(refusal) => Err(refusal),
        };
        if let (Err(refusal), Some(before)) = (&answer, before.take_if(|_| answer.is_err())) {
            let why = Box::new(refusal.clone());
            if !planted::is(Bug::BatchHalfApplied) {
                state.undo(before);
            }
            return Err(Refusal::BatchRefused { position, why });
        }
        answers.push(answer);
    }
    Ok(answers)
}

pub(super) fn precheck(
    state: &State,
    context: &Context<'_>,
    asked: &Precheck,
) -> Result<Prechecked, Refusal> {
    let key = asked.charge.wallet();
    let available = wallet::available(state, &key, context.now);
    let outcome = if asked.priced {
        charge::check(state, context, &asked.charge)
    } else {
        charge::covers(state, &key, 0, 0, context.now).map(|()| 0)
    };
    match outcome {
        Ok(cost) => Ok(Prechecked {
            cost,
            available,
            refusal: None,
        }),
        Err(
            refusal @ (Refusal::InsufficientCredits { .. } | Refusal::SpendingLimitReached { .. }),
        ) => Ok(Prechecked {
            cost: asked.charge.cost(context.policy).unwrap_or(0),
            available,
            refusal: Some(refusal),
        }),
        // What is wrong in itself is no answer to the question.
        Err(refusal) => Err(refusal),
    }
}
