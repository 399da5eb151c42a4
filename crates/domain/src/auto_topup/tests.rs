use proptest::prelude::*;

use super::{
    AutoTopup, AutoTopups, Cap, FAILURES_MAX, Refill, SetAutoTopup, Stop, Terms, attempt,
    attempt_all, end, needs, set,
};
use crate::account::{AccountKey, AccountKind};
use crate::amount::Unit;
use crate::announcement::Happening;
use crate::command::Context;
use crate::id::{IdSource, PaymentId, UserId};
use crate::limit::Period;
use crate::notice::{Declined, IntentFact, Standing};
use crate::payment::{self, PaymentStatus};
use crate::policy::Policy;
use crate::refusal::Refusal;
use crate::state::State;
use crate::time::Time;
use crate::topup::TopupStatus;
use crate::wallet;
use crate::world::load_absent;

struct Counter(u128);

impl IdSource for Counter {
    fn random80(&mut self) -> u128 {
        self.0 += 1;
        self.0
    }
}

const HOUR: i64 = 3_600;

/// One user, his wallet, and all that was ever tried for him.
struct Bench {
    state: State,
    ids: Counter,
    policy: Policy,
    now: Time,
    tried: Vec<(PaymentId, Time)>,
}

fn anna() -> UserId {
    UserId::parse("anna").unwrap()
}

fn terms(card: &str) -> Terms {
    Terms {
        enabled: true,
        threshold: 1_000_000,
        refill: Refill::Credits(100),
        cap: Cap {
            period: Period::Ever,
            topups: None,
            credits: None,
        },
        card: card.to_owned(),
    }
}

impl Bench {
    fn new() -> Self {
        let mut bench = Self {
            state: State::default(),
            ids: Counter(0),
            policy: Policy::standard(),
            now: Time::from_seconds(1_798_700_000),
            tried: vec![],
        };
        let house = AccountKey::house(AccountKind::Sold, Unit::CREDIT);
        bench.state.accounts.load(house, None);
        load_absent(&mut bench.state, |wanted| needs(wanted, &anna()));
        bench
    }

    fn set(&mut self, terms: Terms) -> Result<AutoTopup, Refusal> {
        let wish = SetAutoTopup {
            user: anna(),
            terms,
        };
        let context = Context {
            now: self.now,
            ids: &mut self.ids,
            policy: &self.policy,
        };
        set(&mut self.state, &context, &wish)
    }

    fn attempt(&mut self) -> Option<PaymentId> {
        let mut context = Context {
            now: self.now,
            ids: &mut self.ids,
            policy: &self.policy,
        };
        let made = attempt(&mut self.state, &mut context, &anna()).unwrap();
        if let Some(id) = &made {
            self.tried.push((id.clone(), self.now));
        }
        assert_eq!(self.state.missed(), None);
        made
    }

    /// Stripe says how the charge stands.
    fn tell(&mut self, id: &PaymentId, standing: Standing, failure: Option<Declined>) {
        load_absent(&mut self.state, |wanted| {
            payment::needs_to_observe(wanted, id);
        });
        let intent = format!("pi_{id}");
        let known = intent.clone();
        self.state
            .payments
            .change(id, |payment| payment.intent = Some(known));
        let amount = self.state.payments.get(id).unwrap().amount.minor;
        let fact = IntentFact {
            intent,
            amount: Some(amount),
            received: Some(amount),
            currency: Some("usd".to_owned()),
            livemode: Some(false),
            standing: Some(standing),
            failure,
        };
        let mut context = Context {
            now: self.now,
            ids: &mut self.ids,
            policy: &self.policy,
        };
        let observed = payment::observe(&mut self.state, &mut context, id, &fact);
        observed.unwrap().unwrap();
        assert_eq!(self.state.missed(), None);
    }

    fn decline(&mut self, id: &PaymentId, code: &str, advice: Option<&str>) {
        let declined = Declined {
            code: code.to_owned(),
            message: String::new(),
            advice: advice.map(str::to_owned),
        };
        self.tell(id, Standing::Open, Some(declined));
    }

    fn pay(&mut self, id: &PaymentId) {
        self.tell(id, Standing::Paid, None);
    }

    fn wait(&mut self, seconds: i64) {
        self.now = self.now.plus_seconds(seconds);
    }

