//! Refusals, as Stripe words and numbers them.

use serde_json::{Map, Value, json};

/// An answer that is not a success: a status and the `error` object of the body.
#[derive(Debug, Clone, PartialEq)]
pub struct ApiError {
    /// The status of the HTTP answer.
    pub status: u16,
    /// One of Stripe's error types, such as `invalid_request_error`.
    pub kind: &'static str,
    /// Stripe's stable code, where it has one for the case.
    pub code: Option<String>,
    /// What is wrong and what to do about it.
    pub message: String,
    /// The parameter at fault, in the form it was sent (`line_items[0][price]`).
    pub param: Option<String>,
    /// Further fields, such as `decline_code`, `charge` and `payment_intent`.
    // Boxed, because a map of its own would double the size of every `Result` here.
    pub more: Box<Map<String, Value>>,
    /// Whether the operation had begun: only then is the answer kept under its `Idempotency-Key`.
    pub executed: bool,
}

/// The result of answering one request.
pub type ApiResult<T = Value> = Result<T, ApiError>;

impl ApiError {
    /// A request that cannot be understood or that does not fit the state of its object.
    pub fn invalid(message: impl Into<String>) -> Self {
        Self {
            status: 400,
            kind: "invalid_request_error",
            code: None,
            message: message.into(),
            param: None,
            more: Box::default(),
            executed: false,
        }
    }

    /// The same with one of Stripe's codes.
    pub fn coded(code: &str, message: impl Into<String>) -> Self {
        Self {
            code: Some(code.to_owned()),
            ..Self::invalid(message)
        }
    }

    /// A parameter that nobody asked for.
    pub fn unknown(param: &str) -> Self {
        Self::coded(
            "parameter_unknown",
            format!("Received unknown parameter: {param}"),
        )
        .at(param)
    }

    /// A parameter that has to be there.
    pub fn missing(param: &str) -> Self {
        Self::coded(
            "parameter_missing",
            format!("Missing required param: {param}."),
        )
        .at(param)
    }

    /// An object that does not exist (or not any more): 404 if the path names it, 400 if a parameter does.
    pub fn no_such(kind: &str, id: &str, param: &str, status: u16) -> Self {
        let message = format!("No such {kind}: '{id}'");
        Self {
            status,
            ..Self::coded("resource_missing", message).at(param)
        }
    }

    /// A request that the state of its object does not allow.
    pub fn state(code: &str, message: impl Into<String>) -> Self {
        Self {
            executed: true,
            ..Self::coded(code, message)
        }
    }

    /// Something that Stripe does and the sandbox does not.
    pub fn not_built(what: &str, param: &str) -> Self {
        Self::invalid(format!("The sandbox does not do this yet: {what}.")).at(param)
    }

    /// A card that was declined.
    pub fn card(code: &str, decline_code: Option<&str>, message: impl Into<String>) -> Self {
        let mut error = Self {
            status: 402,
            kind: "card_error",
            executed: true,
            ..Self::coded(code, message)
        };
        if let Some(decline_code) = decline_code {
            error
                .more
                .insert("decline_code".into(), json!(decline_code));
        }
        error
    }

    /// The same error, naming the parameter at fault.
    pub fn at(mut self, param: &str) -> Self {
        self.param = Some(param.to_owned());
        self
    }

    /// The same error, naming a further field.
    pub fn with(mut self, field: &str, value: Value) -> Self {
        self.more.insert(field.to_owned(), value);
        self
    }

    /// The body of the answer.
    pub fn body(&self, request_id: &str) -> Value {
        let mut error = Map::new();
        if let Some(code) = &self.code {
            error.insert("code".into(), json!(code));
            error.insert("doc_url".into(), json!(doc_url(code)));
        }
        error.extend(self.more.as_ref().clone());
        error.insert("message".into(), json!(self.message));
        if let Some(param) = &self.param {
            error.insert("param".into(), json!(param));
        }
        error.insert("request_log_url".into(), json!(log_url(request_id)));
        error.insert("type".into(), json!(self.kind));
        json!({ "error": error })
    }
}

/// Where Stripe explains an error code.
pub fn doc_url(code: &str) -> String {
    let anchor = code.replace('_', "-");
    format!("https://stripe.com/docs/error-codes/{anchor}")
}

fn log_url(request_id: &str) -> String {
    format!("https://dashboard.stripe.com/test/logs/{request_id}")
}
