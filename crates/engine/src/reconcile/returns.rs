//! Refunds and disputes: was everything taken back that went back, and nothing else?

use std::collections::HashMap;

use bursar_domain::command::Command;
use bursar_domain::dispute::DisputeFact;
use bursar_domain::payment::Payment;
use bursar_domain::refund::RefundFact;
use bursar_domain::reversal::ReturnsRead;
use bursar_store::query::Purchase;
use bursar_stripe::object::{Dispute, Expandable, PaymentIntent, Refund};
use bursar_stripe::request::{Pages, list_disputes, list_refunds};

use super::pass::{Pass, Repair, finding, over};
use super::report::Class;
use super::sessions::{self, Key};
use crate::EngineError;
use crate::bridge::returns::{dispute_fact, refund_fact};
use crate::outside::Provider;

pub(super) async fn compare_refunds(pass: &mut Pass<'_, impl Provider>) -> Result<(), EngineError> {
    let mut pages = Pages::new(pass.window());
    let request = |window: &_| list_refunds(None, window);
    while let Some(page) = pass.turn::<Refund>(&mut pages, request).await? {
        pass.report.looked.refunds += page.len() as u64;
        let purchases = purchases(pass, page.iter().map(|it| it.payment_intent.as_ref())).await?;
        for refund in &page {
            match purchase(&purchases, refund.payment_intent.as_ref()) {
                Some(purchase) => compare_refund(pass, refund, purchase).await?,
                None => pass.report.looked.foreign += 1,
            }
        }
    }
    Ok(())
}

pub(super) async fn compare_disputes(
    pass: &mut Pass<'_, impl Provider>,
) -> Result<(), EngineError> {
    let mut pages = Pages::new(pass.window());
    let request = |window: &_| list_disputes(None, window);
    while let Some(page) = pass.turn::<Dispute>(&mut pages, request).await? {
        pass.report.looked.disputes += page.len() as u64;
        let purchases = purchases(pass, page.iter().map(|it| it.payment_intent.as_ref())).await?;
        for dispute in &page {
            match purchase(&purchases, dispute.payment_intent.as_ref()) {
                Some(purchase) => compare_dispute(pass, dispute, purchase).await?,
                None => pass.report.looked.foreign += 1,
            }
        }
    }
    Ok(())
}

type Intent<'a> = Option<&'a Expandable<PaymentIntent>>;

fn purchase<'a>(all: &'a HashMap<String, Purchase>, intent: Intent<'_>) -> Option<&'a Purchase> {
    all.get(intent?.id())
}

/// Our payments of these intents with what belongs to them, each under its intent.
async fn purchases(
    pass: &mut Pass<'_, impl Provider>,
    intents: impl Iterator<Item = Intent<'_>>,
) -> Result<HashMap<String, Purchase>, EngineError> {
    let intents: Vec<String> = intents
        .flatten()
        .map(|intent| intent.id().to_owned())
        .collect();
    by_intent(pass, intents).await
}

/// The same, for intents by their ids.
pub(super) async fn by_intent(
    pass: &mut Pass<'_, impl Provider>,
    mut intents: Vec<String>,
) -> Result<HashMap<String, Purchase>, EngineError> {
    intents.sort_unstable();
    intents.dedup();
    let known = sessions::payments_of(pass, intents.clone(), Key::Intent).await?;
    let mut payments: Vec<(String, Payment)> = Vec::with_capacity(known.len());
    for (intent, known) in intents.into_iter().zip(known) {
        let found = match known {
            Some(payment) => Some(payment),
            None => sessions::payment_of_intent(pass, &intent).await?,
        };
        payments.extend(found.map(|payment| (intent, payment)));
    }
    let (intents, payments): (Vec<_>, Vec<_>) = payments.into_iter().unzip();
    let purchases = pass
        .provider
        .read(move |reader| reader.purchases(payments))
        .await?;
    Ok(intents.into_iter().zip(purchases).collect())
}

