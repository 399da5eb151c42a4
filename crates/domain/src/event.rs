//! Stored events: what a provider sent, kept as it came, and what became of it.
//!
//! An event is stored first and worked off later by [`notice::apply`](crate::notice). It is its own durable job: as long as
//! it is pending, it is owed.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::command::Context;
use crate::id::PaymentId;
use crate::state::State;
use crate::time::Time;

/// What became of a stored event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EventStatus {
    /// Stored, and not yet worked off.
    Pending,
    /// About a payment whose session is not known yet: taken up again when it is.
    Waiting,
    /// Taken into account.
    Applied,
    /// Not about anything of ours, or of a kind that needs nothing done.
    Ignored,
    /// Contradicts our own payment row. Nothing was credited; a person has to look.
    Quarantined,
    /// Cannot be read. A person has to look.
    Failed,
}

impl EventStatus {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::Pending,
        Self::Waiting,
        Self::Applied,
        Self::Ignored,
        Self::Quarantined,
        Self::Failed,
    ];

    /// As written in the database and on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Waiting => "waiting",
            Self::Applied => "applied",
            Self::Ignored => "ignored",
            Self::Quarantined => "quarantined",
            Self::Failed => "failed",
        }
    }

    /// The status written as `text`.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.as_str() == text)
    }
}

/// An event as it arrived, its signature verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReceiveEvent {
    /// The provider's id of it: what arrives twice under one id is one event.
    pub id: String,
    /// The provider's name of its kind.
    pub kind: String,
    /// The provider's time of it, in whole seconds. Never used to order.
    pub created: i64,
    /// Whether it is about real money.
    pub livemode: bool,
    /// The provider's version it is written in.
    pub api_version: String,
    /// The object it is about.
    pub object: String,
    /// What is kept of the bytes that came: enough to say the same, and nothing about persons.
    pub body: Arc<[u8]>,
}

/// An event as stored, without its body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredEvent {
    /// Events are numbered in the order of arrival.
    pub number: i64,
    /// The provider's id of it.
    pub id: String,
    /// The provider's name of its kind.
    pub kind: String,
    /// The provider's time of it, in whole seconds.
    pub created: i64,
    /// Whether it is about real money.
    pub livemode: bool,
    /// The provider's version it is written in.
    pub api_version: String,
    /// The object it is about.
    pub object: String,
    /// What became of it.
    pub status: EventStatus,
    /// Why, where the status alone does not say it.
    pub reason: String,
    /// The payment it is about, once found.
    pub payment: Option<PaymentId>,
    /// The checkout session or payment intent it is about, if no payment of ours has that: if one gets it later, the event is
    /// taken up again.
    pub waits_for: Option<String>,
    /// When it was stored.
    pub received_at: Time,
    /// When it was last worked on.
    pub worked_at: Option<Time>,
}

/// Puts stored events back into line, whatever became of them; how many there were. Working one off again changes nothing that
/// it has changed before: facts have ranks and ids.
pub(crate) fn replay(state: &mut State, numbers: &[i64]) -> i64 {
    let mut found = 0;
    for number in numbers {
        if state.events.get(number).is_some() {
            found += 1;
            state.events.change(number, |event| {
                event.status = EventStatus::Pending;
                event.reason = String::new();
            });
        }
    }
    found
}

/// Stores an event, unless it is here already. Gives its number and whether it was here.
pub(crate) fn receive(
    state: &mut State,
    context: &Context<'_>,
    event: &ReceiveEvent,
) -> (i64, bool) {
    if let Some(number) = state.event_numbers.get(&event.id) {
        return (*number, true);
    }
    let number = state.sequence.next_event();
    state.event_bodies.push((number, Arc::clone(&event.body)));
    state.event_numbers.insert(event.id.clone(), number);
    let stored = StoredEvent {
        number,
        id: event.id.clone(),
        kind: event.kind.clone(),
        created: event.created,
        livemode: event.livemode,
        api_version: event.api_version.clone(),
        object: event.object.clone(),
        status: EventStatus::Pending,
        reason: String::new(),
        payment: None,
        waits_for: None,
        received_at: context.now,
        worked_at: None,
    };
    state.events.insert(number, stored);
    (number, false)
}
