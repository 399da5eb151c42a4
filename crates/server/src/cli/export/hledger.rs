//! A journal for hledger (<https://hledger.org/hledger.html#journal>).

use std::fmt;
use std::io::{self, Write};

use bursar_domain::amount::Unit;
use bursar_store::query::{Recorded, RecordedPosting};

use super::Paper;
use super::books::{Standing, booked};
use super::chart::{self, Money, Name, Number};

pub(super) struct Hledger;

/// A text as the value of a tag. A comma or the end of the line would end it, and brackets be a date: what is
/// not a letter, a digit, a blank inside or one of a few signs is written as `%` and two hexadecimal digits, byte by byte.
struct Value<'a>(&'a str);

impl fmt::Display for Value<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = self.0;
        let is_inside = |place: usize| place > 0 && place + 1 < text.len();
        for (place, c) in text.char_indices() {
            let plain = c.is_alphanumeric() || "-_.:!?/+@#&()'\"*".contains(c);
            if plain || (c == ' ' && is_inside(place)) {
                fmt::Write::write_char(f, c)?;
                continue;
            }
            for byte in c.encode_utf8(&mut [0; 4]).bytes() {
                write!(f, "%{byte:02X}")?;
            }
        }
        Ok(())
    }
}

fn tag(out: &mut dyn Write, name: &str, value: &str) -> io::Result<()> {
    if value.is_empty() {
        return Ok(());
    }
    writeln!(out, "    ; {name}: {}", Value(value))
}

fn posting(out: &mut dyn Write, posting: &RecordedPosting) -> io::Result<()> {
    let amount = booked(posting);
    for (key, amount) in [(&posting.from, -amount), (&posting.to, amount)] {
        write!(out, "    {}  {}", Name(key), Money(amount, key.unit))?;
        match posting.row.grant {
            Some(grant) if key.kind.keeps_balance() => writeln!(out, "  ; grant: {grant}")?,
            _ => writeln!(out)?,
        }
    }
    Ok(())
}

impl Paper for Hledger {
    fn begin(&self, out: &mut dyn Write, units: &[Unit]) -> io::Result<()> {
        writeln!(out, "; Exported by Bursar {}.", env!("CARGO_PKG_VERSION"))?;
        // Without it `1.234 KWD` might be taken for thousands.
        writeln!(out, "decimal-mark .\n")?;
        for unit in units {
            let point = if unit.decimals() == 0 { "." } else { "" };
            let number = Number(1000 * 10_i128.pow(unit.decimals().into()), *unit);
            writeln!(out, "commodity {number}{point} {}", chart::commodity(*unit))?;
        }
        Ok(())
    }

    fn account(&self, out: &mut dyn Write, _: &str, account: &Standing) -> io::Result<()> {
        write!(out, "\naccount {}", Name(&account.key))?;
        match account.key.owner.as_str() {
            "" => writeln!(out),
            owner => writeln!(out, "  ; owner: {}", Value(owner)),
        }
    }

    fn opening(&self, out: &mut dyn Write, day: &str, account: &Standing) -> io::Result<()> {
        let unit = account.key.unit;
        writeln!(out, "\n{day} * opening balance")?;
        writeln!(
            out,
            "    {}  {}",
            Name(&account.key),
            Money(account.booked, unit)
        )?;
        writeln!(
            out,
            "    {}  {}",
            chart::opening(unit),
            Money(-account.booked, unit)
        )
    }

    fn transaction(&self, out: &mut dyn Write, day: &str, recorded: &Recorded) -> io::Result<()> {
        let reason = recorded.reason.as_str();
        writeln!(out, "\n{day} * ({}) {reason}", recorded.id)?;
        tag(out, "id", &recorded.id.to_string())?;
        tag(out, "reason", reason)?;
        tag(out, "at", &recorded.at.to_string())?;
        if let Some(cause) = &recorded.cause {
            tag(out, "cause", &format!("{} {}", cause.kind, cause.id))?;
        }
        tag(out, "tags", &recorded.tags)?;
        tag(out, "note", &recorded.remark.note)?;
        tag(out, "ref", &recorded.remark.reference)?;
        tag(out, "meta", &recorded.remark.meta)?;
        recorded
            .postings
            .iter()
            .try_for_each(|one| posting(out, one))
    }

    fn balance(
        &self,
        out: &mut dyn Write,
        (day, _): (&str, &str),
        account: &Standing,
    ) -> io::Result<()> {
        let (name, unit) = (Name(&account.key), account.key.unit);
        writeln!(out, "\n{day} * closing balance")?;
        writeln!(
            out,
            "    {name}  {} == {}",
            Money(0, unit),
            Money(account.booked, unit)
        )
    }

    fn end(
        &self,
        out: &mut dyn Write,
        (day, _): (&str, &str),
        units: &[Unit],
        is_opened: bool,
    ) -> io::Result<()> {
        for unit in units.iter().filter(|_| is_opened) {
            let (name, nothing) = (chart::opening(*unit), Money(0, *unit));
            writeln!(out, "\naccount {name}\n\n{day} * closing balance")?;
            writeln!(out, "    {name}  {nothing} == {nothing}")?;
        }
        Ok(())
    }
}
