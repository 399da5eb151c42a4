//! Who asks: nobody we know (guest), a user, or an administrator.
//!
//! Credentials come in `Authorization: Bearer …` and nowhere else. API keys have 256 random bits and are found by their SHA-256;
//! tokens are verified in [`super::jwt`]. What was verified is remembered in memory under its digest, for as long as it holds.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::extract::FromRequestParts;
use bursar_domain::api_key::Role;
use bursar_domain::id::{ApiKeyId, UserId};
use bursar_domain::identity;
use bursar_store::StoreError;
use http::StatusCode;
use http::header::AUTHORIZATION;
use http::request::Parts;
use sha2::{Digest, Sha256};

use super::admission;
use super::error::ApiError;
use super::jwt;
use crate::App;

/// What every API key begins with; a word for its kind follows.
pub const KEY_PREFIX: &str = "bursar_";

/// The name of all administrators among idempotency keys.
pub(super) const ADMINS: &str = "admin";

/// How long an API key is believed without a look at the database, in seconds: another node, or a command beside the service, may
/// have revoked it.
const KEY_SECONDS: i64 = 3;

/// How long the database is waited for to say whose a key is. It takes no time, and everything else waits behind it: where the
/// database says nothing, this is how soon callers hear of it.
const KEY_PATIENCE: Duration = Duration::from_secs(10);

/// Most credentials remembered. Beyond it the memory starts afresh.
const REMEMBERED_MAX: usize = 10_000;

/// Somebody who has shown credentials.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// What he may do.
    pub role: Role,
    /// The API key he has shown; none if it was a token.
    pub key: Option<ApiKeyId>,
    /// The digest of a user's e-mail address, if it is known: see [`Person`].
    pub identity: Option<String>,
}

impl Caller {
    /// Names the caller among idempotency keys: all administrators are one, each user is one of his own.
    pub fn principal(&self) -> String {
        match &self.role {
            Role::Admin => ADMINS.to_owned(),
            Role::User(user) => format!("user:{user}"),
        }
    }

    /// Whose things he may see; none if everybody's.
    pub(super) fn only(&self) -> Option<&UserId> {
        match &self.role {
            Role::Admin => None,
            Role::User(user) => Some(user),
        }
    }
}

/// A user; administrators are refused where only a user makes sense.
#[derive(Debug, Clone)]
pub struct User(pub UserId);

impl User {
    /// The same as somebody who asks.
    pub fn caller(&self) -> Caller {
        Caller {
            role: Role::User(self.0.clone()),
            key: None,
            identity: None,
        }
    }
}

/// An administrator, by his API key: where two have to agree, two keys are two administrators.
#[derive(Debug, Clone)]
pub struct Admin(pub ApiKeyId);

impl Admin {
    /// The same as somebody who asks.
    pub fn caller(&self) -> Caller {
        Caller {
            role: Role::Admin,
            key: Some(self.0.clone()),
            identity: None,
        }
    }
}

/// A user, and the digest of his e-mail address if it is known: of the token's `email`, or of a user id that is one.
#[derive(Debug, Clone)]
pub struct Person {
    /// Who.
    pub user: UserId,
    /// SHA-256 of what the address comes to ([`bursar_domain::identity`]), hexadecimal.
    pub identity: Option<String>,
}

impl Person {
    /// The same as somebody who asks.
    pub fn caller(&self) -> Caller {
        User(self.user.clone()).caller()
    }
}

/// The digest by which one mailbox under many names is one; none if the text is no address.
fn digest_of_email(email: &str) -> Option<String> {
    let normalized = identity::normalized(email)?;
    Some(hex::encode(Sha256::digest(normalized)))
}

impl FromRequestParts<App> for Person {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, ApiError> {
        let identity = identify(parts, app).await?.identity;
        let User(user) = User::from_request_parts(parts, app).await?;
        let identity = identity.or_else(|| digest_of_email(user.as_str()));
        Ok(Self { user, identity })
    }
}

impl FromRequestParts<App> for Caller {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, ApiError> {
        identify(parts, app).await
    }
}

impl FromRequestParts<App> for User {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, ApiError> {
        match identify(parts, app).await?.role {
            Role::User(user) => Ok(Self(user)),
            Role::Admin => Err(ApiError::forbidden(
                "this is about a user's own things: use a user's token or key",
            )),
        }
    }
}

impl FromRequestParts<App> for Admin {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, ApiError> {
        let caller = identify(parts, app).await?;
        match (caller.role, caller.key) {
            (Role::Admin, Some(key)) => Ok(Self(key)),
            _ => Err(ApiError::forbidden(
                "this is for administrators: use an admin key",
            )),
        }
    }
}

/// Says who asks, and counts it.
async fn identify(parts: &mut Parts, app: &App) -> Result<Caller, ApiError> {
    match recognise(parts, app).await {
        Ok(caller) => {
            admission::count(app, parts, &caller)?;
            Ok(caller)
        }
        // Without credentials it is a guest, who has been counted.
        Err(error)
            if error.status == StatusCode::UNAUTHORIZED
                && parts.headers.contains_key(AUTHORIZATION) =>
        {
            Err(admission::failed(app, parts, error))
        }
        Err(error) => Err(error),
    }
}

