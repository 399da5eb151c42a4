//! A service whose Stripe is the sandbox: purchases, declines and refunds as they come about for customers.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use bursar_sandbox::clock::FixedClock;
use bursar_sandbox::pay::{CardEntry, PayOutcome, Payment};
use bursar_sandbox::{Sandbox, SandboxConfig};
use bursar_stripe::signature::{self, Secret};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::door::Door;
use crate::house::{Answer, NOW, WEBHOOK, WEBHOOK_SECRET};

pub(crate) const REFUND: &str = "/v1/payment.stripe/refunds/create";
const KEY: &str = "sk_test_aB3dE5fG7hJ9kL1mN2pQ";

/// A shop: the service behind its door, and the Stripe behind the service.
pub(crate) struct Shop {
    pub(crate) door: Door,
    pub(crate) sandbox: Sandbox,
    /// The last event that was delivered.
    told: Mutex<Option<String>>,
}

/// What a customer has bought.
pub(crate) struct Purchase {
    pub(crate) payment: String,
    pub(crate) session: String,
}

impl Shop {
    pub(crate) async fn open(settings: &[(&str, &str)]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let mut config = SandboxConfig::new("https://stripe.test", KEY);
        config.seed = Some(7);
        let clock = Arc::new(FixedClock::at(NOW));
        let sandbox = Sandbox::open_at(config, clock).unwrap();
        let router = sandbox.router();
        tokio::spawn(async move { axum::serve(listener, router).await });
        let mut all = vec![
            ("STRIPE_SECRET_KEY", KEY),
            ("STRIPE_API_BASE_URL", base.as_str()),
            ("STRIPE_WEBHOOK_SECRET", WEBHOOK_SECRET),
            ("BURSAR_BASE_URL", "https://shop.test"),
        ];
        all.extend_from_slice(settings);
        Self {
            door: Door::open_with(&all).await,
            sandbox,
            told: Mutex::default(),
        }
    }

    /// A card as a customer types it in.
    pub(crate) fn pay(&self, session: &str, number: &str) -> PayOutcome {
        let card = CardEntry {
            number: number.to_owned(),
            exp_month: 12,
            exp_year: 2034,
            cvc: Some("314".to_owned()),
            email: Some("jenny.rosen@example.com".to_owned()),
        };
        let pay = |world: &mut bursar_sandbox::World, now| {
            world.pay_session(session, &Payment::Card(card), now)
        };
        self.sandbox.change(pay).unwrap()
    }

    /// The customer confirms a payment intent in Stripe's form.
    pub(crate) fn confirm(&self, intent: &str, method: &str) {
        let params = json!({"payment_method": method, "return_url": "https://shop.test/"});
        self.at_stripe(&format!("/v1/payment_intents/{intent}/confirm"), params);
    }

    /// A request of somebody else to Stripe: the dashboard, a browser.
    pub(crate) fn at_stripe(&self, path: &str, params: Value) -> bursar_sandbox::ApiResponse {
        let request = bursar_sandbox::ApiRequest {
            method: "POST".to_owned(),
            path: path.to_owned(),
            params,
            api_key: Some(self.sandbox.config().secret_key.clone()),
            idempotency_key: None,
            version: None,
        };
        self.sandbox.request(&request).unwrap()
    }

    /// Opens a checkout for so many credits.
    pub(crate) async fn checkout(&self, user: &str, credits: i64) -> Purchase {
        let key = self.door.key_of(user).await;
        let topup = self
            .post_as(
                &key,
                "/v1/balance/topups/create",
                &json!({"amount": credits}),
            )
            .await
            .ok();
        let asked = json!({"topup_id": topup["topup_id"]});
        let payment = self
            .post_as(&key, "/v1/payment.stripe/checkout/create", &asked)
            .await
            .ok();
        let text = |name: &str| payment[name].as_str().unwrap().to_owned();
        Purchase {
            payment: text("payment_id"),
            session: text("stripe_checkout_session_id"),
        }
    }

