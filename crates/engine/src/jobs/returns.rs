//! Calls about money that goes back: asking for refunds, reading what a payment has lost.

use bursar_domain::command::Command;
use bursar_domain::job::Claim;
use bursar_domain::payment::Payment;
use bursar_domain::planted::{self, Bug};
use bursar_domain::refund::{Refund, RefundSent, RefundStatus};
use bursar_domain::reversal::ReturnsRead;
use bursar_store::query::Reader;
use bursar_stripe::object::{Dispute as StripeDispute, List, Refund as StripeRefund};
use bursar_stripe::request;

use super::{CallError, OPEN_SECONDS_MAX};
use crate::bridge;
use crate::outside::Provider;

/// Asks for a refund. The refund's id is the idempotency key, so that however often it is sent it is one refund; and it is looked for
/// among those there are before it is sent again after so long that Stripe may have forgotten the key.
pub(super) async fn send_refund(
    provider: &impl Provider,
    claim: Claim,
) -> Result<Command, CallError> {
    let id = claim.key.refund();
    let read = move |reader: &mut Reader| {
        let Some(id) = &id else { return Ok(None) };
        let Some(refund) = reader.refund(id)? else {
            return Ok(None);
        };
        let payment = reader.payment(&refund.payment)?;
        Ok(payment.map(|payment| (refund, payment)))
    };
    let Some((refund, payment)) = provider.read(read).await? else {
        return Ok(Command::DropJob(claim));
    };
    if refund.status != RefundStatus::Requested {
        return Ok(Command::DropJob(claim));
    }
    let Some(intent) = &payment.intent else {
        let message = "the payment has no payment intent to refund".to_owned();
        return Ok(refused(claim, "no_payment_intent", message));
    };
    if refund.updated_at.plus_seconds(OPEN_SECONDS_MAX) < provider.now() {
        return look_for(provider, claim, &refund, intent).await;
    }
    let mut asked = bridge::outbound::create_refund(&refund, intent);
    if planted::is(Bug::RefundKeyPerTry) {
        asked.idempotency_key = Some(format!("{}-{}", refund.id, claim.attempt));
    }
    match provider.call::<StripeRefund>(&asked).await {
        Ok(made) => Ok(told(claim, &made)),
        Err(bursar_stripe::Error::Refused(refusal)) => {
            let code = refusal.code.clone();
            let code = code.unwrap_or_else(|| "provider_refused".to_owned());
            Ok(refused(claim, &code, refusal.message.clone()))
        }
        Err(error) => Err(CallError::Stripe(error)),
    }
}

/// Whether a refund that was asked for a day ago was made after all.
async fn look_for(
    provider: &impl Provider,
    claim: Claim,
    refund: &Refund,
    intent: &str,
) -> Result<Command, CallError> {
    let made: List<StripeRefund> = list(provider, &bridge::outbound::list_refunds(intent)).await?;
    let ours = |made: &&StripeRefund| bridge::returns::is_refund(made, &refund.id);
    if let Some(made) = made.data.iter().find(ours) {
        return Ok(told(claim, made));
    }
    let message = "Stripe could not be reached within a day: ask for the refund again";
    Ok(refused(claim, "refund_timed_out", message.to_owned()))
}

fn told(claim: Claim, made: &StripeRefund) -> Command {
    match bridge::returns::refund_fact(made) {
        Some(fact) => Command::RefundSent(RefundSent {
            claim,
            outcome: Ok(fact),
        }),
        None => refused(
            claim,
            "refund_unreadable",
            "Stripe's answer says neither amount nor currency".to_owned(),
        ),
    }
}

fn refused(claim: Claim, code: &str, message: String) -> Command {
    Command::RefundSent(RefundSent {
        claim,
        outcome: Err((code.to_owned(), message)),
    })
}

/// Reads all refunds and disputes of a payment.
pub(super) async fn read(
    provider: &impl Provider,
    claim: Claim,
    payment: &Payment,
) -> Result<Command, CallError> {
    let Some(intent) = &payment.intent else {
        return Ok(Command::DropJob(claim));
    };
    let refunds: List<StripeRefund> =
        list(provider, &bridge::outbound::list_refunds(intent)).await?;
    let disputes: List<StripeDispute> =
        list(provider, &bridge::outbound::list_disputes(intent)).await?;
    Ok(Command::ReturnsRead(ReturnsRead {
        payment: payment.id.clone(),
        claim: Some(claim),
        refunds: refunds
            .data
            .iter()
            .filter_map(bridge::returns::refund_fact)
            .collect(),
        disputes: disputes
            .data
            .iter()
            .filter_map(bridge::returns::dispute_fact)
            .collect(),
    }))
}

/// One page is enough: Stripe makes no hundred refunds of one payment, and a hundred is what it gives.
async fn list<T: serde::de::DeserializeOwned + Send>(
    provider: &impl Provider,
    request: &request::Request,
) -> Result<List<T>, CallError> {
    provider.call(request).await.map_err(CallError::Stripe)
}
