//! Statements: a line for each transaction, in pages that neither lose a line nor cut one in two.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a helper of a test fails the test"
)]

mod books;

use std::collections::BTreeSet;

use bursar_domain::grant::Part;
use bursar_domain::id::GrantId;
use bursar_domain::journal::Reason;
use bursar_domain::time::Time;
use bursar_store::StoreError;
use bursar_store::query::{Chain, Entry, EntryFilter, Reader};

use books::pages::{NOT_NUMBERS, filled, refuses, request, whole};
use books::roll::Roll;
use books::{Books, folder};

fn of_chain(chain: Chain, reason: Option<Reason>) -> EntryFilter {
    EntryFilter {
        chain: Some(chain),
        reason,
    }
}

#[test]
fn entries_of_a_wallet_and_of_all_are_the_same_entries() {
    let (_folder, mut books, mut reader) = filled();
    for reason in [
        None,
        Some(Reason::Add),
        Some(Reason::Sub),
        Some(Reason::Charge),
        Some(Reason::Topup),
    ] {
        let of_all = EntryFilter {
            chain: None,
            reason,
        };
        let scanned = whole("all entries", &mut |page| reader.entries(&of_all, page));
        assert!(scanned.is_sorted_by(|newer, older| newer.number > older.number));
        let mut count = 0;
        for name in ["anna", "bob", "eve"] {
            let filter = of_chain(books.chain(name), reason);
            let chained = whole("entries", &mut |page| reader.entries(&filter, page));
            let of_user = scanned
                .iter()
                .filter(|entry| entry.wallet.owner.as_str() == name)
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
    // Nobody has anything, and nobody has expired: no page, and no end of looking for one.
    let nothing = of_chain(books.chain("anna"), Some(Reason::Expire));
    let page = reader.entries(&nothing, &request(1, None)).unwrap();
    assert_eq!((page.items, page.next), (vec![], None));
}

/// A row of the journal as it is stored: number, transaction, reason, change, grant, balance.
type Moved = (i64, i64, String, i64, Option<i64>, i64);

/// What moved in a wallet, the newest first, read without the program.
fn journal_of(file: &rusqlite::Connection, account: i64) -> Vec<Moved> {
    let sql = "SELECT p.number, transaction_number, reason, \
               CASE WHEN from_account = ?1 THEN -amount ELSE amount END, grant_number, \
               CASE WHEN from_account = ?1 THEN from_balance ELSE to_balance END \
               FROM posting p JOIN ledger_transaction t ON t.number = transaction_number \
               WHERE from_account = ?1 OR to_account = ?1 ORDER BY p.number DESC";
    let mut rows = file.prepare(sql).unwrap();
    let rows = rows.query_map([account], |row| {
        let (number, transaction, reason) = (row.get(0)?, row.get(1)?, row.get(2)?);
        Ok((
            number,
            transaction,
            reason,
            row.get(3)?,
            row.get(4)?,
            row.get(5)?,
        ))
    });
    rows.unwrap().map(Result::unwrap).collect()
}

/// One line for each transaction, as a person would write it.
fn lines(moved: &[Moved]) -> Vec<(i64, i64, i64, Vec<Part>, i64)> {
    moved
        .chunk_by(|newer, older| newer.1 == older.1)
        .map(|postings| {
            let part = |(_, _, _, change, grant, _): &Moved| {
                let grant = GrantId::of((*grant)?);
                let amount = change.abs();
                Some(Part { grant, amount })
            };
            let (first, change) = (postings.last().unwrap().0, postings.iter().map(|it| it.3));
            let parts = postings.iter().rev().filter_map(part).collect();
            (first, postings[0].1, change.sum(), parts, postings[0].5)
        })
        .collect()
}

#[test]
fn a_statement_says_what_the_journal_says() {
    let folder = folder();
    let path = folder.path().join("books.db");
    let (mut books, mut roll) = (Books::at(&path), Roll::new(1, 4));
    roll.fill(&mut books, 250);
    let mut reader = Reader::open_sqlite(&path).unwrap();
    let file = rusqlite::Connection::open(&path).unwrap();
    let (mut most, mut reasons) = (0, BTreeSet::new());
    let mut all = 0;
    for account in reader.wallets(&request(100, None)).unwrap().items {
        let wallet = books.wallets(&[account.key]).remove(0).unwrap();
        let chain = Chain {
            wallet: wallet.account.key.clone(),
            account: wallet.account.number,
            head: wallet.account.head,
        };
        let moved = journal_of(&file, chain.account);
        if moved.is_empty() {
            continue;
        }
        for reason in [None].into_iter().chain(Reason::ALL.map(Some)) {
            let wanted = |row: &&Moved| reason.is_none_or(|it| it.as_str() == row.2);
            let moved: Vec<Moved> = moved.iter().filter(wanted).cloned().collect();
            let expected = lines(&moved);
            if expected.is_empty() {
                continue;
            }
            let filter = of_chain(chain.clone(), reason);
            let entries = whole("entries", &mut |page| reader.entries(&filter, page));
            let line = |entry: &Entry| {
                let transaction = entry.transaction.number();
                (
                    entry.number,
                    transaction,
                    entry.change,
                    entry.parts.clone(),
                    entry.balance,
                )
            };
            assert_eq!(entries.iter().map(line).collect::<Vec<_>>(), expected);
            assert_eq!(entries[0].wallet, chain.wallet);
            reasons.extend(entries.iter().map(|entry| entry.reason));
            if reason.is_none() {
                all += entries.len();
            }
            most = most.max(entries.iter().map(|entry| entry.parts.len()).max().unwrap());
        }
        // Looking back finds what stood after the last movement until then.
        for entry in &moved {
            let sql = "SELECT at FROM ledger_transaction WHERE number = ?1";
            let at: i64 = file.query_row(sql, [entry.1], |row| row.get(0)).unwrap();
            let at = Time(at);
            let newest = moved.iter().find(|other| {
                let other_at: i64 = file.query_row(sql, [other.1], |row| row.get(0)).unwrap();
                other_at <= at.0
            });
            let found = reader.balance_at(&chain, at).unwrap();
            assert_eq!(found, newest.map(|newest| (newest.5, at)));
        }
        let before = Time(0);
        assert_eq!(reader.balance_at(&chain, before).unwrap(), None);
    }
    assert!(most > 2 && reasons.len() > 7, "{most} {reasons:?}");
    let of_all = EntryFilter::default();
    let entries = whole("all entries", &mut |page| reader.entries(&of_all, page));
    assert_eq!(entries.len(), all);
}

#[test]
fn a_cursor_of_another_wallet_opens_nothing() {
    let (_folder, mut books, mut reader) = filled();
    let [anna, bob] = ["anna", "bob"].map(|name| of_chain(books.chain(name), None));
    let cursor = reader.entries(&anna, &request(2, None)).unwrap().next;
    refuses(
        "entries",
        &mut |page| reader.entries(&bob, page),
        &[&cursor.unwrap(), "100000"],
    );
}

#[test]
fn a_balance_is_the_sum_of_its_entries() {
    let (_folder, mut books, mut reader) = filled();
    for name in ["anna", "bob", "eve"] {
        let filter = of_chain(books.chain(name), None);
        let entries = reader.entries(&filter, &request(1_000, None)).unwrap();
        let entries = entries.items;
        let wallet = books.wallet(name);
        let balance = wallet.account.balance;
        assert_eq!(
            balance,
            entries.iter().map(|entry| entry.change).sum::<i64>()
        );
        assert_eq!(entries[0].balance, balance);
    }
}

/// A chain that leads round in a circle, or to a posting of somebody else, is broken and no list.
#[test]
fn a_broken_chain_is_an_error_and_no_guess() {
    for what in ["itself", "another wallet's", "none"] {
        let (folder, mut books, mut reader) = filled();
        let (chain, other) = (books.chain("anna"), books.chain("bob"));
        let file = rusqlite::Connection::open(folder.path().join("books.db")).unwrap();
        let previous = match what {
            "itself" => chain.head,
            "none" => 9_999,
            _ => {
                let sql = "SELECT min(number) FROM posting WHERE to_account = ?1";
                let first = file.query_row(sql, [other.account], |row| row.get(0));
                first.unwrap()
            }
        };
        let sql = "UPDATE posting SET from_previous = ?1 WHERE number = ?2";
        assert_eq!(file.execute(sql, [previous, chain.head]).unwrap(), 1);
        let balance = reader.balance_at(&chain, Time(0));
        assert!(
            matches!(balance, Err(StoreError::Corrupt(_))),
            "{balance:?}"
        );
        let filter = of_chain(chain, None);
        let read = reader.entries(&filter, &request(1_000, None));
        assert!(matches!(read, Err(StoreError::Corrupt(_))), "{read:?}");
    }
}
