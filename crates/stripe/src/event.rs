//! Events: what a webhook delivers and what `GET /v1/events` lists.
//!
//! [`Envelope`] reads from the raw bytes of a delivery, in one pass and without copying, the few
//! fields that decide where it belongs. [`Event`] is the whole event, read later and at leisure.
//! Both take the two styles Stripe sends: a snapshot carries the object, a thin event names it.

use crate::error::without_values;
use crate::object::Metadata;
use serde::Deserialize;
use serde::de::value::MapAccessDeserializer;
use serde::de::{
    DeserializeOwned, Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor,
};
use serde_json::Value;
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;

/// What the `object` field of a thin event says.
const THIN: &str = "v2.core.event";
/// The longest id or type we take. Stripe's own ids are allowed up to 255 characters.
const LONGEST_ID: usize = 255;

/// The outside of an event, borrowed from the bytes of its delivery.
///
/// Only `id` and `type` have to be there. What is missing, null or of an unexpected type inside
/// `data` reads as absent: a signed delivery has to be stored, however odd it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Envelope<'a> {
    /// `evt_…`: unique for ever, the same in every delivery of this event.
    pub id: Cow<'a, str>,
    /// `checkout.session.completed` and so on; a thin event has `v1.` in front of it.
    pub kind: Cow<'a, str>,
    /// Unix seconds. Whole seconds: never a reason to order events.
    pub created: Option<i64>,
    /// Whether it is about real money.
    pub livemode: Option<bool>,
    /// The version the event's object is written in.
    pub api_version: Option<Cow<'a, str>>,
    /// The connected account (`acct_…`) the event belongs to, absent for one's own.
    pub account: Option<Cow<'a, str>>,
    /// Whether it names its object instead of carrying it.
    pub thin: bool,
    /// The id of the snapshot event that says the same as this thin one.
    pub snapshot_event: Option<Cow<'a, str>>,
    /// The object the event is about.
    pub subject: Subject<'a>,
}

/// What an [`Envelope`] reads of the object the event is about.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Subject<'a> {
    /// Its id; some objects (`balance`, an upcoming invoice) have none.
    pub id: Option<Cow<'a, str>>,
    /// Its type: `checkout.session`, `payment_intent` and so on.
    pub object: Option<Cow<'a, str>>,
    /// Its metadata, without what is not text.
    pub metadata: BTreeMap<Cow<'a, str>, Cow<'a, str>>,
    /// The reference a checkout session was created with.
    pub client_reference_id: Option<Cow<'a, str>>,
    /// The id of its payment intent, also where the intent itself is given.
    pub payment_intent: Option<Cow<'a, str>>,
}

/// Why a body is not an event.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EnvelopeError {
    /// Not JSON, not an object, without `id` or `type`, or with a field given twice.
    #[error("not an event: {reason}")]
    NotAnEvent {
        /// What is wrong and where, without the content.
        reason: String,
    },
    /// The id or the type is empty, far too long, or holds other than plain characters.
    #[error("the event's {field} is not one Stripe would give")]
    Odd {
        /// `id` or `type`.
        field: &'static str,
    },
}

impl EnvelopeError {
    /// A stable code for programs.
    pub fn code(&self) -> &'static str {
        match self {
            Self::NotAnEvent { .. } => "event_unreadable",
            Self::Odd { .. } => "event_field_odd",
        }
    }
}

impl<'a> Envelope<'a> {
    /// Reads the outside of an event from the body of a delivery.
    pub fn read(body: &'a [u8]) -> Result<Self, EnvelopeError> {
        let wire: Wire<'a> =
            serde_json::from_slice(body).map_err(|error| EnvelopeError::NotAnEvent {
                reason: without_values(&error),
            })?;
        for (field, text) in [("id", &wire.id), ("type", &wire.kind)] {
            let plain = text.bytes().all(|byte| byte.is_ascii_graphic());
            if text.is_empty() || text.len() > LONGEST_ID || !plain {
                return Err(EnvelopeError::Odd { field });
            }
        }
        let thin = wire.object.0.as_deref() == Some(THIN);
        let subject = if thin {
            wire.related_object.0.into()
        } else {
            wire.data.0.object.0.into()
        };
        Ok(Self {
            id: wire.id,
            kind: wire.kind,
            created: wire.created.0,
            livemode: wire.livemode,
            api_version: wire.api_version.0,
            account: wire.account.0,
            thin,
            snapshot_event: wire.snapshot_event.0,
            subject,
        })
    }

