//! Seals: whatever is changed in the journal, and whenever it was written, the seal over it does not fit any more.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a helper of a test fails the test"
)]

mod books;
mod server;
mod tampered;

use std::path::{Path, PathBuf};

use bursar_store::postgres::{Address, Postgres};
use bursar_store::query::Reader;
use bursar_store::seal::{ChainReport, Seal};
use bursar_store::{Database, audit};
use rusqlite::types::ValueRef;
use sha2::{Digest as _, Sha256};
use tempfile::TempDir;

use books::{Books, folder};
use server::server;
use tampered::sealed::{NOTE, TAMPERINGS, published, written};
use tampered::{tamper, tamper_on_server, tampered_on_server};

fn check(path: &Path, published: &[(i64, String)]) -> ChainReport {
    audit::chain(&mut Reader::open_sqlite(path).unwrap(), published).unwrap()
}

fn check_server(address: &Address, published: &[(i64, String)]) -> ChainReport {
    let mut reader = Database::from(address.clone()).reader().unwrap();
    audit::chain(&mut reader, published).unwrap()
}

fn books() -> (TempDir, PathBuf, Vec<Seal>) {
    let folder = folder();
    let path = folder.path().join("books.db");
    let seals = written(&path, NOTE);
    (folder, path, seals)
}

#[test]
fn a_journal_nobody_touched_is_whole() {
    let (_folder, path, seals) = books();
    let report = check(&path, &published(&seals));
    assert_eq!(report.broken, Vec::<String>::new());
    assert_eq!((report.newest, report.seals), (seals[5], 6));
    let covers = |seal: &Seal| (seal.number, seal.account, seal.transaction);
    let covered: Vec<(i64, i64, i64)> = seals.iter().map(covers).collect();
    // Accounts: the house's and Anna's, Bob's, the house's for what is spent; Eve's.
    let expected = [
        (1, 2, 1),
        (2, 3, 2),
        (3, 4, 3),
        (4, 4, 5),
        (5, 5, 5),
        (6, 5, 6),
    ];
    assert_eq!(covered, expected);

    // The chain goes on where it was, and rows that are written later are no part of it.
    let mut books = Books::at(&path);
    assert_eq!(books.store.seal(), seals[5]);
    books.store.catch_up().unwrap();
    books.charge("anna", 1);
    let newest = books.store.seal();
    assert_eq!(newest.number, 7);
    let report = check(&path, &published(&[seals[5], newest]));
    assert_eq!((report.broken, report.newest), (vec![], newest));
}

#[test]
fn what_is_changed_is_found_and_the_seal_over_it_is_named() {
    for (sql, expected) in TAMPERINGS {
        let (_folder, path, seals) = books();
        let server = tampered_on_server(&path, sql);
        tamper(&path, sql);
        let report = check(&path, &[]);
        match &report.broken[..] {
            [broken] => assert!(broken.starts_with(expected), "{sql}: {broken}"),
            other => panic!("{sql}: {other:?}"),
        }
        assert_eq!(check_server(&server, &[]).broken, report.broken, "{sql}");
        // All seals themselves are as they were published, unless one of them was the thing that was changed.
        let differs = check(&path, &published(&seals)).broken;
        assert_eq!(
            differs.len(),
            1 + usize::from(sql.contains("hash")),
            "{sql}: {differs:?}"
        );
    }
}

