//! The pages a customer comes back to from Stripe.
//!
//! The session's id in the address is the capability to look: only Stripe and the customer know it. Nothing of the address is
//! repeated on the page.

use std::convert::Infallible;

use askama::Template;
use axum::extract::{FromRequestParts, State};
use bursar_domain::account::AccountKey;
use bursar_domain::payment::{Payment, PaymentStatus};
use bursar_engine::EngineError;
use http::StatusCode;
use http::request::Parts;
use serde_json::json;

use super::openapi::{Argument, Operation, Page, ReturnPage};
use super::site::page;
use crate::App;

#[derive(Template)]
#[template(path = "return.html")]
struct Return<'a> {
    name: &'a str,
    mood: &'static str,
    mark: &'static str,
    title: &'static str,
    text: &'static str,
    receipt: Option<Receipt>,
    waiting: bool,
}

struct Receipt {
    credits: i64,
    paid: String,
    /// The wallet's balance, once the purchase is in it.
    balance: Option<i64>,
}

/// Mood, mark, title and text of a page.
type Words = (&'static str, &'static str, &'static str, &'static str);

const UNKNOWN: Words = (
    "stop",
    "?",
    "We do not know this purchase",
    "The address is incomplete or belongs to another shop. If you have paid, your credits arrive all the same.",
);
const UNREACHABLE: Words = (
    "wait",
    "…",
    "We are still checking",
    "The payment provider does not answer at the moment. If you have paid, your credits arrive all the same.",
);
const CANCELED: Words = (
    "stop",
    "←",
    "Payment canceled",
    "Nothing was charged. You can go back and pay whenever you like.",
);

const fn words(status: PaymentStatus) -> Words {
    match status {
        PaymentStatus::Paid => (
            "good",
            "✓",
            "Thank you, payment received",
            "The credits are in your balance.",
        ),
        PaymentStatus::PartiallyRefunded | PaymentStatus::Refunded => (
            "stop",
            "↩",
            "Your payment was refunded",
            "The money is on its way back to you.",
        ),
        PaymentStatus::Disputed => (
            "stop",
            "!",
            "Your payment is disputed",
            "Your bank has asked for the money back.",
        ),
        PaymentStatus::Processing => (
            "wait",
            "…",
            "Your payment is processing",
            "The credits arrive as soon as the bank confirms. You may close this page.",
        ),
        PaymentStatus::Pending => (
            "wait",
            "…",
            "Your payment is processing",
            "It is not confirmed yet. This page looks again by itself.",
        ),
        PaymentStatus::Expired => (
            "stop",
            "×",
            "This checkout has expired",
            "Nothing was charged. Please start again.",
        ),
        PaymentStatus::Failed => (
            "stop",
            "×",
            "The payment did not work",
            "Nothing was charged. Please start again.",
        ),
        PaymentStatus::Canceled => CANCELED,
    }
}

/// The session that an address names, if it names one.
#[derive(Debug)]
pub(super) struct SessionId(Option<String>);

impl<S: Send + Sync> FromRequestParts<S> for SessionId {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(Self(session_id(parts.uri.query().unwrap_or_default())))
    }
}

impl Argument for SessionId {
    fn describe(operation: &mut Operation<'_>) {
        let about = "The checkout session that was paid.";
        let schema =
            json!({ "type": "string", "pattern": "^[A-Za-z0-9_]{1,255}$", "description": about });
        operation.query_parameter("session_id", &schema);
    }
}

/// `GET /v1/payment.stripe/redirect/success`
pub(super) async fn success(State(app): State<App>, SessionId(session): SessionId) -> ReturnPage {
    let Some(session) = session else {
        return plain(&app, StatusCode::NOT_FOUND, UNKNOWN, false);
    };
    match settled(&app, &session).await {
        Ok(Some((payment, receipt))) => {
            let waiting = payment.status.is_open();
            render(
                &app,
                StatusCode::OK,
                words(payment.status),
                Some(receipt),
                waiting,
            )
        }
        Ok(None) => plain(&app, StatusCode::NOT_FOUND, UNKNOWN, false),
        Err(error) => {
            tracing::warn!(%error, "a returning customer's payment could not be read");
            plain(&app, StatusCode::SERVICE_UNAVAILABLE, UNREACHABLE, true)
        }
    }
}

/// `GET /v1/payment.stripe/redirect/cancel`
pub(super) async fn cancel(State(app): State<App>) -> Page {
    Page(plain(&app, StatusCode::OK, CANCELED, false).0)
}

/// The payment of a session, settled by what Stripe says now, and what it brought.
async fn settled(app: &App, session: &str) -> Result<Option<(Payment, Receipt)>, EngineError> {
    let Some(payment) = app.engine().settle_by_session(session).await? else {
        return Ok(None);
    };
    let (topup, key) = (payment.topup.clone(), AccountKey::wallet(&payment.user));
    let topup = app
        .engine()
        .read(move |reader| reader.topup(&topup))
        .await?;
    let wallet = app.engine().wallet(key).await?;
    let now = app.engine().now();
    let paid = payment.status == PaymentStatus::Paid;
    let receipt = Receipt {
        credits: topup.map_or(0, |topup| topup.credits),
        paid: if paid {
            payment.amount.to_string()
        } else {
            "not yet".to_owned()
        },
        balance: wallet.filter(|_| paid).map(|wallet| wallet.credits(now)),
    };
    Ok(Some((payment, receipt)))
}

/// A session's id as Stripe writes them, from a query that may hold other things.
fn session_id(query: &str) -> Option<String> {
    let id = query
        .split('&')
        .find_map(|pair| pair.strip_prefix("session_id="))?;
    let plain = id
        .bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    (plain && (1..=255).contains(&id.len())).then(|| id.to_owned())
}

fn plain(app: &App, status: StatusCode, words: Words, waiting: bool) -> ReturnPage {
    render(app, status, words, None, waiting)
}

fn render(
    app: &App,
    status: StatusCode,
    words: Words,
    receipt: Option<Receipt>,
    waiting: bool,
) -> ReturnPage {
    let (mood, mark, title, text) = words;
    let name = &app.config().stripe.item_name;
    ReturnPage(page(
        status,
        &Return {
            name,
            mood,
            mark,
            title,
            text,
            receipt,
            waiting,
        },
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_looks_like_a_session_is_looked_up() {
        assert_eq!(
            session_id("session_id=cs_test_a1B2").as_deref(),
            Some("cs_test_a1B2")
        );
        assert_eq!(
            session_id("x=1&session_id=cs_1&y=2").as_deref(),
            Some("cs_1")
        );
        for query in [
            "",
            "session_id=",
            "session_id=<script>",
            "session_id=%3Cscript%3E",
            "session_id={CHECKOUT_SESSION_ID}",
            "xsession_id=cs_1",
        ] {
            assert_eq!(session_id(query), None, "{query}");
        }
    }

    #[test]
    fn a_page_escapes_what_it_shows() {
        let page = Return {
            name: "<b>Shop</b>",
            mood: "good",
            mark: "✓",
            title: "t",
            text: "t",
            receipt: None,
            waiting: false,
        };
        let text = page.render().unwrap();
        assert!(!text.contains("<b>Shop</b>"), "{text}");
    }
}