    /// A purchase that is paid and credited.
    pub(crate) async fn buy(&self, user: &str, credits: i64) -> Purchase {
        let purchase = self.checkout(user, credits).await;
        let paid = self.pay(&purchase.session, "4242424242424242");
        assert_eq!(paid, PayOutcome::Succeeded);
        self.deliver().await;
        assert_eq!(self.payment(&purchase.payment).await["status"], "paid");
        purchase
    }

    /// A purchase by this card, with what its bank does once time passes.
    pub(crate) async fn buy_by(&self, user: &str, credits: i64, card: &str) -> Purchase {
        let purchase = self.checkout(user, credits).await;
        assert_eq!(self.pay(&purchase.session, card), PayOutcome::Succeeded);
        self.sandbox.change(bursar_sandbox::World::tick).unwrap();
        self.deliver().await;
        purchase
    }

    /// Waits for what workers do by themselves, a minute at most.
    pub(crate) async fn eventually(&self, is_so: impl AsyncFn() -> bool) {
        for _ in 0..12_000 {
            if is_so().await {
                return;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        panic!("it did not happen");
    }

    pub(crate) async fn post_as(&self, token: &str, path: &str, body: &Value) -> Answer {
        let bearer = format!("Bearer {token}");
        let headers = [
            ("authorization", bearer.as_str()),
            ("content-type", "application/json"),
        ];
        self.door
            .call(("POST", path), &headers, body.to_string())
            .await
    }

    /// Delivers what has happened since the last time and waits until it is worked off; the types of the events.
    pub(crate) async fn deliver(&self) -> Vec<String> {
        let events = self.new_events();
        for event in &events {
            self.deliver_body(&event.body, WEBHOOK).await.ok();
        }
        self.rest().await;
        events.into_iter().map(|event| event.kind).collect()
    }

    /// The events since the last time.
    pub(crate) fn new_events(&self) -> Vec<bursar_sandbox::event::Told> {
        let last = self.told.lock().unwrap().clone();
        let version = Some(bursar_stripe::VERSION);
        let read =
            |world: &bursar_sandbox::World, _| world.events_after(last.as_deref(), 1_000, version);
        let events = self.sandbox.read(read);
        if let Some(newest) = events.last() {
            *self.told.lock().unwrap() = Some(newest.id.clone());
        }
        events
    }

    /// One delivery, signed now.
    pub(crate) async fn deliver_body(&self, body: &[u8], path: &str) -> Answer {
        let secret = Secret::new(WEBHOOK_SECRET).unwrap();
        let now = self.door.house.app.engine().now().seconds();
        let signed = signature::sign(&secret, now, body);
        let headers = [("stripe-signature", signed.as_str())];
        self.door
            .call(("POST", path), &headers, body.to_vec())
            .await
    }

    /// Waits until every event is worked off and no call to Stripe is due.
    pub(crate) async fn rest(&self) {
        let engine = self.door.house.app.engine();
        loop {
            let now = engine.now();
            let due = engine.read(move |reader| reader.due_jobs(now, 1));
            let (due, _) = due.await.unwrap();
            let pending = self
                .door
                .items("/v1/payment.stripe/events?status=pending&limit=100");
            if due.is_empty() && pending.await.is_empty() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }

    pub(crate) async fn payment(&self, id: &str) -> Value {
        let path = format!("/v1/payment.stripe/payments/{id}");
        self.door.get(&path).await.ok()
    }

    pub(crate) async fn credits(&self, user: &str) -> i64 {
        self.door.wallet(user).await["credits"]
            .as_i64()
            .unwrap_or(0)
    }

    pub(crate) async fn refund(&self, key: &str, mut body: Value, amount: Option<i64>) -> Answer {
        if let Some(amount) = amount {
            body["amount_minor"] = amount.into();
        }
        self.door.post_once(REFUND, key, body).await
    }

    /// How much of all money Stripe has sent back, in smallest steps.
    pub(crate) fn refunded_at_stripe(&self) -> i64 {
        self.sandbox.read(|world, _| {
            let refunds = world.records.objects("refund");
            refunds.filter_map(|refund| refund["amount"].as_i64()).sum()
        })
    }
}
