//! What Stripe says, in our own words. Pure: bytes in, a notice out.

use std::borrow::Cow;
use std::sync::Arc;

use bursar_domain::event::ReceiveEvent;
use bursar_domain::id::PaymentId;
use bursar_domain::notice::{Declined, IntentFact, Notice, SessionFact, Standing};
use bursar_domain::planted::{self, Bug};
use bursar_stripe::error::Refusal;
use bursar_stripe::event::{self, Envelope, EnvelopeError};
use bursar_stripe::object::{
    Charge, CheckoutSession, IntentStatus, PaymentError, PaymentIntent, PaymentMethod,
    PaymentStatus, SessionStatus,
};

use super::kept::{kept, without_zero};
use super::outbound::PAYMENT_ID;
use super::returns::{dispute_notice, fraud_notice, refund_notice, returns_notice};
use crate::card::Card;

/// An event as it is to be stored, from the bytes of its delivery, without what it says about persons. The signature was verified
/// before.
pub fn event(body: &Arc<[u8]>) -> Result<ReceiveEvent, EnvelopeError> {
    let envelope = Envelope::read(body)?;
    let text = |text: &Option<Cow<'_, str>>| {
        without_zero(text.as_deref().unwrap_or_default()).into_owned()
    };
    Ok(ReceiveEvent {
        id: envelope.id.to_string(),
        kind: envelope.plain_kind().to_owned(),
        created: envelope.created.unwrap_or_default(),
        livemode: envelope.livemode.unwrap_or_default(),
        api_version: text(&envelope.api_version),
        object: text(&envelope.subject.id),
        body: kept(body, &envelope.id, envelope.plain_kind()).into(),
    })
}

/// What a stored event says.
pub fn notice(body: &[u8]) -> Notice {
    let envelope = match Envelope::read(body) {
        Ok(envelope) => envelope,
        Err(error) => {
            return Notice::Unreadable {
                why: error.to_string(),
            };
        }
    };
    // A platform's endpoint hears of its connected accounts too, with the same signature. Their money is not ours.
    if envelope.account.is_some() {
        return Notice::Foreign {
            why: "it is about a connected account".into(),
        };
    }
    let hint = envelope
        .subject
        .metadata
        .get(PAYMENT_ID)
        .and_then(|id| PaymentId::parse(id));
    let kind = envelope.plain_kind();
    let Some(about) = about(kind) else {
        return Notice::Foreign {
            why: format!("nothing is done for {kind}"),
        };
    };
    let object = envelope.subject.object.as_deref();
    if object != Some(about) {
        return Notice::Unreadable {
            why: format!("{kind} carries {}", object.unwrap_or("no object")),
        };
    }
    match about {
        "checkout.session" => session_notice(&envelope, body, hint),
        "payment_intent" => intent_notice(&envelope, body, hint, read_intent),
        "charge" if kind == "charge.refunded" => returns_notice(body),
        "charge" => intent_notice(&envelope, body, hint, read_charge),
        "refund" => refund_notice(body),
        "dispute" => dispute_notice(body),
        _ => fraud_notice(body),
    }
}

/// What an event of this kind carries, if anything is done for it. One that carries something else, or nothing, is not passed over
/// in silence: it cannot be read.
fn about(kind: &str) -> Option<&'static str> {
    match kind {
        "charge.succeeded" | "charge.failed" | "charge.pending" | "charge.captured"
        | "charge.refunded" => Some("charge"),
        // The older name of what `refund.updated` says.
        "charge.refund.updated" => Some("refund"),
        "radar.early_fraud_warning.created" => Some("radar.early_fraud_warning"),
        _ if kind.starts_with("checkout.session.") => Some("checkout.session"),
        _ if kind.starts_with("payment_intent.") => Some("payment_intent"),
        _ if kind.starts_with("refund.") => Some("refund"),
        _ if kind.starts_with("charge.dispute.") => Some("dispute"),
        _ => None,
    }
}

fn session_notice(envelope: &Envelope<'_>, body: &[u8], hint: Option<PaymentId>) -> Notice {
    if envelope.thin {
        return thin_session_notice(envelope, hint);
    }
    let session = match read_object::<CheckoutSession>(body) {
        Ok(session) => session,
        Err(why) => return Notice::Unreadable { why },
    };
    let mut fact = session_fact(&session);
    if fact.standing != Standing::Paid {
        fact.standing = match &*envelope.kind {
            // The failure of a delayed method is in the event's kind only: the session goes on saying `unpaid`.
            "checkout.session.async_payment_failed" => Standing::Failed,
            "checkout.session.completed" => Standing::Unpaid,
            "checkout.session.expired" => Standing::Expired,
            _ => fact.standing,
        };
    }
    Notice::Session {
        hint,
        fact,
        read: false,
    }
}

/// A thin event names its object and says nothing about it.
fn thin_session_notice(envelope: &Envelope<'_>, hint: Option<PaymentId>) -> Notice {
    let Some(session) = envelope.subject.id.as_deref() else {
        return Notice::Unreadable {
            why: "the event does not name its session".into(),
        };
    };
    let fact = SessionFact {
        session: session.to_owned(),
        amount: None,
        currency: None,
        livemode: envelope.livemode,
        intent: None,
        standing: Standing::Open,
    };
    Notice::Session {
        hint,
        fact,
        read: true,
    }
}

