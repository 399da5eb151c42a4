//! Charges: one, many at once, and the question whether one would be made.

use std::borrow::Cow;

use axum::extract::State;
use bursar_domain::account::Owner;
use bursar_domain::charge::{Charge, Charged};
use bursar_domain::command::{
    AnswerKey, ChargeAll, ChargeAnswer, Command, Precheck, Prechecked, RequestHash,
};
use bursar_domain::grant::Part;
use bursar_domain::id::{GrantId, TransactionId, UserId};
use bursar_domain::journal::Remark;
use bursar_engine::Once;
use bursar_store::digest;
use http::StatusCode;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Serialize;
use serde_json::Value;

use super::answer::{Item, answer, item};
use super::auth::Admin;
use super::error::ApiError;
use super::extract::{Input, required};
use super::field::PerhapsPriced;
use super::form::{Field, Fields, form};
use super::kind::{Code, Id, Moment, Refused};
use super::order::{self, KeyedOrder, Order, key_of_body};
use crate::App;

/// Most charges in one request.
const BATCH_MAX: usize = 1_000;

/// The largest batch, in bytes: a thousand charges with a kilobyte each.
const BATCH_BYTES_MAX: usize = 1 << 20;

/// What a grant paid.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Paid {
    grant_id: Id<GrantId>,
    credits: i64,
}

impl Paid {
    pub(super) fn of(part: &Part) -> Self {
        Self {
            grant_id: Id(part.grant),
            credits: part.amount,
        }
    }
}

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Charge")]
pub(super) struct View {
    charge_id: Id<TransactionId>,
    user_id: Id<Owner>,
    credits: i64,
    unit: Code,
    grants: Vec<Paid>,
    debt: i64,
    balance_after: i64,
    created_at: Moment,
}

impl View {
    fn of(charged: &Charged) -> Self {
        Self {
            charge_id: Id(charged.id),
            user_id: Id(charged.wallet.owner.clone()),
            credits: charged.amount,
            unit: Code(charged.wallet.unit),
            grants: charged.parts.iter().map(Paid::of).collect(),
            debt: charged.debt,
            balance_after: charged.balance,
            created_at: Moment(charged.at),
        }
    }
}

form! {
    /// A charge. One that may go below zero says so.
    pub(super) struct Create {
        charge: Charge,
        /// Whether the wallet may go below zero, down to its overdraft.
        allow_debt: Option<bool>,
        remark: Remark,
    }
}

impl Create {
    fn charge(self) -> Charge {
        Charge {
            allow_debt: self.allow_debt.unwrap_or(false),
            remark: self.remark,
            ..self.charge
        }
    }
}

/// `POST /v1/balance/charge`
pub(super) async fn create(
    State(app): State<App>,
    admin: Admin,
    order: KeyedOrder<Create>,
) -> Result<Item<View>, ApiError> {
    let idempotency = order.idempotency(&admin.caller());
    let command = Command::Charge(order.form.charge());
    Ok(answer(
        &app.engine().ask(command, idempotency).await?,
        View::of,
    ))
}

/// The route under which the keys of charges are remembered: one charge is the same alone and in a batch.
const CHARGE_ROUTE: &str = "/v1/balance/charge";

/// One answer of a batch.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "ChargeOfBatch")]
#[serde(untagged)]
enum Line {
    Made {
        #[serde(flatten)]
        charge: View,
        /// Whether it was made before, under the same key.
        #[serde(skip_serializing_if = "std::ops::Not::not")]
        replayed: bool,
    },
    Refused {
        error: Refused,
    },
}

impl Line {
    fn of(answer: &ChargeAnswer) -> Self {
        match answer {
            Ok((charged, replayed)) => Self::Made {
                charge: View::of(charged),
                replayed: *replayed,
            },
            Err(refusal) => Self::Refused {
                error: Refused::of(refusal),
            },
        }
    }
}

/// What became of each charge, in their order.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "ChargeBatch")]
pub(super) struct Batch {
    items: Vec<Line>,
    made: usize,
    refused: usize,
}

impl Batch {
    fn of(answers: &[ChargeAnswer]) -> Self {
        let refused = answers.iter().filter(|answer| answer.is_err()).count();
        Self {
            items: answers.iter().map(Line::of).collect(),
            made: answers.len() - refused,
            refused,
        }
    }
}

