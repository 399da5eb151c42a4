//! What a request of the product's server was answered: why a charge was refused.

use bursar_domain::command::{Answer, AnswerKey, Reply};
use bursar_domain::id::TransactionId;
use bursar_domain::refusal::Refusal;
use http::StatusCode;
use schemars::JsonSchema;
use serde::Serialize;

use super::super::auth::ADMINS;
use super::super::error::ApiError;
use super::super::kind::{Id, Moment, Refused};
use crate::App;

/// The routes on which something is spent or reserved, each with what it is called.
const ROUTES: &[(&str, &str)] = &[
    ("/v1/balance/charge", "charge"),
    ("/v1/balance/charge/batch", "batch of charges"),
    ("/v1/balance/holds/create", "hold"),
    ("/v1/balance/holds/extend", "extension of a hold"),
    ("/v1/balance/holds/settle", "settlement of a hold"),
    ("/v1/balance/exchange", "exchange"),
    ("/v1/balance/sub", "correction"),
];

/// Whether it was done.
#[derive(Debug, Clone, Copy, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
enum Outcome {
    Done,
    Refused,
}

/// What was answered on one route.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "AnswerExplained")]
struct Remembered {
    route: &'static str,
    outcome: Outcome,
    answered_at: Moment,
    /// What was booked, if it was one transaction.
    transaction_id: Option<Id<TransactionId>>,
    /// As it was answered then.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<Refused>,
    text: Vec<String>,
}

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "AnswersExplained")]
pub(in super::super) struct View {
    idempotency_key: String,
    answers: Vec<Remembered>,
}

/// A key belongs to a caller and a route: all that have one are told.
pub(super) async fn explain(app: &App, key: String) -> Result<View, ApiError> {
    let wanted = key.clone();
    let answers = app.engine().read(move |reader| {
        let mut answers = Vec::new();
        for (route, noun) in ROUTES {
            let key = AnswerKey {
                key: wanted.clone(),
                principal: ADMINS.to_owned(),
                route: (*route).to_owned(),
            };
            let answer = reader.answer(&key)?;
            answers.extend(answer.map(|answer| remembered(route, noun, &answer)));
        }
        Ok(answers)
    });
    let answers = answers.await?;
    if answers.is_empty() {
        let message = "nothing that spends or reserves was asked under this idempotency key, or it could not be read; a \
                       refusal without a key is not remembered";
        return Err(
            ApiError::new(StatusCode::NOT_FOUND, "answer_not_found", message)
                .with_param("idempotency_key"),
        );
    }
    Ok(View {
        idempotency_key: key,
        answers,
    })
}

fn remembered(route: &'static str, noun: &str, answer: &Answer) -> Remembered {
    let at = answer.at;
    let (outcome, error, text) = match &answer.outcome {
        Ok(_) => (
            Outcome::Done,
            None,
            vec![format!("The {noun} was made at {at}.")],
        ),
        Err(refusal) => (
            Outcome::Refused,
            Some(Refused::of(refusal)),
            refused(noun, refusal, &at.to_string()),
        ),
    };
    Remembered {
        route,
        outcome,
        answered_at: Moment(at),
        transaction_id: answer.outcome.as_ref().ok().and_then(transaction),
        error,
        text,
    }
}

fn refused(noun: &str, refusal: &Refusal, at: &str) -> Vec<String> {
    vec![
        format!("The {noun} was refused at {at}: {refusal}."),
        "The same request under the same key gets this answer for ever; a new key asks anew."
            .to_owned(),
    ]
}

/// The transaction that a reply is about, if it is about one.
fn transaction(reply: &Reply) -> Option<Id<TransactionId>> {
    match reply {
        Reply::Charged(charged) => Some(Id(charged.id)),
        Reply::Adjusted(adjusted) => Some(Id(adjusted.transaction)),
        Reply::Hold(hold) => hold.charge.map(Id),
        _ => None,
    }
}
