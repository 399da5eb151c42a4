//! Keys: what is asked twice under one happens once, and a key is good for one request.

use bursar_domain::amount::{Amount, Unit};
use bursar_domain::charge::{Charge, Price};
use bursar_domain::exchange::Exchange;
use bursar_domain::grant::{Category, CreateGrant, RollOver, Source};
use bursar_domain::hold::{CreateHold, HoldStatus, Overage};
use bursar_domain::id::UserId;
use bursar_domain::journal::Remark;
use bursar_domain::limit::{Period, SetLimit, Subject, SubjectKind};
use bursar_domain::refusal::Refusal;
use bursar_domain::time::Time;
use bursar_domain::topup::CreateTopup;
use bursar_domain::usage::{RecordUsage, UsageStatus};
use bursar_engine::service::{Batch, Once, ServiceError, charge};
use bursar_store::query::{GrantFilter, HoldFilter};

use super::shop::{PICTURE, Shop, anna, first_page, picture, said};

fn is_reused<T: std::fmt::Debug>(answer: &Result<Once<T>, ServiceError>) -> bool {
    matches!(answer, Err(error) if error.refusal() == Some(&Refusal::IdempotencyKeyReused))
}

/// Asked twice under one key, it is done once; and with each of the other requests the key is refused.
macro_rules! assert_once {
    ($balance:expr, $method:ident($($argument:expr),*), $key:expr, others: [$(($($other:expr),*)),* $(,)?]) => {{
        let first = $balance.$method($($argument),*, $key).await.unwrap();
        assert!(!first.replayed, stringify!($method));
        let again = $balance.$method($($argument),*, $key).await.unwrap();
        assert!(again.replayed, stringify!($method));
        assert_eq!(first.value, again.value);
        $(
            let other = $balance.$method($($other),*, $key).await;
            assert!(is_reused(&other), "{}: {other:?}", stringify!($method ($($other),*)));
        )*
        first.into_inner()
    }};
}

#[tokio::test]
async fn a_charge_under_a_key_is_made_once_and_the_key_covers_every_field() {
    let shop = Shop::open();
    shop.give(1_000).await;
    let one = || {
        let mut charge = picture(&anna());
        charge.spender.labels = vec!["blue".to_owned(), "red".to_owned()];
        charge
    };
    let key = "picture-1";
    let charged = assert_once!(shop.balance, charge(one()), key, others: []);
    assert_eq!((charged.amount, charged.balance), (PICTURE, 990));
    let mut others = vec![
        charge::action(&anna(), "picture", 1),
        charge::action(&anna(), "picture", 2),
    ];
    let edits: [fn(&mut Charge); 9] = [
        |it| it.user = UserId::parse("bob").unwrap(),
        |it| it.unit = Unit::currency("usd").unwrap(),
        |it| it.price = Price::Exactly(PICTURE + 1),
        |it| it.allow_debt = true,
        |it| it.spender.api_key = Some("k".to_owned()),
        |it| it.spender.labels = vec!["blue".to_owned()],
        |it| it.remark.note = "x".to_owned(),
        |it| it.remark.reference = "x".to_owned(),
        |it| it.remark.meta = "{}".to_owned(),
    ];
    for edit in edits {
        let mut other = one();
        edit(&mut other);
        others.push(other);
    }
    for other in others {
        assert!(
            is_reused(&shop.balance.charge(other.clone(), key).await),
            "{other:?}"
        );
    }
    let mut same = one();
    same.spender.labels = ["red", "blue", "red"].map(str::to_owned).to_vec();
    let same = shop.balance.charge(same, key).await.unwrap();
    assert!(same.replayed, "labels are a set");
    assert_eq!(shop.credits().await, 990);
    shop.close().await;
}

