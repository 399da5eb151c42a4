//! The hosted checkout page, on which a person pays a session.
//!
//! It needs no script: a form is posted, the answer is the page again or a redirect. Anybody who knows the address
//! may pay, as with Stripe; there is nothing to protect but test money.

use askama::Template;
use axum::Router;
use axum::extract::{Form, Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use serde::Deserialize;
use serde_json::Value;

use crate::card_form::{CardForm, Mistakes};
use crate::order::{Order, web_address};
use crate::page::page;
use crate::pay::{PayOutcome, Payment, Settlement};
use crate::records::Collection;
use crate::{Sandbox, SandboxError, World};

/// How long a bank takes to answer a debit, in seconds of the sandbox's clock. A real one takes days; a person who
/// tries it out has the clock of the control page for that.
const BANK_DELAY: i64 = 15;

/// The cards offered on the page, from Stripe's published list: number, code, what comes of it.
const TEST_CARDS: &[(&str, &str, &str)] = &[
    ("4242 4242 4242 4242", "123", "Succeeds (Visa)"),
    ("5555 5555 5555 4444", "123", "Succeeds (Mastercard)"),
    ("3782 822463 10005", "1234", "Succeeds (American Express)"),
    (
        "4000 0027 6000 3184",
        "123",
        "Asks for 3D Secure, then succeeds",
    ),
    (
        "4000 0082 6000 3178",
        "123",
        "Asks for 3D Secure, then insufficient funds",
    ),
    ("4000 0000 0000 0002", "123", "Declined"),
    ("4000 0000 0000 9995", "123", "Insufficient funds"),
    ("4000 0000 0000 0069", "123", "Expired card"),
    ("4000 0000 0000 0127", "123", "Wrong security code"),
    ("4000 0000 0000 0119", "123", "Processing error"),
    ("4000 0000 0000 9987", "123", "Lost card"),
    (
        "4000 0000 0000 5126",
        "123",
        "Succeeds; a refund of it fails later",
    ),
    (
        "4000 0000 0000 7726",
        "123",
        "Succeeds; a refund of it is pending first",
    ),
];

/// The pages of a checkout session.
pub(crate) fn routes() -> Router<Sandbox> {
    Router::new()
        .route("/c/pay/{session}", get(show).post(pay))
        .route("/c/pay/{session}/code", post(apply_code))
        .route("/c/pay/{session}/challenge", get(ask).post(answer))
}

#[derive(Template)]
#[template(path = "pay.html")]
struct PayPage<'a> {
    order: &'a Order,
    mistakes: Mistakes,
    email: &'a str,
    expiry: &'a str,
    by_bank: bool,
    decline: Option<String>,
    /// Why the promotion code that was typed in is not good for this order.
    code_refused: Option<String>,
    bank_delay: i64,
    cards: &'static [(&'static str, &'static str, &'static str)],
}

#[derive(Template)]
#[template(path = "challenge.html")]
struct ChallengePage<'a> {
    order: &'a Order,
    last4: Option<&'a str>,
}

#[derive(Template)]
#[template(path = "closed.html")]
struct ClosedPage {
    title: &'static str,
    explanation: &'static str,
    onward: Option<String>,
    onward_text: &'static str,
}

/// What the form sends: a card, or the wish to pay by bank debit and what is to become of it.
#[derive(Deserialize, Default)]
#[serde(default)]
struct PayForm {
    method: String,
    later: String,
    #[serde(flatten)]
    card: CardForm,
}

#[derive(Deserialize)]
struct CodeForm {
    code: String,
}

#[derive(Deserialize)]
struct Answer {
    answer: String,
}

impl<'a> PayPage<'a> {
    /// The form as a customer first sees it.
    fn empty(order: &'a Order) -> Self {
        Self {
            order,
            mistakes: Mistakes::default(),
            email: order.email.as_deref().unwrap_or_default(),
            expiry: "",
            by_bank: false,
            decline: None,
            code_refused: None,
            bank_delay: BANK_DELAY,
            cards: TEST_CARDS,
        }
    }

    /// The form once more, with what was typed. The number and the code are typed anew: they are not sent back.
    fn filled(order: &'a Order, form: &'a PayForm) -> Self {
        Self {
            email: order.email.as_deref().unwrap_or(&form.card.email),
            expiry: &form.card.card_expiry,
            by_bank: form.method == "bank",
            ..Self::empty(order)
        }
    }

