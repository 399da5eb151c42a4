//! Makes the script of a failure shorter, as long as it still fails.

use crate::run::{Failure, Seen};
use crate::script::Script;

/// The shortest script that was found in at most `tries` plays, and how it fails when `play` plays it. Delta debugging (Zeller, Hildebrandt 2002): parts
/// are left out, large ones first.
pub fn shrink(
    script: &Script,
    failure: Failure,
    tries: usize,
    play: impl Fn(&Script) -> Result<Seen, Failure>,
) -> (Script, Failure) {
    let mut best = script.clone();
    let mut best_failure = failure;
    // What comes after the failure has nothing to do with it.
    best.steps.truncate(best_failure.step);
    let alone = Script {
        nodes: 1,
        ..best.clone()
    };
    if best.nodes > 1
        && let Err(failure) = play(&alone)
    {
        (best, best_failure) = (alone, failure);
    }
    let mut left = tries;
    let mut size = best.steps.len().div_ceil(2).max(1);
    while left > 0 {
        let mut place = 0;
        let mut was_shorter = false;
        while place < best.steps.len() && left > 0 {
            let mut shorter = best.clone();
            let until = (place + size).min(shorter.steps.len());
            shorter.steps.drain(place..until);
            left -= 1;
            match play(&shorter) {
                Err(failure) => {
                    shorter.steps.truncate(failure.step);
                    best = shorter;
                    best_failure = failure;
                    was_shorter = true;
                }
                Ok(_) => place = until,
            }
        }
        if size == 1 && !was_shorter {
            break;
        }
        size = (size / 2).max(1);
    }
    (best, best_failure)
}
