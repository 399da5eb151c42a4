//! The journal: what was answered, on disk.
//!
//! A file of JSON lines. Every line is one batch of changes, so that a batch is there as a whole or not at all.
//! The state of the sandbox is what comes out when all lines are played back in order.
//!
//! There is no fsync, on purpose. What has been handed to the operating system by `write` outlives the process,
//! whatever ends it: `kill -9` loses nothing that was answered. Only a crash of the whole machine can lose the
//! last moments, and a sandbox holds nothing that would be worth a disk flush for every request.

use std::collections::HashMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use crate::records::{Change, Collection};

/// Below this number of changes a file is short enough to be played back as it is.
const WORTH_COMPACTING: usize = 2_000;

/// How often another process is given time to let go of the file, and how much each time: one second in all.
const LOCK_TRIES: u32 = 50;
const LOCK_PAUSE: Duration = Duration::from_millis(20);

/// An append-only file of changes, held by one process at a time.
#[derive(Debug)]
pub struct Journal {
    file: File,
    path: PathBuf,
    /// Bytes up to the end of the last whole line.
    length: u64,
    /// Kept open for as long as the journal is; the lock on it goes with the process.
    _lock: File,
}

impl Journal {
    /// Opens the file, or makes it, and reads the changes in it, oldest first. A last line that was cut off by
    /// the end of a process is removed. A file that has grown much longer than what is left of its content is
    /// rewritten in short.
    ///
    /// # Errors
    /// When the file cannot be opened, read or written; when another process holds it
    /// ([`io::ErrorKind::WouldBlock`]); when a line in the middle is not what this program writes
    /// ([`io::ErrorKind::InvalidData`]).
    pub fn open(path: &Path) -> io::Result<(Self, Vec<Change>)> {
        let lock = lock(path)?;
        let mut file = open_private(path)?;
        let mut text = Vec::new();
        file.read_to_end(&mut text)?;
        let whole = text
            .iter()
            .rposition(|byte| *byte == b'\n')
            .map_or(0, |last| last + 1);
        let changes = read(&text[..whole], path)?;
        if whole < text.len() {
            file.set_len(whole as u64)?;
        }
        let mut journal = Self {
            file,
            path: path.to_owned(),
            length: whole as u64,
            _lock: lock,
        };
        let live = newest_of_each(&changes);
        if changes.len() >= WORTH_COMPACTING && live.len() < changes.len() / 2 {
            journal.rewrite(&live)?;
            return Ok((journal, live));
        }
        Ok((journal, changes))
    }

    /// Adds changes as one line, with one write; when it returns they outlive the process.
    ///
    /// # Errors
    /// When the line cannot be written. Nothing of it is left in the file then.
    pub fn append(&mut self, changes: &[Change]) -> io::Result<()> {
        if changes.is_empty() {
            return Ok(());
        }
        let line = line(changes)?;
        if let Err(error) = self.file.write_all(&line) {
            // Half a line (a full disk) in front of the next one would make the file unreadable.
            self.file.set_len(self.length)?;
            return Err(error);
        }
        self.length += line.len() as u64;
        Ok(())
    }

    /// Puts a new file with these changes in the place of the old one; at every moment one of the two is there.
    fn rewrite(&mut self, changes: &[Change]) -> io::Result<()> {
        let beside = with_suffix(&self.path, ".new");
        if beside.exists() {
            fs::remove_file(&beside)?;
        }
        let mut file = open_private(&beside)?;
        let line = line(changes)?;
        file.write_all(&line)?;
        // Here, and only here, the disk is waited for: the old file is about to go.
        file.sync_all()?;
        fs::rename(&beside, &self.path)?;
        self.file = file;
        self.length = line.len() as u64;
        Ok(())
    }
}

fn line(changes: &[Change]) -> io::Result<Vec<u8>> {
    let mut line = serde_json::to_vec(changes)?;
    line.push(b'\n');
    Ok(line)
}