async fn compare_refund(
    pass: &mut Pass<'_, impl Provider>,
    refund: &Refund,
    purchase: &Purchase,
) -> Result<(), EngineError> {
    let Some(fact) = refund_fact(refund) else {
        let found = finding(
            Class::Stale,
            &refund.id,
            ("unknown", "unreadable"),
            "look at it",
        );
        pass.tell(found);
        return Ok(());
    };
    let payment = &purchase.payment;
    let known = purchase.refunds.iter().find(|ours| {
        ours.provider_id.as_deref() == Some(&refund.id)
            || ours.provider_id.is_none() && fact.hint.as_ref() == Some(&ours.id)
    });
    let is_news =
        known.is_none_or(|ours| ours.provider_id.is_none() || ours.status.is_behind(fact.status));
    if !is_news {
        return Ok(());
    }
    let ours = known.map_or("unknown", |ours| ours.status.as_str());
    let stands = known.is_some_and(|ours| ours.status.stands());
    let (class, action) = match (fact.status.stands(), stands) {
        (true, false) => (Class::NotTakenBack, "take back what the money had bought"),
        (false, true) => (Class::TakenBackTooMuch, "give back what was taken for it"),
        _ => (Class::Stale, "take over the refund's status"),
    };
    let found = finding(class, &refund.id, (ours, fact.status.as_str()), action);
    let found = over(found, Some(fact.amount), Some(&fact.currency));
    if fact.currency != payment.amount.unit.code()
        || !(1..=payment.amount.minor).contains(&fact.amount)
    {
        let class = Class::BindingMismatch;
        pass.tell(super::Finding {
            class,
            action: "it is over other money than the payment: look at both",
            ..found
        });
        return Ok(());
    }
    pass.settle(found, take(payment, vec![fact], vec![])).await
}

async fn compare_dispute(
    pass: &mut Pass<'_, impl Provider>,
    dispute: &Dispute,
    purchase: &Purchase,
) -> Result<(), EngineError> {
    let Some(fact) = dispute_fact(dispute) else {
        let found = finding(
            Class::Stale,
            &dispute.id,
            ("unknown", "unreadable"),
            "look at it",
        );
        pass.tell(found);
        return Ok(());
    };
    let known = purchase.disputes.iter().find(|ours| ours.id == dispute.id);
    let has = |id: &str| known.is_some_and(|ours| ours.movements.iter().any(|it| it.id == id));
    let missing = fact.movements.iter().filter(|it| !has(&it.id));
    let missing: i64 = missing.map(|it| it.withdrawn).sum();
    let is_behind = known.is_none_or(|ours| ours.status < fact.status);
    let all_known = fact.movements.iter().all(|it| has(&it.id));
    if !is_behind && all_known {
        return Ok(());
    }
    let (class, action) = match missing {
        1.. => (Class::NotTakenBack, "take back what the money had bought"),
        0 => (Class::Stale, "take over the dispute's status"),
        _ => (Class::TakenBackTooMuch, "give back what was taken for it"),
    };
    let ours = known.map_or("unknown", |ours| ours.status.as_str());
    let found = finding(class, &dispute.id, (ours, fact.status.as_str()), action);
    let found = over(found, Some(missing), Some(&fact.currency));
    if fact.currency != purchase.payment.amount.unit.code() {
        let class = Class::BindingMismatch;
        pass.tell(super::Finding {
            class,
            action: "it is in another currency than the payment: look at both",
            ..found
        });
        return Ok(());
    }
    pass.settle(found, take(&purchase.payment, vec![], vec![fact]))
        .await
}

fn take(payment: &Payment, refunds: Vec<RefundFact>, disputes: Vec<DisputeFact>) -> Repair {
    Repair::by(Command::ReturnsRead(ReturnsRead {
        payment: payment.id.clone(),
        claim: None,
        refunds,
        disputes,
    }))
}
