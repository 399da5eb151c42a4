//! Masks what must not be shown in a text that Stripe wrote.
//!
//! Stripe's messages quote what was sent. So a key or a client secret can come back in one, and from
//! there reach a log or a customer.

use std::borrow::Cow;

/// What a key or a signing secret begins with.
const PREFIXES: [&str; 3] = ["sk_", "rk_", "whsec_"];
/// What it begins with where something stands directly in front of it, as in `%3Dsk_live_…`. The
/// shorter ones would also fit `risk_level`.
const CERTAIN: [&str; 5] = ["sk_live_", "sk_test_", "rk_live_", "rk_test_", "whsec_"];
/// What stands between the id of an object and the secret part of its client secret.
const CLIENT_SECRET: &str = "_secret_";
const MASK: &str = "***";

/// The text with `***` for every secret key, signing secret and client secret in it.
pub(crate) fn redacted(text: &str) -> Cow<'_, str> {
    let mut shown = String::new();
    let mut rest = text;
    let mut in_word = false;
    while let Some((before, secret, after)) = next_secret(rest, in_word) {
        shown.push_str(before);
        shown.push_str(secret);
        shown.push_str(MASK);
        rest = after;
        in_word = true;
    }
    if shown.is_empty() {
        return Cow::Borrowed(text);
    }
    shown.push_str(rest);
    Cow::Owned(shown)
}

/// The first secret: what is in front of it, the part of it that may be shown, what is behind it.
fn next_secret(text: &str, mut in_word: bool) -> Option<(&str, &str, &str)> {
    for (at, first) in text.char_indices() {
        let here = &text[at..];
        let prefixes: &[&str] = if in_word { &CERTAIN } else { &PREFIXES };
        let key = prefixes.iter().find(|prefix| here.starts_with(**prefix));
        let open = match key {
            // Of sk_live_ only the sk_ is shown: the same for every spelling.
            Some(_) => here.find('_').map(|underscore| underscore + 1),
            None => here
                .starts_with(CLIENT_SECRET)
                .then_some(CLIENT_SECRET.len()),
        };
        if let Some(open) = open {
            let hidden = &here[open..];
            let length = hidden
                .find(|c: char| !is_secret_char(c))
                .unwrap_or(hidden.len());
            if length > 0 {
                let (shown, behind) = (&here[..open], &hidden[length..]);
                return Some((&text[..at], shown, behind));
            }
        }
        in_word = first.is_ascii_alphanumeric() || first == '_';
    }
    None
}

/// Stripe itself puts stars into a key that it quotes, and leaves the last four characters.
fn is_secret_char(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '_' | '*')
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_is_secret_is_masked_wherever_it_stands() {
        for (text, shown) in [
            ("", ""),
            ("Your card was declined.", "Your card was declined."),
            (
                "Invalid API Key provided: sk_test_****1234",
                "Invalid API Key provided: sk_***",
            ),
            ("(rk_live_51Ab), 'sk_live_2'.", "(rk_***), 'sk_***'."),
            ("whsec_abc", "whsec_***"),
            ("sk_org_abc", "sk_***"),
            ("q=%3Dsk_live_51Ab&", "q=%3Dsk_***&"),
            (
                "No such intent: 'pi_1_secret_AbC'; try",
                "No such intent: 'pi_1_secret_***'; try",
            ),
            (
                "seti_1_secret_a cs_test_1_secret_b",
                "seti_1_secret_*** cs_test_1_secret_***",
            ),
            ("ü sk_live_é", "ü sk_***é"),
        ] {
            assert_eq!(redacted(text), shown, "{text}");
        }
    }

    #[test]
    fn words_that_only_look_alike_stay() {
        for text in [
            "risk_level",
            "task_id ask_me",
            "sk_ alone",
            "pk_test_1",
            "client_secret",
            "secret_key_required",
            "pi_1_secret_",
            "resource_missing",
            "cs_test_1",
        ] {
            assert!(matches!(redacted(text), Cow::Borrowed(_)), "{text}");
        }
    }

    proptest! {
        #[test]
        fn no_secret_survives_and_nothing_else_is_lost(
            before in "[ .:'(]{0,4}",
            start in prop::sample::select(vec![
                "sk_live_", "sk_test_", "rk_live_", "rk_test_", "sk_", "rk_", "whsec_", "pi_1_secret_",
            ]),
            secret in "[A-Z0-9]{4,30}",
            after in "[ .:')é]{0,4}",
        ) {
            let text = format!("{before}{start}{secret}{after}");
            let shown = redacted(&text).into_owned();
            prop_assert!(!shown.contains(&secret), "{}", shown);
            let end = format!("***{after}");
            prop_assert!(shown.starts_with(&before) && shown.ends_with(&end), "{}", shown);
            prop_assert_eq!(redacted(&shown).into_owned(), shown);
        }

        #[test]
        fn any_text_can_be_read(text in ".*") {
            let once = redacted(&text).into_owned();
            prop_assert_eq!(redacted(&once).into_owned(), once);
        }
    }
}
