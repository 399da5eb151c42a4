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
    assert_eq!(read::<Dispute>(bare()).balance_transactions, []);
    assert_eq!(read::<BalanceTransaction>(bare()).source, None);
    assert_eq!(read::<EarlyFraudWarning>(bare()).actionable, None);
    assert_eq!(read::<PaymentMethod>(bare()).card, None);
    assert_eq!(read::<SetupIntent>(bare()).status, None);
    assert_eq!(read::<Coupon>(bare()).valid, None);
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

#[test]
fn a_dispute_with_its_movements() {
    let dispute: Dispute = read(json!({
        "id": "du_1", "object": "dispute", "amount": 500, "currency": "usd", "charge": "ch_1",
        "payment_intent": {"id": "pi_1"}, "reason": "fraudulent", "status": "needs_response",
        "balance_transactions": [{"id": "txn_1", "amount": -500, "fee": 1500, "net": -2000,
            "currency": "usd", "type": "adjustment", "reporting_category": "dispute",
            "source": {"id": "du_1", "object": "dispute"}, "status": "pending",
            "exchange_rate": 1.25}],
    }));
    assert_eq!(dispute.status, Some(DisputeStatus::NeedsResponse));
    assert_eq!(dispute.payment_intent.unwrap().id(), "pi_1");
    let movement = &dispute.balance_transactions[0];
    assert_eq!(
        (movement.amount, movement.fee, movement.net),
        (Some(-500), Some(1500), Some(-2000))
    );
    assert_eq!(movement.source.as_ref().map(Expandable::id), Some("du_1"));
    assert_eq!(movement.status, Some(BalanceStatus::Pending));
    assert_eq!(movement.kind.as_deref(), Some("adjustment"));
    let bare: Dispute = read(json!({"id": "du_1", "balance_transactions": null}));
    assert_eq!(bare.balance_transactions, []);
    for odd in [json!(5), json!(["ch_1"]), json!({"object": "charge"})] {
        let movement = json!({"id": "txn_1", "source": odd});
        assert!(serde_json::from_value::<BalanceTransaction>(movement).is_err());
    }
    let broken = json!({"id": "txn_1", "net": 0.5});
    assert!(serde_json::from_value::<BalanceTransaction>(broken).is_err());
}

#[test]
fn a_charge_with_card_movement_and_refunds() {
    let charge: Charge = read(json!({
        "id": "ch_1",
        "payment_method_details": {"type": "card", "card": {"brand": "visa", "last4": "4242",
            "fingerprint": "fp_1", "exp_month": 8, "exp_year": 2030, "checks": {}}},
        "balance_transaction": {"id": "txn_1", "fee": 45, "source": "ch_1"},
        "refunds": {"object": "list", "data": [{"id": "re_1", "amount": 100}], "has_more": true},
    }));
    let card = charge.payment_method_details.unwrap().card.unwrap();
    assert_eq!(card.last4.as_deref(), Some("4242"));
    assert_eq!(card.fingerprint.as_deref(), Some("fp_1"));
    let movement = charge.balance_transaction.unwrap();
    assert_eq!(movement.object().unwrap().fee, Some(45));
    let refunds = charge.refunds.unwrap();
    assert_eq!(refunds.data[0].amount, Some(100));
    assert_eq!(refunds.next_starting_after(), Some("re_1"));
}

#[test]
fn a_saved_card_without_its_holder() {
    let method: PaymentMethod = read(json!({
        "id": "pm_1", "customer": "cus_1", "type": "card", "livemode": false,
        "billing_details": {"name": "Canary"}, "card": {"brand": "visa", "exp_year": 2030},
    }));
    assert!(!format!("{method:?}").contains("Canary"), "{method:?}");
    assert_eq!(method.customer.unwrap().id(), "cus_1");
    assert_eq!(method.card.unwrap().exp_year, Some(2030));
    let setup: SetupIntent = read(json!({
        "id": "seti_1", "status": "succeeded", "client_secret": "seti_1_secret_canary",
        "payment_method": {"id": "pm_1", "type": "card"},
    }));
    assert!(!format!("{setup:?}").contains("canary"), "{setup:?}");
    assert_eq!(setup.status, Some(SetupStatus::Succeeded));
    assert_eq!(setup.payment_method.unwrap().id(), "pm_1");
}

#[test]
fn discounts_are_exact() {
    let coupon: Coupon = read(json!({"id": "c_1", "percent_off": 12.5, "valid": true}));
    assert_eq!(coupon.percent_off.unwrap().to_string(), "12.5");
    let session: CheckoutSession = read(json!({
        "id": "cs_1", "amount_subtotal": 500, "amount_total": 400, "setup_intent": null,
        "total_details": {"amount_discount": 100, "amount_shipping": null, "amount_tax": 0},
    }));
    let details = session.total_details.unwrap();
    assert_eq!(
        (details.amount_discount, details.amount_tax),
        (Some(100), Some(0))
    );
    assert!(serde_json::from_value::<Coupon>(json!({"id": "c", "amount_off": 1.5})).is_err());
}

#[test]
fn a_message_for_the_customer_shows_no_secret() {
    let intent: PaymentIntent = read(json!({
        "id": "pi_1", "payment_method": "pm_1", "setup_future_usage": "off_session",
        "last_payment_error": {"message": "No pi_1_secret_canary", "advice_code": "do_not_try_again"},
    }));
    let error = intent.last_payment_error.unwrap();
    assert_eq!(error.message.as_deref(), Some("No pi_1_secret_***"));
    assert_eq!(error.advice_code.as_deref(), Some("do_not_try_again"));
    assert_eq!(intent.setup_future_usage, Some(FutureUsage::OffSession));
    assert_eq!(intent.payment_method.unwrap().id(), "pm_1");
}

#[test]
fn a_list_says_where_it_goes_on() {
    let page = |ids: &[&str], has_more: bool| -> List<Refund> {
        let data: Vec<Value> = ids.iter().map(|id| json!({"id": id})).collect();
        read(json!({"data": data, "has_more": has_more}))
    };
    assert_eq!(page(&["a", "b"], true).next_starting_after(), Some("b"));
    assert_eq!(page(&["a", "b"], false).next_starting_after(), None);
    assert_eq!(page(&[], true).next_starting_after(), None);
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
    reads_the_newer_samples(&sample);
    println!("samples of Stripe's read");
}

fn reads_the_newer_samples(sample: &dyn Fn(&str) -> Value) {
    let dispute: Dispute = read(sample("dispute"));
    assert_eq!(dispute.status, Some(DisputeStatus::WarningNeedsResponse));
    let movement: BalanceTransaction = read(sample("balance_transaction"));
    assert_eq!((movement.amount, movement.net), (Some(100), Some(100)));
    let warning: EarlyFraudWarning = read(sample("radar.early_fraud_warning"));
    assert_eq!(warning.actionable, Some(true));
    let method: PaymentMethod = read(sample("payment_method"));
    assert_eq!(method.card.unwrap().last4.as_deref(), Some("4242"));
    let setup: SetupIntent = read(sample("setup_intent"));
    assert_eq!(setup.status, Some(SetupStatus::RequiresPaymentMethod));
    let coupon: Coupon = read(sample("coupon"));
    assert_eq!(coupon.percent_off.unwrap().to_string(), "25.5");
}
