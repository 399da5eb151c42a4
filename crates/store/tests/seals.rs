//! Seals: whatever is changed in the journal, and whenever it was written, the seal over it does not fit any more.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a helper of a test fails the test"
)]

mod books;

use std::path::{Path, PathBuf};

use bursar_domain::amount::Unit;
use bursar_domain::charge::Charge;
use bursar_domain::command::{Adjust, Command, Request};
use bursar_domain::journal::Remark;
use bursar_domain::usage::{RecordUsage, UsageStatus};
use bursar_store::audit;
use bursar_store::query::Reader;
use bursar_store::seal::{ChainReport, Seal};
use rusqlite::types::ValueRef;
use sha2::{Digest as _, Sha256};
use tempfile::TempDir;

use books::{Books, charge_of, folder, user};

fn add(name: &str, credits: i64, note: &str) -> Command {
    Command::Adjust(Adjust {
        user: user(name),
        credits,
        remark: Remark {
            note: note.to_owned(),
            reference: "r-1".to_owned(),
            meta: r#"{"a":1}"#.to_owned(),
        },
    })
}

/// A note may hold anything, even what stands before a text where it is hashed.
const NOTE: &str = "a\u{2}note";

/// Six seals:
///
/// | seal | transactions | what |
/// |---|---|---|
/// | 1 | 1 | 100 added to Anna |
/// | 2 | 2 | 10 added to Bob |
/// | 3 | 3 | 30 charged |
/// | 4 | 4, 5 | two charges in one batch, the first of two postings |
/// | 5 | none | Eve's wallet opened with an overdraft |
/// | 6 | 6 | 7 charged |
///
/// Usage that is recorded in between is not part of the journal.
fn written(path: &Path, note: &str) -> Vec<Seal> {
    let mut books = Books::at(path);
    let mut seals = Vec::new();
    let with_debt = Charge {
        allow_debt: true,
        ..charge_of("bob", 25)
    };
    let alone = |command| vec![command];
    for commands in [
        alone(add("anna", 100, "a note")),
        alone(add("bob", 10, note)),
        alone(Command::Charge(charge_of("anna", 30))),
        vec![
            Command::Charge(with_debt),
            Command::Charge(charge_of("anna", 9)),
        ],
        alone(Command::RecordUsage(RecordUsage {
            user: user("anna"),
            service: "pictures".to_owned(),
            variant: String::new(),
            quantity: 1,
            status: UsageStatus::Success,
            meta: String::new(),
        })),
        alone(Command::SetOverdraft {
            user: user("eve"),
            unit: Unit::CREDIT,
            overdraft: Some(5),
        }),
        alone(Command::Charge(charge_of("anna", 7))),
    ] {
        let commands = commands.into_iter();
        let requests = commands.map(|command| Request {
            command,
            idempotency: None,
        });
        let answers = books.run(&requests.collect::<Vec<_>>()).unwrap();
        assert!(answers.iter().all(|(answer, _)| answer.is_ok()));
        seals.push(books.store.seal());
    }
    seals.dedup();
    assert_eq!(seals.len(), 6);
    seals
}

fn published(seals: &[Seal]) -> Vec<(i64, String)> {
    let written = seals.iter().map(|seal| (seal.number, seal.written()));
    written.collect()
}

fn check(path: &Path, published: &[(i64, String)]) -> ChainReport {
    audit::chain(&mut Reader::open_sqlite(path).unwrap(), published).unwrap()
}

fn books() -> (TempDir, PathBuf, Vec<Seal>) {
    let folder = folder();
    let path = folder.path().join("books.db");
    let seals = written(&path, NOTE);
    (folder, path, seals)
}

