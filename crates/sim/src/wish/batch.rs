//! Many charges in one request.

use bursar_domain::amount::Unit;
use bursar_domain::charge::{Charge, Price};
use bursar_domain::command::{AnswerKey, ChargeAll, Command, RequestHash};

use super::spending::{charge, euro};
use crate::client::{Clients, key, user};
use crate::draw::Draw;
use crate::script::{Step, Verb};
use crate::stripe::pick_recent;

/// A charge with the idempotency key that it has by itself.
type Keyed = (Charge, Option<(AnswerKey, RequestHash)>);

/// By the product. Some of the charges were asked for before, alone or in a batch, and some are there twice.
pub(super) fn command(step: Step, clients: &Clients) -> Option<Command> {
    if step.verb != Verb::Batch {
        return None;
    }
    let mut draw = Draw::new(u64::from(step.which) * 1_000 + u64::from(step.how));
    let number = clients.asked.len();
    let mut charges: Vec<Keyed> = Vec::new();
    for place in 0..2 + draw.below(4) {
        let known = match draw.below(6) {
            0 => earlier(clients, &mut draw),
            1 => charges.last().cloned(),
            _ => None,
        };
        let name = format!("k-{number}-{place}");
        charges.push(known.or_else(|| fresh(name, &mut draw))?);
    }
    let atomic = draw.below(2) == 0;
    Some(Command::ChargeAll(ChargeAll { charges, atomic }))
}

fn fresh(name: String, draw: &mut Draw) -> Option<Keyed> {
    let user = user(u32::try_from(draw.below(1_000)).ok()?)?;
    let amount = 1 + i64::try_from(draw.below(150)).ok()?;
    let unit = match draw.below(4) {
        0 => euro()?,
        _ => Unit::CREDIT,
    };
    // Nothing is owed in euros: the second ledger could not tell the grants apart.
    let allow_debt = draw.below(8) == 0 && unit == Unit::CREDIT;
    let charge = Charge {
        unit,
        ..charge(user, amount, allow_debt)
    };
    let has_key = draw.below(3) > 0;
    let own = has_key.then(|| key(name, &Command::Charge(charge.clone())));
    Some((charge, own))
}

/// A charge that somebody has asked for; now and then another one under its key.
fn earlier(clients: &Clients, draw: &mut Draw) -> Option<Keyed> {
    let mut all: Vec<Keyed> = Vec::new();
    for asked in &clients.asked {
        match &asked.request.command {
            Command::Charge(charge) => {
                all.push((charge.clone(), asked.request.idempotency.clone()));
            }
            Command::ChargeAll(batch) => all.extend(batch.charges.iter().cloned()),
            _ => {}
        }
    }
    let (mut charge, mut own) = pick_recent(&all, u32::try_from(draw.below(1_000)).ok()?)?.clone();
    if draw.below(4) == 0 {
        charge.price = Price::Exactly(3);
        own = own.map(|(known, _)| key(known.key, &Command::Charge(charge.clone())));
    }
    Some((charge, own))
}
