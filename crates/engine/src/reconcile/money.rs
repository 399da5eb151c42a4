//! The money proof: every movement of Stripe's balance that should be ours is explained by a payment, a refund or a dispute here.

use std::collections::HashMap;

use bursar_domain::command::Command;
use bursar_domain::reversal::ReturnsRead;
use bursar_domain::time::Time;
use bursar_store::query::Purchase;
use bursar_stripe::object::{BalanceTransaction, Dispute, List, Refund, Source};
use bursar_stripe::request::{Pages, list_balance_transactions};

use super::pass::{Pass, Repair, finding, over};
use super::report::Class;
use super::{adopt, returns, sessions};
use crate::EngineError;
use crate::bridge::outbound;
use crate::bridge::returns::{dispute_fact, refund_fact};
use crate::bridge::stamp::Carried;
use crate::outside::Provider;

/// What Stripe has of one payment.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Net {
    /// In smallest steps: what came less what went.
    pub(super) sum: i64,
    /// Whether some of it is in another currency than the payment, so that there is no sum.
    pub(super) converted: bool,
}

/// By the number of the payment: a few bytes for each, whatever a run looks at.
pub(super) type Nets = HashMap<i64, Net>;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Charge,
    Refund,
    /// A refund that came back.
    RefundFailure,
    Dispute,
    /// Fees, payouts, transfers and so on: named and summed.
    Other,
}

/// By Stripe's type (<https://docs.stripe.com/reports/balance-transaction-types>) and what caused it.
fn kind(movement: &BalanceTransaction) -> Kind {
    let source = source(movement).and_then(|source| source.object.as_deref());
    match (movement.kind.as_deref(), source) {
        (Some("charge" | "payment"), Some("charge")) => Kind::Charge,
        (Some("refund" | "payment_refund"), Some("refund")) => Kind::Refund,
        (Some("refund_failure" | "payment_failure_refund"), Some("refund")) => Kind::RefundFailure,
        (Some("adjustment"), Some("dispute")) => Kind::Dispute,
        _ => Kind::Other,
    }
}

fn source(movement: &BalanceTransaction) -> Option<&Source> {
    movement.source.as_ref().and_then(|source| source.object())
}

pub(super) async fn compare(pass: &mut Pass<'_, impl Provider>) -> Result<(), EngineError> {
    let mut pages = Pages::new(pass.window());
    let request = |window: &_| list_balance_transactions(None, window, true);
    while let Some(page) = pass.turn::<BalanceTransaction>(&mut pages, request).await? {
        pass.report.looked.movements += page.len() as u64;
        for movement in &page {
            sum_up(pass, movement);
        }
        let intents = page
            .iter()
            .filter_map(|movement| intent_of(pass, movement))
            .collect();
        let purchases = returns::by_intent(pass, intents).await?;
        for movement in page.iter().filter(|movement| kind(movement) != Kind::Other) {
            let intent = source(movement).and_then(|source| source.payment_intent.as_ref());
            match intent.and_then(|intent| purchases.get(intent)) {
                Some(purchase) => explain(pass, movement, purchase).await?,
                None => others(pass, movement),
            }
        }
    }
    Ok(())
}

/// The payment intent of a movement that may be ours. A charge carries what its payment carries, so that those of others need no call.
fn intent_of(pass: &Pass<'_, impl Provider>, movement: &BalanceTransaction) -> Option<String> {
    let source = source(movement)?;
    let may_be_ours = match kind(movement) {
        Kind::Charge => adopt::named(&adopt::carried(pass, &source.metadata)).is_some(),
        Kind::Refund | Kind::RefundFailure | Kind::Dispute => true,
        Kind::Other => false,
    };
    source.payment_intent.clone().filter(|_| may_be_ours)
}

fn sum_up(pass: &mut Pass<'_, impl Provider>, movement: &BalanceTransaction) {
    let (Some(currency), Some(amount)) = (&movement.currency, movement.amount) else {
        return;
    };
    let kind = movement.kind.clone().unwrap_or_default();
    let money = pass.report.money.entry(currency.clone()).or_default();
    add(money.by_kind.entry(kind).or_default(), amount);
    add(&mut money.fees, movement.fee.unwrap_or(0));
    let day = Time::from_seconds(movement.created.unwrap_or(0)).to_string();
    let day = day.get(..10).unwrap_or_default().to_owned();
    let days = pass.report.days.entry(day).or_default();
    add(days.entry(currency.clone()).or_default(), amount);
}

/// Sums of a report; one that does not fit says so by standing still.
fn add(sum: &mut i64, amount: i64) {
    *sum = sum.saturating_add(amount);
}

