//! A running program, what it says, and its end.

use std::io::{BufRead as _, BufReader, Read};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// Longer than any start or answer takes on a slow machine.
pub(crate) const PATIENCE: Duration = Duration::from_mins(1);

/// It ends with the test, whatever becomes of it.
pub(crate) struct Program {
    child: Mutex<Child>,
    lines: Arc<Mutex<Vec<String>>>,
}

/// The program with this environment and nothing of the caller's.
pub(crate) fn command(
    arguments: &[&str],
    environment: &[(String, String)],
    folder: &Path,
) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_bursar"));
    command.args(arguments).env_clear().current_dir(folder);
    command.envs(environment.iter().map(|(name, value)| (name, value)));
    command
}

impl Program {
    pub(crate) fn start(
        arguments: &[&str],
        environment: &[(String, String)],
        folder: &Path,
    ) -> Self {
        let mut command = command(arguments, environment, folder);
        command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let lines = Arc::new(Mutex::new(Vec::new()));
        listen(child.stdout.take().unwrap(), Arc::clone(&lines));
        listen(child.stderr.take().unwrap(), Arc::clone(&lines));
        Self {
            child: Mutex::new(child),
            lines,
        }
    }

    /// What stands behind this word in the first line that has it.
    pub(crate) fn told(&self, word: &str) -> String {
        let begun = Instant::now();
        loop {
            let found = self.lines.lock().unwrap().iter().find_map(|line| {
                let (_, rest) = line.split_once(word)?;
                Some(rest.to_owned())
            });
            if let Some(found) = found {
                return found;
            }
            assert!(
                self.lives() && begun.elapsed() < PATIENCE,
                "{word:?} was not said: {:?}",
                self.lines.lock().unwrap()
            );
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    pub(crate) fn lives(&self) -> bool {
        self.child.lock().unwrap().try_wait().unwrap().is_none()
    }

    /// Looks at what was said since the last time.
    pub(crate) fn drain(&self) -> Vec<String> {
        std::mem::take(&mut self.lines.lock().unwrap())
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let child = self.child.get_mut().unwrap();
        let _ = child.kill();
        let _ = child.wait();
    }
}

fn listen(stream: impl Read + Send + 'static, lines: Arc<Mutex<Vec<String>>>) {
    std::thread::spawn(move || {
        for line in BufReader::new(stream).lines().map_while(Result::ok) {
            lines.lock().unwrap().push(line);
        }
    });
}
