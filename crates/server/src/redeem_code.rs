//! The secrets of redeem codes: made here, shown once, stored as a digest.

use bursar_domain::code::{LENGTH, normalized};
use bursar_engine::EngineError;
use bursar_store::StoreError;

use crate::api_key::digest;

/// Letters and digits that are not taken for one another: five bits each.
const ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";

/// A new code of 120 random bits, in groups of four characters.
pub(crate) fn fresh() -> Result<String, EngineError> {
    let mut bytes = [0; LENGTH];
    getrandom::fill(&mut bytes).map_err(|error| {
        StoreError::Unusable(format!("the system gives no randomness: {error}"))
    })?;
    let mut code = String::with_capacity(LENGTH + LENGTH / 4);
    for (place, byte) in bytes.iter().enumerate() {
        if place > 0 && place % 4 == 0 {
            code.push('-');
        }
        code.push(char::from(ALPHABET[usize::from(byte & 31)]));
    }
    Ok(code)
}

/// The digest under which an entered code is looked up. What has not the form of a code has one that no code has.
pub(crate) fn digest_of(entered: &str) -> String {
    digest(&normalized(entered).unwrap_or_else(|| format!("no code: {entered}")))
}

/// What is shown of a code later: the first four and the last two characters.
pub(crate) fn hint(code: &str) -> String {
    let tail = code.len().saturating_sub(2);
    format!("{}…{}", &code[..4.min(code.len())], &code[tail..])
}

#[cfg(test)]
mod tests {
    use super::{digest_of, fresh, hint};

    #[test]
    fn a_fresh_code_is_found_as_it_was_shown() {
        let (one, other) = (fresh().unwrap(), fresh().unwrap());
        assert_eq!(one.len(), 29);
        assert_ne!(one, other);
        assert_eq!(
            digest_of(&one),
            digest_of(&one.to_lowercase().replace('-', " "))
        );
        assert_ne!(digest_of(&one), digest_of(&other));
        assert_ne!(digest_of("x"), digest_of("y"));
        assert_eq!(hint("ABCD-EFGH-0123-4567-89JK-MNPQ"), "ABCD…PQ");
    }
}
