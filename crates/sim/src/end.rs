//! The end of a run: all faults stop, everything is worked off, and the books say what Stripe says.

use bursar_domain::event::EventStatus;
use bursar_domain::job::JobKind;
use bursar_domain::time::Time;
use bursar_engine::reconcile::{Class, Report};
use bursar_store::query::Reader;

use crate::node::{Next, Node};
use crate::run::{Run, text};
use crate::{check, truth};

/// So many rounds of work are enough for everything that a run leaves behind.
const ROUNDS_MAX: usize = 400;

/// After so many turns of workers that wait for something time passes.
const LONG_TURNS: usize = 16;

/// How long a round takes where nothing was left to do, in seconds. With the rounds below it is longer than Stripe keeps a session
/// open and than a job that waits.
const QUIET_SECONDS: i64 = 7_200;

/// So many quiet rounds.
const QUIET_ROUNDS: usize = 30;

pub(crate) fn settle(run: &mut Run) -> Result<(), String> {
    for node in &mut run.nodes {
        node.next = Next::Well;
        node.mute = false;
        node.ahead = 0;
    }
    run.stripe.catch_up();
    run.wait(0);
    let mut delivered = 0;
    for _ in 0..QUIET_ROUNDS {
        calm(run, &mut delivered)?;
        run.wait(QUIET_SECONDS);
    }
    calm(run, &mut delivered)?;
    everybody_is_answered(run)?;
    // What nobody delivered is found: by events alone, by everything else alone, or by both.
    let way = run.told.len() % 4;
    if way < 2 {
        run.wait(QUIET_SECONDS);
        run.begin_scan(0);
        calm(run, &mut delivered)?;
    } else {
        reconcile(run, &mut delivered, way == 2)?;
        let report = reconcile(run, &mut delivered, way == 2)?;
        nothing_is_left(&report)?;
    }
    everything_is_done(run)?;
    one_has_the_turn(run)?;
    for at in 0..run.nodes.len() {
        check::look(run, at)?;
    }
    check::audit(run)?;
    truth::agrees(run)
}

/// Compares Stripe and the books once, and works off what comes of it.
fn reconcile(run: &mut Run, delivered: &mut usize, with_events: bool) -> Result<Report, String> {
    run.wait(QUIET_SECONDS);
    let at = run.clients.asked.len() % run.nodes.len();
    run.nodes[at].reach.inner().report = None;
    run.begin_reconciliation(at, with_events);
    calm(run, delivered)?;
    let report = run.nodes[at].reach.inner().report.take();
    report.ok_or_else(|| "a reconciliation never comes to its end".to_owned())
}

/// After a reconciliation another one finds nothing, but what was paid twice: somebody has to give that back.
fn nothing_is_left(report: &Report) -> Result<(), String> {
    let mut other = report.findings.iter();
    match other.find(|finding| finding.class != Class::PaidTwice) {
        Some(finding) => Err(format!("the second reconciliation has found {finding:?}")),
        None => Ok(()),
    }
}

/// Works until nothing is left that is due.
fn calm(run: &mut Run, delivered: &mut usize) -> Result<(), String> {
    for _ in 0..ROUNDS_MAX {
        run.listen();
        while let Some(told) = run.told.get(*delivered).cloned() {
            let at = *delivered % run.nodes.len();
            if !told.is_lost {
                run.deliver(&told, at)?;
            }
            run.write(at, usize::MAX)?;
            *delivered += 1;
        }
        for at in 0..run.nodes.len() {
            run.begin_inbox(at);
            run.begin_tick(at);
            run.begin_look(at);
            run.begin_jobs(at)?;
        }
        let mut turns = 0;
        while !run.nodes.iter().all(Node::is_idle) {
            for at in 0..run.nodes.len() {
                // A reconciliation waits for it.
                run.begin_inbox(at);
                run.write(at, usize::MAX)?;
                run.arrive(at, 0, true);
                run.bring(at, 0);
                run.see(at, 0);
            }
            turns += 1;
            if turns % LONG_TURNS == 0 {
                // What a node has stored that is not there any more lies for a while.
                run.wait(1);
            }
            if turns > ROUNDS_MAX * 10 {
                let busy: Vec<String> = run.nodes.iter().map(Node::describe).collect();
                return Err(format!("workers never come to an end: {busy:?}"));
            }
        }
        let now = run.now(0);
        let left = run.nodes[0].reach.ask(|reader| {
            let jobs = reader.due_jobs(now, 1)?.0.len();
            let events = reader.event_count(Some(EventStatus::Pending))?;
            Ok((jobs, events, reader.due(now, now, 1)?.is_empty()))
        });
        let has_news = !run
            .stripe
            .events_after(run.told.last().map(|told| &*told.id))
            .is_empty();
        if left.map_err(text)? == (0, 0, true) && !has_news {
            return Ok(());
        }
        run.wait(1);
    }
    Err("there is always something left to do".to_owned())
}

/// Nothing is owed but to look again at what may still change.
fn everything_is_done(run: &Run) -> Result<(), String> {
    let jobs = run.nodes[0]
        .reach
        .ask(|reader| reader.due_jobs(Time(i64::MAX), 1_000));
    // Stripe closes no session whose money is on its way: that job becomes a look, too.
    let looks = [
        JobKind::ReadSession,
        JobKind::ReadReturns,
        JobKind::CloseSession,
        JobKind::ReadIntent,
        JobKind::CancelIntent,
    ];
    if let Some(job) = jobs
        .map_err(text)?
        .0
        .iter()
        .find(|job| !looks.contains(&job.kind))
    {
        return Err(format!("{job:?} is never done"));
    }
    for status in [
        EventStatus::Pending,
        EventStatus::Waiting,
        EventStatus::Failed,
    ] {
        let count = run.nodes[0]
            .reach
            .ask(|reader: &mut Reader| reader.event_count(Some(status)));
        let count = count.map_err(text)?;
        if count > 0 {
            return Err(format!("{count} events are {} in the end", status.as_str()));
        }
    }
    let open = run
        .model
        .refunds
        .iter()
        .find(|(_, owed)| owed.is_open() && !owed.is_awaited());
    open.map_or(Ok(()), |(id, _)| {
        Err(format!(
            "{id} was asked for and is neither made nor refused"
        ))
    })
}

/// Of several nodes that are well one does what has to be done once: the one whose turn it is goes on, or another begins.
fn one_has_the_turn(run: &mut Run) -> Result<(), String> {
    let count = run.nodes.len();
    if count < 2 {
        return Ok(());
    }
    for at in 0..count {
        run.begin_turn(at, false);
        run.write(at, usize::MAX)?;
    }
    let believe = run.nodes.iter().filter_map(|node| node.reach.inner().turn);
    match believe.count() {
        1 => Ok(()),
        many => Err(format!("{many} nodes believe that it is their turn")),
    }
}

/// Whoever asks again gets an answer, and the one that counts.
fn everybody_is_answered(run: &mut Run) -> Result<(), String> {
    for number in 0..run.clients.asked.len() {
        let at = number % run.nodes.len();
        run.send(number, at);
        run.write(at, usize::MAX)?;
    }
    // What was decided only now may be owed something.
    let mut delivered = run.told.len();
    calm(run, &mut delivered)?;
    let unanswered = run
        .clients
        .asked
        .iter()
        .filter(|asked| asked.answered.is_none())
        .count();
    if unanswered > 0 {
        return Err(format!("{unanswered} clients never get an answer"));
    }
    Ok(())
}
