mod purchase;

use proptest::prelude::*;

use super::{SpentCredit, settle, share_rounded_down};
use crate::account::AccountKind;
use crate::award::AwardKind;
use crate::charge;
use crate::command::Context;
use crate::dispute::DisputeStatus;
use crate::grant::GrantEnd;
use crate::journal::Reason;
use crate::payment::PaymentStatus;
use crate::referral::ReferralStatus;
use crate::refund::{self, RefundFact, RefundStatus};
use crate::refusal::Refusal;
use crate::time::Time;
use crate::world::plain_charge;
use purchase::{Fact, Purchase, after, after_with, anna, dispute, refund};

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
