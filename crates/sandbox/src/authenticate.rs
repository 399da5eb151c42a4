//! The bank's question about an intent that no session belongs to: the address that `next_action` names.

use askama::Template;
use axum::Router;
use axum::extract::{Form, Path, State};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::get;
use http::StatusCode;
use serde::Deserialize;
use serde_json::Value;

use crate::order::{amount_in, web_address};
use crate::page::page;
use crate::records::Collection;
use crate::{Sandbox, World};

/// The page of the question, and where its answer goes.
pub(crate) fn routes() -> Router<Sandbox> {
    Router::new().route("/c/authenticate/{intent}", get(ask).post(answer))
}

#[derive(Template)]
#[template(path = "authenticate.html")]
struct Question {
    /// What the customer is asked; `None` when there is nothing to answer any more.
    asks: Option<Asked>,
    outcome: &'static str,
}

/// What a customer is asked about.
struct Asked {
    action: String,
    amount: Option<String>,
    last4: Option<String>,
}

#[derive(Deserialize)]
struct Answer {
    answer: String,
}

async fn ask(State(sandbox): State<Sandbox>, Path(id): Path<String>) -> Response {
    let (session, asks) = sandbox.read(|world, _| (open_session(world, &id), asked(world, &id)));
    // The page of a session shows the order too.
    if let Some(session) = session {
        return Redirect::to(&format!("/c/pay/{session}/challenge")).into_response();
    }
    let status = if asks.is_some() {
        StatusCode::OK
    } else {
        StatusCode::NOT_FOUND
    };
    page(
        status,
        &Question {
            asks,
            outcome: "There is nothing to confirm at this address.",
        },
    )
}

async fn answer(
    State(sandbox): State<Sandbox>,
    Path(id): Path<String>,
    Form(form): Form<Answer>,
) -> Response {
    let approve = form.answer == "approve";
    let back = sandbox.read(|world, _| return_address(world, &id, approve));
    let answered = sandbox.change(|world, now| {
        if id.starts_with("seti_") {
            return world.answer_setup_challenge(&id, approve, now);
        }
        let asked = asked(world, &id).is_some();
        world.answer_intent_challenge(&id, approve, now);
        asked
    });
    match (answered, back) {
        (Ok(true), Some(back)) => Redirect::to(&back).into_response(),
        (Ok(true), None) => {
            let outcome = if approve {
                "Confirmed. You can close this page."
            } else {
                "Refused. Nothing was charged."
            };
            page(
                StatusCode::OK,
                &Question {
                    asks: None,
                    outcome,
                },
            )
        }
        (Ok(false), _) => {
            let outcome = "There is nothing to confirm at this address.";
            page(
                StatusCode::NOT_FOUND,
                &Question {
                    asks: None,
                    outcome,
                },
            )
        }
        (Err(error), _) => {
            tracing::error!(%error, "the sandbox could not keep an answer to the bank's question");
            let outcome = "The sandbox cannot write its journal. Nothing was charged.";
            page(
                StatusCode::INTERNAL_SERVER_ERROR,
                &Question {
                    asks: None,
                    outcome,
                },
            )
        }
    }
}

/// The intent, if it waits for an answer.
fn waiting<'a>(world: &'a World, id: &str) -> Option<&'a Value> {
    let intent = world.records.get(Collection::Object, id)?;
    (intent["status"] == "requires_action").then_some(intent)
}

fn asked(world: &World, id: &str) -> Option<Asked> {
    let intent = waiting(world, id)?;
    let method = world
        .records
        .get(Collection::Object, intent["payment_method"].as_str()?)?;
    let currency = intent["currency"].as_str().unwrap_or_default();
    Some(Asked {
        action: format!("/c/authenticate/{id}"),
        amount: intent["amount"]
            .as_i64()
            .map(|amount| amount_in(currency, amount)),
        last4: method["card"]["last4"].as_str().map(str::to_owned),
    })
}

fn open_session(world: &World, id: &str) -> Option<String> {
    let session = world.facts(id)["session"].as_str()?;
    let found = world.find("checkout.session", session)?;
    (found["status"] == "open").then(|| session.to_owned())
}

/// Where the shop wants its customer back, with what Stripe adds to the address.
fn return_address(world: &World, id: &str, approve: bool) -> Option<String> {
    let intent = waiting(world, id)?;
    let url = web_address(&intent["next_action"]["redirect_to_url"]["return_url"])?;
    let (url, fragment) = url
        .split_once('#')
        .map_or((url.as_str(), None), |(url, rest)| (url, Some(rest)));
    let kind = intent["object"].as_str().unwrap_or_default();
    let secret = intent["client_secret"].as_str().unwrap_or_default();
    let status = if approve { "succeeded" } else { "failed" };
    let joint = if url.contains('?') { '&' } else { '?' };
    let back =
        format!("{url}{joint}{kind}={id}&{kind}_client_secret={secret}&redirect_status={status}");
    Some(fragment.map_or(back.clone(), |fragment| format!("{back}#{fragment}")))
}

