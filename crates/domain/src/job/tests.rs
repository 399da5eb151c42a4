use super::{
    Claim, JobKey, JobKind, LEASE_SECONDS, check_claim, claim, give_up, owe, owe_later, put_back,
    read_pause_seconds, renew,
};
use crate::command::Context;
use crate::id::{IdSource, PaymentId};
use crate::policy::Policy;
use crate::refusal::Refusal;
use crate::state::State;
use crate::time::Time;

const NOW: Time = Time(1_000_000_000);

struct Counter(u128);

impl IdSource for Counter {
    fn random80(&mut self) -> u128 {
        self.0 += 1;
        self.0
    }
}

struct Bench {
    state: State,
    ids: Counter,
    policy: Policy,
    key: JobKey,
}

impl Bench {
    /// A job that is owed now.
    fn with_job() -> Self {
        let mut ids = Counter(0);
        let payment = PaymentId::new(&mut ids, NOW);
        let key = JobKey::of_payment(JobKind::ReadSession, &payment);
        let mut state = State::default();
        state.jobs.load(key.clone(), None);
        owe(&mut state, NOW, key.clone());
        Self {
            state,
            ids,
            policy: Policy::standard(),
            key,
        }
    }

    fn claim(&mut self, now: Time) -> Result<Claim, Refusal> {
        let mut context = Context {
            now,
            ids: &mut self.ids,
            policy: &self.policy,
        };
        claim(&mut self.state, &mut context, &self.key)
    }

    fn run_at(&self) -> Option<Time> {
        self.state.jobs.get(&self.key).map(|job| job.run_at)
    }
}

#[test]
fn a_job_is_held_by_one_at_a_time() {
    let mut bench = Bench::with_job();
    let first = bench.claim(NOW).unwrap();
    assert_eq!((first.attempt, first.dirty), (1, 1));
    assert_eq!(bench.claim(NOW), Err(Refusal::ClaimLost));
    assert_eq!(
        bench.claim(NOW.plus_seconds(LEASE_SECONDS - 1)),
        Err(Refusal::ClaimLost)
    );
    assert_eq!(check_claim(&bench.state, &first), Ok(()));
}

#[test]
fn a_worker_that_slept_too_long_is_fenced_off() {
    let mut bench = Bench::with_job();
    let slow = bench.claim(NOW).unwrap();
    // The claim has run out, and nobody took the job: the result is still welcome.
    let later = NOW.plus_seconds(LEASE_SECONDS);
    assert_eq!(check_claim(&bench.state, &slow), Ok(()));
    let quick = bench.claim(later).unwrap();
    assert_ne!(slow.token, quick.token);
    assert_eq!(quick.attempt, 2);
    assert_eq!(check_claim(&bench.state, &slow), Err(Refusal::ClaimLost));
    assert_eq!(check_claim(&bench.state, &quick), Ok(()));
}

#[test]
fn a_job_that_is_not_due_or_gone_is_not_to_be_had() {
    let mut bench = Bench::with_job();
    let held = bench.claim(NOW).unwrap();
    let later = NOW.plus_seconds(60);
    put_back(&mut bench.state, NOW, &held, later, "no answer");
    assert_eq!(bench.claim(NOW.plus_seconds(59)), Err(Refusal::ClaimLost));
    // Put back, the old claim is void even before somebody else takes the job.
    assert_eq!(check_claim(&bench.state, &held), Err(Refusal::ClaimLost));
    assert_eq!(
        bench.state.jobs.get(&bench.key).unwrap().last_error,
        "no answer"
    );
    let again = bench.claim(later).unwrap();
    give_up(&mut bench.state, later, &again);
    assert_eq!(bench.run_at(), None);
    assert_eq!(bench.claim(later), Err(Refusal::ClaimLost));
    assert_eq!(check_claim(&bench.state, &again), Err(Refusal::ClaimLost));
}

#[test]
fn a_claim_lasts_as_long_as_it_is_renewed() {
    let mut bench = Bench::with_job();
    let held = bench.claim(NOW).unwrap();
    let soon = NOW.plus_seconds(LEASE_SECONDS - 1);
    renew(&mut bench.state, soon, &held);
    let later = NOW.plus_seconds(LEASE_SECONDS + 1);
    assert_eq!(bench.claim(later), Err(Refusal::ClaimLost));
    assert_eq!(check_claim(&bench.state, &held), Ok(()));
    let much_later = soon.plus_seconds(LEASE_SECONDS);
    let other = bench.claim(much_later).unwrap();
    assert_eq!(check_claim(&bench.state, &held), Err(Refusal::ClaimLost));
    assert_eq!(check_claim(&bench.state, &other), Ok(()));
}

#[test]
fn news_during_a_claim_make_the_job_due_again() {
    let later = NOW.plus_seconds(3_600);
    let mut bench = Bench::with_job();
    let held = bench.claim(NOW).unwrap();
    owe(&mut bench.state, NOW, bench.key.clone());
    // The news do not take the job away from who has it.
    assert_eq!(bench.claim(NOW), Err(Refusal::ClaimLost));
    put_back(&mut bench.state, NOW, &held, later, "");
    assert_eq!(bench.run_at(), Some(NOW));

    let held = bench.claim(NOW).unwrap();
    put_back(&mut bench.state, NOW, &held, later, "");
    assert_eq!(bench.run_at(), Some(later));
    owe(&mut bench.state, NOW, bench.key.clone());
    assert_eq!(bench.run_at(), Some(NOW));
}

#[test]
fn a_worker_that_found_nothing_to_do_does_not_swallow_the_news() {
    let mut bench = Bench::with_job();
    let held = bench.claim(NOW).unwrap();
    owe(&mut bench.state, NOW, bench.key.clone());
    give_up(&mut bench.state, NOW, &held);
    assert_eq!(bench.run_at(), Some(NOW));
    let again = bench.claim(NOW).unwrap();
    give_up(&mut bench.state, NOW, &again);
    assert_eq!(bench.run_at(), None);
}

#[test]
fn owing_never_puts_a_job_off() {
    let mut bench = Bench::with_job();
    owe(&mut bench.state, NOW.plus_seconds(500), bench.key.clone());
    assert_eq!(bench.run_at(), Some(NOW));
    let other = JobKey {
        kind: JobKind::OpenSession,
        ..bench.key.clone()
    };
    bench.state.jobs.load(other.clone(), None);
    owe_later(&mut bench.state, NOW.plus_seconds(60), other.clone());
    assert_eq!(
        bench.state.jobs.get(&other).unwrap().run_at,
        NOW.plus_seconds(60)
    );
}

#[test]
fn pauses_grow_up_to_a_day() {
    let pauses: Vec<i64> = (0..20).map(read_pause_seconds).collect();
    assert!(pauses.is_sorted() && pauses[0] == 60 && pauses[19] == 86_400);
    assert_eq!(
        (read_pause_seconds(-1), read_pause_seconds(i64::MAX)),
        (60, 86_400)
    );
}

#[test]
fn kinds_read_back_as_they_are_written() {
    for kind in [
        JobKind::OpenSession,
        JobKind::ReadSession,
        JobKind::CloseSession,
    ] {
        assert_eq!(JobKind::parse(kind.as_str()), Some(kind));
    }
    assert_eq!(JobKind::parse("close"), None);
}
