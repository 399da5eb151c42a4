//! Charges: one, many at once, and the question whether one would be made.

use axum::extract::State;
use axum::response::IntoResponse;
use bursar_domain::charge::{Charge, Charged};
use bursar_domain::command::{
    AnswerKey, ChargeAll, Command, Precheck, Prechecked, Reply, RequestHash,
};
use bursar_domain::grant::Part;
use bursar_domain::refusal::Refusal;
use bursar_store::digest;
use http::StatusCode;
use serde::Serialize;
use serde_json::Value;

use super::answer::{answer, item};
use super::auth::{Admin, Caller};
use super::error::ApiError;
use super::extract::{Input, required};
use super::order::{Order, key_of_body};
use crate::App;

/// Most charges in one request.
const BATCH_MAX: usize = 1_000;

/// The largest batch, in bytes: a thousand charges with a kilobyte each.
const BATCH_BYTES_MAX: usize = 1 << 20;

/// What a grant paid.
#[derive(Debug, Serialize)]
pub(super) struct Paid {
    grant_id: String,
    credits: i64,
}

impl Paid {
    pub(super) fn of(part: &Part) -> Self {
        Self {
            grant_id: part.grant.to_string(),
            credits: part.amount,
        }
    }
}

#[derive(Debug, Serialize)]
struct View {
    charge_id: String,
    user_id: String,
    credits: i64,
    unit: &'static str,
    grants: Vec<Paid>,
    debt: i64,
    balance_after: i64,
    created_at: String,
}

impl View {
    fn of(charged: &Charged) -> Self {
        Self {
            charge_id: charged.id.to_string(),
            user_id: charged.wallet.owner.to_string(),
            credits: charged.amount,
            unit: charged.wallet.unit.code(),
            grants: charged.parts.iter().map(Paid::of).collect(),
            debt: charged.debt,
            balance_after: charged.balance,
            created_at: charged.at.to_string(),
        }
    }
}

/// The fields of a charge, all of them.
fn charge(input: &mut Input) -> Result<Charge, ApiError> {
    let (mut charge, priced) = input.charge()?;
    if !priced {
        return Err(ApiError::missing("credits"));
    }
    charge.allow_debt = input.boolean("allow_debt")?.unwrap_or(false);
    charge.remark = input.remark()?;
    Ok(charge)
}

/// `POST /v1/balance/charge`
pub(super) async fn create(
    State(app): State<App>,
    admin: Admin,
    mut order: Order,
) -> Result<impl IntoResponse, ApiError> {
    let charge = charge(&mut order.input)?;
    let idempotency = order.idempotency_required(&admin.caller())?;
    order.input.finish()?;
    let answered = app
        .submit(Command::Charge(charge), Some(idempotency))
        .await?;
    match answered.reply {
        Reply::Charged(charged) => Ok(answer(View::of(&charged), answered.replayed)),
        _ => Err(ApiError::internal(
            &"a charge was answered with something else",
        )),
    }
}

/// The route under which the keys of charges are remembered: one charge is the same alone and in a batch.
const CHARGE_ROUTE: &str = "/v1/balance/charge";

/// One answer of a batch.
#[derive(Debug, Serialize)]
#[serde(untagged)]
enum Line {
    Made {
        #[serde(flatten)]
        charge: View,
        #[serde(skip_serializing_if = "std::ops::Not::not")]
        replayed: bool,
    },
    Refused {
        error: Value,
    },
}

#[derive(Debug, Serialize)]
struct Batch {
    items: Vec<Line>,
    made: usize,
    refused: usize,
}

