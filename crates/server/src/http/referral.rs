//! Credits to begin with, and for bringing others.

use axum::extract::State;
use axum::response::IntoResponse;
use bursar_domain::command::{BonusCommand, Command, Reply};
use bursar_domain::referral::{Join, ReferralStatus, normalized};
use bursar_domain::welcome::{ClaimWelcome, Welcome};
use bursar_store::query::ReferralSum;
use serde_json::{Value, json};

use super::answer::{answer, item};
use super::auth::Person;
use super::error::ApiError;
use super::extract::{Query, required};
use super::grant;
use super::order::Order;
use crate::App;

/// `POST /v1/balance/signup/claim`
pub(super) async fn signup(
    State(app): State<App>,
    person: Person,
    order: Order,
) -> Result<impl IntoResponse, ApiError> {
    claim_welcome(app, person, order, Welcome::Signup).await
}

/// `POST /v1/balance/trial/claim`
pub(super) async fn trial(
    State(app): State<App>,
    person: Person,
    order: Order,
) -> Result<impl IntoResponse, ApiError> {
    claim_welcome(app, person, order, Welcome::Trial).await
}

async fn claim_welcome(
    app: App,
    person: Person,
    order: Order,
    which: Welcome,
) -> Result<impl IntoResponse, ApiError> {
    let idempotency = order.idempotency(&person.caller());
    order.input.finish()?;
    let wish = ClaimWelcome {
        which,
        user: person.user,
        identity: person.identity,
    };
    let command = Command::Bonus(BonusCommand::ClaimWelcome(wish));
    grant::given(app.submit(command, idempotency).await?)
}

/// What is shown of a member. Who brought whom is between the operator and his books.
pub(super) fn shown(sum: &ReferralSum) -> Value {
    let member = sum.member.as_ref();
    json!({
        "code": member.and_then(|member| member.code.as_deref()),
        "brought": sum.brought,
        "rewarded": sum.rewarded,
        "reward_credits": sum.credits,
        "was_brought": member.is_some_and(|member| member.referrer.is_some()),
        "status": member.and_then(|member| member.status).map(ReferralStatus::as_str),
    })
}

/// `GET /v1/balance/referral`: the user's own code, which is made when he first asks, and what came of it.
pub(super) async fn mine(
    State(app): State<App>,
    person: Person,
    Query(query): Query,
) -> Result<impl IntoResponse, ApiError> {
    query.finish()?;
    let user = person.user.clone();
    let wish = Join {
        user: person.user,
        identity: person.identity,
        code: None,
    };
    app.submit(Command::Bonus(BonusCommand::Join(wish)), None)
        .await?;
    let sum = app
        .engine()
        .read(move |reader| reader.referral_of(&user))
        .await?;
    Ok(item(shown(&sum)))
}

/// `POST /v1/balance/referral/claim`
pub(super) async fn claim(
    State(app): State<App>,
    person: Person,
    mut order: Order,
) -> Result<impl IntoResponse, ApiError> {
    let code = required("code", order.input.text("code", 64)?)?;
    let idempotency = order.idempotency(&person.caller());
    order.input.finish()?;
    let wish = Join {
        user: person.user,
        identity: person.identity,
        code: Some(normalized(&code)),
    };
    let command = Command::Bonus(BonusCommand::Join(wish));
    let answered = app.submit(command, idempotency).await?;
    match answered.reply {
        Reply::Member(member) => {
            let status = member.status.map(ReferralStatus::as_str);
            Ok(answer(json!({ "status": status }), answered.replayed))
        }
        _ => Err(ApiError::internal(
            &"a referral was answered with something else",
        )),
    }
}
