//! Webhook endpoints: who wants to hear of events.

use serde_json::{Value, json};

use crate::error::{ApiError, ApiResult};
use crate::list::Listing;
use crate::route::{Call, Operation};
use crate::session::check_url;
use crate::version;
use crate::world::{World, apply, apply_metadata};

pub(crate) const OPERATIONS: &[Operation] = &[
    (
        "POST",
        "/v1/webhook_endpoints",
        "url!:text enabled_events!:[text] api_version:text connect:bool description:text metadata:map",
        create,
    ),
    ("GET", "/v1/webhook_endpoints", "@list", list),
    ("GET", "/v1/webhook_endpoints/{}", "", retrieve),
    (
        "POST",
        "/v1/webhook_endpoints/{}",
        "url:text enabled_events:[text] disabled:bool description:text metadata:map",
        update,
    ),
    ("DELETE", "/v1/webhook_endpoints/{}", "", delete),
];

/// The families of Stripe's events: what stands before the last point of a type.
const FAMILIES: &str = "account account.application account.external_account application_fee application_fee.refund \
    apps.install balance balance_settings billing.alert billing.credit_balance_transaction billing.credit_grant \
    billing.meter billing_portal.configuration billing_portal.session capability cash_balance charge \
    charge.dispute charge.refund checkout.session climate.order climate.product coupon credit_note customer \
    customer.discount customer.source customer.subscription customer.tax_id customer_cash_balance_transaction \
    entitlements.active_entitlement_summary file financial_connections.account \
    financial_connections.authorization identity.verification_session invoice invoice_payment invoiceitem \
    issuing_authorization issuing_card issuing_cardholder issuing_dispute issuing_personalization_design \
    issuing_token issuing_transaction mandate payment_intent payment_link payment_method payout person plan price \
    product promotion_code quote radar.early_fraud_warning refund reporting.report_run reporting.report_type \
    reserve.hold reserve.plan reserve.release review setup_intent sigma.scheduled_query_run source \
    source.transaction subscription_schedule tax.settings tax_rate terminal.reader test_helpers.test_clock \
    three_d_secure.authentication topup transfer treasury.credit_reversal treasury.debit_reversal \
    treasury.financial_account treasury.inbound_transfer treasury.outbound_payment treasury.outbound_transfer \
    treasury.received_credit treasury.received_debit";

fn create(world: &mut World, call: &Call) -> ApiResult {
    let params = &call.params;
    check_url(params, "url")?;
    check_events(params)?;
    if let Some(version) = params["api_version"].as_str() {
        version::check(version).map_err(|error| error.at("api_version"))?;
    }
    let id = world.ids.next("we");
    let mut endpoint = json!({
        "id": id,
        "object": "webhook_endpoint",
        "api_version": params["api_version"],
        "application": null,
        "created": call.now,
        "description": params["description"],
        "enabled_events": params["enabled_events"],
        "livemode": false,
        "metadata": {},
        "status": "enabled",
        "url": params["url"],
    });
    apply_metadata(&mut endpoint, params);
    world.keep(&endpoint);
    let secret = format!("whsec_{}", world.ids.text(32));
    world.note(&id, "secret", json!(secret));
    // Shown this once and never again.
    endpoint["secret"] = json!(secret);
    Ok(endpoint)
}

fn check_events(params: &Value) -> ApiResult<()> {
    let Some(events) = params["enabled_events"].as_array() else {
        return Ok(());
    };
    if events.is_empty() {
        return Err(ApiError::missing("enabled_events"));
    }
    let named = |event: &str| {
        let family = event.rsplit_once('.').map(|(family, _)| family);
        event == "*"
            || family.is_some_and(|family| FAMILIES.split_whitespace().any(|known| known == family))
    };
    match events
        .iter()
        .filter_map(Value::as_str)
        .find(|event| !named(event))
    {
        Some(event) => {
            let message = format!(
                "Invalid event type: {event}. Name types such as charge.refunded, or * for all."
            );
            Err(ApiError::invalid(message).at("enabled_events"))
        }
        None => Ok(()),
    }
}

fn list(world: &mut World, call: &Call) -> ApiResult {
    Listing::of("webhook_endpoint", &[]).page(&world.records, call)
}

fn retrieve(world: &mut World, call: &Call) -> ApiResult {
    world.object_at("webhook_endpoint", call.id(), "webhook_endpoint")
}

fn update(world: &mut World, call: &Call) -> ApiResult {
    let params = &call.params;
    let mut endpoint = world.object_at("webhook_endpoint", call.id(), "webhook_endpoint")?;
    check_url(params, "url")?;
    check_events(params)?;
    apply(
        &mut endpoint,
        params,
        &["url", "enabled_events", "description"],
    );
    if let Some(disabled) = params["disabled"].as_bool() {
        endpoint["status"] = json!(if disabled { "disabled" } else { "enabled" });
    }
    apply_metadata(&mut endpoint, params);
    world.keep(&endpoint);
    Ok(endpoint)
}

fn delete(world: &mut World, call: &Call) -> ApiResult {
    world.object_at("webhook_endpoint", call.id(), "webhook_endpoint")?;
    world
        .records
        .delete(crate::records::Collection::Object, call.id());
    world
        .records
        .delete(crate::records::Collection::Private, call.id());
    Ok(json!({ "id": call.id(), "object": "webhook_endpoint", "deleted": true }))
}
