//! The write-ahead log: moved into the file beside the writer, and begun anew before it grows for ever.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a helper of a test fails the test"
)]

mod books;

use bursar_store::Checkpointer;
use bursar_store::query::Reader;

use books::{Books, folder};

fn receive(books: &mut Books, name: &str, count: usize) {
    for number in 0..count {
        books.receive(&format!("evt_{name}_{number}"), "cs_1");
    }
}

#[test]
fn what_is_moved_beside_the_writer_lets_the_log_begin_anew() {
    let folder = folder();
    let path = folder.path().join("b.db");
    let mut books = Books::at(&path);
    let mut checkpointer = Checkpointer::open_sqlite(&path).unwrap();

    receive(&mut books, "a", 50);
    let long = checkpointer.fold().unwrap();
    assert!(long > 50, "{long} pages for 50 commits");

    // All of it was moved, so the next commit is the first of a new log.
    receive(&mut books, "b", 1);
    let short = checkpointer.fold().unwrap();
    assert!(
        (1..long / 2).contains(&short),
        "{short} pages for one commit"
    );

    // Commits that come after the bulk was moved are moved by the writer, when it is told to.
    receive(&mut books, "c", 50);
    assert!(checkpointer.fold().unwrap() > 50);
    receive(&mut books, "d", 10);
    books.store.begin_log_anew().unwrap();
    receive(&mut books, "e", 1);
    let short = checkpointer.fold().unwrap();
    assert!(
        (1..long / 2).contains(&short),
        "{short} pages for one commit"
    );

    let mut reader = Reader::open_sqlite(&path).unwrap();
    assert_eq!(reader.event_count(None).unwrap(), 112);
}

#[test]
fn a_reader_in_the_middle_is_waited_for_by_nobody() {
    let folder = folder();
    let path = folder.path().join("b.db");
    let mut books = Books::at(&path);
    let mut checkpointer = Checkpointer::open_sqlite(&path).unwrap();
    receive(&mut books, "a", 5);

    let reader = rusqlite::Connection::open(&path).unwrap();
    reader
        .execute_batch("BEGIN; SELECT count(*) FROM stripe_event;")
        .unwrap();
    let seen = |reader: &rusqlite::Connection| -> i64 {
        let count = "SELECT count(*) FROM stripe_event";
        reader.query_row(count, [], |row| row.get(0)).unwrap()
    };
    assert_eq!(seen(&reader), 5);
    receive(&mut books, "b", 5);
    checkpointer.fold().unwrap();
    books.store.begin_log_anew().unwrap();
    receive(&mut books, "c", 5);
    checkpointer.fold().unwrap();

    assert_eq!(
        seen(&reader),
        5,
        "a reader's view does not change under its hands"
    );
    reader.execute_batch("COMMIT").unwrap();
    assert_eq!(seen(&reader), 15);
}
