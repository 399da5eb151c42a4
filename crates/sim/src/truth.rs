//! What Stripe knows, compared with what the books say.

use std::collections::BTreeSet;

use bursar_domain::id::RefundId;
use serde_json::Value;

use crate::model::{Paying, share};
use crate::run::{Run, text};

fn metadata<'a>(object: &'a Value, name: &str) -> Option<&'a str> {
    object["metadata"][name].as_str()
}

/// At any moment: nothing is paid here that is not paid there, and Stripe was asked for nothing twice.
pub(crate) fn nothing_invented(run: &Run) -> Result<(), String> {
    for (id, paying) in run.model.payments.iter().filter(|(_, paying)| paying.paid) {
        if !money(run, paying).is_some_and(|money| money.paid) {
            return Err(format!(
                "{id} counts as paid, and Stripe has no money for it"
            ));
        }
    }
    once(run, "checkout.session", "payment_id")?;
    once(run, "payment_intent", "payment_id")?;
    once(run, "refund", "refund_id")?;
    all_agreed(run)
}

/// No money goes back to which a second administrator has to agree, and has not.
fn all_agreed(run: &Run) -> Result<(), String> {
    let made = run.stripe.world.records.objects("refund");
    for id in made.filter_map(|refund| metadata(refund, "refund_id")) {
        let ours = RefundId::parse(id).and_then(|id| run.model.refunds.get(&id));
        if ours.is_some_and(|owed| !owed.is_agreed()) {
            return Err(format!("{id} was made, and nobody has agreed to it"));
        }
    }
    Ok(())
}

fn once(run: &Run, kind: &str, name: &str) -> Result<(), String> {
    let mut met = BTreeSet::new();
    let named = run.stripe.world.records.objects(kind);
    for ours in named.filter_map(|object| metadata(object, name)) {
        if !met.insert(ours) {
            return Err(format!("Stripe has two objects of kind {kind} for {ours}"));
        }
    }
    Ok(())
}

/// What Stripe says of the money of a payment: what came, what was refunded, what banks have.
struct Money {
    paid: bool,
    refunded: i64,
    disputed: i64,
}

fn money(run: &Run, paying: &Paying) -> Option<Money> {
    let (paid, intent) = if let Some(session) = &paying.session {
        let session = run.stripe.session(session)?;
        let intent = session["payment_intent"].as_str().unwrap_or_default();
        (session["payment_status"] == "paid", intent)
    } else {
        let intent = paying.intent.as_deref()?;
        (run.stripe.intent(intent)?["status"] == "succeeded", intent)
    };
    let refunds = run.stripe.of_intent("refund", intent);
    let stands = |refund: &&Value| {
        matches!(
            refund["status"].as_str(),
            Some("pending" | "requires_action" | "succeeded")
        )
    };
    let refunded = refunds
        .iter()
        .filter(stands)
        .filter_map(|refund| refund["amount"].as_i64());
    let disputes = run.stripe.of_intent("dispute", intent);
    let moved = disputes
        .iter()
        .filter_map(|dispute| dispute["balance_transactions"].as_array())
        .flatten();
    let by_banks: i64 = moved.filter_map(|moved| moved["amount"].as_i64()).sum();
    Some(Money {
        paid,
        refunded: refunded.sum(),
        disputed: -by_banks,
    })
}

/// In the end: every payment is here what it is there, and each thing it has given is short by exactly the share that went back.
pub(crate) fn agrees(run: &mut Run) -> Result<(), String> {
    nothing_invented(run)?;
    let ids: Vec<_> = run.model.payments.keys().cloned().collect();
    for id in ids {
        let Some(paying) = run.model.payments.get(&id) else {
            continue;
        };
        let (told, amount) = (
            (paying.paid, paying.refunded(), paying.disputed()),
            paying.amount,
        );
        let Some(money) = money(run, paying) else {
            continue;
        };
        let known = (money.paid, money.refunded, money.disputed);
        if told != known {
            return Err(format!(
                "of {id} Stripe knows (paid, refunded, disputed) {known:?}, and here {told:?} was heard"
            ));
        }
        let row = run.nodes[0]
            .reach
            .ask(|reader| Ok((reader.payment(&id)?, reader.awards(&id)?)));
        let (row, awards) = row.map_err(text)?;
        let row = row.ok_or_else(|| format!("{id} is gone"))?;
        let has = (
            row.status.is_paid(),
            row.returned.refunded,
            row.returned.disputed,
        );
        let should = if money.paid { known } else { (false, 0, 0) };
        if has != should {
            return Err(format!(
                "the row of {id} says {has:?}, and should say {should:?}"
            ));
        }
        for award in awards {
            let target = share(award.granted, money.refunded + money.disputed, amount);
            if award.taken != target {
                return Err(format!(
                    "of {} credits of {id} {} were taken back, and {target} should be",
                    award.granted, award.taken
                ));
            }
        }
    }
    Ok(())
}
