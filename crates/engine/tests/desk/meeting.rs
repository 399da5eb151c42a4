//! Commands that meet in one batch, in every order.

use bursar_domain::command::{Command, Request};
use bursar_domain::time::Time;

use crate::books;
use crate::desk::Desk;

const START: Time = Time::from_seconds(1_767_225_600);

/// Runs every ordered choice of three commands, in one batch at one desk and one by one at the other.
pub(crate) fn compare(prepare: fn(&mut Desk) -> Vec<Command>, count: usize) {
    let (mut together, mut alone) = (Desk::new(), Desk::new());
    let mut tried = 0_i64;
    for a in 0..count {
        for b in (0..count).filter(|b| *b != a) {
            for c in (0..count).filter(|c| *c != a && *c != b) {
                let pick = |commands: Vec<Command>| {
                    assert_eq!(commands.len(), count);
                    [a, b, c].map(|place| Request {
                        command: commands[place].clone(),
                        idempotency: None,
                    })
                };
                let requests = pick(prepare(&mut together));
                let answers = together.batch(&requests);
                let one_by_one = pick(prepare(&mut alone)).map(|request| alone.request(&request));
                assert_eq!(answers, one_by_one, "{requests:#?}");
                tried += 1;
                for desk in [&mut together, &mut alone] {
                    desk.clock.set(START.plus_seconds(60 * tried));
                }
            }
        }
    }
    assert_eq!(books::of(&mut together), books::of(&mut alone));
    let jobs = |desk: &mut Desk| desk.reader.due_jobs(Time(i64::MAX), 10_000).unwrap();
    assert_eq!(jobs(&mut together), jobs(&mut alone));
    assert_eq!(together.audit().differences, []);
    let orders = count * (count - 1) * (count - 2);
    assert_eq!(usize::try_from(tried).unwrap(), orders);
    // What is on disk is the same too.
    together.restart();
    assert_eq!(books::of(&mut together), books::of(&mut alone));
}
