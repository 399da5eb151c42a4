//! Which part of a list is asked for, and how to walk through all of it.

use crate::object::{Identified, List};
use serde_json::{Value, json};

/// The part of a list that one call asks for. Lists go from the newest to the oldest.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Window {
    /// Unix seconds, this one included.
    pub created_from: Option<i64>,
    /// Unix seconds, this one included.
    pub created_to: Option<i64>,
    /// 1 to 100; 10 without it.
    pub limit: Option<u8>,
    /// The id of the last object of the page before.
    pub starting_after: Option<String>,
    /// The id of the first object of the page behind. Not together with `starting_after`.
    pub ending_before: Option<String>,
}

impl Window {
    /// The parameters of a list call: `filter`, a JSON object, and this window.
    pub(super) fn narrow(&self, mut filter: Value) -> Value {
        filter["created"] = json!({"gte": self.created_from, "lte": self.created_to});
        filter["limit"] = json!(self.limit);
        filter["starting_after"] = json!(self.starting_after);
        filter["ending_before"] = json!(self.ending_before);
        filter
    }
}

/// A walk through a list, page by page, from the newest to the oldest.
///
/// Ask with [`Pages::window`], hand the answer to [`Pages::turn`], and do so until there is no
/// window any more. It can be kept between two pages: its state is the window.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pages {
    next: Option<Window>,
}

impl Pages {
    /// Begins with this window. `ending_before` is left out, because it walks the other way.
    pub fn new(window: Window) -> Self {
        let next = Some(Window {
            ending_before: None,
            ..window
        });
        Self { next }
    }

    /// The page to ask for; `None` when the walk is over.
    pub fn window(&self) -> Option<&Window> {
        self.next.as_ref()
    }

    /// Takes note of the page that was asked for.
    ///
    /// The walk is over after the last page, and after a page that ends where it began: asking on
    /// would never come to an end.
    pub fn turn<T: Identified>(&mut self, page: &List<T>) {
        let Some(asked) = self.next.take() else {
            return;
        };
        let after = page
            .next_starting_after()
            .filter(|last| asked.starting_after.as_deref() != Some(*last));
        self.next = after.map(|last| Window {
            starting_after: Some(last.to_owned()),
            ..asked
        });
    }
}