fn read(text: &[u8], path: &Path) -> io::Result<Vec<Change>> {
    let mut changes = Vec::new();
    for (number, line) in text.split_inclusive(|byte| *byte == b'\n').enumerate() {
        let batch: Vec<Change> = serde_json::from_slice(line).map_err(|error| {
            let path = path.display();
            let said = format!(
                "{path}, line {}: not a batch of changes ({error})",
                number + 1
            );
            io::Error::new(io::ErrorKind::InvalidData, said)
        })?;
        changes.extend(batch);
    }
    Ok(changes)
}

/// The last change of every record, in the order of insertion. Records that are gone are left out, but for the
/// newest: it tells how many records there have ever been.
fn newest_of_each(changes: &[Change]) -> Vec<Change> {
    let last = changes.iter().map(|change| change.seq).max();
    let mut newest: HashMap<(Collection, &str), &Change> = HashMap::new();
    for change in changes {
        newest.insert((change.collection, &change.id), change);
    }
    let mut live: Vec<Change> = newest
        .into_values()
        .filter(|change| change.value.is_some() || Some(change.seq) == last)
        .cloned()
        .collect();
    live.sort_unstable_by_key(|change| change.seq);
    live
}

/// Takes the place of the one process that writes the file. The lock is on a file of its own, because the
/// journal itself is replaced when it is rewritten.
fn lock(path: &Path) -> io::Result<File> {
    let lock = open_private(&with_suffix(path, ".lock"))?;
    let mut tries = 0;
    while let Err(error) = lock.try_lock() {
        // A process that was killed a moment ago may not be quite gone.
        if tries == LOCK_TRIES {
            let path = path.display();
            let said =
                format!("{path} is in use by another running sandbox; stop it first ({error})");
            return Err(io::Error::new(io::ErrorKind::WouldBlock, said));
        }
        tries += 1;
        thread::sleep(LOCK_PAUSE);
    }
    Ok(lock)
}