#[tokio::test]
async fn a_charge_is_the_same_alone_and_in_a_batch() {
    let shop = Shop::open();
    shop.give(1_000).await;
    let (balance, one) = (&shop.balance, || picture(&anna()));
    balance.charge(one(), "picture-1").await.unwrap();
    let batch = ["picture-1", "picture-2"].map(|key| (one(), key.to_owned()));
    let batch = (batch.to_vec(), Batch::Independent);
    let made = balance.charge_all(batch.0, batch.1, None).await.unwrap();
    let replayed = made.iter().map(|it| it.as_ref().unwrap().replayed);
    assert_eq!(replayed.collect::<Vec<bool>>(), [true, false]);

    let dear = charge::credits(&anna(), 5_000);
    let dear = || vec![(one(), "a".to_owned()), (dear.clone(), "b".to_owned())];
    let key = Some("all");
    let none = balance.charge_all(dear(), Batch::Atomic, key).await;
    let refused = none.unwrap_err();
    let position = match refused.refusal() {
        Some(Refusal::BatchRefused { position, .. }) => *position,
        other => panic!("{other:?}"),
    };
    assert_eq!((position, shop.credits().await), (1, 980));
    let other = balance.charge_all(dear(), Batch::Independent, key).await;
    assert!(is_reused(&other), "{other:?}");
    // What an atomic batch did not do, its charges may still do by themselves.
    assert!(!balance.charge(one(), "a").await.unwrap().replayed);
    shop.close().await;
}

#[tokio::test]
async fn what_is_bought_added_taken_and_exchanged_under_a_key_happens_once() {
    let shop = Shop::open();
    let (balance, key, anna) = (&shop.balance, Some("k"), &anna());
    let (none, said) = (Remark::default, || said("x"));
    let added = assert_once!(balance, add(anna, 100, none()), key, others: [(anna, 101, none()), (anna, 100, said())]);
    assert_eq!(added.balance, 100);
    assert_once!(balance, sub(anna, 10, none()), key, others: [(anna, 11, none()), (anna, 10, said())]);
    let wish = |credits, remark| {
        let user = anna.clone();
        CreateTopup {
            remark,
            ..CreateTopup::plain(user, credits)
        }
    };
    let topup = assert_once!(balance, create_topup(wish(50, none())), key, others: [(wish(51, none())), (wish(50, said()))]);
    let (topup, other) = (topup.id, shop.topup(50).await);
    assert_once!(balance, finish_topup(&topup, none()), key, others: [(&other, none()), (&topup, said())]);
    assert_once!(balance, cancel_topup(&other, none()), key, others: [(&topup, none()), (&other, said())]);
    let (credit, usd, eur) = (Unit::CREDIT, currency("usd"), currency("eur"));
    assert_once!(balance, set_overdraft(anna, credit, Some(5)), key,
        others: [(anna, credit, None), (anna, credit, Some(6)), (anna, usd, Some(5))]);
    let swap = |give, get, category, remark| Exchange {
        user: anna.clone(),
        give: Amount::credits(give),
        get,
        category,
        remark,
    };
    let (paid, given, got) = (Category::Paid, Category::Promotional, Amount::new(3, usd));
    assert_once!(balance, exchange(swap(3, got, paid, none())), "k", others: [
        (swap(4, got, paid, none())), (swap(3, Amount::new(4, usd), paid, none())), (swap(3, Amount::new(3, eur), paid, none())),
        (swap(3, got, given, none())), (swap(3, got, paid, said())),
    ]);
    // 100 added, 10 taken, 50 bought, 3 exchanged.
    assert_eq!(shop.credits().await, 137);
    assert_eq!(balance.read_all(anna).await.unwrap().len(), 2);
    shop.close().await;
}

fn currency(code: &str) -> Unit {
    Unit::currency(code).unwrap()
}

#[tokio::test]
async fn a_grant_under_a_key_is_given_once_and_the_key_covers_every_field() {
    let shop = Shop::open();
    let (balance, key) = (&shop.balance, Some("k"));
    let amount = Amount::credits(20);
    let terms = CreateGrant::plain(anna(), amount, Category::Paid, Source::Bonus);
    let later = Some(shop.engine.now().plus_seconds(1));
    let edits: [fn(&mut CreateGrant, Option<Time>); 8] = [
        |it, _| it.amount = Amount::credits(21),
        |it, _| it.amount = Amount::new(20, currency("usd")),
        |it, _| it.category = Category::Promotional,
        |it, _| it.source = Source::Trial,
        |it, _| it.priority = 1,
        |it, at| it.starts_at = at,
        |it, at| it.expires_at = at,
        |it, _| it.roll_over = Some(RollOver { cap: 1, seconds: 1 }),
    ];
    let grant = assert_once!(balance, create_grant(terms.clone()), key, others: []);
    for edit in edits {
        let mut other = terms.clone();
        edit(&mut other, later);
        let answer = balance.create_grant(other.clone(), key).await;
        assert!(is_reused(&answer), "{other:?}");
    }
    balance.charge(picture(&anna()), "p").await.unwrap();
    let listed = balance.grants(GrantFilter::default(), first_page()).await;
    assert_eq!(listed.unwrap().items[0].remaining, 10);
    let none = Remark::default;
    let voided =
        assert_once!(balance, void_grant(grant.id, none()), key, others: [(grant.id, said("x"))]);
    assert_eq!((voided.remaining, shop.credits().await), (0, 0));
    shop.close().await;
}

