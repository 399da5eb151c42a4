//! A file for Beancount (<https://beancount.github.io/docs/beancount_language_syntax.html>).

use std::fmt;
use std::io::{self, Write};

use bursar_domain::amount::Unit;
use bursar_store::query::{Recorded, RecordedPosting};

use super::Paper;
use super::books::{Standing, booked};
use super::chart::{self, Money, Name, Number};

pub(super) struct Beancount;

/// A text in quotation marks. Line breaks are written out; other control characters have no notation and become a replacement
/// character.
struct Quoted<'a>(&'a str);

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("\"")?;
        for c in self.0.chars() {
            match c {
                '"' => f.write_str("\\\"")?,
                '\\' => f.write_str("\\\\")?,
                '\n' => f.write_str("\\n")?,
                '\r' => f.write_str("\\r")?,
                '\t' => f.write_str("\\t")?,
                _ if c.is_control() => f.write_str("\u{fffd}")?,
                _ => fmt::Write::write_char(f, c)?,
            }
        }
        f.write_str("\"")
    }
}

fn metadata(out: &mut dyn Write, name: &str, value: &str) -> io::Result<()> {
    if value.is_empty() {
        return Ok(());
    }
    writeln!(out, "  {name}: {}", Quoted(value))
}

fn posting(out: &mut dyn Write, posting: &RecordedPosting) -> io::Result<()> {
    let amount = booked(posting);
    for (key, amount) in [(&posting.from, -amount), (&posting.to, amount)] {
        writeln!(out, "  {}  {}", Name(key), Money(amount, key.unit))?;
        if let Some(grant) = posting.row.grant
            && key.kind.keeps_balance()
        {
            writeln!(out, "    grant: \"{grant}\"")?;
        }
    }
    Ok(())
}

/// To the last step: by itself Beancount would let one of two decimals pass.
fn assertion(out: &mut dyn Write, day: &str, name: &str, number: &Number) -> io::Result<()> {
    let commodity = chart::commodity(number.1);
    writeln!(out, "{day} balance {name}  {number} ~ 0 {commodity}")
}

impl Paper for Beancount {
    fn begin(&self, out: &mut dyn Write, units: &[Unit]) -> io::Result<()> {
        writeln!(out, "; Exported by Bursar {}.", env!("CARGO_PKG_VERSION"))?;
        writeln!(out, "option \"title\" \"Bursar\"")?;
        for unit in units {
            writeln!(
                out,
                "option \"operating_currency\" \"{}\"",
                chart::commodity(*unit)
            )?;
        }
        Ok(())
    }

    fn account(&self, out: &mut dyn Write, day: &str, account: &Standing) -> io::Result<()> {
        let commodity = chart::commodity(account.key.unit);
        writeln!(out, "\n{day} open {}  {commodity}", Name(&account.key))?;
        // An account that Beancount knows by another spelling can be found by this one.
        metadata(out, "owner", account.key.owner.as_str())
    }

    fn opening(&self, out: &mut dyn Write, day: &str, account: &Standing) -> io::Result<()> {
        let unit = account.key.unit;
        writeln!(out, "\n{day} * \"opening balance\"")?;
        writeln!(
            out,
            "  {}  {}",
            Name(&account.key),
            Money(account.booked, unit)
        )?;
        writeln!(
            out,
            "  {}  {}",
            chart::opening(unit),
            Money(-account.booked, unit)
        )
    }

    fn transaction(&self, out: &mut dyn Write, day: &str, recorded: &Recorded) -> io::Result<()> {
        let reason = recorded.reason.as_str();
        writeln!(out, "\n{day} * \"{reason}\"")?;
        metadata(out, "id", &recorded.id.to_string())?;
        metadata(out, "reason", reason)?;
        metadata(out, "at", &recorded.at.to_string())?;
        if let Some(cause) = &recorded.cause {
            metadata(out, "cause", &format!("{} {}", cause.kind, cause.id))?;
        }
        metadata(out, "tags", &recorded.tags)?;
        metadata(out, "note", &recorded.remark.note)?;
        metadata(out, "ref", &recorded.remark.reference)?;
        metadata(out, "meta", &recorded.remark.meta)?;
        recorded
            .postings
            .iter()
            .try_for_each(|one| posting(out, one))
    }

    fn balance(
        &self,
        out: &mut dyn Write,
        (_, next): (&str, &str),
        account: &Standing,
    ) -> io::Result<()> {
        let name = Name(&account.key).to_string();
        assertion(out, next, &name, &Number(account.booked, account.key.unit))
    }

    fn end(
        &self,
        out: &mut dyn Write,
        (_, next): (&str, &str),
        units: &[Unit],
        is_opened: bool,
    ) -> io::Result<()> {
        for unit in units.iter().filter(|_| is_opened) {
            let name = chart::opening(*unit);
            // Beancount sorts: where this stands says nothing about when it is opened.
            writeln!(out, "0001-01-01 open {name}  {}", chart::commodity(*unit))?;
            assertion(out, next, &name, &Number(0, *unit))?;
        }
        Ok(())
    }
}
