//! Lists in pages: all pages together are everything exactly once, the newest first.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a helper of a test fails the test"
)]

mod books;

use std::fmt::Debug;

use bursar_domain::api_key::{IssueKey, Role};
use bursar_domain::command::Command;
use bursar_domain::event::EventStatus;
use bursar_domain::journal::Reason;
use bursar_domain::notice::{ApplyEvent, Notice, Standing};
use bursar_domain::payment::PaymentStatus;
use bursar_domain::topup::TopupStatus;
use bursar_store::StoreError;
use bursar_store::query::{
    EntryFilter, EventFilter, Page, PageRequest, PaymentFilter, Reader, TopupFilter,
};
use tempfile::TempDir;

use books::{Books, folder, user};

fn filled() -> (TempDir, Books, Reader) {
    let folder = folder();
    let path = folder.path().join("books.db");
    let mut books = Books::at(&path);
    for round in 0..6_i64 {
        for name in ["anna", "bob", "eve"] {
            books.adjust(name, 100 + round);
            let credits = 500 + round;
            let payment = books.checkout(name, credits);
            match (round + i64::try_from(name.len()).unwrap()) % 3 {
                0 => books.settle(&payment, credits, Standing::Paid),
                1 => books.settle(&payment, credits, Standing::Expired),
                _ => {}
            }
            books.adjust(name, -round - 1);
            let number = books.receive(&format!("evt_{name}_{round}"), "x");
            let notice = Notice::Foreign {
                why: "x".to_owned(),
            };
            if round % 2 == 0 {
                books
                    .ask(Command::ApplyEvents(vec![ApplyEvent { number, notice }]))
                    .unwrap();
            }
            let key = IssueKey {
                role: Role::User(user(name)),
                hash: format!("{name}{round}"),
                hint: String::new(),
                label: String::new(),
            };
            books.ask(Command::IssueKey(key)).unwrap();
        }
    }
    let reader = Reader::open_sqlite(&path).unwrap();
    (folder, books, reader)
}

type List<'a, T> = &'a mut dyn FnMut(&PageRequest) -> Result<Page<T>, StoreError>;

fn request(limit: usize, cursor: Option<&str>) -> PageRequest {
    PageRequest {
        limit,
        cursor: cursor.map(str::to_owned),
    }
}

/// Reads the list whole and in pages of several sizes, and gives the whole.
fn whole<T: Debug + PartialEq>(name: &str, list: List<'_, T>) -> Vec<T> {
    let whole = list(&request(1_000, None)).unwrap();
    assert_eq!(whole.next, None, "{name}");
    assert!(!whole.items.is_empty(), "{name}");
    for limit in [1, 2, 3, 7, whole.items.len()] {
        let (mut items, mut cursor) = (Vec::new(), None);
        loop {
            let page = list(&PageRequest { limit, cursor }).unwrap();
            assert!(page.items.len() <= limit, "{name}");
            let is_last = page.next.is_none();
            assert!(
                is_last || page.items.len() == limit,
                "{name}: a short page in the middle"
            );
            items.extend(page.items);
            assert!(
                items.len() <= whole.items.len(),
                "{name}: something comes twice"
            );
            cursor = page.next;
            if is_last {
                break;
            }
        }
        assert_eq!(items, whole.items, "{name} in pages of {limit}");
    }
    whole.items
}

fn refuses<T: Debug>(name: &str, list: List<'_, T>, cursors: &[&str]) {
    for cursor in cursors {
        let page = list(&request(10, Some(cursor)));
        assert!(
            matches!(page, Err(StoreError::BadCursor)),
            "{name} {cursor:?}: {page:?}"
        );
    }
}

const NOT_NUMBERS: &[&str] = &[
    "",
    "x",
    "0",
    "-1",
    "1.5",
    "1 ",
    "99999999999999999999",
    "top_0",
];
const NOT_IDS: &[&str] = &[
    "",
    "x",
    "7",
    "top_",
    "ltx_01jh2v4x7q0000000000000001",
    "' OR 1=1 --",
];

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
fn entries_of_a_wallet_and_of_all_are_the_same_entries() {
    let (_folder, _books, mut reader) = filled();
    for reason in [
        None,
        Some(Reason::Add),
        Some(Reason::Sub),
        Some(Reason::Topup),
    ] {
        let of_all = EntryFilter { user: None, reason };
        let scanned = whole("all entries", &mut |page| reader.entries(&of_all, page));
        assert!(scanned.is_sorted_by(|newer, older| newer.number > older.number));
        let mut count = 0;
        for name in ["anna", "bob", "eve"] {
            let filter = EntryFilter {
                user: Some(user(name)),
                reason,
            };
            let chained = whole("entries", &mut |page| reader.entries(&filter, page));
            let of_user = scanned
                .iter()
                .filter(|entry| entry.user == user(name))
                .cloned();
            assert_eq!(chained, of_user.collect::<Vec<_>>(), "{name} {reason:?}");
            count += chained.len();
            refuses(
                "entries",
                &mut |page| reader.entries(&filter, page),
                NOT_NUMBERS,
            );
        }
        assert_eq!(count, scanned.len());
        refuses(
            "all entries",
            &mut |page| reader.entries(&of_all, page),
            NOT_NUMBERS,
        );
    }
    let nobody = EntryFilter {
        user: Some(user("nobody")),
        reason: None,
    };
    assert_eq!(
        reader.entries(&nobody, &request(10, None)).unwrap().items,
        vec![]
    );
}

#[test]
fn a_cursor_of_another_wallet_opens_nothing() {
    let (_folder, _books, mut reader) = filled();
    let of = |name| EntryFilter {
        user: Some(user(name)),
        reason: None,
    };
    let cursor = reader
        .entries(&of("anna"), &request(2, None))
        .unwrap()
        .next
        .unwrap();
    refuses(
        "entries",
        &mut |page| reader.entries(&of("bob"), page),
        &[&cursor, "100000"],
    );
}

#[test]
fn a_balance_is_the_sum_of_its_entries() {
    let (_folder, _books, mut reader) = filled();
    let mut outstanding = 0;
    for name in ["anna", "bob", "eve"] {
        let filter = EntryFilter {
            user: Some(user(name)),
            reason: None,
        };
        let entries = reader
            .entries(&filter, &request(1_000, None))
            .unwrap()
            .items;
        let wallet = reader.wallet(&user(name)).unwrap().unwrap();
        assert_eq!(
            wallet.balance,
            entries.iter().map(|entry| entry.credits).sum::<i64>()
        );
        assert_eq!(entries[0].balance, wallet.balance);
        outstanding += wallet.balance;
    }
    assert_eq!(reader.credits_outstanding().unwrap(), outstanding);
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
