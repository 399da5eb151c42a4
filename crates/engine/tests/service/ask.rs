//! Questions, and what is refused for its form.

use bursar_domain::amount::{Amount, Unit};
use bursar_domain::charge::Charge;
use bursar_domain::command::Precheck;
use bursar_domain::grant::{Category, CreateGrant, Source};
use bursar_domain::journal::Remark;
use bursar_domain::refusal::Refusal;
use bursar_domain::time::Time;
use bursar_engine::service::{Batch, ServiceError, charge};

use super::shop::{Shop, anna, first_page, picture};

#[tokio::test]
async fn questions_are_answered_without_changing_anything() {
    let shop = Shop::open();
    let (balance, anna) = (&shop.balance, anna());
    assert_eq!(balance.read(&anna).await.unwrap().wallet, None);
    shop.give(10).await;
    let noon = shop.engine.now();
    shop.clock.set(noon.plus_seconds(60));
    let debt = Charge {
        allow_debt: true,
        ..charge::credits(&anna, 15)
    };
    let missing = balance
        .require(charge::credits(&anna, 15))
        .await
        .unwrap_err();
    assert!(matches!(
        missing.refusal(),
        Some(Refusal::InsufficientCredits { missing: 5, .. })
    ));
    assert_eq!(
        balance
            .require(charge::action(&anna, "picture", 1))
            .await
            .unwrap()
            .cost,
        10
    );
    balance.charge(debt.clone(), "debt").await.unwrap();
    let view = balance.read(&anna).await.unwrap();
    assert_eq!(
        (view.credits, view.available, view.held, view.debt),
        (-5, -5, 0, 5)
    );
    let asked = Precheck {
        charge: picture(&anna),
        priced: false,
    };
    assert!(balance.precheck(asked).await.unwrap().refusal.is_some());

    let past = balance
        .balance_at(&anna, Unit::CREDIT, noon)
        .await
        .unwrap()
        .unwrap();
    assert_eq!((past.balance, past.changed_at), (10, noon));
    let before = balance.balance_at(&anna, Unit::CREDIT, Time(noon.0 - 1));
    assert_eq!(before.await.unwrap(), None);
    let events = balance.events_after(0, 10).await.unwrap();
    assert_eq!(
        (events.items.len(), events.has_more, events.next),
        (1, false, 1)
    );
    assert_eq!(balance.events_after(1, 10).await.unwrap().next, 1);
    assert!(balance.checkpoint().await.unwrap().number > 0);
    let wallets = balance.wallets(first_page()).await.unwrap();
    assert_eq!(wallets.items, [view]);

    shop.give(10).await;
    balance.charge(debt, "more-debt").await.unwrap();
    let first = balance.events_after(0, 1).await.unwrap();
    assert_eq!(
        (first.items.len(), first.has_more, first.next),
        (1, true, 1)
    );
    shop.close().await;
}

#[tokio::test]
async fn what_has_not_the_form_is_refused() {
    let shop = Shop::open();
    let (balance, anna) = (&shop.balance, anna());
    shop.give(100).await;
    for wrong in [0, -5, i64::MIN, i64::MAX] {
        assert!(
            balance
                .add(&anna, wrong, Remark::default(), None)
                .await
                .is_err(),
            "{wrong}"
        );
        assert!(
            balance
                .sub(&anna, wrong, Remark::default(), None)
                .await
                .is_err(),
            "{wrong}"
        );
    }
    for key in ["", "two words", "ü"] {
        assert!(
            balance.charge(picture(&anna), key).await.is_err(),
            "{key:?}"
        );
    }
    let edits: [fn(&mut Charge); 5] = [
        |it| it.spender.api_key = Some("k label:x".to_owned()),
        |it| it.spender.labels = (0..9).map(|number| number.to_string()).collect(),
        |it| it.remark.note = "4242 4242 4242 4242".to_owned(),
        |it| it.remark.meta = "[]".to_owned(),
        |it| {
            *it = charge::action(&it.user, "picture", 1);
            it.unit = Unit::currency("usd").unwrap();
        },
    ];
    for edit in edits {
        let mut wrong = picture(&anna);
        edit(&mut wrong);
        let refused = balance.charge(wrong.clone(), "k").await;
        assert!(
            matches!(refused, Err(ServiceError::Invalid { .. })),
            "{wrong:?}"
        );
    }
    let mut page = first_page();
    for limit in [0, usize::MAX] {
        page.limit = limit;
        assert!(
            balance.history(&anna, page.clone()).await.is_err(),
            "{limit}"
        );
    }
    let rolled = CreateGrant::plain(
        anna.clone(),
        Amount::credits(1),
        Category::Paid,
        Source::Topup,
    );
    assert!(balance.create_grant(rolled, None).await.is_err());
    assert!(
        balance
            .charge_all(vec![], Batch::Atomic, None)
            .await
            .is_err()
    );
    // Nothing of it was remembered: the key is still good.
    assert!(!balance.charge(picture(&anna), "k").await.unwrap().replayed);
    assert_eq!(shop.credits().await, 90);
    shop.close().await;
}
