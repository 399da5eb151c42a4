//! A journal under seals, and changes of it.

use std::path::Path;

use bursar_domain::amount::Unit;
use bursar_domain::charge::Charge;
use bursar_domain::command::{Adjust, Command, Request};
use bursar_domain::journal::Remark;
use bursar_domain::usage::{RecordUsage, UsageStatus};
use bursar_store::seal::Seal;

use crate::books::{Books, charge_of, user};

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
pub(crate) const NOTE: &str = "a\u{2}note";

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
pub(crate) fn written(path: &Path, note: &str) -> Vec<Seal> {
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

pub(crate) fn published(seals: &[Seal]) -> Vec<(i64, String)> {
    let written = seals.iter().map(|seal| (seal.number, seal.written()));
    written.collect()
}

/// What is changed, and which seal does not fit then, with the rows it covers.
pub(crate) const TAMPERINGS: &[(&str, &str)] = &[
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
