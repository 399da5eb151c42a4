//! Keys that verify the tokens of the operator's own issuer.

use std::fmt;
use std::fs;

use jsonwebtoken::jwk::{Jwk, JwkSet, KeyAlgorithm};
use jsonwebtoken::{Algorithm, DecodingKey};

use crate::secret::Secret;

/// How tokens are verified.
#[derive(Debug, Clone)]
pub struct JwtConfig {
    /// The key, which also decides the only algorithm that is accepted with it.
    pub key: JwtKey,
    /// What `iss` must be, if it is checked.
    pub issuer: Option<String>,
    /// What `aud` must be or contain, if it is checked.
    pub audience: Option<String>,
}

/// A key of one kind. The kind fixes the algorithm: a token cannot choose to be checked in a weaker way.
#[derive(Clone)]
pub enum JwtKey {
    /// HS256 with a shared secret.
    Secret(Secret),
    /// RS256 or ES256 with one public key.
    Public(Algorithm, DecodingKey),
    /// RS256 or ES256 with several public keys, by `kid`.
    Set(Vec<NamedKey>),
}

/// A public key of a set.
#[derive(Clone)]
pub struct NamedKey {
    /// Its name; a set of a single key may leave it out.
    pub kid: Option<String>,
    /// The one algorithm it is used with.
    pub algorithm: Algorithm,
    /// The key.
    pub key: DecodingKey,
}

impl fmt::Debug for JwtKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Secret(_) => "JwtKey::Secret",
            Self::Public(..) => "JwtKey::Public",
            Self::Set(_) => "JwtKey::Set",
        })
    }
}

pub(super) fn hs256(text: &str) -> Result<JwtKey, String> {
    if text.len() < 16 {
        return Err(
            "must have at least 16 characters; 32 random bytes are right: openssl rand -hex 32"
                .to_owned(),
        );
    }
    Ok(JwtKey::Secret(Secret::new(text)))
}

pub(super) fn pem_file(path: &str) -> Result<JwtKey, String> {
    let pem =
        fs::read(path).map_err(|error| format!("names a file that cannot be read: {error}"))?;
    if pem.windows(11).any(|window| window == b"PRIVATE KEY") {
        return Err("names a file with a private key; give the public one".to_owned());
    }
    if let Ok(key) = DecodingKey::from_rsa_pem(&pem) {
        return Ok(JwtKey::Public(Algorithm::RS256, key));
    }
    match DecodingKey::from_ec_pem(&pem) {
        Ok(key) => Ok(JwtKey::Public(Algorithm::ES256, key)),
        Err(_) => Err("names a file that is no public key in PEM form, RSA or P-256".to_owned()),
    }
}

pub(super) fn jwks_file(path: &str) -> Result<JwtKey, String> {
    let text =
        fs::read(path).map_err(|error| format!("names a file that cannot be read: {error}"))?;
    let set: JwkSet = serde_json::from_slice(&text)
        .map_err(|error| format!("names a file that is no JSON Web Key Set: {error}"))?;
    let keys: Vec<NamedKey> = set.keys.iter().filter_map(named_key).collect();
    if keys.is_empty() {
        return Err("names a set without a key for RS256 or ES256".to_owned());
    }
    if keys.len() > 1 && keys.iter().any(|key| key.kid.is_none()) {
        return Err("names a set of several keys of which one has no kid".to_owned());
    }
    Ok(JwtKey::Set(keys))
}

/// Keys for other algorithms or for encryption are passed over: an issuer may publish them in the same set.
fn named_key(jwk: &Jwk) -> Option<NamedKey> {
    use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, PublicKeyUse};
    let algorithm = match &jwk.algorithm {
        AlgorithmParameters::RSA(_) => Algorithm::RS256,
        AlgorithmParameters::EllipticCurve(ec) if ec.curve == EllipticCurve::P256 => {
            Algorithm::ES256
        }
        _ => return None,
    };
    let fits = match jwk.common.key_algorithm {
        None => true,
        Some(KeyAlgorithm::RS256) => algorithm == Algorithm::RS256,
        Some(KeyAlgorithm::ES256) => algorithm == Algorithm::ES256,
        Some(_) => false,
    };
    let signs = !matches!(jwk.common.public_key_use, Some(PublicKeyUse::Encryption));
    let key = DecodingKey::from_jwk(jwk).ok()?;
    (fits && signs).then(|| NamedKey {
        kid: jwk.common.key_id.clone(),
        algorithm,
        key,
    })
}