fn tamper(path: &Path, sql: &str) {
    let file = rusqlite::Connection::open(path).unwrap();
    file.execute_batch("PRAGMA ignore_check_constraints = ON; PRAGMA foreign_keys = OFF")
        .unwrap();
    let before = file.total_changes();
    file.execute_batch(sql).unwrap();
    assert!(file.total_changes() > before, "nothing was changed: {sql}");
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

/// What is changed, and which seal does not fit then, with the rows it covers.
const TAMPERINGS: &[(&str, &str)] = &[
    (
        "UPDATE ledger_transaction SET note = 'A note' WHERE number = 1",
        "seal 1 does not fit transaction 1,",
    ),
    (
        "UPDATE ledger_transaction SET reference = 'r-2' WHERE number = 2",
        "seal 2 does not fit transaction 2,",
    ),
    // Two texts that one after the other read the same as before.
    (
        "UPDATE ledger_transaction SET note = 'a', reference = 'note' || char(2) || 'r-1' WHERE number = 2",
        "seal 2 does not fit transaction 2,",
    ),
    (
        "UPDATE ledger_transaction SET meta = '{\"a\":2}' WHERE number = 2",
        "seal 2 does not fit transaction 2,",
    ),
    (
        "UPDATE ledger_transaction SET at = at + 1 WHERE number = 3",
        "seal 3 does not fit transaction 3,",
    ),
    (
        "UPDATE ledger_transaction SET reason = 'settle' WHERE number = 3",
        "seal 3 does not fit transaction 3,",
    ),
    (
        "UPDATE ledger_transaction SET tags = 'label:red' WHERE number = 4",
        "seal 4 does not fit transactions 4 to 5,",
    ),
    (
        "UPDATE ledger_transaction SET cause_kind = 'hold', cause_id = '1' WHERE number = 6",
        "seal 6 does not fit transaction 6,",
    ),
    (
        "UPDATE posting SET amount = 31 WHERE number = 3",
        "seal 3 does not fit transaction 3,",
    ),
    (
        "UPDATE posting SET from_balance = from_balance + 1 WHERE number = 3",
        "seal 3 does not fit transaction 3,",
    ),
    (
        "UPDATE posting SET grant_number = NULL WHERE number = 3",
        "seal 3 does not fit transaction 3,",
    ),
    (
        "UPDATE posting SET to_account = 1 WHERE number = 6",
        "seal 4 does not fit transactions 4 to 5,",
    ),
    // A posting moves from one transaction of its batch to the other.
    (
        "UPDATE posting SET transaction_number = 5 WHERE number = 5",
        "seal 4 does not fit transactions 4 to 5,",
    ),
    (
        "UPDATE account SET owner = 'anne' WHERE owner = 'anna'",
        "seal 1 does not fit transaction 1,",
    ),
    (
        "UPDATE account SET unit = 'usd/2' WHERE owner = 'bob'",
        "seal 2 does not fit transaction 2,",
    ),
    (
        "UPDATE account SET opened_at = opened_at - 1 WHERE owner = 'eve'",
        "seal 5 does not fit the accounts opened with it,",
    ),
    (
        "DELETE FROM account WHERE owner = 'eve'",
        "seal 5 does not fit the accounts opened with it,",
    ),
    (
        "DELETE FROM ledger_transaction WHERE number = 3",
        "seal 3 does not fit transaction 3,",
    ),
    (
        "DELETE FROM posting WHERE number = 3",
        "seal 3 does not fit transaction 3,",
    ),
    (
        "DELETE FROM ledger_transaction WHERE number = 3; DELETE FROM posting WHERE transaction_number = 3",
        "seal 3 does not fit transaction 3,",
    ),
    (
        "DELETE FROM ledger_transaction WHERE number = 5; DELETE FROM posting WHERE transaction_number = 5",
        "seal 4 does not fit transactions 4 to 5,",
    ),
    // Two of one batch change places, with everything about them.
    (
        "UPDATE ledger_transaction SET number = -number WHERE number IN (4, 5); \
         UPDATE ledger_transaction SET number = 9 + number WHERE number < 0; \
         UPDATE posting SET transaction_number = 9 - transaction_number WHERE transaction_number IN (4, 5)",
        "seal 4 does not fit transactions 4 to 5,",
    ),
    (
        "INSERT INTO ledger_transaction SELECT -1, reason, cause_kind, cause_id, at, note, reference, meta, tags \
         FROM ledger_transaction WHERE number = 1",
        "seal 1 does not fit transaction 1,",
    ),
    (
        "INSERT INTO posting SELECT -1, 1, amount, from_account, from_previous, from_balance, to_account, to_previous, \
         to_balance, grant_number FROM posting WHERE number = 1",
        "seal 1 does not fit transaction 1,",
    ),
    (
        "UPDATE seal SET hash = zeroblob(32) WHERE number = 6",
        "seal 6 does not fit transaction 6,",
    ),
    // What a seal covers is cut short: it and the next one have other rows than they had.
    (
        "UPDATE seal SET transaction_number = 4 WHERE number = 4",
        "seals 4 to 5 do not fit transactions 4 to 5,",
    ),
];

#[test]
fn what_is_changed_is_found_and_the_seal_over_it_is_named() {
    for (sql, expected) in TAMPERINGS {
        let (_folder, path, seals) = books();
        tamper(&path, sql);
        let report = check(&path, &[]);
        match &report.broken[..] {
            [broken] => assert!(broken.starts_with(expected), "{sql}: {broken}"),
            other => panic!("{sql}: {other:?}"),
        }
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
