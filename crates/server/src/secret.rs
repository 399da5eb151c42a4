//! A text that must not be shown: it prints as stars, wherever it ends up.

use std::fmt;

use subtle::ConstantTimeEq;

/// A key, a token or a signing secret. `Debug` and `Display` never show it; [`Secret::expose`] is the one way to read it,
/// so that every use can be found.
#[derive(Clone)]
pub struct Secret(Box<str>);

impl Secret {
    /// Wraps a text. Spaces around it are not part of it.
    pub fn new(text: &str) -> Self {
        Self(text.trim().into())
    }

    /// The text itself.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Whether another text is the same, in a time that does not depend on where they differ.
    pub fn matches(&self, other: &str) -> bool {
        self.0.as_bytes().ct_eq(other.as_bytes()).into()
    }

    /// Enough to recognise an API key by, and no more: its kind and its last four characters, `sk_test_…ab12`. A text
    /// too short to hide anything in is stars only.
    pub fn hint(&self) -> String {
        let text = &*self.0;
        let kind = ["sk_test_", "sk_live_", "rk_test_", "rk_live_"]
            .into_iter()
            .find(|kind| text.starts_with(kind));
        match kind {
            Some(kind) if text.is_ascii() && text.len() >= kind.len() + 16 => {
                format!("{kind}…{}", &text[text.len() - 4..])
            }
            Some(kind) => format!("{kind}…"),
            None => "********".to_owned(),
        }
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("********")
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("********")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_never_prints() {
        let secret = Secret::new(" sk_test_abcdefghijklmnopqrstuvwx ");
        assert_eq!(format!("{secret} {secret:?}"), "******** ********");
        assert_eq!(secret.hint(), "sk_test_…uvwx");
        assert_eq!(Secret::new("sk_live_short").hint(), "sk_live_…");
        assert_eq!(
            Secret::new("whsec_abcdefghijklmnopqrstuvwx").hint(),
            "********"
        );
    }

    #[test]
    fn a_secret_matches_only_itself() {
        let secret = Secret::new("open sesame");
        assert!(secret.matches("open sesame"));
        assert!(!secret.matches("open sesamf"));
        assert!(!secret.matches("open sesame "));
        assert!(!secret.matches(""));
    }
}
