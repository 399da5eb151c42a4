//! A service on a folder of its own, and what it answers.

use std::path::Path;
use std::sync::Arc;

use axum::Router;
use axum::body::{Body, to_bytes};
use bursar::{App, Config, Sources, api_key};
use bursar_domain::api_key::Role;
use bursar_domain::time::Time;
use bursar_engine::clock::FixedClock;
use http::{Request, Response, StatusCode};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Value, json};
use tower::ServiceExt as _;

use crate::contract::Exchange;

/// What the clock shows until it is set: 2027-01-15T08:00:00Z, a Friday, in seconds.
pub(crate) const NOW: i64 = 1_800_000_000;
pub(crate) const WEBHOOK_SECRET: &str = "whsec_aB3dE5fG7hJ9kL1mN2pQ";
pub(crate) const JWT_SECRET: &str = "kE5yFdLr2mTqXc8uZb1wVn4sAj7hPg0o";
pub(crate) const WEBHOOK: &str = "/v1/payment.stripe/webhook";

/// A service on a folder of its own, with a clock that stands still.
pub(crate) struct House {
    pub(crate) app: App,
    pub(crate) admin: String,
    pub(crate) clock: Arc<FixedClock>,
    pub(crate) router: Router,
    settings: Vec<(String, String)>,
    folder: tempfile::TempDir,
}

#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: http::HeaderMap,
    pub(crate) body: Value,
}

impl Answer {
    pub(crate) fn code(&self) -> &str {
        self.body["error"]["code"].as_str().unwrap_or_default()
    }

    pub(crate) fn param(&self) -> Option<&str> {
        self.body["error"]["param"].as_str()
    }

    pub(crate) fn message(&self) -> &str {
        self.body["error"]["message"].as_str().unwrap_or_default()
    }

    pub(crate) fn is_replayed(&self) -> bool {
        self.headers
            .get("idempotent-replayed")
            .is_some_and(|value| value == "true")
    }

    /// The body of an answer that is 200.
    #[track_caller]
    pub(crate) fn ok(self) -> Value {
        assert_eq!(self.status, 200, "{:#}", self.body);
        self.body
    }

    /// Checks that the answer is this refusal.
    #[track_caller]
    pub(crate) fn refused(&self, status: u16, code: &str, param: Option<&str>) {
        assert_eq!(
            (self.status.as_u16(), self.code(), self.param()),
            (status, code, param),
            "{:#}",
            self.body
        );
    }

    /// What stands under `error`, without the id of the request, which differs each time.
    #[track_caller]
    pub(crate) fn error(&self) -> Value {
        let mut error = self.body["error"].clone();
        let id = error.as_object_mut().unwrap().shift_remove("request_id");
        assert_eq!(
            id.unwrap().as_str().unwrap(),
            self.headers["request-id"].to_str().unwrap()
        );
        error
    }
}

impl House {
    pub(crate) async fn open(settings: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let settings = settings
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        let clock = Arc::new(FixedClock::at(Time::from_seconds(NOW)));
        Self::furnish(folder, settings, clock).await
    }

    pub(crate) async fn usual() -> Self {
        Self::open(&[
            ("BURSAR_JWT_HS256_SECRET", JWT_SECRET),
            ("STRIPE_WEBHOOK_SECRET", WEBHOOK_SECRET),
        ])
        .await
    }

    /// Stops the service and starts it again on the same folder.
    pub(crate) async fn reopen(self) -> Self {
        self.app.stop().await;
        let Self {
            app,
            router,
            clock,
            settings,
            folder,
            ..
        } = self;
        // The folder belongs to one process at a time; whoever still knows the old service would keep it.
        drop((app, router));
        Self::furnish(folder, settings, clock).await
    }

    async fn furnish(
        folder: tempfile::TempDir,
        settings: Vec<(String, String)>,
        clock: Arc<FixedClock>,
    ) -> Self {
        let data = folder.path().join("data").display().to_string();
        let pairs = settings.iter();
        let pairs = pairs.map(|(name, value)| (name.as_str(), value.as_str()));
        let mut sources = Sources::of_environment(pairs);
        sources.flag("data", "--data", Some(data));
        let (config, _) = Config::load(&sources).unwrap();
        let app = App::start_with(config, None, Arc::<FixedClock>::clone(&clock)).unwrap();
        let (admin, _) = api_key::issue(app.engine(), Role::Admin, String::new())
            .await
            .unwrap();
        Self {
            router: app.router(),
            app,
            admin,
            clock,
            settings,
            folder,
        }
    }

    /// Where the data is.
    pub(crate) fn data(&self) -> std::path::PathBuf {
        self.folder.path().join("data")
    }

    pub(crate) async fn send(&self, request: Request<Body>) -> Answer {
        let (parts, body) = request.into_parts();
        let (method, path) = (parts.method.clone(), parts.uri.path().to_owned());
        let asked = to_bytes(body, 1 << 22).await.unwrap();
        let request = Request::from_parts(parts, Body::from(asked.clone()));
        let response: Response<Body> = self.router.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let bytes = to_bytes(body, 1 << 20).await.unwrap();
        let exchange = Exchange {
            method: method.as_str(),
            path: &path,
            request: &asked,
            status: parts.status,
            headers: &parts.headers,
            answer: &bytes,
        };
        exchange.check();
        let body = serde_json::from_slice(&bytes).unwrap_or_default();
        Answer {
            status: parts.status,
            headers: parts.headers,
            body,
        }
    }

    pub(crate) async fn get(&self, path: &str, token: &str) -> Answer {
        let request = Request::get(path).header("authorization", format!("Bearer {token}"));
        self.send(request.body(Body::empty()).unwrap()).await
    }

    pub(crate) async fn post(
        &self,
        path: &str,
        token: &str,
        body: &str,
        more: &[(&str, &str)],
    ) -> Answer {
        let mut request = Request::post(path)
            .header("authorization", format!("Bearer {token}"))
            .header("content-type", "application/json");
        for (name, value) in more {
            request = request.header(*name, *value);
        }
        self.send(request.body(Body::from(body.to_owned())).unwrap())
            .await
    }
}

/// Where a key is that tests sign tokens with.
pub(crate) fn key_path(name: &str) -> String {
    let keys = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/keys");
    keys.join(name).display().to_string()
}

pub(crate) fn key_file(name: &str) -> Vec<u8> {
    std::fs::read(key_path(name)).unwrap()
}

pub(crate) fn claims(user: &str) -> Value {
    json!({"sub": user, "exp": NOW + 600})
}

/// A token that holds for ten minutes from [`NOW`] on.
pub(crate) fn token(user: &str) -> String {
    let key = EncodingKey::from_secret(JWT_SECRET.as_bytes());
    jsonwebtoken::encode(&Header::new(Algorithm::HS256), &claims(user), &key).unwrap()
}
