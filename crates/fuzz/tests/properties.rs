//! The targets of cargo-fuzz on the stable toolchain: each seed, each seed changed at random, and bytes out of nowhere.
//!
//! `FUZZ_CASES` says how many of each; a failure is shown shortened, ready to become a seed.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that fails says so by panicking"
)]

use std::fs;
use std::path::Path;

use bursar_fuzz::{TARGETS, Target};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use proptest::test_runner::{Config, TestRunner};

/// How many changed seeds and how many random texts each target gets.
const CASES: u32 = 1_000;

/// What parsers of such texts trip over.
const TOKENS: &[&str] = &[
    "",
    "\0",
    "\n",
    "\"",
    "'",
    "\\",
    "\\u0000",
    "\\ud800",
    "{",
    "}",
    "[",
    "]",
    "[]",
    ",",
    ":",
    "=",
    "&",
    "%",
    "%00",
    "%FF",
    "+",
    "-",
    "-1",
    "0",
    "00",
    "1e999",
    "0.1",
    "9223372036854775807",
    "9223372036854775808",
    "18446744073709551616",
    "null",
    "true",
    "\u{feff}",
    "\u{202e}",
    "ß",
    "t=",
    "v1=",
    "{0}",
    "\n---\n",
    "://",
    "@",
    "?",
    "#",
    "//",
    "..",
    "id",
    "object",
    "type",
    "data",
    "metadata",
];

/// A change of a text. Places are shares of its length, so that they stay right while the text changes.
#[derive(Debug, Clone)]
enum Edit {
    Set(Index, u8),
    Remove(Index, Index),
    Insert(Index, &'static str),
    /// A piece once more, elsewhere.
    Copy(Index, Index, Index),
}

fn edit() -> impl Strategy<Value = Edit> {
    let place = any::<Index>;
    prop_oneof![
        (place(), any::<u8>()).prop_map(|(at, byte)| Edit::Set(at, byte)),
        (place(), place()).prop_map(|(from, to)| Edit::Remove(from, to)),
        (place(), select(TOKENS)).prop_map(|(at, token)| Edit::Insert(at, token)),
        (place(), place(), place()).prop_map(|(from, to, at)| Edit::Copy(from, to, at)),
    ]
}

fn change(bytes: &mut Vec<u8>, edit: &Edit) {
    let place = |index: &Index| index.index(bytes.len() + 1);
    let piece = |from: &Index, to: &Index| {
        let (from, to) = (place(from), place(to));
        from.min(to)..from.max(to)
    };
    match edit {
        Edit::Set(at, byte) => {
            let at = place(at);
            if let Some(place) = bytes.get_mut(at) {
                *place = *byte;
            }
        }
        Edit::Remove(from, to) => drop(bytes.drain(piece(from, to))),
        Edit::Insert(at, token) => {
            let at = place(at);
            bytes.splice(at..at, token.bytes());
        }
        Edit::Copy(from, to, at) => {
            let (piece, at) = (bytes[piece(from, to)].to_vec(), place(at));
            bytes.splice(at..at, piece);
        }
    }
}

fn seeds(target: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("seeds")
        .join(target);
    let files =
        fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut paths: Vec<_> = files.map(|file| file.unwrap().path()).collect();
    paths.sort();
    paths.iter().map(|path| fs::read(path).unwrap()).collect()
}

fn cases() -> u32 {
    std::env::var("FUZZ_CASES").map_or(CASES, |cases| {
        cases.parse().expect("FUZZ_CASES is a number")
    })
}

fn hold((name, check): Target) {
    let seeds = seeds(name);
    assert!(!seeds.is_empty(), "{name} has no seeds");
    for seed in &seeds {
        check(seed);
    }
    let mut runner = TestRunner::new(Config {
        cases: cases(),
        failure_persistence: None,
        ..Config::default()
    });
    let changed = (select(seeds), vec(edit(), 1..8)).prop_map(|(mut bytes, edits)| {
        for edit in &edits {
            change(&mut bytes, edit);
        }
        bytes
    });
    let random = prop_oneof![
        vec(any::<u8>(), 0..64),
        vec(select(TOKENS), 0..24).prop_map(|tokens| tokens.concat().into_bytes())
    ];
    let run = |bytes: Vec<u8>| {
        check(&bytes);
        Ok(())
    };
    let outcome = runner.run(&changed.prop_map(Shown), |Shown(bytes)| run(bytes));
    outcome.unwrap_or_else(|error| panic!("{name}: {error}"));
    let outcome = runner.run(&random.prop_map(Shown), |Shown(bytes)| run(bytes));
    outcome.unwrap_or_else(|error| panic!("{name}: {error}"));
}

/// Bytes that print as text.
#[derive(Clone)]
struct Shown(Vec<u8>);

impl std::fmt::Debug for Shown {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "b\"{}\"", self.0.escape_ascii())
    }
}

/// One test a target, so that a failure names it and they run side by side.
macro_rules! targets {
    ($($name:ident)*) => {
        $(#[test] fn $name() { hold((stringify!($name), bursar_fuzz::$name)); })*

        #[test]
        fn every_target_is_here() {
            let here = [$(stringify!($name)),*];
            let all: Vec<&str> = TARGETS.iter().map(|(name, _)| *name).collect();
            assert_eq!(here.as_slice(), all);
        }
    };
}

targets! { signature_header event_body form_encoding query json config database_url }
