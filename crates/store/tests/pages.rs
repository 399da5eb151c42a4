//! Lists in pages: all pages together are everything exactly once, the newest first.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a helper of a test fails the test"
)]

mod books;

use bursar_domain::account::AccountKey;
use bursar_domain::event::EventStatus;
use bursar_domain::hold::HoldStatus;
use bursar_domain::payment::PaymentStatus;
use bursar_domain::topup::TopupStatus;
use bursar_store::query::{
    EventFilter, GrantFilter, HoldFilter, PaymentFilter, Reader, TopupFilter, UsageFilter,
};

use books::pages::{NOT_IDS, NOT_NUMBERS, filled, refuses, request, whole};
use books::roll::Roll;
use books::{Books, folder, user};

#[test]
fn lists_by_number_come_newest_first() {
    let (_folder, _books, mut reader) = filled();
    let wallets = whole("wallets", &mut |page| reader.wallets(page));
    assert!(wallets.is_sorted_by(|newer, older| newer.number > older.number) && wallets.len() == 3);
    refuses("wallets", &mut |page| reader.wallets(page), NOT_NUMBERS);
    for (status, count) in [
        (None, 18),
        (Some(EventStatus::Pending), 9),
        (Some(EventStatus::Ignored), 9),
    ] {
        let filter = EventFilter {
            status,
            ..EventFilter::default()
        };
        let events = whole("events", &mut |page| reader.events(&filter, page));
        assert!(events.is_sorted_by(|newer, older| newer.number > older.number));
        assert_eq!(events.len(), count, "{status:?}");
        refuses(
            "events",
            &mut |page| reader.events(&filter, page),
            NOT_NUMBERS,
        );
    }
    let one = EventFilter {
        id: Some("evt_bob_3".to_owned()),
        ..EventFilter::default()
    };
    assert_eq!(
        whole("one event", &mut |page| reader.events(&one, page)).len(),
        1
    );
}

#[test]
fn lists_by_id_come_newest_first() {
    let (_folder, _books, mut reader) = filled();
    for (who, status, count) in [
        (None, None, 18),
        (Some("bob"), None, 6),
        (None, Some(TopupStatus::Paid), 6),
        (Some("anna"), Some(TopupStatus::Expired), 2),
    ] {
        let filter = TopupFilter {
            user: who.map(user),
            status,
        };
        let topups = whole("topups", &mut |page| reader.topups(&filter, page));
        assert!(topups.is_sorted_by(|newer, older| newer.created_at > older.created_at));
        assert_eq!(topups.len(), count, "{filter:?}");
        refuses("topups", &mut |page| reader.topups(&filter, page), NOT_IDS);
    }
    for (status, count) in [
        (None, 18),
        (Some(PaymentStatus::Paid), 6),
        (Some(PaymentStatus::Pending), 6),
    ] {
        let filter = PaymentFilter {
            status,
            ..PaymentFilter::default()
        };
        let payments = whole("payments", &mut |page| reader.payments(&filter, page));
        assert!(payments.is_sorted_by(|newer, older| newer.created_at > older.created_at));
        assert_eq!(payments.len(), count);
        refuses(
            "payments",
            &mut |page| reader.payments(&filter, page),
            NOT_IDS,
        );
    }
    let keys = whole("keys", &mut |page| reader.api_keys(page));
    assert!(
        keys.is_sorted_by(|newer, older| newer.created_at > older.created_at) && keys.len() == 18
    );
    refuses("keys", &mut |page| reader.api_keys(page), NOT_IDS);
}

#[test]
fn lists_about_wallets_come_newest_first() {
    let folder = folder();
    let path = folder.path().join("books.db");
    let (mut books, mut roll) = (Books::at(&path), Roll::new(2, 3));
    roll.fill(&mut books, 150);
    let mut reader = Reader::open_sqlite(&path).unwrap();
    let all_grants = whole("grants", &mut |page| {
        reader.grants(&GrantFilter::default(), page)
    });
    let all_holds = whole("holds", &mut |page| {
        reader.holds(&HoldFilter::default(), page)
    });
    assert!(all_grants.is_sorted_by(|newer, older| newer.id > older.id));
    assert!(all_holds.is_sorted_by(|newer, older| newer.id > older.id));
    let users = ["user-0", "user-1", "user-2"].map(|name| Some(user(name)));
    for user in [None].into_iter().chain(users) {
        let is_theirs = |wallet: &AccountKey| {
            let mut user = user.iter();
            user.all(|user| user.as_str() == wallet.owner.as_str())
        };
        for live in [None, Some(true), Some(false)] {
            let filter = GrantFilter {
                user: user.clone(),
                live,
            };
            let list = whole("grants", &mut |page| reader.grants(&filter, page));
            let mut expected = all_grants.clone();
            expected.retain(|grant| {
                is_theirs(&grant.wallet) && live.is_none_or(|it| it == grant.ended_at.is_none())
            });
            assert_eq!(list, expected);
            refuses(
                "grants",
                &mut |page| reader.grants(&filter, page),
                NOT_NUMBERS,
            );
        }
        for status in [None, Some(HoldStatus::Open), Some(HoldStatus::Settled)] {
            let filter = HoldFilter {
                user: user.clone(),
                status,
            };
            let list = whole("holds", &mut |page| reader.holds(&filter, page));
            let mut expected = all_holds.clone();
            expected.retain(|hold| {
                is_theirs(&hold.wallet) && status.is_none_or(|it| it == hold.status)
            });
            assert_eq!(list, expected);
            refuses(
                "holds",
                &mut |page| reader.holds(&filter, page),
                NOT_NUMBERS,
            );
        }
        let filter = UsageFilter {
            user,
            ..UsageFilter::default()
        };
        let used = whole("usage", &mut |page| reader.usage(&filter, page));
        let sums = reader.usage_summary(&filter).unwrap();
        let quantity: i64 = used.iter().map(|event| event.quantity).sum();
        assert_eq!(quantity, sums.iter().map(|sum| sum.quantity).sum::<i64>());
        let count = sums.iter().map(|sum| sum.count).sum::<i64>();
        assert_eq!(Ok(count), i64::try_from(used.len()));
    }
    whole("limits", &mut |page| reader.limits(None, page));
}

#[test]
fn what_is_new_does_not_disturb_a_list_under_way() {
    let (_folder, mut books, mut reader) = filled();
    let before = reader
        .topups(&TopupFilter::default(), &request(1_000, None))
        .unwrap()
        .items;
    let first = reader
        .topups(&TopupFilter::default(), &request(5, None))
        .unwrap();
    books.checkout("anna", 999);
    let rest = reader
        .topups(
            &TopupFilter::default(),
            &request(1_000, first.next.as_deref()),
        )
        .unwrap();
    assert_eq!([first.items, rest.items].concat(), before);
}
