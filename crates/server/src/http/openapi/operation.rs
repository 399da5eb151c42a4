//! What is known of one operation, gathered from the types of its handler.

use std::collections::BTreeSet;

use axum::response::{IntoResponse, Response};
use schemars::{JsonSchema, SchemaGenerator};
use serde_json::{Map, Value, json};

use super::super::answer::Item;
use super::super::error::ApiError;
use super::super::form::{Fields, Form, parameter};
use super::super::order;
use super::error;

/// An argument of a handler, as a part of the description of a request.
pub(in super::super) trait Argument {
    /// Adds what it needs.
    fn describe(operation: &mut Operation<'_>);
}

/// What a handler gives, as a part of the description of its answers.
pub(in super::super) trait Answer {
    /// Adds how it answers.
    fn describe(operation: &mut Operation<'_>);
}

/// A description in the making.
pub(in super::super) struct Operation<'a> {
    generator: &'a mut SchemaGenerator,
    parameters: Vec<Value>,
    body: Option<Value>,
    users: bool,
    admins: bool,
    plain: bool,
    codes: BTreeSet<String>,
    answers: Map<String, Value>,
}

/// What an answer has besides its body, by the names under `components/headers`.
pub(super) fn headers(names: &[&str]) -> Value {
    let all = names.iter().map(|name| {
        let reference = json!({ "$ref": format!("#/components/headers/{name}") });
        ((*name).to_owned(), reference)
    });
    Value::Object(all.collect())
}

impl<'a> Operation<'a> {
    pub(super) fn new(generator: &'a mut SchemaGenerator, plain: bool) -> Self {
        Self {
            generator,
            parameters: vec![],
            body: None,
            users: false,
            admins: false,
            plain,
            codes: BTreeSet::new(),
            answers: Map::new(),
        }
    }

    /// Users may ask.
    pub(in super::super) fn for_users(&mut self) {
        self.users = true;
        self.may(&["unauthenticated"]);
    }

    /// Administrators may ask.
    pub(in super::super) fn for_admins(&mut self) {
        self.admins = true;
        self.may(&["unauthenticated"]);
    }

    /// The codes by which it may be refused.
    pub(in super::super) fn may(&mut self, codes: &[&str]) {
        self.codes
            .extend(codes.iter().map(|code| (*code).to_owned()));
    }

    /// A query with these fields.
    pub(in super::super) fn query<F: Form>(&mut self) {
        let fields = Fields::of::<F>(self.generator);
        let refusals = fields.all_refusals();
        let query = fields.into_query();
        if query.iter().any(|parameter| parameter["required"] == true) {
            self.may(&["parameter_missing"]);
        }
        self.parameters.extend(query);
        self.may(&refusals);
        self.may(&["parameter_invalid", "parameter_unknown", "query_malformed"]);
    }

    /// A body with these fields, and an idempotency key beside them.
    pub(in super::super) fn body<F: Form>(&mut self, key_required: bool) {
        let fields = Fields::of::<F>(self.generator);
        let refusals = fields.all_refusals();
        let mut body = fields.into_body();
        order::add_key_to_body(&mut body, false);
        // Without a body a request has no fields.
        let required = body.get("required").is_some();
        self.body = Some(json!({
            "required": required,
            "content": { "application/json": { "schema": body } },
        }));
        let about = if key_required {
            "Under which the answer is remembered: the same request under the same key is done once. It may be the field \
             `idempotency_key` of the body instead."
        } else {
            "Under which the answer is remembered: the same request under the same key is done once."
        };
        self.header("Idempotency-Key", key_required, &order::key_schema(about));
        self.may(&refusals);
        self.may(&[
            "body_incomplete",
            "body_slow",
            "body_too_large",
            "content_type_unsupported",
            "idempotency_key_reused",
            "json_malformed",
            "parameter_invalid",
            "parameter_missing",
            "parameter_unknown",
        ]);
    }

    /// A body that is given on as it came.
    pub(in super::super) fn raw_body(&mut self, about: &str) {
        self.body = Some(json!({
            "required": true,
            "description": about,
            "content": { "application/json": { "schema": { "type": "object" } } },
        }));
        self.may(&["body_incomplete", "body_slow", "body_too_large"]);
    }

    /// A header of the request. What its schema is about is what the header is about.
    pub(in super::super) fn header(&mut self, name: &str, required: bool, schema: &Value) {
        self.parameters
            .push(parameter("header", name, required, schema.clone()));
    }

    /// A part of the path.
    pub(in super::super) fn path<T: JsonSchema>(&mut self, name: &str) {
        let schema = self.generator.subschema_for::<T>();
        self.parameters
            .push(parameter("path", name, true, schema.into()));
    }

    /// A parameter of the query that is not read as a form.
    pub(in super::super) fn query_parameter(&mut self, name: &str, schema: &Value) {
        self.parameters
            .push(parameter("query", name, false, schema.clone()));
    }

