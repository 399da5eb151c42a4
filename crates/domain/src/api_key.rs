//! API keys: stored as a hash, shown once, revocable.

use serde::{Deserialize, Serialize};

use crate::command::Context;
use crate::id::{ApiKeyId, UserId};
use crate::refusal::Refusal;
use crate::state::State;
use crate::time::Time;

/// Who asks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// The operator or the product's own server: may see and do everything.
    Admin,
    /// A customer: may see and do what is his own.
    User(UserId),
}

/// An API key without its secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApiKey {
    /// Names the key in lists and for revoking; not a secret.
    pub id: ApiKeyId,
    /// Whom it speaks for.
    pub role: Role,
    /// SHA-256 of the secret, hexadecimal. The secret has 256 random bits, so it needs no slow hash.
    pub hash: String,
    /// The last four characters of the secret, to tell keys apart.
    pub hint: String,
    /// What the operator calls it.
    pub label: String,
    /// When it was issued.
    pub created_at: Time,
    /// When it was revoked, if it was.
    pub revoked_at: Option<Time>,
}

/// A key to be issued: its secret was made and hashed outside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IssueKey {
    /// Whom it speaks for.
    pub role: Role,
    /// SHA-256 of the secret, hexadecimal.
    pub hash: String,
    /// The last four characters of the secret.
    pub hint: String,
    /// What the operator calls it.
    pub label: String,
}

pub(crate) fn issue(state: &mut State, context: &mut Context<'_>, key: &IssueKey) -> ApiKey {
    let issued = ApiKey {
        id: ApiKeyId::new(context.ids, context.now),
        role: key.role.clone(),
        hash: key.hash.clone(),
        hint: key.hint.clone(),
        label: key.label.clone(),
        created_at: context.now,
        revoked_at: None,
    };
    state.api_keys.insert(issued.id.clone(), issued.clone());
    issued
}

/// Revoking twice keeps the first time.
pub(crate) fn revoke(
    state: &mut State,
    context: &Context<'_>,
    id: &ApiKeyId,
) -> Result<ApiKey, Refusal> {
    if state.api_keys.get(id).is_none() {
        return Err(Refusal::ApiKeyNotFound);
    }
    Ok(state.api_keys.change(id, |key| {
        key.revoked_at.get_or_insert(context.now);
        key.clone()
    }))
}
