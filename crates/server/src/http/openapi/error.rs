//! How errors look, and what their codes mean: the tables of `docs/errors.md`, read when the document is made.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use schemars::{Schema, SchemaGenerator};
use serde_json::{Value, json};

use super::operation::headers;
use super::words;

/// Every code that goes over the wire, with its status and what it means.
pub(in super::super) struct Codes(Vec<(String, String, String)>);

impl Codes {
    pub(super) fn known() -> Self {
        let rows = words::table(words::ERRORS);
        let codes = rows.filter_map(|row| match row[..] {
            [code, status, meaning] if status.parse::<u16>().is_ok() => {
                let code = code.trim_matches('`').to_owned();
                Some((code, status.to_owned(), meaning.to_owned()))
            }
            _ => None,
        });
        Self(codes.collect())
    }

    /// The statuses of some codes, with what each is about.
    pub(super) fn by_status(&self, codes: &BTreeSet<String>) -> BTreeMap<String, String> {
        let mut statuses: BTreeMap<String, String> = BTreeMap::new();
        for (code, status, meaning) in &self.0 {
            if codes.contains(code) {
                let about = statuses.entry(status.clone()).or_default();
                let _ = writeln!(about, "- `{code}`: {meaning}");
            }
        }
        statuses
    }

    #[cfg(test)]
    /// The codes that the table does not have.
    pub(super) fn unknown<'a>(&self, codes: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
        let known: BTreeSet<&str> = self.0.iter().map(|(code, ..)| code.as_str()).collect();
        codes.filter(|code| !known.contains(code)).collect()
    }
}

/// The schema of what stands under `error`.
pub(in super::super) fn object(generator: &mut SchemaGenerator) -> Schema {
    let _ = generator;
    Schema::new_ref("#/components/schemas/ErrorObject".to_owned())
}

/// The schemas of errors.
pub(super) fn schemas() -> [(&'static str, Value); 3] {
    let codes: Vec<String> = Codes::known()
        .0
        .into_iter()
        .map(|(code, ..)| code)
        .collect();
    let code = json!({ "type": "string", "enum": codes, "description": "Stable, for programs." });
    let message =
        json!({ "type": "string", "description": "For people: what is wrong and what to do." });
    let param = json!({ "type": "string", "description": "The field, query parameter or header to blame." });
    let object = json!({
        "type": "object",
        "description": "Why something was not done. Some codes bring more fields, with the numbers that the message speaks of.",
        "properties": {
            "type": { "type": "string", "enum": ["authentication_error", "permission_error", "card_error", "idempotency_error",
                "rate_limit_error", "api_error", "invalid_request_error"], "description": "Follows from the status." },
            "code": code,
            "message": message,
            "param": param,
            "request_id": { "type": "string", "description": "As in the header `Request-Id`; not in an error inside an answer." },
        },
        "required": ["type", "code", "message"],
    });
    let error = json!({
        "type": "object",
        "properties": { "error": { "$ref": "#/components/schemas/ErrorObject" } },
        "required": ["error"],
        "additionalProperties": false,
    });
    let plain = json!({
        "type": "object",
        "description": "Why something was not done, as the facade says it.",
        "properties": { "error": message, "code": code, "param": param },
        "required": ["error", "code"],
        "additionalProperties": false,
    });
    [
        ("ErrorObject", object),
        ("Error", error),
        ("PlainError", plain),
    ]
}

/// The answer of one status. Its headers are those of all answers of the operation, and what the status brings.
pub(super) fn response(status: &str, about: &str, plain: bool, always: &[&str]) -> Value {
    let schema = if plain { "PlainError" } else { "Error" };
    let further: &[&str] = match status {
        "401" => &["WWW-Authenticate"],
        "429" | "502" | "503" | "409" => &["Retry-After"],
        _ => &[],
    };
    json!({
        "description": about,
        "headers": headers(&[always, further].concat()),
        "content": { "application/json": { "schema": { "$ref": format!("#/components/schemas/{schema}") } } },
    })
}
