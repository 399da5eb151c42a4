//! `bursar audit`

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use bursar_store::query::Reader;

use super::{database, say};

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// The data folder of the service; it may be running.
    #[arg(long, value_name = "FOLDER")]
    data: Option<String>,
    /// Print a digest of the books that does not depend on ids, times and the order in which things were heard of: two databases
    /// that know the same have the same.
    #[arg(long)]
    digest: bool,
    /// Recompute the chain of seals over the journal as well, and print the newest one: a checkpoint to be kept elsewhere.
    #[arg(long)]
    chain: bool,
    /// A checkpoint that was kept (`7:5c0f…`); the chain must still contain it. May be given several times.
    #[arg(long, value_name = "CHECKPOINT", requires = "chain")]
    expect: Vec<String>,
    /// A file of such checkpoints, one a line; what stands before the last blank of a line is not read.
    #[arg(long, value_name = "FILE", requires = "chain")]
    expect_file: Option<PathBuf>,
}

pub(super) fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    let expected = expected(&arguments)?;
    let database = database(arguments.data)?;
    let mut reader = database
        .reader()
        .with_context(|| format!("{database} cannot be audited"))?;
    let books_are_right = books(&mut reader)?;
    if arguments.digest {
        say(format_args!(
            "digest {}\n",
            bursar_store::canon::digest(&mut reader)?
        ));
    }
    let chain_is_whole = !arguments.chain || chain(&mut reader, &expected)?;
    Ok(if books_are_right && chain_is_whole {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

fn books(reader: &mut Reader) -> anyhow::Result<bool> {
    let report = bursar_store::audit::run(reader)?;
    for difference in &report.differences {
        say(format_args!("{difference}\n"));
    }
    let (accounts, postings) = (report.accounts, report.postings);
    let is_right = report.differences.is_empty();
    if is_right {
        say(format_args!(
            "the books are right: {accounts} accounts, {postings} postings, every balance as the journal says\n"
        ));
    } else {
        say(format_args!(
            "differences: {}, in {accounts} accounts and {postings} postings\n",
            report.differences.len()
        ));
    }
    Ok(is_right)
}

fn chain(reader: &mut Reader, expected: &[(i64, String)]) -> anyhow::Result<bool> {
    let report = bursar_store::audit::chain(reader, expected)?;
    for broken in &report.broken {
        say(format_args!("{broken}\n"));
    }
    let seals = report.seals;
    let is_whole = report.broken.is_empty();
    if is_whole {
        match &*report.checkpoints {
            [] | [_] => say(format_args!(
                "the chain is whole: {seals} seals over {} transactions\n",
                report.newest.transaction
            )),
            chains => say(format_args!(
                "the chains of {} nodes are whole: {seals} seals\n",
                chains.len()
            )),
        }
        for newest in &report.checkpoints {
            say(format_args!("checkpoint {}\n", newest.written()));
        }
    } else {
        say(format_args!(
            "the chain is broken: {} of {seals} seals do not fit\n",
            report.broken.len()
        ));
    }
    Ok(is_whole)
}

/// The checkpoints that were kept, with their numbers.
fn expected(arguments: &Arguments) -> anyhow::Result<Vec<(i64, String)>> {
    let mut texts = arguments.expect.clone();
    if let Some(file) = &arguments.expect_file {
        let text = std::fs::read_to_string(file)
            .with_context(|| format!("{} cannot be read", file.display()))?;
        let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
        texts.extend(lines.map(|line| line.rsplit(' ').next().unwrap_or(line).to_owned()));
    }
    let mut checkpoints = Vec::with_capacity(texts.len());
    for text in texts {
        match parse_checkpoint(&text) {
            Some(number) => checkpoints.push((number, text)),
            None => bail!(
                "{text:?} is no checkpoint: it must be a number, a colon and 64 hexadecimal digits, as `bursar audit \
                 --chain` prints it"
            ),
        }
    }
    Ok(checkpoints)
}

fn parse_checkpoint(text: &str) -> Option<i64> {
    let (number, hash) = text.split_once(':')?;
    let hexadecimal = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    let number = number.parse().ok().filter(|number| *number > 0)?;
    (hash.len() == 64 && hash.bytes().all(hexadecimal)).then_some(number)
}

#[cfg(test)]
mod tests {
    use super::parse_checkpoint;

    #[test]
    fn a_checkpoint_is_a_number_and_a_hash() {
        let hash = "5c".repeat(32);
        assert_eq!(parse_checkpoint(&format!("7:{hash}")), Some(7));
        for text in [
            "",
            "7",
            ":",
            "7:5c",
            "0:",
            &format!("x:{hash}"),
            &format!("7:{}", "X".repeat(64)),
        ] {
            assert_eq!(parse_checkpoint(text), None, "{text}");
        }
    }
}
