use proptest::prelude::*;

use super::{News, TABLE, next};
use crate::account::{AccountKey, AccountKind};
use crate::amount::{Amount, Unit};
use crate::command::Context;
use crate::dispute::{Dispute, DisputeStatus, Movement};
use crate::id::{IdSource, PaymentId, RefundId, TopupId, UserId};
use crate::journal::Remark;
use crate::notice::{IntentFact, Standing};
use crate::payment::{self, Flow, Payment, PaymentStatus, Returned, STRIPE};
use crate::policy::Policy;
use crate::refund::{Refund, RefundStatus};
use crate::reversal;
use crate::state::State;
use crate::time::Time;
use crate::topup::{Topup, TopupStatus};
use crate::world::load_absent;

struct Counter(u128);

impl IdSource for Counter {
    fn random80(&mut self) -> u128 {
        self.0 += 1;
        self.0
    }
}

const PRICE: i64 = 500;

fn usd(minor: i64) -> Amount {
    Amount::new(minor, Unit::currency("usd").unwrap())
}

/// A payment and all that what is heard of it may touch.
struct Bench {
    state: State,
    ids: Counter,
    id: PaymentId,
}

impl Bench {
    fn at(status: PaymentStatus) -> Self {
        let mut ids = Counter(0);
        let (id, topup_id) = (
            PaymentId::new(&mut ids, Time(0)),
            TopupId::new(&mut ids, Time(0)),
        );
        let payment = Payment {
            id: id.clone(),
            number: 1,
            flow: Flow::Intent,
            provider: STRIPE.to_owned(),
            topup: topup_id.clone(),
            user: UserId::parse("anna").unwrap(),
            amount: usd(PRICE),
            livemode: false,
            item_name: String::new(),
            success_url: String::new(),
            cancel_url: String::new(),
            save_card: false,
            card: None,
            status,
            session: None,
            checkout_url: None,
            intent: Some("pi_1".to_owned()),
            last_failure: None,
            returned: Returned::default(),
            created_at: Time(0),
            updated_at: Time(0),
            paid_at: None,
        };
        let topup = Topup {
            id: topup_id.clone(),
            user: payment.user.clone(),
            credits: 500,
            bonus: 0,
            package: None,
            coupon: None,
            discount: 0,
            price: payment.amount,
            status: TopupStatus::Pending,
            payment: Some(id.clone()),
            remark: Remark::default(),
            created_at: Time(0),
            updated_at: Time(0),
            paid_at: None,
        };
        let mut state = State::default();
        state.payments.load(id.clone(), Some(payment));
        state.topups.load(topup_id, Some(topup));
        let mut bench = Self { state, ids, id };
        bench.load();
        bench
    }

    /// Loads what is needed as absent.
    fn load(&mut self) {
        let absorbed = AccountKey::house(AccountKind::Absorbed, Unit::CREDIT);
        let id = &self.id;
        load_absent(&mut self.state, |wanted| {
            payment::needs_to_observe(wanted, id);
            wanted.account(&absorbed);
        });
    }

    /// Says it in the provider's way.
    fn tell(&mut self, news: News) {
        let policy = Policy::standard();
        let mut context = Context {
            now: Time(7),
            ids: &mut self.ids,
            policy: &policy,
        };
        if let Some(standing) = standing(news) {
            let fact = IntentFact {
                intent: "pi_1".to_owned(),
                amount: Some(PRICE),
                received: Some(PRICE),
                currency: Some("usd".to_owned()),
                livemode: Some(false),
                standing: Some(standing),
                failure: None,
            };
            let observed = payment::observe(&mut self.state, &mut context, &self.id, &fact);
            observed.unwrap().unwrap();
        } else {
            let (refunds, disputes) = returns(&self.id, news);
            self.state.refunds.put(self.id.clone(), refunds);
            self.state.disputes.put(self.id.clone(), disputes);
            reversal::settle(&mut self.state, &mut context, &self.id).unwrap();
        }
        assert_eq!(self.state.missed(), None);
    }

    fn status(&self) -> PaymentStatus {
        self.state.payments.get(&self.id).unwrap().status
    }
}

