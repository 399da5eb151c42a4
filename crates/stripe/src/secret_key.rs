//! The secret key a client signs in with.

use std::fmt;

/// Whether real money moves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Test mode or a sandbox.
    Test,
    /// Real money.
    Live,
}

/// A secret or restricted key of Stripe's. It is never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct SecretKey {
    text: String,
    mode: Mode,
    restricted: bool,
}

/// What each kind of key begins with.
const PREFIXES: [(&str, Mode, bool); 4] = [
    ("sk_test_", Mode::Test, false),
    ("sk_live_", Mode::Live, false),
    ("rk_test_", Mode::Test, true),
    ("rk_live_", Mode::Live, true),
];
/// Longer than any key of Stripe's.
const LONGEST: usize = 512;

impl SecretKey {
    /// Takes a key as Stripe shows it, and refuses what can only be a mistake.
    pub fn new(text: &str) -> Result<Self, KeyError> {
        if text.trim().is_empty() {
            return Err(KeyError::Empty);
        }
        if text.trim() != text {
            return Err(KeyError::Blank);
        }
        if text.starts_with("pk_") {
            return Err(KeyError::Publishable);
        }
        let known = PREFIXES
            .iter()
            .find(|(prefix, ..)| text.starts_with(prefix));
        let (prefix, mode, restricted) = *known.ok_or(KeyError::Prefix)?;
        let random = &text[prefix.len()..];
        let plain = random
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        if !plain || text.len() > LONGEST {
            return Err(KeyError::Characters);
        }
        let lower = random.to_ascii_lowercase();
        let gap = lower.bytes().all(|byte| byte == b'x') || lower.contains("your_");
        if gap || lower.contains("changeme") {
            return Err(KeyError::Placeholder);
        }
        Ok(Self {
            text: text.to_owned(),
            mode,
            restricted,
        })
    }

    /// Whether it moves real money.
    pub fn mode(&self) -> Mode {
        self.mode
    }

    /// Whether it is restricted to some operations (`rk_…`).
    pub fn restricted(&self) -> bool {
        self.restricted
    }

    /// The kind of key, which is all of it that may be shown: `sk_test_***`.
    pub fn masked(&self) -> String {
        format!("{}***", &self.text[.."sk_test_".len()])
    }

    pub(crate) fn expose(&self) -> &str {
        &self.text
    }
}

impl fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SecretKey({})", self.masked())
    }
}

/// Why a key was refused. None of these carries the key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// Nothing, or blanks only.
    #[error("the Stripe secret key is empty: {KEY_ADVICE}")]
    Empty,
    /// Blanks or a line end around it.
    #[error("the Stripe secret key has blanks or a line end around it: remove them")]
    Blank,
    /// The publishable key, which is meant for browsers.
    #[error(
        "this is Stripe's publishable key (pk_...), which cannot create payments: {KEY_ADVICE}"
    )]
    Publishable,
    /// Something else.
    #[error(
        "the Stripe secret key begins with none of sk_test_, sk_live_, rk_test_, rk_live_: {KEY_ADVICE}"
    )]
    Prefix,
    /// Characters that no key has, or far too many of them.
    #[error("the Stripe secret key holds characters that no key has: {KEY_ADVICE}")]
    Characters,
    /// The gap of a template.
    #[error("the Stripe secret key is a placeholder: {KEY_ADVICE}")]
    Placeholder,
}

const KEY_ADVICE: &str = "set the secret key from Stripe's dashboard, Developers, API keys";

impl KeyError {
    /// A stable code for programs.
    pub fn code(self) -> &'static str {
        match self {
            Self::Empty => "stripe_key_empty",
            Self::Blank => "stripe_key_blank",
            Self::Publishable => "stripe_key_publishable",
            Self::Prefix => "stripe_key_prefix",
            Self::Characters => "stripe_key_characters",
            Self::Placeholder => "stripe_key_placeholder",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_tells_its_mode() {
        for (text, mode, restricted) in [
            ("sk_test_123", Mode::Test, false),
            ("sk_live_51AbCdEf", Mode::Live, false),
            ("rk_test_51AbCdEf", Mode::Test, true),
            ("rk_live_51AbCdEf", Mode::Live, true),
        ] {
            let key = SecretKey::new(text).unwrap();
            assert_eq!((key.mode(), key.restricted()), (mode, restricted), "{text}");
            assert!(!format!("{key:?}").contains(&text[8..]), "{key:?}");
            assert_eq!(key.masked(), format!("{}***", &text[..8]));
        }
    }

    #[test]
    fn keys_that_can_only_be_mistakes() {
        for (text, error) in [
            ("", KeyError::Empty),
            (" ", KeyError::Empty),
            ("sk_test_123\n", KeyError::Blank),
            ("pk_test_123", KeyError::Publishable),
            ("whsec_123", KeyError::Prefix),
            ("sk_123", KeyError::Prefix),
            ("sk_test_", KeyError::Placeholder),
            ("sk_test_xxxxxxxx", KeyError::Placeholder),
            ("sk_live_your_key", KeyError::Placeholder),
            ("sk_test_...", KeyError::Characters),
            ("sk_test_1 2", KeyError::Characters),
            ("sk_test_é", KeyError::Characters),
        ] {
            assert_eq!(SecretKey::new(text).unwrap_err(), error, "{text}");
        }
    }
}
