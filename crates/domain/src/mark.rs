//! Marks: single values that are remembered under a name, one row each.

use std::fmt::{self, Write as _};

use crate::state::State;

/// The key that stamps what Stripe carries for us; 64 hexadecimal digits.
pub const STAMP_KEY: &str = "stamp_key";
/// The time of the newest event that was asked for, in seconds since 1970.
pub const EVENTS_CURSOR: &str = "events_cursor";
/// Why and since when the service is in recovery mode; empty if it is not ([`crate::recovery`]).
pub const RECOVERY: &str = "recovery";
/// The highest number of a payment that Stripe has shown us.
pub const PAYMENTS_SEEN: &str = "payments_seen";

/// Whose turn it is to do what one node does for all ([`crate::turn`]).
pub const TURN: &str = "turn";

/// A secret key of this database's own. Never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct StampKey([u8; 32]);

impl StampKey {
    /// A key out of random bytes.
    pub const fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The bytes, for the one place that computes with them.
    pub const fn expose(&self) -> &[u8; 32] {
        &self.0
    }

    /// As kept in the database.
    pub fn written(&self) -> String {
        self.0.iter().fold(String::new(), |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        })
    }

    /// The key as kept in the database.
    pub fn parse(text: &str) -> Option<Self> {
        let mut bytes = [0; 32];
        if text.len() != 64 || !text.is_ascii() {
            return None;
        }
        for (place, byte) in bytes.iter_mut().enumerate() {
            *byte = u8::from_str_radix(text.get(2 * place..2 * place + 2)?, 16).ok()?;
        }
        Some(Self(bytes))
    }
}

impl fmt::Debug for StampKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// Something to be remembered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Keep {
    /// The key for stamps. The first one stays for ever.
    StampKey(StampKey),
    /// Up to when events have been asked for, in seconds since 1970. Does not go back.
    EventsCursor(i64),
}

impl Keep {
    pub(crate) fn name(&self) -> String {
        let name = match self {
            Self::StampKey(_) => STAMP_KEY,
            Self::EventsCursor(_) => EVENTS_CURSOR,
        };
        name.to_owned()
    }
}

/// Remembers it, unless what is remembered already has to stay.
pub(crate) fn keep(state: &mut State, keep: &Keep) {
    let name = keep.name();
    let known = state.marks.get(&name);
    let value = match keep {
        Keep::StampKey(_) if known.is_some() => return,
        Keep::StampKey(key) => key.written(),
        Keep::EventsCursor(at) => {
            let before = known.and_then(|text| text.parse::<i64>().ok());
            if before.is_some_and(|before| before >= *at) {
                return;
            }
            at.to_string()
        }
    };
    state.marks.put(name, value);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_kept_once_and_never_shown() {
        let mut state = State::default();
        state.marks.load(STAMP_KEY.to_owned(), None);
        let (first, second) = (StampKey::new([7; 32]), StampKey::new([8; 32]));
        keep(&mut state, &Keep::StampKey(first.clone()));
        keep(&mut state, &Keep::StampKey(second));
        let kept = state.marks.get(&STAMP_KEY.to_owned()).unwrap();
        assert_eq!(StampKey::parse(kept), Some(first.clone()));
        assert!(!format!("{:?}", Keep::StampKey(first)).contains("07"));
        for text in ["", "07", &"0".repeat(63), &"g".repeat(64), &"é".repeat(32)] {
            assert_eq!(StampKey::parse(text), None, "{text}");
        }
    }

    #[test]
    fn the_cursor_does_not_go_back() {
        let mut state = State::default();
        state.marks.load(EVENTS_CURSOR.to_owned(), None);
        for (at, expected) in [(100, "100"), (90, "100"), (101, "101")] {
            keep(&mut state, &Keep::EventsCursor(at));
            let kept = state.marks.get(&EVENTS_CURSOR.to_owned());
            assert_eq!(kept.map(String::as_str), Some(expected));
        }
    }
}
