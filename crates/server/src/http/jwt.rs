//! Tokens of the operator's own issuer.
//!
//! The configured key fixes the algorithm; what the token's header says only has to agree. Times are compared with the
//! clock of the program, so that a test can set it.

use std::collections::HashSet;

use bursar_domain::id::UserId;
use jsonwebtoken::{Algorithm, DecodingKey, Header, Validation};
use serde::Deserialize;
use serde_json::Value;

use crate::config::{JwtConfig, JwtKey};

/// How far the clocks of issuer and server may differ, in seconds.
pub const LEEWAY_SECONDS: i64 = 60;

/// What a token says, once verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified {
    /// Whose it is.
    pub user: UserId,
    /// Until when it may be used, in seconds since 1970, the leeway included.
    pub until: i64,
    /// The e-mail address in the claim `email`, unless `email_verified` says that nobody has looked.
    pub email: Option<String>,
}

#[derive(Deserialize)]
struct Claims {
    sub: Option<Value>,
    exp: Option<Value>,
    nbf: Option<Value>,
    iss: Option<Value>,
    aud: Option<Value>,
    email: Option<Value>,
    email_verified: Option<Value>,
}

/// Verifies a token. The reason of a refusal is for the operator of the issuer; it repeats nothing of the token.
pub fn verify(config: &JwtConfig, token: &str, now_seconds: i64) -> Result<Verified, &'static str> {
    let header = jsonwebtoken::decode_header(token).map_err(|_| "the token is malformed")?;
    let (algorithm, key) = choose(&config.key, &header)?;
    if header.alg != algorithm {
        return Err("the token is signed with another algorithm than the configured key");
    }
    if header.crit.is_some() {
        return Err("the token asks for extensions that are not known here");
    }
    let mut signature_only = Validation::new(algorithm);
    signature_only.required_spec_claims = HashSet::new();
    signature_only.validate_exp = false;
    signature_only.validate_aud = false;
    let claims = jsonwebtoken::decode::<Claims>(token, &key, &signature_only)
        .map_err(|_| "the token's signature is not valid")?
        .claims;
    check(config, &claims, now_seconds)
}

fn choose(key: &JwtKey, header: &Header) -> Result<(Algorithm, DecodingKey), &'static str> {
    match key {
        JwtKey::Secret(secret) => Ok((
            Algorithm::HS256,
            DecodingKey::from_secret(secret.expose().as_bytes()),
        )),
        JwtKey::Public(algorithm, key) => Ok((*algorithm, key.clone())),
        JwtKey::Set(keys) => {
            let named = match &header.kid {
                Some(kid) => keys.iter().find(|key| key.kid.as_ref() == Some(kid)),
                None if keys.len() == 1 => keys.first(),
                None => None,
            };
            let named = named.ok_or("the token's key (kid) is not in the configured set")?;
            Ok((named.algorithm, named.key.clone()))
        }
    }
}

fn check(config: &JwtConfig, claims: &Claims, now: i64) -> Result<Verified, &'static str> {
    let expires = claims.exp.as_ref().ok_or("the token has no exp")?;
    let expires = expires
        .as_i64()
        .ok_or("the token's exp is not a whole number of seconds")?;
    let until = expires.saturating_add(LEEWAY_SECONDS);
    if now >= until {
        return Err("the token has expired");
    }
    if let Some(begins) = &claims.nbf {
        let begins = begins
            .as_i64()
            .ok_or("the token's nbf is not a whole number of seconds")?;
        if now < begins.saturating_sub(LEEWAY_SECONDS) {
            return Err("the token is not valid yet");
        }
    }
    if let Some(issuer) = &config.issuer
        && claims.iss.as_ref().and_then(Value::as_str) != Some(issuer)
    {
        return Err("the token's iss is not the configured issuer");
    }
    if let Some(audience) = &config.audience
        && !names(claims.aud.as_ref(), audience)
    {
        return Err("the token's aud is not the configured audience");
    }
    let subject = claims
        .sub
        .as_ref()
        .and_then(Value::as_str)
        .ok_or("the token has no sub")?;
    let user = UserId::parse(subject).ok_or(
        "the token's sub is no user id: 1 to 128 characters out of A-Z a-z 0-9 . _ : @ | + = / -",
    )?;
    let is_verified = claims.email_verified.as_ref() != Some(&Value::Bool(false));
    let email = claims.email.as_ref().and_then(Value::as_str);
    let email = email.filter(|_| is_verified).map(str::to_owned);
    Ok(Verified { user, until, email })
}

/// `aud` is a text or a list of texts.
fn names(claim: Option<&Value>, audience: &str) -> bool {
    match claim {
        Some(Value::String(one)) => one == audience,
        Some(Value::Array(many)) => many.iter().any(|one| one.as_str() == Some(audience)),
        _ => false,
    }
}

