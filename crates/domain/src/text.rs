//! Texts that callers bring and that are kept: how long they may be, and of which characters. The same by every door, since what
//! comes in by one is read at the others.

use crate::card_number;

/// The longest note, in characters.
pub const NOTE_MAX: usize = 500;

/// The longest reference, in characters.
pub const REFERENCE_MAX: usize = 200;

/// The largest `meta`, in bytes of JSON.
pub const META_MAX: usize = 4096;

/// The longest name of an API key, a label, an action or a service, in characters.
pub const NAME_MAX: usize = 100;

/// Most labels of one charge.
pub const LABELS_MAX: usize = 8;

/// The longest idempotency key, in characters.
pub const KEY_MAX: usize = 255;

/// What is wrong with a text. The message goes on where the name of its field ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Flaw {
    /// It is longer than that, in characters.
    #[error("must have at most {0} characters")]
    TooLong(usize),
    /// It has control characters other than tabs and ends of lines.
    #[error("must not contain control characters")]
    ControlCharacters,
    /// It is no name.
    #[error("must have 1 to {NAME_MAX} visible ASCII characters and no blanks")]
    NoName,
    /// It is no idempotency key.
    #[error("must have 1 to {KEY_MAX} visible ASCII characters")]
    NoKey,
    /// It holds a card number.
    #[error("holds a card number, which must not be kept here: leave it out")]
    CardNumber,
}

/// A text for people, of at most `most` characters.
pub fn check(text: &str, most: usize) -> Result<(), Flaw> {
    if text.chars().count() > most {
        return Err(Flaw::TooLong(most));
    }
    let is_plain = |c: char| !c.is_control() || c == '\n' || c == '\t';
    if text.chars().all(is_plain) {
        Ok(())
    } else {
        Err(Flaw::ControlCharacters)
    }
}

/// A text that nobody may hide a card number in.
pub fn check_no_card(text: &str) -> Result<(), Flaw> {
    if card_number::is_in(text) {
        return Err(Flaw::CardNumber);
    }
    Ok(())
}

/// A name that ends up in words for programs, which blanks separate.
pub fn check_name(text: &str) -> Result<(), Flaw> {
    if !is_visible(text, NAME_MAX) {
        return Err(Flaw::NoName);
    }
    check_no_card(text)
}

/// An idempotency key.
pub fn check_key(text: &str) -> Result<(), Flaw> {
    if is_visible(text, KEY_MAX) {
        Ok(())
    } else {
        Err(Flaw::NoKey)
    }
}

fn is_visible(text: &str, most: usize) -> bool {
    (1..=most).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_has_so_many_characters_and_no_control_characters() {
        assert_eq!(check("ümläut\t\n", 8), Ok(()));
        assert_eq!(check("ümläut", 5), Err(Flaw::TooLong(5)));
        for bad in ["\0", "a\r", "\u{7f}", "\u{85}"] {
            assert_eq!(check(bad, 5), Err(Flaw::ControlCharacters), "{bad:?}");
        }
    }

    #[test]
    fn names_have_no_blanks_and_no_card_number_and_keys_no_surprises() {
        for bad in ["", "a b", "a\n", "ü", &"x".repeat(KEY_MAX + 1)] {
            assert_eq!(check_name(bad), Err(Flaw::NoName), "{bad:?}");
            assert_eq!(check_key(bad), Err(Flaw::NoKey), "{bad:?}");
        }
        assert_eq!(check_name("4242424242424242"), Err(Flaw::CardNumber));
        assert_eq!(check_name("picture:large"), Ok(()));
        assert_eq!(check_key(&"x".repeat(KEY_MAX)), Ok(()));
    }
}
