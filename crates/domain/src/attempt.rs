//! Attempts: how often a user may be wrong about codes. They are counted on disk, so that a restart forgets nothing.

use crate::id::UserId;
use crate::refusal::Refusal;
use crate::state::{State, Wanted};
use crate::time::Time;

/// So many wrong codes within the window, and the user has to wait for its end.
pub const FAILURES_MAX: i64 = 10;

/// The window begins with the first wrong code.
pub const WINDOW_SECONDS: i64 = 3_600;

fn mark(user: &UserId) -> String {
    format!("wrong_codes/{user}")
}

pub(crate) fn needs(wanted: &mut Wanted<'_>, user: &UserId) {
    wanted.mark(&mark(user));
}

/// How many there were in the window, and when it began.
fn read(state: &State, now: Time, user: &UserId) -> (i64, i64) {
    let found = state.marks.get(&mark(user));
    let parsed = found.and_then(|text| {
        let (count, began) = text.split_once(' ')?;
        Some((count.parse().ok()?, began.parse().ok()?))
    });
    match parsed {
        Some((count, began)) if now.seconds() < began + WINDOW_SECONDS => (count, began),
        _ => (0, now.seconds()),
    }
}

/// Whether the user may try another code.
pub(crate) fn check(state: &State, now: Time, user: &UserId) -> Result<(), Refusal> {
    let (count, began) = read(state, now, user);
    if count < FAILURES_MAX {
        return Ok(());
    }
    let seconds = began + WINDOW_SECONDS - now.seconds();
    Err(Refusal::TooManyAttempts { seconds })
}

/// Counts a wrong code. The one thing that is written although a command is refused.
pub(crate) fn failed(state: &mut State, now: Time, user: &UserId) {
    let (count, began) = read(state, now, user);
    state
        .marks
        .put(mark(user), format!("{} {began}", count.saturating_add(1)));
}
