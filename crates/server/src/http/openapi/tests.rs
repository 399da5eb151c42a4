use std::collections::BTreeSet;

use serde_json::Value;

use super::document::document;
use super::error::Codes;
use super::operation::Operation;
use super::{generator, words};
use crate::http::routes;

#[test]
fn every_route_stands_in_the_tables_for_people_with_the_role_that_its_types_ask_for() {
    for route in routes().all() {
        let name = format!("{} {}", route.method, route.path);
        let mut generator = generator();
        let mut operation = Operation::new(&mut generator, false);
        (route.describe)(&mut operation);
        let (role, about) = words::about(&name).unwrap_or_else(|| panic!("{name}"));
        // Stripe and browsers show no credentials of ours.
        let written = if ["Stripe", "browser"].contains(&role) {
            "guest"
        } else {
            role
        };
        assert_eq!(operation.roles(), written, "{name}");
        assert!(!about.is_empty(), "{name}");
    }
}

#[test]
fn every_code_that_a_route_names_is_in_the_list_of_errors() {
    let codes = Codes::known();
    for route in routes().all() {
        let mut generator = generator();
        let mut operation = Operation::new(&mut generator, false);
        (route.describe)(&mut operation);
        operation.may(route.refusals);
        let unknown = codes.unknown(operation.codes());
        assert!(unknown.is_empty(), "{}: {unknown:?}", route.path);
    }
}

/// Every object and list below a value.
fn walk<'a>(value: &'a Value, visit: &mut impl FnMut(&'a Value)) {
    visit(value);
    match value {
        Value::Object(fields) => fields.values().for_each(|inner| walk(inner, visit)),
        Value::Array(items) => items.iter().for_each(|inner| walk(inner, visit)),
        _ => {}
    }
}

#[test]
fn every_reference_leads_somewhere_and_every_schema_is_used() {
    let document = document();
    let mut used = BTreeSet::new();
    walk(&document, &mut |value| {
        if let Some(reference) = value.get("$ref").and_then(Value::as_str) {
            let pointer = reference.strip_prefix('#').unwrap();
            assert!(document.pointer(pointer).is_some(), "{reference}");
            used.insert(pointer.to_owned());
        }
    });
    for name in document["components"]["schemas"]
        .as_object()
        .unwrap()
        .keys()
    {
        let pointer = format!("/components/schemas/{name}");
        assert!(used.contains(&pointer), "{name} is used nowhere");
        let numbered = name.ends_with(|c: char| c.is_ascii_digit());
        assert!(!numbered, "{name}: two schemas have one name");
    }
}

#[test]
fn operations_have_names_of_their_own() {
    let document = document();
    let mut names = BTreeSet::new();
    for path in document["paths"].as_object().unwrap().values() {
        for operation in path.as_object().unwrap().values() {
            let name = operation["operationId"].as_str().unwrap();
            assert!(names.insert(name.to_owned()), "{name}");
        }
    }
    assert_eq!(names.len(), routes().all().len());
}
