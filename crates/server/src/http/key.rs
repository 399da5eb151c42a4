//! API keys: issued once in full, listed without their secret, revoked at once.

use axum::extract::State;
use axum::response::IntoResponse;
use bursar_domain::api_key::{ApiKey, Role};
use bursar_domain::command::{Command, Reply};
use bursar_domain::id::ApiKeyId;
use bursar_domain::refusal::Refusal;
use http::StatusCode;
use serde::Serialize;

use super::answer::item;
use super::auth::Admin;
use super::error::ApiError;
use super::extract::{Query, required};
use super::order::Order;
use super::page;
use crate::App;
use crate::api_key;

#[derive(Debug, Serialize)]
struct View {
    api_key_id: String,
    role: &'static str,
    user_id: Option<String>,
    label: String,
    hint: String,
    created_at: String,
    revoked_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    api_key: Option<String>,
}

impl View {
    fn of(key: &ApiKey) -> Self {
        let (role, user_id) = match &key.role {
            Role::Admin => ("admin", None),
            Role::User(user) => ("user", Some(user.to_string())),
        };
        Self {
            api_key_id: key.id.to_string(),
            role,
            user_id,
            label: key.label.clone(),
            hint: format!("…{}", key.hint),
            created_at: key.created_at.to_string(),
            revoked_at: key.revoked_at.map(|at| at.to_string()),
            api_key: None,
        }
    }
}

/// `GET /v1/keys`
pub(super) async fn all(
    State(app): State<App>,
    _: Admin,
    Query(mut query): Query,
) -> Result<impl IntoResponse, ApiError> {
    let request = page::request(&mut query)?;
    query.finish()?;
    let keys = app
        .engine()
        .read(move |reader| reader.api_keys(&request))
        .await?;
    Ok(page::list(keys, View::of))
}

/// `POST /v1/keys/create`. The answer shows the key, this once, and is not remembered: an idempotency key would keep the secret.
pub(super) async fn create(
    State(app): State<App>,
    admin: Admin,
    mut order: Order,
) -> Result<impl IntoResponse, ApiError> {
    if order.idempotency(&admin.caller()).is_some() {
        let message =
            "a key is shown once, so its making cannot be repeated: leave Idempotency-Key out";
        return Err(ApiError::new(
            StatusCode::BAD_REQUEST,
            "idempotency_not_supported",
            message,
        ));
    }
    let is_admin = required(
        "role",
        order
            .input
            .choice("role", &[("admin", true), ("user", false)])?,
    )?;
    let user = order.input.user("user_id")?;
    let label = order.input.text("label", 100)?.unwrap_or_default();
    order.input.finish()?;
    let role = match (is_admin, user) {
        (true, None) => Role::Admin,
        (false, Some(user)) => Role::User(user),
        (false, None) => return Err(ApiError::missing("user_id")),
        (true, Some(_)) => {
            return Err(ApiError::invalid(
                "user_id",
                "must be left out: an admin key belongs to no user",
            ));
        }
    };
    let (secret, key) = api_key::issue(app.engine(), role, label).await?;
    let mut view = View::of(&key);
    view.api_key = Some(secret);
    Ok(item(view))
}

/// `POST /v1/keys/revoke`
pub(super) async fn revoke(
    State(app): State<App>,
    _: Admin,
    mut order: Order,
) -> Result<impl IntoResponse, ApiError> {
    let text = required("api_key_id", order.input.text("api_key_id", 200)?)?;
    order.input.finish()?;
    let id = ApiKeyId::parse(&text).ok_or(Refusal::ApiKeyNotFound)?;
    let answered = app.submit(Command::RevokeKey(id), None).await?;
    app.memory().forget();
    match answered.reply {
        Reply::ApiKey(key) => Ok(item(View::of(&key))),
        _ => Err(ApiError::internal(
            &"a revocation was answered with something else",
        )),
    }
}
