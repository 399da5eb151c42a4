//! The specification of the books: runs `spec/ledger/*.txt` and `spec/stripe/*.txt` against real batches, on a SQLite file
//! and on a PostgreSQL server, which must say the same.
//!
//! A line is a verb with its words and, after an arrow, what came of it. Further outcomes stand on lines of their own that
//! begin with an arrow. Lines that begin with `#`, and empty ones, are for the reader. Top-ups, payments, keys, grants, holds,
//! limits and charges get names in the order in which they appear (`T1`, `P1`, `K1`, `G1`, `H1`, `L1`, `C1`); events, sessions
//! and intents are Stripe's and are named by the line that brings them (`E1`, `S1`, `I1`). What else has changed stands behind a
//! semicolon. The verbs are listed in `spec/README.md` and defined in the folder beside this file. Every file ends with an
//! audit, written `audit -> right`.
//!
//! `UPDATE_SPECS=1 cargo test -p bursar-engine --test spec` writes what came of each line into the files. Read the
//! difference before keeping it: it is the specification that changes.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a helper of a test fails the test"
)]

mod desk;
#[path = "desk/inbox.rs"]
mod inbox;
mod spec {
    mod announcement;
    mod ask;
    mod bonus;
    mod charge;
    mod clock;
    mod exchange;
    mod grant;
    mod hold;
    mod limit;
    pub(crate) mod line;
    mod policy;
    mod provider;
    mod returns;
    mod said;
    mod seal;
    mod show;
    mod stripe;
    mod usage;
    mod words;
    pub(crate) mod world;
}

use std::path::{Path, PathBuf};

use desk::Desk;
use spec::line::{self, Line};
use spec::world::World;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../spec")
}

/// Runs one file at this desk; what it says after the run.
fn run(text: &str, desk: Desk) -> Vec<Line> {
    let mut lines = line::read(text);
    let is_audit = |line: &Line| matches!(line, Line::Step { words, .. } if words == "audit");
    while matches!(lines.last(), Some(Line::Prose(prose)) if prose.is_empty()) {
        lines.pop();
    }
    if !lines.last().is_some_and(is_audit) {
        lines.push(Line::Prose(String::new()));
        lines.push(Line::step("audit"));
    }
    let mut world = World::over(desk);
    for (number, line) in lines.iter_mut().enumerate() {
        if let Line::Step { words, outcome } = line {
            *outcome = world
                .run(words)
                .unwrap_or_else(|problem| panic!("step {}, `{words}`: {problem}", number + 1));
        }
    }
    lines
}

/// Every line that is not as written, with what came of it.
fn differences(name: &str, written: &[Line], came: &[Line]) -> Vec<String> {
    let mut found = Vec::new();
    for (before, after) in written.iter().zip(came) {
        if let (Line::Step { words, outcome }, Line::Step { outcome: new, .. }) = (before, after)
            && outcome != new
        {
            found.push(format!("{name}: {words}"));
            found.extend(outcome.iter().map(|line| format!("  - {line}")));
            found.extend(new.iter().map(|line| format!("  + {line}")));
        }
    }
    if written.len() < came.len() {
        found.push(format!("{name}: ends without an audit"));
    }
    found
}

fn check(part: &str, desk: fn() -> Desk) {
    let update = std::env::var_os("UPDATE_SPECS").is_some_and(|value| value == "1");
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder().join(part))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "txt"))
        .collect();
    files.sort();
    assert!(!files.is_empty(), "spec/{part} holds no specification");
    let mut wrong = Vec::new();
    for path in files {
        let name = format!("{part}/{}", path.file_name().unwrap().to_string_lossy());
        let text = std::fs::read_to_string(&path).unwrap();
        println!("{name}");
        let came = run(&text, desk());
        let audit = came.last().cloned();
        if audit != Some(Line::step("audit").with(vec!["right".into()])) {
            wrong.push(format!("{name}: the audit found something: {audit:?}"));
        }
        if update {
            std::fs::write(&path, line::write(&came)).unwrap();
        } else {
            wrong.extend(differences(&name, &line::read(&text), &came));
        }
    }
    assert!(
        wrong.is_empty(),
        "\n{}\n\n- as written, + as it came. UPDATE_SPECS=1 writes what came into the files.\n",
        wrong.join("\n")
    );
}

#[test]
fn ledger() {
    check("ledger", Desk::new);
}

#[test]
fn stripe() {
    check("stripe", Desk::new);
}

#[test]
fn ledger_on_postgresql() {
    check("ledger", Desk::on_server);
}

#[test]
fn stripe_on_postgresql() {
    check("stripe", Desk::on_server);
}

#[test]
fn a_changed_outcome_is_shown() {
    let written =
        line::read("topup anna 500 -> T1 paid\nwallet anna -> 0 credits\naudit -> right\n");
    let came = run("topup anna 500\nwallet anna\n\naudit", Desk::new());
    let came: Vec<Line> = came.into_iter().filter(Line::is_step).collect();
    let text = differences("x", &written, &came).join("\n");
    assert!(
        text.contains("x: topup anna 500\n  - T1 paid\n  + T1 pending"),
        "{text}"
    );
    assert!(!text.contains("wallet"), "{text}");
}
