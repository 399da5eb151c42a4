//! Transcripts: requests and whole answers as text, compared with a file below spec/. With `UPDATE_SPECS=1` the file is written anew.
//!
//! Nothing is masked but the keys of those who ask: the clock stands still, and Stripe's ids come from a seed.

use std::fmt::Write as _;
use std::path::Path;

use axum::body::{Body, to_bytes};
use http::Request;
use tower::ServiceExt as _;

use crate::contract::Exchange;
use crate::shop::Shop;

/// Somebody who asks, and how the transcript names his key.
pub(crate) struct Asker {
    pub(crate) name: &'static str,
    pub(crate) key: String,
}

pub(crate) struct Transcript<'a> {
    pub(crate) shop: &'a Shop,
    text: String,
}

impl<'a> Transcript<'a> {
    pub(crate) fn begin(shop: &'a Shop, title: &str) -> Self {
        let text = format!("# {title}\n");
        Self { shop, text }
    }

    /// What is about to be shown.
    pub(crate) fn title(&mut self, title: &str) {
        let _ = write!(self.text, "\n### {title}\n");
    }

    /// Something that happens elsewhere.
    pub(crate) fn meanwhile(&mut self, what: &str) {
        let _ = write!(self.text, "\n--- {what}\n");
    }

    /// Asks, and writes down both sides. Gives the body of the answer.
    pub(crate) async fn ask(
        &mut self,
        asker: Option<&Asker>,
        (method, path): (&str, &str),
        headers: &[(&str, &str)],
        body: &str,
    ) -> String {
        let _ = write!(self.text, "\n{method} {path}\n");
        let mut request = Request::builder().method(method).uri(path);
        if let Some(Asker { name, key }) = asker {
            let _ = writeln!(self.text, "Authorization: Bearer ${name}");
            request = request.header("authorization", format!("Bearer {key}"));
        }
        if !body.is_empty() {
            let _ = writeln!(self.text, "Content-Type: application/json");
            request = request.header("content-type", "application/json");
        }
        for (name, value) in headers {
            let _ = writeln!(self.text, "{name}: {value}");
            request = request.header(*name, *value);
        }
        if !body.is_empty() {
            let _ = write!(self.text, "\n{body}\n");
        }
        let request = request.body(Body::from(body.to_owned())).unwrap();
        let router = self.shop.door.house.router.clone();
        let response = router.oneshot(request).await.unwrap();
        let (parts, answer) = response.into_parts();
        let answer = to_bytes(answer, 1 << 20).await.unwrap();
        let exchange = Exchange {
            method,
            path: path.split('?').next().unwrap(),
            request: body.as_bytes(),
            status: parts.status,
            headers: &parts.headers,
            answer: &answer,
        };
        exchange.check();
        let body = String::from_utf8(answer.to_vec()).unwrap();
        let _ = writeln!(self.text, "\nHTTP/1.1 {}", parts.status);
        for name in ["content-type", "idempotent-replayed", "retry-after"] {
            if let Some(value) = parts.headers.get(name) {
                let _ = writeln!(self.text, "{name}: {}", value.to_str().unwrap());
            }
        }
        let _ = write!(self.text, "\n{body}\n");
        body
    }

    /// Stripe delivers what has happened, and it is worked off.
    pub(crate) async fn deliver(&mut self, paths: &[&str]) {
        let events = self.shop.new_events();
        for path in paths {
            for event in &events {
                self.shop.deliver_body(&event.body, path).await.ok();
            }
        }
        self.shop.rest().await;
        let kinds: Vec<&str> = events.iter().map(|event| event.kind.as_str()).collect();
        let to = paths.join(" and to ");
        self.meanwhile(&format!("Stripe delivers to {to}: {}", kinds.join(", ")));
    }

    pub(crate) fn end(self, file: &str) {
        let path = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("../../spec")
            .join(file);
        if std::env::var_os("UPDATE_SPECS").is_some() {
            std::fs::write(&path, &self.text).unwrap();
        }
        let kept = std::fs::read_to_string(&path).unwrap_or_default();
        for (number, (now, kept)) in self.text.lines().zip(kept.lines()).enumerate() {
            assert_eq!(now, kept, "spec/{file}, line {}", number + 1);
        }
        assert_eq!(
            self.text.len(),
            kept.len(),
            "spec/{file} is longer or shorter"
        );
    }
}
