//! The form of what is asked: lengths, names, keys. The same as over HTTP, since what is kept is read there, too.

use bursar_domain::amount::Unit;
use bursar_domain::card_number;
use bursar_domain::charge::{Charge, Price};
use bursar_domain::journal::Remark;
use bursar_domain::limit::Spender;
use bursar_domain::refusal::Refusal;
use bursar_store::query::PageRequest;
use serde_json::Value;

use super::ServiceError;

/// The longest idempotency key, in characters.
const KEY_MAX: usize = 255;
/// The longest name of an API key, a label, an action or a service, in characters.
const NAME_MAX: usize = 100;
/// Most labels of one charge.
const LABELS_MAX: usize = 8;
/// The longest note, in characters.
const NOTE_MAX: usize = 500;
/// The longest reference, in characters.
pub(super) const REFERENCE_MAX: usize = 200;
/// The largest `meta`, in bytes.
const META_MAX: usize = 4096;
/// Most items of a page.
const PAGE_MAX: usize = 1_000;

pub(super) fn check_key(key: &str) -> Result<(), ServiceError> {
    if is_visible(key, KEY_MAX) {
        return Ok(());
    }
    let rule = format!("must have 1 to {KEY_MAX} visible ASCII characters");
    Err(ServiceError::invalid("idempotency_key", rule))
}

/// A name that ends up in words for programs, which blanks separate.
pub(super) fn check_name(field: &'static str, name: &str) -> Result<(), ServiceError> {
    if is_visible(name, NAME_MAX) {
        return Ok(());
    }
    let rule = format!("must have 1 to {NAME_MAX} visible ASCII characters and no blanks");
    Err(ServiceError::invalid(field, rule))
}

fn is_visible(text: &str, most: usize) -> bool {
    (1..=most).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic())
}

pub(super) fn check_page(request: &PageRequest) -> Result<(), ServiceError> {
    check_limit(request.limit)
}

pub(super) fn check_limit(limit: usize) -> Result<(), ServiceError> {
    if (1..=PAGE_MAX).contains(&limit) {
        return Ok(());
    }
    let number = |size: usize| i64::try_from(size).unwrap_or(i64::MAX);
    Err(Refusal::OutOfRange {
        field: "limit".to_owned(),
        least: 1,
        most: number(PAGE_MAX),
        given: number(limit),
    }
    .into())
}

/// What a provider calls a payment. Not searched for card numbers: many a transfer has a number that looks like one, and a customer
/// who has paid must not be refused for it.
pub(super) fn check_reference(reference: &str, most: usize) -> Result<(), ServiceError> {
    check_text("reference", reference, most)?;
    if reference.is_empty() {
        return Err(ServiceError::invalid("reference", "must not be empty"));
    }
    Ok(())
}

fn check_text(field: &'static str, text: &str, most: usize) -> Result<(), ServiceError> {
    if text.chars().count() > most {
        let rule = format!("must have at most {most} characters");
        return Err(ServiceError::invalid(field, rule));
    }
    if text
        .chars()
        .any(|c| c.is_control() && c != '\n' && c != '\t')
    {
        let rule = "must not contain control characters";
        return Err(ServiceError::invalid(field, rule));
    }
    Ok(())
}

/// What is said about a movement, with `meta` as it will be kept.
pub(super) fn remark(remark: Remark) -> Result<Remark, ServiceError> {
    check_text("note", &remark.note, NOTE_MAX)?;
    check_text("ref", &remark.reference, REFERENCE_MAX)?;
    check_no_card("note", &remark.note)?;
    check_no_card("ref", &remark.reference)?;
    let meta = meta(&remark.meta)?;
    Ok(Remark { meta, ..remark })
}

fn check_no_card(field: &'static str, text: &str) -> Result<(), ServiceError> {
    if card_number::is_in(text) {
        let rule = "holds a card number, which must not be kept here: leave it out";
        return Err(ServiceError::invalid(field, rule));
    }
    Ok(())
}

/// A JSON object without the blanks that make no difference; empty for none.
pub(super) fn meta(text: &str) -> Result<String, ServiceError> {
    if text.is_empty() {
        return Ok(String::new());
    }
    match serde_json::from_str::<Value>(text) {
        Ok(value @ Value::Object(_)) if text.len() <= META_MAX => {
            let meta = value.to_string();
            check_no_card("meta", &meta)?;
            Ok(meta)
        }
        _ => {
            let rule = format!("must be a JSON object of at most {META_MAX} bytes, or empty");
            Err(ServiceError::invalid("meta", rule))
        }
    }
}

/// Labels in order, each once: whoever keeps them in a set asks the same, however they come out of it.
fn spender(mut spender: Spender) -> Result<Spender, ServiceError> {
    if let Some(api_key) = &spender.api_key {
        check_name("api_key", api_key)?;
    }
    for label in &spender.labels {
        check_name("labels", label)?;
    }
    if spender.labels.len() > LABELS_MAX {
        let rule = format!("must be at most {LABELS_MAX} names");
        return Err(ServiceError::invalid("labels", rule));
    }
    spender.labels.sort();
    spender.labels.dedup();
    Ok(spender)
}

pub(super) fn charge(charge: Charge) -> Result<Charge, ServiceError> {
    if let Price::Action { name, .. } = &charge.price {
        check_name("action", name)?;
        if charge.unit != Unit::CREDIT {
            let rule = "must be credit: actions cost credits";
            return Err(ServiceError::invalid("unit", rule));
        }
    }
    Ok(Charge {
        spender: spender(charge.spender)?,
        remark: remark(charge.remark)?,
        ..charge
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn meta_is_kept_without_blanks_and_only_as_an_object() {
        assert_eq!(
            meta(r#"{ "b": 1, "a": [ ] }"#).unwrap(),
            r#"{"b":1,"a":[]}"#
        );
        assert_eq!(meta("").unwrap(), "");
        let long = format!(r#"{{"a":"{}"}}"#, "x".repeat(META_MAX));
        for bad in ["[]", "5", "{", "{} {}", &long] {
            assert!(meta(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn no_card_number_is_kept() {
        for said in [
            ("4242 4242 4242 4242", "", ""),
            ("", "4242424242424242", ""),
            ("", "", r#"{"card":"4242-4242-4242-4242"}"#),
        ] {
            let said = Remark {
                note: said.0.to_owned(),
                reference: said.1.to_owned(),
                meta: said.2.to_owned(),
            };
            let error = remark(said.clone()).unwrap_err();
            assert!(error.to_string().contains("card number"), "{said:?}");
        }
    }

    #[test]
    fn names_have_no_blanks_and_keys_no_surprises() {
        for bad in ["", "a b", "a\n", "ü", &"x".repeat(KEY_MAX + 1)] {
            assert!(check_name("service", bad).is_err(), "{bad:?}");
            assert!(check_key(bad).is_err(), "{bad:?}");
        }
        assert!(check_name("service", "picture:large").is_ok());
        assert!(check_key(&"x".repeat(KEY_MAX)).is_ok());
    }
}
