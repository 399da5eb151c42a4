//! What customers, their banks and the dashboard do: drawn at random, played in the sandbox.

use bursar_sandbox::World;
use bursar_sandbox::claim::{Claim, Verdict};
use bursar_sandbox::pay::{Payment, Settlement};
use bursar_sandbox::refund::Arrival;
use serde_json::{Value, json};

#[path = "../../../sim/src/draw.rs"]
mod draw;

pub(crate) use draw::Draw;

impl Draw {
    pub(crate) fn chance(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }

    pub(crate) fn pick<T: Clone>(&mut self, all: &[T]) -> T {
        let place = usize::try_from(self.below(all.len() as u64)).unwrap();
        all[place].clone()
    }

    pub(crate) fn shuffle<T>(&mut self, all: &mut [T]) {
        for place in (1..all.len()).rev() {
            let other = usize::try_from(self.below(place as u64 + 1)).unwrap();
            all.swap(place, other);
        }
    }
}

/// One thing that happens to a session. What is impossible in the moment does not happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    Decline,
    Pay,
    PayDelayed,
    Arrive,
    Bounce,
    Expire,
    RefundSome,
    RefundRest,
    RefundFails,
    RefundIsSlow,
    Dispute,
    Inquiry,
    Escalate,
    Win,
    Lose,
}

/// A whole history.
pub(crate) fn steps(draw: &mut Draw) -> Vec<Step> {
    let mut steps = Vec::new();
    for _ in 0..draw.below(3) {
        steps.push(Step::Decline);
    }
    match draw.below(10) {
        0 => {}
        1 => steps.push(Step::Expire),
        2 | 3 => {
            steps.push(Step::PayDelayed);
            let end = draw.pick(&[
                None,
                Some(Step::Arrive),
                Some(Step::Arrive),
                Some(Step::Bounce),
            ]);
            steps.extend(end);
        }
        _ => steps.push(Step::Pay),
    }
    let later = [
        Step::RefundSome,
        Step::RefundSome,
        Step::RefundRest,
        Step::RefundFails,
        Step::RefundIsSlow,
        Step::Dispute,
        Step::Inquiry,
        Step::Escalate,
        Step::Win,
        Step::Lose,
    ];
    for _ in 0..draw.below(6) {
        steps.push(draw.pick(&later));
    }
    steps
}

fn newest(world: &mut World, kind: &str, intent: &str, now: i64) -> Option<Value> {
    let path = format!("/v1/{kind}s");
    let list = world.call(
        "GET",
        &path,
        json!({"payment_intent": intent, "limit": 100}),
        None,
        now,
    );
    let body = list.body;
    body["data"].as_array()?.first().cloned()
}

/// Plays a step. The outcome does not matter: whatever is possible is allowed to happen.
pub(crate) fn play(world: &mut World, session: &str, step: Step, draw: &mut Draw, now: i64) {
    if session.starts_with("pi_") {
        return play_intent(world, session, step, draw, now);
    }
    let pay = |method: &str| Payment::Method(method.to_owned());
    match step {
        Step::Decline => drop(world.pay_session(session, &pay("pm_card_chargeDeclined"), now)),
        Step::Pay => drop(world.pay_session(session, &pay("pm_card_visa"), now)),
        Step::PayDelayed => {
            let settles = None::<Settlement>;
            let kind = "us_bank_account".to_owned();
            drop(world.pay_session(session, &Payment::Delayed { kind, settles }, now));
        }
        Step::Expire => {
            world.expire(session, now);
        }
        _ => {
            let path = format!("/v1/checkout/sessions/{session}");
            let read = world.call("GET", &path, json!({}), None, now);
            let read = read.body;
            if let Some(intent) = read["payment_intent"].as_str() {
                later(world, intent, step, draw, now);
            }
        }
    }
}

/// The same without a session: the customer pays on a page of the product.
fn play_intent(world: &mut World, intent: &str, step: Step, draw: &mut Draw, now: i64) {
    let path = format!("/v1/payment_intents/{intent}");
    let mut confirm = |method: &str| {
        let params = json!({"payment_method": method, "return_url": "http://127.0.0.1/"});
        drop(world.call("POST", &format!("{path}/confirm"), params, None, now));
    };
    match step {
        Step::Decline => confirm("pm_card_chargeDeclined"),
        Step::Pay | Step::PayDelayed => confirm("pm_card_visa"),
        Step::Expire => drop(world.call("POST", &format!("{path}/cancel"), json!({}), None, now)),
        _ => later(world, intent, step, draw, now),
    }
}

fn later(world: &mut World, intent: &str, step: Step, draw: &mut Draw, now: i64) {
    match step {
        Step::Arrive | Step::Bounce => {
            world.settle_delayed(intent, step == Step::Arrive, now);
        }
        Step::RefundSome | Step::RefundRest => {
            let mut params = json!({"payment_intent": intent});
            if step == Step::RefundSome {
                params["amount"] = json!(1 + draw.below(300));
            }
            drop(world.call("POST", "/v1/refunds", params, None, now));
        }
        Step::RefundFails | Step::RefundIsSlow => {
            let arrival = draw.pick(&[Arrival::Succeeded, Arrival::Failed, Arrival::Canceled]);
            let arrival = if step == Step::RefundFails {
                Arrival::Failed
            } else {
                arrival
            };
            if let Some(refund) = newest(world, "refund", intent, now) {
                drop(world.decide_refund(refund["id"].as_str().unwrap(), arrival, now));
            }
        }
        Step::Dispute | Step::Inquiry => {
            let claim = Claim {
                inquiry: step == Step::Inquiry,
                ..Claim::default()
            };
            drop(world.open_dispute(intent, &claim, now));
        }
        _ => {
            let verdict = match step {
                Step::Escalate => Verdict::Escalated,
                Step::Win => Verdict::Won,
                _ => Verdict::Lost,
            };
            if let Some(dispute) = newest(world, "dispute", intent, now) {
                drop(world.decide_dispute(dispute["id"].as_str().unwrap(), verdict, now));
            }
        }
    }
}