#[cfg(test)]
mod tests {
    use axum::body::{Body, to_bytes};
    use http::Request;
    use serde_json::json;
    use tower::ServiceExt;

    use super::*;
    use crate::{ApiRequest, SandboxConfig};

    fn sandbox() -> Sandbox {
        Sandbox::open(SandboxConfig::new("http://127.0.0.1:1", "sk_test_asked")).unwrap()
    }

    fn post(sandbox: &Sandbox, path: &str, params: Value) -> Value {
        let request = ApiRequest {
            method: "POST".into(),
            path: path.into(),
            params,
            api_key: Some("sk_test_asked".into()),
            ..ApiRequest::default()
        };
        sandbox.request(&request).unwrap().body
    }

    fn intent(sandbox: &Sandbox, more: &Value) -> Value {
        let mut params = json!({
            "amount": "2000", "currency": "usd", "confirm": "true",
            "payment_method": "pm_card_authenticationRequired",
        });
        for (name, value) in more.as_object().into_iter().flatten() {
            params[name] = value.clone();
        }
        post(sandbox, "/v1/payment_intents", params)
    }

    async fn go(sandbox: &Sandbox, request: Request<Body>) -> (u16, String, String) {
        let answer = sandbox.router().oneshot(request).await.unwrap();
        let location = answer
            .headers()
            .get("location")
            .map_or("", |to| to.to_str().unwrap())
            .to_owned();
        let status = answer.status().as_u16();
        let body = to_bytes(answer.into_body(), 1 << 20).await.unwrap();
        (status, location, String::from_utf8(body.to_vec()).unwrap())
    }

    async fn answer(sandbox: &Sandbox, id: &str, word: &str) -> (u16, String, String) {
        let request = Request::post(format!("/c/authenticate/{id}"))
            .header("content-type", "application/x-www-form-urlencoded")
            .body(Body::from(format!("answer={word}")));
        go(sandbox, request.unwrap()).await
    }

    fn status(sandbox: &Sandbox, id: &str) -> Value {
        sandbox
            .read(|world, _| world.records.get(Collection::Object, id).unwrap()["status"].clone())
    }

    #[tokio::test]
    async fn a_customer_approves_and_comes_back_to_the_shop() {
        let sandbox = sandbox();
        let intent = intent(
            &sandbox,
            &json!({"return_url": "https://shop.example/back?x=1#top"}),
        );
        let id = intent["id"].as_str().unwrap();
        let page = Request::get(format!("/c/authenticate/{id}"))
            .body(Body::empty())
            .unwrap();
        let (code, _, html) = go(&sandbox, page).await;
        assert_eq!(code, 200);
        assert!(html.contains("$20.00") && html.contains("3184"), "{html}");
        let (code, location, _) = answer(&sandbox, id, "approve").await;
        assert_eq!(code, 303);
        assert!(location.starts_with(&format!(
            "https://shop.example/back?x=1&payment_intent={id}&"
        )));
        assert!(location.ends_with("&redirect_status=succeeded#top"));
        assert_eq!(status(&sandbox, id), "succeeded");
        assert_eq!(answer(&sandbox, id, "approve").await.0, 404);
    }

    #[tokio::test]
    async fn a_customer_who_refuses_pays_nothing() {
        let sandbox = sandbox();
        let intent = intent(&sandbox, &json!({}));
        let id = intent["id"].as_str().unwrap();
        let (code, _, html) = answer(&sandbox, id, "fail").await;
        assert_eq!(code, 200);
        assert!(html.contains("Nothing was charged"));
        assert_eq!(status(&sandbox, id), "requires_payment_method");
    }

    #[tokio::test]
    async fn a_card_is_set_up_with_the_customers_word() {
        let sandbox = sandbox();
        for (word, expected) in [
            ("approve", "succeeded"),
            ("fail", "requires_payment_method"),
        ] {
            let params =
                json!({"confirm": "true", "payment_method": "pm_card_authenticationRequired"});
            let intent = post(&sandbox, "/v1/setup_intents", params);
            let id = intent["id"].as_str().unwrap();
            assert_eq!(answer(&sandbox, id, word).await.0, 200);
            assert_eq!(status(&sandbox, id), expected);
        }
    }
}
