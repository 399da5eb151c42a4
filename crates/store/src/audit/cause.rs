//! Transactions beside the rows that caused them: what was paid, settled or exchanged is booked, once, as it was meant.

use bursar_domain::audit::Audit;
use bursar_domain::journal::{PostingRow, Reason};

use super::unexplained;
use crate::connection::{Connection, Row, StoreError, Value};

/// A transaction with a cause, and its postings.
pub(super) struct Caused {
    transaction: i64,
    reason: Reason,
    kind: String,
    id: String,
    postings: Vec<PostingRow>,
}

/// What the cause's own row says must have been booked: how much, from which account to which, and by which transaction.
struct Due {
    amount: i64,
    from: Option<i64>,
    to: Option<i64>,
    transaction: Option<i64>,
}

/// Whether a transaction with this reason always has a cause.
pub(super) const fn is_needed(reason: Reason) -> bool {
    matches!(
        reason,
        Reason::Topup | Reason::Payment | Reason::Settle | Reason::Exchange
    )
}

/// Adds the next posting of a transaction with a cause.
pub(super) fn collect(
    caused: &mut Vec<Caused>,
    transaction: i64,
    (reason, kind, id): (Reason, &str, &str),
    posting: PostingRow,
) {
    match caused.last_mut() {
        Some(last) if last.transaction == transaction => last.postings.push(posting),
        _ => caused.push(Caused {
            transaction,
            reason,
            kind: kind.to_owned(),
            id: id.to_owned(),
            postings: vec![posting],
        }),
    }
}

impl Caused {
    /// Compares the transaction with the row that caused it.
    pub(super) fn check(
        &self,
        connection: &mut dyn Connection,
        audit: &mut Audit,
    ) -> Result<(), StoreError> {
        let (kind, id) = (self.kind.as_str(), self.id.as_str());
        let mut complain = |what: &str| audit.add(unexplained(format!("{what}: {id}")));
        let (reason, due, done) = match kind {
            "topup" => (Reason::Topup, due(connection, TOPUP, id)?, "paid"),
            "topup_bonus" => (Reason::Grant, due(connection, TOPUP_BONUS, id)?, "paid"),
            "code" | "signup" | "trial" => {
                (Reason::Grant, due_by_perk(connection, kind, id)?, "had")
            }
            "referred" | "referrer" => {
                let due = due_of(connection, AWARD, vec![id.into(), kind.into()])?;
                (Reason::Grant, due, "rewarded")
            }
            "payment" => (Reason::Payment, due(connection, PAYMENT, id)?, "paid"),
            "hold" => {
                let number: i64 = id.parse().unwrap_or(0);
                (Reason::Settle, due(connection, HOLD, number)?, "settled")
            }
            "exchange_from" | "exchange_to" => {
                if self.reason != Reason::Exchange {
                    complain(ANOTHER_KIND);
                }
                if !has_partner(connection, kind, id)? {
                    complain("half of an exchange is missing");
                }
                return Ok(());
            }
            other => {
                complain(&format!("a transaction with the unknown cause {other}"));
                return Ok(());
            }
        };
        if self.reason != reason {
            complain(ANOTHER_KIND);
        }
        match due {
            Some(due) => self.compare(&due, complain),
            None => complain(&format!(
                "a transaction for a {kind} that is not {done}, or not there"
            )),
        }
        Ok(())
    }

    fn compare(&self, due: &Due, mut complain: impl FnMut(&str)) {
        let kind = &self.kind;
        let booked = self.postings.iter();
        let booked: i128 = booked.map(|posting| i128::from(posting.amount)).sum();
        if booked != i128::from(due.amount) {
            complain(&format!(
                "a {kind} booked with another amount than it was for"
            ));
        }
        let is_elsewhere = |posting: &PostingRow| {
            due.from.is_some_and(|from| posting.from.account != from)
                || due.to.is_some_and(|to| posting.to.account != to)
        };
        if self.postings.iter().any(is_elsewhere) {
            complain(&format!("a {kind} booked in another account than its own"));
        }
        if due
            .transaction
            .is_some_and(|number| number != self.transaction)
        {
            complain(&format!(
                "a {kind} that names another transaction than its own"
            ));
        }
    }
}