    /// The type without the `v1.` that thin events put in front of it.
    pub fn plain_kind(&self) -> &str {
        if self.thin {
            self.kind.strip_prefix("v1.").unwrap_or(&self.kind)
        } else {
            &self.kind
        }
    }
}

/// An event as sent; everything but `id` and `type` may be absent or odd.
#[derive(Deserialize)]
struct Wire<'a> {
    #[serde(borrow)]
    id: Cow<'a, str>,
    #[serde(borrow, rename = "type")]
    kind: Cow<'a, str>,
    #[serde(default)]
    created: Instant,
    #[serde(default)]
    livemode: Option<bool>,
    #[serde(borrow, default)]
    api_version: Text<'a>,
    #[serde(borrow, default)]
    account: Text<'a>,
    #[serde(borrow, default)]
    object: Text<'a>,
    #[serde(borrow, default)]
    snapshot_event: Id<'a>,
    #[serde(borrow, default)]
    data: Loose<WireData<'a>>,
    #[serde(borrow, default)]
    related_object: Loose<WireRelated<'a>>,
}

#[derive(Default, Deserialize)]
struct WireData<'a> {
    #[serde(borrow, default)]
    object: Loose<WireSubject<'a>>,
}

#[derive(Default, Deserialize)]
struct WireSubject<'a> {
    #[serde(borrow, default)]
    id: Text<'a>,
    #[serde(borrow, default)]
    object: Text<'a>,
    #[serde(borrow, default)]
    metadata: Texts<'a>,
    #[serde(borrow, default)]
    client_reference_id: Text<'a>,
    #[serde(borrow, default)]
    payment_intent: Id<'a>,
}

#[derive(Default, Deserialize)]
struct WireRelated<'a> {
    #[serde(borrow, default)]
    id: Text<'a>,
    #[serde(borrow, default, rename = "type")]
    object: Text<'a>,
}

impl<'a> From<WireSubject<'a>> for Subject<'a> {
    fn from(wire: WireSubject<'a>) -> Self {
        Self {
            id: wire.id.0,
            object: wire.object.0,
            metadata: wire.metadata.0,
            client_reference_id: wire.client_reference_id.0,
            payment_intent: wire.payment_intent.0,
        }
    }
}

impl<'a> From<WireRelated<'a>> for Subject<'a> {
    fn from(wire: WireRelated<'a>) -> Self {
        Self {
            id: wire.id.0,
            object: wire.object.0,
            ..Self::default()
        }
    }
}

/// A reader that takes whatever JSON has and reads as nothing what it does not want.
trait Tolerant<'de>: Default {
    fn text(_: Cow<'de, str>) -> Self {
        Self::default()
    }

    fn integer(_: i64) -> Self {
        Self::default()
    }

    fn map<A: MapAccess<'de>>(mut map: A) -> Result<Self, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Self::default())
    }
}

struct TolerantVisitor<T>(PhantomData<T>);

impl<'de, T: Tolerant<'de>> Visitor<'de> for TolerantVisitor<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any JSON")
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<T, E> {
        Ok(T::text(Cow::Borrowed(text)))
    }

    fn visit_str<E>(self, text: &str) -> Result<T, E> {
        Ok(T::text(Cow::Owned(text.to_owned())))
    }

    fn visit_i64<E>(self, number: i64) -> Result<T, E> {
        Ok(T::integer(number))
    }

    fn visit_u64<E>(self, number: u64) -> Result<T, E> {
        Ok(i64::try_from(number).map_or_else(|_| T::default(), T::integer))
    }

    fn visit_f64<E>(self, _: f64) -> Result<T, E> {
        Ok(T::default())
    }

    fn visit_bool<E>(self, _: bool) -> Result<T, E> {
        Ok(T::default())
    }

    fn visit_unit<E>(self) -> Result<T, E> {
        Ok(T::default())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<T, A::Error> {
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(T::default())
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<T, A::Error> {
        T::map(map)
    }
}

fn tolerate<'de, T: Tolerant<'de>, D: Deserializer<'de>>(deserializer: D) -> Result<T, D::Error> {
    deserializer.deserialize_any(TolerantVisitor(PhantomData))
}

/// Text, or nothing.
#[derive(Default)]
struct Text<'a>(Option<Cow<'a, str>>);

impl<'de> Tolerant<'de> for Text<'de> {
    fn text(text: Cow<'de, str>) -> Self {
        Self(Some(text))
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Text<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        tolerate::<Text<'de>, D>(deserializer)
    }
}

