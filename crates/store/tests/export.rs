//! The journal read from its beginning, in parts, and one transaction of it.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a helper of a test fails the test"
)]

mod books;

use bursar_domain::command::{Adjust, ChargeAll, Command, Request};
use bursar_domain::id::TransactionId;
use bursar_domain::journal::Remark;
use bursar_store::query::{Progress, Reader};

use books::{Books, charge_of, folder, user};

/// Parts end where so many postings have been read, in the middle of a transaction as a rule.
#[test]
fn the_journal_comes_in_parts_of_whole_transactions() {
    let folder = folder();
    let path = folder.path().join("books.db");
    let mut books = Books::at(&path);
    // Three grants pay each charge of 5, so that a transaction has two or three postings.
    for round in 0..6 {
        let adjust = Request {
            command: Command::Adjust(Adjust {
                user: user("anna"),
                credits: 2,
                remark: Remark::default(),
            }),
            idempotency: None,
        };
        books.run(&vec![adjust; 1_000]).unwrap();
        let charges = (0..400).map(|_| (charge_of("anna", 5), None)).collect();
        let all = ChargeAll {
            charges,
            atomic: round % 2 == 0,
        };
        books.ask(Command::ChargeAll(all)).unwrap();
    }
    let mut reader = Reader::open_sqlite(&path).unwrap();
    let (mut progress, mut all, mut parts) = (Progress::default(), Vec::new(), 0);
    loop {
        let part = reader.journal(&mut progress).unwrap();
        if part.is_empty() {
            break;
        }
        parts += 1;
        all.extend(part);
    }
    assert!(parts > 2, "{parts}");
    let numbers = all.iter().map(|one| one.id.number());
    assert!(numbers.eq(1..=6 * 1_400), "{}", all.len());
    let mut postings = all.iter().flat_map(|one| &one.postings);
    assert!(postings.clone().count() > 9_000);
    assert!(
        (1..)
            .zip(&mut postings)
            .all(|(place, it)| it.row.number == place)
    );
    for one in all.iter().step_by(97) {
        assert_eq!(reader.transaction(one.id).unwrap().as_ref(), Some(one));
    }
    for number in [6 * 1_400 + 1, i64::MAX] {
        let id = TransactionId::of(number);
        assert_eq!(reader.transaction(id).unwrap(), None);
    }
}