async fn recognise(parts: &Parts, app: &App) -> Result<Caller, ApiError> {
    let credential = bearer(parts)?;
    let digest: [u8; 32] = Sha256::digest(credential).into();
    let now = app.engine().now().seconds();
    if let Some(caller) = app.memory().recall(&digest, now) {
        return Ok(caller);
    }
    let epoch = app.memory().epoch();
    let (caller, until) = if credential.starts_with(KEY_PREFIX) {
        (of_key(app, &digest).await?, now + KEY_SECONDS)
    } else {
        let Some(config) = &app.config().jwt else {
            return Err(ApiError::unauthenticated(
                "the credential is no API key, and tokens are not configured here",
            ));
        };
        let verified = jwt::verify(config, credential, now).map_err(ApiError::unauthenticated)?;
        let caller = Caller {
            identity: verified.email.as_deref().and_then(digest_of_email),
            ..User(verified.user).caller()
        };
        (caller, verified.until)
    };
    app.memory()
        .remember(epoch, digest, caller.clone(), now..until);
    Ok(caller)
}

fn bearer(parts: &Parts) -> Result<&str, ApiError> {
    let mut values = parts.headers.get_all(AUTHORIZATION).iter();
    let value = values.next().ok_or_else(|| {
        ApiError::unauthenticated(
            "credentials are missing: send `Authorization: Bearer <token or key>`",
        )
    })?;
    let (scheme, credential) = value
        .to_str()
        .unwrap_or_default()
        .split_once(' ')
        .unwrap_or_default();
    let credential = credential.trim();
    let plain = credential.bytes().all(|byte| byte.is_ascii_graphic());
    if values.next().is_some()
        || !scheme.eq_ignore_ascii_case("bearer")
        || credential.is_empty()
        || !plain
    {
        return Err(ApiError::unauthenticated(
            "send exactly one header `Authorization: Bearer <token or key>`",
        ));
    }
    Ok(credential)
}

async fn of_key(app: &App, digest: &[u8; 32]) -> Result<Caller, ApiError> {
    let hash = hex::encode(digest);
    let asked = app
        .engine()
        .read(move |reader| reader.api_key_by_hash(&hash));
    let asked = tokio::time::timeout(KEY_PATIENCE, asked).await;
    let key = asked.unwrap_or_else(|_| {
        let why = "it did not say in time whose the API key is; nothing was done: try again";
        Err(StoreError::Unavailable(why.to_owned()).into())
    })?;
    key.filter(|key| key.revoked_at.is_none())
        .map(|key| Caller {
            role: key.role,
            key: Some(key.id),
            identity: None,
        })
        .ok_or_else(|| ApiError::unauthenticated("the API key is not valid, or was revoked"))
}

/// What was verified lately.
#[derive(Debug, Default)]
pub struct Memory(Mutex<Remembered>);

#[derive(Debug, Default)]
struct Remembered {
    epoch: u64,
    /// Each with the seconds in which he is believed. They begin with the present, so that a clock that is set back ends them.
    callers: HashMap<[u8; 32], (Caller, Range<i64>)>,
}

impl Memory {
    fn lock(&self) -> MutexGuard<'_, Remembered> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn recall(&self, digest: &[u8; 32], now_seconds: i64) -> Option<Caller> {
        let memory = self.lock();
        let (caller, seconds) = memory.callers.get(digest)?;
        seconds.contains(&now_seconds).then(|| caller.clone())
    }

    /// Counts how often everything was forgotten.
    fn epoch(&self) -> u64 {
        self.lock().epoch
    }

    /// Keeps a caller, unless something was revoked since `epoch`: he was then read too early to be trusted.
    fn remember(&self, epoch: u64, digest: [u8; 32], caller: Caller, seconds: Range<i64>) {
        let mut memory = self.lock();
        if memory.epoch != epoch {
            return;
        }
        if memory.callers.len() >= REMEMBERED_MAX {
            memory.callers.clear();
        }
        memory.callers.insert(digest, (caller, seconds));
    }

    /// Forgets everything: a key was revoked.
    pub fn forget(&self) {
        let mut memory = self.lock();
        memory.epoch += 1;
        memory.callers.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn anna() -> Caller {
        User(UserId::parse("anna").unwrap()).caller()
    }

    #[test]
    fn a_memory_ends_with_the_token() {
        let memory = Memory::default();
        memory.remember(0, [1; 32], anna(), 0..100);
        assert_eq!(memory.recall(&[1; 32], 99), Some(anna()));
        assert_eq!(memory.recall(&[1; 32], 100), None);
        assert_eq!(memory.recall(&[1; 32], -1), None);
        assert_eq!(memory.recall(&[2; 32], 0), None);
    }

    #[test]
    fn a_role_read_before_a_revocation_is_not_kept_after_it() {
        let memory = Memory::default();
        memory.remember(0, [1; 32], anna(), 0..100);
        let epoch = memory.epoch();
        memory.forget();
        memory.remember(epoch, [2; 32], anna(), 0..100);
        assert_eq!(memory.recall(&[1; 32], 0), None);
        assert_eq!(memory.recall(&[2; 32], 0), None);
    }

    #[test]
    fn the_memory_is_bounded() {
        let memory = Memory::default();
        for number in 0..=u32::try_from(REMEMBERED_MAX).unwrap() {
            let digest = Sha256::digest(number.to_be_bytes()).into();
            memory.remember(0, digest, anna(), 0..100);
        }
        assert!(memory.lock().callers.len() <= REMEMBERED_MAX);
    }
}
