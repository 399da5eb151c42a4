//! Requests as they go out.

use super::*;
use crate::form;
use crate::object::{List, Metadata, Refund};
use serde_json::json;

fn metadata(entries: &[(&str, &str)]) -> Metadata {
    let owned = |(key, value): &(&str, &str)| ((*key).to_owned(), (*value).to_owned());
    Metadata(entries.iter().map(owned).collect())
}

fn params() -> CheckoutSessionParams {
    CheckoutSessionParams {
        currency: "usd".to_owned(),
        unit_amount: 500,
        quantity: 1,
        product_name: "500 credits".to_owned(),
        success_url: "https://shop.example/ok?s={CHECKOUT_SESSION_ID}".to_owned(),
        cancel_url: "https://shop.example/no".to_owned(),
        client_reference_id: "top_1".to_owned(),
        metadata: metadata(&[("topup", "top_1")]),
        payment_intent_metadata: metadata(&[("topup", "top_1")]),
        customer: None,
        customer_email: None,
        expires_at: Some(1_795_203_600),
        ..CheckoutSessionParams::default()
    }
}

#[test]
fn a_checkout_session_as_it_goes_out() {
    let request = create_checkout_session(&params(), "pay_1");
    assert_eq!(
        (request.method, request.path.as_str()),
        (Method::Post, "/v1/checkout/sessions")
    );
    assert_eq!(request.idempotency_key.as_deref(), Some("pay_1"));
    assert_eq!(
        form::encode(&request.params),
        "mode=payment&line_items[0][price_data][currency]=usd\
         &line_items[0][price_data][unit_amount]=500\
         &line_items[0][price_data][product_data][name]=500%20credits\
         &line_items[0][quantity]=1\
         &success_url=https%3A%2F%2Fshop.example%2Fok%3Fs%3D%7BCHECKOUT_SESSION_ID%7D\
         &cancel_url=https%3A%2F%2Fshop.example%2Fno&client_reference_id=top_1\
         &metadata[topup]=top_1&payment_intent_data[metadata][topup]=top_1\
         &expires_at=1795203600"
    );
}

#[test]
fn a_checkout_session_that_keeps_the_card_and_takes_something_off() {
    let wish = CheckoutSessionParams {
        customer: Some("cus_1".to_owned()),
        setup_future_usage: true,
        discount_coupon: Some("c_1".to_owned()),
        ..CheckoutSessionParams::default()
    };
    let form = form::encode(&create_checkout_session(&wish, "k").params);
    for part in [
        "&payment_intent_data[setup_future_usage]=off_session&",
        "&discounts[0][coupon]=c_1&",
        "&customer=cus_1",
    ] {
        assert!(form.contains(part), "{part} is missing in {form}");
    }
}

