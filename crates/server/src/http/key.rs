//! API keys: issued once in full, listed without their secret, revoked at once.

use axum::extract::State;
use bursar_domain::api_key::{ApiKey, Role};
use bursar_domain::command::Command;
use bursar_domain::id::{ApiKeyId, UserId};
use http::StatusCode;
use schemars::JsonSchema;
use serde::Serialize;

use super::answer::{Item, answer, item};
use super::auth::Admin;
use super::error::ApiError;
use super::extract::Query;
use super::form::form;
use super::kind::{Id, Moment, Text, choice};
use super::order::Order;
use super::page::{self, List, Of};
use crate::App;
use crate::api_key;

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "ApiKey")]
pub(super) struct View {
    api_key_id: Id<ApiKeyId>,
    role: RoleWord,
    user_id: Option<Id<UserId>>,
    label: String,
    hint: String,
    created_at: Moment,
    revoked_at: Option<Moment>,
    /// The key itself, shown this once.
    #[serde(skip_serializing_if = "Option::is_none")]
    api_key: Option<String>,
}

impl View {
    fn of(key: &ApiKey) -> Self {
        let (role, user_id) = match &key.role {
            Role::Admin => (RoleWord::Admin, None),
            Role::User(user) => (RoleWord::User, Some(Id(user.clone()))),
        };
        Self {
            api_key_id: Id(key.id.clone()),
            role,
            user_id,
            label: key.label.clone(),
            hint: format!("…{}", key.hint),
            created_at: Moment(key.created_at),
            revoked_at: key.revoked_at.map(Moment),
            api_key: None,
        }
    }
}

/// What a key is for.
#[derive(Debug, Clone, Copy, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
enum RoleWord {
    Admin,
    User,
}

/// `GET /v1/keys`
pub(super) async fn all(
    State(app): State<App>,
    _: Admin,
    Query(Of { page }): Query<Of>,
) -> Result<Item<List<View>>, ApiError> {
    page::read(&app, move |reader| reader.api_keys(&page), View::of).await
}

const ROLES: &[(&str, bool)] = &[("admin", true), ("user", false)];

/// Whether it is an administrator's.
#[derive(Debug)]
struct IsAdmin(bool);

choice!(IsAdmin, ROLES);

form! {
    /// Who gets a key.
    pub(super) struct Create {
        role: IsAdmin,
        /// Whose key, if the role is `user`.
        user_id: Option<Id<UserId>>,
        /// What you call it.
        label: Option<Text<100>>,
    }
}

/// `POST /v1/keys/create`. The answer shows the key, this once, and is not remembered: an idempotency key would keep the secret.
pub(super) async fn create(
    State(app): State<App>,
    admin: Admin,
    order: Order<Create>,
) -> Result<Item<View>, ApiError> {
    if order.idempotency(&admin.caller()).is_some() {
        let message =
            "a key is shown once, so its making cannot be repeated: leave Idempotency-Key out";
        return Err(ApiError::new(
            StatusCode::BAD_REQUEST,
            "idempotency_not_supported",
            message,
        ));
    }
    let IsAdmin(is_admin) = order.form.role;
    let user = order.form.user_id.map(|id| id.0);
    let label = order.form.label.map(|text| text.0).unwrap_or_default();
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

form! {
    /// Which key ends.
    pub(super) struct Revoke {
        api_key_id: Id<ApiKeyId>,
    }
}

/// `POST /v1/keys/revoke`
pub(super) async fn revoke(
    State(app): State<App>,
    _: Admin,
    order: Order<Revoke>,
) -> Result<Item<View>, ApiError> {
    let Id(id) = order.form.api_key_id;
    let revoked = app.engine().ask(Command::RevokeKey(id), None).await?;
    app.memory().forget();
    Ok(answer(&revoked, View::of))
}
