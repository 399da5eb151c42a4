//! Webhook endpoints: who wants to hear of events.

use serde_json::{Value, json};

use crate::error::{ApiError, ApiResult};
use crate::list;
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
    let named = |event: &str| event == "*" || event.contains('.');
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
    list::page(
        world.records.objects("webhook_endpoint"),
        &call.params,
        &call.path,
    )
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