    fn answer(&self, status: StatusCode) -> Response {
        page(status, self)
    }
}

/// What a customer finds at the session's address.
enum Sight {
    Missing,
    Expired(ClosedPage),
    Complete(ClosedPage),
    Open(Box<Order>, Value),
}

impl Sight {
    /// What there is to see when there is nothing to fill in.
    fn without_form(self) -> Response {
        match self {
            Self::Complete(closed) => page(StatusCode::OK, &closed),
            Self::Expired(closed) => page(StatusCode::GONE, &closed),
            Self::Open(..) | Self::Missing => missing(),
        }
    }
}

async fn show(State(sandbox): State<Sandbox>, Path(session): Path<String>) -> Response {
    match look(&sandbox, &session) {
        Sight::Open(order, _) => PayPage::empty(&order).answer(StatusCode::OK),
        other => other.without_form(),
    }
}

async fn pay(
    State(sandbox): State<Sandbox>,
    Path(session): Path<String>,
    Form(form): Form<PayForm>,
) -> Response {
    let order = match look(&sandbox, &session) {
        Sight::Open(order, _) => order,
        // A second press of the button finds it paid and leads to the same place as the first.
        Sight::Complete(_) => return onward(&sandbox, &session).await,
        other => return other.without_form(),
    };
    let form_again = PayPage::filled(&order, &form);
    let now = sandbox.read(|_, now| now);
    let payment = match payment(&form, &order, now) {
        Ok(payment) => payment,
        Err(mistakes) => {
            let again = PayPage {
                mistakes,
                ..form_again
            };
            return again.answer(StatusCode::UNPROCESSABLE_ENTITY);
        }
    };
    let outcome = sandbox.change(|world, now| world.pay_session(&session, &payment, now));
    conclude(&sandbox, &session, outcome, form_again).await
}

async fn apply_code(
    State(sandbox): State<Sandbox>,
    Path(session): Path<String>,
    Form(form): Form<CodeForm>,
) -> Response {
    let order = match look(&sandbox, &session) {
        Sight::Open(order, _) => order,
        Sight::Complete(_) => return onward(&sandbox, &session).await,
        other => return other.without_form(),
    };
    let applied =
        sandbox.change(|world, now| world.apply_promotion_code(&session, form.code.trim(), now));
    match applied {
        Ok(Ok(_)) => Redirect::to(&format!("/c/pay/{session}")).into_response(),
        Ok(Err(error)) => {
            let again = PayPage {
                code_refused: Some(error.message),
                ..PayPage::empty(&order)
            };
            again.answer(StatusCode::UNPROCESSABLE_ENTITY)
        }
        Err(error) => broken(&error),
    }
}

async fn ask(State(sandbox): State<Sandbox>, Path(session): Path<String>) -> Response {
    match look(&sandbox, &session) {
        Sight::Open(order, intent) if intent["status"] == "requires_action" => {
            let last4 = sandbox.read(|world, _| last4(world, &intent));
            let (order, last4) = (&order, last4.as_deref());
            page(StatusCode::OK, &ChallengePage { order, last4 })
        }
        Sight::Open(..) => Redirect::to(&format!("/c/pay/{session}")).into_response(),
        other => other.without_form(),
    }
}

async fn answer(
    State(sandbox): State<Sandbox>,
    Path(session): Path<String>,
    Form(form): Form<Answer>,
) -> Response {
    let order = match look(&sandbox, &session) {
        Sight::Open(order, _) => order,
        Sight::Complete(_) => return onward(&sandbox, &session).await,
        other => return other.without_form(),
    };
    let approve = form.answer == "approve";
    let outcome = sandbox.change(|world, now| world.answer_challenge(&session, approve, now));
    conclude(&sandbox, &session, outcome, PayPage::empty(&order)).await
}

/// Where an attempt to pay leads: to the shop, to the bank's question, or to the form again.
async fn conclude(
    sandbox: &Sandbox,
    session: &str,
    outcome: Result<PayOutcome, SandboxError>,
    form_again: PayPage<'_>,
) -> Response {
    match outcome {
        Ok(PayOutcome::Succeeded | PayOutcome::Processing) => onward(sandbox, session).await,
        Ok(PayOutcome::RequiresAction { .. }) => {
            Redirect::to(&format!("/c/pay/{session}/challenge")).into_response()
        }
        Ok(PayOutcome::Declined { message, .. } | PayOutcome::NotPayable { message, .. }) => {
            let again = PayPage {
                decline: Some(message),
                ..form_again
            };
            again.answer(StatusCode::PAYMENT_REQUIRED)
        }
        Err(error) => broken(&error),
    }
}