/// How an intent stands that says so; none if refunds and disputes do.
fn standing(news: News) -> Option<Standing> {
    Some(match news {
        News::Open => Standing::Open,
        News::Processing => Standing::Unpaid,
        News::Canceled => Standing::Canceled,
        News::Expired => Standing::Expired,
        News::Failed => Standing::Failed,
        News::Paid => Standing::Paid,
        News::NothingBack | News::SomeBack | News::AllBack | News::Disputed => return None,
    })
}

fn returns(id: &PaymentId, news: News) -> (Vec<Refund>, Vec<Dispute>) {
    let refund = |minor: i64| Refund {
        id: RefundId::new(&mut Counter(9), Time(0)),
        payment: id.clone(),
        provider_id: Some("re_1".to_owned()),
        amount: usd(minor),
        status: RefundStatus::Succeeded,
        reason: String::new(),
        failure: String::new(),
        requested_by: String::new(),
        approved_by: String::new(),
        remark: Remark::default(),
        created_at: Time(0),
        updated_at: Time(0),
    };
    let dispute = || Dispute {
        id: "dp_1".to_owned(),
        payment: id.clone(),
        amount: usd(PRICE),
        status: DisputeStatus::Lost,
        reason: String::new(),
        movements: vec![Movement {
            id: "txn_1".to_owned(),
            withdrawn: PRICE,
        }],
        created_at: Time(0),
        updated_at: Time(0),
    };
    match news {
        News::SomeBack => (vec![refund(1)], vec![]),
        News::AllBack => (vec![refund(PRICE)], vec![]),
        News::Disputed => (vec![], vec![dispute()]),
        _ => (vec![], vec![]),
    }
}

#[test]
fn the_table_has_a_row_for_each_status() {
    let rows: Vec<PaymentStatus> = TABLE.iter().map(|(status, _)| *status).collect();
    for status in PaymentStatus::ALL {
        let count = rows.iter().filter(|row| *row == status).count();
        assert_eq!(count, 1, "{status:?}");
    }
}

/// What a payment becomes is what the table says, whichever function the news go through.
#[test]
fn every_kind_of_news_does_what_the_table_says() {
    for (from, row) in TABLE {
        for (news, to) in News::ALL.iter().zip(row) {
            assert_eq!(next(from, *news), to);
            let mut bench = Bench::at(from);
            bench.tell(*news);
            assert_eq!(bench.status(), to, "{from:?}, {news:?}");
        }
    }
}

fn news() -> impl Strategy<Value = News> {
    prop::sample::select(News::ALL)
}

proptest! {
    /// Facts about whether money comes, in any order and any number, end where the one that says most does.
    #[test]
    fn the_end_does_not_depend_on_the_order(
        heard in prop::collection::vec(news(), 1..12),
        order in Just(()).prop_perturb(|(), mut random| random.next_u64()),
    ) {
        let heard: Vec<News> = heard.into_iter().filter(|news| standing(*news).is_some()).collect();
        let mut shuffled = heard.clone();
        let length = shuffled.len().max(1);
        shuffled.rotate_left(usize::try_from(order).unwrap_or(0) % length);
        if order % 2 == 0 {
            shuffled.reverse();
        }
        let end = |heard: &[News]| {
            let mut bench = Bench::at(PaymentStatus::Pending);
            for news in heard {
                bench.tell(*news);
            }
            bench.status()
        };
        prop_assert_eq!(end(&heard), end(&shuffled));
    }

    /// Money that went back may be heard of before it came. It counts from then on; of that, what is heard last is how it stands.
    #[test]
    fn what_went_back_counts_whenever_it_was_heard_of(
        before in prop::collection::vec(news(), 0..8),
        after in prop::collection::vec(news(), 0..8),
    ) {
        let mut bench = Bench::at(PaymentStatus::Pending);
        let all: Vec<News> = before.into_iter().chain([News::Paid]).chain(after).collect();
        for news in &all {
            bench.tell(*news);
        }
        let back = all.iter().rev().find(|news| standing(**news).is_none());
        let expected = back.map_or(PaymentStatus::Paid, |back| next(PaymentStatus::Paid, *back));
        prop_assert_eq!(bench.status(), expected);
    }
}
