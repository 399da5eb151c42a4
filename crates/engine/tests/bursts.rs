//! What the sandbox tells about purchases whose money goes back, delivered in many orders: the same books each time.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a helper of a test fails the test"
)]

mod desk;
#[path = "desk/inbox.rs"]
mod inbox;

use bursar_domain::account::{AccountKey, AccountKind};
use bursar_domain::award::Award;
use bursar_domain::checkout::{OpenCheckout, SessionOpened};
use bursar_domain::command::{Command, Reply};
use bursar_domain::id::UserId;
use bursar_domain::job::{JobKey, JobKind};
use bursar_domain::payment::{Payment, PaymentStatus, Returned};
use bursar_domain::topup::CreateTopup;
use bursar_engine::bridge::inbound;
use bursar_sandbox::claim::{Claim, Verdict};
use bursar_sandbox::id::Ids;
use bursar_sandbox::pay::{CardEntry, PayOutcome, Payment as Pay, Settlement};
use bursar_sandbox::records::Records;
use bursar_sandbox::refund::Arrival;
use bursar_sandbox::world::{Setup, World};
use serde_json::{Value, json};

use desk::Desk;

const CREDITS: i64 = 999;
const NOW: i64 = 1_767_225_600;

/// So many orders of each burst.
const ORDERS: u64 = 64;

/// A Stripe in the hands of the test, and how far its events were read.
struct Stripe {
    world: World,
    read: Option<String>,
    now: i64,
}

impl Stripe {
    fn new() -> Self {
        let setup = Setup {
            base_url: "http://127.0.0.1".to_owned(),
            api_keys: vec!["sk_test_bursts".to_owned()],
            default_version: bursar_sandbox::DEFAULT_VERSION.to_owned(),
        };
        Self {
            world: World::new(Records::default(), Ids::seeded(7, 0), setup),
            read: None,
            now: NOW,
        }
    }

    fn ask(&mut self, method: &str, path: &str, params: Value) -> Value {
        let answer = self.world.call(method, path, params, None, self.now);
        assert_eq!(answer.status, 200, "{}", answer.body);
        answer.body
    }

    fn open(&mut self, payment: &Payment) -> String {
        let metadata = json!({ "payment_id": payment.id.as_str() });
        let session = self.ask(
            "POST",
            "/v1/checkout/sessions",
            json!({
                "mode": "payment",
                "line_items": [{
                    "price_data": {
                        "currency": payment.amount.unit.code(),
                        "unit_amount": payment.amount.minor,
                        "product_data": { "name": "Credits" },
                    },
                    "quantity": 1,
                }],
                "success_url": "https://shop.example/paid",
                "metadata": metadata,
                "payment_intent_data": { "metadata": metadata },
            }),
        );
        session["id"].as_str().unwrap().to_owned()
    }

    fn session(&mut self, id: &str) -> Value {
        self.ask("GET", &format!("/v1/checkout/sessions/{id}"), json!({}))
    }

    fn intent(&mut self, session: &str) -> String {
        let session = self.session(session);
        session["payment_intent"].as_str().unwrap().to_owned()
    }

    fn pay(&mut self, session: &str, number: &str) -> PayOutcome {
        let card = Pay::Card(CardEntry {
            number: number.to_owned(),
            exp_month: 12,
            exp_year: 2040,
            cvc: Some("123".to_owned()),
            email: None,
        });
        self.world.pay_session(session, &card, self.now)
    }

    fn refund(&mut self, session: &str, amount: i64) -> String {
        let intent = self.intent(session);
        let wish = json!({ "payment_intent": intent, "amount": amount });
        let refund = self.ask("POST", "/v1/refunds", wish);
        refund["id"].as_str().unwrap().to_owned()
    }

    fn dispute(&mut self, session: &str, claim: &Claim) -> String {
        let intent = self.intent(session);
        let dispute = self.world.open_dispute(&intent, claim, self.now);
        dispute.unwrap()["id"].as_str().unwrap().to_owned()
    }

    /// What it tells since it was asked last.
    fn news(&mut self) -> Vec<Vec<u8>> {
        let told = self.world.events_after(self.read.as_deref(), 1_000, None);
        if let Some(last) = told.last() {
            self.read = Some(last.id.clone());
        }
        told.into_iter().map(|event| event.body).collect()
    }
}

/// What happens to a session, and what must come of it: the status, the credits that are left, and the money that went back.
type Story = (fn(&mut Stripe, &str), PaymentStatus, i64, i64);

const VISA: &str = "4242424242424242";

fn refunded_in_two_parts(stripe: &mut Stripe, session: &str) {
    stripe.pay(session, VISA);
    stripe.refund(session, 333);
    stripe.refund(session, 666);
}

fn refund_that_fails(stripe: &mut Stripe, session: &str) {
    stripe.pay(session, VISA);
    stripe.refund(session, 100);
    let refund = stripe.refund(session, 500);
    let failed = stripe
        .world
        .decide_refund(&refund, Arrival::Failed, stripe.now);
    failed.unwrap();
}

fn won_dispute_after_a_refund(stripe: &mut Stripe, session: &str) {
    stripe.pay(session, VISA);
    stripe.refund(session, 99);
    let dispute = stripe.dispute(session, &Claim::default());
    let won = stripe
        .world
        .decide_dispute(&dispute, Verdict::Won, stripe.now);
    won.unwrap();
}

fn lost_after_an_inquiry(stripe: &mut Stripe, session: &str) {
    stripe.pay(session, "4000000000000002");
    stripe.pay(session, VISA);
    let question = Claim {
        inquiry: true,
        ..Claim::default()
    };
    let dispute = stripe.dispute(session, &question);
    for verdict in [Verdict::Escalated, Verdict::Lost] {
        let decided = stripe.world.decide_dispute(&dispute, verdict, stripe.now);
        decided.unwrap();
    }
}

