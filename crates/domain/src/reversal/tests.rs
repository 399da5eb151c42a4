use proptest::prelude::*;

use super::{SpentCredit, Standing, settle, share_rounded_down};
use crate::account::{AccountKey, AccountKind};
use crate::amount::{Amount, Unit};
use crate::award::AwardKind;
use crate::charge::{self, Charge};
use crate::command::Context;
use crate::coupon::{Benefit, Coupon, CouponTerms};
use crate::dispute::{self, DisputeFact, DisputeStatus, Movement};
use crate::grant::{GrantEnd, needs_to_expire};
use crate::id::{IdSource, PaymentId, TopupId, UserId};
use crate::journal::{Reason, Remark};
use crate::notice::{SessionFact, Standing as Session};
use crate::payment::{self, Flow, Payment, PaymentStatus, Returned, STRIPE};
use crate::policy::Policy;
use crate::referral::{Member, ReferralStatus, ReferralTerms};
use crate::refund::{self, RefundFact, RefundStatus};
use crate::refusal::Refusal;
use crate::state::{Needs, State, Wanted};
use crate::time::Time;
use crate::topup::{Topup, TopupStatus};
use crate::world::plain_charge;

struct Counter(u128);

impl IdSource for Counter {
    fn random80(&mut self) -> u128 {
        self.0 += 1;
        self.0
    }
}

/// One purchase of Anna's, and everything loaded that becomes of it.
struct Purchase {
    state: State,
    ids: Counter,
    policy: Policy,
    id: PaymentId,
}

fn usd() -> Unit {
    Unit::currency("usd").unwrap()
}

fn anna() -> UserId {
    crate::world::user(0)
}

const COUPON: &str = "MORE";

fn bert() -> UserId {
    crate::world::user(1)
}

/// Bert has brought Anna, and there is a coupon.
fn bring(state: &mut State) {
    let member = Member {
        user: anna(),
        code: None,
        identity: None,
        referrer: Some(bert()),
        status: Some(ReferralStatus::Pending),
        payment: None,
        created_at: Time(0),
        updated_at: Time(0),
    };
    state.members.load(anna(), Some(member));
    let coupon = Coupon {
        terms: CouponTerms {
            code: COUPON.to_owned(),
            benefit: Benefit::Credits(31),
            least_price: None,
            uses_max: None,
            expires_at: None,
            note: String::new(),
        },
        uses: 0,
        disabled_at: None,
        created_at: Time(0),
    };
    state.coupons.load(COUPON.to_owned(), Some(coupon));
}

