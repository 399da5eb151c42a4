//! The service behind its listener: what is asked here, and what is answered, has gone over a socket.

use std::net::SocketAddr;

use bursar::{api_key, listener};
use bursar_domain::api_key::Role;
use bursar_domain::id::UserId;
use bursar_domain::time::Time;
use http::Request;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Bytes;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::contract::Exchange;
use crate::house::{Answer, House, JWT_SECRET, NOW};

pub(crate) const CHARGE: &str = "/v1/balance/charge";
pub(crate) const BATCH: &str = "/v1/balance/charge/batch";
pub(crate) const PRECHECK: &str = "/v1/balance/precheck";
pub(crate) const GRANT: &str = "/v1/balance/grants/create";
pub(crate) const VOID: &str = "/v1/balance/grants/void";
pub(crate) const HOLD: &str = "/v1/balance/holds/create";
pub(crate) const PROGRESS: &str = "/v1/balance/holds/progress";
pub(crate) const EXTEND: &str = "/v1/balance/holds/extend";
pub(crate) const SETTLE: &str = "/v1/balance/holds/settle";
pub(crate) const RELEASE: &str = "/v1/balance/holds/release";
pub(crate) const LIMIT: &str = "/v1/balance/limits/set";
pub(crate) const EXCHANGE: &str = "/v1/balance/exchange";
pub(crate) const OVERDRAFT: &str = "/v1/balance/overdraft/set";
pub(crate) const USAGE: &str = "/v1/usage/record";

/// What the clock shows until it is set.
pub(crate) const TODAY: &str = "2027-01-15T08:00:00Z";

/// A house that can be visited, and the administrator who visits it.
pub(crate) struct Door {
    pub(crate) house: House,
    pub(crate) address: SocketAddr,
    stop: oneshot::Sender<()>,
    serving: JoinHandle<()>,
}

impl Door {
    pub(crate) async fn open() -> Self {
        Self::open_with(&[]).await
    }

    pub(crate) async fn open_with(settings: &[(&str, &str)]) -> Self {
        let mut all = vec![("BURSAR_JWT_HS256_SECRET", JWT_SECRET)];
        all.extend_from_slice(settings);
        Self::of(House::open(&all).await).await
    }

