//! Who asks: nobody we know (guest), a user, or an administrator.
//!
//! Credentials come in `Authorization: Bearer …` and nowhere else. API keys have 256 random bits and are found by their SHA-256;
//! tokens are verified in [`super::jwt`]. What was verified is remembered in memory under its digest, for as long as it holds.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use axum::extract::FromRequestParts;
use bursar_domain::api_key::Role;
use bursar_domain::id::UserId;
use http::header::AUTHORIZATION;
use http::request::Parts;
use sha2::{Digest, Sha256};

use super::error::ApiError;
use super::jwt;
use crate::App;

/// What every API key begins with; a word for its kind follows.
pub const KEY_PREFIX: &str = "bursar_";

/// Most credentials remembered. Beyond it the memory starts afresh.
const REMEMBERED_MAX: usize = 10_000;

/// Somebody who has shown credentials.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller(pub Role);

impl Caller {
    /// Names the caller among idempotency keys: all administrators are one, each user is one of his own.
    pub fn principal(&self) -> String {
        match &self.0 {
            Role::Admin => "admin".to_owned(),
            Role::User(user) => format!("user:{user}"),
        }
    }
}

/// A user; administrators are refused where only a user makes sense.
#[derive(Debug, Clone)]
pub struct User(pub UserId);

impl User {
    /// The same as somebody who asks.
    pub fn caller(&self) -> Caller {
        Caller(Role::User(self.0.clone()))
    }
}

/// An administrator.
#[derive(Debug, Clone, Copy)]
pub struct Admin;

impl Admin {
    /// The same as somebody who asks.
    pub fn caller(self) -> Caller {
        Caller(Role::Admin)
    }
}

impl FromRequestParts<App> for User {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, ApiError> {
        match identify(parts, app).await?.0 {
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
        match identify(parts, app).await?.0 {
            Role::Admin => Ok(Self),
            Role::User(_) => Err(ApiError::forbidden(
                "this is for administrators: use an admin key",
            )),
        }
    }
}

async fn identify(parts: &Parts, app: &App) -> Result<Caller, ApiError> {
    let credential = bearer(parts)?;
    let digest: [u8; 32] = Sha256::digest(credential).into();
    let now = app.engine().now().seconds();
    if let Some(role) = app.memory().recall(&digest, now) {
        return Ok(Caller(role));
    }
    let epoch = app.memory().epoch();
    let (role, until) = if credential.starts_with(KEY_PREFIX) {
        (key_role(app, &digest).await?, i64::MAX)
    } else {
        let Some(config) = &app.config().jwt else {
            return Err(ApiError::unauthenticated(
                "the credential is no API key, and tokens are not configured here",
            ));
        };
        let verified = jwt::verify(config, credential, now).map_err(ApiError::unauthenticated)?;
        (Role::User(verified.user), verified.until)
    };
    app.memory().remember(epoch, digest, role.clone(), until);
    Ok(Caller(role))
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

async fn key_role(app: &App, digest: &[u8; 32]) -> Result<Role, ApiError> {
    let hash = hex::encode(digest);
    let key = app
        .engine()
        .read(move |reader| reader.api_key_by_hash(&hash))
        .await?;
    key.filter(|key| key.revoked_at.is_none())
        .map(|key| key.role)
        .ok_or_else(|| ApiError::unauthenticated("the API key is not valid, or was revoked"))
}

/// What was verified lately.
#[derive(Debug, Default)]
pub struct Memory(Mutex<Remembered>);

#[derive(Debug, Default)]
struct Remembered {
    epoch: u64,
    roles: HashMap<[u8; 32], (Role, i64)>,
}

impl Memory {
    fn lock(&self) -> MutexGuard<'_, Remembered> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn recall(&self, digest: &[u8; 32], now_seconds: i64) -> Option<Role> {
        let memory = self.lock();
        let (role, until) = memory.roles.get(digest)?;
        (now_seconds < *until).then(|| role.clone())
    }

    /// Counts how often everything was forgotten.
    fn epoch(&self) -> u64 {
        self.lock().epoch
    }

    /// Keeps a role, unless something was revoked since `epoch`: the role was then read too early to be trusted.
    fn remember(&self, epoch: u64, digest: [u8; 32], role: Role, until_seconds: i64) {
        let mut memory = self.lock();
        if memory.epoch != epoch {
            return;
        }
        if memory.roles.len() >= REMEMBERED_MAX {
            memory.roles.clear();
        }
        memory.roles.insert(digest, (role, until_seconds));
    }

    /// Forgets everything: a key was revoked.
    pub fn forget(&self) {
        let mut memory = self.lock();
        memory.epoch += 1;
        memory.roles.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_memory_ends_with_the_token() {
        let memory = Memory::default();
        memory.remember(0, [1; 32], Role::Admin, 100);
        assert_eq!(memory.recall(&[1; 32], 99), Some(Role::Admin));
        assert_eq!(memory.recall(&[1; 32], 100), None);
        assert_eq!(memory.recall(&[2; 32], 0), None);
    }

    #[test]
    fn a_role_read_before_a_revocation_is_not_kept_after_it() {
        let memory = Memory::default();
        memory.remember(0, [1; 32], Role::Admin, 100);
        let epoch = memory.epoch();
        memory.forget();
        memory.remember(epoch, [2; 32], Role::Admin, 100);
        assert_eq!(memory.recall(&[1; 32], 0), None);
        assert_eq!(memory.recall(&[2; 32], 0), None);
    }

    #[test]
    fn the_memory_is_bounded() {
        let memory = Memory::default();
        for number in 0..=u32::try_from(REMEMBERED_MAX).unwrap() {
            let digest = Sha256::digest(number.to_be_bytes()).into();
            memory.remember(0, digest, Role::Admin, 100);
        }
        assert!(memory.lock().roles.len() <= REMEMBERED_MAX);
    }
}
