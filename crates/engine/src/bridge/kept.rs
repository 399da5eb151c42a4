//! What is kept of an event: what a notice can be made of, and nothing about a person.
//!
//! Stripe's events carry names, addresses, e-mails and the last digits of cards. What is written to disk is the event without them:
//! of every object the fields in [`FIELDS`], at every depth. A field that is not in the list is not kept, whatever a later version
//! of Stripe puts into it; a notice that needs another field has to name it here, and the tests compare each example event's
//! notice with that of what is kept of it.

use std::borrow::Cow;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::ser::Serialize;

use super::outbound::{PAYMENT_ID, REFUND_ID};

/// Ids, amounts, words for programs, times. In order, for the search.
const FIELDS: &[&str] = &[
    "account",
    "actionable",
    "advice_code",
    "amount",
    "amount_captured",
    "amount_received",
    "amount_refunded",
    "amount_subtotal",
    "amount_total",
    "api_version",
    "balance_transaction",
    "balance_transactions",
    "charge",
    "code",
    "created",
    "currency",
    "customer",
    "data",
    "decline_code",
    "disputed",
    "exchange_rate",
    "failure_balance_transaction",
    "failure_reason",
    "fee",
    "fraud_type",
    "has_more",
    "id",
    "last_payment_error",
    "last_setup_error",
    "latest_charge",
    "livemode",
    "message",
    "metadata",
    "mode",
    "net",
    "object",
    "paid",
    "payment_intent",
    "payment_method",
    "payment_status",
    "reason",
    "refunded",
    "refunds",
    "related_object",
    "setup_future_usage",
    "setup_intent",
    "snapshot_event",
    "source",
    "status",
    "type",
];

/// What we write into metadata ourselves.
const OUR_METADATA: &[&str] = &[PAYMENT_ID, "topup_id", "user_id", REFUND_ID];

/// What is kept of an event. Of one that cannot be read, nothing but `id` and `kind`.
pub fn kept(body: &[u8], id: &str, kind: &str) -> Vec<u8> {
    let mut out = Vec::with_capacity(body.len() / 2);
    let mut parser = serde_json::Deserializer::from_slice(body);
    let copy = Copy {
        out: &mut out,
        fields: FIELDS,
    };
    let copied = copy.deserialize(&mut parser).and_then(|()| parser.end());
    if copied.is_err() {
        let bare = serde_json::json!({ "id": id, "type": kind });
        return bare.to_string().into_bytes();
    }
    out
}

/// A text without U+0000, which PostgreSQL cannot hold. One such text would stop every batch that it is in.
pub(super) fn without_zero(text: &str) -> Cow<'_, str> {
    if text.contains('\0') {
        Cow::Owned(text.replace('\0', "\u{fffd}"))
    } else {
        Cow::Borrowed(text)
    }
}

/// Copies a value without what is not kept. Writes as it reads: no tree is made of what Stripe sends.
struct Copy<'a> {
    out: &'a mut Vec<u8>,
    fields: &'static [&'static str],
}

impl Copy<'_> {
    fn write<E: Error>(self, value: &impl Serialize) -> Result<(), E> {
        serde_json::to_writer(self.out, value).map_err(E::custom)
    }

    /// Metadata has a list of its own; everything else has the same at every depth.
    fn fields_inside(&self, name: &str) -> &'static [&'static str] {
        if name == "metadata" {
            OUR_METADATA
        } else {
            self.fields
        }
    }
}

