//! Products: what is sold.

use serde_json::{Value, json};

use crate::error::{ApiError, ApiResult};
use crate::list::Listing;
use crate::route::{Call, Operation};
use crate::world::{World, apply, apply_metadata};

pub(crate) const OPERATIONS: &[Operation] = &[
    (
        "POST",
        "/v1/products",
        "name!:text id:text active:bool description:text images:[text] metadata:map shippable:bool
         marketing_features:any package_dimensions:any statement_descriptor:text tax_code:text
         tax_details:any type:good|service unit_label:text url:text
         default_price_data:{currency!:currency unit_amount:int unit_amount_decimal:text metadata:map
             recurring:{interval!:day|week|month|year interval_count:int}
             tax_behavior:exclusive|inclusive|unspecified currency_options:any custom_unit_amount:any}",
        create,
    ),
    (
        "GET",
        "/v1/products",
        "@list active:bool created:range ids:[text] shippable:bool type:good|service url:text",
        list,
    ),
    ("GET", "/v1/products/{}", "", retrieve),
    (
        "POST",
        "/v1/products/{}",
        "name:text active:bool default_price:text description:text images:[text] metadata:map shippable:bool
         marketing_features:any package_dimensions:any statement_descriptor:text tax_code:text
         tax_details:any unit_label:text url:text",
        update,
    ),
    ("DELETE", "/v1/products/{}", "", delete),
];

const KEPT: &[&str] = &[
    "name",
    "active",
    "description",
    "images",
    "shippable",
    "statement_descriptor",
    "tax_code",
    "type",
    "unit_label",
    "url",
    "default_price",
];

impl World {
    /// Makes a product of the given parameters, without an event.
    pub(crate) fn new_product(&mut self, params: &Value, now: i64) -> ApiResult {
        let id = match params["id"].as_str() {
            Some(id) if self.find("product", id).is_some() => {
                let message = format!("Product already exists: {id}");
                return Err(ApiError::state("resource_already_exists", message).at("id"));
            }
            Some(id) => id.to_owned(),
            None => self.ids.next("prod"),
        };
        let mut product = json!({
            "id": id,
            "object": "product",
            "active": true,
            "created": now,
            "default_price": null,
            "description": null,
            "images": [],
            "livemode": false,
            "marketing_features": [],
            "metadata": {},
            "name": null,
            "package_dimensions": null,
            "shippable": null,
            "statement_descriptor": null,
            "tax_code": null,
            "tax_details": null,
            "type": "service",
            "unit_label": null,
            "updated": now,
            "url": null,
        });
        apply(&mut product, params, KEPT);
        fill(&mut product, params);
        self.keep(&product);
        Ok(product)
    }
}

fn fill(product: &mut Value, params: &Value) {
    if product["images"].is_null() {
        product["images"] = json!([]);
    }
    if let Some(features) = params["marketing_features"].as_array() {
        product["marketing_features"] = json!(features);
    }
    apply_metadata(product, params);
}

fn create(world: &mut World, call: &Call) -> ApiResult {
    let mut product = world.new_product(&call.params, call.now)?;
    world.emit("product.created", &product, None, call.now);
    if call.params["default_price_data"].is_object() {
        let id = product["id"].as_str().unwrap_or_default().to_owned();
        let at = "default_price_data";
        let price = world.new_price(&call.params[at], &id, at, call.now)?;
        world.emit("price.created", &price, None, call.now);
        product["default_price"] = price["id"].clone();
        world.keep(&product);
    }
    Ok(product)
}

fn list(world: &mut World, call: &Call) -> ApiResult {
    let wanted = call.params["ids"].as_array();
    let fits = |product: &Value| wanted.is_none_or(|ids| ids.contains(&product["id"]));
    let filters = ["active", "shippable", "type", "url"];
    Listing::of("product", &filters).page_with(&world.records, call, fits)
}

fn retrieve(world: &mut World, call: &Call) -> ApiResult {
    world.object_at("product", call.id(), "id")
}

fn update(world: &mut World, call: &Call) -> ApiResult {
    let before = world.object_at("product", call.id(), "id")?;
    if let Some(price) = call.params["default_price"].as_str() {
        world.object_in("price", price, "default_price")?;
    }
    let mut product = before.clone();
    apply(&mut product, &call.params, KEPT);
    fill(&mut product, &call.params);
    product["updated"] = json!(call.now);
    world.keep_changed(&["product.updated"], &before, &product, call.now);
    Ok(product)
}

fn delete(world: &mut World, call: &Call) -> ApiResult {
    let product = world.object_at("product", call.id(), "id")?;
    if world
        .records
        .objects_by("price", "product", call.id())
        .next()
        .is_some()
    {
        let message = "This product cannot be deleted because it has one or more user-created prices. Set active to \
                       false instead.";
        return Err(ApiError {
            executed: true,
            ..ApiError::invalid(message)
        });
    }
    world.emit("product.deleted", &product, None, call.now);
    let deleted = json!({ "id": call.id(), "object": "product", "deleted": true });
    world.keep(&deleted);
    Ok(deleted)
}
