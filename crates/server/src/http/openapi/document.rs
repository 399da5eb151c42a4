//! The document as a whole.

use schemars::SchemaGenerator;
use schemars::generate::{Contract, SchemaSettings};
use serde_json::{Map, Value, json};

use super::error::{self, Codes};
use super::operation::Operation;
use super::route::Route;
use super::words;

/// The document, of all routes that are there in every configuration.
pub fn document() -> Value {
    let mut generator = generator();
    let codes = Codes::known();
    let mut paths = Map::new();
    for route in super::super::routes().all() {
        let operation = operation(route, &mut generator, &codes);
        let path = paths.entry(route.path).or_insert_with(|| json!({}));
        path[route.method.as_str().to_lowercase()] = operation.into();
    }
    let mut schemas = generator.take_definitions(true);
    schemas.extend(error::schemas().map(|(name, schema)| (name.to_owned(), schema)));
    schemas.sort_keys();
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Bursar",
            "version": env!("CARGO_PKG_VERSION"),
            "license": { "name": "Apache-2.0", "identifier": "Apache-2.0" },
            "description": "A wallet of credits for each of your users, bought by Stripe and spent by your product. Amounts are whole \
                numbers and count the smallest step of their unit; times are RFC 3339 in UTC; ids and cursors are opaque; a field \
                that is `null` is as good as one left out.",
        },
        "externalDocs": { "description": "The description for people", "url": "https://github.com/bursar/bursar/blob/main/docs/api.md" },
        "servers": [{ "url": "/" }],
        "paths": paths,
        "components": {
            "schemas": schemas,
            "headers": headers(),
            "securitySchemes": security_schemes(),
        },
    })
}

/// Makes schemas of answers as they are written.
pub(super) fn generator() -> SchemaGenerator {
    let settings = SchemaSettings::draft2020_12().with(|settings| {
        settings.definitions_path = "/components/schemas".into();
        settings.contract = Contract::Serialize;
        settings.meta_schema = None;
    });
    settings.into_generator()
}

/// What may come of any request, before anybody looks at what it asks for.
const ADMISSION: &[&str] = &["busy", "head_too_large", "rate_limited", "uri_too_long"];

fn operation(route: &Route, generator: &mut SchemaGenerator, codes: &Codes) -> Map<String, Value> {
    let mut described = Operation::new(generator, route.plain);
    (route.describe)(&mut described);
    described.may(route.refusals);
    described.may(ADMISSION);
    let (_, about) = words::about(&format!("{} {}", route.method, route.path)).unwrap_or_default();
    let mut operation = Map::new();
    operation.insert("operationId".to_owned(), id(route).into());
    operation.insert("tags".to_owned(), json!([tag(route.path)]));
    operation.insert("summary".to_owned(), about.into());
    operation.extend(described.finish(codes));
    operation
}

/// `POST /v1/balance/holds/create` is `post_balance_holds_create`.
fn id(route: &Route) -> String {
    let path = route.path.strip_prefix("/v1").unwrap_or(route.path);
    let mut id = route.method.as_str().to_lowercase();
    for part in path.split(['/', '.', '-']).filter(|part| !part.is_empty()) {
        id.push('_');
        id.push_str(part.trim_matches(['{', '}']));
    }
    id
}

/// The service that a path belongs to.
fn tag(path: &str) -> &str {
    match path.strip_prefix("/v1/") {
        Some(rest) => rest.split('/').next().unwrap_or(rest),
        None if path.starts_with("/api/") || path.starts_with("/user/") => "facade",
        None => "server",
    }
}

fn headers() -> Value {
    json!({
        "Request-Id": {
            "description": "Names the request in the server's log.",
            "required": true,
            "schema": { "type": "string", "pattern": "^rq_[0-9a-f]{24}$" },
        },
        "Idempotent-Replayed": {
            "description": "`true` on an answer that is given again under its idempotency key.",
            "schema": { "type": "string", "enum": ["true"] },
        },
        "Retry-After": {
            "description": "Seconds after which it is worth another try.",
            "schema": { "type": "integer", "minimum": 0 },
        },
        "WWW-Authenticate": {
            "description": "How credentials are sent.",
            "required": true,
            "schema": { "type": "string", "enum": ["Bearer"] },
        },
    })
}

fn security_schemes() -> Value {
    let scheme = |about: &str, format: &str| json!({ "type": "http", "scheme": "bearer", "bearerFormat": format, "description": about });
    json!({
        "adminKey": scheme("An administrator: an API key `bursar_admin_…`.", "API key"),
        "userKey": scheme("A user: an API key `bursar_user_…`.", "API key"),
        "userToken": scheme("A user: a token of the product's own issuer. `sub` is the user's id.", "JWT"),
    })
}
