//! Early fraud warnings: a card's issuer calls a charge fraudulent, before there is a dispute.

use serde_json::{Value, json};

use crate::error::{ApiError, ApiResult};
use crate::list::Listing;
use crate::route::{Call, Operation};
use crate::world::World;

pub(crate) const OPERATIONS: &[Operation] = &[
    (
        "GET",
        "/v1/radar/early_fraud_warnings",
        "@list charge:text payment_intent:text created:range",
        list,
    ),
    ("GET", "/v1/radar/early_fraud_warnings/{}", "", retrieve),
];

const KIND: &str = "radar.early_fraud_warning";

impl World {
    /// Warns of any charge that was paid, named by its id or by that of its payment intent.
    ///
    /// # Errors
    /// When there is no such charge, or when it was not paid.
    pub fn warn_of_fraud(&mut self, charge: &str, now: i64) -> ApiResult {
        self.tick(now);
        self.warn(charge, now)
    }

    /// The same, when the moment has been reached already.
    pub(crate) fn warn(&mut self, charge: &str, now: i64) -> ApiResult {
        let charge = self.charge_named(charge)?;
        if charge["paid"] != true {
            let message = "Only a charge that was paid is warned of.";
            return Err(ApiError::invalid(message).at("charge"));
        }
        let warning = json!({
            "id": self.ids.next("issfr"),
            "object": KIND,
            "actionable": is_actionable(&charge),
            "charge": charge["id"],
            "created": now,
            "fraud_type": "unauthorized_use_of_card",
            "livemode": false,
            "payment_intent": charge["payment_intent"],
        });
        self.keep(&warning);
        self.emit("radar.early_fraud_warning.created", &warning, None, now);
        Ok(warning)
    }

    /// Nothing is left to be done about the warnings of a charge that is disputed or refunded in full.
    pub(crate) fn settle_warnings(&mut self, charge: &str, now: i64) {
        let Some(charged) = self.find("charge", charge) else {
            return;
        };
        if is_actionable(&charged) {
            return;
        }
        let open = self.records.objects_by(KIND, "charge", charge);
        let open: Vec<Value> = open
            .filter(|warning| warning["actionable"] == true)
            .cloned()
            .collect();
        for before in open {
            let mut warning = before.clone();
            warning["actionable"] = json!(false);
            let event = "radar.early_fraud_warning.updated";
            self.keep_changed(&[event], &before, &warning, now);
        }
    }
}

/// Whether a refund could still avoid a dispute.
fn is_actionable(charge: &Value) -> bool {
    charge["disputed"] != true && charge["refunded"] != true
}

fn list(world: &mut World, call: &Call) -> ApiResult {
    Listing::of(KIND, &["charge", "payment_intent"]).page(&world.records, call)
}

fn retrieve(world: &mut World, call: &Call) -> ApiResult {
    let warning = world.find(KIND, call.id());
    warning.ok_or_else(|| ApiError::no_such(KIND, call.id(), "early_fraud_warning", 404))
}
