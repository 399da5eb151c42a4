//! A digest of the books that does not depend on how they came about.
//!
//! Two databases that were told the same story, in whatever order and by whatever path, have the same digest. What is made up here
//! and now (ids, numbers, times) is not in it; what the provider knows a payment by is.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use sha2::{Digest as _, Sha256};

use crate::audit;
use crate::connection::{Connection, StoreError};
use crate::query::Reader;

/// The digest, in 64 hexadecimal digits.
pub fn digest(reader: &mut Reader) -> Result<String, StoreError> {
    Ok(hex(&Sha256::digest(text(reader)?.as_bytes())))
}

/// What the digest is taken of, one line for each fact, so that two databases can be compared.
pub fn text(reader: &mut Reader) -> Result<String, StoreError> {
    audit::in_snapshot(reader, |connection| {
        let mut text = balances(connection)?;
        text.push_str(&payments(connection)?);
        Ok(text)
    })
}

/// Every account with its balance as the journal says, those at zero left out.
fn balances(connection: &mut dyn Connection) -> Result<String, StoreError> {
    let mut sums: BTreeMap<i64, i64> = BTreeMap::new();
    let postings = "SELECT from_account, to_account, amount FROM posting";
    connection.visit(postings, &vec![], &mut |row| {
        let amount = row.integer(2)?;
        *sums.entry(row.integer(0)?).or_default() -= amount;
        *sums.entry(row.integer(1)?).or_default() += amount;
        Ok(())
    })?;
    let mut lines = Vec::new();
    connection.visit(
        "SELECT number, kind, owner, unit FROM account",
        &vec![],
        &mut |row| {
            let balance = sums.get(&row.integer(0)?).copied().unwrap_or(0);
            let row = row.copied()?;
            if balance != 0 {
                let (kind, owner, unit) = (row.text(1)?, row.text(2)?, row.text(3)?);
                lines.push(format!("account {kind} {owner} {unit} {balance}\n"));
            }
            Ok(())
        },
    )?;
    lines.sort_unstable();
    Ok(lines.concat())
}

/// Every payment that the provider knows, by the provider's id of it.
fn payments(connection: &mut dyn Connection) -> Result<String, StoreError> {
    let sql = "SELECT coalesce(p.session, p.intent), p.status, p.amount_minor, p.amount_unit, p.refunded, p.disputed, \
               a.kind, a.granted, a.taken FROM payment p LEFT JOIN award a ON a.payment_id = p.id \
               WHERE p.session IS NOT NULL OR p.intent IS NOT NULL ORDER BY 1, a.kind";
    let mut text = String::new();
    for row in connection.rows(sql, vec![])? {
        let (object, status, unit) = (row.text(0)?, row.text(1)?, row.text(3)?);
        let (amount, refunded) = (row.integer(2)?, row.integer(4)?);
        let _ = write!(
            text,
            "payment {object} {status} {amount} {unit} {refunded} {}",
            row.integer(5)?
        );
        if let Some(kind) = row.optional_text(6)? {
            let (granted, taken) = (row.integer(7)?, row.integer(8)?);
            let _ = write!(text, " {kind} {granted} {taken}");
        }
        text.push('\n');
    }
    Ok(text)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}
