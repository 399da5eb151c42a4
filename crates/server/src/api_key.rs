//! The secrets of API keys: made here, shown once, stored as a digest.

use bursar_domain::api_key::{ApiKey, IssueKey, Role};
use bursar_domain::command::Command;
use bursar_engine::{Engine, EngineError, Once};
use sha2::{Digest, Sha256};

/// Makes a key, stores its digest, and gives secret and row. The secret tells its kind: `bursar_admin_…`, `bursar_user_…`.
pub async fn issue(
    engine: &Engine,
    role: Role,
    label: String,
) -> Result<(String, ApiKey), EngineError> {
    let kind = match role {
        Role::Admin => "admin",
        Role::User(_) => "user",
    };
    let secret = format!("bursar_{kind}_{}", random_hex()?);
    let key = IssueKey {
        role,
        hash: digest(&secret),
        hint: secret[secret.len() - 4..].to_owned(),
        label,
    };
    let Once { value: key, .. } = engine.ask(Command::IssueKey(key), None).await?;
    Ok((secret, key))
}

/// What is stored of a key.
pub fn digest(secret: &str) -> String {
    hex::encode(Sha256::digest(secret))
}

/// 256 random bits, hexadecimal.
pub fn random_hex() -> Result<String, EngineError> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).map_err(|error| {
        bursar_store::StoreError::Unusable(format!("the system gives no randomness: {error}"))
    })?;
    Ok(hex::encode(bytes))
}
