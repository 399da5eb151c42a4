//! Plays runs for as long as `SIM_SECONDS` says, from seed 0 on; from `SIM_FROM` if it is given; with
//! `SIM_FRESH` from a seed that nobody has played yet.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a helper of a test fails the test"
)]

use std::collections::BTreeMap;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::time::{Duration, Instant};

use bursar_sim::{Failure, Script, Seen, play, shrink};

mod place;

/// Steps of a run.
const STEPS: usize = 600;

/// How often a failure is played again to make its script shorter.
const SHRINK_TRIES: usize = 1_500;

/// After so many runs everything that is counted has to have happened.
const ENOUGH: u64 = 150;

/// What has to happen somewhere; a way of the service that no run ever takes finds nothing wrong.
const REACHED: &[&str] = &[
    "adopted",
    "auto_topups",
    "busy",
    "by_card",
    "by_intent",
    "calls_failed",
    "card_failed",
    "charge_batches",
    "charge_batches_undone",
    "coupons",
    "died_after",
    "died_before",
    "disputed",
    "events_found",
    "exchanges",
    "expired",
    "full",
    "holds",
    "packages",
    "paid",
    "reconciled",
    "redeemed",
    "referrals",
    "refunds",
    "refunds_agreed",
    "refunds_ours",
    "refused_alone",
    "refused_frozen",
    "refused_late",
    "refused_limit",
    "refused_poor",
    "refused_refund",
    "repaired",
    "replayed",
    "rolled_over",
    "scans",
    "slots_stolen",
    "slow_readings",
    "stripe_behind",
    "time_outs",
    "turns",
    "two_nodes",
    "webhooks_lost",
    "welcomed",
];

/// Plays a script; with `SIM_POSTGRES` on a real server, where there are several nodes.
fn play_somewhere(script: &Script) -> Result<Seen, Failure> {
    place::play_in(script, std::env::var_os("SIM_POSTGRES").is_some())
}

/// The test command plays what has been played before, so that what fails is what was changed; to find what is new is for nights.
fn first() -> u64 {
    if let Ok(given) = std::env::var("SIM_FROM") {
        return given.parse().unwrap();
    }
    match std::env::var_os("SIM_FRESH") {
        // Small enough to be typed.
        Some(_) => RandomState::new().build_hasher().finish() >> 32 << 8,
        None => 0,
    }
}

fn seconds() -> u64 {
    let given = std::env::var("SIM_SECONDS").ok();
    given.and_then(|text| text.parse().ok()).unwrap_or(3)
}

#[test]
fn whatever_goes_wrong_the_books_say_what_stripe_says() {
    let begun = Instant::now();
    let limit = Duration::from_secs(seconds());
    let one = std::env::var("SIM_SEED").ok();
    let one: Option<u64> = one.map(|text| text.parse().unwrap());
    let seeds = match one {
        Some(seed) => seed..seed + 1,
        None => first()..u64::MAX,
    };
    let begins = seeds.start;
    let mut seen: BTreeMap<&'static str, u64> = BTreeMap::new();
    let mut runs = 0_u64;
    for seed in seeds {
        if begun.elapsed() > limit && one.is_none() {
            break;
        }
        let script = Script::drawn(seed, STEPS);
        match play_somewhere(&script) {
            Ok(counted) => counted
                .into_iter()
                .for_each(|(what, count)| *seen.entry(what).or_default() += count),
            Err(failure) => {
                let (short, failure) = shrink(&script, failure, SHRINK_TRIES, play_somewhere);
                panic!("SIM_SEED={seed} fails {failure}\n\nShrunk, for spec/sim:\n{short}");
            }
        }
        runs += 1;
    }
    println!(
        "{runs} runs of {STEPS} steps, from seed {begins} on, in {:.1} s: {seen:?}",
        begun.elapsed().as_secs_f32()
    );
    let never = |what: &&&str| seen.get(**what).is_none_or(|count| *count == 0);
    let never: Vec<_> = REACHED.iter().filter(never).collect();
    assert!(
        runs < ENOUGH || never.is_empty(),
        "no run has reached {never:?}"
    );
}

/// Scripts that have found something once.
#[test]
fn what_has_failed_once_does_not_fail_again() {
    for (script, name) in place::kept() {
        if let Err(failure) = play(&script) {
            panic!("{name} fails {failure}");
        }
    }
}