/// Opens a file for reading and appending that only its owner may read: it holds webhook secrets.
fn open_private(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).append(true).create(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt;
        options.mode(0o600);
    }
    options
        .open(path)
        .map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", path.display())))
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::records::Records;

    fn change(n: u64, value: Option<i64>) -> Change {
        Change {
            collection: Collection::Object,
            id: format!("ch_{n}"),
            value: value.map(|n| json!({"object": "charge", "n": n})),
            seq: n,
        }
    }

    fn played_back(changes: Vec<Change>) -> Records {
        let mut records = Records::default();
        for change in changes {
            records.load(change);
        }
        records
    }

    #[test]
    fn what_was_appended_is_there_when_opened_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("sandbox.jsonl");
        let (mut journal, changes) = Journal::open(&path).unwrap();
        assert!(changes.is_empty());
        journal
            .append(&[change(0, Some(1)), change(1, Some(2))])
            .unwrap();
        journal.append(&[]).unwrap();
        journal.append(&[change(0, None)]).unwrap();
        drop(journal);
        assert_eq!(fs::read_to_string(&path).unwrap().lines().count(), 2);
        let (_journal, changes) = Journal::open(&path).unwrap();
        assert_eq!(
            changes,
            [change(0, Some(1)), change(1, Some(2)), change(0, None)]
        );
    }

    #[test]
    fn a_line_cut_off_at_any_byte_is_forgotten_as_a_whole() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("sandbox.jsonl");
        let (mut journal, _) = Journal::open(&path).unwrap();
        journal.append(&[change(0, Some(1))]).unwrap();
        let kept = fs::metadata(&path).unwrap().len();
        journal
            .append(&[change(1, Some(2)), change(2, Some(3))])
            .unwrap();
        drop(journal);
        let whole = fs::read(&path).unwrap();
        for end in usize::try_from(kept).unwrap()..whole.len() {
            fs::write(&path, &whole[..end]).unwrap();
            let (mut journal, changes) = Journal::open(&path).unwrap();
            assert_eq!(changes, [change(0, Some(1))], "cut at byte {end}");
            assert_eq!(fs::metadata(&path).unwrap().len(), kept);
            journal.append(&[change(3, Some(4))]).unwrap();
            drop(journal);
            assert_eq!(Journal::open(&path).unwrap().1.len(), 2);
        }
    }

    #[test]
    fn a_broken_line_in_the_middle_is_an_error_that_names_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("sandbox.jsonl");
        let (mut journal, _) = Journal::open(&path).unwrap();
        journal.append(&[change(0, Some(1))]).unwrap();
        drop(journal);
        let mut text = fs::read(&path).unwrap();
        text.extend_from_slice(b"half\n[]\n");
        fs::write(&path, &text).unwrap();
        let error = Journal::open(&path).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidData);
        assert!(error.to_string().contains("line 2"), "{error}");
        assert_eq!(fs::read(&path).unwrap(), text, "the evidence is left alone");
    }

    #[test]
    fn a_long_file_is_rewritten_and_means_the_same() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("sandbox.jsonl");
        let (mut journal, _) = Journal::open(&path).unwrap();
        let mut records = Records::default();
        for n in 0..3_000_i64 {
            records.put(
                Collection::Object,
                &format!("ch_{}", n % 10),
                json!({"n": n}),
            );
            records.put(Collection::Private, &format!("once_{n}"), json!({}));
            records.delete(Collection::Private, &format!("once_{n}"));
            journal.append(&records.drain_changes()).unwrap();
        }
        drop(journal);
        let long = fs::metadata(&path).unwrap().len();
        let (mut journal, changes) = Journal::open(&path).unwrap();
        assert!(fs::metadata(&path).unwrap().len() < long / 100);
        let short = played_back(changes);
        assert_eq!(short.snapshot(), records.snapshot());
        assert_eq!(
            short.inserted(),
            records.inserted(),
            "no id is handed out twice"
        );
        records.put(Collection::Object, "ch_new", json!({}));
        journal.append(&records.drain_changes()).unwrap();
        drop(journal);
        let (_journal, changes) = Journal::open(&path).unwrap();
        let again = played_back(changes);
        assert_eq!(again.snapshot(), records.snapshot());
        assert_eq!(
            again.inserted(),
            records.inserted(),
            "no id is handed out twice"
        );
    }

    /// Not a test of its own: the process that the next one kills. It says how far it has come after every line.
    #[test]
    #[ignore = "run by a_killed_process_loses_nothing_it_has_answered"]
    fn a_process_that_writes_until_it_is_killed() {
        let Ok(path) = std::env::var("JOURNAL_TO_WRITE") else {
            return;
        };
        let (mut journal, changes) = Journal::open(Path::new(&path)).unwrap();
        for n in changes.len() as u64.. {
            journal.append(&[change(n, Some(1))]).unwrap();
            println!("answered {n}");
        }
    }

    #[test]
    fn a_killed_process_loses_nothing_it_has_answered() {
        use std::io::{BufRead, BufReader};
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("sandbox.jsonl");
        for round in 1..=10 {
            let mut writer = std::process::Command::new(std::env::current_exe().unwrap())
                .args(["--ignored", "--nocapture", "--exact"])
                .arg("journal::tests::a_process_that_writes_until_it_is_killed")
                .env("JOURNAL_TO_WRITE", &path)
                .stdout(std::process::Stdio::piped())
                .spawn()
                .unwrap();
            let lines = BufReader::new(writer.stdout.take().unwrap()).lines();
            let answers = lines.map_while(Result::ok).filter_map(|line| {
                line.split_once("answered ")
                    .map(|(_, n)| n.parse::<u64>().unwrap())
            });
            let mut last = 0;
            for (count, n) in answers.enumerate() {
                last = n;
                if count == round * 7 {
                    writer.kill().unwrap();
                }
            }
            writer.wait().unwrap();
            let (_journal, changes) = Journal::open(&path).unwrap();
            let newest = changes.last().unwrap().seq;
            assert!(newest >= last, "{last} was answered, {newest} is on disk");
            assert_eq!(changes.len() as u64, newest + 1);
        }
    }

    #[test]
    fn only_its_owner_reads_it_and_only_one_process_writes_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("sandbox.jsonl");
        let (_journal, _) = Journal::open(&path).unwrap();
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            assert_eq!(
                fs::metadata(&path).unwrap().permissions().mode() & 0o777,
                0o600
            );
        }
        let error = Journal::open(&path).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
    }
}
