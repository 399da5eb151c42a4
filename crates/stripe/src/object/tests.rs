//! Objects of several shapes and versions.

use super::*;
use serde_json::{Value, json};

fn read<T: for<'de> Deserialize<'de>>(value: Value) -> T {
    serde_json::from_value(value).unwrap()
}

#[test]
fn a_paid_session() {
    let session: CheckoutSession = read(json!({
        "id": "cs_test_1", "object": "checkout.session", "status": "complete",
        "payment_status": "paid", "mode": "payment", "amount_subtotal": 500, "amount_total": 500,
        "currency": "usd", "client_reference_id": "top_1", "metadata": {"topup": "top_1"},
        "payment_intent": {"id": "pi_1", "status": "succeeded", "amount": 500,
            "amount_received": 500, "currency": "usd", "latest_charge": "ch_1"},
        "customer": null, "livemode": false, "url": null, "expires_at": 1, "created": 0,
        "presentment_details": {"presentment_amount": 460, "presentment_currency": "eur"},
        "something_new": {"deep": [1]}
    }));
    assert_eq!(session.status, Some(SessionStatus::Complete));
    assert_eq!(session.payment_status, Some(PaymentStatus::Paid));
    assert_eq!(session.mode, Some(SessionMode::Payment));
    assert_eq!(session.amount_total, Some(500));
    assert_eq!(session.metadata.get("topup"), Some("top_1"));
    let intent = session.payment_intent.unwrap();
    assert_eq!(intent.id(), "pi_1");
    let intent = intent.object().unwrap();
    assert_eq!(intent.status, Some(IntentStatus::Succeeded));
    assert_eq!(intent.latest_charge.as_ref().unwrap().id(), "ch_1");
    assert_eq!(
        session.presentment_details.unwrap().presentment_amount,
        Some(460)
    );
}

#[test]
fn every_object_is_readable_from_its_id_alone() {
    let bare = || json!({"id": "x_1", "metadata": null});
    assert_eq!(
        read::<CheckoutSession>(bare()).livemode,
        None,
        "absent is not the same as false"
    );
    assert_eq!(read::<PaymentIntent>(bare()).amount, None);
    assert_eq!(read::<Charge>(bare()).metadata, Metadata::default());
    assert_eq!(read::<Refund>(bare()).status, None);
    assert_eq!(
        read::<WebhookEndpoint>(bare()).enabled_events,
        Vec::<String>::new()
    );
    assert_eq!(read::<Account>(bare()).id, "x_1");
    assert!(read::<Customer>(json!({"id": "cus_1", "deleted": true})).deleted);
    assert_eq!(read::<Balance>(json!({})).livemode, None);
    assert!(serde_json::from_value::<CheckoutSession>(json!({"status": "open"})).is_err());
}

#[test]
fn a_word_of_tomorrow_is_kept() {
    let session: CheckoutSession = read(json!({"id": "cs_1", "payment_status": "half_paid"}));
    let status = session.payment_status.unwrap();
    assert_eq!(status, PaymentStatus::Other("half_paid".to_owned()));
    assert_eq!(json!(status), json!("half_paid"));
    assert_eq!(
        json!(PaymentStatus::NoPaymentRequired),
        json!("no_payment_required")
    );
}

#[test]
fn an_amount_is_an_integer_or_nothing() {
    for amount in [
        json!(5.5),
        json!("500"),
        json!(9_223_372_036_854_775_808_u64),
        json!([]),
    ] {
        let intent = json!({"id": "pi_1", "amount": amount});
        assert!(
            serde_json::from_value::<PaymentIntent>(intent).is_err(),
            "{amount}"
        );
    }
    let intent: PaymentIntent = read(json!({"id": "pi_1", "amount": -1}));
    assert_eq!(
        intent.amount,
        Some(-1),
        "the sign is for the reader to judge"
    );
}

#[test]
fn secrets_are_not_printed() {
    let intent: PaymentIntent = read(json!({"id": "pi_1", "client_secret": "pi_1_secret_canary"}));
    assert!(!format!("{intent:?}").contains("canary"));
    assert_eq!(intent.client_secret.unwrap().expose(), "pi_1_secret_canary");
    let endpoint: WebhookEndpoint = read(json!({"id": "we_1", "secret": "whsec_canary"}));
    assert!(!format!("{endpoint:?}").contains("canary"));
    assert_eq!(endpoint.secret.unwrap().expose(), "whsec_canary");
}

#[test]
fn a_list_of_expanded_and_plain() {
    let list: List<Charge> = read(json!({
        "object": "list", "has_more": true, "url": "/v1/charges",
        "data": [{"id": "ch_1", "payment_intent": "pi_1"}, {"id": "ch_2", "payment_intent": {"id": "pi_2"}}]
    }));
    let intents: Vec<&str> = list
        .data
        .iter()
        .map(|charge| charge.payment_intent.as_ref().unwrap().id())
        .collect();
    assert_eq!(intents, ["pi_1", "pi_2"]);
    assert!(list.has_more);
    assert!(serde_json::from_value::<Expandable<Charge>>(json!(5)).is_err());
}

/// Stripe's own sample objects, as an extra where they lie beside the repository.
#[test]
fn reads_stripes_samples() {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../../shared/stripe/fixtures/fixtures3-2026-07-29.dahlia.json");
    let Ok(text) = std::fs::read(&path) else {
        println!("skipped: no samples of Stripe's beside the repository");
        return;
    };
    let samples: Value = serde_json::from_slice(&text).unwrap();
    let sample = |name: &str| samples["resources"][name].clone();
    let session: CheckoutSession = read(sample("checkout.session"));
    assert!(session.id.starts_with("cs_test_"));
    assert_eq!(
        session
            .currency_conversion
            .unwrap()
            .source_currency
            .as_deref(),
        Some("usd")
    );
    assert_eq!(
        read::<PaymentIntent>(sample("payment_intent")).amount,
        Some(1099)
    );
    assert_eq!(
        read::<Charge>(sample("charge")).status,
        Some(ChargeStatus::Succeeded)
    );
    assert_eq!(
        read::<Refund>(sample("refund")).status,
        Some(RefundStatus::Succeeded)
    );
    assert!(read::<Customer>(sample("deleted_customer")).deleted);
    assert_eq!(
        read::<WebhookEndpoint>(sample("webhook_endpoint"))
            .enabled_events
            .len(),
        2
    );
    assert_eq!(read::<Balance>(sample("balance")).livemode, Some(false));
    assert_eq!(
        read::<Account>(sample("account")).country.as_deref(),
        Some("US")
    );
    println!("samples of Stripe's read");
}
