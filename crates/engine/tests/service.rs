//! The services as a product composes them: wallets, payments through a bank of its own, usage, hooks.

#![expect(clippy::unwrap_used, reason = "a helper of a test fails the test")]

mod service {
    mod ask;
    mod keys;
    pub(crate) mod shop;
}

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bursar_domain::id::{TopupId, UserId};
use bursar_domain::journal::{Reason, Remark};
use bursar_domain::refusal::Refusal;
use bursar_domain::topup::TopupStatus;
use bursar_domain::usage::UsageStatus;
use bursar_engine::service::{
    Call, CallError, Hooks, PayAt, Payments, ProviderError, ServiceError,
};
use bursar_store::query::UsageFilter;

use service::shop::{PICTURE, Shop, anna, bank, first_page, picture, said, says};

fn hooks_of(shop: &Shop) -> Hooks<String, String> {
    let (before, after) = (shop.balance.clone(), shop.balance.clone());
    let priced = Hooks::new()
        .before(move |call| {
            let (balance, price) = (before.clone(), picture(&call.user));
            async move { balance.require(price).await.map(drop) }
        })
        .after(move |call, _| {
            let (balance, price, key) = (after.clone(), picture(&call.user), call.key.clone());
            async move { balance.charge(price, &key).await.map(drop) }
        });
    shop.usage.clone().record_errors(true).install(priced)
}

async fn paint() -> Result<String, String> {
    tokio::task::yield_now().await;
    Ok("a picture".to_owned())
}

#[tokio::test]
async fn a_customer_pays_by_transfer_and_has_pictures_painted() {
    let shop = Shop::open();
    let hooks = hooks_of(&shop);
    let broke = hooks
        .run(&Call::new(anna(), "picture", "p-0"), paint())
        .await;
    assert!(
        matches!(&broke, Err(CallError::Refused(why)) if why.to_string().contains("10 too few"))
    );

    let methods: Vec<&str> = shop.payments.methods().map(|it| it.id.as_str()).collect();
    assert_eq!(methods, ["bank-transfer", "giro"]);
    let topup = shop.topup(500).await;
    let opened = shop.payments.open("bank-transfer", &anna(), &topup).await;
    let words = format!("Transfer 5.00 USD for {topup}.");
    assert_eq!(opened.unwrap().pay_at, PayAt::Instructions(words));
    assert!(!shop.hears(&topup, "T-1", 500).await.unwrap());
    assert_eq!(shop.credits().await, 500);

    let call = Call::new(anna(), "picture", "p-1");
    assert_eq!(hooks.run(&call, paint()).await.unwrap(), "a picture");
    let failing = async { Err("out of paint".to_owned()) };
    let failed = hooks
        .run(&Call::new(anna(), "picture", "p-2"), failing)
        .await;
    assert!(
        matches!(failed, Err(CallError::Failed { error, hooks }) if error == "out of paint" && hooks.is_empty())
    );
    assert_eq!(shop.credits().await, 490);

    let sums = shop.usage.summary(UsageFilter::default()).await.unwrap();
    let sums: Vec<_> = sums.iter().map(|sum| (sum.status, sum.count)).collect();
    assert_eq!(sums, [(UsageStatus::Error, 1), (UsageStatus::Success, 1)]);
    let (anna, all) = (anna(), UsageFilter::default());
    let mine = shop.usage.me(&anna, all, first_page()).await.unwrap();
    assert_eq!(mine.items.len(), 2);
    let history = shop.balance.history(&anna, first_page()).await.unwrap();
    let lines = history.items.iter();
    let lines: Vec<_> = lines
        .map(|it| {
            (
                it.reason,
                it.change,
                it.balance,
                it.remark.reference.as_str(),
            )
        })
        .collect();
    let expected = [
        (Reason::Charge, -10, 490, ""),
        (Reason::Topup, 500, 500, "bank-transfer:T-1"),
    ];
    assert_eq!(lines, expected);
    shop.close().await;
}

#[tokio::test]
async fn a_payment_finishes_one_topup_once_whatever_is_repeated() {
    let shop = Shop::open();
    let topup = shop.topup(500).await;
    assert!(!shop.hears(&topup, "T-1", 500).await.unwrap());
    let shop = shop.restart().await;
    assert!(shop.hears(&topup, "T-1", 500).await.unwrap());
    let twice = shop.hears(&topup, "T-2", 500).await;
    assert!(
        matches!(twice, Err(ServiceError::PaidBefore { .. })),
        "{twice:?}"
    );
    // The transfer that came too late is free to pay something else; the one that has paid is not.
    let next = shop.topup(500).await;
    let spent = shop.hears(&next, "T-1", 500).await;
    assert!(
        matches!(spent, Err(ServiceError::ReferenceSpent { .. })),
        "{spent:?}"
    );
    assert_eq!(shop.credits().await, 500);
    assert!(!shop.hears(&next, "T-2", 500).await.unwrap());
    assert_eq!(shop.credits().await, 1_000);
    shop.close().await;
}