    fn row(&self) -> AutoTopup {
        self.state.auto_topups.get(&anna()).unwrap().clone()
    }

    fn said(&self) -> Vec<&'static str> {
        let said = self.state.announcements.iter();
        said.map(|it| it.happening.kind()).collect()
    }

    fn status(&self, id: &PaymentId) -> PaymentStatus {
        self.state.payments.get(id).unwrap().status
    }

    fn open(&self) -> usize {
        let tried = self.tried.iter();
        tried.filter(|(id, _)| self.status(id).is_open()).count()
    }

    fn below(&self) -> Option<i64> {
        let key = AccountKey::wallet(&anna());
        self.state.wallets.get(&key).unwrap().topup_below
    }
}

#[test]
fn a_wallet_that_is_low_is_filled_and_an_open_payment_is_not_doubled() {
    let mut bench = Bench::new();
    bench.set(terms("pm_1")).unwrap();
    let first = bench.attempt().unwrap();
    assert_eq!(bench.attempt(), None);
    bench.tell(&first, Standing::Unpaid, None);
    assert_eq!(bench.attempt(), None);
    bench.pay(&first);
    let key = AccountKey::wallet(&anna());
    assert_eq!(wallet::available(&bench.state, &key, bench.now), 100);
    assert_ne!(bench.attempt(), None);
    assert_eq!(
        (bench.row().used.topups, bench.row().used.credits),
        (2, 200)
    );
}

#[test]
fn enough_in_the_wallet_buys_nothing_and_a_target_is_reached() {
    let mut bench = Bench::new();
    let wanted = Terms {
        threshold: 60,
        refill: Refill::Target(150),
        ..terms("pm_1")
    };
    bench.set(wanted).unwrap();
    let first = bench.attempt().unwrap();
    bench.pay(&first);
    let key = AccountKey::wallet(&anna());
    assert_eq!(wallet::available(&bench.state, &key, bench.now), 150);
    assert_eq!(bench.attempt(), None);
}

#[test]
fn three_failures_in_a_row_stop_it_and_each_is_told_once() {
    let mut bench = Bench::new();
    bench.set(terms("pm_1")).unwrap();
    for failures in 1..=FAILURES_MAX {
        let id = bench.attempt().unwrap();
        bench.decline(&id, "insufficient_funds", None);
        assert_eq!(bench.status(&id), PaymentStatus::Failed);
        let topup = &bench.state.payments.get(&id).unwrap().topup.clone();
        let topup = bench.state.topups.get(topup).unwrap();
        assert_eq!(topup.status, TopupStatus::Failed);
        assert_eq!(bench.row().breaker.failures, failures);
        // The same failure, heard of again.
        bench.decline(&id, "insufficient_funds", None);
        assert_eq!(bench.row().breaker.failures, failures);
        // Not at once again.
        bench.wait(HOUR - 1);
        assert_eq!(bench.attempt(), None);
        bench.wait(1);
    }
    assert_eq!(bench.row().breaker.stopped, Some(Stop::TooManyFailures));
    bench.wait(1_000 * HOUR);
    assert_eq!(bench.attempt(), None);
    assert_eq!(bench.said(), ["auto_topup.failed", "auto_topup.stopped"]);
    assert_eq!(bench.below(), None);
    // What failed does not count in the period.
    assert_eq!((bench.row().used.topups, bench.row().used.credits), (0, 0));
}

#[test]
fn what_the_bank_will_never_pay_stops_at_once() {
    for (code, advice) in [
        ("stolen_card", None),
        ("expired_card", None),
        ("generic_decline", Some("do_not_try_again")),
    ] {
        let mut bench = Bench::new();
        bench.set(terms("pm_1")).unwrap();
        let id = bench.attempt().unwrap();
        bench.decline(&id, code, advice);
        assert_eq!(
            bench.row().breaker.stopped,
            Some(Stop::NeverRetry),
            "{code}"
        );
        assert_eq!(bench.said(), ["auto_topup.failed", "auto_topup.stopped"]);
    }
}

/// Canceled at Stripe, and then heard to have failed before: that is one attempt.
#[test]
fn an_attempt_fails_once_whatever_else_is_heard_of_it() {
    let mut bench = Bench::new();
    bench.set(terms("pm_1")).unwrap();
    let id = bench.attempt().unwrap();
    bench.tell(&id, Standing::Canceled, None);
    assert_eq!(bench.row().breaker.failures, 1);
    bench.decline(&id, "insufficient_funds", None);
    assert_eq!(bench.status(&id), PaymentStatus::Failed);
    assert_eq!(bench.row().breaker.failures, 1);
}