/// An id, given alone or inside its object.
#[derive(Default)]
struct Id<'a>(Option<Cow<'a, str>>);

#[derive(Deserialize)]
struct Identified<'a> {
    #[serde(borrow, default)]
    id: Text<'a>,
}

impl<'de> Tolerant<'de> for Id<'de> {
    fn text(text: Cow<'de, str>) -> Self {
        Self(Some(text))
    }

    fn map<A: MapAccess<'de>>(map: A) -> Result<Self, A::Error> {
        let object = Identified::deserialize(MapAccessDeserializer::new(map))?;
        Ok(Self(object.id.0))
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Id<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        tolerate::<Id<'de>, D>(deserializer)
    }
}

/// A map of texts; other members are left out.
#[derive(Default)]
struct Texts<'a>(BTreeMap<Cow<'a, str>, Cow<'a, str>>);

impl<'de> Tolerant<'de> for Texts<'de> {
    fn map<A: MapAccess<'de>>(mut map: A) -> Result<Self, A::Error> {
        let mut texts = BTreeMap::new();
        while let Some((name, text)) = map.next_entry::<Text<'de>, Text<'de>>()? {
            if let (Some(name), Some(text)) = (name.0, text.0)
                && texts.insert(name, text).is_some()
            {
                return Err(A::Error::custom("a metadata key is given twice"));
            }
        }
        Ok(Self(texts))
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Texts<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        tolerate::<Texts<'de>, D>(deserializer)
    }
}

/// Unix seconds; thin events write the time as text instead.
#[derive(Default)]
struct Instant(Option<i64>);

impl<'de> Tolerant<'de> for Instant {
    fn text(text: Cow<'de, str>) -> Self {
        Self(
            text.parse::<jiff::Timestamp>()
                .ok()
                .map(jiff::Timestamp::as_second),
        )
    }

    fn integer(unix: i64) -> Self {
        Self(Some(unix))
    }
}

impl<'de> Deserialize<'de> for Instant {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        tolerate(deserializer)
    }
}

/// An object, or nothing.
#[derive(Default)]
struct Loose<T>(T);

impl<'de, T: Default + Deserialize<'de>> Tolerant<'de> for Loose<T> {
    fn map<A: MapAccess<'de>>(map: A) -> Result<Self, A::Error> {
        T::deserialize(MapAccessDeserializer::new(map)).map(Self)
    }
}

impl<'de, T: Default + Deserialize<'de>> Deserialize<'de> for Loose<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        tolerate(deserializer)
    }
}

/// The object of an event, read from the bytes of its delivery as one of the types in [`crate::object`].
///
/// It goes without the tree that an [`Event`] keeps, which costs several times as much.
pub fn read_object<T: DeserializeOwned>(body: &[u8]) -> Result<T, serde_json::Error> {
    #[derive(Deserialize)]
    struct Delivered<T> {
        data: Carried<T>,
    }
    #[derive(Deserialize)]
    struct Carried<T> {
        object: T,
    }
    serde_json::from_slice::<Delivered<T>>(body).map(|event| event.data.object)
}

/// A whole event, owned, as `GET /v1/events` lists it.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Event {
    /// `evt_…`.
    pub id: String,
    /// `checkout.session.completed` and so on.
    #[serde(rename = "type")]
    pub kind: String,
    /// Unix seconds.
    #[serde(default)]
    pub created: Option<i64>,
    /// Whether it is about real money.
    #[serde(default)]
    pub livemode: Option<bool>,
    /// The version the object is written in.
    #[serde(default)]
    pub api_version: Option<String>,
    /// The connected account the event belongs to, absent for one's own.
    #[serde(default)]
    pub account: Option<String>,
    /// The object as it was, and what had changed.
    #[serde(default)]
    pub data: EventData,
}

/// The payload of an [`Event`].
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
pub struct EventData {
    /// The object as it was when the event was made.
    #[serde(default)]
    pub object: Value,
    /// The old values of what changed, in `*.updated` events.
    #[serde(default)]
    pub previous_attributes: Option<Value>,
}

impl Event {
    /// Reads the object as one of the types in [`crate::object`].
    pub fn read_object<T: DeserializeOwned>(&self) -> Result<T, serde_json::Error> {
        T::deserialize(&self.data.object)
    }

    /// The object's metadata, empty where there is none.
    pub fn metadata(&self) -> Metadata {
        Metadata::deserialize(&self.data.object["metadata"]).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests;
