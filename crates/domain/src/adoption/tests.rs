use super::*;
use crate::amount::Unit;
use crate::event::{EventStatus, StoredEvent};
use crate::id::{IdSource, TopupId, UserId};
use crate::journal::Remark;
use crate::notice::Standing;
use crate::policy::Policy;
use crate::state::Needs;
use crate::topup::TopupStatus;

struct Counter(u128);

impl IdSource for Counter {
    fn random80(&mut self) -> u128 {
        self.0 += 1;
        self.0
    }
}

fn wish(ids: &mut Counter) -> Adopt {
    let price = Amount::new(500, Unit::currency("usd").unwrap());
    let topup = Topup {
        id: TopupId::new(ids, Time(0)),
        user: UserId::parse("anna").unwrap(),
        credits: 500,
        bonus: 0,
        package: None,
        coupon: None,
        discount: 0,
        price,
        status: TopupStatus::Pending,
        payment: None,
        remark: Remark::default(),
        created_at: Time(1),
        updated_at: Time(1),
        paid_at: None,
    };
    let fact = SessionFact {
        session: "cs_1".to_owned(),
        amount: Some(500),
        currency: Some("usd".to_owned()),
        livemode: Some(false),
        intent: Some("pi_1".to_owned()),
        standing: Standing::Paid,
    };
    Adopt {
        payment: PaymentId::new(ids, Time(0)),
        flow: Flow::Checkout,
        amount: price,
        livemode: false,
        created_at: Time(1),
        topup,
        said: Said::Session(fact, None),
    }
}

/// Everything that is asked for is not there, as in an old copy; what is put in before stays.
fn load(state: &mut State, adopt: &Adopt) {
    loop {
        let mut asked = Needs::default();
        needs(&mut Wanted::new(state, &mut asked), adopt);
        if asked.is_empty() {
            return;
        }
        asked
            .topups
            .into_iter()
            .for_each(|key| state.topups.load(key, None));
        asked
            .payments
            .into_iter()
            .for_each(|key| state.payments.load(key, None));
        for key in asked.payment_of_session {
            state.payment_of_session.load(key, None);
        }
        for key in asked.payment_of_intent {
            state.payment_of_intent.load(key, None);
        }
        for key in asked.waiting_events {
            state.waiting_events.load(key, None);
        }
        for key in asked.unmatched_events {
            state.unmatched_events.load(key, None);
        }
        asked
            .jobs
            .into_iter()
            .for_each(|key| state.jobs.load(key, None));
    }
}

fn run(state: &mut State, ids: &mut Counter, wish: &Adopt) -> Result<Payment, Refusal> {
    load(state, wish);
    let policy = Policy::standard();
    let context = Context {
        now: Time(9),
        ids,
        policy: &policy,
    };
    let adopted = adopt(state, &context, wish);
    assert_eq!(state.missed(), None);
    adopted
}

fn refused(state: &mut State, ids: &mut Counter, wish: &Adopt) {
    let outcome = run(state, ids, wish);
    assert!(
        matches!(outcome, Err(Refusal::NotAdoptable { .. })),
        "{outcome:?}"
    );
    assert!(!state.has_changes());
}

#[test]
fn rows_are_made_again_unpaid_and_somebody_has_to_look() {
    let (mut ids, mut state) = (Counter(0), State::default());
    let wish = wish(&mut ids);
    state.sequence.payment = 4;
    let event = StoredEvent {
        number: 3,
        id: "evt_1".to_owned(),
        kind: String::new(),
        created: 0,
        livemode: false,
        api_version: String::new(),
        object: String::new(),
        status: EventStatus::Ignored,
        reason: String::new(),
        payment: None,
        waits_for: Some("cs_1".to_owned()),
        received_at: Time(2),
        worked_at: None,
    };
    state.events.load(3, Some(event));
    state
        .unmatched_events
        .load("cs_1".to_owned(), Some(vec![3]));
    let payment = run(&mut state, &mut ids, &wish).unwrap();
    assert_eq!(
        (payment.status, payment.number),
        (PaymentStatus::Pending, 5)
    );
    assert_eq!((payment.amount, payment.created_at), (wish.amount, Time(1)));
    assert_eq!((state.sequence.payment, state.journal.len()), (5, 0));
    let topup = state.topups.get(&wish.topup.id).unwrap();
    assert_eq!((topup.status, topup.credits), (TopupStatus::Pending, 500));
    assert_eq!(topup.payment.as_ref(), Some(&payment.id));
    let read = JobKey::of_payment(JobKind::ReadSession, &payment.id);
    assert!(state.jobs.get(&read).is_some());
    // What came too early is taken up again.
    assert_eq!(state.events.get(&3).unwrap().status, EventStatus::Pending);
    // Said again, it is the same payment.
    assert_eq!(run(&mut state, &mut ids, &wish).unwrap(), payment);
    assert_eq!(state.sequence.payment, 5);
}