/// A change that spoils more than one seal, or leaves rows that no seal covers.
#[test]
fn what_is_missing_and_what_is_too_much_is_named() {
    let broken = |sql: &str| {
        let (_folder, path, seals) = books();
        tamper(&path, sql);
        check(&path, &published(&seals[3..])).broken
    };
    // Two of different batches change places.
    let swapped = "UPDATE ledger_transaction SET number = -number WHERE number IN (2, 3); \
                   UPDATE ledger_transaction SET number = 5 + number WHERE number < 0; \
                   UPDATE posting SET transaction_number = 5 - transaction_number WHERE transaction_number IN (2, 3)";
    let said = broken(swapped);
    assert!(
        said.len() == 1 && said[0].starts_with("seals 2 to 3 do not fit transactions 2 to 3,"),
        "{said:?}"
    );

    // The seal itself, so that the next one has nothing to stand on.
    let said = broken("DELETE FROM seal WHERE number = 4");
    assert_eq!(said.len(), 3, "{said:?}");
    assert_eq!(said[0], "seal 4 is missing");
    assert!(
        said[1].starts_with("seal 5 does not fit transactions 4 to 5,"),
        "{said:?}"
    );
    assert!(
        said[2].starts_with("seal 4 was published and is not there"),
        "{said:?}"
    );

    let said = broken("UPDATE seal SET hash = zeroblob(32) WHERE number = 3");
    assert!(
        said.len() == 1 && said[0].starts_with("seals 3 to 4 do not fit"),
        "{said:?}"
    );

    // The end cut off, and so cleanly that the rest is whole.
    let said = broken(
        "DELETE FROM seal WHERE number > 4; DELETE FROM ledger_transaction WHERE number > 5; \
         DELETE FROM posting WHERE transaction_number > 5; DELETE FROM account WHERE number > 4",
    );
    let gone =
        |number| format!("seal {number} was published and is not there; the newest one is 4");
    assert_eq!(said, [gone(5), gone(6)]);

    let said = broken(
        "INSERT INTO ledger_transaction SELECT 7, reason, NULL, NULL, at, note, reference, meta, tags \
         FROM ledger_transaction WHERE number = 1; \
         INSERT INTO posting SELECT 8, 7, amount, from_account, from_previous, from_balance, to_account, to_previous, \
         to_balance, grant_number FROM posting WHERE number = 1; \
         INSERT INTO account (number, kind, owner, unit, balance, entries, head, opened_at, updated_at) \
         SELECT 6, kind, 'other', unit, balance, entries, head, opened_at, updated_at FROM account WHERE number = 2",
    );
    let rest =
        |what| format!("no seal covers {what} and what comes after it; the newest seal is 6");
    assert_eq!(said, ["account 6", "transaction 7", "posting 8"].map(rest));

    // One posting that is not where it belongs holds up all that come after it.
    let said = broken("UPDATE posting SET transaction_number = 99 WHERE number = 2");
    assert_eq!(said.len(), 3, "{said:?}");
    assert!(
        said[0].starts_with("seals 2 to 4 do not fit transactions 2 to 5,"),
        "{said:?}"
    );
    // The fifth is over a wallet that was opened.
    assert!(
        said[1].starts_with("seal 6 does not fit transaction 6,"),
        "{said:?}"
    );
    assert_eq!(said[2], rest("posting 2"));
}

/// Where several nodes write each has a chain of its own, and a change breaks that of the node that has written the row.
#[test]
fn a_change_breaks_the_chain_of_the_node_that_has_written() {
    let address = server().fresh();
    let node = || Books::over(Box::new(Postgres::open_writer(address.clone()).unwrap()));
    let (mut one, mut other) = (node(), node());
    for _ in 0..3 {
        one.adjust("anna", 10);
        other.adjust("bob", 10);
        other.charge("anna", 1);
    }
    let whole = check_server(&address, &[]);
    assert_eq!((whole.seals, whole.broken), (9, vec![]));
    let kept = published(&whole.checkpoints);
    let [of_one, of_other] = &kept[..] else {
        panic!("{kept:?}");
    };
    let slots = [one.store.seal().number, other.store.seal().number];
    assert_eq!([of_one.0, of_other.0], slots);

    for (sql, seal) in [
        (
            "UPDATE ledger_transaction SET note = 'x' WHERE number = (SELECT min(number) FROM ledger_transaction)",
            slots[0] - 2,
        ),
        (
            "UPDATE ledger_transaction SET note = 'x' WHERE number = (SELECT max(number) FROM ledger_transaction)",
            slots[1],
        ),
    ] {
        tamper_on_server(&address, sql);
        let broken = check_server(&address, &kept).broken;
        let named = format!("seal {seal} does not fit transaction");
        assert!(
            broken.iter().any(|said| said.starts_with(&named)),
            "{sql}: {broken:?}"
        );
    }
    // Under a number of a slot that nobody has ever had.
    let stray = 9 << 16;
    tamper_on_server(
        &address,
        &format!(
            "INSERT INTO ledger_transaction SELECT {stray}, reason, cause_kind, cause_id, at, note, reference, meta, tags \
             FROM ledger_transaction WHERE number = 1"
        ),
    );
    let broken = check_server(&address, &kept).broken;
    let named = format!("no seal covers transaction {stray}");
    assert!(
        broken.iter().any(|said| said.starts_with(&named)),
        "{broken:?}"
    );
    tamper_on_server(
        &address,
        "DELETE FROM seal WHERE number = (SELECT max(number) FROM seal)",
    );
    let broken = check_server(&address, &kept).broken;
    let gone = format!("seal {} was published and is not there", slots[1]);
    assert!(
        broken.iter().any(|said| said.starts_with(&gone)),
        "{broken:?}"
    );
    assert!(
        broken
            .iter()
            .any(|said| said.starts_with("no seal covers transaction")),
        "{broken:?}"
    );
}

