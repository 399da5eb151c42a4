//! Why a balance is what it is, why something moved, and why a charge was refused.

mod answer;
mod text;
mod transaction;
mod wallet;

use axum::extract::State;
use bursar_domain::account::AccountKey;
use bursar_domain::amount::Unit;
use bursar_domain::id::{TransactionId, UserId};
use http::StatusCode;
use schemars::JsonSchema;
use serde::Serialize;

use super::answer::{Item, item};
use super::auth::{Admin, User};
use super::error::ApiError;
use super::extract::{Query, required};
use super::form::form;
use super::kind::{Code, Id, Text};
use crate::App;

/// Who wants to know, and about whom.
enum Asker {
    /// A user, about himself.
    User(UserId),
    /// An administrator, about the user he has named, if he has.
    Admin(Option<UserId>),
}

impl Asker {
    fn about(&self) -> Option<&UserId> {
        match self {
            Self::User(user) => Some(user),
            Self::Admin(user) => user.as_ref(),
        }
    }
}

/// `GET /v1/balance/explain`
pub(super) async fn explain(
    State(app): State<App>,
    user: Result<User, ApiError>,
    admin: Result<Admin, ApiError>,
    query: Result<Query<Question>, ApiError>,
) -> Result<Item<Explained>, ApiError> {
    if let (Err(error), Err(_)) = (&user, &admin) {
        return Err(error.clone());
    }
    let Query(form) = query?;
    let named = form.user_id.map(|id| id.0);
    let asker = match user {
        // Another user is as good as none.
        Ok(User(user)) if named.as_ref().is_some_and(|named| *named != user) => {
            return Err(no_wallet());
        }
        Ok(User(user)) => Asker::User(user),
        Err(_) => Asker::Admin(named),
    };
    let explained = match (form.transaction_id, form.idempotency_key) {
        (None, None) => {
            let unit = form.unit.map_or(Unit::CREDIT, |code| code.0);
            let user = required("user_id", asker.about())?;
            let key = AccountKey::wallet_in(user, unit);
            Explained::Wallet(wallet::explain(&app, key).await?)
        }
        (Some(_), Some(_)) => {
            return Err(ApiError::invalid(
                "idempotency_key",
                "is another question than `transaction_id`: ask one of them",
            ));
        }
        _ if form.unit.is_some() => {
            let known = ["user_id", "transaction_id", "idempotency_key"];
            return Err(ApiError::unknown("unit", &known));
        }
        (Some(Id(id)), None) => {
            Explained::Transaction(transaction::explain(&app, id, asker.about()).await?)
        }
        (None, Some(key)) => {
            let Asker::Admin(None) = asker else {
                return Err(key_is_for_admins(&asker));
            };
            Explained::Answers(answer::explain(&app, key.0).await?)
        }
    };
    Ok(item(explained))
}

form! {
    /// Why is a balance what it is? Why did something move? Why was something refused?
    pub(super) struct Question {
        /// About whom; for administrators.
        user_id: Option<Id<UserId>>,
        /// What the wallet holds; `credit` without it. Not with the next two.
        unit: Option<Code>,
        /// What moved.
        transaction_id: Option<Id<TransactionId>>,
        /// Under which key something was asked; for administrators.
        idempotency_key: Option<Text<255>>,
    }
}

/// The answer to one of the three questions.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(untagged)]
pub(super) enum Explained {
    Wallet(wallet::View),
    Transaction(transaction::View),
    Answers(answer::View),
}

fn no_wallet() -> ApiError {
    ApiError::new(
        StatusCode::NOT_FOUND,
        "wallet_not_found",
        "there is no such wallet",
    )
    .with_param("user_id")
}

/// What is remembered of a refusal does not say whose wallet it was about, so it cannot be shown to a user.
fn key_is_for_admins(asker: &Asker) -> ApiError {
    match asker {
        Asker::User(_) => {
            ApiError::forbidden("idempotency keys are the product's server's: use an admin key")
        }
        Asker::Admin(_) => ApiError::invalid(
            "user_id",
            "does not go with `idempotency_key`, which names one request",
        ),
    }
}
