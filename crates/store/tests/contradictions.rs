//! The audit finds rows that contradict each other: each test changes one behind the program's back.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a helper of a test fails the test"
)]

mod books;
mod server;
mod tampered;

use bursar_domain::audit::Difference;

use tampered::audits_after;

/// What is changed in rows that belong together, and how the audit's sentence begins.
const CONTRADICTIONS: &[(&str, &str)] = &[
    (
        "UPDATE topup SET status = 'paid' WHERE status = 'pending'",
        "a paid top-up without its transaction",
    ),
    (
        "UPDATE topup SET status = 'expired' WHERE status = 'paid'",
        "a transaction for a topup that is not paid",
    ),
    (
        "DELETE FROM topup WHERE status = 'paid'",
        "a transaction for a topup that is not paid",
    ),
    (
        "UPDATE topup SET credits = 501 WHERE status = 'paid'",
        "a topup booked with another amount",
    ),
    (
        "UPDATE topup SET user_id = 'bob' WHERE status = 'paid'",
        "a topup booked in another account",
    ),
    (
        "UPDATE payment SET status = 'paid' WHERE status = 'pending'",
        "a paid payment without its transaction",
    ),
    (
        "UPDATE topup SET status = 'expired' WHERE status = 'paid'",
        "a paid payment whose top-up is not paid",
    ),
    (
        "UPDATE payment SET status = 'expired' WHERE status = 'paid'",
        "a transaction for a payment that is not paid",
    ),
    (
        "UPDATE payment SET amount_minor = 499 WHERE status = 'paid'",
        "a payment booked with another amount",
    ),
    // Credited twice in one transaction: each posting has the right amount.
    (
        "UPDATE posting SET number = -number - 1 WHERE number > 4; UPDATE posting SET number = -number WHERE number < 0; \
         INSERT INTO posting SELECT 5, transaction_number, amount, from_account, NULL, NULL, to_account, 4, 1070, 3 \
         FROM posting WHERE number = 4",
        "a topup booked with another amount",
    ),
    (
        "UPDATE account SET owner = 'other' WHERE kind = 'clearing'",
        "a payment booked in another account",
    ),
    (
        "UPDATE account SET unit = 'eur/2' WHERE owner = 'stripe'",
        "a payment booked in another account",
    ),
    (
        "UPDATE payment SET user_id = 'bob' WHERE status = 'paid'",
        "a payment without its top-up, or of another user",
    ),
    (
        "UPDATE topup SET price_minor = 1 WHERE status = 'pending'",
        "a payment without its top-up, or of another user or price",
    ),
    (
        "DELETE FROM topup WHERE status = 'expired'",
        "a payment without its top-up",
    ),
    (
        "UPDATE ledger_transaction SET cause_kind = 'gift' WHERE number = 4",
        "a transaction with the unknown cause gift",
    ),
    (
        "UPDATE ledger_transaction SET cause_kind = 'gift' WHERE number = 1",
        "a transaction with half a cause",
    ),
    (
        "UPDATE ledger_transaction SET reason = 'add' WHERE number = 4",
        "a transaction of another kind than its cause",
    ),
    (
        "UPDATE ledger_transaction SET cause_kind = NULL, cause_id = NULL WHERE number = 4",
        "a paid top-up without its transaction",
    ),
    (
        "UPDATE ledger_transaction SET cause_kind = NULL, cause_id = NULL WHERE number = 4",
        "a transaction of a kind that has a cause, without one",
    ),
    (
        "UPDATE posting SET transaction_number = 77 WHERE number = 1",
        "a posting without its transaction",
    ),
    (
        "DELETE FROM ledger_transaction WHERE number = 3",
        "a posting without its transaction",
    ),
    (
        "INSERT INTO ledger_transaction SELECT 9, reason, NULL, NULL, at, note, reference, meta, tags \
         FROM ledger_transaction WHERE number = 1",
        "the newest transaction is 9",
    ),
    (
        "INSERT INTO ledger_transaction SELECT -1, reason, NULL, NULL, at, note, reference, meta, tags \
         FROM ledger_transaction WHERE number = 1",
        "the oldest transaction is -1",
    ),
    (
        "UPDATE stripe_event SET payment_id = 'pay_00000000000000000000000000'",
        "an event that is applied to a payment which does not exist",
    ),
    (
        "DELETE FROM hold WHERE number = 1",
        "a transaction for a hold that is not settled, or not there",
    ),
    (
        "UPDATE hold SET settled = 11 WHERE number = 1",
        "a hold booked with another amount",
    ),
    (
        "UPDATE hold SET account = (SELECT number FROM account WHERE owner = 'bob') WHERE number = 1",
        "a hold booked in another account",
    ),
    (
        "UPDATE hold SET settled = 25, status = 'settled' WHERE number = 2",
        "a hold that was settled for something without its transaction",
    ),
    (
        "UPDATE hold SET transaction_number = 3 WHERE number = 1",
        "a hold that names another transaction than its own",
    ),
    (
        "UPDATE hold SET transaction_number = NULL WHERE number = 1",
        "a hold that names another transaction than its own",
    ),
    (
        "UPDATE hold SET amount = 26 WHERE number = 2",
        "an open hold that reserves another amount than it is for",
    ),
    // Bob's grant has 10 left.
    (
        "UPDATE hold SET amount = 10, parts = '[{\"grant\":2,\"amount\":10}]' WHERE number = 2",
        "an open hold that reserves some of another wallet's grant",
    ),
    (
        "UPDATE hold SET amount = 10, parts = '[{\"grant\":77,\"amount\":10}]' WHERE number = 2",
        "a hold reserves some of",
    ),
    (
        "UPDATE hold SET account = 99 WHERE number = 2",
        "a hold in an account that does not exist",
    ),
    (
        "DELETE FROM posting WHERE number = 8; DELETE FROM ledger_transaction WHERE number = 8",
        "half of an exchange is missing",
    ),
    (
        "UPDATE ledger_transaction SET cause_id = '999' WHERE number = 7",
        "half of an exchange is missing",
    ),
    (
        "UPDATE credit_grant SET account = 99 WHERE number = 4",
        "a grant in an account that does not exist",
    ),
    (
        "UPDATE credit_grant SET granted = 9 WHERE number = 2",
        "a grant with more left than was granted",
    ),
    (
        "UPDATE credit_grant SET ended_at = 1, end_kind = 'spent' WHERE number = 2",
        "a grant that has ended with something left, or that has nothing left and has not ended",
    ),
];

#[test]
fn every_contradiction_between_rows_is_found() {
    for (sql, what) in CONTRADICTIONS {
        let is_told = |found: &Difference| matches!(found, Difference::Unexplained { what: told } if told.starts_with(what));
        for audited in audits_after(sql) {
            let differences = audited.unwrap().differences;
            assert!(differences.iter().any(is_told), "{sql}: {differences:?}");
        }
    }
}
