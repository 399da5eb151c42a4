//! A purchase of Anna's, and what is told about it.

use super::super::{SpentCredit, Standing, share_rounded_down};
use crate::account::{AccountKey, AccountKind};
use crate::amount::{Amount, Unit};
use crate::award::AwardKind;
use crate::charge::{self, Charge};
use crate::command::Context;
use crate::coupon::{Benefit, Coupon, CouponTerms};
use crate::dispute::{self, DisputeFact, DisputeStatus, Movement};
use crate::grant::needs_to_expire;
use crate::id::{IdSource, PaymentId, TopupId, UserId};
use crate::journal::Remark;
use crate::notice::{SessionFact, Standing as Session};
use crate::payment::{self, Flow, Payment, PaymentStatus, Returned, STRIPE};
use crate::policy::Policy;
use crate::referral::{Member, ReferralStatus, ReferralTerms};
use crate::refund::{self, RefundFact, RefundStatus};
use crate::state::State;
use crate::time::Time;
use crate::topup::{Topup, TopupStatus};
use crate::world::{load_absent, plain_charge};

pub(super) struct Counter(u128);

impl IdSource for Counter {
    fn random80(&mut self) -> u128 {
        self.0 += 1;
        self.0
    }
}

/// One purchase of Anna's, and everything loaded that becomes of it.
pub(super) struct Purchase {
    pub(super) state: State,
    pub(super) ids: Counter,
    pub(super) policy: Policy,
    pub(super) id: PaymentId,
}

pub(super) fn usd() -> Unit {
    Unit::currency("usd").unwrap()
}

pub(super) fn anna() -> UserId {
    crate::world::user(0)
}

pub(super) const COUPON: &str = "MORE";

pub(super) fn bert() -> UserId {
    crate::world::user(1)
}

/// Bert has brought Anna, and there is a coupon.
pub(super) fn bring(state: &mut State) {
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

impl Purchase {
    /// Not paid yet. With extras, 70 credits come on top by a package and 31 by a coupon, and Bert has brought Anna.
    pub(super) fn of(credits: i64, price: i64, spent_credit: SpentCredit, extras: bool) -> Self {
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

    pub(super) fn load(&mut self) {
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

    pub(super) fn session(&self) -> SessionFact {
        SessionFact {
            session: "cs_1".to_owned(),
            amount: Some(self.payment().amount.minor),
            currency: Some("usd".to_owned()),
            livemode: Some(false),
            intent: Some("pi_1".to_owned()),
            standing: Session::Paid,
        }
    }

    pub(super) fn payment(&self) -> &Payment {
        self.state.payments.get(&self.id).unwrap()
    }

    pub(super) fn wallet_key() -> AccountKey {
        AccountKey::wallet(&anna())
    }

    pub(super) fn balance(&self) -> i64 {
        let wallet = self.state.wallets.get(&Self::wallet_key());
        wallet.map_or(0, |wallet| wallet.account.balance)
    }

    pub(super) fn take_in(&mut self, fact: &Fact) {
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
    pub(super) fn check(&self) {
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
    pub(super) fn sum(&self, kind: AccountKind) -> i64 {
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
pub(super) enum Fact {
    Paid,
    Refund(RefundFact),
    Dispute(DisputeFact),
    Spend(i64),
}

pub(super) fn refund(number: usize, amount: i64, status: RefundStatus) -> Fact {
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
pub(super) fn dispute(number: usize, amount: i64, status: DisputeStatus, moved: usize) -> Fact {
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

pub(super) fn after(facts: &[Fact], policy: SpentCredit) -> Purchase {
    after_with(facts, policy, false)
}

pub(super) fn after_with(facts: &[Fact], policy: SpentCredit, extras: bool) -> Purchase {
    let mut purchase = Purchase::of(1_000, 999, policy, extras);
    for fact in facts {
        purchase.take_in(fact);
    }
    purchase
}
