//! The verbs about money that goes back: refunds that are asked for and agreed to, and what Stripe says of refunds and disputes.

use bursar_domain::amount::Amount;
use bursar_domain::command::{Command, Reply};
use bursar_domain::dispute::Dispute;
use bursar_domain::id::RefundId;
use bursar_domain::job::{JobKey, JobKind};
use bursar_domain::refund::{Refund, RefundSent, RequestRefund};
use bursar_engine::bridge::{inbound, returns};
use bursar_engine::clock::Clock;
use bursar_store::query::{PaymentFilter, RefundFilter};
use serde_json::{Value, json};

use super::said::Names;
use super::stripe;
use super::words::Words;
use super::world::{Said, World, all};
use crate::inbox;

impl World {
    /// `refund P1 200 by=mary`, `approve R1 by=joe`, `reject R1 by=joe`.
    pub(super) fn returns_command(
        &mut self,
        verb: &str,
        words: &mut Words,
    ) -> Result<Command, String> {
        let by = words.option("by").unwrap_or_else(|| "mary".to_owned());
        if verb != "refund" {
            let (refund, agrees) = (self.refund_id(words)?, verb == "approve");
            return Ok(Command::DecideRefund { refund, agrees, by });
        }
        let payment = self.payment_id(&words.next("a payment")?)?;
        let amount = words.plain.next().map(|word| word.parse());
        Ok(Command::RequestRefund(RequestRefund {
            payment,
            amount: amount.transpose().map_err(|_| "the amount is no number")?,
            reason: words.option("reason").unwrap_or_default(),
            by,
            remark: words.remark(),
        }))
    }

    fn refund_id(&self, words: &mut Words) -> Result<RefundId, String> {
        let name = words.next("a refund")?;
        let id = RefundId::parse(self.names.id(&name)?);
        id.ok_or_else(|| format!("{name} is no refund"))
    }

    /// Stripe answers the call that asks for a refund: `sent R1 RE1 pending`, or `sent R1 refused CODE TEXT`.
    pub(super) fn sent(&mut self, words: &mut Words) -> Said {
        let id = self.refund_id(words)?;
        let key = JobKey::of_refund(JobKind::SendRefund, &id);
        let claim = match self.desk.ask(Command::ClaimJob(key)) {
            Ok(Reply::Claimed(claim)) => claim,
            Ok(other) => return Err(format!("a claim was answered with {other:?}")),
            Err(refusal) => {
                words.plain.by_ref().for_each(drop);
                return Ok(self.names.reply(Err(refusal)));
            }
        };
        let word = words.next("Stripe's id of it, or refused")?;
        let outcome = if word == "refused" {
            Err((words.next("a code")?, words.next("a text")?))
        } else {
            let status = words.next("how it stands")?;
            let refund = self.desk.reader.refund(&id).unwrap().unwrap();
            let told = refund_object(&word, "", refund.amount.minor, &status, words);
            let told = serde_json::from_value(told).unwrap();
            Ok(returns::refund_fact(&told).ok_or("it says too little")?)
        };
        let answer = self
            .desk
            .ask(Command::RefundSent(RefundSent { claim, outcome }));
        Ok(self.names.reply(answer))
    }

    /// Stripe tells of a refund: `refunded E1 RE1 I1 200 succeeded`, with `for=R1` as in its metadata.
    pub(super) fn refunded(&mut self, words: &mut Words) -> Said {
        let (event, name) = (words.next("an event")?, words.next("Stripe's id")?);
        let (intent, amount) = (words.next("an intent")?, words.number("an amount")?);
        let status = words.next("how it stands")?;
        let ours = words
            .option("for")
            .map(|name| self.names.id(&name).map(str::to_owned));
        let ours = ours.transpose()?;
        let mut object = refund_object(&name, &intent, amount, &status, words);
        object["metadata"] = ours.map_or_else(|| json!({}), |id| json!({ "refund_id": id }));
        let kind = if status == "failed" {
            "refund.failed"
        } else {
            "refund.updated"
        };
        self.tell(&event, kind, &object)
    }

