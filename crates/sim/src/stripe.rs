//! Stripe in a run: the sandbox's world, its clock, and what customers, their banks and the dashboard do there.

use bursar_sandbox::claim::{Claim, Verdict};
use bursar_sandbox::id::Ids;
use bursar_sandbox::pay::Payment;
use bursar_sandbox::records::{Collection, Records};
use bursar_sandbox::refund::Arrival;
use bursar_sandbox::request::ApiRequest;
use bursar_sandbox::world::{Setup, World};
use bursar_stripe::form;
use bursar_stripe::request::{Method, Request};
use serde_json::{Value, json};

use crate::reach::Called;
use crate::script::{Step, Verb};

/// Cards that can be saved: most pay, one wants its owner to be there, two do not pay later.
const CARDS: [&str; 6] = [
    "pm_card_visa",
    "pm_card_mastercard",
    "pm_card_pendingRefund",
    "pm_card_authenticationRequired",
    "pm_card_chargeCustomerFail",
    "pm_card_visa",
];

const KEY: &str = "sk_test_simulator";

/// The first moment of every run: 2026-11-01.
pub(crate) const BEGIN: i64 = 1_793_491_200;

pub(crate) struct Stripe {
    pub(crate) world: World,
    /// What its clock shows, in seconds since 1970. It never goes back.
    pub(crate) now: i64,
    /// What is answered to whoever only reads, so many times more, and until when.
    behind: Option<Behind>,
}

/// Stripe as it was some time ago.
struct Behind {
    world: World,
    left: u32,
    until: i64,
}

/// So long what is read may be behind what happens, in seconds.
const BEHIND_SECONDS: i64 = 100;

/// An event as it is delivered.
#[derive(Debug, Clone)]
pub(crate) struct Told {
    pub(crate) id: String,
    pub(crate) body: Vec<u8>,
    /// Whether nobody will ever deliver it.
    pub(crate) is_lost: bool,
}

impl Stripe {
    pub(crate) fn new(seed: u64) -> Self {
        let setup = Setup {
            base_url: "http://stripe.test".to_owned(),
            api_keys: vec![KEY.to_owned()],
            default_version: bursar_stripe::VERSION.to_owned(),
        };
        Self {
            world: World::new(Records::default(), Ids::seeded(seed, 0), setup),
            now: BEGIN,
            behind: None,
        }
    }

    /// The next `readings` see what there is now, whatever happens.
    pub(crate) fn fall_behind(&mut self, readings: u32) {
        let mut records = Records::default();
        for group in [
            Collection::Object,
            Collection::Private,
            Collection::Idempotency,
            Collection::Setting,
        ] {
            for (id, value) in self.world.records.list(group).into_iter().rev() {
                records.put(group, id, value.clone());
            }
        }
        records.settle();
        self.behind = Some(Behind {
            world: World::new(records, Ids::seeded(1, 0), self.world.setup.clone()),
            left: readings,
            until: self.now + BEHIND_SECONDS,
        });
    }

    /// What is read is what there is.
    pub(crate) fn catch_up(&mut self) {
        self.behind = None;
    }

    /// Time passes.
    pub(crate) fn wait(&mut self, seconds: i64) {
        self.now += seconds;
        self.world.tick(self.now);
        self.world.settle();
    }

    /// A call has arrived.
    pub(crate) fn call(&mut self, request: &Request) -> Called {
        let method = match request.method {
            Method::Get => "GET",
            Method::Post => "POST",
            Method::Delete => "DELETE",
        };
        let sent = form::encode(&request.params);
        let unread = |error: form::FormError| bursar_stripe::Error::Unsendable {
            reason: error.to_string(),
        };
        let asked = ApiRequest {
            method: method.to_owned(),
            path: request.path.clone(),
            params: form::decode(sent.as_bytes()).map_err(unread)?,
            api_key: Some(KEY.to_owned()),
            idempotency_key: request.idempotency_key.clone(),
            version: Some(bursar_stripe::VERSION.to_owned()),
        };
        let is_old = |behind: &&mut Behind| behind.left > 0 && self.now <= behind.until;
        let behind = self.behind.as_mut().filter(is_old);
        let world = match behind.filter(|_| method == "GET") {
            Some(behind) => {
                behind.left -= 1;
                &mut behind.world
            }
            None => &mut self.world,
        };
        let answer = world.request(&asked, self.now);
        world.settle();
        if answer.status == 200 {
            return Ok(answer.body);
        }
        let body = answer.body.to_string();
        Err(bursar_stripe::Error::from_answer(
            answer.status,
            None,
            None,
            body.as_bytes(),
        ))
    }

    /// Everything that was told after the event of this id, oldest first.
    pub(crate) fn events_after(&self, last: Option<&str>) -> Vec<Told> {
        let told = self.world.events_after(last, usize::MAX, None);
        let told = told.into_iter().map(|told| Told {
            id: told.id,
            body: told.body,
            is_lost: false,
        });
        told.collect()
    }

    /// Objects of a kind of a payment intent, newest first.
    pub(crate) fn of_intent(&self, kind: &str, intent: &str) -> Vec<Value> {
        let all = self.world.records.objects(kind);
        all.filter(|object| object["payment_intent"] == intent)
            .cloned()
            .collect()
    }

