//! Why a balance is what it is, why something moved, and why a charge was refused.

mod answer;
mod text;
mod transaction;
mod wallet;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use bursar_domain::account::AccountKey;
use bursar_domain::id::UserId;
use http::StatusCode;

use super::answer::item;
use super::auth::{Admin, User};
use super::error::ApiError;
use super::extract::{Input, Query, required};
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
    Query(mut query): Query,
) -> Result<Response, ApiError> {
    let named = match (&user, &admin) {
        (Err(error), Err(_)) => return Err(error.clone()),
        _ => query.user("user_id")?,
    };
    let asker = match user {
        // Another user is as good as none.
        Ok(User(user)) if named.as_ref().is_some_and(|named| *named != user) => {
            return Err(no_wallet());
        }
        Ok(User(user)) => Asker::User(user),
        Err(_) => Asker::Admin(named),
    };
    let transaction = query.text("transaction_id", 200)?;
    let key = query.text("idempotency_key", 255)?;
    match (transaction, key) {
        (None, None) => about_wallet(&app, &asker, query).await,
        (Some(id), None) => {
            query.finish()?;
            let view = transaction::explain(&app, &id, asker.about()).await?;
            Ok(item(view).into_response())
        }
        (None, Some(key)) => {
            query.finish()?;
            let Asker::Admin(None) = asker else {
                return Err(key_is_for_admins(&asker));
            };
            Ok(item(answer::explain(&app, key).await?).into_response())
        }
        (Some(_), Some(_)) => Err(ApiError::invalid(
            "idempotency_key",
            "is another question than `transaction_id`: ask one of them",
        )),
    }
}

async fn about_wallet(app: &App, asker: &Asker, mut query: Input) -> Result<Response, ApiError> {
    let unit = query.unit()?;
    query.finish()?;
    let user = required("user_id", asker.about())?;
    let view = wallet::explain(app, AccountKey::wallet_in(user, unit)).await?;
    Ok(item(view).into_response())
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