form! {
    /// Many charges.
    pub(super) struct CreateAll {
        /// All or none.
        atomic: Option<bool>,
        /// Each with a key of its own, under which it would be remembered alone.
        charges: Charges,
    }
}

/// 1 to [`BATCH_MAX`] charges, each with the key in its body.
#[derive(Debug)]
struct Charges(Vec<(Charge, String, RequestHash)>);

impl JsonSchema for Charges {
    fn schema_name() -> Cow<'static, str> {
        "Charges".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let mut charge = Fields::of::<Create>(generator).into_body();
        order::add_key_to_body(&mut charge, true);
        json_schema!({ "type": "array", "minItems": 1, "maxItems": BATCH_MAX, "items": charge })
    }
}

impl Field for Charges {
    const REFUSALS: &'static [&'static str] = &["action_unknown", "card_number_refused"];

    fn read(input: &mut Input, name: &'static str) -> Result<Option<Self>, ApiError> {
        let list = match input.take(name) {
            None => return Ok(None),
            Some(Value::Array(list)) if (1..=BATCH_MAX).contains(&list.len()) => list,
            Some(_) => {
                let message = format!("must be a list of 1 to {BATCH_MAX} charges");
                return Err(ApiError::invalid(name, message));
            }
        };
        let charges = list
            .into_iter()
            .enumerate()
            .map(|(position, charge)| one_of_many(charge).map_err(|error| at(position, error)));
        Ok(Some(Self(charges.collect::<Result<_, _>>()?)))
    }
}

/// `POST /v1/balance/charge/batch`
pub(super) async fn batch(
    State(app): State<App>,
    admin: Admin,
    order: Order<CreateAll, BATCH_BYTES_MAX>,
) -> Result<Item<Batch>, ApiError> {
    let caller = admin.caller();
    let idempotency = order.idempotency(&caller);
    let Charges(charges) = order.form.charges;
    let charges = charges.into_iter().map(|(charge, key, request_hash)| {
        let key = AnswerKey {
            principal: caller.principal(),
            route: CHARGE_ROUTE.to_owned(),
            key,
        };
        (charge, Some((key, request_hash)))
    });
    let all = ChargeAll {
        charges: charges.collect(),
        atomic: order.form.atomic.unwrap_or(false),
    };
    let command = Command::ChargeAll(all);
    let answers: Once<Vec<ChargeAnswer>> = app.engine().ask(command, idempotency).await?;
    Ok(answer(&answers, |answers| Batch::of(answers)))
}

/// A charge of a batch, with the key that it would have by itself.
fn one_of_many(value: Value) -> Result<(Charge, String, RequestHash), ApiError> {
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
    let charge: Create = input.read()?;
    Ok((charge.charge(), key, request_hash))
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

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Precheck")]
pub(super) struct Answer {
    allowed: bool,
    user_id: Id<UserId>,
    credits: i64,
    available: i64,
    unit: Code,
    #[serde(skip_serializing_if = "Option::is_none")]
    /// Why not, if it would not be made.
    error: Option<Refused>,
}

form! {
    /// A charge that might be made.
    pub(super) struct Ask {
        charge: PerhapsPriced,
        /// Whether the wallet may go below zero, down to its overdraft.
        allow_debt: Option<bool>,
    }
}

/// `POST /v1/balance/precheck`
pub(super) async fn precheck(
    State(app): State<App>,
    _: Admin,
    order: Order<Ask>,
) -> Result<Item<Answer>, ApiError> {
    let PerhapsPriced(mut charge, priced) = order.form.charge;
    charge.allow_debt = order.form.allow_debt.unwrap_or(false);
    let (user_id, unit) = (Id(charge.user.clone()), Code(charge.unit));
    let asked = Command::Precheck(Precheck { charge, priced });
    // A question has no effect that a key could keep from happening twice, and its answer changes with the wallet.
    let Prechecked {
        cost,
        available,
        refusal,
    } = app
        .engine()
        .ask::<Prechecked>(asked, None)
        .await?
        .into_inner();
    Ok(item(Answer {
        allowed: refusal.is_none(),
        user_id,
        credits: cost,
        available,
        unit,
        error: refusal.as_ref().map(Refused::of),
    }))
}