    /// The checkout session of this id.
    pub(crate) fn session(&self, id: &str) -> Option<&Value> {
        let mut all = self.world.records.objects("checkout.session");
        all.find(|session| session["id"] == id)
    }

    /// The saved cards of a customer, oldest first.
    pub(crate) fn cards(&self, customer: &str) -> Vec<String> {
        let all = self.world.records.objects("payment_method").rev();
        let of_customer = all.filter(|method| method["customer"] == customer);
        of_customer
            .filter_map(|method| method["id"].as_str().map(str::to_owned))
            .collect()
    }

    /// A customer saves a card.
    pub(crate) fn save_card(&mut self, customer: &str, which: u32) {
        let (now, card) = (self.now, CARDS[which as usize % CARDS.len()]);
        let path = format!("/v1/payment_methods/{card}/attach");
        let params = json!({ "customer": customer });
        drop(self.world.call("POST", &path, params, None, now));
        self.world.settle();
    }

    /// The payment intent of this id.
    pub(crate) fn intent(&self, id: &str) -> Option<&Value> {
        let mut all = self.world.records.objects("payment_intent");
        all.find(|intent| intent["id"] == id)
    }

    /// What a customer does on a page of the product.
    fn act_on_intent(&mut self, intent: &str, step: Step) {
        let (now, path) = (self.now, format!("/v1/payment_intents/{intent}"));
        let method = match step.verb {
            Verb::Pay => "pm_card_visa",
            Verb::Decline => "pm_card_chargeDeclined",
            Verb::PayDelayed => "pm_usBankAccount",
            Verb::Expire => {
                let path = format!("{path}/cancel");
                drop(self.world.call("POST", &path, json!({}), None, now));
                return;
            }
            _ => return self.act_later(intent, step),
        };
        let params = json!({ "payment_method": method, "return_url": "http://shop.test/paid" });
        let path = format!("{path}/confirm");
        drop(self.world.call("POST", &path, params, None, now));
    }

    /// What a customer, a bank or the dashboard does to a session. What is impossible at the moment does not happen.
    pub(crate) fn act(&mut self, session: &str, step: Step) {
        let now = self.now;
        if session.starts_with("pi_") {
            self.act_on_intent(session, step);
            return self.world.settle();
        }
        let world = &mut self.world;
        let method = |name: &str| Payment::Method(name.to_owned());
        match step.verb {
            Verb::Pay => drop(world.pay_session(session, &method("pm_card_visa"), now)),
            Verb::Decline => {
                drop(world.pay_session(session, &method("pm_card_chargeDeclined"), now));
            }
            Verb::PayDelayed => {
                let delayed = Payment::Delayed {
                    kind: "us_bank_account".to_owned(),
                    settles: None,
                };
                drop(world.pay_session(session, &delayed, now));
            }
            Verb::Expire => drop(world.expire(session, now)),
            _ => {
                let found = self.session(session);
                let intent = found.and_then(|found| found["payment_intent"].as_str());
                if let Some(intent) = intent.map(str::to_owned) {
                    self.act_later(&intent, step);
                }
            }
        }
        self.world.settle();
    }

    fn act_later(&mut self, intent: &str, step: Step) {
        let now = self.now;
        match step.verb {
            Verb::Arrive | Verb::Bounce => {
                let arrives = step.verb == Verb::Arrive;
                self.world.settle_delayed(intent, arrives, now);
            }
            Verb::RefundThere => {
                let mut params = json!({ "payment_intent": intent });
                if !step.how.is_multiple_of(4) {
                    params["amount"] = json!(1 + step.how % 300);
                }
                drop(self.world.call("POST", "/v1/refunds", params, None, now));
            }
            Verb::RefundTurns => {
                let refunds = self.of_intent("refund", intent);
                let ends = [Arrival::Failed, Arrival::Succeeded, Arrival::Canceled];
                let end = ends[step.how as usize % ends.len()];
                if let Some(refund) = pick(&refunds, step.how / 3) {
                    let id = refund["id"].as_str().unwrap_or_default();
                    drop(self.world.decide_refund(id, end, now));
                }
            }
            Verb::Dispute | Verb::Inquire => {
                let claim = Claim {
                    inquiry: step.verb == Verb::Inquire,
                    ..Claim::default()
                };
                drop(self.world.open_dispute(intent, &claim, now));
            }
            Verb::Escalate | Verb::Win | Verb::Lose => {
                let verdict = match step.verb {
                    Verb::Escalate => Verdict::Escalated,
                    Verb::Win => Verdict::Won,
                    _ => Verdict::Lost,
                };
                let disputes = self.of_intent("dispute", intent);
                if let Some(dispute) = pick(&disputes, step.how) {
                    let id = dispute["id"].as_str().unwrap_or_default();
                    drop(self.world.decide_dispute(id, verdict, now));
                }
            }
            _ => {}
        }
    }
}

/// One of them, in most cases one of the newest: what happens to the same thing several times is where the faults are.
pub(crate) fn pick_recent<T>(all: &[T], which: u32) -> Option<&T> {
    const NEWEST: usize = 3;
    if which.is_multiple_of(3) {
        return pick(all, which / 3);
    }
    pick(&all[all.len().saturating_sub(NEWEST)..], which / 3)
}

/// One of them, if there is any.
pub(crate) fn pick<T>(all: &[T], which: u32) -> Option<&T> {
    (!all.is_empty()).then(|| &all[which as usize % all.len()])
}
