//! Two ways for nodes to share wallets on a PostgreSQL server, next to each other in one run: rows that every node locks, which is
//! what Bursar does, and shards that are leased to one node each, with a fencing token in every commit. The second way is an
//! experiment (`docs/adr/0016`): the real engine and the real statements, over a connection that answers from memory what a
//! leaseholder knows.
//!
//! `cargo run --release -p bursar-engine --example leases -- 'postgres://bursar@/bench?host=/run/postgresql' 5 3` fills an empty
//! database and charges for five seconds with each, three times.

#![expect(
    clippy::print_stdout,
    reason = "an example that measures has to say what it measured"
)]

mod leased;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bursar_domain::amount::Unit;
use bursar_domain::charge::{Charge, Price};
use bursar_domain::command::{Adjust, AnswerKey, Command, Request, RequestHash};
use bursar_domain::id::UserId;
use bursar_domain::journal::Remark;
use bursar_domain::limit::Spender;
use bursar_domain::policy::Policy;
use bursar_engine::RandomIds;
use bursar_engine::batch::Batch;
use bursar_engine::clock::SystemClock;
use bursar_store::connection::Connection as _;
use bursar_store::postgres::{Address, Postgres};
use bursar_store::query::Reader;
use bursar_store::{Sizes, Store, audit};
use leased::{Lease, Node, WAITS};

type Failure = Box<dyn std::error::Error + Send + Sync>;

const WALLETS: usize = 10_000;

/// What is compared: which way, how many nodes, and whether all of it is one wallet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Case {
    is_hot: bool,
    batch: usize,
    nodes: usize,
    leased: bool,
}

/// What one run gave.
#[derive(Debug, Clone, Copy, Default)]
struct Run {
    charges: u64,
    batches: u64,
    per_second: u64,
    waits: u64,
    log_bytes: i64,
    server_micros: u64,
}

fn main() -> Result<(), Failure> {
    let arguments: Vec<String> = std::env::args().collect();
    let number = |place: usize, otherwise: u64| -> u64 {
        let given = arguments.get(place).and_then(|text| text.parse().ok());
        given.unwrap_or(otherwise)
    };
    let url = arguments.get(1).ok_or("an address: postgres://…")?;
    let address = Address::parse(url)?;
    let (seconds, rounds) = (number(2, 5), number(3, 3));
    fill(&address)?;
    let mut runs: BTreeMap<Case, Vec<Run>> = BTreeMap::new();
    for _ in 0..rounds {
        for case in cases() {
            let run = measure(&address, case, seconds)?;
            println!("{case:?}: {run:?}");
            runs.entry(case).or_default().push(run);
        }
    }
    let report = audit::run(&mut Reader::over(Box::new(Postgres::open(address)?)))?;
    if !report.differences.is_empty() {
        return Err(format!("the books are wrong: {:?}", report.differences).into());
    }
    println!(
        "| case | batch | nodes | | charges a second | waits a batch | log, a charge | server's processor, a charge |"
    );
    println!("|---|---|---|---|---|---|---|---|");
    for (case, runs) in runs {
        show(case, &runs);
    }
    Ok(())
}

/// A shard with the hot wallet belongs to one node, so two of them have nothing to share there.
fn cases() -> impl Iterator<Item = Case> {
    let all = [(false, 32), (false, 256), (true, 32)];
    let all = all.into_iter().flat_map(|(is_hot, batch)| {
        [(1, false), (1, true), (2, false), (2, true)].map(|(nodes, leased)| Case {
            is_hot,
            batch,
            nodes,
            leased,
        })
    });
    all.filter(|case| !(case.is_hot && case.leased && case.nodes == 2))
}

fn show(case: Case, runs: &[Run]) {
    let median = |of: &dyn Fn(&Run) -> u64| {
        let mut values: Vec<u64> = runs.iter().map(of).collect();
        values.sort_unstable();
        values[values.len() / 2]
    };
    println!(
        "| {} | {} | {} | {} | {} | {}.{:02} | {} bytes | {} µs |",
        if case.is_hot {
            "one hot wallet"
        } else {
            "uniform"
        },
        case.batch,
        case.nodes,
        if case.leased { "leased" } else { "rows locked" },
        median(&|run| run.per_second),
        median(&|run| run.waits * 100 / run.batches.max(1)) / 100,
        median(&|run| run.waits * 100 / run.batches.max(1)) % 100,
        median(&|run| u64::try_from(run.log_bytes).unwrap_or(0) / run.charges.max(1)),
        median(&|run| run.server_micros / run.charges.max(1)),
    );
}

fn node(address: &Address, is_leased: bool) -> Result<(Batch, i64), Failure> {
    let mut server = Postgres::open(address.clone())?;
    let sql = "SELECT CAST(pg_backend_pid() AS BIGINT)";
    let rows = server.rows(sql, vec![])?;
    let process = rows.first().ok_or("no answer")?.integer(0)?;
    let connection = Node::new(server, is_leased.then(Lease::default));
    let sizes = Sizes {
        kept: 2 * WALLETS,
        ..Sizes::default()
    };
    let batch = Batch {
        store: Store::open_sized(Box::new(connection), sizes)?,
        ids: Box::new(RandomIds::default()),
        policy: Policy::standard(),
        clock: Arc::new(SystemClock),
    };
    Ok((batch, process))
}

