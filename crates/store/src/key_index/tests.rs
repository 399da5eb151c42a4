use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use super::{Entry, KeyIndex, SIZES, Sizes, Step, look_up};
use crate::connection::{Connection, Parameters, Value};
use crate::migrate;
use crate::sqlite::Sqlite;

/// Small enough that a few hundred keys meet everything there is.
const TINY: Sizes = Sizes {
    gather: 8,
    fan_in: 3,
    page_bytes: 64,
    slice: 1,
};

/// Numbers that look random and are the same in each run of the tests.
struct Dice(u64);

impl Dice {
    fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, limit: u64) -> u64 {
        self.roll() % limit
    }
}

/// A database with answers, its index, and what must be found.
struct Shelf {
    path: PathBuf,
    sizes: Sizes,
    connection: Sqlite,
    index: KeyIndex,
    model: BTreeMap<u64, BTreeSet<i64>>,
    last: i64,
    _folder: TempDir,
}

/// Memory, where the system has a file system in it.
fn folder() -> TempDir {
    let memory = Path::new("/dev/shm");
    if memory.is_dir() {
        tempfile::tempdir_in(memory).unwrap()
    } else {
        tempfile::tempdir().unwrap()
    }
}

impl Shelf {
    fn new(sizes: Sizes) -> Self {
        let folder = folder();
        let path = folder.path().join("bursar.db");
        let mut connection = Sqlite::open_writer(&path).unwrap();
        migrate::run(&mut connection).unwrap();
        // Only what the index reads.
        let answer = "DROP TABLE answer; \
                      CREATE TABLE answer (number INTEGER PRIMARY KEY, fingerprint BLOB NOT NULL) STRICT;";
        connection.run_script(answer).unwrap();
        let mut index = KeyIndex::open(&mut connection).unwrap();
        index.sizes = sizes;
        Self {
            path,
            sizes,
            connection,
            index,
            model: BTreeMap::new(),
            last: 0,
            _folder: folder,
        }
    }

    /// Begins a transaction and writes answers with these keys; the caller ends it.
    fn begin(&mut self, keys: &[u64]) -> (Vec<Entry>, Step) {
        let entries: Vec<Entry> = keys.iter().copied().zip(self.last + 1..).collect();
        let row = |(key, number): &Entry| -> Parameters {
            let mut fingerprint = key.to_be_bytes().to_vec();
            fingerprint.resize(16, 7);
            vec![(*number).into(), Value::Bytes(fingerprint.into())]
        };
        let rows: Vec<Parameters> = entries.iter().map(row).collect();
        self.connection.begin().unwrap();
        let insert = "INSERT INTO answer (number, fingerprint) VALUES ($1, $2)";
        self.connection.execute(insert, &rows).unwrap();
        let step = self.index.write(&mut self.connection, &entries).unwrap();
        (entries, step)
    }

    fn write(&mut self, keys: &[u64]) {
        let (entries, step) = self.begin(keys);
        self.connection.commit().unwrap();
        self.index.apply(step);
        for (key, number) in entries {
            self.model.entry(key).or_default().insert(number);
            self.last = number;
        }
    }

    fn write_in_vain(&mut self, keys: &[u64]) {
        let _ = self.begin(keys);
        self.connection.rollback().unwrap();
    }

    fn reopen(&mut self) {
        self.index = KeyIndex::open_sized(&mut self.connection, self.sizes).unwrap();
    }

    fn find(&mut self, key: u64) -> Vec<i64> {
        let mut found = self.index.find(&mut self.connection, key).unwrap();
        found.sort_unstable();
        found
    }

    fn check(&mut self) {
        for (key, numbers) in self.model.clone() {
            let numbers: Vec<i64> = numbers.into_iter().collect();
            assert_eq!(self.find(key), numbers, "key {key:x}");
        }
    }

    /// The same for a reader, who has no index in memory.
    fn check_without_memory(&mut self) {
        for (key, numbers) in self.model.clone() {
            let mut found = look_up(&mut self.connection, key).unwrap();
            found.sort_unstable();
            assert_eq!(
                found,
                numbers.into_iter().collect::<Vec<_>>(),
                "key {key:x}"
            );
            let beside = look_up(&mut self.connection, key ^ 1).unwrap();
            let others = self.model.get(&(key ^ 1)).map_or(0, BTreeSet::len);
            assert_eq!(beside.len(), others, "the key beside {key:x}");
        }
    }

    /// Writes nothing new until nothing is left to merge or to delete.
    fn settle(&mut self) {
        for _ in 0..100_000 {
            if self.is_settled() {
                return;
            }
            self.write(&[]);
        }
        panic!("merging does not come to an end: {:?}", self.index);
    }

    fn is_settled(&self) -> bool {
        self.index.merges.is_empty() && self.index.dropped.is_empty() && self.index.due().is_empty()
    }

    fn number(&mut self, sql: &str) -> i64 {
        let rows = self.connection.rows(sql, vec![]).unwrap();
        rows[0].integer(0).unwrap()
    }

