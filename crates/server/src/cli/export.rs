//! `bursar export`

mod beancount;
mod books;
mod chart;
mod hledger;
mod jsonl;

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use bursar_domain::amount::Unit;
use bursar_domain::time::Time;
use bursar_store::query::{Progress, Reader, Recorded};
use jiff::civil::Date;
use jiff::tz::TimeZone;

use super::database;
use books::{Books, Standing};

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// How it is written.
    #[arg(long, value_enum)]
    format: Format,
    /// Write to this file instead of standard output. It is there when it is complete.
    #[arg(long, value_name = "FILE")]
    to: Option<PathBuf>,
    /// Begin with what was booked on this day (UTC); what was there before comes as opening balances.
    #[arg(long, value_name = "YYYY-MM-DD")]
    from: Option<Date>,
    /// End before this day (UTC).
    #[arg(long, value_name = "YYYY-MM-DD")]
    until: Option<Date>,
    /// The data folder of the service; it may be running.
    #[arg(long, value_name = "FOLDER")]
    data: Option<String>,
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum Format {
    /// A journal for hledger.
    Hledger,
    /// A file for Beancount.
    Beancount,
    /// A JSON object a line, with nothing left out.
    Jsonl,
}

impl Format {
    fn paper(self) -> Box<dyn Paper> {
        match self {
            Self::Hledger => Box::new(hledger::Hledger),
            Self::Beancount => Box::new(beancount::Beancount),
            Self::Jsonl => Box::new(jsonl::Jsonl),
        }
    }
}

/// A way to write a journal down. Days come as `YYYY-MM-DD` and never go back.
trait Paper {
    /// What stands at the beginning.
    fn begin(&self, out: &mut dyn Write, units: &[Unit]) -> io::Result<()>;

    /// An account before its first use.
    fn account(&self, out: &mut dyn Write, day: &str, account: &Standing) -> io::Result<()>;

    /// What an account has at the beginning of an export that does not begin at the beginning.
    fn opening(&self, out: &mut dyn Write, day: &str, account: &Standing) -> io::Result<()>;

    /// A transaction.
    fn transaction(&self, out: &mut dyn Write, day: &str, recorded: &Recorded) -> io::Result<()>;

    /// What an account has at the end: on the last `day`, before `next`.
    fn balance(
        &self,
        out: &mut dyn Write,
        days: (&str, &str),
        account: &Standing,
    ) -> io::Result<()>;

    /// What stands at the end.
    fn end(
        &self,
        out: &mut dyn Write,
        days: (&str, &str),
        units: &[Unit],
        is_opened: bool,
    ) -> io::Result<()>;
}

pub(super) fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    if let (Some(from), Some(until)) = (arguments.from, arguments.until)
        && from >= until
    {
        bail!("--from {from} is not before --until {until}");
    }
    let database = database(arguments.data)?;
    let mut reader = database
        .reader()
        .with_context(|| format!("there is no database to export at {database}"))?;
    let paper = arguments.format.paper();
    let range = (arguments.from, arguments.until);
    match &arguments.to {
        Some(path) => to_file(path, |out| write(&mut reader, paper.as_ref(), range, out))?,
        None => write(
            &mut reader,
            paper.as_ref(),
            range,
            &mut BufWriter::new(io::stdout().lock()),
        )?,
    }
    Ok(ExitCode::SUCCESS)
}

/// Writes a file only its owner can read, beside the place where it belongs until it is complete.
fn to_file(
    path: &Path,
    write: impl FnOnce(&mut dyn Write) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let mut unfinished = path.as_os_str().to_owned();
    unfinished.push(".unfinished");
    let unfinished = PathBuf::from(unfinished);
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let complete = || -> anyhow::Result<()> {
        let file: File = options.open(&unfinished)?;
        let mut out = BufWriter::with_capacity(1 << 18, file);
        write(&mut out)?;
        out.into_inner()
            .map_err(io::IntoInnerError::into_error)?
            .sync_all()?;
        fs::rename(&unfinished, path)?;
        Ok(())
    };
    let completed = complete();
    if completed.is_err() {
        fs::remove_file(&unfinished).ok();
    }
    completed.with_context(|| format!("{} cannot be written", path.display()))
}

/// The days of an export: as the journal's, but never going back, whatever the clock did. So a program that reads them sorts them
/// as they were booked.
struct Days {
    number: i64,
    text: String,
}

const DAY_SECONDS: i64 = 86_400;

impl Days {
    fn at(number: i64) -> Self {
        let text = date(number).map_or_else(|| "1970-01-01".to_owned(), |date| date.to_string());
        Self { number, text }
    }

