//! Signed events as a shop's account would send them: three for each purchase, every id fresh.

use std::sync::atomic::{AtomicU64, Ordering};

use bursar_stripe::signature::{self, Secret};

/// The events of one purchase, in the usual order, written as Stripe writes them: with indentation.
const TEMPLATES: [&str; 3] = [
    include_str!("charge.succeeded.template"),
    include_str!("payment_intent.succeeded.template"),
    include_str!("checkout.session.completed.template"),
];

/// What stands in the place of `@name@`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Slot {
    /// The event's own id.
    Event,
    /// An id that the events of one purchase share.
    Shared(Id),
    /// Unix seconds, and so many more.
    Time(i64),
}

/// How an id is made up: the text in front, and what follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Id {
    /// The moment, the account, then random characters: how events, charges and intents are named.
    Dated(&'static str),
    /// So many random characters.
    Random(&'static str, usize),
}

impl Slot {
    fn named(name: &str) -> Option<Self> {
        Some(match name {
            "event" => Self::Event,
            "session" => Self::Shared(Id::Random("cs_test_a1", 58)),
            "intent" => Self::Shared(Id::Dated("pi_3")),
            "charge" => Self::Shared(Id::Dated("ch_3")),
            "method" => Self::Shared(Id::Dated("pm_1")),
            "configuration" => Self::Shared(Id::Dated("pmc_1")),
            "customer" => Self::Shared(Id::Random("cus_", 14)),
            "request" => Self::Shared(Id::Random("req_", 14)),
            "purchase" => Self::Shared(Id::Random("", 16)),
            "now" => Self::Time(0),
            "later" => Self::Time(86_400),
            _ => return None,
        })
    }
}

/// A text with gaps, taken apart once: each piece is followed by what fills the gap behind it.
#[derive(Debug)]
struct Template {
    pieces: Vec<(&'static str, Slot)>,
    end: &'static str,
}

impl Template {
    fn read(text: &'static str) -> Self {
        let (mut pieces, mut rest, mut from) = (Vec::new(), text.trim_end(), 0);
        while let Some(open) = rest[from..].find('@').map(|found| from + found) {
            let gap = rest[open + 1..].split_once('@');
            let Some((slot, after)) =
                gap.and_then(|(name, after)| Some((Slot::named(name)?, after)))
            else {
                // An `@` of the text itself.
                from = open + 1;
                continue;
            };
            pieces.push((&rest[..open], slot));
            (rest, from) = (after, 0);
        }
        Self { pieces, end: rest }
    }
}

/// A delivery, ready to be sent.
#[derive(Debug)]
pub(super) struct Delivery {
    /// The body.
    pub(super) body: Vec<u8>,
    /// The value of `Stripe-Signature`.
    pub(super) signature: String,
}

/// Gives out deliveries; no two of one source have an event id in common.
#[derive(Debug)]
pub(super) struct Source {
    templates: [Template; 3],
    secret: Secret,
    next: AtomicU64,
}

impl Source {
    pub(super) fn new(secret: Secret) -> Self {
        Self {
            templates: TEMPLATES.map(Template::read),
            secret,
            next: AtomicU64::new(0),
        }
    }

    /// The next event, made and signed at `now` (Unix seconds).
    pub(super) fn next(&self, now: i64) -> Delivery {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let template = &self.templates[(number % 3) as usize];
        let mut body = Vec::with_capacity(4096);
        for (piece, slot) in &template.pieces {
            body.extend_from_slice(piece.as_bytes());
            match *slot {
                Slot::Event => Id::Dated("evt_1").write(&mut body, number),
                Slot::Shared(id) => id.write(&mut body, number / 3),
                Slot::Time(more) => body.extend_from_slice((now + more).to_string().as_bytes()),
            }
        }
        body.extend_from_slice(template.end.as_bytes());
        let signature = signature::sign(&self.secret, now, &body);
        Delivery { body, signature }
    }
}

impl Id {
    /// Writes the id of this number. Two numbers give two ids.
    ///
    /// The shape matters: an index of ids that begin with the moment grows at its end, one of random ids everywhere. Events
    /// are given out as if a thousand were made in a second.
    fn write(self, body: &mut Vec<u8>, number: u64) {
        const ACCOUNT: &[u8; 10] = b"7bUqxLw0Kd";
        match self {
            Self::Dated(prefix) => {
                body.extend_from_slice(prefix.as_bytes());
                write_digits(body, 400_000_000 + number / 1_000, 5);
                body.extend_from_slice(ACCOUNT);
                write_digits(body, scattered(number), 8);
            }
            Self::Random(prefix, length) => {
                body.extend_from_slice(prefix.as_bytes());
                let end = body.len() + length;
                let mut bits = number;
                while body.len() < end {
                    bits = scattered(bits);
                    write_digits(body, bits, 8.min(end - body.len()));
                }
            }
        }
    }
}

/// The last `count` digits of a number, to the base of 62. Their order is that of the numbers.
fn write_digits(body: &mut Vec<u8>, mut number: u64, count: usize) {
    const DIGITS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    let begin = body.len();
    body.resize(begin + count, 0);
    for place in body[begin..].iter_mut().rev() {
        *place = DIGITS[(number % 62) as usize];
        number /= 62;
    }
}

/// Numbers of eight digits to the base of 62, scattered over their range: a multiplication that can be undone, since the
/// factor has no divisor in common with the range.
fn scattered(number: u64) -> u64 {
    const RANGE: u128 = 62_u128.pow(8);
    const FACTOR: u128 = 134_942_606_358_731;
    u64::try_from((u128::from(number) + 1) * FACTOR % RANGE).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::sync::Arc;

    use bursar_domain::notice::Notice;
    use bursar_engine::bridge::inbound;
    use serde_json::Value;

    use super::*;
    use crate::cli::bench::child::WEBHOOK_SECRET;

    const NOW: i64 = 1_795_000_000;

    fn source() -> Source {
        Source::new(Secret::new(WEBHOOK_SECRET).unwrap())
    }

    #[test]
    fn a_delivery_is_believed_and_a_changed_one_is_not() {
        let secrets = [Secret::new(WEBHOOK_SECRET).unwrap()];
        let source = source();
        for _ in 0..6 {
            let mut delivery = source.next(NOW);
            let verify = |delivery: &Delivery| {
                signature::verify(
                    delivery.signature.as_bytes(),
                    &delivery.body,
                    &secrets,
                    NOW,
                    1,
                )
            };
            assert_eq!(verify(&delivery), Ok(()));
            delivery.body[100] ^= 1;
            assert!(verify(&delivery).is_err());
        }
    }

    #[test]
    fn every_event_has_an_id_of_its_own() {
        let source = source();
        let mut ids = HashSet::new();
        for _ in 0..10_000 {
            let event = inbound::event(&Arc::from(source.next(NOW).body)).unwrap();
            assert_eq!(event.id.len(), 28);
            assert!(ids.insert(event.id));
        }
    }

    #[test]
    fn an_event_is_whole_json_of_three_to_four_kilobytes() {
        let source = source();
        for _ in 0..3 {
            let body = source.next(NOW).body;
            assert!(
                (3_000..=4_000).contains(&body.len()),
                "{} bytes",
                body.len()
            );
            let event: Value = serde_json::from_slice(&body).unwrap();
            assert_eq!(event["created"], NOW);
            assert!(!String::from_utf8(body).unwrap().contains("@session@"));
        }
    }

    #[test]
    fn the_events_of_a_purchase_belong_together_and_are_understood() {
        let source = source();
        let notices: Vec<Notice> = (0..3)
            .map(|_| inbound::notice(&source.next(NOW).body))
            .collect();
        let [
            Notice::Intent { fact: charge, .. },
            Notice::Intent { fact: intent, .. },
            Notice::Session { fact: session, .. },
        ] = &notices[..]
        else {
            panic!("{notices:?}");
        };
        assert_eq!(charge.intent, intent.intent);
        assert_eq!(session.intent.as_ref(), Some(&intent.intent));
        assert_eq!(session.amount, Some(2500));
    }
}