    /// The levels of the runs, and that there is nothing else in the tables.
    fn levels(&mut self) -> Vec<i64> {
        let pages: usize = self.index.runs.iter().map(super::Run::pages).sum();
        assert_eq!(
            self.number("SELECT count(*) FROM key_page"),
            i64::try_from(pages).unwrap()
        );
        let runs = i64::try_from(self.index.runs.len()).unwrap();
        assert_eq!(self.number("SELECT count(*) FROM key_run"), runs);
        let whole = "SELECT count(*) FROM key_run WHERE state = 'whole' AND merged_into IS NULL";
        assert_eq!(self.number(whole), runs);
        let mut levels: Vec<i64> = self.index.runs.iter().map(|run| run.level).collect();
        levels.sort_unstable();
        levels
    }
}

#[test]
fn every_key_is_found_in_memory_in_runs_in_merged_runs_and_after_a_restart() {
    let mut shelf = Shelf::new(TINY);
    let mut dice = Dice(1);
    for size in [1, 3, 8, 2, 30, 1, 1, 5].into_iter().cycle().take(120) {
        let keys: Vec<u64> = (0..size).map(|_| dice.roll()).collect();
        shelf.write(&keys);
        shelf.check();
    }
    let highest = shelf.index.runs.iter().map(|run| run.level).max();
    assert!(highest >= Some(3), "{highest:?}");
    shelf.reopen();
    shelf.check();
    shelf.settle();
    shelf.check();
}

#[test]
fn a_key_at_either_end_of_the_numbers_is_found() {
    let mut shelf = Shelf::new(TINY);
    for _ in 0..10 {
        shelf.write(&[0, u64::MAX, 1 << 63, (1 << 63) - 1, i64::MAX as u64 + 2]);
        shelf.check();
        shelf.check_without_memory();
    }
    shelf.settle();
    shelf.check();
}

#[test]
fn all_numbers_of_equal_keys_are_found_across_pages_and_runs() {
    let mut shelf = Shelf::new(TINY);
    for round in 0..60 {
        shelf.write(&[5, 5, 5, 9, round, 5]);
        shelf.check();
        shelf.check_without_memory();
    }
    shelf.settle();
    shelf.check();
    shelf.reopen();
    shelf.check();
}

#[test]
fn a_commit_that_failed_loses_and_doubles_nothing() {
    let mut shelf = Shelf::new(TINY);
    let mut dice = Dice(2);
    for _ in 0..150 {
        let keys: Vec<u64> = (0..dice.below(12)).map(|_| dice.roll()).collect();
        let others: Vec<u64> = (0..dice.below(12)).map(|_| dice.roll()).collect();
        // The same step of a flush, a merge or a deletion fails up to three times.
        for _ in 0..dice.below(4) {
            shelf.write_in_vain(&others);
        }
        shelf.write(&keys);
        for key in others {
            assert_eq!(shelf.find(key), Vec::<i64>::new());
        }
    }
    shelf.check();
    shelf.settle();
    shelf.check();
    shelf.levels();
}

#[test]
fn a_restart_in_the_middle_of_a_merge_or_a_deletion_goes_on_there() {
    let mut shelf = Shelf::new(TINY);
    let mut dice = Dice(3);
    // With a single page for each write, merging falls behind.
    for _ in 0..100 {
        let keys: Vec<u64> = (0..8).map(|_| dice.roll()).collect();
        shelf.write(&keys);
    }
    let (mut merging, mut deleting) = (0, 0);
    for _ in 0..1_000 {
        for _ in 0..dice.below(10) {
            shelf.write(&[]);
        }
        merging += usize::from(!shelf.index.merges.is_empty());
        deleting += usize::from(!shelf.index.dropped.is_empty());
        shelf.reopen();
        if merging + deleting <= 4 {
            shelf.check_without_memory();
        }
    }
    assert!(merging > 50 && deleting > 50, "{merging} {deleting}");
    assert!(shelf.is_settled());
    shelf.check();
    let levels = shelf.levels();
    assert!(
        levels
            .iter()
            .all(|level| levels.iter().filter(|other| *other == level).count() < 3)
    );
}

#[test]
fn a_second_connection_to_the_file_sees_the_same_index() {
    let mut shelf = Shelf::new(TINY);
    let mut dice = Dice(4);
    for _ in 0..40 {
        let keys: Vec<u64> = (0..9).map(|_| dice.roll()).collect();
        shelf.write(&keys);
    }
    let mut reader = Sqlite::open_reader(&shelf.path).unwrap();
    let index = KeyIndex::open_sized(&mut reader, TINY).unwrap();
    for (key, numbers) in &shelf.model {
        let found = index.find(&mut reader, *key).unwrap();
        assert_eq!(found.into_iter().collect::<BTreeSet<i64>>(), *numbers);
    }
}

