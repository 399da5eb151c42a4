//! Events that Stripe made and we did not get. Each goes into the inbox as if it had been delivered.

use std::sync::Arc;

use bursar_domain::command::Command;
use bursar_domain::mark::{self, Keep, StampKey};
use bursar_domain::planted::{self, Bug};
use bursar_domain::recovery::Step;
use bursar_store::query::Reader;
use bursar_stripe::event::Envelope;
use bursar_stripe::object::Identified;
use bursar_stripe::request::{ListEvents, Pages, Window, list_events};
use futures_util::future::join_all;
use serde::Deserialize;
use serde_json::Value;

use super::pass::{Pass, finding};
use super::report::{Class, State};
use super::{Finding, GRACE_SECONDS, Options, recovery, step_recovery};
use crate::EngineError;
use crate::bridge::{inbound, stamp};
use crate::outside::{Books, Provider};

/// Kinds that mean something to us; Stripe takes twenty at most.
pub const EVENT_KINDS: &[&str] = &[
    "checkout.session.completed",
    "checkout.session.async_payment_succeeded",
    "checkout.session.async_payment_failed",
    "checkout.session.expired",
    "payment_intent.succeeded",
    "payment_intent.payment_failed",
    "payment_intent.processing",
    "payment_intent.canceled",
    "charge.refunded",
    "charge.refund.updated",
    "refund.created",
    "refund.updated",
    "refund.failed",
    "charge.dispute.created",
    "charge.dispute.updated",
    "charge.dispute.closed",
    "charge.dispute.funds_withdrawn",
    "charge.dispute.funds_reinstated",
];

/// Stripe keeps events for thirty days.
const KEPT_SECONDS: i64 = 30 * 86_400;

/// What happened shortly before the newest event known may have become visible after it.
const OVERLAP_SECONDS: i64 = 600;

/// An event as it came, with its id at hand.
#[derive(Deserialize)]
#[serde(transparent)]
struct Raw(Value);

impl Identified for Raw {
    fn id(&self) -> &str {
        self.0["id"].as_str().unwrap_or_default()
    }
}

/// An event that is not stored here.
struct Missed {
    id: String,
    kind: String,
    created: i64,
    body: Arc<[u8]>,
}

/// Takes in, or in a run that must not repair only counts, what was not delivered. Order does not matter: what events say has ranks.
pub(super) async fn compare(pass: &mut Pass<'_, impl Provider>) -> Result<(), EngineError> {
    let span = pass.options.span;
    let oldest = pass.provider.now().seconds() - KEPT_SECONDS;
    let mut pages = Pages::new(Window {
        created_from: Some(span.from.saturating_sub(OVERLAP_SECONDS).max(oldest)),
        created_to: Some(span.to),
        limit: Some(100),
        ..Window::default()
    });
    while let Some(page) = pass.turn::<Raw>(&mut pages, request).await? {
        pass.report.looked.events += page.len() as u64;
        let missed = missed(pass.provider, page).await?;
        note_newest(pass.provider, &pass.key, &missed, span.from).await?;
        if pass.options.repair {
            receive(pass.provider, &missed).await?;
        }
        for event in missed {
            let said = ("not delivered", event.kind.as_str());
            let found = finding(Class::MissingEvent, &event.id, said, "take it in");
            let done = pass.options.repair;
            let state = if done { State::Done } else { State::Proposed };
            pass.report.add(Finding { state, ..found });
        }
    }
    Ok(())
}

fn request(window: &Window) -> bursar_stripe::request::Request {
    list_events(&ListEvents {
        types: EVENT_KINDS.iter().map(|kind| (*kind).to_owned()).collect(),
        delivery_success: None,
        window: window.clone(),
    })
}

