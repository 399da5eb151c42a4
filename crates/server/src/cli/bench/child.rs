//! The two servers that are measured: processes of this same program, ended with the benchmark.

use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};

/// Signs and verifies the events of the benchmark. It opens nothing.
pub(super) const WEBHOOK_SECRET: &str = "whsec_bench4Wq7Tz1Lk9Xr3Vn6Pd2Mf8Hs5";

/// A key of no account: the service asks for one before it takes payments.
const SECRET_KEY: &str = "sk_test_bench4Wq7Tz1Lk9Xr3Vn6Pd2Mf8Hs5";

/// How long a server may take to end after it was asked to.
const STOP_MAX: Duration = Duration::from_mins(1);

/// What `bursar serve` writes in front of its address.
const ANNOUNCEMENT: &str = "serving on http://";

/// A server in a process of its own. Killed when dropped.
#[derive(Debug)]
pub(super) struct Server {
    process: Child,
    /// Where it listens.
    pub(super) address: SocketAddr,
}

impl Server {
    /// The service as in production: nothing is switched off. Nobody answers at the address of its Stripe.
    pub(super) fn serve(data: &Path) -> anyhow::Result<Self> {
        let mut command = Command::new(std::env::current_exe()?);
        command
            .args([
                "serve",
                "--listen",
                "127.0.0.1:0",
                "--base-url",
                "http://127.0.0.1",
                "--data",
            ])
            .arg(data)
            .env("STRIPE_SECRET_KEY", SECRET_KEY)
            .env("STRIPE_WEBHOOK_SECRET", WEBHOOK_SECRET)
            .env("STRIPE_API_BASE_URL", "http://127.0.0.1:9")
            // There is nobody at that address to compare the books with.
            .env("BURSAR_RECONCILE_EVENTS_SECONDS", "0")
            .env("BURSAR_RECONCILE_OBJECTS_SECONDS", "0");
        Self::start(command, data)
    }

    /// The handler that does nothing, behind the same listener.
    pub(super) fn nothing(folder: &Path) -> anyhow::Result<Self> {
        let mut command = Command::new(std::env::current_exe()?);
        command.args(["bench", "nothing"]);
        Self::start(command, folder)
    }

    fn start(mut command: Command, folder: &Path) -> anyhow::Result<Self> {
        seclude(&mut command, folder);
        let mut process = command
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .context("the server cannot be started")?;
        let stderr = process
            .stderr
            .take()
            .context("the server's output is missing")?;
        let mut lines = BufReader::new(stderr).lines();
        let mut said = Vec::new();
        let address = loop {
            let Some(line) = lines.next().transpose()? else {
                let _ = process.wait();
                bail!("the server did not start: {}", said.join("\n"));
            };
            match line.split_once(ANNOUNCEMENT) {
                Some((_, address)) => break address.parse()?,
                None => said.push(line),
            }
        };
        // Whatever it says later is shown: a full pipe would stop it.
        std::thread::spawn(move || {
            lines
                .map_while(Result::ok)
                .for_each(|line| eprintln!("{line}"));
        });
        Ok(Self { process, address })
    }

    /// What the process has used so far.
    pub(super) fn usage(&self) -> Usage {
        Usage::of(self.id())
    }

    /// The number of the process.
    pub(super) fn id(&self) -> u32 {
        self.process.id()
    }

    /// Asks the process to end, as a service manager does, and waits until it has.
    pub(super) async fn stop(mut self) -> anyhow::Result<()> {
        // The standard library has no other signal than SIGKILL; every shell has `kill` built in.
        let asked = Command::new("sh")
            .args(["-c", "kill -TERM \"$0\"", &self.process.id().to_string()])
            .status()
            .context("there is no shell to send SIGTERM with")?;
        if !asked.success() {
            bail!("SIGTERM could not be sent");
        }
        let begun = Instant::now();
        loop {
            match self.process.try_wait()? {
                Some(status) if status.success() => return Ok(()),
                Some(status) => bail!("the server did not stop cleanly: {status}"),
                None if begun.elapsed() > STOP_MAX => {
                    bail!("the server did not stop within {STOP_MAX:?}")
                }
                None => tokio::time::sleep(Duration::from_millis(10)).await,
            }
        }
    }

    /// Ends the process as a power cut would: without any chance to tidy up.
    pub(super) fn kill(mut self) -> anyhow::Result<()> {
        self.process.kill()?;
        self.process.wait()?;
        Ok(())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Runs this program with these arguments on a data folder, and waits for it.
pub(super) fn run(arguments: &[&str], data: &Path) -> anyhow::Result<Output> {
    let mut command = Command::new(std::env::current_exe()?);
    command.args(arguments).arg("--data").arg(data);
    seclude(&mut command, data);
    command
        .output()
        .with_context(|| format!("bursar {} cannot be run", arguments.join(" ")))
}

/// Lets a command begin in this folder and without this environment, so that no configuration of this machine is picked up.
fn seclude(command: &mut Command, folder: &Path) {
    let kept = std::env::vars_os().filter(|(name, _)| name == "PATH" || name == "RUST_BACKTRACE");
    let given: Vec<_> = command
        .get_envs()
        .filter_map(|(name, value)| Some((name.to_owned(), value?.to_owned())))
        .collect();
    command
        .env_clear()
        .envs(kept)
        .envs(given)
        .current_dir(folder)
        .stdin(Stdio::null());
}

/// What a process has used.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Usage {
    /// Memory in use, in bytes.
    pub(super) resident: u64,
    /// Most memory in use at any time, in bytes.
    pub(super) resident_peak: u64,
    /// Processor time, in microseconds, in steps of 10,000.
    pub(super) processor_micros: u64,
    /// Bytes handed to the disk.
    pub(super) written: u64,
}

impl Usage {
    /// What this process has used so far. Zeros where the system does not tell.
    pub(super) fn of(process: u32) -> Self {
        let read = |file: &str| {
            std::fs::read_to_string(format!("/proc/{process}/{file}")).unwrap_or_default()
        };
        Self::read(&read("status"), &read("stat"), &read("io"))
    }

    /// Reads the texts Linux has in `/proc`.
    fn read(status: &str, stat: &str, io: &str) -> Self {
        let field = |text: &str, name: &str| -> u64 {
            let line = text.lines().find_map(|line| line.strip_prefix(name));
            line.and_then(|rest| rest.split_whitespace().next()?.parse().ok())
                .unwrap_or(0)
        };
        // The name in parentheses may hold blanks; user and system time are the 12th and 13th field behind it.
        let behind_name = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
        let ticks: u64 = behind_name
            .split_whitespace()
            .skip(11)
            .take(2)
            .filter_map(|ticks| ticks.parse::<u64>().ok())
            .sum();
        Self {
            resident: field(status, "VmRSS:") * 1024,
            resident_peak: field(status, "VmHWM:") * 1024,
            processor_micros: ticks * 10_000,
            written: field(io, "write_bytes:"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn usage_is_read_from_what_linux_says() {
        let stat = "42 (bur sar) S 1 2 3 4 5 6 7 8 9 10 250 50 0 0 20 0";
        let status = "Name:\tbursar\nVmHWM:\t   2048 kB\nVmRSS:\t   1024 kB\n";
        let usage = Usage::read(status, stat, "rchar: 1\nwrite_bytes: 77\n");
        let expected = Usage {
            resident: 1_048_576,
            resident_peak: 2_097_152,
            processor_micros: 3_000_000,
            written: 77,
        };
        assert_eq!(usage, expected);
        assert_eq!(Usage::read("", "", ""), Usage::default());
    }
}
