//! A service with its Stripe and its database, and the questions after each case.

use std::net::SocketAddr;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use bursar_domain::job::JobKey;
use bursar_domain::time::Time;
use bursar_store::{Database, canon};
use bursar_stripe::signature;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Value, json};

use crate::exchange::{Answer, ask, raw};
use crate::program::{PATIENCE, Program, command};
use crate::server;

pub(crate) const WEBHOOK: &str = "/v1/payment.stripe/webhook";
/// Each secret has a word that nothing else has, so that it is found wherever it leaks to.
pub(crate) const WEBHOOK_SECRET: &str = "whsec_Canary1wXy7Kq2Lm9Pz4Rt";
pub(crate) const OLD_SECRET: &str = "whsec_Canary2bNv8Jd3Gh5Fs6Ue";
pub(crate) const JWT_SECRET: &str = "Canary3-cT5rW1oYb6Ia9Ml0Zx2Qe4";
const DATABASE_PASSWORD: &str = "Canary4Password";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    File,
    Server,
}

pub(crate) struct World {
    pub(crate) address: SocketAddr,
    pub(crate) admin: String,
    pub(crate) bursar: Program,
    pub(crate) folder: tempfile::TempDir,
    environment: Vec<(String, String)>,
    database: Database,
    stripe: SocketAddr,
    stripe_key: String,
    _sandbox: Program,
}

/// What no attack may change.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Books {
    facts: String,
    seal: (i64, String),
    jobs: Vec<JobKey>,
    stripe: Vec<String>,
}

pub(crate) fn now() -> i64 {
    #[expect(
        clippy::disallowed_methods,
        reason = "a test outside of the program has its own clock"
    )]
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    i64::try_from(now.as_secs()).unwrap()
}

pub(crate) fn settings(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    let pairs = pairs.iter().filter(|(_, value)| !value.is_empty());
    pairs
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect()
}

impl World {
    pub(crate) fn open(kind: Kind) -> Self {
        Self::open_with(kind, &[])
    }

    pub(crate) fn open_with(kind: Kind, more: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let arguments = [
            "sandbox",
            "--listen",
            "127.0.0.1:0",
            "--print-json",
            "--data",
            "sandbox",
        ];
        let sandbox = Program::start(&arguments, &[], folder.path());
        let told: Value = serde_json::from_str(&format!("{{{}", sandbox.told("{"))).unwrap();
        let stripe_base = told["stripe_api_base"].as_str().unwrap();
        let stripe_key = told["stripe_secret_key"].as_str().unwrap();
        let data = folder.path().join("data").display().to_string();
        let url = match kind {
            Kind::File => String::new(),
            Kind::Server => {
                let url = server::server().fresh_url();
                url.replace("bursar@", &format!("bursar:{DATABASE_PASSWORD}@"))
            }
        };
        let database = match kind {
            Kind::File => folder.path().join("data/bursar.db").into(),
            Kind::Server => Database::parse(&url).unwrap(),
        };
        let secrets = format!("{WEBHOOK_SECRET},{OLD_SECRET}");
        let mut all = settings(&[
            ("BURSAR_DATA", &data),
            ("DATABASE_URL", &url),
            ("BURSAR_LISTEN", "127.0.0.1:0"),
            ("BURSAR_BASE_URL", "https://pay.example.com"),
            ("BURSAR_ALLOWED_ORIGINS", "https://app.example.com"),
            ("STRIPE_API_BASE_URL", stripe_base),
            ("STRIPE_SECRET_KEY", stripe_key),
            ("STRIPE_WEBHOOK_SECRET", &secrets),
            ("BURSAR_JWT_HS256_SECRET", JWT_SECRET),
            ("BURSAR_RECONCILE_EVENTS_SECONDS", "0"),
            ("BURSAR_RECONCILE_OBJECTS_SECONDS", "0"),
            ("BURSAR_ACTIONS", "picture=10,dear=1000000000"),
            ("BURSAR_LOG", "trace"),
        ]);
        all.extend(settings(more));
        let made = command(&["key", "create", "--admin"], &all, folder.path())
            .output()
            .unwrap();
        assert!(
            made.status.success(),
            "{}",
            String::from_utf8_lossy(&made.stderr)
        );
        let said = String::from_utf8(made.stdout).unwrap();
        let admin = said.trim().lines().last().unwrap().to_owned();
        let bursar = Program::start(&["serve"], &all, folder.path());
        let address = bursar.told("serving on http://").parse().unwrap();
        Self {
            address,
            admin,
            bursar,
            folder,
            environment: all,
            database,
            stripe: stripe_base
                .strip_prefix("http://")
                .unwrap()
                .parse()
                .unwrap(),
            stripe_key: stripe_key.to_owned(),
            _sandbox: sandbox,
        }
    }

