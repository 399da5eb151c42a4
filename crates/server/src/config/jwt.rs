//! Keys that verify the tokens of the operator's own issuer.

use std::fmt;
use std::fs;

use jsonwebtoken::jwk::{Jwk, JwkSet, KeyAlgorithm};
use jsonwebtoken::{Algorithm, DecodingKey, DecodingKeyKind};

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
    let (algorithm, key) = if let Ok(key) = DecodingKey::from_rsa_pem(&pem) {
        (Algorithm::RS256, key)
    } else if let Ok(key) = DecodingKey::from_ec_pem(&pem) {
        (Algorithm::ES256, key)
    } else {
        return Err("names a file that is no public key in PEM form, RSA or P-256".to_owned());
    };
    if !is_fit(algorithm, &key) {
        return Err(
            "names a key that cannot be used: RSA of 2048 bits or more, or the curve P-256"
                .to_owned(),
        );
    }
    Ok(JwtKey::Public(algorithm, key))
}

pub(super) fn jwks_file(path: &str) -> Result<JwtKey, String> {
    let text =
        fs::read(path).map_err(|error| format!("names a file that cannot be read: {error}"))?;
    let set: JwkSet = serde_json::from_slice(&text)
        .map_err(|error| format!("names a file that is no JSON Web Key Set: {error}"))?;
    let keys: Vec<NamedKey> = set.keys.iter().filter_map(named_key).collect();
    if keys.is_empty() {
        return Err(
            "names a set without a key for RS256 (2048 bits or more) or ES256 (curve P-256)"
                .to_owned(),
        );
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
    (fits && signs && is_fit(algorithm, &key)).then(|| NamedKey {
        kid: jwk.common.key_id.clone(),
        algorithm,
        key,
    })
}

/// Whether the algorithm may and can be used with the key. RFC 7518, section 3.3, asks for 2048 bits or more; the library
/// takes shorter keys, and takes points of every curve until a token has to be verified, which would then always fail.
fn is_fit(algorithm: Algorithm, key: &DecodingKey) -> bool {
    match algorithm {
        Algorithm::RS256 => modulus(key).is_some_and(|modulus| bits(modulus) >= 2048),
        _ => jsonwebtoken::crypto::verify("", b"", key, algorithm).is_ok(),
    }
}

fn modulus(key: &DecodingKey) -> Option<&[u8]> {
    match key.kind() {
        DecodingKeyKind::RsaModulusExponent { n, .. } => Some(n),
        DecodingKeyKind::SecretOrDer(der) => der_content(der_content(der, 0x30)?, 0x02),
    }
}

/// What the first DER element holds, if it has this tag: RFC 8017, A.1.1 puts the modulus first in the sequence.
fn der_content(der: &[u8], tag: u8) -> Option<&[u8]> {
    let (&first, rest) = der.split_first()?;
    let (&short, rest) = rest.split_first()?;
    let (length, rest) = if short < 0x80 {
        (usize::from(short), rest)
    } else {
        let (long, rest) = rest.split_at_checked(usize::from(short & 0x7f))?;
        let length = long.iter().try_fold(0_usize, |length, byte| {
            length.checked_mul(256)?.checked_add(usize::from(*byte))
        })?;
        (length, rest)
    };
    (first == tag).then(|| rest.get(..length)).flatten()
}

/// The size of a big-endian number.
fn bits(number: &[u8]) -> usize {
    let start = number.iter().take_while(|byte| **byte == 0).count();
    let Some(first) = number.get(start) else {
        return 0;
    };
    (number.len() - start) * 8 - first.leading_zeros() as usize
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use serde_json::json;

    use super::*;

    fn key_file(name: &str) -> String {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/keys");
        folder.join(name).display().to_string()
    }

    fn set(keys: &serde_json::Value) -> Result<JwtKey, String> {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), json!({ "keys": keys }).to_string()).unwrap();
        jwks_file(&file.path().display().to_string())
    }

    #[test]
    fn each_kind_of_public_key_is_taken() {
        for (name, algorithm) in [
            ("rs256.public.pem", Algorithm::RS256),
            ("es256.public.pem", Algorithm::ES256),
        ] {
            let key = pem_file(&key_file(name)).unwrap();
            assert!(matches!(key, JwtKey::Public(of, _) if of == algorithm));
        }
    }

    #[test]
    fn a_key_no_token_could_be_verified_with_and_a_short_one_are_refused_at_the_start() {
        for name in ["es384.public.pem", "rs1024.public.pem"] {
            let refusal = pem_file(&key_file(name)).unwrap_err();
            assert!(refusal.contains("2048 bits or more"), "{name}: {refusal}");
        }
    }

    #[test]
    fn a_set_is_used_without_its_unfit_keys() {
        // Base64 of nothing but ones: six bits a digit, of which the last digit carries the first two.
        let rsa = |kid: &str, digits: usize| {
            let n = format!("{}w", "_".repeat(digits - 1));
            json!({"kty": "RSA", "kid": kid, "n": n, "e": "AQAB"})
        };
        let unknown = json!({"kty": "AKP", "kid": "new", "alg": "ML-DSA-44", "pub": "AA"});
        let off_curve = json!({"kty": "EC", "crv": "P-256", "kid": "off", "x": "AQ", "y": "AQ"});
        let short = rsa("short", 171);
        let JwtKey::Set(keys) = set(&json!([unknown, off_curve, short, rsa("long", 342)])).unwrap()
        else {
            panic!("a set was read as something else");
        };
        let names: Vec<_> = keys.iter().filter_map(|key| key.kid.as_deref()).collect();
        assert_eq!(names, ["long"]);
        assert!(set(&json!([short, off_curve])).is_err());
    }
}