/// Whoever can write the file can write every seal anew. The one that was published says otherwise.
#[test]
fn a_history_written_anew_differs_from_what_was_published() {
    let (_folder, path, seals) = books();
    let other = folder();
    let other = other.path().join("books.db");
    let forged = written(&other, "another note");
    assert_eq!(
        check(&other, &published(&forged)).broken,
        Vec::<String>::new()
    );
    // Times and ids are the same, so the first seal is, and no other.
    assert_eq!(forged[0], seals[0]);
    let broken = check(&other, &published(&seals)).broken;
    assert_eq!(broken.len(), 5, "{broken:?}");
    assert_eq!(
        broken[0],
        format!(
            "seal 2 is {}, and was published as {}",
            forged[1].written(),
            seals[1].written()
        )
    );
    // One that was kept says it about all before it.
    assert_eq!(check(&other, &published(&seals[5..])).broken.len(), 1);
    assert_eq!(
        check(&path, &published(&seals)).broken,
        Vec::<String>::new()
    );
}

/// Adds a row as the documentation of seals says.
fn hash_row(hasher: &mut Sha256, row: &rusqlite::Row<'_>) {
    let columns = row.as_ref().column_count();
    hasher.update((columns as u64).to_le_bytes());
    for column in 0..columns {
        match row.get_ref(column).unwrap() {
            ValueRef::Null => hasher.update([0]),
            ValueRef::Integer(value) => {
                hasher.update([1]);
                hasher.update(value.to_le_bytes());
            }
            ValueRef::Text(text) => {
                hasher.update([2]);
                hasher.update((text.len() as u64).to_le_bytes());
                hasher.update(text);
            }
            other => panic!("{other:?}"),
        }
    }
}

/// The hash can be computed by anybody, from the rows alone: it must not change.
#[test]
fn a_seal_is_what_its_description_says() {
    let (_folder, path, seals) = books();
    let file = rusqlite::Connection::open(&path).unwrap();
    let mut before = Seal::default();
    let rows = |hasher: &mut Sha256, sql: &str, numbers: [i64; 2]| {
        let mut rows = file.prepare(sql).unwrap();
        let mut rows = rows.query(numbers).unwrap();
        while let Some(row) = rows.next().unwrap() {
            hash_row(hasher, row);
        }
    };
    for seal in seals {
        let mut hasher = Sha256::new();
        hasher.update(before.hash);
        let accounts = "SELECT number, kind, owner, unit, opened_at FROM account WHERE number > ?1 AND number <= ?2";
        rows(&mut hasher, accounts, [before.account, seal.account]);
        for number in before.transaction + 1..=seal.transaction {
            let transaction = "SELECT number, reason, cause_kind, cause_id, at, note, reference, meta, tags \
                               FROM ledger_transaction WHERE number > ?1 AND number <= ?2";
            rows(&mut hasher, transaction, [number - 1, number]);
            let postings = "SELECT number, transaction_number, amount, from_account, from_previous, from_balance, \
                            to_account, to_previous, to_balance, grant_number \
                            FROM posting WHERE transaction_number > ?1 AND transaction_number <= ?2 ORDER BY number";
            rows(&mut hasher, postings, [number - 1, number]);
        }
        let hash: [u8; 32] = hasher.finalize().into();
        assert_eq!(hash, seal.hash, "seal {}", seal.number);
        before = seal;
    }
}
