//! The program as a shell sees it.

#![expect(clippy::unwrap_used, reason = "a helper of a test fails the test")]

use std::process::{Command, Stdio};

fn bursar(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_bursar"));
    command
        .args(arguments)
        .env_clear()
        .stdin(Stdio::null())
        .stderr(Stdio::piped());
    command
}

#[test]
fn a_reader_that_has_gone_does_not_change_the_result() {
    let folder = tempfile::tempdir().unwrap();
    for arguments in [
        &["config", "--default"][..],
        &["config"],
        &["doctor", "--offline"],
    ] {
        let run = |output: Stdio| {
            let mut command = bursar(arguments);
            command.current_dir(folder.path()).stdout(output);
            command.output().unwrap()
        };
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let (unread, read) = (run(writer.into()), run(Stdio::piped()));
        let said = String::from_utf8_lossy(&unread.stderr);
        assert_eq!(
            unread.status.code(),
            read.status.code(),
            "{arguments:?}: {said}"
        );
        assert!(!said.contains("panicked"), "{arguments:?}: {said}");
    }
}

/// What a run has said on standard output, and how it ended.
fn run(arguments: &[&str]) -> (String, Option<i32>) {
    let output = bursar(arguments).stdout(Stdio::piped()).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    (said, output.status.code())
}

#[test]
fn a_copy_is_restored_into_an_empty_folder_and_in_recovery_mode() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    let (live, copy, again) = (path("live"), path("copy.db"), path("again"));
    let made = run(&["key", "create", "--admin", "--data", &live]);
    assert_eq!(made.1, Some(0), "{}", made.0);
    assert_eq!(
        run(&["recovery", "show", "--data", &live]).0,
        "not in recovery mode\n"
    );

    assert_eq!(run(&["backup", "--to", &copy, "--data", &live]).1, Some(0));
    // Neither a copy nor a database is ever written over.
    assert_eq!(run(&["backup", "--to", &copy, "--data", &live]).1, Some(1));
    assert_eq!(
        run(&["restore", "--from", &copy, "--data", &live]).1,
        Some(1)
    );
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        let permissions = std::fs::metadata(&copy).unwrap().permissions();
        assert_eq!(permissions.mode() & 0o777, 0o600);
    }

    let restored = run(&["restore", "--from", &copy, "--data", &again]);
    assert_eq!(restored.1, Some(0), "{}", restored.0);
    let digest = |data: &str| run(&["audit", "--digest", "--data", data]);
    assert_eq!(digest(&live), digest(&again));
    let shown = run(&["recovery", "show", "--data", &again]).0;
    assert!(shown.starts_with("in recovery mode since"), "{shown}");
    assert_eq!(
        run(&["recovery", "end", "--data", &again]).0,
        "recovery mode has ended\n"
    );
    assert_eq!(
        run(&["recovery", "show", "--data", &again]).0,
        "not in recovery mode\n"
    );
}

#[test]
fn what_is_no_copy_is_not_restored() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    std::fs::write(path("text"), "no database").unwrap();
    let refused = run(&["restore", "--from", &path("text"), "--data", &path("data")]);
    assert_eq!(refused.1, Some(1));
    assert!(!folder.path().join("data").join("bursar.db").exists());
}

#[test]
fn a_reconciliation_that_cannot_be_made_has_a_status_of_its_own() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().display().to_string();
    assert_eq!(run(&["reconcile", "--data", &data]).1, Some(2));
}