#[test]
fn a_bank_that_wants_to_see_the_customer_is_a_failure() {
    let mut bench = Bench::new();
    bench.set(terms("pm_1")).unwrap();
    let id = bench.attempt().unwrap();
    bench.tell(&id, Standing::WantsCustomer, None);
    assert_eq!(bench.status(&id), PaymentStatus::Failed);
    let failure = bench.state.payments.get(&id).unwrap().last_failure.clone();
    assert_eq!(failure.unwrap().code, "authentication_required");
    assert_eq!(bench.row().breaker.failures, 1);
}

#[test]
fn only_another_card_or_a_success_begins_anew() {
    let mut bench = Bench::new();
    bench.set(terms("pm_1")).unwrap();
    let id = bench.attempt().unwrap();
    bench.decline(&id, "lost_card", None);
    // Neither setting it again, nor taking it away and setting it again.
    bench.set(terms("pm_1")).unwrap();
    end(&mut bench.state, bench.now, &anna()).unwrap();
    bench.set(terms("pm_1")).unwrap();
    bench.wait(HOUR);
    assert_eq!(bench.attempt(), None);
    bench.set(terms("pm_2")).unwrap();
    assert_eq!(bench.below(), Some(1_000_000));
    let second = bench.attempt().unwrap();
    // It is paid after all: by another card than the one that is set now.
    bench.pay(&id);
    assert_eq!(bench.open(), 1);
    bench.decline(&second, "insufficient_funds", None);
    assert_eq!(bench.row().breaker.failures, 1);
    // What seemed to have failed is paid: it counts again, and all is well.
    bench.pay(&second);
    assert_eq!(bench.row().breaker.failures, 0);
    assert_eq!(bench.row().used.topups, 1);
}

#[test]
fn caps_hold_until_the_next_period() {
    let mut bench = Bench::new();
    let wanted = Terms {
        cap: Cap {
            period: Period::Day,
            topups: Some(2),
            credits: Some(1_000),
        },
        ..terms("pm_1")
    };
    bench.set(wanted.clone()).unwrap();
    for _ in 0..2 {
        let id = bench.attempt().unwrap();
        bench.pay(&id);
    }
    assert_eq!(bench.attempt(), None);
    bench.wait(24 * HOUR);
    let third = bench.attempt().unwrap();
    bench.pay(&third);
    // With 200 more it would be 300 credits, of 299.
    let few = Cap {
        credits: Some(299),
        topups: None,
        ..wanted.cap
    };
    let more = Terms {
        refill: Refill::Credits(200),
        cap: few,
        ..wanted
    };
    bench.set(more).unwrap();
    assert_eq!(bench.attempt(), None);
}

#[test]
fn a_frozen_wallet_is_not_filled_unasked() {
    let mut bench = Bench::new();
    bench.set(terms("pm_1")).unwrap();
    let key = AccountKey::wallet(&anna());
    wallet::change(&mut bench.state, &key, |wallet| wallet.frozen = true);
    assert_eq!(bench.attempt(), None);
}

#[test]
fn what_the_rules_refuse_counts_as_a_failure() {
    let mut bench = Bench::new();
    bench.set(terms("pm_1")).unwrap();
    // Dearer than an amount can hold, since the terms were set.
    bench.policy.credit_price.numerator = i64::MAX;
    for _ in 0..5 {
        let mut context = Context {
            now: bench.now,
            ids: &mut bench.ids,
            policy: &bench.policy,
        };
        let all = AutoTopups {
            users: vec![anna()],
            read_to: None,
        };
        attempt_all(&mut bench.state, &mut context, &all);
        bench.wait(HOUR);
    }
    assert_eq!(bench.row().breaker.failures, FAILURES_MAX);
    assert_eq!(bench.row().breaker.stopped, Some(Stop::TooManyFailures));
}

