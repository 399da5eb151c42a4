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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::script::Verb;

    /// Fails at a payment with a crash anywhere before it.
    fn play(script: &Script) -> Result<Seen, Failure> {
        let verbs: Vec<Verb> = script.steps.iter().map(|step| step.verb).collect();
        let crash = verbs.iter().position(|verb| *verb == Verb::Crash);
        let after = crash.and_then(|crash| verbs[crash..].iter().position(|it| *it == Verb::Pay));
        match (crash, after) {
            (Some(crash), Some(after)) => Err(Failure {
                step: crash + after + 1,
                what: "it fails".to_owned(),
            }),
            _ => Ok(Seen::new()),
        }
    }

    #[test]
    fn what_has_nothing_to_do_with_a_failure_is_left_out() {
        let failing = |seed| {
            let script = Script::drawn(seed, 600);
            let failure = play(&script).err()?;
            Some((script, failure))
        };
        let found: Vec<_> = (0..8).filter_map(failing).collect();
        assert!(found.len() > 2, "{} of 8 scripts fail", found.len());
        for (script, failure) in found {
            let (short, _) = shrink(&script, failure, 1_500, play);
            let text = short.to_string();
            let read: Result<Script, String> = text.parse();
            assert_eq!(read.as_ref(), Ok(&short), "{text}");
            let verbs: Vec<Verb> = short.steps.iter().map(|step| step.verb).collect();
            assert_eq!(verbs, [Verb::Crash, Verb::Pay], "{text}");
            assert_eq!((short.seed, short.nodes), (script.seed, 1));
        }
    }
}
