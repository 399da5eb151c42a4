//! How good the simulator is: known bugs are switched on one at a time, and it has to find each.
//!
//! `just sim-bugs` builds with the feature `planted` and prints the table of `docs/testing.md`.

#![cfg(feature = "planted")]
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a helper of a test fails the test"
)]

use std::time::Instant;

use bursar_domain::planted::{Bug, plant};
use bursar_sim::{Failure, Script, play, shrink};

mod place;

/// In so many runs each bug may hide, unless `SIM_RUNS` says otherwise: whether it is found is not to depend on what else the machine
/// is doing.
const HIDE_RUNS: u64 = 500;

const STEPS: usize = 600;

/// A script with which a bug was found, what it is called, and how the bug showed.
struct Found {
    script: Script,
    name: String,
    failure: Failure,
}

/// The first script with which the bug is found: one that is drawn, else one that was kept.
fn hunt(bug: Bug) -> Option<Found> {
    let given = std::env::var("SIM_RUNS").ok();
    let most = given.map_or(HIDE_RUNS, |text| text.parse().unwrap());
    let drawn = (0..most).map(|seed| (Script::drawn(seed, STEPS), seed.to_string()));
    plant(Some(bug));
    let found = drawn.chain(place::kept()).find_map(|(script, name)| {
        let failure = place::play_in(&script, bug.needs_server()).err()?;
        Some(Found {
            script,
            name,
            failure,
        })
    });
    plant(None);
    found
}

/// A script that fails is all that is needed to see the same failure again, also when it has become short and was written down.
#[test]
fn a_short_script_fails_as_the_long_one_did() {
    let found = hunt(Bug::BatchHalfApplied).unwrap();
    plant(Some(Bug::BatchHalfApplied));
    let (short, failure) = shrink(&found.script, found.failure, 300, play);
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
        let begun = Instant::now();
        let Some(found) = hunt(*bug) else {
            println!("| `{name}` | {what} | none | |");
            hidden.push(name);
            continue;
        };
        let seconds = begun.elapsed().as_secs_f32();
        println!("| `{name}` | {what} | {} | {seconds:.1} |", found.name);
        eprintln!("{name}: {}", found.failure);
    }
    assert!(hidden.is_empty(), "not found: {hidden:?}");
}