fn delayed_and_refunded(stripe: &mut Stripe, session: &str) {
    let debit = Pay::Delayed {
        kind: "us_bank_account".to_owned(),
        settles: Some(Settlement {
            at: stripe.now + 1,
            succeeds: true,
        }),
    };
    stripe.world.pay_session(session, &debit, stripe.now);
    stripe.now += 1;
    stripe.world.tick(stripe.now);
    stripe.refund(session, 999);
}

const STORIES: [Story; 5] = [
    (refunded_in_two_parts, PaymentStatus::Refunded, 0, 999),
    (
        refund_that_fails,
        PaymentStatus::PartiallyRefunded,
        899,
        100,
    ),
    (
        won_dispute_after_a_refund,
        PaymentStatus::PartiallyRefunded,
        900,
        99,
    ),
    (lost_after_an_inquiry, PaymentStatus::Disputed, 0, 999),
    (delayed_and_refunded, PaymentStatus::Refunded, 0, 999),
];

/// A purchase whose session is open at Stripe, which has not answered us yet.
fn begin(desk: &mut Desk, stripe: &mut Stripe, user: &UserId) -> (Payment, String) {
    let wish = CreateTopup::plain(user.clone(), CREDITS);
    let Ok(Reply::Topup(topup)) = desk.ask(Command::CreateTopup(wish)) else {
        panic!("no top-up");
    };
    let wish = OpenCheckout {
        topup: topup.id,
        user: user.clone(),
        success_url: String::new(),
        cancel_url: String::new(),
        save_card: false,
    };
    let Ok(Reply::Payment(payment)) = desk.ask(Command::OpenCheckout(wish)) else {
        panic!("no payment");
    };
    let session = stripe.open(&payment);
    (payment, session)
}

/// Stripe's answer to the call that opened the session comes in.
fn opened(desk: &mut Desk, payment: &Payment, session: &Value) {
    let key = JobKey::of_payment(JobKind::OpenSession, &payment.id);
    let Ok(Reply::Claimed(claim)) = desk.ask(Command::ClaimJob(key)) else {
        panic!("no claim");
    };
    let session = serde_json::from_value(session.clone()).unwrap();
    let opened = SessionOpened {
        claim,
        checkout_url: None,
        fact: inbound::session_fact(&session),
    };
    desk.ask(Command::SessionOpened(opened)).unwrap();
}

#[derive(Debug, PartialEq)]
struct End {
    status: PaymentStatus,
    returned: Returned,
    credits: i64,
    taken: Vec<i64>,
}

fn end(desk: &mut Desk, payment: &Payment) -> End {
    let payment = desk.reader.payment(&payment.id).unwrap().unwrap();
    let awards = desk.reader.awards(&payment.id).unwrap();
    let wallet = desk.wallets(vec![AccountKey::wallet(&payment.user)]);
    let wallet = wallet[0].as_ref().unwrap();
    End {
        status: payment.status,
        returned: payment.returned,
        credits: wallet.account.balance,
        taken: awards.iter().map(|award: &Award| award.taken).collect(),
    }
}

/// The same sequence in every run (Marsaglia's xorshift), so that a failure can be repeated.
struct Chance(u64);

impl Chance {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % u64::try_from(bound).unwrap()).unwrap()
    }

    /// Another order; some deliveries twice.
    fn disturb(&mut self, deliveries: &mut Vec<Option<Vec<u8>>>) {
        for _ in 0..self.below(4) {
            let again = deliveries[self.below(deliveries.len())].clone();
            deliveries.extend(again.map(Some));
        }
        for place in (1..deliveries.len()).rev() {
            deliveries.swap(place, self.below(place + 1));
        }
    }
}

#[test]
fn bursts_about_money_that_goes_back_end_in_the_same_books_in_every_order() {
    for (place, (tell, status, credits, back)) in STORIES.iter().enumerate() {
        let (mut desk, mut stripe) = (Desk::new(), Stripe::new());
        for order in 0..ORDERS {
            let user = UserId::parse(&format!("user-{order}")).unwrap();
            let (payment, session) = begin(&mut desk, &mut stripe, &user);
            let as_opened = stripe.session(&session);
            stripe.news();
            tell(&mut stripe, &session);
            // The answer to our own call is one delivery among the others.
            let mut deliveries: Vec<Option<Vec<u8>>> = vec![None];
            deliveries.extend(stripe.news().into_iter().map(Some));
            assert!(deliveries.len() > 6, "story {place} tells too little");
            if order > 0 {
                Chance(order * 7_919).disturb(&mut deliveries);
            }
            for delivery in deliveries {
                match delivery {
                    None => opened(&mut desk, &payment, &as_opened),
                    Some(body) => {
                        let event = inbound::event(&body.into()).unwrap();
                        desk.ask(Command::ReceiveEvent(event)).unwrap();
                    }
                }
                inbox::work_off(&mut desk);
            }
            let expected = End {
                status: *status,
                returned: Returned {
                    posted: *back,
                    ..end(&mut desk, &payment).returned
                },
                credits: *credits,
                taken: vec![CREDITS - credits],
            };
            assert_eq!(
                end(&mut desk, &payment),
                expected,
                "story {place}, order {order}"
            );
        }
        let report = desk.audit();
        assert_eq!(report.differences, vec![]);
        let sold = report.balances.iter();
        let sold = sold.filter(|(key, _)| key.kind == AccountKind::Sold);
        let sold: i128 = sold.map(|(_, balance)| -balance).sum();
        assert_eq!(sold, i128::from(*credits) * i128::from(ORDERS));
    }
}
