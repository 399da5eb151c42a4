//! What a batch makes sure of where other nodes write into the same database.
//!
//! A node keeps wallets in memory as one writer does, and every row is written with its batch. Before anything is decided, the rows
//! of all wallets of the batch are locked in the order of their numbers, and their versions compared with memory: one round trip,
//! however many there are. The same question says whether the node still has its slot, what was answered under the batch's keys,
//! and whether there are spending limits. Where memory is behind it is read again, under the locks, and the batch begins anew.

use std::collections::{BTreeMap, BTreeSet};
use std::thread::sleep;
use std::time::{Duration, Instant};

use bursar_domain::account::AccountKey;
use bursar_domain::command::{Answer, AnswerKey};
use bursar_domain::mark;
use bursar_domain::planted::{self, Bug};
use bursar_domain::state::{Needs, State};

use crate::answers::{self, Answers};
use crate::commit::Step;
use crate::connection::{Connection, Dialect, Parameters, Row, StoreError};
use crate::node::{self, FENCE, Found, Node};
use crate::wallets::{Sizes, Wallets};
use crate::{Memory, Store, load, seal};

const LOCK_WALLET: &str = "SELECT version FROM account WHERE number = $1 FOR UPDATE";
const LOOK_AT_WALLET: &str = "SELECT version FROM account WHERE number = $1";
const ANY_LIMIT: &str = "SELECT number FROM spending_limit LIMIT 1";
const NEWEST_PAYMENT: &str = "SELECT coalesce(max(number), 0) FROM payment";
const MARK: &str = "SELECT value FROM mark WHERE name = $1";

/// How long the server is asked what became of a commit, and the pause between.
const LOOK: Duration = Duration::from_secs(10);
const PAUSE: Duration = Duration::from_millis(250);

/// What the server has been asked for a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
enum Look {
    /// Nothing yet.
    #[default]
    None,
    /// What limits and recovery mode are.
    Seen,
    /// That, and the slot is locked.
    Fenced,
}

/// What is known of the batch under way.
#[derive(Debug, Default)]
pub(crate) struct UnderWay {
    /// Its wallets that are in memory.
    wallets: BTreeSet<AccountKey>,
    /// Which of their rows are locked.
    locked: BTreeSet<i64>,
    /// What was answered under its keys; none while nobody has looked.
    answers: BTreeMap<AnswerKey, Option<Answer>>,
    unasked: Vec<AnswerKey>,
    /// Whether it matters which payment is the newest of all nodes'.
    counts_payments: bool,
    /// What the server has been asked.
    look: Look,
    /// Whether all that was decided on is locked and as it was.
    is_settled: bool,
}

/// What a question about wallets, keys and limits has found.
struct Asked {
    fence: Vec<Row>,
    versions: Vec<Vec<Row>>,
    answers: Vec<Vec<Row>>,
    has_limits: bool,
    recovering: bool,
}

impl UnderWay {
    /// Takes note of what is asked for. Answers are not read one by one: until the batch is settled they count as not there.
    pub(crate) fn note(&mut self, needs: &mut Needs, state: &mut State) {
        self.wallets.extend(needs.wallets.iter().cloned());
        for key in std::mem::take(&mut needs.answers) {
            if let Some(known) = self.answers.get(&key) {
                state.answers.load(key, known.clone());
            } else {
                state.answers.load(key.clone(), None);
                self.unasked.push(key);
            }
        }
        self.counts_payments |= needs.marks.contains(mark::PAYMENTS_SEEN);
        self.is_settled = false;
    }

    /// Takes in what is remembered under the keys that were asked for.
    fn answered(
        &mut self,
        connection: &mut dyn Connection,
        state: &mut State,
        found: Vec<Vec<Row>>,
    ) -> Result<(), StoreError> {
        let asked = self.unasked.drain(..).zip(found);
        let found: Vec<(AnswerKey, Option<Row>)> = asked
            .map(|(key, rows)| {
                let mut rows = rows.into_iter();
                let row = rows.find(|_| !planted::is(Bug::KeyNotAsked));
                (key, row)
            })
            .collect();
        let rows: Vec<Row> = found.iter().filter_map(|(_, row)| row.clone()).collect();
        let mut given = answers::given(connection, &rows)?.into_iter();
        for (key, row) in found {
            let answer = row.and_then(|_| given.next());
            if let Some(answer) = &answer {
                state.answers.set(key.clone(), answer.clone());
            }
            self.answers.insert(key, answer);
        }
        Ok(())
    }
}

impl UnderWay {
    /// Wallets whose rows are not locked yet, with what memory knows of them, in the order in which they are locked.
    fn unlocked(&self, memory: &Memory) -> Vec<(i64, i64, AccountKey)> {
        let mut wallets: Vec<(i64, i64, AccountKey)> = self
            .wallets
            .iter()
            .filter_map(|key| {
                let (number, version) = memory.wallets.version(key)?;
                Some((number, version, key.clone()))
            })
            .filter(|(number, ..)| !self.locked.contains(number))
            .collect();
        wallets.sort_unstable();
        wallets
    }
}

