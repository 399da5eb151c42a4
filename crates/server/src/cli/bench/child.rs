//! The two servers that are measured: processes of this same program, ended with the benchmark.

use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use anyhow::{Context as _, bail};

use super::{SECRET_KEY, WEBHOOK_SECRET};

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
            .env("STRIPE_API_BASE_URL", "http://127.0.0.1:9");
        Self::start(command, data)
    }

    /// The handler that does nothing, behind the same listener.
    pub(super) fn nothing(folder: &Path) -> anyhow::Result<Self> {
        let mut command = Command::new(std::env::current_exe()?);
        command.args(["bench", "nothing"]);
        Self::start(command, folder)
    }

    /// Starts in a folder of its own, so that no configuration of this machine is picked up.
    fn start(mut command: Command, folder: &Path) -> anyhow::Result<Self> {
        let kept =
            std::env::vars_os().filter(|(name, _)| name == "PATH" || name == "RUST_BACKTRACE");
        let given: Vec<_> = command
            .get_envs()
            .filter_map(|(name, value)| Some((name.to_owned(), value?.to_owned())))
            .collect();
        let mut process = command
            .env_clear()
            .envs(kept)
            .envs(given)
            .current_dir(folder)
            .stdin(Stdio::null())
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

    /// What the process has used so far. Zeros where the system does not tell.
    pub(super) fn usage(&self) -> Usage {
        let read = |file: &str| {
            std::fs::read_to_string(format!("/proc/{}/{file}", self.process.id()))
                .unwrap_or_default()
        };
        Usage::read(&read("status"), &read("stat"), &read("io"))
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
