//! Finds the automatic top-ups that are due: by what was announced, within a second; and by a slow walk over all that are on, which
//! finds what nothing announced, such as a grant that has expired, or another attempt after a pause.
//!
//! Which of them are due, the rules decide. To ask twice does nothing.

use std::time::Duration;

use bursar_domain::announcement::Happening;
use bursar_domain::auto_topup::AutoTopups;
use bursar_domain::command::Command;
use bursar_domain::id::UserId;
use tokio::sync::watch;

use crate::outside::Books;
use crate::{Engine, EngineError};

/// How often announcements are looked at.
const PAUSE: Duration = Duration::from_secs(1);

/// How long the walk rests when it has come to the end, in looks at the announcements.
const REST_LOOKS: u32 = 60;

/// Most announcements in one look.
const LOOK_MAX: usize = 1_000;

/// Most users in one command, so that others get their turn in between.
const USERS_MAX: usize = 128;

/// Looking at so many announcements of other kinds is remembered, too, so that they need not be looked at again after a start.
const UNMARKED_MAX: i64 = 10_000;

/// How far the worker has come.
#[derive(Debug)]
pub struct Place {
    /// The last announcement that was looked at.
    read_to: i64,
    /// What of that is written down.
    marked: i64,
    /// The last user of the walk.
    walked_to: String,
    rest: u32,
}

pub(crate) async fn run(engine: Engine, mut stopped: watch::Receiver<bool>) {
    // Nobody would charge the card, and the payment would stay open.
    if !engine.has_provider() {
        return;
    }
    let mut place: Option<Place> = None;
    while !*stopped.borrow() {
        if !engine.has_turn() {
            // What another node has looked at is written down.
            place = None;
            tokio::select! {
                () = engine.wait_for_turn() => {}
                _ = stopped.changed() => {}
            }
            continue;
        }
        let pause = match look(&engine, &mut place).await {
            Ok(true) => Duration::ZERO,
            Ok(false) => PAUSE,
            Err(EngineError::Stopping) => return,
            Err(error) => {
                tracing::error!(%error, "automatic top-ups could not be looked for; trying again");
                PAUSE
            }
        };
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            _ = stopped.changed() => {}
        }
    }
}

/// One look at the announcements, and one step of the walk; whether there is more to look at.
pub async fn look(books: &impl Books, place: &mut Option<Place>) -> Result<bool, EngineError> {
    let Some(place) = place else {
        let mark = books
            .read(bursar_store::query::Reader::auto_topup_mark)
            .await?;
        *place = Some(Place {
            read_to: mark,
            marked: mark,
            walked_to: String::new(),
            rest: 0,
        });
        return Ok(true);
    };
    let after = place.read_to;
    let happened = books
        .read(move |reader| reader.announcements(after, LOOK_MAX))
        .await?;
    let due = happened
        .iter()
        .filter(|it| matches!(it.happening, Happening::AutoTopupDue { .. }));
    let mut users: Vec<UserId> = due
        .filter_map(|it| UserId::parse(it.wallet.owner.as_str()))
        .collect();
    users.sort_unstable();
    users.dedup();
    let read_to = happened.last().map_or(after, |last| last.number);
    if !users.is_empty() || read_to - place.marked >= UNMARKED_MAX {
        attempt(books, users, Some(read_to)).await?;
        place.marked = read_to;
    }
    place.read_to = read_to;
    walk(books, place).await?;
    Ok(happened.len() == LOOK_MAX)
}

/// The next step of the walk.
async fn walk(books: &impl Books, place: &mut Place) -> Result<(), EngineError> {
    if place.rest > 0 {
        place.rest -= 1;
        return Ok(());
    }
    let after = place.walked_to.clone();
    let users = books
        .read(move |reader| reader.armed_auto_topups(&after, USERS_MAX))
        .await?;
    if users.len() < USERS_MAX {
        place.rest = REST_LOOKS;
        place.walked_to = String::new();
    } else if let Some(last) = users.last() {
        place.walked_to = last.to_string();
    }
    attempt(books, users, None).await
}

/// Asks for the attempts that are due. The mark is written with the last of them: what comes before it has been decided.
async fn attempt(
    books: &impl Books,
    users: Vec<UserId>,
    read_to: Option<i64>,
) -> Result<(), EngineError> {
    let mut parts: Vec<Vec<UserId>> = users.chunks(USERS_MAX).map(<[_]>::to_vec).collect();
    if parts.is_empty() && read_to.is_some() {
        parts.push(vec![]);
    }
    let last = parts.len();
    for (place, users) in parts.into_iter().enumerate() {
        let read_to = read_to.filter(|_| place + 1 == last);
        let command = Command::AutoTopups(AutoTopups { users, read_to });
        books.submit(command).await?;
    }
    Ok(())
}
