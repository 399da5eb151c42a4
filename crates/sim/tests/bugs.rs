//! How good the simulator is: known bugs are switched on one at a time, and it has to find each.
//!
//! `just sim-bugs` builds with the feature `planted` and prints the table of `docs/testing.md`.

#![cfg(feature = "planted")]
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a helper of a test fails the test"
)]

use std::time::{Duration, Instant};

use bursar_domain::planted::{Bug, plant};
use bursar_sim::{Script, play, shrink};

mod place;

/// So long each bug may hide, unless `SIM_SECONDS` says otherwise.
const HIDE_SECONDS: u64 = 300;

const STEPS: usize = 600;

/// The first seed with which the bug is found, how long that took, and how it showed.
fn hunt(bug: Bug) -> Option<(u64, Duration, String)> {
    let given = std::env::var("SIM_SECONDS").ok();
    let given = given.and_then(|text| text.parse().ok());
    let most = Duration::from_secs(given.unwrap_or(HIDE_SECONDS));
    let begun = Instant::now();
    plant(Some(bug));
    let found = (0..)
        .take_while(|_| begun.elapsed() < most)
        .find_map(|seed| {
            let script = Script::drawn(seed, STEPS);
            let failure = place::play_in(&script, bug.needs_server()).err()?;
            Some((seed, begun.elapsed(), failure.to_string()))
        });
    plant(None);
    found
}

/// A script that fails is all that is needed to see the same failure again, also when it has become short and was written down.
#[test]
fn a_short_script_fails_as_the_long_one_did() {
    plant(Some(Bug::BatchHalfApplied));
    let long = Script::drawn(0, STEPS);
    let failure = play(&long).unwrap_err();
    let (short, failure) = shrink(&long, failure, 300, play);
    let text = short.to_string();
    println!("fails {failure}\n{text}");
    assert!(short.steps.len() < 20, "{text}");
    let read: Script = text.parse().unwrap();
    assert_eq!(play(&read), Err(failure));
    plant(None);
    assert!(play(&read).is_ok(), "{text}");
}

#[test]
#[ignore = "takes minutes; run by `just sim-bugs`"]
fn every_planted_bug_is_found() {
    let wanted = std::env::var("SIM_BUG").ok();
    let mut hidden = vec![];
    println!("| Bug | What it is | Found with seed | Seconds |\n|---|---|---|---|");
    for (bug, what) in Bug::ALL {
        let name = format!("{bug:?}");
        let is_wanted = |names: &String| names.split(',').any(|wanted| wanted == name);
        if !wanted.as_ref().is_none_or(is_wanted) {
            continue;
        }
        let Some((seed, took, how)) = hunt(*bug) else {
            println!("| `{name}` | {what} | none | |");
            hidden.push(name);
            continue;
        };
        println!("| `{name}` | {what} | {seed} | {:.1} |", took.as_secs_f32());
        eprintln!("{name}: {how}");
    }
    assert!(hidden.is_empty(), "not found: {hidden:?}");
}
