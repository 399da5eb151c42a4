//! Events that Stripe made and we did not get. Each goes into the inbox as if it had been delivered.

use std::sync::Arc;

use bursar_domain::command::{Command, Reply};
use bursar_domain::event::ReceiveEvent;
use bursar_domain::mark::{self, Keep, StampKey};
use bursar_domain::recovery::Step;
use bursar_store::query::Reader;
use bursar_stripe::client::Client;
use bursar_stripe::event::Envelope;
use bursar_stripe::object::{Identified, List};
use bursar_stripe::request::{ListEvents, Pages, Window, list_events};
use serde::Deserialize;
use serde_json::Value;

use super::pass::{Pass, finding};
use super::report::{Class, State};
use super::{Finding, GRACE_SECONDS};
use crate::bridge::{inbound, stamp};
use crate::{Engine, EngineError};

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

/// Takes in, or in a run that must not repair only counts, what was not delivered. Order does not matter: what events say has ranks.
pub(super) async fn compare(pass: &mut Pass<'_>) -> Result<(), EngineError> {
    let span = pass.options.span;
    let oldest = pass.engine.now().seconds() - KEPT_SECONDS;
    let mut pages = Pages::new(Window {
        created_from: Some(span.from.saturating_sub(OVERLAP_SECONDS).max(oldest)),
        created_to: Some(span.to),
        limit: Some(100),
        ..Window::default()
    });
    while let Some(page) = pass.turn::<Raw>(&mut pages, request).await? {
        pass.report.looked.events += page.len() as u64;
        take(pass, page).await?;
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

async fn take(pass: &mut Pass<'_>, page: Vec<Raw>) -> Result<(), EngineError> {
    let ids: Vec<String> = page.iter().map(|event| event.id().to_owned()).collect();
    let stored = pass
        .engine
        .read(move |reader| reader.are_events_stored(&ids))
        .await?;
    let bodies = page.iter().map(|event| event.0.to_string().into_bytes());
    let bodies: Vec<Arc<[u8]>> = bodies.map(Into::into).collect();
    note_newest(pass.engine, &pass.key, &bodies, pass.options.span.from).await?;
    for (event, body) in page
        .iter()
        .zip(&bodies)
        .zip(stored)
        .filter(|(_, stored)| !stored)
        .map(|(it, _)| it)
    {
        let mut state = State::Proposed;
        if pass.options.repair {
            receive(pass.engine, body).await?;
            state = State::Done;
        }
        let kind = event.0["type"].as_str().unwrap_or_default();
        pass.report.add(Finding {
            state,
            ..finding(
                Class::MissingEvent,
                event.id(),
                ("not delivered", kind),
                "take it in",
            )
        });
    }
    Ok(())
}

/// Whether it was new.
async fn receive(engine: &Engine, body: &Arc<[u8]>) -> Result<bool, EngineError> {
    let event: ReceiveEvent = match inbound::event(body) {
        Ok(event) => event,
        Err(error) => {
            tracing::warn!(%error, "an event in Stripe's list cannot be read");
            return Ok(false);
        }
    };
    let reply = engine.submit(Command::ReceiveEvent(event)).await?;
    Ok(matches!(
        reply,
        Reply::Received {
            duplicate: false,
            ..
        }
    ))
}

/// The highest number of a payment of ours that these events carry: if we have not made it, we are older than the world.
async fn note_newest(
    engine: &Engine,
    key: &StampKey,
    bodies: &[Arc<[u8]>],
    since: i64,
) -> Result<(), EngineError> {
    let newest = bodies.iter().filter_map(|body| number(key, body)).max();
    let Some(payment) = newest else {
        return Ok(());
    };
    if payment <= engine.newest_payment().await? {
        return Ok(());
    }
    let step = Step::Seen { payment, since };
    if let Some(recovery) = engine.step_recovery(step).await? {
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

impl Engine {
    /// The number of the newest payment.
    async fn newest_payment(&self) -> Result<i64, EngineError> {
        self.read(Reader::newest_payment).await
    }

    /// Asks Stripe for the events since the last time, and takes in those that were not delivered; how many there were.
    pub async fn scan_events(&self) -> Result<u64, EngineError> {
        let client = self.stripe().ok_or(EngineError::NoProvider)?.background();
        let key = self.stamp_key().await?;
        let now = self.now().seconds();
        let cursor = self.read(|reader| reader.mark(mark::EVENTS_CURSOR)).await?;
        let cursor = cursor.and_then(|text| text.parse::<i64>().ok());
        let from = cursor
            .unwrap_or(0)
            .saturating_sub(OVERLAP_SECONDS)
            .max(now - KEPT_SECONDS);
        let mut pages = Pages::new(Window {
            created_from: Some(from),
            limit: Some(100),
            ..Window::default()
        });
        let (mut newest, mut missed) = (0, 0);
        while let Some(window) = pages.window() {
            let page = self.page(&client, window).await?;
            pages.turn(&page);
            newest = page
                .data
                .iter()
                .filter_map(|event| event.0["created"].as_i64())
                .fold(newest, i64::max);
            missed += self.take_in(&key, page.data, from).await?;
        }
        if newest > 0 {
            // Only when all of it was seen: what was not is asked for again.
            self.submit(Command::Keep(Keep::EventsCursor(newest)))
                .await?;
        }
        Ok(missed)
    }

    async fn page(&self, client: &Client, window: &Window) -> Result<List<Raw>, EngineError> {
        let page = client.call(&request(window)).await;
        page.map_err(|error| EngineError::Provider {
            code: error.code(),
            message: error.to_string(),
        })
    }

    async fn take_in(
        &self,
        key: &StampKey,
        page: Vec<Raw>,
        since: i64,
    ) -> Result<u64, EngineError> {
        let ids: Vec<String> = page.iter().map(|event| event.id().to_owned()).collect();
        let stored = self
            .read(move |reader| reader.are_events_stored(&ids))
            .await?;
        let bodies: Vec<Arc<[u8]>> = page
            .iter()
            .map(|event| event.0.to_string().into_bytes().into())
            .collect();
        note_newest(self, key, &bodies, since).await?;
        let mut missed = 0;
        for ((event, body), _) in page
            .iter()
            .zip(&bodies)
            .zip(stored)
            .filter(|(_, stored)| !stored)
        {
            let is_new = receive(self, body).await?;
            let age = self.now().seconds() - event.0["created"].as_i64().unwrap_or(0);
            // A young one may just be on its way.
            if is_new && age > GRACE_SECONDS {
                missed += 1;
                tracing::warn!(
                    event.id = event.id(),
                    age,
                    "an event was not delivered; it was read from Stripe's list"
                );
            }
        }
        Ok(missed)
    }
}