/// Those of a page that are not stored.
async fn missed(books: &impl Books, page: Vec<Raw>) -> Result<Vec<Missed>, EngineError> {
    let ids: Vec<String> = page.iter().map(|event| event.id().to_owned()).collect();
    let stored = books
        .read(move |reader| reader.are_events_stored(&ids))
        .await?;
    let ends = |stored: bool| stored && planted::is(Bug::StopsAtKnown);
    let missed = page
        .into_iter()
        .zip(stored)
        .take_while(|(_, stored)| !ends(*stored))
        .filter(|(_, stored)| !stored);
    let missed = missed.map(|(event, _)| Missed {
        id: event.id().to_owned(),
        kind: event.0["type"].as_str().unwrap_or_default().to_owned(),
        created: event.0["created"].as_i64().unwrap_or(0),
        body: event.0.to_string().into_bytes().into(),
    });
    Ok(missed.collect())
}

/// Puts them into the inbox, in as few commits as the writer makes of them.
async fn receive(books: &impl Books, missed: &[Missed]) -> Result<(), EngineError> {
    let mut answers = Vec::with_capacity(missed.len());
    for event in missed {
        match inbound::event(&event.body) {
            Ok(event) => answers.push(books.submit(Command::ReceiveEvent(event))),
            Err(error) => {
                tracing::warn!(%error, event.id, "an event in Stripe's list cannot be read");
            }
        }
    }
    let mut answers = join_all(answers).await.into_iter();
    answers.try_for_each(|answer| answer.map(drop))
}

/// The highest number of a payment of ours that these events carry: if we have not made it, we are older than the world.
async fn note_newest(
    books: &impl Books,
    key: &StampKey,
    missed: &[Missed],
    since: i64,
) -> Result<(), EngineError> {
    let newest = missed
        .iter()
        .filter_map(|event| number(key, &event.body))
        .max();
    let Some(payment) = newest else {
        return Ok(());
    };
    if payment <= books.read(Reader::newest_payment).await? {
        return Ok(());
    }
    let was_recovering = recovery(books).await?.is_some();
    let after = step_recovery(books, Step::Seen { payment, since }).await?;
    if let Some(recovery) = after.filter(|_| !was_recovering) {
        tracing::error!(
            why = recovery.why,
            "recovery mode: this database is older than what Stripe tells; see docs/operating.md"
        );
    }
    Ok(())
}

fn number(key: &StampKey, body: &[u8]) -> Option<i64> {
    let envelope = Envelope::read(body).ok()?;
    let carried = stamp::read(key, |name| {
        envelope.subject.metadata.get(name).map(|value| &**value)
    });
    match carried {
        stamp::Carried::Ours(wish) => Some(wish.number),
        _ => None,
    }
}

/// Asks Stripe for the events since the last time, and takes in those that were not delivered; how many of them were late and not
/// just on their way.
pub async fn scan_events(provider: &impl Provider) -> Result<usize, EngineError> {
    let key = provider.stamp_key().await?;
    let now = provider.now().seconds();
    let cursor = provider
        .read(|reader| reader.mark(mark::EVENTS_CURSOR))
        .await?;
    let cursor = cursor.and_then(|text| text.parse::<i64>().ok());
    let from = cursor.unwrap_or(0).saturating_sub(OVERLAP_SECONDS);
    let from = from.max(now - KEPT_SECONDS);
    let mut pages = Pages::new(Window {
        created_from: Some(from),
        limit: Some(100),
        ..Window::default()
    });
    let options = Options::until(now);
    let mut pass = Pass::new(provider, key.clone(), &options);
    let (mut newest, mut late) = (0, 0);
    while let Some(page) = pass.turn::<Raw>(&mut pages, request).await? {
        let times = page.iter().filter_map(|event| event.0["created"].as_i64());
        newest = times.fold(newest, i64::max);
        let missed = missed(provider, page).await?;
        note_newest(provider, &key, &missed, from).await?;
        receive(provider, &missed).await?;
        for event in missed
            .iter()
            .filter(|event| now - event.created > GRACE_SECONDS)
        {
            late += 1;
            tracing::warn!(
                event.id,
                event.kind,
                "an event was not delivered; it was read from Stripe's list"
            );
        }
    }
    if newest > 0 {
        // Only when all of it was seen: what was not is asked for again.
        provider
            .submit(Command::Keep(Keep::EventsCursor(newest)))
            .await?;
    }
    Ok(late)
}