    /// Another node on the same database, if that is a server.
    pub(crate) fn second_node(&self) -> Option<(Program, SocketAddr)> {
        let is_server = self.database.file().is_none();
        let start = || {
            let mut environment = self.environment.clone();
            let data = self.folder.path().join("data2").display().to_string();
            environment.retain(|(name, _)| name != "BURSAR_DATA");
            environment.extend(settings(&[("BURSAR_DATA", &data)]));
            let node = Program::start(&["serve"], &environment, self.folder.path());
            let address = node.told("serving on http://").parse().unwrap();
            (node, address)
        };
        is_server.then(start)
    }

    /// Sends these bytes, and looks at what comes back for what must not be in it.
    pub(crate) fn raw(&self, bytes: &[u8]) -> String {
        let text = raw(self.address, bytes);
        self.assert_discreet(&text);
        text
    }

    pub(crate) fn ask(&self, line: (&str, &str), headers: &[(&str, &str)], body: &[u8]) -> Answer {
        let answer = ask(self.address, line, headers, body);
        self.assert_discreet(&answer.text);
        // What our routes answer, and not the server beneath, has these.
        if answer.header("request-id").is_some() {
            for (name, value) in [
                ("x-content-type-options", "nosniff"),
                ("referrer-policy", "no-referrer"),
                ("strict-transport-security", "max-age=31536000"),
            ] {
                assert_eq!(answer.header(name), Some(value), "{line:?}");
            }
        }
        assert_eq!(answer.header("server"), None, "{line:?}");
        answer
    }

    pub(crate) fn get(&self, token: &str, path: &str) -> Answer {
        let bearer = format!("Bearer {token}");
        self.ask(("GET", path), &[("Authorization", &bearer)], b"")
    }

    /// A body as it stands, with more headers.
    pub(crate) fn post_text(
        &self,
        token: &str,
        path: &str,
        more: &[(&str, &str)],
        body: &str,
    ) -> Answer {
        let bearer = format!("Bearer {token}");
        let mut headers = vec![("Authorization", bearer.as_str())];
        if !more.iter().any(|(name, _)| *name == "Content-Type") {
            headers.push(("Content-Type", "application/json"));
        }
        headers.extend_from_slice(more);
        self.ask(("POST", path), &headers, body.as_bytes())
    }

    pub(crate) fn post(&self, token: &str, path: &str, body: &Value) -> Answer {
        self.post_text(token, path, &[], &body.to_string())
    }

    /// The same as an administrator, under an idempotency key.
    pub(crate) fn order(&self, path: &str, key: &str, body: &Value) -> Answer {
        self.post_text(
            &self.admin,
            path,
            &[("Idempotency-Key", key)],
            &body.to_string(),
        )
    }

