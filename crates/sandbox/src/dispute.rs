//! Disputes as the shop sees and answers them. How they come and end is in `claim`.

use serde_json::json;

use crate::claim::{EVIDENCE, Verdict, check_open, is_inquiry};
use crate::error::{ApiError, ApiResult};
use crate::list::Listing;
use crate::route::{Call, Operation};
use crate::world::{World, apply_metadata};

pub(crate) const OPERATIONS: &[Operation] = &[
    (
        "GET",
        "/v1/disputes",
        "@list charge:text payment_intent:text created:range",
        list,
    ),
    ("GET", "/v1/disputes/{}", "", retrieve),
    (
        "POST",
        "/v1/disputes/{}",
        "evidence:any metadata:map submit:bool
         intended_submission_method:manual|prefer_manual|prefer_smart_disputes|smart_disputes",
        update,
    ),
    ("POST", "/v1/disputes/{}/close", "", close),
];

fn list(world: &mut World, call: &Call) -> ApiResult {
    Listing::of("dispute", &["charge", "payment_intent"]).page(&world.records, call)
}

fn retrieve(world: &mut World, call: &Call) -> ApiResult {
    world.object_at("dispute", call.id(), "dispute")
}

fn update(world: &mut World, call: &Call) -> ApiResult {
    let params = &call.params;
    let before = world.object_at("dispute", call.id(), "dispute")?;
    let mut dispute = before.clone();
    apply_metadata(&mut dispute, params);
    let Some(given) = params["evidence"].as_object() else {
        world.keep_changed(&["charge.dispute.updated"], &before, &dispute, call.now);
        return Ok(dispute);
    };
    check_open(&before)?;
    for (name, text) in given {
        if !EVIDENCE.contains(&name.as_str()) {
            return Err(ApiError::unknown(&format!("evidence[{name}]")));
        }
        dispute["evidence"][name] = text.clone();
    }
    let details = &mut dispute["evidence_details"];
    details["has_evidence"] = json!(true);
    let submits = params["submit"] != false;
    if submits {
        details["submission_count"] = json!(details["submission_count"].as_i64().unwrap_or(0) + 1);
        details["submission_method"] = json!("manual");
        dispute["status"] = json!(if is_inquiry(&dispute) {
            "warning_under_review"
        } else {
            "under_review"
        });
    }
    world.keep_changed(&["charge.dispute.updated"], &before, &dispute, call.now);
    if !submits {
        return Ok(dispute);
    }
    // The words by which a test tells the bank how to decide.
    match dispute["evidence"]["uncategorized_text"].as_str() {
        Some("winning_evidence") => world.decide_dispute(call.id(), Verdict::Won, call.now),
        Some("losing_evidence") => world.decide_dispute(call.id(), Verdict::Lost, call.now),
        Some("escalate_inquiry_evidence") if is_inquiry(&dispute) => {
            world.decide_dispute(call.id(), Verdict::Escalated, call.now)
        }
        _ => Ok(dispute),
    }
}

fn close(world: &mut World, call: &Call) -> ApiResult {
    world.decide_dispute(call.id(), Verdict::Lost, call.now)
}