/// `POST /v1/balance/charge/batch`
pub(super) async fn batch(
    State(app): State<App>,
    admin: Admin,
    mut order: Order<BATCH_BYTES_MAX>,
) -> Result<impl IntoResponse, ApiError> {
    let caller = admin.caller();
    let idempotency = order.idempotency(&caller);
    let atomic = order.input.boolean("atomic")?.unwrap_or(false);
    let list = required("charges", order.input.take("charges"))?;
    order.input.finish()?;
    let charges = match list {
        Value::Array(list) if (1..=BATCH_MAX).contains(&list.len()) => list,
        _ => {
            let message = format!("must be a list of 1 to {BATCH_MAX} charges");
            return Err(ApiError::invalid("charges", message));
        }
    };
    let mut all = ChargeAll {
        charges: Vec::with_capacity(charges.len()),
        atomic,
    };
    for (position, charge) in charges.into_iter().enumerate() {
        let charge = one_of_many(charge, &caller);
        all.charges
            .push(charge.map_err(|error| at(position, error))?);
    }
    let answered = app.submit(Command::ChargeAll(all), idempotency).await?;
    let Reply::ChargedAll(answers) = answered.reply else {
        return Err(ApiError::internal(
            &"a batch was answered with something else",
        ));
    };
    let refused = answers.iter().filter(|answer| answer.is_err()).count();
    let batch = Batch {
        made: answers.len() - refused,
        refused,
        items: answers.into_iter().map(line).collect(),
    };
    Ok(answer(batch, answered.replayed))
}

fn line(answer: Result<(Charged, bool), Refusal>) -> Line {
    match answer {
        Ok((charged, replayed)) => Line::Made {
            charge: View::of(&charged),
            replayed,
        },
        Err(refusal) => Line::Refused {
            error: ApiError::from(refusal).object(None),
        },
    }
}

/// A charge of a batch, under the same key that it would have by itself.
fn one_of_many(
    value: Value,
    caller: &Caller,
) -> Result<(Charge, Option<(AnswerKey, RequestHash)>), ApiError> {
    let Value::Object(fields) = value else {
        return Err(ApiError::new(
            StatusCode::BAD_REQUEST,
            "parameter_invalid",
            "must be an object",
        ));
    };
    let mut input = Input::of(fields);
    let key = required("idempotency_key", key_of_body(&mut input)?)?;
    let request_hash = digest::request_hash(&input.canonical());
    let charge = charge(&mut input)?;
    input.finish()?;
    let key = AnswerKey {
        principal: caller.principal(),
        route: CHARGE_ROUTE.to_owned(),
        key,
    };
    Ok((charge, Some((key, request_hash))))
}

/// Says in which of many charges something is wrong.
fn at(position: usize, error: ApiError) -> ApiError {
    let field = error.param.as_ref().map(|param| format!(".{param}"));
    ApiError {
        message: format!("charge {position}: {}", error.message),
        param: Some(format!("charges[{position}]{}", field.unwrap_or_default())),
        ..error
    }
}

#[derive(Debug, Serialize)]
struct Answer {
    allowed: bool,
    user_id: String,
    credits: i64,
    available: i64,
    unit: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<Value>,
}

/// `POST /v1/balance/precheck`
pub(super) async fn precheck(
    State(app): State<App>,
    _: Admin,
    mut order: Order,
) -> Result<impl IntoResponse, ApiError> {
    let (mut charge, priced) = order.input.charge()?;
    charge.allow_debt = order.input.boolean("allow_debt")?.unwrap_or(false);
    order.input.finish()?;
    let (user_id, unit) = (charge.user.to_string(), charge.unit.code());
    let asked = Command::Precheck(Precheck { charge, priced });
    // A question has no effect that a key could keep from happening twice, and its answer changes with the wallet.
    let Reply::Prechecked(Prechecked {
        cost,
        available,
        refusal,
    }) = app.submit(asked, None).await?.reply
    else {
        return Err(ApiError::internal(
            &"a question was answered with something else",
        ));
    };
    Ok(item(Answer {
        allowed: refusal.is_none(),
        user_id,
        credits: cost,
        available,
        unit,
        error: refusal.map(|refusal| ApiError::from(refusal).object(None)),
    }))
}
