//! The world: everything the sandbox knows, and what it does when it is asked.

use serde_json::{Map, Value, json};

use crate::delivery;
use crate::error::{ApiError, ApiResult};
use crate::id::Ids;
use crate::records::{Collection, Records};

/// One request to the API, already decoded.
#[derive(Debug, Clone, Default)]
pub struct ApiRequest {
    /// The HTTP method in capitals.
    pub method: String,
    /// The path, such as `/v1/refunds`, percent-decoded.
    pub path: String,
    /// The parameters of query and body together, as form decoding gives them: text at the leaves.
    pub params: Value,
    /// The key the request came with, by `Authorization: Bearer` or as the user name of `Basic`.
    pub api_key: Option<String>,
    /// The `Idempotency-Key` header.
    pub idempotency_key: Option<String>,
    /// The `Stripe-Version` header.
    pub version: Option<String>,
}

/// The answer to one request.
#[derive(Debug, Clone, PartialEq)]
pub struct ApiResponse {
    /// The HTTP status.
    pub status: u16,
    /// Headers beside the content type.
    pub headers: Vec<(&'static str, String)>,
    /// The body.
    pub body: Value,
}

/// What the sandbox is told about itself and never changes while it runs.
#[derive(Debug, Clone)]
pub struct Setup {
    /// Where the sandbox is reached, without a slash at the end.
    pub base_url: String,
    /// The keys that open the API: the secret key first, then restricted ones.
    pub api_keys: Vec<String>,
    /// The API version of the account, for requests and webhook endpoints that name none.
    pub default_version: String,
}

/// A Stripe account with everything in it.
#[derive(Debug)]
pub struct World {
    /// All state.
    pub records: Records,
    /// Makes the ids of new objects.
    pub ids: Ids,
    /// Base address, keys and version.
    pub setup: Setup,
    /// The request being answered, named by the events it causes.
    cause: Option<Cause>,
}

#[derive(Debug, Clone)]
struct Cause {
    request_id: String,
    idempotency_key: Option<String>,
}

impl World {
    /// A world that knows `records`.
    pub fn new(records: Records, ids: Ids, setup: Setup) -> Self {
        Self {
            records,
            ids,
            setup,
            cause: None,
        }
    }

    /// How far the clock of the world is ahead of the real one, in seconds.
    pub fn clock_offset(&self) -> i64 {
        let setting = self.records.get(Collection::Setting, "clock");
        setting
            .and_then(|clock| clock["offset"].as_i64())
            .unwrap_or(0)
    }

    /// Sets how far the clock of the world is ahead of the real one, in seconds.
    pub fn set_clock_offset(&mut self, seconds: i64) {
        self.records
            .put(Collection::Setting, "clock", json!({ "offset": seconds }));
    }

    /// Answers one request at the moment `now` (seconds since 1970).
    pub fn request(&mut self, request: &ApiRequest, now: i64) -> ApiResponse {
        let request_id = self.ids.next("req");
        self.cause = Some(Cause {
            request_id: request_id.clone(),
            idempotency_key: request.idempotency_key.clone(),
        });
        let result = self.answer(request, now);
        self.cause = None;
        let (status, body) = match result {
            Ok(body) => (200, body),
            Err(error) => (error.status, error.body(&request_id)),
        };
        ApiResponse {
            status,
            headers: vec![("Request-Id", request_id)],
            body,
        }
    }

    fn answer(&mut self, request: &ApiRequest, _now: i64) -> ApiResult {
        let ApiRequest { method, path, .. } = request;
        let message = format!("Unrecognized request URL ({method}: {path}).");
        Err(ApiError {
            status: 404,
            ..ApiError::invalid(message)
        })
    }

    /// Makes an event about `object` as it is now and notes its deliveries. `previous` holds the former values of
    /// the fields an update changed.
    pub fn emit(&mut self, kind: &str, object: &Value, previous: Option<Value>, now: i64) -> Value {
        let id = self.ids.next("evt");
        let mut data = Map::new();
        data.insert("object".into(), object.clone());
        if let Some(previous) = previous {
            data.insert("previous_attributes".into(), previous);
        }
        let cause = self.cause.as_ref();
        let event = json!({
            "id": id,
            "object": "event",
            "api_version": self.setup.default_version,
            "created": now,
            "data": data,
            "livemode": false,
            "pending_webhooks": 0,
            "request": {
                "id": cause.map(|cause| &cause.request_id),
                "idempotency_key": cause.and_then(|cause| cause.idempotency_key.as_ref()),
            },
            "type": kind,
        });
        self.records.put(Collection::Object, &id, event.clone());
        delivery::enqueue(&mut self.records, &event, now);
        event
    }
}