/// Reads the session at this moment, after what has become due has happened to it.
fn look(sandbox: &Sandbox, session: &str) -> Sight {
    if let Err(error) = sandbox.change(World::tick) {
        // Only its expiry may be late; what is on disk can be shown.
        tracing::error!(%error, "the sandbox could not let time pass");
    }
    sandbox.read(|world, _| {
        let found = world.records.get(Collection::Object, session);
        let Some(found) = found.filter(|found| found["object"] == "checkout.session") else {
            return Sight::Missing;
        };
        match found["status"].as_str() {
            Some("open") => {
                let intent = found["payment_intent"].as_str();
                let intent = intent.and_then(|id| world.records.get(Collection::Object, id));
                Sight::Open(
                    Box::new(Order::of(world, found)),
                    intent.cloned().unwrap_or_default(),
                )
            }
            Some("complete") => Sight::Complete(complete(found)),
            _ => Sight::Expired(expired(found)),
        }
    })
}

/// What the form asks for, or what is wrong with it.
fn payment(form: &PayForm, order: &Order, now: i64) -> Result<Payment, Mistakes> {
    let Some(kind) = order.bank_debit.filter(|_| form.method == "bank") else {
        let mut card = form.card.read(now)?;
        card.email = order.email.clone().or(card.email);
        return Ok(Payment::Card(card));
    };
    let settles = |succeeds| {
        Some(Settlement {
            at: now + BANK_DELAY,
            succeeds,
        })
    };
    let settles = match form.later.as_str() {
        "fail" => settles(false),
        "ask" => None,
        _ => settles(true),
    };
    Ok(Payment::Delayed {
        kind: kind.to_owned(),
        settles,
    })
}

/// Back to the shop, once its endpoints have heard of it.
async fn onward(sandbox: &Sandbox, session: &str) -> Response {
    sandbox.wait_for_endpoints(session).await;
    let found = sandbox.read(|world, _| world.records.get(Collection::Object, session).cloned());
    let found = found.unwrap_or_default();
    match success_url(&found) {
        Some(url) => Redirect::to(&url).into_response(),
        None => page(StatusCode::OK, &complete(&found)),
    }
}

fn success_url(session: &Value) -> Option<String> {
    let url = web_address(&session["success_url"])?;
    Some(url.replace("{CHECKOUT_SESSION_ID}", session["id"].as_str()?))
}

fn last4(world: &World, intent: &Value) -> Option<String> {
    let method = world
        .records
        .get(Collection::Object, intent["payment_method"].as_str()?)?;
    method["card"]["last4"].as_str().map(str::to_owned)
}

fn complete(session: &Value) -> ClosedPage {
    let explanation = if session["payment_status"] == "unpaid" {
        "The order is placed. The bank takes its time; the shop hears of it when the money arrives."
    } else {
        "This order is paid. There is nothing left to do here."
    };
    let onward = success_url(session);
    ClosedPage {
        title: "You're all done here",
        explanation,
        onward,
        onward_text: "Back to the shop",
    }
}

fn expired(session: &Value) -> ClosedPage {
    ClosedPage {
        title: "This checkout has timed out",
        explanation: "Nothing was charged. Go back to the shop and start again.",
        onward: web_address(&session["cancel_url"]),
        onward_text: "Back to the shop",
    }
}

fn missing() -> Response {
    let closed = ClosedPage {
        title: "There is no such checkout",
        explanation: "The address may be cut off, or it belongs to another sandbox.",
        onward: None,
        onward_text: "",
    };
    page(StatusCode::NOT_FOUND, &closed)
}

fn broken(error: &SandboxError) -> Response {
    tracing::error!(%error, "a payment could not be written down");
    let closed = ClosedPage {
        title: "The sandbox cannot write",
        explanation: "Nothing was charged. Its journal cannot be written; the log says why.",
        onward: None,
        onward_text: "",
    };
    page(StatusCode::INTERNAL_SERVER_ERROR, &closed)
}

#[cfg(test)]
mod tests;