#[test]
fn a_stamp_on_other_money_makes_nothing() {
    let (mut ids, mut state) = (Counter(0), State::default());
    let genuine = wish(&mut ids);
    let Said::Session(fact, _) = &genuine.said else {
        panic!("a session");
    };
    for other in [
        SessionFact {
            amount: Some(50),
            ..fact.clone()
        },
        SessionFact {
            amount: None,
            ..fact.clone()
        },
        SessionFact {
            currency: Some("jpy".to_owned()),
            ..fact.clone()
        },
        SessionFact {
            livemode: Some(true),
            ..fact.clone()
        },
    ] {
        let said = Said::Session(other, None);
        let wish = Adopt {
            said,
            ..genuine.clone()
        };
        refused(&mut state, &mut ids, &wish);
    }
    run(&mut state, &mut ids, &genuine).unwrap();
}

#[test]
fn a_payment_has_one_session_and_a_top_up_stays_what_it_was() {
    let (mut ids, mut state) = (Counter(0), State::default());
    let genuine = wish(&mut ids);
    let payment = run(&mut state, &mut ids, &genuine).unwrap();
    let Said::Session(fact, _) = genuine.said.clone() else {
        panic!("a session");
    };
    let elsewhere = SessionFact {
        session: "cs_2".to_owned(),
        ..fact
    };
    let twin = Adopt {
        said: Said::Session(elsewhere.clone(), None),
        ..genuine.clone()
    };
    let mut stored = State::default();
    stored.payments.load(payment.id.clone(), Some(payment));
    refused(&mut stored, &mut ids, &twin);

    // The copy knows the top-up and not this attempt to pay it.
    let mut stored = State::default();
    let more = Topup {
        credits: 501,
        ..genuine.topup.clone()
    };
    stored.topups.load(more.id.clone(), Some(more));
    refused(&mut stored, &mut ids, &twin);
    let mut stored = State::default();
    let newer = PaymentId::new(&mut ids, Time(5_000));
    let known = Topup {
        payment: Some(newer.clone()),
        status: TopupStatus::Expired,
        ..genuine.topup.clone()
    };
    stored.topups.load(known.id.clone(), Some(known));
    run(&mut stored, &mut ids, &twin).unwrap();
    let topup = stored.topups.get(&genuine.topup.id).unwrap();
    assert_eq!(
        (topup.status, topup.payment.as_ref()),
        (TopupStatus::Expired, Some(&newer))
    );
}

#[test]
fn a_payment_whose_session_never_became_known_gets_it() {
    let (mut ids, mut state) = (Counter(0), State::default());
    let wish = wish(&mut ids);
    let mut first = State::default();
    let payment = run(&mut first, &mut ids, &wish).unwrap();
    let unbound = Payment {
        session: None,
        status: PaymentStatus::Failed,
        number: 2,
        ..payment
    };
    state.payments.load(unbound.id.clone(), Some(unbound));
    let bound = run(&mut state, &mut ids, &wish).unwrap();
    assert_eq!((bound.session.as_deref(), bound.number), (Some("cs_1"), 2));
    assert_eq!(
        (bound.status, state.sequence.payment),
        (PaymentStatus::Failed, 0)
    );
}
