//! API versions: which are known, and how an object looked in an older one.
//!
//! The sandbox keeps every object in the newest form and names differently what an older version names
//! differently. A field that came later is shown in every version, as Stripe does: only breaking changes are
//! bound to a version.

use serde_json::{Value, json};

use crate::error::{ApiError, ApiResult};

/// The versions a request may ask for, oldest first.
const KNOWN: &[&str] = &[
    "2025-03-31.basil",
    "2025-04-30.basil",
    "2025-05-28.basil",
    "2025-06-30.basil",
    "2025-07-30.basil",
    "2025-08-27.basil",
    "2025-09-30.clover",
    "2025-10-29.clover",
    "2025-11-17.clover",
    "2025-12-15.clover",
    "2026-01-28.clover",
    "2026-02-25.clover",
    "2026-03-25.dahlia",
    "2026-04-22.dahlia",
    "2026-05-27.dahlia",
    "2026-06-24.dahlia",
    "2026-07-29.dahlia",
    "2026-08-26.dahlia",
    "2026-09-30.endive",
    "2026-10-28.endive",
];

/// The first version that refuses `payment_method_types`.
pub(crate) const ENDIVE: &str = "2026-09-30.endive";
/// The first version that names the forms of checkout `hosted_page`, `embedded_page` and `elements`.
const DAHLIA: &str = "2026-03-25.dahlia";

/// The names of the forms of checkout, new and old.
const UI_MODES: &[(&str, &str)] = &[
    ("hosted_page", "hosted"),
    ("embedded_page", "embedded"),
    ("elements", "custom"),
];

/// Checks that a request asks for a version the sandbox speaks.
pub(crate) fn check(version: &str) -> ApiResult<()> {
    if KNOWN.contains(&version) {
        return Ok(());
    }
    let (first, last) = (KNOWN.first().unwrap_or(&""), KNOWN.last().unwrap_or(&""));
    let message = format!(
        "Invalid Stripe API version: {version}. The sandbox speaks the versions from {first} to {last}."
    );
    Err(ApiError::invalid(message))
}

/// Gives an object, and every object in it, the form it has in `version`. Events inside keep their own.
pub(crate) fn render(value: &mut Value, version: &str) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(|item| render(item, version)),
        Value::Object(fields) => {
            let kind = fields
                .get("object")
                .and_then(Value::as_str)
                .unwrap_or_default()
                .to_owned();
            if kind == "event" {
                return render_event(value);
            }
            if let Some(mode) = fields.get_mut("ui_mode").filter(|_| version < DAHLIA) {
                let old = UI_MODES.iter().find(|(new, _)| mode == new);
                *mode = old.map_or(mode.take(), |(_, old)| json!(old));
            }
            fields.values_mut().for_each(|field| render(field, version));
        }
        _ => {}
    }
}

/// An event in its own version: Stripe renders it once and for ever.
fn render_event(event: &mut Value) {
    let version = event["api_version"].as_str().unwrap_or_default().to_owned();
    render(&mut event["data"], &version);
}

/// The event as an endpoint gets it that asked for a version of its own, ready to be sent.
pub(crate) fn event_as(event: &Value, version: Option<&str>) -> Value {
    let mut event = event.clone();
    if let Some(version) = version {
        event["api_version"] = json!(version);
    }
    render_event(&mut event);
    event
}

/// The newest name of a form of checkout, given in the words of `version`; `None` if it has no such form.
pub(crate) fn ui_mode<'a>(mode: &'a str, version: &str) -> Option<&'a str> {
    let pair = UI_MODES
        .iter()
        .find(|(new, old)| mode == if version < DAHLIA { *old } else { *new });
    pair.map(|(new, _)| *new)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_older_version_names_things_as_it_did() {
        let newest = json!({"object": "list", "data": [
            {"object": "checkout.session", "ui_mode": "hosted_page", "origin_context": null},
        ]});
        let mut clover = newest.clone();
        render(&mut clover, "2026-02-25.clover");
        let old =
            json!([{"object": "checkout.session", "ui_mode": "hosted", "origin_context": null}]);
        assert_eq!(clover["data"], old);
        let mut same = newest.clone();
        render(&mut same, "2026-10-28.endive");
        assert_eq!(same, newest);
    }

    #[test]
    fn an_event_keeps_the_version_of_its_making() {
        let event = json!({"object": "event", "api_version": "2025-06-30.basil",
            "data": {"object": {"object": "checkout.session", "ui_mode": "hosted_page"}}});
        let mut read = event.clone();
        render(&mut read, "2026-10-28.endive");
        assert_eq!(read["data"]["object"]["ui_mode"], "hosted");
        let sent = event_as(&event, Some("2026-10-28.endive"));
        assert_eq!(sent["data"]["object"]["ui_mode"], "hosted_page");
        assert_eq!(sent["api_version"], "2026-10-28.endive");
    }

    #[test]
    fn only_known_versions_are_spoken() {
        assert!(check(bursar_stripe::VERSION).is_ok());
        assert!(check(crate::DEFAULT_VERSION).is_ok());
        assert!(check("2019-01-01").is_err());
        assert!(KNOWN.is_sorted());
    }
}