    async fn of(house: House) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel();
        let (router, bounds) = (house.router.clone(), house.app.config().edge.bounds());
        let serving = tokio::spawn(listener::serve(listener, router, bounds, async {
            let _ = stopped.await;
        }));
        Self {
            house,
            address,
            stop,
            serving,
        }
    }

    /// Stops listener and service, and starts both again on the same folder.
    pub(crate) async fn reopen(self) -> Self {
        let Self {
            house,
            stop,
            serving,
            ..
        } = self;
        stop.send(()).unwrap();
        serving.await.unwrap();
        Self::of(house.reopen().await).await
    }

    /// Sets the clock to so many seconds after [`NOW`].
    pub(crate) fn later(&self, seconds: i64) {
        self.house.clock.set(Time::from_seconds(NOW + seconds));
    }

    /// An API key of a user.
    pub(crate) async fn key_of(&self, user: &str) -> String {
        let role = Role::User(UserId::parse(user).unwrap());
        let issued = api_key::issue(self.house.app.engine(), role, String::new());
        issued.await.unwrap().0
    }

    /// Any request, on a connection of its own.
    pub(crate) async fn send(&self, request: Request<Full<Bytes>>) -> Answer {
        let stream = TcpStream::connect(self.address).await.unwrap();
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
            .await
            .unwrap();
        let connection = tokio::spawn(connection);
        let (method, path) = (request.method().clone(), request.uri().path().to_owned());
        let asked = request.body().clone().collect().await.unwrap().to_bytes();
        let response = sender.send_request(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let bytes = body.collect().await.unwrap().to_bytes();
        drop(sender);
        let _ = connection.await;
        let exchange = Exchange {
            method: method.as_str(),
            path: &path,
            request: &asked,
            status: parts.status,
            headers: &parts.headers,
            answer: &bytes,
        };
        exchange.check();
        Answer {
            status: parts.status,
            headers: parts.headers,
            body: serde_json::from_slice(&bytes).unwrap_or_default(),
        }
    }

    /// A request with these headers and this body, whatever they are.
    pub(crate) async fn call(
        &self,
        (method, path): (&str, &str),
        headers: &[(&str, &str)],
        body: impl Into<Bytes>,
    ) -> Answer {
        let mut request = Request::builder().method(method).uri(path);
        request = request.header("host", self.address.to_string());
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        self.send(request.body(Full::new(body.into())).unwrap())
            .await
    }

    /// A body as text, as an administrator.
    pub(crate) async fn post_text(&self, path: &str, body: &str, more: &[(&str, &str)]) -> Answer {
        let bearer = format!("Bearer {}", self.house.admin);
        let mut headers = vec![
            ("authorization", bearer.as_str()),
            ("content-type", "application/json"),
        ];
        headers.extend_from_slice(more);
        self.call(("POST", path), &headers, body.to_owned()).await
    }

    pub(crate) async fn post(&self, path: &str, body: Value) -> Answer {
        self.post_text(path, &body.to_string(), &[]).await
    }

    /// The same under an idempotency key.
    pub(crate) async fn post_once(&self, path: &str, key: &str, body: Value) -> Answer {
        self.post_text(path, &body.to_string(), &[("idempotency-key", key)])
            .await
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.get_as(&self.house.admin, path).await
    }

    pub(crate) async fn get_as(&self, token: &str, path: &str) -> Answer {
        let bearer = format!("Bearer {token}");
        self.call(("GET", path), &[("authorization", &bearer)], "")
            .await
    }

    /// The items of a list that has one page.
    pub(crate) async fn items(&self, path: &str) -> Vec<Value> {
        let list = self.get(path).await.ok();
        assert_eq!(list["has_more"], false, "{path}");
        list["items"].as_array().unwrap().clone()
    }

    /// Grants credits; the id of the grant.
    pub(crate) async fn grant(&self, user: &str, credits: i64) -> String {
        let body = json!({"user_id": user, "credits": credits});
        let granted = self.post(GRANT, body).await.ok();
        granted["grant_id"].as_str().unwrap().to_owned()
    }

    /// Charges credits under a key.
    pub(crate) async fn charge(&self, key: &str, user: &str, credits: i64) -> Answer {
        self.post_once(CHARGE, key, json!({"user_id": user, "credits": credits}))
            .await
    }

    /// Reserves credits; the id of the hold.
    pub(crate) async fn hold(&self, user: &str, credits: i64) -> String {
        let body = json!({"user_id": user, "credits": credits});
        let held = self.post(HOLD, body).await.ok();
        held["hold_id"].as_str().unwrap().to_owned()
    }

    /// A user's wallet of credits.
    pub(crate) async fn wallet(&self, user: &str) -> Value {
        let wallets = self
            .items(&format!("/v1/balance/users?user_id={user}"))
            .await;
        let credits = wallets.into_iter().find(|it| it["unit"] == "credit");
        credits.unwrap_or_default()
    }

    /// Everything that a request about wallets could have changed.
    pub(crate) async fn everything(&self) -> Value {
        let mut all = serde_json::Map::new();
        for path in [
            "/v1/balance/users?limit=100",
            "/v1/balance/history?limit=100",
            "/v1/balance/grants?limit=100",
            "/v1/balance/holds?limit=100",
            "/v1/balance/limits?limit=100",
            "/v1/balance/events",
            "/v1/balance/checkpoint",
            "/v1/usage/events?limit=100",
        ] {
            all.insert(path.to_owned(), self.get(path).await.ok());
        }
        Value::Object(all)
    }
}