    fn reach(&mut self, number: i64) {
        if number > self.number {
            *self = Self::at(number);
        }
    }
}

fn date(number: i64) -> Option<Date> {
    let midnight = jiff::Timestamp::from_second(number.checked_mul(DAY_SECONDS)?).ok()?;
    Some(TimeZone::UTC.to_datetime(midnight).date())
}

fn day_of(at: Time) -> i64 {
    at.seconds().div_euclid(DAY_SECONDS)
}

/// The moment at which a day begins.
fn midnight(date: Date) -> anyhow::Result<Time> {
    let zoned = date.to_zoned(TimeZone::UTC)?;
    Ok(Time(zoned.timestamp().as_microsecond()))
}

/// Writes one moment's journal. A range goes by the order of booking: from the first transaction of its first day to the last one
/// before its end, so that two exports that follow each other contain everything once, also where the clock was set back.
fn write(
    reader: &mut Reader,
    paper: &dyn Paper,
    (from, until): (Option<Date>, Option<Date>),
    out: &mut dyn Write,
) -> anyhow::Result<()> {
    let (from, until) = (
        from.map(midnight).transpose()?,
        until.map(midnight).transpose()?,
    );
    reader.in_snapshot(|reader| {
        let units = reader.units()?;
        paper.begin(out, &units)?;
        let mut export = Export {
            paper,
            out,
            books: Books::default(),
            days: Days::at(from.map_or(0, day_of)),
            begun: from.is_none(),
        };
        let mut progress = Progress::default();
        'journal: loop {
            let part = reader.journal(&mut progress)?;
            if part.is_empty() {
                break;
            }
            for recorded in &part {
                if !export.begun && from.is_some_and(|from| recorded.at >= from) {
                    export.open(reader)?;
                }
                if export.begun && until.is_some_and(|until| recorded.at >= until) {
                    break 'journal;
                }
                export.take(recorded)?;
            }
        }
        if !export.begun {
            export.open(reader)?;
        }
        export.close(reader, &units, from.is_some())
    })
}

struct Export<'a> {
    paper: &'a dyn Paper,
    out: &'a mut dyn Write,
    books: Books,
    days: Days,
    begun: bool,
}

impl Export<'_> {
    fn take(&mut self, recorded: &Recorded) -> anyhow::Result<()> {
        self.books.take(recorded);
        if !self.begun {
            return Ok(());
        }
        self.days.reach(day_of(recorded.at));
        let day = &self.days.text;
        for posting in &recorded.postings {
            for (side, key) in [
                (&posting.row.from, &posting.from),
                (&posting.row.to, &posting.to),
            ] {
                if self.books.is_new(side.account) {
                    let account = self.books.standing(side.account, key);
                    self.paper.account(self.out, day, &account)?;
                }
            }
        }
        self.paper.transaction(self.out, day, recorded)?;
        Ok(())
    }

    /// Begins with what was there before.
    fn open(&mut self, reader: &mut Reader) -> anyhow::Result<()> {
        self.begun = true;
        let day = self.days.text.clone();
        self.each_account(reader, |export, number, account| {
            if account.own != 0 && export.books.is_new(number) {
                export.paper.account(export.out, &day, account)?;
                export.paper.opening(export.out, &day, account)?;
            }
            Ok(())
        })
    }

    /// Ends with what every account has, for the program that reads it to compare.
    fn close(
        &mut self,
        reader: &mut Reader,
        units: &[Unit],
        is_opened: bool,
    ) -> anyhow::Result<()> {
        let (day, next) = (self.days.text.clone(), Days::at(self.days.number + 1).text);
        let days = (day.as_str(), next.as_str());
        self.each_account(reader, |export, number, account| {
            if export.books.is_used(number) {
                export.paper.balance(export.out, days, account)?;
            }
            Ok(())
        })?;
        self.paper.end(self.out, days, units, is_opened)?;
        self.out.flush()?;
        Ok(())
    }

    fn each_account(
        &mut self,
        reader: &mut Reader,
        mut show: impl FnMut(&mut Self, i64, &Standing) -> io::Result<()>,
    ) -> anyhow::Result<()> {
        let mut after = 0;
        loop {
            let names = reader.account_names(after)?;
            let Some((last, _)) = names.last() else {
                return Ok(());
            };
            after = *last;
            for (number, key) in &names {
                let account = self.books.standing(*number, key);
                show(self, *number, &account)?;
            }
        }
    }
}

#[cfg(test)]
mod tests;
