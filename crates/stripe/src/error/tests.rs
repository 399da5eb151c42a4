//! Answers that are not 2xx, and what is made of them.

use super::*;

fn answer(status: u16, body: &str) -> Error {
    Error::from_answer(status, Some("req_1".to_owned()), None, body.as_bytes())
}

#[test]
fn a_refused_card_keeps_every_detail() {
    let error = answer(
        402,
        r#"{"error":{"type":"card_error","code":"card_declined","decline_code":"generic_decline",
            "message":"Your card was declined.","param":"","future":{"x":1}}}"#,
    );
    let refusal = error.refusal().unwrap();
    assert_eq!(refusal.kind, Some(ErrorType::Card));
    assert_eq!(refusal.code.as_deref(), Some("card_declined"));
    assert_eq!(refusal.decline_code.as_deref(), Some("generic_decline"));
    assert_eq!(error.retry(), Retry::Never);
    assert_eq!(error.code(), "stripe_refused");
    assert!(
        error
            .to_string()
            .contains("Your card was declined. (402 card_error"),
        "{error}"
    );
    assert!(error.to_string().contains("req_1"), "{error}");
}

#[test]
fn every_status_has_its_kind() {
    for (status, code, retried) in [
        (301, "stripe_refused", false),
        (400, "stripe_refused", false),
        (401, "stripe_unauthorized", false),
        (402, "stripe_refused", false),
        (403, "stripe_unauthorized", false),
        (404, "stripe_refused", false),
        (408, "stripe_outcome_unknown", true),
        (409, "stripe_busy", true),
        (429, "stripe_busy", true),
        (500, "stripe_outcome_unknown", true),
        (502, "stripe_outcome_unknown", true),
        (599, "stripe_outcome_unknown", true),
    ] {
        for body in [
            "",
            "<html>",
            "[]",
            "null",
            r#"{"error":"no"}"#,
            r#"{"error":{"type":1}}"#,
        ] {
            let error = answer(status, body);
            assert_eq!(error.code(), code, "{status} {body}");
            assert_eq!(error.retry() != Retry::Never, retried, "{status} {body}");
        }
    }
}

#[test]
fn a_type_of_tomorrow_is_kept() {
    let error = answer(
        400,
        r#"{"error":{"type":"weather_error","message":"rain"}}"#,
    );
    let kind = error.refusal().unwrap().kind.clone();
    assert_eq!(kind, Some(ErrorType::Other("weather_error".to_owned())));
}

#[test]
fn the_pause_is_read_and_bounded() {
    let after = pause(Some("7"));
    assert_eq!(after, Some(Duration::from_secs(7)));
    let busy = Error::from_answer(429, None, after, b"");
    assert_eq!(busy.retry(), Retry::SameKey { after });
    assert_eq!(pause(Some("99999999")), Some(LONGEST_PAUSE));
    for odd in [
        None,
        Some("soon"),
        Some("-1"),
        Some("Wed, 21 Oct 2026 07:28:00 GMT"),
    ] {
        assert_eq!(pause(odd), None, "{odd:?}");
    }
}

#[test]
fn a_json_error_does_not_quote_the_value() {
    let error = serde_json::from_str::<i64>(r#""pi_1_secret_\"2""#).unwrap_err();
    assert!(
        error.to_string().contains("secret"),
        "the premise of this test"
    );
    let shown = without_values(&error);
    assert!(!shown.contains("secret"), "{shown}");
    assert!(shown.contains("expected i64"), "{shown}");
}

#[test]
fn a_refused_off_session_payment_names_itself() {
    let body = r#"{"error":{"type":"card_error","code":"card_declined",
        "decline_code":"insufficient_funds","advice_code":"try_again_later",
        "message":"Your card has insufficient funds.",
        "payment_intent":{"id":"pi_1","client_secret":"pi_1_secret_canary",
            "last_payment_error":{"payment_method":{"billing_details":{"name":"Canary"}}}},
        "payment_method":{"id":"pm_1","billing_details":{"name":"Canary"}}}}"#;
    let error = answer(402, body);
    let refusal = error.refusal().unwrap();
    assert_eq!(refusal.payment_intent.as_deref(), Some("pi_1"));
    assert_eq!(refusal.advice_code.as_deref(), Some("try_again_later"));
    assert_eq!(refusal.decline_code.as_deref(), Some("insufficient_funds"));
    let shown = format!("{error} {error:?}").to_lowercase();
    assert!(!shown.contains("canary"), "{shown}");
    assert!(shown.contains("pi_1"), "{shown}");

    let alone = answer(402, r#"{"error":{"payment_intent":"pi_2"}}"#);
    let intent = &alone.refusal().unwrap().payment_intent;
    assert_eq!(intent.as_deref(), Some("pi_2"));
    for odd in ["null", "5", "[]", "{}", r#"{"id":5}"#] {
        let error = answer(402, &format!(r#"{{"error":{{"payment_intent":{odd}}}}}"#));
        assert_eq!(error.refusal().unwrap().payment_intent, None, "{odd}");
    }
}

#[test]
fn a_wrong_key_is_told_apart_from_one_that_may_not() {
    for status in [400, 401, 402, 403, 404, 409, 429, 500] {
        assert_eq!(answer(status, "").is_wrong_key(), status == 401, "{status}");
    }
    let reason = "refused".to_owned();
    assert!(!Error::Unreachable { reason }.is_wrong_key());
}

#[test]
fn what_is_there_and_what_is_missing_are_recognised() {
    for (code, there, missing) in [
        ("resource_already_exists", true, false),
        ("resource_missing", false, true),
        ("card_declined", false, false),
    ] {
        let error = answer(400, &format!(r#"{{"error":{{"code":"{code}"}}}}"#));
        let said = (error.is_already_there(), error.is_missing());
        assert_eq!(said, (there, missing), "{code}");
    }
    assert!(!answer(400, "").is_missing());
}

#[test]
fn no_text_of_stripes_shows_a_secret() {
    let secrets = "sk_test_canary rk_live_canary whsec_canary pi_1_secret_canary";
    let body = serde_json::json!({"error": {
        "type": secrets, "code": secrets, "decline_code": secrets, "advice_code": secrets,
        "message": secrets, "param": secrets, "payment_intent": secrets,
    }});
    for status in [400, 401, 402, 403, 409, 429, 500] {
        let error = answer(status, &body.to_string());
        let shown = format!("{error} {error:?}");
        assert!(!shown.contains("canary"), "{shown}");
        assert!(shown.contains("sk_***"), "{shown}");
    }
    // Cut off in the middle of a key.
    let message = format!("{} sk_test_canary1234", "x".repeat(LONGEST_MESSAGE - 12));
    let body = serde_json::json!({"error": {"message": message}});
    let error = answer(400, &body.to_string());
    assert!(!error.to_string().contains("can"), "{error}");
}
