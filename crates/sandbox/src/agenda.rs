//! What happens by itself when its time comes.

use serde_json::{Value, json};

use crate::records::Collection;
use crate::refund::Arrival;
use crate::world::World;

impl World {
    /// Notes that `what` is to happen to an object at a moment.
    pub(crate) fn plan(&mut self, at: i64, what: &str, id: &str) {
        let key = self.ids.next("due");
        let due = json!({ "object": "due", "at": at, "what": what, "id": id });
        self.records.put(Collection::Private, &key, due);
        self.agenda.insert((at, key));
    }

    /// Reads the agenda back from the records.
    pub(crate) fn read_agenda(&mut self) {
        let due = self.records.keyed(Collection::Private, "due");
        self.agenda = due
            .filter_map(|(key, due)| Some((due["at"].as_i64()?, key.to_owned())))
            .collect();
    }

    /// Does what has become due: expires sessions, settles delayed payments and refunds, frees funds, opens
    /// disputes, forgets idempotency keys and events.
    pub fn tick(&mut self, now: i64) {
        while let Some((at, key)) = self.agenda.first().cloned()
            && at <= now
        {
            self.agenda.pop_first();
            if let Some(due) = self.records.delete(Collection::Private, &key) {
                self.fall_due(&due, now);
            }
        }
        self.forget_events(now);
    }

    fn fall_due(&mut self, due: &Value, now: i64) {
        let Some(id) = due["id"].as_str() else { return };
        match due["what"].as_str().unwrap_or_default() {
            "expire_session" => self.expire_session_due(id, now),
            "payment_arrives" => drop(self.settle_delayed(id, true, now)),
            "payment_bounces" => drop(self.settle_delayed(id, false, now)),
            "refund_arrives" => drop(self.arrive(id, Arrival::Succeeded, now)),
            "refund_bounces" => drop(self.arrive(id, Arrival::Failed, now)),
            "funds_available" => self.free_funds(id),
            "forget_key" => drop(self.records.delete(Collection::Idempotency, id)),
            "forget_event" => self.forget_event(id),
            "coupon_ends" => self.end_coupon(id, now),
            "promotion_code_ends" => self.end_promotion_code(id),
            "dispute" => self.open_dispute_of_card(id, now),
            "fraud_warning" => drop(self.warn(id, now)),
            other => tracing::warn!(
                what = other,
                "the agenda names something this version does not know"
            ),
        }
    }
}