fn user(number: usize) -> Result<UserId, Failure> {
    UserId::parse(&format!("bench-{number}")).ok_or_else(|| "a user id".into())
}

fn run(node: &mut Batch, requests: &[Request]) -> Result<(), Failure> {
    let asked: Vec<&Request> = requests.iter().collect();
    for (answer, _) in node.run(&asked)?.answers {
        answer?;
    }
    Ok(())
}

fn fill(address: &Address) -> Result<(), Failure> {
    let (mut node, _) = node(address, false)?;
    Lease::prepare(&mut Postgres::open(address.clone())?)?;
    for first in (0..WALLETS).step_by(500) {
        let give = |number| {
            let adjust = Adjust {
                user: user(number)?,
                credits: 100_000_000,
                remark: Remark::default(),
            };
            Ok(Request {
                command: Command::Adjust(adjust),
                idempotency: None,
            })
        };
        let requests = (first..first + 500)
            .map(give)
            .collect::<Result<Vec<_>, Failure>>()?;
        run(&mut node, &requests)?;
    }
    Ok(node.store.catch_up()?)
}

fn charge(number: usize) -> Result<Request, Failure> {
    static KEY: AtomicU64 = AtomicU64::new(0);
    let started = std::process::id();
    let charge = Charge {
        user: user(number)?,
        unit: Unit::CREDIT,
        price: Price::Exactly(1),
        allow_debt: false,
        spender: Spender::default(),
        remark: Remark::default(),
    };
    let key = AnswerKey {
        principal: "bench".to_owned(),
        route: "charge".to_owned(),
        key: format!("{started}-{}", KEY.fetch_add(1, Ordering::Relaxed)),
    };
    Ok(Request {
        command: Command::Charge(charge),
        idempotency: Some((key, RequestHash([1; 16]))),
    })
}

/// How much processor time a process of this machine has taken, in microseconds; 0 if the server is elsewhere.
fn processor_time(process: i64) -> u64 {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    let fields = stat
        .rsplit(')')
        .next()
        .unwrap_or_default()
        .split_whitespace();
    // utime and stime, in hundredths of a second.
    let ticks: u64 = fields
        .skip(11)
        .take(2)
        .filter_map(|field| field.parse::<u64>().ok())
        .sum();
    ticks * 10_000
}

fn log_position(server: &mut Postgres) -> Result<i64, Failure> {
    let sql = "SELECT CAST(pg_current_wal_lsn() - CAST('0/0' AS pg_lsn) AS BIGINT)";
    Ok(server
        .rows(sql, vec![])?
        .first()
        .ok_or("no answer")?
        .integer(0)?)
}

fn measure(address: &Address, case: Case, seconds: u64) -> Result<Run, Failure> {
    let mut server = Postgres::open(address.clone())?;
    let mut nodes = Vec::new();
    for _ in 0..case.nodes {
        nodes.push(node(address, case.leased)?);
    }
    // A leaseholder has all its wallets in memory, and so does a node that has run for a while.
    let shards = if case.leased { case.nodes } else { 1 };
    for (place, (node, _)) in nodes.iter_mut().enumerate() {
        for first in (place % shards..WALLETS).step_by(500 * shards) {
            let numbers = (first..WALLETS).step_by(shards).take(500);
            let requests = numbers.map(charge).collect::<Result<Vec<_>, _>>()?;
            run(node, &requests)?;
        }
    }
    let processes: Vec<i64> = nodes.iter().map(|(_, process)| *process).collect();
    let times = || processes.iter().map(|it| processor_time(*it)).sum::<u64>();
    let before = (
        WAITS.load(Ordering::Relaxed),
        log_position(&mut server)?,
        times(),
    );
    let (begun, length) = (Instant::now(), Duration::from_secs(seconds));
    let work = |place: usize, node: &mut Batch| -> Result<u64, Failure> {
        let mut random = 0x9e37_79b9_7f4a_7c15_u64 ^ ((place as u64 + 1) << 20);
        let mut batches = 0;
        while begun.elapsed() < length {
            let mut requests = Vec::with_capacity(case.batch);
            for _ in 0..case.batch {
                random ^= random << 13;
                random ^= random >> 7;
                random ^= random << 17;
                let who = usize::try_from(random)? % (WALLETS / shards) * shards + place % shards;
                requests.push(charge(if case.is_hot { 0 } else { who })?);
            }
            run(node, &requests)?;
            batches += 1;
        }
        Ok(batches)
    };
    let batches = std::thread::scope(|scope| {
        let threads: Vec<_> = nodes
            .iter_mut()
            .enumerate()
            .map(|(place, (node, _))| scope.spawn(move || work(place, node)))
            .collect();
        let done = threads
            .into_iter()
            .map(|thread| thread.join().map_err(|_| "a node panicked")?);
        done.sum::<Result<u64, Failure>>()
    })?;
    let millis = u64::try_from(begun.elapsed().as_millis())?.max(1);
    let charges = batches * case.batch as u64;
    let run = Run {
        charges,
        batches,
        per_second: charges * 1_000 / millis,
        waits: WAITS.load(Ordering::Relaxed) - before.0,
        log_bytes: log_position(&mut server)? - before.1,
        server_micros: times() - before.2,
    };
    for (node, _) in &mut nodes {
        node.store.catch_up()?;
    }
    Ok(run)
}
