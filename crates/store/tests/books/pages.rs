//! Lists in pages, and books with something in every list.

use std::fmt::Debug;

use bursar_domain::api_key::{IssueKey, Role};
use bursar_domain::charge::Charge;
use bursar_domain::command::Command;
use bursar_domain::notice::{ApplyEvent, Notice, Standing};
use bursar_store::StoreError;
use bursar_store::query::{Page, PageRequest, Reader};
use tempfile::TempDir;

use super::{Books, charge_of, folder, user};

pub(crate) fn filled() -> (TempDir, Books, Reader) {
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
            // Out of one grant, out of two, and out of all there are with a debt.
            books.charge(name, 5 + 100 * (round % 2));
            if round == 5 {
                let charge = Charge {
                    allow_debt: true,
                    ..charge_of(name, 5_000)
                };
                books.ask(Command::Charge(charge)).unwrap();
            }
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

pub(crate) type List<'a, T> = &'a mut dyn FnMut(&PageRequest) -> Result<Page<T>, StoreError>;

pub(crate) fn request(limit: usize, cursor: Option<&str>) -> PageRequest {
    PageRequest {
        limit,
        cursor: cursor.map(str::to_owned),
    }
}

/// Reads the list whole and in pages of several sizes, and gives the whole.
pub(crate) fn whole<T: Debug + PartialEq>(name: &str, list: List<'_, T>) -> Vec<T> {
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

pub(crate) fn refuses<T: Debug>(name: &str, list: List<'_, T>, cursors: &[&str]) {
    for cursor in cursors {
        let page = list(&request(10, Some(cursor)));
        assert!(
            matches!(page, Err(StoreError::BadCursor)),
            "{name} {cursor:?}: {page:?}"
        );
    }
}

pub(crate) const NOT_NUMBERS: &[&str] = &[
    "",
    "x",
    "0",
    "-1",
    "1.5",
    "1 ",
    "99999999999999999999",
    "top_0",
];
pub(crate) const NOT_IDS: &[&str] = &[
    "",
    "x",
    "7",
    "top_",
    "ltx_01jh2v4x7q0000000000000001",
    "' OR 1=1 --",
];