/// A token of our own, for the demo user of `bursar dev`.
pub fn mint(
    secret: &str,
    user: &str,
    expires_seconds: i64,
) -> Result<String, jsonwebtoken::errors::Error> {
    let claims = serde_json::json!({ "sub": user, "exp": expires_seconds });
    let key = jsonwebtoken::EncodingKey::from_secret(secret.as_bytes());
    jsonwebtoken::encode(&Header::new(Algorithm::HS256), &claims, &key)
}

#[cfg(test)]
mod tests {
    use jsonwebtoken::EncodingKey;
    use serde_json::json;

    use super::*;
    use crate::secret::Secret;

    const SECRET: &str = "0123456789abcdef0123456789abcdef";
    const NOW: i64 = 1_800_000_000;

    fn config() -> JwtConfig {
        JwtConfig {
            key: JwtKey::Secret(Secret::new(SECRET)),
            issuer: Some("https://issuer.test".to_owned()),
            audience: Some("billing".to_owned()),
        }
    }

    fn good() -> Value {
        json!({"sub": "u1", "exp": NOW + 60, "iss": "https://issuer.test", "aud": ["billing", "other"]})
    }

    fn sign(algorithm: Algorithm, claims: &Value, secret: &str) -> String {
        jsonwebtoken::encode(
            &Header::new(algorithm),
            claims,
            &EncodingKey::from_secret(secret.as_bytes()),
        )
        .unwrap()
    }

    #[test]
    fn a_good_token_names_its_user() {
        let token = sign(Algorithm::HS256, &good(), SECRET);
        let verified = verify(&config(), &token, NOW).unwrap();
        assert_eq!((verified.user.as_str(), verified.until), ("u1", NOW + 120));
    }

    #[test]
    fn every_single_change_of_a_claim_is_refused() {
        for (claim, value) in [
            ("exp", json!(NOW - 60)),
            ("exp", json!(null)),
            ("exp", json!("9999999999")),
            ("exp", json!(1e300)),
            ("nbf", json!(NOW + 61)),
            ("iss", json!("https://other.test")),
            ("iss", json!(null)),
            ("aud", json!("other")),
            ("aud", json!([])),
            ("sub", json!(null)),
            ("sub", json!("")),
            ("sub", json!("a b")),
            ("sub", json!(5)),
        ] {
            let mut claims = good();
            claims[claim] = value.clone();
            let token = sign(Algorithm::HS256, &claims, SECRET);
            assert!(verify(&config(), &token, NOW).is_err(), "{claim} = {value}");
        }
        let mut without = good();
        without.as_object_mut().unwrap().remove("exp");
        assert_eq!(
            verify(&config(), &sign(Algorithm::HS256, &without, SECRET), NOW),
            Err("the token has no exp")
        );
    }

    #[test]
    fn the_clocks_may_differ_by_the_leeway() {
        let mut claims = good();
        claims["exp"] = json!(NOW - 59);
        claims["nbf"] = json!(NOW + 60);
        assert!(verify(&config(), &sign(Algorithm::HS256, &claims, SECRET), NOW).is_ok());
    }

    #[test]
    fn other_keys_and_algorithms_are_refused() {
        let wrong_key = sign(
            Algorithm::HS256,
            &good(),
            "another secret of enough length!",
        );
        let wrong_algorithm = sign(Algorithm::HS512, &good(), SECRET);
        let good = sign(Algorithm::HS256, &good(), SECRET);
        let body = good.split('.').nth(1).unwrap();
        let unsigned = format!("eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0.{body}.");
        let cut = good.rsplit_once('.').unwrap().0;
        for token in [
            wrong_key.as_str(),
            &wrong_algorithm,
            &unsigned,
            &format!("{cut}."),
            cut,
            "",
            "a.b.c",
            "..",
        ] {
            assert!(verify(&config(), token, NOW).is_err(), "{token}");
        }
    }

    #[test]
    fn a_public_key_is_no_secret_to_sign_with() {
        let pem = include_str!("../../tests/keys/es256.public.pem");
        let key = DecodingKey::from_ec_pem(pem.as_bytes()).unwrap();
        let config = JwtConfig {
            key: JwtKey::Public(Algorithm::ES256, key),
            issuer: None,
            audience: None,
        };
        let private = include_bytes!("../../tests/keys/es256.private.pem");
        let signed = jsonwebtoken::encode(
            &Header::new(Algorithm::ES256),
            &good(),
            &EncodingKey::from_ec_pem(private).unwrap(),
        );
        assert!(verify(&config, &signed.unwrap(), NOW).is_ok());
        assert!(verify(&config, &sign(Algorithm::HS256, &good(), pem), NOW).is_err());
    }
}