#[tokio::test]
async fn a_hold_is_made_reported_extended_and_ended_once() {
    let shop = Shop::open();
    shop.give(100).await;
    let (balance, key, none) = (&shop.balance, Some("k"), Remark::default);
    let reserve = |seconds, overage| CreateHold {
        charge: picture(&anna()),
        seconds,
        overage,
    };
    let hold = assert_once!(balance, create_hold(reserve(None, None)), key,
        others: [(reserve(Some(60), None)), (reserve(None, Some(Overage::Charge)))]);
    let view = balance.read(&anna()).await.unwrap();
    assert_eq!((view.credits, view.available, view.held), (100, 90, 10));
    let hold = hold.id;
    assert_once!(balance, progress_hold(hold, 3), key, others: [(hold, 4)]);
    assert_once!(balance, extend_hold(hold, 5, None), key, others: [(hold, 5, Some(1)), (hold, 6, None)]);
    assert!(balance.extend_hold(hold, 0, None, None).await.is_err());
    let settled = assert_once!(balance, settle_hold(hold, 7, none()), key, others: [(hold, 8, none()), (hold, 7, said("x"))]);
    assert_eq!((settled.status, settled.settled), (HoldStatus::Settled, 7));
    let spare = balance.create_hold(reserve(None, None), None).await;
    let spare = spare.unwrap().id;
    let released = assert_once!(balance, release_hold(spare, none()), key, others: [(hold, none()), (spare, said("x"))]);
    assert_eq!(balance.read_hold(spare).await.unwrap(), released);
    let holds = balance.holds(HoldFilter::default(), first_page()).await;
    assert_eq!((holds.unwrap().items.len(), shop.credits().await), (2, 93));
    shop.close().await;
}

#[tokio::test]
async fn a_limit_is_set_and_a_fact_recorded_once() {
    let shop = Shop::open();
    shop.give(100).await;
    let (balance, key, user) = (&shop.balance, Some("k"), SubjectKind::User);
    let limit = |kind, most, unit, period| SetLimit {
        subject: Subject {
            kind,
            name: anna().to_string(),
        },
        most: Amount::new(most, unit),
        period,
    };
    let (credit, day) = (Unit::CREDIT, Period::Day);
    let set = assert_once!(balance, set_limit(limit(user, 5, credit, day)), key, others: [
        (limit(SubjectKind::Label, 5, credit, day)), (limit(user, 6, credit, day)),
        (limit(user, 5, currency("usd"), day)), (limit(user, 5, credit, Period::Week)),
    ]);
    let over = balance.require(picture(&anna())).await.unwrap_err();
    let is_reached = matches!(over.refusal(), Some(Refusal::SpendingLimitReached { .. }));
    assert!(is_reached, "{over:?}");
    let limits = balance.limits(None, first_page()).await.unwrap();
    assert_eq!(limits.items, std::slice::from_ref(&set));
    assert_once!(balance, remove_limit(set.id), key, others: []);
    balance.require(picture(&anna())).await.unwrap();

    let fact = |variant: &str, quantity, status, meta: &str| RecordUsage {
        user: anna(),
        service: "picture".to_owned(),
        variant: variant.to_owned(),
        quantity,
        status,
        meta: meta.to_owned(),
    };
    let (success, error) = (UsageStatus::Success, UsageStatus::Error);
    assert_once!(shop.usage, record(fact("", 1, success, "")), key, others: [
        (fact("oil", 1, success, "")), (fact("", 2, success, "")), (fact("", 1, error, "")), (fact("", 1, success, "{}")),
    ]);
    shop.close().await;
}