#[test]
fn a_stored_request_comes_back_the_same() {
    let request = create_checkout_session(&params(), "pay_1");
    let stored = serde_json::to_string(&request).unwrap();
    assert_eq!(serde_json::from_str::<Request>(&stored).unwrap(), request);
    assert!(
        stored.starts_with(r#"{"method":"POST","path":"/v1/checkout/sessions""#),
        "{stored}"
    );
}

#[test]
fn an_id_stays_in_its_place() {
    assert_eq!(
        retrieve_payment_intent("pi_1").path,
        "/v1/payment_intents/pi_1"
    );
    assert_eq!(
        retrieve_event("../charges?x").path,
        "/v1/events/%2E%2E%2Fcharges%3Fx"
    );
    assert_eq!(
        expire_checkout_session("cs_test_1", "k").path,
        "/v1/checkout/sessions/cs_test_1/expire"
    );
}

#[test]
fn lists_and_endpoints_send_only_what_is_set() {
    let list = ListEvents {
        types: vec![
            "checkout.session.completed".to_owned(),
            "charge.refunded".to_owned(),
        ],
        delivery_success: Some(false),
        window: Window {
            created_from: Some(1_795_200_000),
            limit: Some(100),
            ..Window::default()
        },
    };
    assert_eq!(
        form::encode(&list_events(&list).params),
        "types[0]=checkout.session.completed&types[1]=charge.refunded\
         &delivery_success=false&created[gte]=1795200000&limit=100"
    );
    assert_eq!(
        form::encode(&list_events(&ListEvents::default()).params),
        ""
    );
    let endpoint = WebhookEndpointParams {
        url: Some("https://shop.example/hook".to_owned()),
        enabled_events: vec!["*".to_owned()],
        api_version: Some(crate::VERSION.to_owned()),
        disabled: Some(false),
        ..WebhookEndpointParams::default()
    };
    assert_eq!(
        form::encode(&create_webhook_endpoint(&endpoint, "k").params),
        "url=https%3A%2F%2Fshop.example%2Fhook&enabled_events[0]=%2A\
         &api_version=2026-10-28.endive"
    );
    assert_eq!(
        form::encode(&update_webhook_endpoint("we_1", &endpoint, "k").params),
        "url=https%3A%2F%2Fshop.example%2Fhook&enabled_events[0]=%2A&disabled=false"
    );
}

fn sent(request: &Request) -> (Method, &str, String) {
    let params = form::encode(&request.params);
    (request.method, request.path.as_str(), params)
}

#[test]
fn a_payment_in_a_browser_waits_for_its_confirmation() {
    let params = PaymentIntentParams {
        amount: 500,
        currency: "usd".to_owned(),
        customer: Some("cus_1".to_owned()),
        metadata: metadata(&[("topup", "top_1")]),
        setup_future_usage: true,
        ..PaymentIntentParams::default()
    };
    let request = create_payment_intent(&params, "pay_1");
    assert_eq!(request.idempotency_key.as_deref(), Some("pay_1"));
    let form = "amount=500&currency=usd&customer=cus_1&metadata[topup]=top_1\
                &automatic_payment_methods[enabled]=true&setup_future_usage=off_session";
    let expected = (Method::Post, "/v1/payment_intents", form.to_owned());
    assert_eq!(sent(&request), expected);
    let plain = PaymentIntentParams {
        setup_future_usage: false,
        ..params
    };
    let form = form::encode(&create_payment_intent(&plain, "k").params);
    assert!(!form.contains("future"), "{form}");
}

#[test]
fn a_payment_without_the_customer_is_confirmed_at_once() {
    let params = PaymentIntentParams {
        amount: 500,
        currency: "usd".to_owned(),
        customer: Some("cus_1".to_owned()),
        description: Some("500 credits".to_owned()),
        setup_future_usage: true,
        off_session: Some("pm_1".to_owned()),
        ..PaymentIntentParams::default()
    };
    assert_eq!(
        form::encode(&create_payment_intent(&params, "k").params),
        "amount=500&currency=usd&customer=cus_1&description=500%20credits\
         &payment_method=pm_1&off_session=true&confirm=true"
    );
}

#[test]
fn every_change_goes_to_its_place_under_its_key() {
    let none = Metadata::default();
    let ours = metadata(&[("user", "u_1")]);
    for (request, path, form) in [
        (
            create_customer(&ours, Some("a@b.example"), "k"),
            "/v1/customers",
            "metadata[user]=u_1&email=a%40b.example",
        ),
        (create_customer(&none, None, "k"), "/v1/customers", ""),
        (
            cancel_payment_intent("pi_1", "k"),
            "/v1/payment_intents/pi_1/cancel",
            "",
        ),
        (
            create_setup_intent("cus_1", &ours, "k"),
            "/v1/setup_intents",
            "customer=cus_1&usage=off_session&metadata[user]=u_1",
        ),
        (
            detach_payment_method("pm_1", "k"),
            "/v1/payment_methods/pm_1/detach",
            "",
        ),
        (
            create_coupon("c_1", 100, "usd", "Voucher", "k"),
            "/v1/coupons",
            "id=c_1&amount_off=100&currency=usd&name=Voucher&duration=once&max_redemptions=1",
        ),
        (
            create_refund("pi_1", Some(100), Some("duplicate"), &ours, "k"),
            "/v1/refunds",
            "payment_intent=pi_1&amount=100&reason=duplicate&metadata[user]=u_1",
        ),
        (
            create_refund("pi_1", None, None, &none, "k"),
            "/v1/refunds",
            "payment_intent=pi_1",
        ),
    ] {
        assert_eq!(sent(&request), (Method::Post, path, form.to_owned()));
        assert_eq!(request.idempotency_key.as_deref(), Some("k"), "{path}");
    }
}

#[test]
fn every_reader_asks_at_its_place() {
    let all = Window::default();
    let of = Some("pi_1");
    let filter = "payment_intent=pi_1";
    for (request, path, form) in [
        (retrieve_customer("cus_1"), "/v1/customers/cus_1", ""),
        (
            retrieve_setup_intent("seti_1"),
            "/v1/setup_intents/seti_1",
            "expand[0]=payment_method",
        ),
        (
            list_payment_methods("cus_1"),
            "/v1/payment_methods",
            "customer=cus_1&type=card&limit=100",
        ),
        (
            retrieve_payment_method("pm_1"),
            "/v1/payment_methods/pm_1",
            "",
        ),
        (retrieve_refund("re_1"), "/v1/refunds/re_1", ""),
        (retrieve_dispute("du_1"), "/v1/disputes/du_1", ""),
        (
            list_checkout_sessions(of, &all),
            "/v1/checkout/sessions",
            filter,
        ),
        (list_charges(of, &all), "/v1/charges", filter),
        (list_refunds(of, &all), "/v1/refunds", filter),
        (list_disputes(of, &all), "/v1/disputes", filter),
        (
            list_early_fraud_warnings(of, &all),
            "/v1/radar/early_fraud_warnings",
            filter,
        ),
        (
            list_balance_transactions(Some("re_1"), &all, false),
            "/v1/balance_transactions",
            "source=re_1",
        ),
        (
            list_balance_transactions(None, &all, true),
            "/v1/balance_transactions",
            "expand[0]=data.source",
        ),
        (
            list_payment_intents(&all, true),
            "/v1/payment_intents",
            "expand[0]=data.latest_charge",
        ),
        (list_payment_intents(&all, false), "/v1/payment_intents", ""),
        (list_refunds(None, &all), "/v1/refunds", ""),
    ] {
        assert_eq!(sent(&request), (Method::Get, path, form.to_owned()));
        assert_eq!(request.idempotency_key, None, "{path}");
    }
}

#[test]
fn every_list_takes_the_whole_window() {
    let window = Window {
        created_from: Some(1),
        created_to: Some(2),
        limit: Some(100),
        starting_after: Some("a".to_owned()),
        ending_before: Some("b".to_owned()),
    };
    let events = ListEvents {
        window: window.clone(),
        ..ListEvents::default()
    };
    for request in [
        list_checkout_sessions(None, &window),
        list_payment_intents(&window, false),
        list_charges(None, &window),
        list_refunds(None, &window),
        list_disputes(None, &window),
        list_early_fraud_warnings(None, &window),
        list_balance_transactions(None, &window, false),
        list_events(&events),
    ] {
        assert_eq!(
            form::encode(&request.params),
            "created[gte]=1&created[lte]=2&limit=100&starting_after=a&ending_before=b",
            "{}",
            request.path
        );
    }
}

#[test]
fn a_walk_ends_after_the_last_page() {
    let page = |ids: &[&str], has_more: bool| -> List<Refund> {
        let data: Vec<Value> = ids.iter().map(|id| json!({"id": id})).collect();
        serde_json::from_value(json!({"data": data, "has_more": has_more})).unwrap()
    };
    let window = Window {
        created_from: Some(1),
        limit: Some(2),
        ending_before: Some("z".to_owned()),
        ..Window::default()
    };
    let mut pages = Pages::new(window);
    let first = pages.window().unwrap();
    assert_eq!(
        (&first.ending_before, &first.starting_after),
        (&None, &None)
    );
    pages.turn(&page(&["d", "c"], true));
    let second = pages.window().unwrap().clone();
    assert_eq!(second.starting_after.as_deref(), Some("c"));
    assert_eq!((second.created_from, second.limit), (Some(1), Some(2)));

    for over in [
        page(&["b", "a"], false),
        page(&[], true),
        page(&["c"], true),
    ] {
        let mut pages = Pages::new(second.clone());
        pages.turn(&over);
        assert_eq!(pages.window(), None, "{over:?}");
        pages.turn(&page(&["x"], true));
        assert_eq!(pages.window(), None, "what is over stays so");
    }
}