impl<'de> DeserializeSeed<'de> for Copy<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Copy<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        self.write(&())
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<(), E> {
        self.write(&value)
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<(), E> {
        self.write(&value)
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<(), E> {
        self.write(&value)
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<(), E> {
        self.write(&value)
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<(), E> {
        self.write(&without_zero(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        let mut separator = b'[';
        loop {
            let start = self.out.len();
            self.out.push(separator);
            let item = Copy {
                out: &mut *self.out,
                fields: self.fields,
            };
            if items.next_element_seed(item)?.is_none() {
                self.out.truncate(start);
                break;
            }
            separator = b',';
        }
        close(self.out, separator, *b"[]");
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<(), A::Error> {
        let mut separator = b'{';
        while let Some(name) = entries.next_key_seed(Listed(self.fields))? {
            let Some(name) = name else {
                entries.next_value::<IgnoredAny>()?;
                continue;
            };
            self.out.push(separator);
            separator = b',';
            serde_json::to_writer(&mut *self.out, name).map_err(A::Error::custom)?;
            self.out.push(b':');
            let fields = self.fields_inside(name);
            let out = &mut *self.out;
            entries.next_value_seed(Copy { out, fields })?;
        }
        close(self.out, separator, *b"{}");
        Ok(())
    }
}

/// Reads a name and finds it in a list. As bytes: a name that is not listed need not be valid text.
struct Listed(&'static [&'static str]);

impl<'de> DeserializeSeed<'de> for Listed {
    type Value = Option<&'static str>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_bytes(self)
    }
}

impl Visitor<'_> for Listed {
    type Value = Option<&'static str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name")
    }

    fn visit_str<E: Error>(self, name: &str) -> Result<Self::Value, E> {
        self.visit_bytes(name.as_bytes())
    }

    fn visit_bytes<E: Error>(self, name: &[u8]) -> Result<Self::Value, E> {
        let mut listed = self.0.iter().copied();
        Ok(listed.find(|listed| listed.as_bytes() == name))
    }
}

/// Ends a list or an object; one of which nothing was kept is an empty one.
fn close(out: &mut Vec<u8>, separator: u8, [open, close]: [u8; 2]) {
    if separator == open {
        out.push(open);
    }
    out.push(close);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(body: &str) -> String {
        String::from_utf8(kept(body.as_bytes(), "evt_1", "x.y")).unwrap()
    }

    #[test]
    fn what_is_not_listed_is_not_kept_at_any_depth() {
        let body = r#"{"id":"evt_1","request":{"id":"req_1"},"data":{"object":{"id":"ch_1","amount":500,
            "billing_details":{"name":"Jenny Rosen"},"receipt_email":"j@b.example","paid":true,"customer":
            {"id":"cus_1","email":"j@b.example"},"refunds":{"data":[{"id":"re_1","card":{"last4":"4242"}},{},[]]},
            "latest_charge":null,"metadata":{"payment_id":"pay_1","name":"Jenny","id":"x"}}}}"#;
        assert_eq!(
            of(body),
            r#"{"id":"evt_1","data":{"object":{"id":"ch_1","amount":500,"paid":true,"customer":{"id":"cus_1"},"refunds":{"data":[{"id":"re_1"},{},[]]},"latest_charge":null,"metadata":{"payment_id":"pay_1"}}}}"#
        );
    }

    #[test]
    fn what_is_listed_is_kept_as_it_is() {
        for body in [
            r#"{"id":"ü\n\"","amount":-9223372036854775808,"net":18446744073709551615,"exchange_rate":1.25,"data":[[],[1,2]]}"#,
            r#"{"id":"a","id":"b"}"#,
            "{}",
            "[]",
            "null",
        ] {
            assert_eq!(of(body), body);
        }
    }

    #[test]
    fn a_zero_byte_is_kept_as_a_mark() {
        let body = r#"{"id":"a\u0000b","message":"\u0000"}"#;
        assert_eq!(of(body), "{\"id\":\"a\u{fffd}b\",\"message\":\"\u{fffd}\"}");
    }

    #[test]
    fn of_what_cannot_be_read_only_the_name_is_kept() {
        let deep = format!(r#"{{"id":{}{}}}"#, "[".repeat(500), "]".repeat(500));
        for body in [deep.as_str(), r#"{"id":"#, "{} Jenny"] {
            assert_eq!(of(body), r#"{"id":"evt_1","type":"x.y"}"#);
        }
    }
}