    /// Stripe tells of a dispute: `disputed E1 D1 I1 500 needs_response moved=1`; how many of its movements it names: withdrawn,
    /// given back, withdrawn again.
    pub(super) fn disputed(&mut self, words: &mut Words) -> Said {
        let (event, name) = (words.next("an event")?, words.next("Stripe's id")?);
        let (intent, amount) = (words.next("an intent")?, words.number("an amount")?);
        let status = words.next("how it stands")?;
        let moved = words.one_of("moved", |word| word.parse::<usize>().ok())?;
        let currency = words.option("currency").unwrap_or_else(|| "usd".to_owned());
        let movement = |place: usize| {
            let amount = if place.is_multiple_of(2) {
                -amount
            } else {
                amount
            };
            json!({ "id": format!("txn_{name}_{place}"), "amount": amount, "currency": currency })
        };
        let object = json!({
            "id": format!("du_{name}"), "object": "dispute", "payment_intent": stripe::intent_id(&intent),
            "amount": amount, "currency": currency, "status": status, "reason": "fraudulent",
            "balance_transactions": (0..moved.unwrap_or(0)).map(movement).collect::<Vec<_>>(),
        });
        self.tell(&event, "charge.dispute.updated", &object)
    }

    /// Delivers an event about an object and works it off.
    fn tell(&mut self, name: &str, kind: &str, object: &Value) -> Said {
        let event = json!({
            "id": format!("evt_{name}"), "object": "event", "type": kind,
            "created": self.desk.clock.now().seconds(), "livemode": false,
            "api_version": "2026-10-28.endive", "data": { "object": object },
        });
        let body = serde_json::to_vec(&event).unwrap();
        let event = inbound::event(&body.into()).map_err(|error| error.to_string())?;
        self.desk.ask(Command::ReceiveEvent(event)).unwrap();
        inbox::work_off(&mut self.desk);
        Ok(vec![self.ended(name)])
    }

    /// `refunds P1`, `disputes P1`.
    pub(super) fn show_returns(&mut self, verb: &str, words: &mut Words) -> Said {
        let id = self.payment_id(&words.next("a payment")?)?;
        if verb == "disputes" {
            let disputes = self.desk.reader.disputes(&id).unwrap();
            return Ok(disputes.iter().map(dispute).collect());
        }
        let filter = RefundFilter {
            payment: Some(id),
            status: None,
        };
        let mut refunds = self.desk.reader.refunds(&filter, &all()).unwrap().items;
        refunds.reverse();
        Ok(refunds
            .iter()
            .map(|refund| self.names.refund(refund))
            .collect())
    }

    /// What payments have lost, for the changes that are told.
    pub(super) fn lost(&mut self) -> Vec<(String, String)> {
        let (reader, names) = (&mut self.desk.reader, &mut self.names);
        let payments = reader.payments(&PaymentFilter::default(), &all()).unwrap();
        let lost = payments.items.iter().map(|payment| {
            let returned = payment.returned;
            let text = format!("{} back", Amount::new(returned.posted, payment.amount.unit));
            (names.of('P', payment.id.as_str()), text)
        });
        lost.collect()
    }
}

fn refund_object(name: &str, intent: &str, amount: i64, status: &str, words: &mut Words) -> Value {
    json!({
        "id": format!("re_{name}"), "object": "refund", "payment_intent": stripe::intent_id(intent),
        "amount": amount, "currency": words.option("currency").unwrap_or_else(|| "usd".to_owned()),
        "status": status, "failure_reason": (status == "failed").then_some("declined"),
    })
}

fn dispute(dispute: &Dispute) -> String {
    let withdrawn = Amount::new(dispute.withdrawn(), dispute.amount.unit);
    let name = dispute.id.strip_prefix("du_").unwrap_or_default();
    let status = dispute.status.as_str();
    format!(
        "{name} {status}, {} in dispute, {withdrawn} withdrawn",
        dispute.amount
    )
}

impl Names {
    pub(super) fn refund(&mut self, refund: &Refund) -> String {
        let name = self.of('R', refund.id.as_str());
        let payment = self.of('P', refund.payment.as_str());
        let mut said = vec![
            format!("{name} {}", refund.status.as_str()),
            format!("{} of {payment}", refund.amount),
        ];
        let provider = refund.provider_id.as_deref();
        said.extend(provider.map(|id| id.trim_start_matches("re_").to_owned()));
        for (what, text) in [
            ("asked for by", &refund.requested_by),
            ("decided by", &refund.approved_by),
            ("because", &refund.reason),
            ("failure", &refund.failure),
        ] {
            said.extend((!text.is_empty()).then(|| format!("{what} {text}")));
        }
        said.join(", ")
    }
}