const ANOTHER_KIND: &str = "a transaction of another kind than its cause";

fn has_partner(connection: &mut dyn Connection, kind: &str, id: &str) -> Result<bool, StoreError> {
    let partner = match kind {
        "exchange_to" => "exchange_from",
        _ => "exchange_to",
    };
    let sql = "SELECT number FROM ledger_transaction WHERE cause_kind = $1 AND cause_id = $2";
    let rows = connection.rows(sql, vec![partner.into(), id.into()])?;
    Ok(!rows.is_empty())
}

// Columns: amount, account it comes from, account it goes to, transaction; 0 stands for any. No row: nothing may be booked.
const TOPUP: &str = "SELECT credits, CAST(0 AS BIGINT), (SELECT number FROM account WHERE kind = 'wallet' \
                     AND owner = user_id AND unit = 'credit/0'), CAST(0 AS BIGINT) \
                     FROM topup WHERE id = $1 AND status = 'paid'";
const TOPUP_BONUS: &str = "SELECT bonus, CAST(0 AS BIGINT), (SELECT number FROM account WHERE kind = 'wallet' \
                           AND owner = user_id AND unit = 'credit/0'), CAST(0 AS BIGINT) \
                           FROM topup WHERE id = $1 AND status = 'paid' AND bonus > 0";
const PAYMENT: &str = "SELECT amount_minor, (SELECT number FROM account WHERE kind = 'received' AND owner = provider \
                       AND unit = amount_unit), (SELECT number FROM account WHERE kind = 'clearing' AND owner = provider \
                       AND unit = amount_unit), CAST(0 AS BIGINT) FROM payment WHERE id = $1 \
                       AND status IN ('paid', 'partially_refunded', 'refunded', 'disputed')";
const HOLD: &str = "SELECT settled, account, CAST(0 AS BIGINT), transaction_number FROM hold \
                    WHERE number = $1 AND settled > 0";

const PERK: &str = "SELECT amount, CAST(0 AS BIGINT), (SELECT number FROM account WHERE kind = 'wallet' \
                    AND account.owner = perk.holder AND account.unit = perk.unit), CAST(0 AS BIGINT) \
                    FROM perk WHERE kind = $1 AND subject = $2 AND holder = $3 AND status = 'given' AND amount > 0";
const AWARD: &str = "SELECT granted, CAST(0 AS BIGINT), (SELECT number FROM account WHERE kind = 'wallet' \
                     AND account.owner = award.owner AND account.unit = award.unit), CAST(0 AS BIGINT) \
                     FROM award WHERE payment_id = $1 AND kind = $2";

/// What is had once: `signup` names a user, `code` names the code and the user.
fn due_by_perk(
    connection: &mut dyn Connection,
    kind: &str,
    id: &str,
) -> Result<Option<Due>, StoreError> {
    let (subject, holder) = match kind {
        "code" => id.split_once(':').unwrap_or((id, "")),
        _ => ("", id),
    };
    due_of(
        connection,
        PERK,
        vec![kind.into(), subject.into(), holder.into()],
    )
}

fn due(
    connection: &mut dyn Connection,
    sql: &str,
    id: impl Into<Value>,
) -> Result<Option<Due>, StoreError> {
    due_of(connection, sql, vec![id.into()])
}

fn due_of(
    connection: &mut dyn Connection,
    sql: &str,
    parameters: Vec<Value>,
) -> Result<Option<Due>, StoreError> {
    let rows = connection.rows(sql, parameters)?;
    let number = |row: &Row, column| -> Result<Option<i64>, StoreError> {
        // None where there should be one is a number that nothing has.
        Ok(match row.optional_integer(column)? {
            Some(0) => None,
            other => Some(other.unwrap_or(-1)),
        })
    };
    rows.first()
        .map(|row| {
            Ok(Due {
                amount: row.integer(0)?,
                from: number(row, 1)?,
                to: number(row, 2)?,
                transaction: number(row, 3)?,
            })
        })
        .transpose()
}
