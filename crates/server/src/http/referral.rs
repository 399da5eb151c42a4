//! Credits to begin with, and for bringing others.

use axum::extract::State;
use bursar_domain::command::{BonusCommand, Command};
use bursar_domain::referral::{Join, Member, ReferralStatus, normalized};
use bursar_domain::welcome::{ClaimWelcome, Welcome};
use bursar_store::query::ReferralSum;
use schemars::JsonSchema;
use serde::Serialize;

use super::answer::{Item, answer, item};
use super::auth::Person;
use super::error::ApiError;
use super::extract::Query;
use super::form::{Nothing, form};
use super::grant;
use super::kind::{Text, Word};
use super::order::Order;
use crate::App;

/// `POST /v1/balance/signup/claim`
pub(super) async fn signup(
    State(app): State<App>,
    person: Person,
    order: Order<Nothing>,
) -> Result<Item<grant::View>, ApiError> {
    claim_welcome(app, person, order, Welcome::Signup).await
}

/// `POST /v1/balance/trial/claim`
pub(super) async fn trial(
    State(app): State<App>,
    person: Person,
    order: Order<Nothing>,
) -> Result<Item<grant::View>, ApiError> {
    claim_welcome(app, person, order, Welcome::Trial).await
}

async fn claim_welcome(
    app: App,
    person: Person,
    order: Order<Nothing>,
    which: Welcome,
) -> Result<Item<grant::View>, ApiError> {
    let idempotency = order.idempotency(&person.caller());
    let wish = ClaimWelcome {
        which,
        user: person.user,
        identity: person.identity,
    };
    let command = Command::Bonus(BonusCommand::ClaimWelcome(wish));
    Ok(grant::given(&app.engine().ask(command, idempotency).await?))
}

/// What is shown of a member. Who brought whom is between the operator and his books.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Referral")]
pub(super) struct View {
    /// What to bring others with.
    code: Option<String>,
    /// How many have come by it.
    brought: i64,
    /// How many of them have bought enough.
    rewarded: i64,
    /// What that has brought, in credits.
    reward_credits: i64,
    /// Whether somebody has brought this user.
    was_brought: bool,
    /// What came of that.
    status: Option<Word<ReferralStatus>>,
}

impl View {
    pub(super) fn of(sum: &ReferralSum) -> Self {
        let member = sum.member.as_ref();
        Self {
            code: member.and_then(|member| member.code.clone()),
            brought: sum.brought,
            rewarded: sum.rewarded,
            reward_credits: sum.credits,
            was_brought: member.is_some_and(|member| member.referrer.is_some()),
            status: member.and_then(|member| member.status).map(Word),
        }
    }
}

/// `GET /v1/balance/referral`: the user's own code, which is made when he first asks, and what came of it.
pub(super) async fn mine(
    State(app): State<App>,
    person: Person,
    _: Query<Nothing>,
) -> Result<Item<View>, ApiError> {
    let user = person.user.clone();
    let wish = Join {
        user: person.user,
        identity: person.identity,
        code: None,
    };
    let join = Command::Bonus(BonusCommand::Join(wish));
    app.engine().submit(join).await?;
    let sum = app
        .engine()
        .read(move |reader| reader.referral_of(&user))
        .await?;
    Ok(item(View::of(&sum)))
}

form! {
    /// Who has brought one.
    pub(super) struct Claim {
        /// His referral code.
        code: Text<64>,
    }
}

/// What came of it.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "ReferralClaim")]
pub(super) struct Claimed {
    status: Option<Word<ReferralStatus>>,
}

/// `POST /v1/balance/referral/claim`
pub(super) async fn claim(
    State(app): State<App>,
    person: Person,
    order: Order<Claim>,
) -> Result<Item<Claimed>, ApiError> {
    let idempotency = order.idempotency(&person.caller());
    let wish = Join {
        user: person.user,
        identity: person.identity,
        code: Some(normalized(&order.form.code.0)),
    };
    let command = Command::Bonus(BonusCommand::Join(wish));
    let claimed = |member: &Member| Claimed {
        status: member.status.map(Word),
    };
    Ok(answer(
        &app.engine().ask(command, idempotency).await?,
        claimed,
    ))
}