impl Memory {
    /// What a node remembers at its start.
    pub(crate) fn of_node(
        connection: &mut dyn Connection,
        sizes: Sizes,
    ) -> Result<Self, StoreError> {
        let (node, is_alone) = Node::take(connection)?;
        if is_alone {
            // Nobody else is there who could be at work on a job.
            connection.execute(crate::RELEASE_CLAIMS, &[vec![]])?;
        }
        let history = node::history(connection)?;
        let newest = load::sequence(connection)?.at_least(history);
        let sequence = node.follow(newest, answers::newest(connection)?);
        Ok(Self {
            sequence,
            accounts: std::collections::HashMap::new(),
            wallets: Wallets::of_sizes(sizes, true),
            answers: Answers::on_server(connection, node::base_of_all(sequence))?,
            seal: seal::newest_of_slot(connection, node.slot)?,
            limits: load::count_limits(connection)?,
            recovering: load::is_recovering(connection)?,
            node: Some(node),
            generation: connection.generation(),
        })
    }
}

impl Store {
    /// Makes sure that the rows a batch is decided on are as memory has them, and that nobody changes them before the batch ends.
    /// To be asked when all needs are loaded; false: some were not, and the batch has to begin again with a new state.
    ///
    /// `changes`: whether the batch may change anything. Where there is only one writer this does nothing.
    pub fn settle(&mut self, state: &mut State, changes: bool) -> Result<bool, StoreError> {
        if self.under_way.is_none() {
            return Ok(true);
        }
        let settled = self.settled(state, changes);
        if let Err(error) = &settled {
            self.note_trouble(error);
            self.give_up()?;
        }
        settled
    }

    fn settled(&mut self, state: &mut State, changes: bool) -> Result<bool, StoreError> {
        // Whoever has no slot takes one, even for a question: memory is filled with it.
        if changes || self.memory.node.is_none() {
            self.begin()?;
        }
        let (Some(under_way), Some(node)) = (&mut self.under_way, self.memory.node) else {
            return Ok(false);
        };
        let memory = &mut self.memory;
        let wallets = under_way.unlocked(memory);
        let fences = changes && under_way.look < Look::Fenced;
        let connection = self.connection.as_mut();
        let is_new = fences || !wallets.is_empty() || !under_way.unasked.is_empty();
        let asked = if is_new || under_way.look == Look::None {
            let keys = &under_way.unasked;
            ask(connection, &node, (fences, changes), &wallets, keys)?
        } else {
            // All of it is locked, and what is not locked was looked at a moment ago.
            Asked {
                fence: vec![],
                versions: vec![],
                answers: vec![],
                has_limits: memory.limits > 0,
                recovering: memory.recovering,
            }
        };
        if fences && !node.check(&asked.fence)? {
            self.give_up()?;
            self.memory.node = None;
            return Ok(false);
        }
        under_way.look = under_way
            .look
            .max(if changes { Look::Fenced } else { Look::Seen });
        // A new connection may lead to another server, whose wallets have versions of their own.
        if memory.generation != connection.generation() {
            memory.generation = connection.generation();
            memory.accounts.clear();
            memory.wallets = Wallets::of_sizes(memory.wallets.sizes(), true);
            self.give_up()?;
            return Ok(false);
        }
        // A node that has just taken another slot has forgotten what the batch was given.
        let is_forgotten = |key: &&AccountKey| {
            memory.wallets.version(key).is_none() && state.wallets.get(key).is_some()
        };
        let forgotten = under_way.wallets.iter().filter(is_forgotten);
        let mut behind: Vec<AccountKey> = forgotten.cloned().collect();
        for ((number, version, key), rows) in wallets.into_iter().zip(asked.versions) {
            let stored = rows.first().map(|row| row.integer(0)).transpose()?;
            if stored != Some(version) && !planted::is(Bug::WalletNotAsked) {
                behind.push(key);
            }
            if changes {
                under_way.locked.insert(number);
            }
        }
        let mut is_right = behind.is_empty();
        memory.wallets.read(connection, &behind)?;
        under_way.answered(connection, state, asked.answers)?;
        if (asked.has_limits, asked.recovering) != (memory.limits > 0, memory.recovering) {
            memory.limits = i64::from(asked.has_limits);
            memory.recovering = asked.recovering;
            is_right = false;
        }
        if under_way.counts_payments {
            let rows = connection.rows(NEWEST_PAYMENT, vec![])?;
            state.newest_payment = rows.first().map_or(Ok(0), |row| row.integer(0))?;
        }
        let seen = under_way
            .wallets
            .iter()
            .filter_map(|key| memory.wallets.kept(key));
        let seen = seen.map(|wallet| wallet.account.head).max().unwrap_or(0);
        memory.advance(seen);
        state.sequence = memory.sequence;
        under_way.is_settled = is_right && changes;
        Ok(is_right)
    }

