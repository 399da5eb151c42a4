//! Calls to Stripe under way: they arrive or not, and so do their answers.

use crate::node::Node;
use crate::reach::{Call, put};
use crate::run::Run;
use crate::stripe::pick;

/// So long a call may take, in seconds. A claim is shorter, so that a worker may come too late with its result.
const CALL_SECONDS_MAX: i64 = 200;

impl Run {
    /// A call arrives at Stripe, or it does not.
    pub(crate) fn arrive(&mut self, at: usize, which: u32, well: bool) {
        let mut inner = self.nodes[at].reach.inner();
        let sent = inner.calls.iter_mut().filter(|call| call.answer.is_none());
        let sent: Vec<_> = sent.collect();
        let Some(count) = sent.len().checked_sub(1) else {
            return;
        };
        let place = which as usize % (count + 1);
        let Some(call) = sent.into_iter().nth(place) else {
            return;
        };
        call.answer = Some(if well {
            self.stripe.call(&call.request)
        } else {
            Err(failure(which))
        });
        // Nobody waits for what a dead process has asked.
        inner
            .calls
            .retain(|call| call.answer.is_none() || call.slot.is_some());
        drop(inner);
        self.count(if well { "calls" } else { "calls_failed" });
    }

    /// Stripe's answer arrives.
    pub(crate) fn bring(&mut self, at: usize, which: u32) {
        let mut inner = self.nodes[at].reach.inner();
        let answered = inner.calls.iter().enumerate();
        let answered = answered.filter(|(_, call)| call.answer.is_some());
        let places: Vec<usize> = answered.map(|(place, _)| place).collect();
        let Some(place) = pick(&places, which) else {
            return;
        };
        let call = inner.calls.remove(*place);
        drop(inner);
        if let (Some(slot), Some(answer)) = (call.slot, call.answer) {
            put(&slot, answer);
        }
        self.nodes[at].go_on();
    }

    /// Whoever waits gives up; the call may still arrive.
    pub(crate) fn time_out(&mut self, at: usize, which: u32) {
        let mut inner = self.nodes[at].reach.inner();
        let waits = inner.calls.iter_mut().filter(|call| call.slot.is_some());
        let mut waits: Vec<_> = waits.collect();
        let Some(count) = waits.len().checked_sub(1) else {
            return;
        };
        let slot = waits[which as usize % (count + 1)].slot.take();
        inner
            .calls
            .retain(|call| call.answer.is_none() || call.slot.is_some());
        drop(inner);
        self.count("time_outs");
        if let Some(slot) = slot {
            put(&slot, Err(unknown("no answer in time", None)));
        }
        self.nodes[at].go_on();
    }
}

fn unknown(reason: &str, status: Option<u16>) -> bursar_stripe::Error {
    bursar_stripe::Error::Unknown {
        reason: reason.to_owned(),
        status,
        request_id: None,
        after: None,
    }
}

fn failure(which: u32) -> bursar_stripe::Error {
    match which % 3 {
        0 => bursar_stripe::Error::Unreachable {
            reason: "no connection".to_owned(),
        },
        1 => unknown("503", Some(503)),
        _ => bursar_stripe::Error::from_answer(429, None, None, b"{}"),
    }
}

/// Nobody waits for ever, and what was sent long ago does not arrive any more.
pub(crate) fn give_up_calls(node: &mut Node, now: i64) {
    let oldest = now - CALL_SECONDS_MAX;
    let mut inner = node.reach.inner();
    let (old, young) = std::mem::take(&mut inner.calls)
        .into_iter()
        .partition(|call: &Call| call.at < oldest);
    inner.calls = young;
    drop(inner);
    for slot in old.into_iter().filter_map(|call| call.slot) {
        put(&slot, Err(unknown("no answer in time", None)));
    }
    node.go_on();
}
