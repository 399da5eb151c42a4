//! Bursar's accounts as bookkeepers see them: their class, their sign, their name.
//!
//! Bursar counts what an account has. Bookkeepers write what is owned and spent with a plus, what is owed and earned with a
//! minus. Money at a provider is the same in both. What is in a wallet belongs to the customer and is owed by the house, so
//! everything around wallets changes its sign.

use std::fmt;

use bursar_domain::account::{AccountKey, AccountKind};
use bursar_domain::amount::Unit;
use bursar_store::query::RecordedPosting;

/// The class of a kind of account. The whole table is in docs/ledger.md.
///
/// `sold` and `received` are the two sides of a sale, one in credits and one in money; with `exchanged` they are what
/// bookkeepers call conversions, and belong to equity. So does what this table does not know yet: equity says nothing wrong
/// about income or debts.
pub(super) fn class(kind: AccountKind) -> &'static str {
    match kind {
        AccountKind::Wallet => "Liabilities",
        AccountKind::Clearing => "Assets",
        AccountKind::Spent | AccountKind::Breakage => "Income",
        AccountKind::Granted | AccountKind::Adjusted | AccountKind::Absorbed => "Expenses",
        _ => "Equity",
    }
}

/// The sign of what is owed to customers, and of everything that moves against it.
pub(super) const CLAIM: i128 = -1;

/// With which sign a posting is written. Both sides have the same one, so that they sum to zero whatever kinds meet.
pub(super) fn sign(posting: &RecordedPosting) -> i128 {
    let sides = [posting.from.kind, posting.to.kind];
    let is_of_a_wallet = sides.iter().any(|kind| kind.keeps_balance());
    let is_money =
        |kind: &AccountKind| matches!(kind, AccountKind::Received | AccountKind::Clearing);
    if !is_of_a_wallet && sides.iter().any(is_money) {
        1
    } else {
        CLAIM
    }
}

/// The code of a unit as a commodity: `CREDIT`, `USD`.
pub(super) fn commodity(unit: Unit) -> String {
    unit.code().to_ascii_uppercase()
}

/// The name of an account: `Liabilities:Wallet:Of-anna:CREDIT`, `Income:Spent:USD`.
pub(super) struct Name<'a>(pub(super) &'a AccountKey);

impl fmt::Display for Name<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(AccountKey { kind, owner, unit }) = self;
        write!(f, "{}:", class(*kind))?;
        for word in kind.as_str().split('_') {
            let (first, rest) = word.split_at_checked(1).unwrap_or(("", word));
            write!(f, "{}{rest}", first.to_ascii_uppercase())?;
        }
        if !owner.as_str().is_empty() {
            write!(f, ":Of-{}", Part(owner.as_str()))?;
        }
        write!(f, ":{}", commodity(*unit))
    }
}

/// Where opening balances come from.
pub(super) fn opening(unit: Unit) -> String {
    format!("Equity:Opening:{}", commodity(unit))
}

/// A text as a part of an account's name, for the stricter of the two formats: letters, digits and `-`. A `-` is written `--`,
/// any other byte as `-` and two hexadecimal digits, so that no two texts become the same.
struct Part<'a>(&'a str);

impl fmt::Display for Part<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for byte in self.0.bytes() {
            match byte {
                b'-' => f.write_str("--")?,
                _ if byte.is_ascii_alphanumeric() => fmt::Write::write_char(f, char::from(byte))?,
                _ => write!(f, "-{byte:02x}")?,
            }
        }
        Ok(())
    }
}

/// Smallest steps of a unit in customary notation: `-12.50 USD`, `500 CREDIT`. Integers only.
pub(super) struct Money(pub(super) i128, pub(super) Unit);

impl fmt::Display for Money {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(steps, unit) = self;
        write!(f, "{} {}", Number(*steps, *unit), commodity(*unit))
    }
}

/// The number of it alone.
pub(super) struct Number(pub(super) i128, pub(super) Unit);

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(steps, unit) = self;
        let sign = if *steps < 0 { "-" } else { "" };
        let (steps, step) = (steps.unsigned_abs(), 10_u128.pow(unit.decimals().into()));
        write!(f, "{sign}{}", steps / step)?;
        if unit.decimals() > 0 {
            let width = usize::from(unit.decimals());
            write!(f, ".{:0width$}", steps % step)?;
        }
        Ok(())
    }
}