#[test]
fn nonsense_is_refused() {
    let mut bench = Bench::new();
    for wrong in [
        Terms {
            threshold: 0,
            ..terms("pm_1")
        },
        Terms {
            refill: Refill::Credits(1),
            ..terms("pm_1")
        },
        Terms {
            refill: Refill::Target(999_999),
            ..terms("pm_1")
        },
    ] {
        assert!(matches!(bench.set(wrong), Err(Refusal::OutOfRange { .. })));
    }
}

#[derive(Debug, Clone)]
enum Step {
    Attempt,
    Wait(i64),
    Decline(usize, usize),
    Pay(usize),
    Process(usize),
    Card(usize),
    End,
}

const CODES: [&str; 4] = [
    "insufficient_funds",
    "authentication_required",
    "generic_decline",
    "stolen_card",
];

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => Just(Step::Attempt),
        4 => (0..2 * HOUR).prop_map(Step::Wait),
        5 => (0..3_usize, 0..CODES.len()).prop_map(|(which, code)| Step::Decline(which, code)),
        1 => (0..3_usize).prop_map(Step::Pay),
        1 => (0..3_usize).prop_map(Step::Process),
        1 => (0..3_usize).prop_map(Step::Card),
        1 => Just(Step::End),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    /// Whatever comes in whatever order: never two payments at a time, never more than three attempts between two events that begin
    /// anew, none after a decline for good, a pause after each failure, and each episode is told once.
    #[test]
    fn no_order_of_events_hammers_a_card(steps in prop::collection::vec(step(), 1..60)) {
        let mut bench = Bench::new();
        bench.set(terms("pm_0")).unwrap();
        let (mut failures, mut stopped, mut since, mut last_failure) = (0_i64, false, 0_usize, None);
        for step in steps {
            let newest = |back: usize, bench: &Bench| {
                let place = bench.tried.len().checked_sub(back + 1)?;
                Some(bench.tried[place].0.clone())
            };
            let (before, row) = (bench.state.announcements.len(), bench.row());
            match step {
                Step::Attempt => {
                    if bench.attempt().is_some() {
                        prop_assert!(!stopped && failures < FAILURES_MAX);
                        let rested = last_failure.is_none_or(|at: Time| bench.now >= at.plus_seconds(HOUR));
                        prop_assert!(rested);
                    }
                }
                Step::Wait(seconds) => bench.wait(seconds),
                Step::Decline(back, code) => if let Some(id) = newest(back, &bench) {
                    let counts = bench.status(&id).is_open()
                        && bench.state.payments.get(&id).unwrap().card.as_ref() == Some(&row.terms.card);
                    bench.decline(&id, CODES[code], None);
                    if counts {
                        failures += 1;
                        stopped |= CODES[code] == "stolen_card" || failures == FAILURES_MAX;
                        last_failure = Some(bench.now);
                    }
                },
                Step::Pay(back) => if let Some(id) = newest(back, &bench) {
                    let resets = !bench.status(&id).is_paid()
                        && bench.state.payments.get(&id).unwrap().card.as_ref() == Some(&row.terms.card);
                    bench.pay(&id);
                    if resets {
                        (failures, stopped, since, last_failure) = (0, false, bench.state.announcements.len(), None);
                    }
                },
                Step::Process(back) => if let Some(id) = newest(back, &bench) {
                    bench.tell(&id, Standing::Unpaid, None);
                },
                Step::Card(which) => {
                    let card = format!("pm_{which}");
                    let is_other = row.terms.card != card;
                    bench.set(terms(&card)).unwrap();
                    if is_other {
                        (failures, stopped, since, last_failure) = (0, false, before, None);
                    }
                }
                Step::End => drop(end(&mut bench.state, bench.now, &anna())),
            }
            prop_assert!(bench.open() <= 1);
            let row = bench.row();
            prop_assert_eq!(row.breaker.failures, failures);
            prop_assert_eq!(row.breaker.stopped.is_some(), stopped);
            prop_assert_eq!(bench.below().is_some(), row.is_armed());
            let told = |kind: &str| bench.state.announcements[since..].iter()
                .filter(|it| it.happening.kind() == kind).count();
            prop_assert_eq!(told("auto_topup.failed"), usize::from(failures > 0));
            prop_assert_eq!(told("auto_topup.stopped"), usize::from(stopped));
        }
        let stops = bench.state.announcements.iter()
            .filter(|it| matches!(it.happening, Happening::AutoTopupStopped { .. }));
        prop_assert!(stops.count() <= bench.tried.len());
    }
}
