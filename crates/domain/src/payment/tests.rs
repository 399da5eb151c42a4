use super::{Flow, Payment, PaymentStatus, Returned, cause, money_accounts, observe};
use crate::account::{AccountKey, AccountKind};
use crate::amount::{Amount, Unit};
use crate::command::Context;
use crate::grant::Category;
use crate::id::{IdSource, PaymentId, TopupId, UserId};
use crate::journal::{Cause, Remark};
use crate::notice::{SessionFact, Standing};
use crate::policy::Policy;
use crate::refusal::Refusal;
use crate::state::State;
use crate::time::Time;
use crate::topup::{Topup, TopupStatus};

struct Counter(u128);

impl IdSource for Counter {
    fn random80(&mut self) -> u128 {
        self.0 += 1;
        self.0
    }
}

/// A pending payment of five dollars with everything loaded that settling it may touch.
fn pending(ids: &mut Counter) -> (State, Payment) {
    let user = UserId::parse("anna").unwrap();
    let price = Amount::new(500, Unit::currency("usd").unwrap());
    let payment = Payment {
        id: PaymentId::new(ids, Time(0)),
        number: 1,
        flow: Flow::Checkout,
        provider: super::STRIPE.to_owned(),
        topup: TopupId::new(ids, Time(0)),
        user: user.clone(),
        amount: price,
        livemode: false,
        item_name: String::new(),
        success_url: String::new(),
        cancel_url: String::new(),
        save_card: false,
        card: None,
        status: PaymentStatus::Pending,
        session: Some("cs_1".to_owned()),
        checkout_url: None,
        intent: None,
        last_failure: None,
        returned: Returned::default(),
        created_at: Time(0),
        updated_at: Time(0),
        paid_at: None,
    };
    let topup = Topup {
        id: payment.topup.clone(),
        user: user.clone(),
        credits: 500,
        bonus: 0,
        package: None,
        coupon: None,
        discount: 0,
        price,
        status: TopupStatus::Pending,
        payment: Some(payment.id.clone()),
        remark: Remark::default(),
        created_at: Time(0),
        updated_at: Time(0),
        paid_at: None,
    };
    let mut state = State::default();
    let house = AccountKey::house(AccountKind::Sold, Unit::CREDIT);
    let [received, clearing] = money_accounts(&payment);
    let absorbed = AccountKey::house(AccountKind::Absorbed, Unit::CREDIT);
    state.members.load(user.clone(), None);
    for key in [house, absorbed, received, clearing] {
        state.accounts.load(key, None);
    }
    state.wallets.load(AccountKey::wallet(&user), None);
    let of_topup = Cause::new("topup", topup.id.as_str());
    state.causes.load(of_topup, None);
    let read = payment.job(crate::job::JobKind::ReadSession);
    state.jobs.load(read, None);
    state.awards.load(payment.id.clone(), None);
    state.refunds.load(payment.id.clone(), None);
    state.disputes.load(payment.id.clone(), None);
    state
        .payments
        .load(payment.id.clone(), Some(payment.clone()));
    state.topups.load(topup.id.clone(), Some(topup));
    (state, payment)
}

fn settle(state: &mut State, ids: &mut Counter, id: &PaymentId) -> Result<(), Refusal> {
    let policy = Policy::standard();
    let mut context = Context {
        now: Time(7),
        ids,
        policy: &policy,
    };
    let fact = SessionFact {
        session: "cs_1".to_owned(),
        amount: Some(500),
        currency: Some("usd".to_owned()),
        livemode: Some(false),
        intent: None,
        standing: Standing::Paid,
    };
    let observed = observe(state, &mut context, id, &fact)?;
    assert_eq!(observed, Ok(()));
    Ok(())
}

#[test]
fn credits_and_money_are_booked_together() {
    let mut ids = Counter(0);
    let (mut state, payment) = pending(&mut ids);
    state.causes.load(cause(&payment.id), None);
    settle(&mut state, &mut ids, &payment.id).unwrap();
    assert_eq!(state.journal.len(), 2);
    let paid = state.payments.get(&payment.id).unwrap();
    assert_eq!(
        (paid.status, paid.paid_at),
        (PaymentStatus::Paid, Some(Time(7)))
    );
    let wallet = state.wallets.get(&AccountKey::wallet(&paid.user)).unwrap();
    let [grant] = wallet.grants.as_slice() else {
        panic!("{:?}", wallet.grants);
    };
    assert_eq!((grant.remaining, grant.category), (500, Category::Paid));
    assert_eq!(wallet.account.balance, 500);
    // Said again, nothing is booked again.
    settle(&mut state, &mut ids, &payment.id).unwrap();
    assert_eq!(state.journal.len(), 2);
}

/// Books that contradict themselves, as if the row of the payment had been set back by hand.
#[test]
fn where_the_money_cannot_be_booked_no_credits_are_given() {
    let mut ids = Counter(0);
    let (mut state, payment) = pending(&mut ids);
    state.causes.load(cause(&payment.id), Some(()));
    let refused = settle(&mut state, &mut ids, &payment.id);
    assert!(
        matches!(refused, Err(Refusal::AlreadyPosted { .. })),
        "{refused:?}"
    );
    assert!(state.journal.is_empty());
    let wallets = state.wallets.changes().count();
    assert_eq!((wallets, state.grants.changes().count()), (0, 0));
    let topup = state.topups.get(&payment.topup).unwrap();
    assert_eq!(topup.status, TopupStatus::Pending);
    let payment = state.payments.get(&payment.id).unwrap();
    assert_eq!(payment.status, PaymentStatus::Pending);
}

#[test]
fn statuses_read_back_as_they_are_written() {
    for status in PaymentStatus::ALL {
        assert_eq!(PaymentStatus::parse(status.as_str()), Some(*status));
    }
    for status in TopupStatus::ALL {
        assert_eq!(TopupStatus::parse(status.as_str()), Some(status));
    }
    assert_eq!(PaymentStatus::parse("Paid"), None);
    assert_eq!(TopupStatus::parse(""), None);
}