    /// A token of a user, as the product issues them.
    #[expect(
        clippy::unused_self,
        reason = "a world asks for it as for everything else"
    )]
    pub(crate) fn token(&self, user: &str) -> String {
        sign(
            &json!({"sub": user, "exp": now() + 600}),
            JWT_SECRET,
            Algorithm::HS256,
        )
    }

    pub(crate) fn grant(&self, user: &str, credits: i64) -> String {
        let body = json!({"user_id": user, "credits": credits});
        let granted = self
            .post(&self.admin, "/v1/balance/grants/create", &body)
            .ok();
        granted["grant_id"].as_str().unwrap().to_owned()
    }

    pub(crate) fn credits(&self, user: &str) -> i64 {
        let wallet = self.get(&self.token(user), "/v1/balance/me").ok();
        wallet["credits"].as_i64().unwrap()
    }

    /// A request to Stripe's API as the product's own code would send it; `fields` is a form.
    pub(crate) fn stripe(&self, line: (&str, &str), fields: &str) -> Value {
        let bearer = format!("Bearer {}", self.stripe_key);
        let form = ("Content-Type", "application/x-www-form-urlencoded");
        let host = self.stripe.to_string();
        let headers = [
            ("Host", host.as_str()),
            ("Authorization", bearer.as_str()),
            form,
        ];
        ask(self.stripe, line, &headers, fields.as_bytes()).ok()
    }

    /// A command to the sandbox, which then plays a customer or a bank.
    pub(crate) fn control(&self, path: &str, body: &str) {
        let (bearer, host) = (
            format!("Bearer {}", self.stripe_key),
            self.stripe.to_string(),
        );
        let headers = [
            ("Host", host.as_str()),
            ("Authorization", &bearer),
            ("Content-Type", "application/json"),
        ];
        ask(self.stripe, ("POST", path), &headers, body.as_bytes()).ok();
    }

    /// A user's top-up of so many credits and its checkout: the payment, as the API shows it.
    pub(crate) fn checkout(&self, user: &str, credits: i64) -> Value {
        let token = self.token(user);
        let topup = self
            .post(
                &token,
                "/v1/balance/topups/create",
                &json!({"amount": credits}),
            )
            .ok();
        let body = json!({"topup_id": topup["topup_id"]});
        self.post(&token, "/v1/payment.stripe/checkout/create", &body)
            .ok()
    }

    /// A checkout that was paid, and of which nobody has told us: the payment, and Stripe's event that says so.
    pub(crate) fn paid(&self, user: &str, credits: i64) -> (Value, Value) {
        let payment = self.checkout(user, credits);
        let session = payment["stripe_checkout_session_id"].as_str().unwrap();
        let path = format!("/v1/payment_pages/{session}/confirm");
        let fields = format!("payment_method=pm_card_visa&expected_amount={credits}");
        self.stripe(("POST", &path), &fields);
        let events = self.stripe(("GET", "/v1/events?limit=100"), "");
        let events = events["data"].as_array().unwrap();
        let completed = events.iter().find(|event| {
            event["type"] == "checkout.session.completed"
                && event["data"]["object"]["id"] == session
        });
        let completed = completed.unwrap().clone();
        (payment, completed)
    }

    /// Delivers an event with a genuine signature.
    pub(crate) fn deliver(&self, body: &str) -> Answer {
        let secret = signature::Secret::new(WEBHOOK_SECRET).unwrap();
        let signed = signature::sign(&secret, now(), body.as_bytes());
        self.ask(
            ("POST", WEBHOOK),
            &[("Stripe-Signature", &signed)],
            body.as_bytes(),
        )
    }

    /// What has become of an event, once it was worked off: its status and the reason.
    pub(crate) fn settled(&self, event: &str) -> (String, String) {
        let begun = Instant::now();
        loop {
            let path = format!("/v1/payment.stripe/events?event_id={event}");
            let seen = self.get(&self.admin, &path).ok()["items"][0].clone();
            if !seen.is_null() && seen["status"] != "pending" {
                let text = |name: &str| seen[name].as_str().unwrap_or_default().to_owned();
                return (text("status"), text("reason"));
            }
            assert!(
                begun.elapsed() < PATIENCE,
                "{event} is not worked off: {seen}"
            );
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// The books as they are: what the journal and the payments say, what is owed, and what Stripe was asked for.
    pub(crate) fn books(&self) -> Books {
        let mut reader = self.database.reader().unwrap();
        let seal = reader.seal().unwrap();
        let (mut jobs, _) = reader.due_jobs(Time(i64::MAX), 10_000).unwrap();
        jobs.sort();
        Books {
            facts: canon::text(&mut reader).unwrap(),
            seal: (seal.number, hex::encode(seal.hash)),
            jobs,
            stripe: self.at_stripe(),
        }
    }

    /// What there is at Stripe, and how it stands.
    fn at_stripe(&self) -> Vec<String> {
        let state = self.stripe(("GET", "/sandbox/state"), "");
        let kinds = ["sessions", "payments", "refunds", "disputes"];
        let all = kinds
            .iter()
            .flat_map(|kind| state[kind].as_array().unwrap());
        all.map(|it| format!("{} {} {}", it["id"], it["status"], it["metadata"]))
            .collect()
    }

    /// The program lives, nothing has panicked, and no secret is in what it said since the last time.
    #[track_caller]
    pub(crate) fn assert_unharmed(&self, case: &str) {
        assert!(self.bursar.lives(), "{case}: the program has ended");
        for line in self.bursar.drain() {
            assert!(!line.contains("panicked"), "{case}: {line}");
            assert!(
                !self.is_indiscreet(&line),
                "{case}: a secret is in the log: {line}"
            );
        }
    }

    /// The same, and the books are what they were.
    #[track_caller]
    pub(crate) fn assert_untouched(&self, case: &str, before: &Books) {
        self.assert_unharmed(case);
        assert_eq!(&self.books(), before, "{case}");
    }

    fn is_indiscreet(&self, text: &str) -> bool {
        let stripe_secret = self.stripe_key.trim_start_matches("sk_test_");
        let admin_secret = self.admin.trim_start_matches("bursar_admin_");
        text.contains("Canary") || text.contains(stripe_secret) || text.contains(admin_secret)
    }

    #[track_caller]
    fn assert_discreet(&self, text: &str) {
        assert!(
            !self.is_indiscreet(text),
            "a secret is in an answer: {text}"
        );
        for inside in [
            ".rs:",
            "/src/",
            "bursar.db",
            "panicked",
            "SQLSTATE",
            "SELECT ",
        ] {
            assert!(!text.contains(inside), "{inside} is in an answer: {text}");
        }
    }
}

/// A token with these claims.
pub(crate) fn sign(claims: &Value, secret: &str, algorithm: Algorithm) -> String {
    let key = EncodingKey::from_secret(secret.as_bytes());
    jsonwebtoken::encode(&Header::new(algorithm), claims, &key).unwrap()
}

/// What a case is answered: the status, and our code where there is one.
pub(crate) type Expected = (u16, &'static str);

#[track_caller]
pub(crate) fn assert_answered(case: &str, answer: &Answer, (status, code): Expected) {
    assert_eq!(
        (answer.status, answer.code()),
        (status, code),
        "{case}: {}",
        answer.text
    );
}