/// Money that no payment of ours has: somebody else's on the same account, or a payment that was told of already.
fn others(pass: &mut Pass<'_, impl Provider>, movement: &BalanceTransaction) {
    let carried = source(movement).map(|source| adopt::carried(pass, &source.metadata));
    let is_foreign = !matches!(carried, Some(Carried::Ours(_) | Carried::Unproven(_)));
    let (currency, amount) = (
        movement.currency.clone().unwrap_or_default(),
        movement.amount.unwrap_or(0),
    );
    let money = pass.report.money.entry(currency).or_default();
    add(
        if is_foreign {
            &mut money.foreign
        } else {
            &mut money.unexplained
        },
        amount,
    );
    let intent = source(movement).and_then(|source| source.payment_intent.clone());
    if !is_foreign && !intent.is_some_and(|intent| pass.is_told(&intent)) {
        let action = "its metadata name a payment of ours that is not here: look at it";
        tell(pass, movement, "nothing", action);
    }
}

fn tell(
    pass: &mut Pass<'_, impl Provider>,
    movement: &BalanceTransaction,
    ours: &str,
    action: &'static str,
) {
    let kind = movement.kind.clone().unwrap_or_default();
    let found = finding(
        Class::UnexplainedMovement,
        &movement.id,
        (ours, &kind),
        action,
    );
    pass.tell(over(found, movement.amount, movement.currency.as_deref()));
}

async fn explain(
    pass: &mut Pass<'_, impl Provider>,
    movement: &BalanceTransaction,
    purchase: &Purchase,
) -> Result<(), EngineError> {
    let payment = &purchase.payment;
    let amount = movement.amount.unwrap_or(0);
    let same_currency = movement.currency.as_deref() == Some(payment.amount.unit.code());
    let net = pass.nets.entry(payment.number).or_default();
    add(&mut net.sum, amount);
    net.converted |= !same_currency;
    let caused_by = source(movement).map_or("", |source| source.id.as_str());
    let refund = purchase
        .refunds
        .iter()
        .find(|it| it.provider_id.as_deref() == Some(caused_by));
    let dispute = purchase.disputes.iter().find(|it| it.id == caused_by);
    let kind = kind(movement);
    let is_explained = match kind {
        Kind::Charge => payment.status.is_paid() || payment.status.is_open(),
        Kind::Refund => refund.is_some(),
        Kind::RefundFailure => refund.is_some_and(|refund| !refund.status.stands()),
        Kind::Dispute => {
            dispute.is_some_and(|it| it.movements.iter().any(|known| known.id == movement.id))
        }
        Kind::Other => true,
    };
    let currency = movement.currency.clone().unwrap_or_default();
    let money = pass.report.money.entry(currency).or_default();
    if is_explained {
        add(&mut money.explained, amount);
        return Ok(());
    }
    add(&mut money.unexplained, amount);
    match kind {
        Kind::Charge => sessions::read_and_judge(pass, payment).await,
        _ => read_returns(pass, movement, purchase, caused_by).await,
    }
}

/// Money went or came back and we do not know why: all refunds and disputes of the payment say it.
async fn read_returns(
    pass: &mut Pass<'_, impl Provider>,
    movement: &BalanceTransaction,
    purchase: &Purchase,
    caused_by: &str,
) -> Result<(), EngineError> {
    let Some(intent) = purchase.payment.intent.clone() else {
        return Ok(());
    };
    if pass.is_told(caused_by) {
        return Ok(());
    }
    let refunds: List<Refund> = pass.call(&outbound::list_refunds(&intent)).await?;
    let disputes: List<Dispute> = pass.call(&outbound::list_disputes(&intent)).await?;
    let read = ReturnsRead {
        payment: purchase.payment.id.clone(),
        claim: None,
        refunds: refunds.data.iter().filter_map(refund_fact).collect(),
        disputes: disputes.data.iter().filter_map(dispute_fact).collect(),
    };
    let amount = movement.amount.unwrap_or(0);
    let (class, action) = if amount < 0 {
        (Class::NotTakenBack, "take back what the money had bought")
    } else {
        (Class::TakenBackTooMuch, "give back what was taken for it")
    };
    let kind = movement.kind.clone().unwrap_or_default();
    let found = finding(
        class,
        caused_by,
        (&super::standing(&purchase.payment), &kind),
        action,
    );
    let found = over(found, Some(amount), movement.currency.as_deref());
    pass.settle(found, Repair::by(Command::ReturnsRead(read)))
        .await
}
