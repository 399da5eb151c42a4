//! A shop with an account of its own.

use bursar_sandbox::World;
use bursar_sandbox::id::Ids;
use bursar_sandbox::pay::{CardEntry, PayOutcome, Payment};
use bursar_sandbox::records::Records;
use bursar_sandbox::world::{ApiRequest, ApiResponse, Setup};
use serde_json::{Value, json};

pub(crate) const KEY: &str = "sk_test_stories";

/// The shop, its world and the moment.
pub(crate) struct Shop {
    pub(crate) world: World,
    pub(crate) now: i64,
}

impl Shop {
    /// A new account on a day in 2026.
    pub(crate) fn open() -> Self {
        let setup = Setup {
            base_url: "http://127.0.0.1:1".into(),
            api_keys: vec![KEY.into(), "rk_test_stories".into()],
            default_version: bursar_sandbox::DEFAULT_VERSION.into(),
        };
        let world = World::new(Records::default(), Ids::seeded(1, 0), setup);
        Self {
            world,
            now: 1_795_000_000,
        }
    }

    /// The request as it is, with the shop's key.
    pub(crate) fn ask(&mut self, request: ApiRequest) -> ApiResponse {
        let request = ApiRequest {
            api_key: request.api_key.or(Some(KEY.into())),
            ..request
        };
        self.world.request(&request, self.now)
    }

    /// A call whose answer may be a refusal: status and body.
    pub(crate) fn call(&mut self, method: &str, path: &str, params: Value) -> (u16, Value) {
        let request = ApiRequest {
            method: method.into(),
            path: path.into(),
            params: as_text(params),
            version: Some(bursar_stripe::VERSION.into()),
            ..ApiRequest::default()
        };
        let answer = self.ask(request);
        (answer.status, answer.body)
    }

    pub(crate) fn post(&mut self, path: &str, params: Value) -> Value {
        let (status, body) = self.call("POST", path, params);
        assert_eq!(status, 200, "{path}: {body}");
        body
    }

    pub(crate) fn get(&mut self, path: &str, params: Value) -> Value {
        let (status, body) = self.call("GET", path, params);
        assert_eq!(status, 200, "{path}: {body}");
        body
    }

    /// The status, code and param of a refusal.
    pub(crate) fn refused(
        &mut self,
        method: &str,
        path: &str,
        params: Value,
    ) -> (u16, String, String) {
        let (status, body) = self.call(method, path, params);
        assert!(status >= 400, "{path} was accepted: {body}");
        let text = |name: &str| body["error"][name].as_str().unwrap_or_default().to_owned();
        (status, text("code"), text("param"))
    }

    /// A session over 5 dollars; `more` adds or replaces parameters.
    pub(crate) fn session(&mut self, more: Value) -> Value {
        let params = merged(order(), more);
        self.post("/v1/checkout/sessions", params)
    }

    pub(crate) fn pay(&mut self, session: &Value, number: &str) -> PayOutcome {
        let payment = Payment::Card(card(number));
        self.world.pay_session(id(session), &payment, self.now)
    }

    /// A confirmed intent over 20 dollars.
    pub(crate) fn charge(&mut self, method: &str) -> Value {
        let params =
            json!({"amount": 2000, "currency": "usd", "confirm": true, "payment_method": method});
        self.post("/v1/payment_intents", params)
    }

    /// The types of all events so far, oldest first.
    pub(crate) fn told(&self) -> Vec<String> {
        let events = self.world.records.objects("event").rev();
        events
            .map(|event| event["type"].as_str().unwrap().to_owned())
            .collect()
    }

    /// The object of the newest event of a type.
    pub(crate) fn event(&self, kind: &str) -> Value {
        let event = self
            .world
            .records
            .objects("event")
            .find(|event| event["type"] == kind);
        event.unwrap_or_else(|| panic!("no {kind} among {:?}", self.told()))["data"]["object"]
            .clone()
    }

    pub(crate) fn read(&mut self, object: &Value) -> Value {
        let folder = match object["object"].as_str().unwrap() {
            "checkout.session" => "checkout/sessions".to_owned(),
            other => format!("{other}s"),
        };
        self.get(&format!("/v1/{folder}/{}", id(object)), json!({}))
    }
}

pub(crate) fn order() -> Value {
    json!({
        "mode": "payment",
        "success_url": "https://shop.example/done?s={CHECKOUT_SESSION_ID}",
        "cancel_url": "https://shop.example/cart",
        "line_items": [{
            "quantity": 1,
            "price_data": {"currency": "usd", "unit_amount": 500, "product_data": {"name": "500 credits"}},
        }],
    })
}

pub(crate) fn card(number: &str) -> CardEntry {
    CardEntry {
        number: number.into(),
        exp_month: 12,
        exp_year: 2034,
        cvc: Some("123".into()),
        email: Some("ada@example.com".into()),
    }
}

pub(crate) fn id(object: &Value) -> &str {
    object["id"].as_str().expect("an object with an id")
}

pub(crate) fn merged(mut base: Value, more: Value) -> Value {
    if let (Value::Object(base), Value::Object(more)) = (&mut base, more) {
        base.extend(more);
    }
    base
}

/// Parameters as a form carries them: everything is text.
fn as_text(value: Value) -> Value {
    match value {
        Value::Object(fields) => fields
            .into_iter()
            .map(|(name, value)| (name, as_text(value)))
            .collect(),
        Value::Array(items) => items.into_iter().map(as_text).collect(),
        Value::String(text) => text.into(),
        Value::Null => "".into(),
        plain => plain.to_string().into(),
    }
}