#[test]
fn many_keys_leave_few_runs_and_nothing_else() {
    let mut shelf = Shelf::new(SIZES);
    let mut dice = Dice(5);
    for _ in 0..300_000 / 50 {
        let keys: Vec<u64> = (0..50).map(|_| dice.roll()).collect();
        shelf.write(&keys);
    }
    shelf.settle();
    // 18 runs of 16,400 keys were written; two times eight of them were merged.
    assert_eq!(shelf.levels(), [0, 0, 1, 1]);
    let pages = i64::from(300_000 / 252) * 115 / 100;
    let stored = shelf.number("SELECT count(*) FROM key_page");
    assert!(stored < pages, "{stored} {pages}");
    shelf.reopen();
    let mut again = Dice(5);
    for number in 1..=300_000 {
        let key = again.roll();
        if number % 7 == 0 {
            assert_eq!(shelf.find(key), [number]);
        }
    }
    let wrong: usize = (0..10_000).map(|_| shelf.find(dice.roll()).len()).sum();
    assert_eq!(wrong, 0);
}

#[test]
fn a_write_changes_few_rows_however_much_there_is_to_merge() {
    let mut shelf = Shelf::new(TINY);
    let mut dice = Dice(8);
    let mut most = 0;
    for _ in 0..400 {
        let before = shelf.number("SELECT total_changes()");
        shelf.write(&[dice.roll(), dice.roll()]);
        most = most.max(shelf.number("SELECT total_changes()") - before);
    }
    assert!(shelf.index.runs.iter().any(|run| run.entries > 200));
    // Two answers; a run of 8 or 9 keys with 3 pages of entries, 1 of fences, 3 of the filter, and its row; the row of a
    // merge and the marks of 3 runs; 5 pages merged, 4 rows of runs at the end of it; 5 pages deleted, and a row.
    assert!(most <= 2 + 8 + 4 + 5 + 4 + 6, "{most}");
}

#[test]
fn a_page_of_a_run_fills_one_page_of_the_file() {
    let mut shelf = Shelf::new(SIZES);
    let before = shelf.number("PRAGMA page_count");
    let mut dice = Dice(6);
    let keys: Vec<u64> = (0..16_384).map(|_| dice.roll()).collect();
    shelf.write(&keys);
    let pages = shelf.number("SELECT count(*) FROM key_page");
    assert_eq!(pages, 66 + 1 + 6);
    let answers = 16_384 * 26 / 4_096;
    let grown = shelf.number("PRAGMA page_count") - before;
    assert!((pages..pages + answers + 10).contains(&grown), "{grown}");
}

#[test]
fn most_questions_for_new_keys_are_answered_by_the_filters() {
    let mut shelf = Shelf::new(SIZES);
    let mut dice = Dice(7);
    let keys: Vec<u64> = (0..20_000).map(|_| dice.roll()).collect();
    shelf.write(&keys);
    let run = &shelf.index.runs[0];
    let looked = (0..10_000)
        .filter(|_| !run.pages_of(dice.roll()).is_empty())
        .count();
    assert!(looked < 250, "{looked}");
}

#[test]
fn a_missing_page_is_reported() {
    let mut shelf = Shelf::new(TINY);
    shelf.write(&[1, 2, 3, 4, 5, 6, 7, 8]);
    let delete = "DELETE FROM key_page WHERE number = $1";
    shelf.connection.execute(delete, &[vec![0.into()]]).unwrap();
    let found = shelf.index.find(&mut shelf.connection, 2);
    assert!(found.is_err(), "{found:?}");
    let delete = "DELETE FROM key_page WHERE number > $1";
    shelf.connection.execute(delete, &[vec![1.into()]]).unwrap();
    let opened = KeyIndex::open_sized(&mut shelf.connection, TINY);
    assert!(opened.is_err(), "{opened:?}");
}

#[test]
fn whatever_happens_the_index_knows_what_a_map_knows() {
    for seed in 0..60 {
        let mut dice = Dice(1_000 + seed);
        let mut shelf = Shelf::new(Sizes {
            gather: 1 + usize::try_from(dice.below(10)).unwrap(),
            fan_in: 2 + usize::try_from(dice.below(3)).unwrap(),
            page_bytes: 16 << dice.below(4),
            slice: 1 + usize::try_from(dice.below(3)).unwrap(),
        });
        // Few different keys in some rounds, so that many are equal.
        let kinds = [20, 1_000, u64::MAX][usize::try_from(seed % 3).unwrap()];
        let spread = u64::MAX / kinds;
        for _ in 0..120 {
            let keys: Vec<u64> = (0..dice.below(10))
                .map(|_| dice.below(kinds).wrapping_mul(spread))
                .collect();
            match dice.below(6) {
                0 => shelf.write_in_vain(&keys),
                1 => shelf.reopen(),
                _ => shelf.write(&keys),
            }
            let key = dice.below(kinds).wrapping_mul(spread);
            let known = shelf.model.get(&key).cloned().unwrap_or_default();
            assert_eq!(
                shelf.find(key),
                known.into_iter().collect::<Vec<_>>(),
                "seed {seed}"
            );
        }
        shelf.check();
        if seed % 8 < 2 {
            shelf.check_without_memory();
        }
        shelf.settle();
        shelf.check();
        shelf.levels();
    }
}
