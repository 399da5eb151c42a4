//! The machine the figures belong to.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::Path;
use std::time::Instant;

use serde::Serialize;

/// How often the disk is asked to sync.
const SYNCS: usize = 200;

/// What is needed to judge the figures.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Machine {
    /// Processors this process may use.
    cores: usize,
    /// Their model.
    processor: String,
    /// The system's kernel.
    kernel: String,
    /// A write of 4 KiB and its sync, in microseconds: the middle one.
    sync_p50_us: u128,
    /// The same, exceeded by two of 200.
    sync_p99_us: u128,
}

impl Machine {
    /// Looks at this machine, and at the disk that `folder` is on.
    pub(super) fn look(folder: &Path) -> anyhow::Result<Self> {
        let syncs = syncs(&folder.join("sync"))?;
        let text = |path: &str| fs::read_to_string(path).unwrap_or_default();
        let processors = text("/proc/cpuinfo");
        let model = processors
            .lines()
            .find_map(|line| line.strip_prefix("model name")?.split_once(':'));
        Ok(Self {
            cores: std::thread::available_parallelism()?.get(),
            processor: model
                .map_or("unknown", |(_, model)| model.trim())
                .to_owned(),
            kernel: format!(
                "{} {}",
                std::env::consts::OS,
                text("/proc/sys/kernel/osrelease").trim()
            ),
            sync_p50_us: syncs[SYNCS / 2],
            sync_p99_us: syncs[SYNCS * 99 / 100],
        })
    }
}

impl std::fmt::Display for Machine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self {
            cores,
            processor,
            kernel,
            sync_p50_us,
            sync_p99_us,
        } = self;
        write!(
            f,
            "{cores} cores, {processor}, {kernel}; a synced write of 4 KiB: p50 {sync_p50_us} us, p99 {sync_p99_us} us"
        )
    }
}

/// Latencies of appending 4 KiB and syncing, in microseconds, in order of size.
fn syncs(path: &Path) -> std::io::Result<Vec<u128>> {
    let mut file = File::create(path)?;
    let mut micros = Vec::with_capacity(SYNCS);
    for _ in 0..SYNCS {
        let begun = Instant::now();
        file.write_all(&[7; 4096])?;
        file.sync_data()?;
        micros.push(begun.elapsed().as_micros());
    }
    fs::remove_file(path)?;
    micros.sort_unstable();
    Ok(micros)
}