fn intent_notice(
    envelope: &Envelope<'_>,
    body: &[u8],
    hint: Option<PaymentId>,
    read: fn(&[u8]) -> Result<IntentFact, String>,
) -> Notice {
    if envelope.thin {
        return Notice::Foreign {
            why: "thin events about payment intents are not used".into(),
        };
    }
    match read(body) {
        // A charge made without a payment intent cannot come from a checkout session.
        Ok(fact) if fact.intent.is_empty() => Notice::Foreign {
            why: "the charge has no payment intent".into(),
        },
        Ok(mut fact) => {
            if envelope.kind != "payment_intent.payment_failed" {
                fact.failure = None;
            }
            Notice::Intent { hint, fact }
        }
        Err(why) => Notice::Unreadable { why },
    }
}

pub(super) fn read_object<T: serde::de::DeserializeOwned>(body: &[u8]) -> Result<T, String> {
    event::read_object(body).map_err(|error| describe(&error))
}

/// Where it stopped making sense, without what stands there: it may be personal.
fn describe(error: &serde_json::Error) -> String {
    format!(
        "cannot be read ({:?} error at line {} column {})",
        error.classify(),
        error.line(),
        error.column()
    )
}

fn read_intent(body: &[u8]) -> Result<IntentFact, String> {
    read_object(body).map(|intent| intent_fact(&intent))
}

/// What a payment intent says about our payment.
pub fn intent_fact(intent: &PaymentIntent) -> IntentFact {
    let standing = match intent.status.as_ref() {
        Some(IntentStatus::Succeeded) => Standing::Paid,
        Some(IntentStatus::Processing) => Standing::Unpaid,
        Some(IntentStatus::Canceled) => Standing::Canceled,
        Some(IntentStatus::RequiresAction) => Standing::WantsCustomer,
        // Nothing of ours waits to be captured; a status of a later version says nothing about money.
        Some(
            IntentStatus::RequiresPaymentMethod
            | IntentStatus::RequiresConfirmation
            | IntentStatus::RequiresCapture
            | IntentStatus::Other(_),
        )
        | None => Standing::Open,
    };
    IntentFact {
        intent: intent.id.clone(),
        amount: intent.amount,
        received: intent.amount_received,
        currency: intent.currency.clone(),
        livemode: intent.livemode,
        standing: Some(standing),
        failure: intent.last_payment_error.as_ref().map(declined),
    }
}

fn declined(error: &PaymentError) -> Declined {
    let code = error.decline_code.as_ref().or(error.code.as_ref());
    Declined {
        code: code.map_or("payment_failed", String::as_str).to_owned(),
        message: error.message.clone().unwrap_or_default(),
        advice: error.advice_code.clone(),
    }
}

/// What a refused charge of a saved card says; none if no payment intent was made.
pub fn declined_fact(refusal: &Refusal) -> Option<IntentFact> {
    let code = refusal.decline_code.as_ref().or(refusal.code.as_ref());
    Some(IntentFact {
        intent: refusal.payment_intent.clone()?,
        amount: None,
        received: None,
        currency: None,
        livemode: None,
        standing: Some(Standing::Open),
        failure: Some(Declined {
            code: code.map_or("payment_failed", String::as_str).to_owned(),
            message: refusal.message.clone(),
            advice: refusal.advice_code.clone(),
        }),
    })
}

/// What may be shown of a saved card; none if it is no card.
pub(crate) fn card(method: &PaymentMethod) -> Option<Card> {
    let card = method.card.as_ref()?;
    Some(Card {
        id: method.id.clone(),
        brand: card.brand.clone().unwrap_or_default(),
        last4: card.last4.clone().unwrap_or_default(),
        expires: (card.exp_month?, card.exp_year?),
    })
}

fn read_charge(body: &[u8]) -> Result<IntentFact, String> {
    let charge: Charge = read_object(body)?;
    Ok(IntentFact {
        intent: charge
            .payment_intent
            .map(|intent| intent.id().to_owned())
            .unwrap_or_default(),
        amount: charge.amount,
        received: None,
        currency: charge.currency,
        livemode: charge.livemode,
        standing: None,
        failure: None,
    })
}

/// What a checkout session says about our payment.
///
/// A delayed method that failed leaves the session complete and unpaid for ever; only its payment intent tells, where the
/// session was read together with it.
///
/// `no_payment_required` means that nothing was to be paid; as we sell nothing for nothing, it reads as paid with an amount
/// of zero, which is never the amount of a payment of ours.
pub fn session_fact(session: &CheckoutSession) -> SessionFact {
    let (standing, amount) = match (&session.payment_status, &session.status) {
        (Some(PaymentStatus::Paid), _) => (Standing::Paid, session.amount_total),
        (Some(PaymentStatus::NoPaymentRequired), Some(SessionStatus::Complete)) => {
            (Standing::Paid, Some(0))
        }
        (_, Some(SessionStatus::Expired)) => (Standing::Expired, session.amount_total),
        (_, Some(SessionStatus::Complete)) if intent_has_failed(session) => {
            (Standing::Failed, session.amount_total)
        }
        (_, Some(SessionStatus::Complete)) if planted::is(Bug::CompletedIsPaid) => {
            (Standing::Paid, session.amount_total)
        }
        (_, Some(SessionStatus::Complete)) => (Standing::Unpaid, session.amount_total),
        _ => (Standing::Open, session.amount_total),
    };
    SessionFact {
        session: session.id.clone(),
        amount,
        currency: session.currency.clone(),
        livemode: session.livemode,
        intent: session
            .payment_intent
            .as_ref()
            .map(|intent| intent.id().to_owned()),
        standing,
    }
}

/// A complete session takes no second attempt, so an intent that waits for one has failed.
fn intent_has_failed(session: &CheckoutSession) -> bool {
    let intent = session
        .payment_intent
        .as_ref()
        .and_then(|intent| intent.object());
    matches!(
        intent.and_then(|intent| intent.status.as_ref()),
        Some(IntentStatus::RequiresPaymentMethod | IntentStatus::Canceled)
    )
}

#[cfg(test)]
mod tests;
