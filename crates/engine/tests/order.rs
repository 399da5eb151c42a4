//! Whatever is said about a payment, in whatever order and however often: the same books, credited at most once.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a helper of a test fails the test"
)]

#[path = "desk/books.rs"]
mod books;
mod desk;
#[path = "desk/inbox.rs"]
mod inbox;
#[path = "spec/stripe.rs"]
mod stripe;

use bursar_domain::account::{AccountKey, AccountKind};
use bursar_domain::checkout::{OpenCheckout, SessionOpened, SessionRead};
use bursar_domain::command::{Command, Reply};
use bursar_domain::event::EventStatus;
use bursar_domain::id::{PaymentId, TopupId, UserId};
use bursar_domain::job::{JobKey, JobKind};
use bursar_domain::notice::{ApplyEvent, Notice};
use bursar_domain::payment::PaymentStatus;
use bursar_domain::topup::{CreateTopup, TopupStatus};
use bursar_engine::bridge::inbound;
use bursar_store::query::EventFilter;
use proptest::prelude::*;
use proptest::sample::subsequence;

use desk::Desk;
use stripe::Told;

const CREDITS: i64 = 500;

/// Something that happens to a payment after its checkout was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Step {
    /// The answer to the call that opens the session comes in.
    Opened,
    /// An event about the session: its kind, how the session stands in it, and what is wrong with it.
    Session(&'static str, &'static str, Option<Wrong>),
    /// An event about the payment intent.
    Intent(&'static str),
    /// The customer comes back, and the session is read.
    Return(&'static str),
    /// The inbox works off what has been stored so far.
    WorkOff,
    /// The program is stopped and started.
    Restart,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Wrong {
    Amount,
    Currency,
    Mode,
    Session,
    /// The event does not name our payment: not wrong, only harder to place.
    Nameless,
}

const COMPLETED: &str = "checkout.session.completed";
const EXPIRED: &str = "checkout.session.expired";
const SUCCEEDED: &str = "checkout.session.async_payment_succeeded";
const FAILED: &str = "checkout.session.async_payment_failed";

impl Step {
    /// What a fact that is rightly about our session makes of the payment, if nothing stronger is said.
    fn says(self) -> Option<PaymentStatus> {
        let (kind, standing) = match self {
            Self::Session(_, _, Some(wrong)) if wrong != Wrong::Nameless => return None,
            Self::Session(kind, standing, _) => (kind, standing),
            Self::Return(standing) => ("", standing),
            Self::Opened | Self::Intent(_) | Self::WorkOff | Self::Restart => return None,
        };
        match (kind, standing) {
            (_, "paid") => Some(PaymentStatus::Paid),
            (FAILED, _) => Some(PaymentStatus::Failed),
            (EXPIRED, _) | (_, "expired") => Some(PaymentStatus::Expired),
            (COMPLETED, _) | (_, "unpaid") => Some(PaymentStatus::Processing),
            _ => None,
        }
    }
}

/// The strongest of what is said decides.
fn end(steps: &[Step]) -> PaymentStatus {
    let by_strength = [
        PaymentStatus::Paid,
        PaymentStatus::Failed,
        PaymentStatus::Expired,
        PaymentStatus::Processing,
    ];
    let is_said = |status: &PaymentStatus| steps.iter().any(|step| step.says() == Some(*status));
    by_strength
        .into_iter()
        .find(is_said)
        .unwrap_or(PaymentStatus::Pending)
}

/// One customer, one top-up, one payment at a desk that may have others.
struct Purchase {
    user: UserId,
    topup: TopupId,
    payment: PaymentId,
    number: usize,
}

impl Purchase {
    fn begin(desk: &mut Desk, number: usize) -> Self {
        let user = UserId::parse(&format!("user-{number}")).unwrap();
        let wish = CreateTopup::plain(user.clone(), CREDITS);
        let Ok(Reply::Topup(topup)) = desk.ask(Command::CreateTopup(wish)) else {
            panic!("no top-up");
        };
        let wish = OpenCheckout {
            topup: topup.id.clone(),
            user: user.clone(),
            success_url: String::new(),
            cancel_url: String::new(),
            save_card: false,
        };
        let Ok(Reply::Payment(payment)) = desk.ask(Command::OpenCheckout(wish)) else {
            panic!("no payment");
        };
        Self {
            user,
            topup: topup.id,
            payment: payment.id,
            number,
        }
    }

    fn told(&self, standing: &str, wrong: Option<Wrong>) -> Told {
        let is = |other| wrong == Some(other);
        let other = if is(Wrong::Session) { "-other" } else { "" };
        Told {
            name: format!("S{}{other}", self.number),
            amount: if is(Wrong::Amount) {
                CREDITS - 1
            } else {
                CREDITS
            },
            currency: if is(Wrong::Currency) { "eur" } else { "usd" }.to_owned(),
            live: is(Wrong::Mode),
            payment: (!is(Wrong::Nameless)).then(|| self.payment.to_string()),
            intent: Some(format!("I{}", self.number)),
            received: None,
            failure: None,
            standing: standing.to_owned(),
        }
    }

    fn session(&self, standing: &str) -> bursar_stripe::object::CheckoutSession {
        serde_json::from_value(stripe::session(&self.told(standing, None))).unwrap()
    }

    fn take(&self, desk: &mut Desk, step: Step) {
        match step {
            Step::Opened => self.open(desk),
            Step::Session(kind, standing, wrong) => {
                self.deliver(
                    desk,
                    kind,
                    &self.told(standing, wrong),
                    &format!("{standing}{wrong:?}"),
                );
            }
            Step::Intent(kind) => {
                let intent = Told {
                    name: format!("I{}", self.number),
                    failure: kind.ends_with("failed").then(|| "card_declined".to_owned()),
                    ..self.told("", None)
                };
                self.deliver(desk, kind, &intent, "");
            }
            Step::Return(standing) => {
                let session = stripe::session_id(&format!("S{}", self.number));
                if desk.reader.payment_of_session(&session).unwrap().is_some() {
                    let read = self.read(standing);
                    desk.ask(read).unwrap();
                }
            }
            Step::WorkOff => inbox::work_off(desk),
            Step::Restart => desk.restart(),
        }
    }

    fn read(&self, standing: &str) -> Command {
        Command::SessionRead(SessionRead {
            payment: self.payment.clone(),
            claim: None,
            fact: inbound::session_fact(&self.session(standing)),
        })
    }

    /// Done once; a second answer finds the job gone.
    fn open(&self, desk: &mut Desk) {
        let key = JobKey::of_payment(JobKind::OpenSession, &self.payment);
        let Ok(Reply::Claimed(claim)) = desk.ask(Command::ClaimJob(key)) else {
            return;
        };
        let opened = SessionOpened {
            claim,
            checkout_url: None,
            fact: inbound::session_fact(&self.session("open")),
        };
        desk.ask(Command::SessionOpened(opened)).unwrap();
    }

    fn deliver(&self, desk: &mut Desk, kind: &str, told: &Told, variant: &str) {
        let name = format!("{}.{kind}.{variant}.{}", self.number, told.name);
        let body = stripe::event(&name, kind, told, 1_767_225_600, None);
        let event = inbound::event(&body.into()).unwrap();
        desk.ask(Command::ReceiveEvent(event)).unwrap();
    }

    /// What came of it, without ids and times.
    fn digest(&self, desk: &mut Desk) -> Digest {
        let payment = desk.reader.payment(&self.payment).unwrap().unwrap();
        let topup = desk.reader.topup(&self.topup).unwrap().unwrap();
        let wallet = desk.wallets(vec![AccountKey::wallet(&self.user)]).remove(0);
        let account = wallet.map(|wallet| wallet.account.clone());
        Digest {
            payment: payment.status,
            topup: topup.status,
            credits: account.as_ref().map_or(0, |account| account.balance),
            entries: account.as_ref().map_or(0, |account| account.entries),
            session: payment.session,
            intent: payment.intent,
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Digest {
    payment: PaymentStatus,
    topup: TopupStatus,
    credits: i64,
    entries: i64,
    session: Option<String>,
    intent: Option<String>,
}

/// What must come of these steps, by what they say alone.
fn expected(purchase: &Purchase, steps: &[Step]) -> Digest {
    let payment = end(steps);
    let (topup, credits) = match payment {
        PaymentStatus::Paid => (TopupStatus::Paid, CREDITS),
        PaymentStatus::Failed => (TopupStatus::Failed, 0),
        PaymentStatus::Expired => (TopupStatus::Expired, 0),
        _ => (TopupStatus::Pending, 0),
    };
    // Every fact about the session names its intent; the answer that opens it does too.
    Digest {
        payment,
        topup,
        credits,
        entries: i64::from(credits > 0),
        session: Some(stripe::session_id(&format!("S{}", purchase.number))),
        intent: Some(stripe::intent_id(&format!("I{}", purchase.number))),
    }
}

/// Every order of the given steps, by Heap's algorithm.
fn permutations(steps: &[Step], visit: &mut impl FnMut(&[Step])) {
    let mut order = steps.to_vec();
    let mut counters = vec![0; order.len()];
    visit(&order);
    let mut position = 0;
    while position < order.len() {
        if counters[position] < position {
            let other = if position % 2 == 0 {
                0
            } else {
                counters[position]
            };
            order.swap(other, position);
            visit(&order);
            counters[position] += 1;
            position = 0;
        } else {
            counters[position] = 0;
            position += 1;
        }
    }
}

/// Runs every order of a burst as a purchase of its own; how many there were.
fn every_order(burst: &[Step]) -> usize {
    let mut desk = Desk::new();
    let mut number = 0;
    permutations(burst, &mut |order| {
        number += 1;
        let purchase = Purchase::begin(&mut desk, number);
        for step in order {
            purchase.take(&mut desk, *step);
            inbox::work_off(&mut desk);
        }
        let digest = purchase.digest(&mut desk);
        assert_eq!(digest, expected(&purchase, order), "{order:?}");
    });
    let report = desk.audit();
    assert_eq!(report.differences, vec![]);
    let credited = if end(burst) == PaymentStatus::Paid {
        number
    } else {
        0
    };
    let sold = i64::try_from(credited).unwrap() * CREDITS;
    let wallets = report.balances.iter();
    let wallets = wallets.filter(|(key, _)| key.kind == AccountKind::Wallet);
    let outstanding: i128 = wallets.map(|(_, balance)| balance).sum();
    assert_eq!(outstanding, i128::from(sold));
    let waiting = EventFilter {
        status: Some(EventStatus::Waiting),
        ..EventFilter::default()
    };
    assert_eq!(
        desk.reader.events(&waiting, &books::all()).unwrap().items,
        vec![]
    );
    number
}

const OPENED: Step = Step::Opened;
const PAID: Step = Step::Session(COMPLETED, "paid", None);
const UNPAID: Step = Step::Session(COMPLETED, "unpaid", None);
const CAME: Step = Step::Session(SUCCEEDED, "paid", None);
const CAME_NOT: Step = Step::Session(FAILED, "unpaid", None);
const CLOSED: Step = Step::Session(EXPIRED, "expired", None);
const INTENT: Step = Step::Intent("payment_intent.succeeded");
const DECLINED: Step = Step::Intent("payment_intent.payment_failed");
const CHARGE: Step = Step::Intent("charge.succeeded");

#[test]
fn a_card_payment_in_every_order() {
    assert_eq!(every_order(&[OPENED, PAID, INTENT, CHARGE, DECLINED]), 120);
}

#[test]
fn a_delayed_payment_in_every_order() {
    assert_eq!(every_order(&[OPENED, UNPAID, CAME, INTENT, CHARGE]), 120);
    assert_eq!(every_order(&[OPENED, UNPAID, CAME_NOT, DECLINED]), 24);
}

#[test]
fn an_unpaid_session_in_every_order() {
    assert_eq!(every_order(&[OPENED, CLOSED, DECLINED, UNPAID]), 24);
    assert_eq!(every_order(&[OPENED, CLOSED, CAME_NOT, UNPAID]), 24);
}

#[test]
fn five_events_of_one_payment_and_their_contradictions_in_every_order() {
    assert_eq!(
        every_order(&[OPENED, PAID, INTENT, CHARGE, CAME, CLOSED]),
        720
    );
    assert_eq!(every_order(&[OPENED, UNPAID, CAME, CAME_NOT, CLOSED]), 120);
}

/// The inbox may read an event, be slow, and bring it when another has worked it off.
#[test]
fn an_event_that_has_its_end_keeps_it() {
    let mut desk = Desk::new();
    let purchase = Purchase::begin(&mut desk, 1);
    purchase.take(&mut desk, OPENED);
    purchase.take(
        &mut desk,
        Step::Session(COMPLETED, "paid", Some(Wrong::Amount)),
    );
    inbox::work_off(&mut desk);
    let late = ApplyEvent {
        number: 1,
        notice: Notice::Session {
            hint: None,
            fact: inbound::session_fact(&purchase.session("paid")),
            read: false,
        },
    };
    let unknown = ApplyEvent {
        number: 7,
        ..late.clone()
    };
    let answer = desk.ask(Command::ApplyEvents(vec![late, unknown]));
    let ends = vec![EventStatus::Quarantined, EventStatus::Ignored];
    assert_eq!(answer, Ok(Reply::Applied(ends)));
    assert_eq!(purchase.digest(&mut desk).credits, 0);
}

fn step() -> impl Strategy<Value = Step> {
    let wrong = prop_oneof![
        4 => Just(None),
        1 => Just(Some(Wrong::Nameless)),
        1 => prop::sample::select(vec![Wrong::Amount, Wrong::Currency, Wrong::Mode, Wrong::Session]).prop_map(Some),
    ];
    let kinds = vec![
        (COMPLETED, "paid"),
        (COMPLETED, "unpaid"),
        (SUCCEEDED, "paid"),
        (FAILED, "unpaid"),
        (EXPIRED, "expired"),
    ];
    let intents = vec![
        "payment_intent.succeeded",
        "payment_intent.payment_failed",
        "payment_intent.created",
        "charge.succeeded",
        "charge.failed",
    ];
    prop_oneof![
        6 => (prop::sample::select(kinds), wrong)
            .prop_map(|((kind, standing), wrong)| Step::Session(kind, standing, wrong)),
        3 => prop::sample::select(intents).prop_map(Step::Intent),
        2 => prop::sample::select(vec!["open", "paid", "unpaid", "expired"]).prop_map(Step::Return),
        2 => Just(Step::WorkOff),
        1 => Just(Step::Restart),
    ]
}

/// Steps in two random orders, with the opening somewhere among the first; some come twice.
fn two_orders() -> impl Strategy<Value = (Vec<Step>, Vec<Step>)> {
    prop::collection::vec(step(), 1..9).prop_flat_map(|steps| {
        let again = subsequence(steps.clone(), 0..=steps.len());
        let with_opening = (again, 0..=steps.len()).prop_map(move |(again, at)| {
            let mut steps = steps.clone();
            steps.insert(at, OPENED);
            steps.extend(again);
            steps
        });
        with_opening.prop_flat_map(|steps| (Just(steps.clone()), Just(steps).prop_shuffle()))
    })
}

/// A customer can come back only from a session that is known: reads move behind the opening.
fn possible(steps: &[Step]) -> Vec<Step> {
    let is_return = |step: &Step| matches!(step, Step::Return(_));
    let opening = steps.iter().position(|step| *step == OPENED).unwrap();
    let (before, after) = steps.split_at(opening);
    let (early, rest): (Vec<Step>, Vec<Step>) = before.iter().partition(|step| is_return(step));
    rest.into_iter()
        .chain([OPENED])
        .chain(early)
        .chain(after[1..].iter().copied())
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_order_ends_in_the_same_books((first, second) in two_orders()) {
        for steps in [possible(&first), possible(&second)] {
            let mut desk = Desk::new();
            let purchase = Purchase::begin(&mut desk, 1);
            for step in &steps {
                purchase.take(&mut desk, *step);
            }
            inbox::work_off(&mut desk);
            prop_assert_eq!(purchase.digest(&mut desk), expected(&purchase, &steps), "{:?}", steps);
            let report = desk.audit();
            prop_assert_eq!(report.differences, vec![]);
        }
    }

    #[test]
    fn what_is_said_again_changes_nothing((steps, _) in two_orders(), prefix in 0..9_usize) {
        let steps = possible(&steps);
        let mut desk = Desk::new();
        let purchase = Purchase::begin(&mut desk, 1);
        for step in &steps {
            purchase.take(&mut desk, *step);
        }
        inbox::work_off(&mut desk);
        let before = books::of(&mut desk);
        for step in steps.iter().take(prefix) {
            purchase.take(&mut desk, *step);
        }
        inbox::work_off(&mut desk);
        prop_assert_eq!(before, books::of(&mut desk));
    }

}
