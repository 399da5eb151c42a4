//! The form of what is asked. The rules are those of [`bursar_domain::text`]; here they get the names of fields.

use bursar_domain::charge::{Charge, Price};
use bursar_domain::journal::Remark;
use bursar_domain::limit::Spender;
use bursar_domain::refusal::Refusal;
use bursar_domain::text::{self, Flaw, LABELS_MAX, META_MAX, NOTE_MAX, REFERENCE_MAX};
use bursar_store::query::PageRequest;
use serde_json::Value;

use super::ServiceError;

/// Most items of a page.
const PAGE_MAX: usize = 1_000;

/// An error about this field.
fn in_field(field: &'static str) -> impl FnOnce(Flaw) -> ServiceError {
    move |flaw| ServiceError::invalid(field, flaw.to_string())
}

pub(super) fn check_key(key: &str) -> Result<(), ServiceError> {
    text::check_key(key).map_err(in_field("idempotency_key"))
}

pub(super) fn check_name(field: &'static str, name: &str) -> Result<(), ServiceError> {
    text::check_name(name).map_err(in_field(field))
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
    text::check(reference, most).map_err(in_field("reference"))?;
    if reference.is_empty() {
        return Err(ServiceError::invalid("reference", "must not be empty"));
    }
    Ok(())
}

/// What is said about a movement, with `meta` as it will be kept.
pub(super) fn remark(remark: Remark) -> Result<Remark, ServiceError> {
    for (field, said, most) in [
        ("note", &remark.note, NOTE_MAX),
        ("ref", &remark.reference, REFERENCE_MAX),
    ] {
        text::check(said, most).map_err(in_field(field))?;
        text::check_no_card(said).map_err(in_field(field))?;
    }
    let meta = meta(&remark.meta)?;
    Ok(Remark { meta, ..remark })
}

/// A JSON object without the blanks that make no difference; empty for none.
pub(super) fn meta(given: &str) -> Result<String, ServiceError> {
    if given.is_empty() {
        return Ok(String::new());
    }
    match serde_json::from_str::<Value>(given) {
        Ok(value @ Value::Object(_)) if given.len() <= META_MAX => {
            let meta = value.to_string();
            text::check_no_card(&meta).map_err(in_field("meta"))?;
            Ok(meta)
        }
        _ => {
            let rule = format!("must be a JSON object of at most {META_MAX} bytes, or empty");
            Err(ServiceError::invalid("meta", rule))
        }
    }
}

fn spender(spender: Spender) -> Result<Spender, ServiceError> {
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
    Ok(Spender::of(spender.api_key, spender.labels))
}

pub(super) fn charge(charge: Charge) -> Result<Charge, ServiceError> {
    if let Price::Action { name, .. } = &charge.price {
        check_name("action", name)?;
    }
    let unit = charge.price.check_unit(charge.unit);
    unit.map_err(|rule| ServiceError::invalid("unit", rule))?;
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
}