#[tokio::test]
async fn only_the_price_of_a_topup_pays_it() {
    let shop = Shop::open();
    let topup = shop.topup(500).await;
    for amount in [499, 501, 0, -500, i64::MIN, 50_000] {
        let other = shop.hears(&topup, "T-1", amount).await;
        assert!(
            matches!(other, Err(ServiceError::OtherPrice { .. })),
            "{other:?}"
        );
    }
    let euros = shop
        .payments
        .finish("giro", &says(&format!("{topup} T-1 500")))
        .await;
    assert!(
        matches!(euros, Err(ServiceError::OtherPrice { .. })),
        "{euros:?}"
    );
    let opened = shop.payments.open("giro", &anna(), &topup).await;
    assert!(
        matches!(opened, Err(ServiceError::OtherCurrency { .. })),
        "{opened:?}"
    );
    assert_eq!(shop.credits().await, 0);
    assert!(!shop.hears(&topup, "T-1", 500).await.unwrap());
    shop.close().await;
}

#[tokio::test]
async fn what_is_unknown_unverified_closed_or_somebody_elses_is_refused() {
    let shop = Shop::open();
    let topup = shop.topup(500).await;
    let unknown = TopupId::parse("top_00000000000000000000000000").unwrap();
    let heard = shop.hears(&unknown, "T-1", 500).await.unwrap_err();
    assert_eq!(heard.refusal(), Some(&Refusal::TopupNotFound));
    let bob = UserId::parse("bob").unwrap();
    let opened = shop.payments.open("bank-transfer", &bob, &topup).await;
    assert_eq!(opened.unwrap_err().refusal(), Some(&Refusal::TopupNotFound));

    let mut forged = says(&format!("{topup} T-1 500"));
    forged.headers.clear();
    let forged = shop.payments.finish("bank-transfer", &forged).await;
    let unverified = matches!(
        &forged,
        Err(ServiceError::Provider(ProviderError::Unverified(_)))
    );
    assert!(unverified, "{forged:?}");
    let nobody = shop.payments.finish("paypal", &says("")).await;
    assert!(matches!(nobody, Err(ServiceError::ProviderUnknown { .. })));
    let chatter = says("good morning");
    let chatter = shop.payments.finish("bank-transfer", &chatter).await;
    assert!(chatter.unwrap().is_none());
    let nameless = shop.hears(&topup, "", 500).await;
    assert!(matches!(
        nameless,
        Err(ServiceError::Invalid {
            field: "reference",
            ..
        })
    ));

    shop.balance
        .cancel_topup(&topup, said("changed my mind"), None)
        .await
        .unwrap();
    let closed = shop.hears(&topup, "T-1", 500).await.unwrap_err();
    let status = TopupStatus::Canceled;
    assert_eq!(closed.refusal(), Some(&Refusal::TopupNotPending { status }));
    let opened = shop.payments.open("bank-transfer", &anna(), &topup).await;
    assert_eq!(
        opened.unwrap_err().refusal(),
        Some(&Refusal::TopupNotPending { status })
    );
    assert_eq!(shop.credits().await, 0);
    // Nothing of all this is held against the transfer.
    let next = shop.topup(500).await;
    assert!(!shop.hears(&next, "T-1", 500).await.unwrap());

    let by_hand = shop.topup(500).await;
    shop.balance
        .finish_topup(&by_hand, said("cash"), None)
        .await
        .unwrap();
    let late = shop.hears(&by_hand, "T-3", 500).await;
    assert!(
        matches!(late, Err(ServiceError::PaidBefore { .. })),
        "{late:?}"
    );
    assert_eq!(shop.credits().await, 1_000);
    // Whoever finishes by hand and names the transfer has taken its notification in.
    let named = shop.topup(500).await;
    let transfer = Remark {
        reference: "bank-transfer:T-4".to_owned(),
        ..Remark::default()
    };
    let finished = shop.balance.finish_topup(&named, transfer, None).await;
    assert_eq!(finished.unwrap().status, TopupStatus::Paid);
    assert!(shop.hears(&named, "T-4", 500).await.unwrap());
    assert_eq!(shop.credits().await, 1_500);

    for twins in [
        ["bank", "bank"],
        ["bank", "a:b"],
        ["bank", "a b"],
        ["", "x"],
    ] {
        let providers = twins.map(|id| bank(id, "usd")).into();
        assert!(
            Payments::new(shop.balance.topup_desk(), providers).is_err(),
            "{twins:?}"
        );
    }
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_many_at_the_same_time_one_finishes_the_topup() {
    let shop = Arc::new(Shop::open());
    for (transfers, all_granted) in [(1, true), (32, false)] {
        let before = shop.credits().await;
        let topup = shop.topup(500).await;
        let tasks: Vec<_> = (0..32)
            .map(|number| {
                let (shop, topup) = (Arc::clone(&shop), topup.clone());
                let transfer = format!("{topup}-{}", number % transfers);
                tokio::spawn(async move { shop.hears(&topup, &transfer, 500).await })
            })
            .collect();
        let mut finished = 0;
        for task in tasks {
            match task.await.unwrap() {
                Ok(replayed) => {
                    finished += usize::from(!replayed);
                    assert!(all_granted || !replayed);
                }
                Err(ServiceError::PaidBefore { .. }) => assert!(!all_granted),
                Err(error) => panic!("{error:?}"),
            }
        }
        assert_eq!(finished, 1);
        assert_eq!(shop.credits().await, before + 500);
    }
    Arc::into_inner(shop).unwrap().close().await;
}

#[tokio::test]
async fn a_refusing_hook_keeps_the_work_from_running() {
    let shop = Shop::open();
    let told = Arc::new(AtomicUsize::new(0));
    let tell = |told: &Arc<AtomicUsize>| {
        told.fetch_add(1, Ordering::SeqCst);
        std::future::ready(Ok::<(), ServiceError>(()))
    };
    let [second, after, failed] = [0; 3].map(|_| Arc::clone(&told));
    let hooks: Hooks<String, String> = Hooks::new()
        .before(|_| async { Err("closed on Sundays") })
        .before(move |_| tell(&second))
        .after(move |_, _| tell(&after))
        .on_error(move |_, _| tell(&failed));
    let began = AtomicUsize::new(0);
    let work = async {
        began.fetch_add(1, Ordering::SeqCst);
        paint().await
    };
    let refused = hooks.run(&Call::new(anna(), "picture", "p-1"), work).await;
    assert_eq!(
        refused.unwrap_err().to_string(),
        "nothing was done: closed on Sundays"
    );
    assert_eq!((began.into_inner(), told.load(Ordering::SeqCst)), (0, 0));

    // What usage could not record is refused before anything is done.
    let recorded = shop.usage.install(Hooks::<String, String>::new());
    for (service, key) in [("oil painting", "p-1"), ("picture", "")] {
        let call = Call::new(anna(), service, key);
        let refused = recorded.run(&call, paint()).await;
        assert!(matches!(refused, Err(CallError::Refused(_))), "{refused:?}");
    }
    shop.close().await;
}

#[tokio::test]
async fn an_after_hook_that_fails_is_reported_and_the_others_still_run() {
    let shop = Shop::open();
    shop.give(PICTURE).await;
    let hooks = hooks_of(&shop);
    let balance = shop.balance.clone();
    // While the picture is painted, somebody spends what was there.
    let work = async move {
        balance.charge(picture(&anna()), "elsewhere").await.unwrap();
        paint().await
    };
    let call = Call::new(anna(), "picture", "p-1");
    match hooks.run(&call, work).await {
        Err(CallError::Unfinished { output, hooks }) => {
            assert_eq!((output.as_str(), hooks.len()), ("a picture", 1));
            let why = hooks[0].downcast_ref::<ServiceError>().unwrap();
            let missing = Refusal::InsufficientCredits {
                available: 0,
                missing: PICTURE,
            };
            assert_eq!(why.refusal(), Some(&missing));
        }
        other => panic!("{other:?}"),
    }
    let used = shop.usage.events(UsageFilter::default(), first_page());
    assert_eq!(used.await.unwrap().items.len(), 1);
    shop.close().await;
}

#[tokio::test]
async fn a_repeated_call_is_charged_and_recorded_once() {
    let shop = Shop::open();
    shop.give(100).await;
    let hooks = hooks_of(&shop);
    let call = Call::new(anna(), "picture", "p-1");
    for _ in 0..3 {
        let failing = async { Err("out of paint".to_owned()) };
        assert!(matches!(
            hooks.run(&call, failing).await,
            Err(CallError::Failed { .. })
        ));
    }
    for _ in 0..3 {
        hooks.run(&call, paint()).await.unwrap();
    }
    assert_eq!(shop.credits().await, 90);
    let sums = shop.usage.summary(UsageFilter::default()).await.unwrap();
    assert!(
        sums.iter().all(|sum| sum.count == 1) && sums.len() == 2,
        "{sums:?}"
    );
    let successes_only = shop.usage.install(Hooks::new());
    let failing = async { Err::<String, _>("out of paint".to_owned()) };
    let _ = successes_only
        .run(&Call::new(anna(), "picture", "p-2"), failing)
        .await;
    let sums = shop.usage.summary(UsageFilter::default()).await.unwrap();
    assert_eq!(sums.iter().map(|sum| sum.count).sum::<i64>(), 2);
    shop.close().await;
}
