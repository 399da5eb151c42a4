//! The program as a shell sees it.

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