    /// Success with JSON.
    fn answers<T: JsonSchema>(&mut self) {
        let schema = self.generator.subschema_for::<T>();
        let answer = json!({
            "description": "Done.",
            "headers": headers(self.headers_of_answers()),
            "content": { "application/json": { "schema": schema } },
        });
        self.answers.insert("200".to_owned(), answer);
    }

    /// What its answers say besides their bodies. What is asked with a key may be answered by what was answered before, no
    /// matter whether that was a yes or a no.
    fn headers_of_answers(&self) -> &'static [&'static str] {
        if self.body.is_some() {
            &["Request-Id", "Idempotent-Replayed"]
        } else {
            &["Request-Id"]
        }
    }

    /// Something that is not JSON.
    fn answers_media(&mut self, status: &str, about: &str, media: &str) {
        let answer = json!({
            "description": about,
            "headers": headers(&["Request-Id"]),
            "content": { media: { "schema": { "type": "string" } } },
        });
        self.answers.insert(status.to_owned(), answer);
    }

    /// What an answer that needs engine and database may be instead.
    fn may_fail(&mut self) {
        self.may(&[
            "busy",
            "database_unavailable",
            "internal_error",
            "outcome_unknown",
            "stopping",
        ]);
    }

    /// All of these codes.
    #[cfg(test)]
    pub(super) fn codes(&self) -> impl Iterator<Item = &str> {
        self.codes.iter().map(String::as_str)
    }

    /// Who may ask, in words.
    #[cfg(test)]
    pub(super) fn roles(&self) -> &'static str {
        match (self.users, self.admins) {
            (false, false) => "guest",
            (true, false) => "user",
            (false, true) => "admin",
            (true, true) => "user, admin",
        }
    }

    /// As OpenAPI writes it.
    pub(super) fn finish(mut self, codes: &error::Codes) -> Map<String, Value> {
        if self.users != self.admins {
            self.may(&["forbidden"]);
        }
        let always = self.headers_of_answers();
        let mut operation = Map::new();
        let mut security = vec![];
        if self.users {
            security.extend([json!({ "userToken": [] }), json!({ "userKey": [] })]);
        }
        if self.admins {
            security.push(json!({ "adminKey": [] }));
        }
        operation.insert("security".to_owned(), security.into());
        if !self.parameters.is_empty() {
            operation.insert("parameters".to_owned(), self.parameters.into());
        }
        if let Some(body) = self.body {
            operation.insert("requestBody".to_owned(), body);
        }
        for (status, why) in codes.by_status(&self.codes) {
            let answer = error::response(&status, &why, self.plain, always);
            // A page says no in its own words.
            self.answers.entry(status).or_insert(answer);
        }
        self.answers.sort_keys();
        operation.insert("responses".to_owned(), self.answers.into());
        operation
    }
}

impl<T: JsonSchema> Answer for Item<T> {
    fn describe(operation: &mut Operation<'_>) {
        operation.answers::<T>();
    }
}

impl<T: JsonSchema> Answer for Result<Item<T>, ApiError> {
    fn describe(operation: &mut Operation<'_>) {
        Item::<T>::describe(operation);
        operation.may_fail();
    }
}

/// A page for people, or a file of one.
#[derive(Debug)]
pub(in super::super) struct Page(pub(in super::super) Response);

impl IntoResponse for Page {
    fn into_response(self) -> Response {
        self.0
    }
}

impl Answer for Page {
    fn describe(operation: &mut Operation<'_>) {
        operation.answers_media("200", "The page.", "text/html");
    }
}

/// A page that may also say that there is nothing to see, or not now.
#[derive(Debug)]
pub(in super::super) struct ReturnPage(pub(in super::super) Response);

impl IntoResponse for ReturnPage {
    fn into_response(self) -> Response {
        self.0
    }
}

impl Answer for ReturnPage {
    fn describe(operation: &mut Operation<'_>) {
        Page::describe(operation);
        operation.answers_media("404", "A page: there is no such purchase.", "text/html");
        operation.answers_media("503", "A page: Stripe does not answer now.", "text/html");
    }
}

/// A file of a page.
#[derive(Debug)]
pub(in super::super) struct File(pub(in super::super) Response);

impl IntoResponse for File {
    fn into_response(self) -> Response {
        self.0
    }
}

impl Answer for File {
    fn describe(operation: &mut Operation<'_>) {
        let files = json!({
            "description": "The file.",
            "headers": headers(&["Request-Id"]),
            "content": {
                "text/css": { "schema": { "type": "string" } },
                "text/javascript": { "schema": { "type": "string" } },
                "image/svg+xml": { "schema": { "type": "string" } },
            },
        });
        operation.answers.insert("200".to_owned(), files);
    }
}
