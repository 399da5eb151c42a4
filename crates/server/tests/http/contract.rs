//! Whether what was asked and answered is what the OpenAPI document says. Every exchange of these tests goes through here.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock, Mutex};

use http::{HeaderMap, StatusCode};
use jsonschema::Validator;
use serde_json::{Value, json};

static DOCUMENT: LazyLock<Value> = LazyLock::new(bursar::http::openapi::document);

/// By the place of the schema in the document.
static VALIDATORS: LazyLock<Mutex<HashMap<String, Arc<Validator>>>> = LazyLock::new(Mutex::default);

/// One request and its answer.
#[derive(Debug)]
pub(crate) struct Exchange<'a> {
    pub(crate) method: &'a str,
    /// Without its query.
    pub(crate) path: &'a str,
    pub(crate) request: &'a [u8],
    pub(crate) status: StatusCode,
    pub(crate) headers: &'a HeaderMap,
    pub(crate) answer: &'a [u8],
}

impl Exchange<'_> {
    /// Fails if the document says otherwise.
    #[track_caller]
    pub(crate) fn check(&self) {
        if let Err(why) = self.compare() {
            let answer = String::from_utf8_lossy(self.answer);
            panic!(
                "{} {} is not answered as the OpenAPI document says: {why}\n{} {answer}",
                self.method, self.path, self.status
            );
        }
    }

    fn compare(&self) -> Result<(), String> {
        let Some(template) = template(self.path) else {
            return Ok(());
        };
        let method = self.method.to_lowercase();
        let pointer = format!("/paths/{}/{method}", escape(template));
        let Some(operation) = DOCUMENT.pointer(&pointer) else {
            return Ok(());
        };
        let status = self.status.as_str();
        let answer = &operation["responses"][status];
        if answer.is_null() {
            return Err("the status is not named".to_owned());
        }
        self.compare_headers(answer)?;
        let kind = self.headers["content-type"].to_str().unwrap();
        let media = kind.split(';').next().unwrap();
        if answer["content"].get(media).is_none() {
            return Err(format!("the type {media} is not named"));
        }
        if media != "application/json" {
            return Ok(());
        }
        let place = format!("{pointer}/responses/{status}/content/application~1json/schema");
        let body: Value = serde_json::from_slice(self.answer).map_err(|why| why.to_string())?;
        conforms(&place, &body)?;
        if self.status.is_success() {
            return self.compare_request(&pointer, operation);
        }
        let code = body["code"].as_str().or(body["error"]["code"].as_str());
        let code = format!("- `{}`: ", code.unwrap_or_default());
        let named = answer["description"].as_str().unwrap().contains(&code);
        named
            .then_some(())
            .ok_or("the code is not named".to_owned())
    }

    fn compare_headers(&self, answer: &Value) -> Result<(), String> {
        if !self.headers.contains_key("request-id") {
            return Err("it has no Request-Id".to_owned());
        }
        for name in ["Idempotent-Replayed", "Retry-After", "WWW-Authenticate"] {
            if self.headers.contains_key(name) && answer["headers"].get(name).is_none() {
                return Err(format!("the header {name} is not named"));
            }
        }
        Ok(())
    }

    /// What was taken must be what the document says is taken.
    fn compare_request(&self, pointer: &str, operation: &Value) -> Result<(), String> {
        if self.request.is_empty() || operation.get("requestBody").is_none() {
            return Ok(());
        }
        let place = format!("{pointer}/requestBody/content/application~1json/schema");
        let body: Value = serde_json::from_slice(self.request).map_err(|why| why.to_string())?;
        conforms(&place, &body).map_err(|why| format!("it was taken, and {why} in {body}"))
    }
}

/// The path of the document that a path is one of.
fn template(path: &str) -> Option<&'static str> {
    let paths = DOCUMENT["paths"].as_object().unwrap();
    if let Some((template, _)) = paths.get_key_value(path) {
        return Some(template);
    }
    let fits = |template: &str| {
        let (mut parts, mut given) = (template.split('/'), path.split('/'));
        loop {
            match (parts.next(), given.next()) {
                (None, None) => return true,
                (Some(part), Some(given)) if part == given => {}
                (Some(part), Some(given)) if part.starts_with('{') && !given.is_empty() => {}
                _ => return false,
            }
        }
    };
    paths
        .keys()
        .map(String::as_str)
        .find(|template| fits(template))
}

fn escape(text: &str) -> String {
    text.replace('~', "~0").replace('/', "~1")
}

/// Whether a value is one of the schema at this place.
fn conforms(place: &str, value: &Value) -> Result<(), String> {
    let validator = validator(place);
    match validator.iter_errors(value).next() {
        None => Ok(()),
        Some(error) => Err(format!("{error} (at `{}`)", error.instance_path())),
    }
}

fn validator(place: &str) -> Arc<Validator> {
    let mut all = VALIDATORS.lock().unwrap();
    let validator = all.entry(place.to_owned()).or_insert_with(|| {
        let mut schema = DOCUMENT.pointer(place).unwrap().clone();
        // So that references lead to where they lead in the document.
        schema["components"] = json!({ "schemas": DOCUMENT["components"]["schemas"] });
        let options = jsonschema::draft202012::options().should_validate_formats(true);
        Arc::new(options.build(&schema).unwrap())
    });
    Arc::clone(validator)
}

#[test]
fn an_answer_that_is_not_in_the_document_is_noticed() {
    let exchange = |status: u16, request: &str, answer: &str| {
        let headers = HeaderMap::from_iter([
            (
                http::header::CONTENT_TYPE,
                "application/json".parse().unwrap(),
            ),
            (
                http::HeaderName::from_static("request-id"),
                "rq_1".parse().unwrap(),
            ),
        ]);
        let exchange = Exchange {
            method: "POST",
            path: "/v1/keys/revoke",
            request: request.as_bytes(),
            status: StatusCode::from_u16(status).unwrap(),
            headers: &headers,
            answer: answer.as_bytes(),
        };
        exchange.compare().unwrap_err()
    };
    let error = |code: &str| {
        format!(
            r#"{{"error":{{"type":"api_error","code":"{code}","message":"no","request_id":"rq_1"}}}}"#
        )
    };
    assert_eq!(exchange(418, "", "{}"), "the status is not named");
    assert_eq!(
        exchange(404, "", &error("hold_not_found")),
        "the code is not named"
    );
    assert!(exchange(404, "", &error("sorry")).contains("sorry"));
    assert!(exchange(200, "", "{}").contains("required"));
    let revoked = r#"{"api_key_id":"key_00000000000000000000000000","role":"admin","user_id":null,"label":"","hint":"","created_at":"2027-01-15T08:00:00Z","revoked_at":null}"#;
    assert!(exchange(200, r#"{"api_key":"x"}"#, revoked).starts_with("it was taken"));
}
