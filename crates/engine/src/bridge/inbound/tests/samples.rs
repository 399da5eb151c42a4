use std::path::Path;
use std::process::Command;

use bursar_domain::notice::Notice;
use serde_json::Value;

use super::{said, wrapped};

/// Stripe's own sample objects, where someone has put them: a folder with `fixtures3-*.json`, also packed with zstd. They are
/// not part of this repository.
#[test]
fn stripes_own_samples_are_readable() {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/stripe/fixtures");
    let folder = std::env::var_os("STRIPE_FIXTURES").map_or(beside, Into::into);
    let Ok(files) = std::fs::read_dir(&folder) else {
        println!("skipped: there are no samples of Stripe's (STRIPE_FIXTURES names their folder)");
        return;
    };
    let mut read = 0;
    for path in files.map(|entry| entry.unwrap().path()) {
        let bytes = if path.extension().is_some_and(|extension| extension == "zst") {
            match Command::new("zstd").arg("-dcq").arg(&path).output() {
                Ok(unpacked) if unpacked.status.success() => unpacked.stdout,
                _ => {
                    println!("skipped {}: it takes zstd to unpack it", path.display());
                    continue;
                }
            }
        } else {
            std::fs::read(&path).unwrap()
        };
        let samples: Value = serde_json::from_slice(&bytes).unwrap();
        for (resource, kind) in [
            ("checkout.session", "checkout.session.completed"),
            ("checkout.session", "checkout.session.expired"),
            ("payment_intent", "payment_intent.succeeded"),
            ("payment_intent", "payment_intent.payment_failed"),
            ("charge", "charge.succeeded"),
            ("charge", "charge.refunded"),
            ("refund", "refund.updated"),
            ("dispute", "charge.dispute.created"),
            (
                "radar.early_fraud_warning",
                "radar.early_fraud_warning.created",
            ),
        ] {
            let sample = &samples["resources"][resource];
            assert!(sample.is_object(), "{} {resource}", path.display());
            let event = wrapped(kind, "", sample);
            let notice = said(&event);
            let is_readable = match kind {
                kind if kind.starts_with("checkout") => matches!(notice, Notice::Session { .. }),
                // A sample charge may stand alone, without an intent.
                "charge.succeeded" => {
                    matches!(notice, Notice::Intent { .. } | Notice::Foreign { .. })
                }
                kind if kind.starts_with("payment_intent") => {
                    matches!(notice, Notice::Intent { .. })
                }
                // A sample may stand alone here, too. What it says has to be understood before that is known.
                _ => !matches!(notice, Notice::Unreadable { .. }),
            };
            assert!(is_readable, "{} {kind}: {notice:?}", path.display());
            read += 1;
        }
    }
    println!("{read} samples read");
    assert!(read > 0, "{} holds no samples", folder.display());
}