    /// Whether a batch that is to be committed was settled.
    pub(crate) fn check_settled(&self, state: &State) -> Result<(), StoreError> {
        let Some(under_way) = &self.under_way else {
            return Ok(());
        };
        if !under_way.is_settled {
            return Err(StoreError::Conflict("the batch was not settled".into()));
        }
        if !node::fits(self.memory.sequence, state.sequence) {
            return Err(StoreError::Refused(format!(
                "a batch that makes more than {} rows of one kind",
                node::BLOCK / 2
            )));
        }
        Ok(())
    }

    /// Takes a slot if there is none, or not any more.
    pub(crate) fn take_slot(&mut self) -> Result<(), StoreError> {
        if let Some(lost) = &self.lost {
            return Err(StoreError::Lost(lost.clone()));
        }
        if self.under_way.is_some() && self.memory.node.is_none() {
            let sizes = self.memory.wallets.sizes();
            self.memory = Memory::of_node(self.connection.as_mut(), sizes)?;
        }
        Ok(())
    }

    /// After [`StoreError::Lost`]: begins anew with what the database has now.
    pub fn accept_loss(&mut self) {
        if self.lost.take().is_some() {
            self.memory.node = None;
        }
    }

    /// What somebody else has done, memory must not go on contradicting.
    pub(crate) fn note_trouble(&mut self, error: &StoreError) {
        match error {
            // An account that did not exist may exist now.
            StoreError::Conflict(_) if planted::is(Bug::AbsenceRemembered) => {}
            StoreError::Conflict(_) => self.memory.accounts.retain(|_, account| account.is_some()),
            StoreError::Lost(what) => self.lost = Some(what.clone()),
            _ => {}
        }
    }

    /// Finds out whether a commit was done of which the server did not say. Waits for the server to come back, some seconds.
    pub(crate) fn find_out(&mut self, step: Step, why: String) -> Result<(), StoreError> {
        let Some(node) = self.memory.node else {
            return Err(StoreError::Unknown(why));
        };
        if planted::is(Bug::UnknownIsDone) {
            self.memory.take_over(step);
            return Ok(());
        }
        if planted::is(Bug::UnknownIsUndone) {
            return Err(StoreError::Conflict(why));
        }
        let begun = Instant::now();
        while begun.elapsed() < LOOK {
            match node.outcome(self.connection.as_mut()) {
                Ok(Found::Committed) => {
                    self.memory.take_over(step);
                    return Ok(());
                }
                Ok(Found::Nothing) => {
                    return Err(StoreError::Conflict(format!(
                        "the commit was not done: {why}"
                    )));
                }
                Ok(Found::Taken) => break,
                Err(error @ StoreError::Lost(_)) => {
                    self.note_trouble(&error);
                    return Err(error);
                }
                Err(_) => sleep(PAUSE),
            }
        }
        // The next batch begins with another slot, and so with numbers that nobody has used.
        self.memory.node = None;
        Err(StoreError::Unknown(why))
    }

    /// Gives the slot back, at a clean stop.
    pub(crate) fn leave(&mut self) -> Result<(), StoreError> {
        match self.memory.node.take() {
            Some(node) => node.release(self.connection.as_mut()),
            None => Ok(()),
        }
    }
}

/// Asks all at once.
fn ask(
    connection: &mut dyn Connection,
    node: &Node,
    (fences, locks): (bool, bool),
    wallets: &[(i64, i64, AccountKey)],
    keys: &[AnswerKey],
) -> Result<Asked, StoreError> {
    debug_assert_eq!(connection.dialect(), Dialect::Postgres);
    let numbers: Vec<Parameters> = wallets
        .iter()
        .map(|(number, ..)| vec![(*number).into()])
        .collect();
    let fence = if fences { vec![node.fence()] } else { vec![] };
    let locks = locks && !planted::is(Bug::WalletsUnlocked);
    let wallet = if locks { LOCK_WALLET } else { LOOK_AT_WALLET };
    let keys = Answers::question(keys);
    let mut found = connection.ask(&[
        (FENCE, &fence),
        (wallet, &numbers),
        (answers::BY_FINGERPRINT, &keys),
        (ANY_LIMIT, &[vec![]]),
        (MARK, &[vec![mark::RECOVERY.into()]]),
    ])?;
    let mark = found.pop().unwrap_or_default().into_iter().flatten().next();
    let mark = mark.as_ref().map(|row| row.text(0)).transpose()?;
    let limits = found.pop().unwrap_or_default();
    let answers = found.pop().unwrap_or_default();
    let versions = found.pop().unwrap_or_default();
    let fence = found.pop().unwrap_or_default();
    Ok(Asked {
        fence: fence.into_iter().flatten().collect(),
        versions,
        answers,
        has_limits: !planted::is(Bug::NoLimitsRemembered)
            && limits.iter().any(|rows| !rows.is_empty()),
        recovering: mark.is_some_and(|value| !value.is_empty()),
    })
}
