//! A run: the state of everything, and what one step does to it.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

use bursar_domain::command::Request;
use bursar_domain::time::Time;
use bursar_store::postgres::Address;
use tempfile::TempDir;

use crate::call::give_up_calls;
use crate::client::Clients;
use crate::model::Model;
use crate::node::{self, NODES_MAX, Node, Place};
use crate::reach::{From, Waiting};
use crate::script::{Script, Step};
use crate::stripe::{BEGIN, Stripe, Told};
use crate::{check, end};

/// So many requests may wait; more are told to come back.
const QUEUE_MAX: usize = 32;

/// After so many steps wallets and Stripe are looked at.
const LOOK_STEPS: usize = 16;

/// After so many steps the whole journal is audited.
const AUDIT_STEPS: usize = 128;

/// What went wrong, and at which step; a step beyond the last is one after the faults had stopped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// How many steps had been done.
    pub step: usize,
    /// What was wrong.
    pub what: String,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "after {} steps: {}", self.step, self.what)
    }
}

/// How often what happened, so that a run in which nothing happens is not taken for a good one.
pub type Seen = BTreeMap<&'static str, u64>;

pub(crate) struct Run {
    pub(crate) nodes: Vec<Node>,
    pub(crate) stripe: Stripe,
    pub(crate) clients: Clients,
    pub(crate) model: Model,
    /// All that Stripe has told so far.
    pub(crate) told: Vec<Told>,
    /// Whether nodes have a real server.
    pub(crate) is_real: bool,
    pub(crate) seen: Seen,
    _folder: TempDir,
}

/// Plays a script to its end, and what comes after it. The failure is the first one.
pub fn play(script: &Script) -> Result<Seen, Failure> {
    play_in(script, &Place::Server)
}

/// The same, and several nodes have a real server: an empty database, or an empty schema of one. There, batches of nodes meet in the
/// middle.
pub fn play_on(script: &Script, server: Address) -> Result<Seen, Failure> {
    play_in(script, &Place::Postgres(Box::new(server)))
}

fn play_in(script: &Script, server: &Place) -> Result<Seen, Failure> {
    let failed = |step: usize| move |what: String| Failure { step, what };
    let mut run = Run::new(script, server).map_err(failed(0))?;
    for (number, step) in script.steps.iter().enumerate() {
        let done = number + 1;
        run.step(*step).map_err(failed(done))?;
        if done % LOOK_STEPS == 0 {
            check::look(&mut run, done / LOOK_STEPS).map_err(failed(done))?;
        }
        if done % AUDIT_STEPS == 0 {
            check::audit(&mut run).map_err(failed(done))?;
        }
    }
    end::settle(&mut run).map_err(failed(script.steps.len() + 1))?;
    run.model.count(&mut run.seen);
    for node in &run.nodes {
        let inner = node.reach.inner();
        let seen = inner.seen.iter();
        seen.for_each(|(what, count)| *run.seen.entry(what).or_default() += count);
    }
    Ok(run.seen)
}

/// Memory, where the system has a file system in it: what is tested is what is written, not how fast a disk syncs.
fn folder() -> std::io::Result<TempDir> {
    let memory = Path::new("/dev/shm");
    if memory.is_dir() {
        tempfile::tempdir_in(memory)
    } else {
        tempfile::tempdir()
    }
}

pub(crate) fn text(error: impl fmt::Display) -> String {
    error.to_string()
}

impl Run {
    fn new(script: &Script, server: &Place) -> Result<Self, String> {
        let folder = folder().map_err(text)?;
        let count = script.nodes.clamp(1, NODES_MAX);
        let place = if count > 1 { server } else { &Place::File };
        let begin = Time::from_seconds(BEGIN);
        let nodes = (0..count as u64).map(|number| {
            let drawn = (script.seed, number);
            Node::start(folder.path(), drawn, place.clone(), begin).map_err(text)
        });
        let nodes = nodes.collect::<Result<Vec<_>, _>>()?;
        let model = Model::new(&nodes[0].policy);
        let mut seen = Seen::new();
        seen.insert("two_nodes", u64::from(count > 1));
        Ok(Self {
            nodes,
            stripe: Stripe::new(script.seed),
            clients: Clients::default(),
            model,
            told: Vec::new(),
            is_real: matches!(place, Place::Postgres(_)),
            seen,
            _folder: folder,
        })
    }

    /// The node at which a step happens.
    pub(crate) fn at(&self, step: Step) -> usize {
        step.node as usize % self.nodes.len()
    }

    pub(crate) fn count(&mut self, what: &'static str) {
        *self.seen.entry(what).or_default() += 1;
    }

    /// What time it is for a node.
    pub(crate) fn now(&self, at: usize) -> Time {
        Time::from_seconds(self.stripe.now + self.nodes[at].ahead)
    }

    /// Time passes, everywhere.
    pub(crate) fn wait(&mut self, seconds: i64) {
        self.stripe.wait(seconds);
        for node in &mut self.nodes {
            let now = self.stripe.now + node.ahead;
            node.reach.clock.set(Time::from_seconds(now));
            give_up_calls(node, now);
        }
    }

    /// Asks the writer of a node, unless too much is waiting.
    pub(crate) fn submit(&mut self, at: usize, request: Request, from: From) -> bool {
        let mut inner = self.nodes[at].reach.inner();
        let has_room = inner.queue.len() < QUEUE_MAX;
        if has_room {
            inner.queue.push(Waiting { request, from });
        }
        drop(inner);
        if !has_room {
            self.count("busy");
        }
        has_room
    }

    /// A node dies and starts again.
    pub(crate) fn crash(&mut self, at: usize) -> Result<(), String> {
        self.lose_clients(at);
        self.nodes[at].crash().map_err(text)
    }

    /// A node dies, and takes over the slot of another one when it starts again.
    pub(crate) fn steal(&mut self, at: usize) -> Result<(), String> {
        let victim = (at + 1) % self.nodes.len();
        let Some(slot) = self.nodes[victim].slot().filter(|_| victim != at) else {
            return Ok(());
        };
        self.count("slots_stolen");
        self.lose_clients(at);
        self.nodes[at].crash_into(slot).map_err(text)
    }

    /// The operator changes packages, and starts all nodes again.
    pub(crate) fn reprice(&mut self, number: u32) -> Result<(), String> {
        let currency = self.nodes[0].policy.credit_price.currency;
        let packages = node::packages(number, currency);
        self.model.reprice(&packages);
        for at in 0..self.nodes.len() {
            self.lose_clients(at);
            self.nodes[at].sell(packages.clone()).map_err(text)?;
        }
        Ok(())
    }

    fn lose_clients(&mut self, at: usize) {
        self.count("crashes");
        if self.nodes.len() == 1 {
            self.model.restart();
        }
        let all = self.clients.asked.iter_mut();
        all.for_each(|asked| asked.waits[at] = false);
    }
}