/// Loads what is asked for and not there: all of it absent.
fn load_absent(state: &mut State, ask: impl Fn(&mut Wanted<'_>)) {
    let mut needs = Needs::default();
    ask(&mut Wanted::new(state, &mut needs));
    needs
        .accounts
        .into_iter()
        .for_each(|key| state.accounts.load(key, None));
    needs
        .wallets
        .into_iter()
        .for_each(|key| state.wallets.load(key, None));
    needs
        .causes
        .into_iter()
        .for_each(|key| state.causes.load(key, None));
    needs
        .jobs
        .into_iter()
        .for_each(|key| state.jobs.load(key, None));
    needs
        .awards
        .into_iter()
        .for_each(|key| state.awards.load(key, None));
    needs
        .refunds
        .into_iter()
        .for_each(|key| state.refunds.load(key, None));
    needs
        .disputes
        .into_iter()
        .for_each(|key| state.disputes.load(key, None));
    needs
        .payment_of_intent
        .into_iter()
        .for_each(|key| state.payment_of_intent.load(key, None));
    needs
        .unmatched_events
        .into_iter()
        .for_each(|key| state.unmatched_events.load(key, None));
    needs
        .waiting_events
        .into_iter()
        .for_each(|key| state.waiting_events.load(key, None));
    needs
        .members
        .into_iter()
        .for_each(|key| state.members.load(key, None));
    needs
        .perks
        .into_iter()
        .for_each(|key| state.perks.load(key, None));
}

impl Purchase {
    /// Not paid yet. With extras, 70 credits come on top by a package and 31 by a coupon, and Bert has brought Anna.
    fn of(credits: i64, price: i64, spent_credit: SpentCredit, extras: bool) -> Self {
        let mut ids = Counter(0);
        let (id, topup) = (
            PaymentId::new(&mut ids, Time(0)),
            TopupId::new(&mut ids, Time(0)),
        );
        let price = Amount::new(price, usd());
        let payment = Payment {
            id: id.clone(),
            number: 1,
            flow: Flow::Checkout,
            provider: STRIPE.to_owned(),
            topup: topup.clone(),
            user: anna(),
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
        let mut state = State::default();
        state.payments.load(id.clone(), Some(payment));
        state.topups.load(
            topup.clone(),
            Some(Topup {
                id: topup,
                user: anna(),
                credits,
                bonus: if extras { 70 + 31 } else { 0 },
                package: None,
                coupon: extras.then(|| COUPON.to_owned()),
                discount: 0,
                price,
                status: TopupStatus::Pending,
                payment: Some(id.clone()),
                remark: Remark::default(),
                created_at: Time(0),
                updated_at: Time(0),
                paid_at: None,
            }),
        );
        if extras {
            bring(&mut state);
        }
        let policy = Policy {
            spent_credit,
            referral: ReferralTerms {
                referrer_credits: 50,
                referred_credits: 33,
                least_prices: [(usd(), price.minor)].into(),
            },
            ..Policy::standard()
        };
        let mut purchase = Self {
            state,
            ids,
            policy,
            id,
        };
        purchase.load();
        purchase
    }

    fn load(&mut self) {
        let (id, fact, key) = (self.id.clone(), self.session(), Self::wallet_key());
        load_absent(&mut self.state, |wanted| {
            payment::needs_to_observe(wanted, &id);
            fact.needs(wanted);
            crate::grant::needs_wallet(wanted, &key);
            needs_to_expire(wanted, &key);
            crate::grant::needs_wallet(wanted, &AccountKey::wallet(&bert()));
            wanted.account(&AccountKey::house(AccountKind::Absorbed, Unit::CREDIT));
        });
    }

    fn session(&self) -> SessionFact {
        SessionFact {
            session: "cs_1".to_owned(),
            amount: Some(self.payment().amount.minor),
            currency: Some("usd".to_owned()),
            livemode: Some(false),
            intent: Some("pi_1".to_owned()),
            standing: Session::Paid,
        }
    }

    fn payment(&self) -> &Payment {
        self.state.payments.get(&self.id).unwrap()
    }

    fn wallet_key() -> AccountKey {
        AccountKey::wallet(&anna())
    }

    fn balance(&self) -> i64 {
        let wallet = self.state.wallets.get(&Self::wallet_key());
        wallet.map_or(0, |wallet| wallet.account.balance)
    }

    fn take_in(&mut self, fact: &Fact) {
        let policy = self.policy.clone();
        let mut context = Context {
            now: Time(7),
            ids: &mut self.ids,
            policy: &policy,
        };
        let (state, id) = (&mut self.state, &self.id);
        let session = SessionFact {
            session: "cs_1".to_owned(),
            amount: state.payments.get(id).map(|payment| payment.amount.minor),
            currency: Some("usd".to_owned()),
            livemode: Some(false),
            intent: Some("pi_1".to_owned()),
            standing: Session::Paid,
        };
        let taken = match fact {
            Fact::Paid => payment::observe(state, &mut context, id, &session),
            Fact::Refund(fact) => refund::observe(state, &mut context, id, fact),
            Fact::Dispute(fact) => dispute::observe(state, &mut context, id, fact),
            Fact::Spend(credits) => {
                let charge: Charge = plain_charge(0, *credits);
                let _ = charge::charge(state, &context, &charge);
                Ok(Ok(()))
            }
        };
        taken.unwrap().unwrap();
        self.load();
        self.check();
    }

    /// What has to hold after every step.
    fn check(&self) {
        assert_eq!(self.state.missed(), None);
        let payment = self.payment();
        let paid = payment.amount.minor;
        let standing = Standing::of(
            self.state.refunds.get(&self.id).map_or(&[], Vec::as_slice),
            self.state.disputes.get(&self.id).map_or(&[], Vec::as_slice),
        );
        let awards = self.state.awards.get(&self.id);
        if !payment.status.is_paid() {
            assert!(awards.is_none() && self.state.journal.is_empty());
            return;
        }
        let awards = awards.unwrap();
        let (mut given, mut sold, mut ours, mut berts) = (0, 0, 0, 0);
        for award in awards {
            let target = share_rounded_down(award.granted, standing.lost(paid), paid);
            assert_eq!(award.taken, target);
            let out = award.granted - target;
            match award.from {
                AccountKind::Sold => sold += out,
                _ => given += out,
            }
            match award.kind {
                AwardKind::Referrer => berts += out + award.absorbed,
                _ => ours += out + award.absorbed,
            }
        }
        assert_eq!(payment.returned.posted, standing.returned());
        assert_eq!(payment.status, standing.status(paid));
        let absorbed: i64 = awards.iter().map(|award| award.absorbed).sum();
        assert_eq!(self.sum(AccountKind::Sold), -sold);
        assert_eq!(self.sum(AccountKind::Granted), -given);
        assert_eq!(self.sum(AccountKind::Absorbed), -absorbed);
        assert_eq!(self.sum(AccountKind::Clearing), paid - standing.returned());
        let spent = self.sum(AccountKind::Spent);
        assert_eq!(self.balance(), ours - spent);
        let of_bert = self.state.wallets.get(&AccountKey::wallet(&bert()));
        assert_eq!(of_bert.map_or(0, |wallet| wallet.account.balance), berts);
    }

    /// What is on an account that keeps no balance, by the journal.
    fn sum(&self, kind: AccountKind) -> i64 {
        let all = self.state.journal.iter();
        all.flat_map(|posted| &posted.transaction.postings)
            .map(|posting| {
                let (from, to) = (posting.from.kind == kind, posting.to.kind == kind);
                posting.amount.minor * (i64::from(to) - i64::from(from))
            })
            .sum()
    }
}

#[derive(Debug, Clone, PartialEq)]
enum Fact {
    Paid,
    Refund(RefundFact),
    Dispute(DisputeFact),
    Spend(i64),
}

fn refund(number: usize, amount: i64, status: RefundStatus) -> Fact {
    Fact::Refund(RefundFact {
        provider_id: format!("re_{number}"),
        hint: None,
        amount,
        currency: "usd".to_owned(),
        status,
        reason: String::new(),
        failure: String::new(),
    })
}

/// A dispute with its first movements: withdrawn, given back, withdrawn again.
fn dispute(number: usize, amount: i64, status: DisputeStatus, moved: usize) -> Fact {
    let movement = |place: usize| Movement {
        id: format!("txn_{number}_{place}"),
        withdrawn: if place.is_multiple_of(2) {
            amount
        } else {
            -amount
        },
    };
    Fact::Dispute(DisputeFact {
        id: format!("du_{number}"),
        amount,
        currency: "usd".to_owned(),
        status,
        reason: String::new(),
        movements: (0..moved).map(movement).collect(),
    })
}

fn after(facts: &[Fact], policy: SpentCredit) -> Purchase {
    after_with(facts, policy, false)
}

fn after_with(facts: &[Fact], policy: SpentCredit, extras: bool) -> Purchase {
    let mut purchase = Purchase::of(1_000, 999, policy, extras);
    for fact in facts {
        purchase.take_in(fact);
    }
    purchase
}

/// Everything that is told about a refund, in the order in which it happens.
fn life_of_refund() -> impl Strategy<Value = Vec<(i64, RefundStatus)>> {
    use RefundStatus::{Canceled, Failed, Pending, RequiresAction, Succeeded};
    let lives: [&'static [RefundStatus]; 6] = [
        &[Succeeded],
        &[Pending, Succeeded],
        &[Succeeded, Failed],
        &[Pending, Failed],
        &[RequiresAction, Canceled],
        &[Pending, RequiresAction, Succeeded, Failed],
    ];
    let life = proptest::sample::select(lives.to_vec());
    (1..=999_i64, life).prop_map(|(amount, life)| life.iter().map(|it| (amount, *it)).collect())
}

fn life_of_dispute() -> impl Strategy<Value = Vec<(i64, DisputeStatus, usize)>> {
    use DisputeStatus::{
        Lost, NeedsResponse, UnderReview, WarningClosed, WarningNeedsResponse, Won,
    };
    let lives: [&'static [(DisputeStatus, usize)]; 5] = [
        &[(WarningNeedsResponse, 0), (WarningClosed, 0)],
        &[(NeedsResponse, 0), (NeedsResponse, 1), (Lost, 1)],
        &[(NeedsResponse, 1), (UnderReview, 1), (Won, 1), (Won, 2)],
        &[(NeedsResponse, 1), (Won, 2), (Won, 3)],
        &[(WarningNeedsResponse, 0), (NeedsResponse, 1), (Lost, 1)],
    ];
    let life = proptest::sample::select(lives.to_vec());
    (1..=999_i64, life).prop_map(|(amount, life)| {
        let told = life.iter();
        told.map(|(status, moved)| (amount, *status, *moved))
            .collect()
    })
}

/// All that is told about a payment, in the order in which it happens.
fn history() -> impl Strategy<Value = Vec<Fact>> {
    let refunds = proptest::collection::vec(life_of_refund(), 0..4);
    let disputes = proptest::collection::vec(life_of_dispute(), 0..3);
    (refunds, disputes).prop_map(|(refunds, disputes)| {
        let mut facts = vec![Fact::Paid];
        for (number, life) in refunds.iter().enumerate() {
            facts.extend(
                life.iter()
                    .map(|(amount, status)| refund(number, *amount, *status)),
            );
        }
        for (number, life) in disputes.iter().enumerate() {
            let told = life.iter();
            facts.extend(
                told.map(|(amount, status, moved)| dispute(number, *amount, *status, *moved)),
            );
        }
        facts
    })
}

/// The same facts in another order, some of them twice.
fn disturbed() -> impl Strategy<Value = (Vec<Fact>, Vec<Fact>)> {
    history().prop_flat_map(|facts| {
        let again = proptest::sample::subsequence(facts.clone(), 0..=facts.len());
        let told = again.prop_map({
            let facts = facts.clone();
            move |again| [facts.clone(), again].concat()
        });
        (Just(facts), told.prop_shuffle())
    })
}

fn policy() -> impl Strategy<Value = SpentCredit> {
    proptest::sample::select(SpentCredit::ALL.to_vec())
}

proptest! {
    #[test]
    fn the_end_depends_on_the_facts_alone((facts, told) in disturbed(), policy in policy(), extras in any::<bool>()) {
        let (straight, crooked) = (after_with(&facts, policy, extras), after_with(&told, policy, extras));
        prop_assert_eq!(straight.payment().status, crooked.payment().status);
        prop_assert_eq!(straight.payment().returned, crooked.payment().returned);
        prop_assert_eq!(straight.balance(), crooked.balance());
        let taken = |purchase: &Purchase| -> Vec<_> {
            let awards = purchase.state.awards.get(&purchase.id).unwrap().iter();
            awards.map(|award| (award.kind, award.granted, award.taken)).collect()
        };
        prop_assert_eq!(taken(&straight).len(), if extras { 4 } else { 1 });
        prop_assert_eq!(taken(&straight), taken(&crooked));
    }

    #[test]
    fn what_is_taken_is_the_target_however_much_was_spent(
        (_, told) in disturbed(), policy in policy(),
        spends in proptest::collection::vec((0..20_usize, 1..400_i64), 0..4), extras in any::<bool>(),
    ) {
        let mut told = told;
        for (place, credits) in spends {
            told.insert(place.min(told.len()), Fact::Spend(credits));
        }
        // Every step is checked.
        after_with(&told, policy, extras);
    }

    #[test]
    fn all_that_is_lost_takes_exactly_all_that_was_granted(granted in 1..i64::MAX, paid in 1..i64::MAX) {
        prop_assert_eq!(share_rounded_down(granted, paid, paid), granted);
        prop_assert_eq!(share_rounded_down(granted, 0, paid), 0);
    }

    #[test]
    fn a_share_is_rounded_in_the_customers_favour_and_grows_with_the_loss(
        granted in 1..1_000_000_i64, paid in 1..1_000_000_i64, lost in 0..1_000_000_i64,
    ) {
        let lost = lost.min(paid);
        let share = i128::from(share_rounded_down(granted, lost, paid));
        let exact = i128::from(granted) * i128::from(lost);
        prop_assert!(share * i128::from(paid) <= exact);
        prop_assert!((share + 1) * i128::from(paid) > exact);
        prop_assert!(share_rounded_down(granted, lost - lost.signum(), paid) <= share_rounded_down(granted, lost, paid));
    }
}

#[test]
fn spent_credit_becomes_a_debt_and_comes_back_when_the_refund_fails() {
    let spent = [
        Fact::Paid,
        Fact::Spend(600),
        refund(0, 999, RefundStatus::Succeeded),
    ];
    let mut purchase = after(&spent, SpentCredit::Debt);
    assert_eq!(purchase.balance(), -600);
    let grant = purchase
        .state
        .grants
        .changes()
        .next()
        .and_then(|(_, _, grant)| grant);
    assert_eq!(grant.unwrap().end, Some(GrantEnd::Voided));
    purchase.take_in(&refund(0, 999, RefundStatus::Failed));
    assert_eq!(purchase.balance(), 400);
    let last = &purchase.state.journal.last().unwrap().transaction;
    assert_eq!(last.reason, Reason::Reinstate);
    assert_eq!(purchase.payment().status, PaymentStatus::Paid);
}

#[test]
fn a_refund_that_is_called_off_has_never_been() {
    use RefundStatus::{Canceled, RequiresAction};
    let open = [Fact::Paid, refund(0, 999, RequiresAction)];
    let mut purchase = after(&open, SpentCredit::Debt);
    assert_eq!(purchase.balance(), 0);
    purchase.take_in(&refund(0, 999, Canceled));
    assert_eq!(purchase.balance(), 1_000);
    purchase.take_in(&refund(0, 999, RequiresAction));
    assert_eq!(purchase.balance(), 1_000);
}

#[test]
fn a_frozen_wallet_spends_nothing_until_its_debt_is_paid_back() {
    let spent = [
        Fact::Paid,
        Fact::Spend(600),
        refund(0, 500, RefundStatus::Succeeded),
    ];
    let mut purchase = after(&spent, SpentCredit::Freeze);
    let frozen = |purchase: &Purchase| {
        purchase
            .state
            .wallets
            .get(&Purchase::wallet_key())
            .unwrap()
            .frozen
    };
    // 500 of 999 cents are 500 of 1,000 credits; 400 were left.
    assert_eq!((purchase.balance(), frozen(&purchase)), (-100, true));
    purchase.take_in(&Fact::Spend(1));
    assert_eq!(purchase.balance(), -100);
    let context = Context {
        now: Time(7),
        ids: &mut purchase.ids,
        policy: &purchase.policy,
    };
    let refused = charge::charge(&mut purchase.state, &context, &plain_charge(0, 1));
    assert_eq!(refused, Err(Refusal::WalletFrozen));
    purchase.take_in(&refund(0, 500, RefundStatus::Failed));
    assert_eq!((purchase.balance(), frozen(&purchase)), (400, false));
}

#[test]
fn what_the_operator_bears_comes_back_to_him_first() {
    let spent = [
        Fact::Paid,
        Fact::Spend(600),
        refund(0, 999, RefundStatus::Succeeded),
    ];
    let mut purchase = after(&spent, SpentCredit::Absorb);
    assert_eq!(
        (purchase.balance(), purchase.sum(AccountKind::Absorbed)),
        (0, -600)
    );
    purchase.take_in(&refund(0, 999, RefundStatus::Failed));
    assert_eq!(
        (purchase.balance(), purchase.sum(AccountKind::Absorbed)),
        (400, 0)
    );
}

#[test]
fn a_refund_and_a_lost_dispute_take_the_grant_once_and_the_money_twice() {
    let both = [
        Fact::Paid,
        refund(0, 999, RefundStatus::Succeeded),
        dispute(0, 999, DisputeStatus::Lost, 1),
    ];
    let purchase = after(&both, SpentCredit::Debt);
    assert_eq!(purchase.balance(), 0);
    assert_eq!(purchase.payment().returned.posted, 2 * 999);
    let award = &purchase.state.awards.get(&purchase.id).unwrap()[0];
    assert_eq!((award.kind, award.taken), (AwardKind::Topup, 1_000));
}

#[test]
fn an_inquiry_is_shown_and_takes_nothing() {
    let open = dispute(0, 999, DisputeStatus::WarningNeedsResponse, 0);
    let mut purchase = after(&[Fact::Paid, open], SpentCredit::Debt);
    assert_eq!(purchase.payment().status, PaymentStatus::Disputed);
    assert_eq!(purchase.balance(), 1_000);
    purchase.take_in(&dispute(0, 999, DisputeStatus::WarningClosed, 0));
    assert_eq!(purchase.payment().status, PaymentStatus::Paid);
}

#[test]
fn facts_of_another_currency_or_beyond_the_payment_change_nothing() {
    let mut purchase = after(&[Fact::Paid], SpentCredit::Debt);
    let before = purchase.state.journal.len();
    let Fact::Refund(fact) = refund(0, 1_000, RefundStatus::Succeeded) else {
        unreachable!()
    };
    let Fact::Refund(foreign) = refund(0, 5, RefundStatus::Succeeded) else {
        unreachable!()
    };
    let foreign = RefundFact {
        currency: "eur".to_owned(),
        ..foreign
    };
    let policy = purchase.policy.clone();
    for fact in [fact, foreign] {
        let mut context = Context {
            now: Time(7),
            ids: &mut purchase.ids,
            policy: &policy,
        };
        let taken = refund::observe(&mut purchase.state, &mut context, &purchase.id, &fact);
        assert!(taken.unwrap().is_err(), "{fact:?}");
    }
    assert_eq!(purchase.state.journal.len(), before);
    let mut context = Context {
        now: Time(7),
        ids: &mut purchase.ids,
        policy: &policy,
    };
    settle(&mut purchase.state, &mut context, &purchase.id).unwrap();
    assert_eq!(purchase.state.journal.len(), before);
}

#[test]
fn a_full_refund_takes_back_the_bonus_and_the_rewards_of_both_sides() {
    let mut purchase = after_with(&[Fact::Paid], SpentCredit::Debt, true);
    assert_eq!(purchase.balance(), 1_000 + 70 + 31 + 33);
    purchase.take_in(&refund(0, 999, RefundStatus::Succeeded));
    assert_eq!(purchase.balance(), 0);
    let granted = purchase.sum(AccountKind::Granted);
    assert_eq!((granted, purchase.sum(AccountKind::Sold)), (0, 0));
    let member = purchase.state.members.get(&anna()).unwrap();
    assert_eq!(member.status, Some(ReferralStatus::Rewarded));
    purchase.take_in(&refund(0, 999, RefundStatus::Failed));
    assert_eq!(purchase.balance(), 1_000 + 70 + 31 + 33);
}
