//! Remembered answers: each is a row that is never changed, found through an index of its own.
//!
//! What a charge was answered the journal knows already, so the answer only says which transaction it was.

mod given;

use bursar_domain::charge::Charged;
use bursar_domain::command::{Answer, AnswerKey, Reply};
use bursar_domain::id::TransactionId;
use bursar_domain::planted::{self, Bug};
use bursar_domain::refusal::Refusal;
use bursar_domain::state::State;
use serde::{Deserialize, Serialize};

use crate::connection::{Connection, Dialect, Parameters, Row, StoreError, Value};
use crate::key_index::{self, KeyIndex};
use crate::node::BLOCK;
use crate::{digest, record};

pub(crate) use given::given;

/// How answers are found where the database has an index over fingerprints.
pub(crate) const BY_FINGERPRINT: &str =
    "SELECT fingerprint, request_hash, outcome, at FROM answer WHERE fingerprint = $1";

/// All remembered answers.
#[derive(Debug)]
pub(crate) struct Answers {
    /// None on a server, which has a unique index over fingerprints: it is also what stops a second node.
    keys: Option<KeyIndex>,
    /// The number of the newest one.
    newest: i64,
}

/// What memory takes over after the commit.
#[derive(Debug)]
pub(crate) struct Step {
    keys: Option<key_index::Step>,
    newest: i64,
}

/// An outcome as it is stored.
#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Stored {
    Charge(ChargeAt),
    Charges(Vec<Result<(ChargeAt, bool), Refusal>>),
    /// A hold that has ended, by its number: its row does not change any more.
    Ended {
        hold: i64,
    },
    Whole(Box<Result<Reply, Refusal>>),
}

/// The number of a charge's transaction, and of the first of its postings.
#[derive(Clone, Copy, Serialize, Deserialize)]
struct ChargeAt(i64, i64);

impl Answers {
    pub(crate) fn open(connection: &mut dyn Connection) -> Result<Self, StoreError> {
        Ok(Self {
            keys: Some(KeyIndex::open(connection)?),
            newest: newest(connection)?,
        })
    }

    /// On a server. Answers given from here on have higher numbers than `base`, and so have the newest ones of the same block.
    pub(crate) fn on_server(
        connection: &mut dyn Connection,
        base: i64,
    ) -> Result<Self, StoreError> {
        let sql = "SELECT coalesce(max(number), 0) FROM answer WHERE number < $1";
        let rows = connection.rows(sql, vec![(base + BLOCK).into()])?;
        let newest = rows.first().map_or(Ok(0), |row| row.integer(0))?;
        let (keys, newest) = (None, newest.max(base));
        Ok(Self { keys, newest })
    }

    pub(crate) const fn newest(&self) -> i64 {
        self.newest
    }

    /// Goes on from a later block.
    pub(crate) fn advance(&mut self, base: i64) {
        self.newest = self.newest.max(base);
    }

    /// How to ask for the answers of these keys.
    pub(crate) fn question(keys: &[AnswerKey]) -> Vec<Parameters> {
        let fingerprints = keys.iter().map(digest::fingerprint);
        fingerprints.map(|it| vec![bytes(&it)]).collect()
    }

    /// What was answered under this key.
    pub(crate) fn load(
        &self,
        connection: &mut dyn Connection,
        key: &AnswerKey,
    ) -> Result<Option<Answer>, StoreError> {
        let fingerprint = digest::fingerprint(key);
        let Some(keys) = &self.keys else {
            return by_fingerprint(connection, &fingerprint);
        };
        let numbers = keys.find(connection, digest::index_key(&fingerprint))?;
        one_of(connection, &numbers, &fingerprint)
    }

    /// Writes the answers that were given in this batch.
    pub(crate) fn write(
        &self,
        connection: &mut dyn Connection,
        state: &State,
    ) -> Result<Step, StoreError> {
        let (mut rows, mut keys, mut newest) = (Vec::new(), Vec::new(), self.newest);
        let first_posting = |id: TransactionId| first_posting(state, id);
        for (key, _, answer) in state.answers.changes() {
            let Some(answer) = answer else { continue };
            newest += 1;
            let fingerprint = digest::fingerprint(key);
            keys.push((digest::index_key(&fingerprint), newest));
            rows.push(vec![
                newest.into(),
                bytes(&fingerprint),
                bytes(&answer.request_hash.0),
                outcome(&answer.outcome, first_posting)?.into(),
                answer.at.into(),
            ]);
        }
        if planted::is(Bug::AnswerNotKept) {
            let newest = self.newest;
            return Ok(Step { keys: None, newest });
        }
        if rows.is_empty() {
            return Ok(Step { keys: None, newest });
        }
        let sql = record::insert("answer", "number, fingerprint, request_hash, outcome, at");
        connection.write(&sql, &rows)?;
        let index = self.keys.as_ref();
        let keys = index
            .map(|index| index.write(connection, &keys))
            .transpose()?;
        Ok(Step { keys, newest })
    }

    pub(crate) fn apply(&mut self, step: Step) {
        self.newest = step.newest;
        if let (Some(index), Some(step)) = (&mut self.keys, step.keys) {
            index.apply(step);
        }
    }
}

/// What was answered under this key, for a reader that has no index in memory. To be asked in a snapshot.
pub(crate) fn look_up(
    connection: &mut dyn Connection,
    key: &AnswerKey,
) -> Result<Option<Answer>, StoreError> {
    let fingerprint = digest::fingerprint(key);
    if connection.dialect() == Dialect::Postgres {
        return by_fingerprint(connection, &fingerprint);
    }
    let numbers = key_index::look_up(connection, digest::index_key(&fingerprint))?;
    one_of(connection, &numbers, &fingerprint)
}

/// The number of the newest answer of all.
pub(crate) fn newest(connection: &mut dyn Connection) -> Result<i64, StoreError> {
    let rows = connection.rows("SELECT coalesce(max(number), 0) FROM answer", vec![])?;
    rows.first().map_or(Ok(0), |row| row.integer(0))
}

fn by_fingerprint(
    connection: &mut dyn Connection,
    fingerprint: &[u8; 16],
) -> Result<Option<Answer>, StoreError> {
    let rows = connection.rows(BY_FINGERPRINT, vec![bytes(fingerprint)])?;
    one_given(connection, rows)
}

fn one_given(
    connection: &mut dyn Connection,
    mut rows: Vec<Row>,
) -> Result<Option<Answer>, StoreError> {
    rows.truncate(1);
    Ok(given(connection, &rows)?.pop())
}

/// The answer among these that has this fingerprint.
fn one_of(
    connection: &mut dyn Connection,
    numbers: &[i64],
    fingerprint: &[u8; 16],
) -> Result<Option<Answer>, StoreError> {
    let sql = "SELECT fingerprint, request_hash, outcome, at FROM answer WHERE number = $1";
    for number in numbers {
        let rows = connection.rows(sql, vec![(*number).into()])?;
        let row = rows
            .first()
            .ok_or_else(|| StoreError::corrupt(format!("answer {number} is missing")))?;
        if *row.bytes(0)? == *fingerprint {
            return one_given(connection, rows);
        }
    }
    Ok(None)
}

fn bytes(bytes: &[u8]) -> Value {
    Value::Bytes(bytes.into())
}

/// The first posting of a transaction of this batch.
fn first_posting(state: &State, id: TransactionId) -> Option<i64> {
    let place = state
        .journal
        .binary_search_by_key(&id, |posted| posted.id)
        .ok()?;
    state.journal[place].rows.first().map(|row| row.number)
}

fn outcome(
    outcome: &Result<Reply, Refusal>,
    first_posting: impl Fn(TransactionId) -> Option<i64>,
) -> Result<String, StoreError> {
    let charge_at =
        |charged: &Charged| Some(ChargeAt(charged.id.number(), first_posting(charged.id)?));
    if let Ok(Reply::Charged(charged)) = outcome
        && let Some(ChargeAt(transaction, posting)) = charge_at(charged)
    {
        return Ok(format!("[{transaction},{posting}]"));
    }
    let stored = match outcome {
        Ok(Reply::ChargedAll(all)) => {
            let places = all.iter().map(|charge| match charge {
                // One that was made before, under a key of its own, is in an earlier batch: it is kept whole.
                Ok((charged, replayed)) => charge_at(charged).map(|at| Ok((at, *replayed))),
                Err(refusal) => Some(Err(refusal.clone())),
            });
            places.collect::<Option<Vec<_>>>().map(Stored::Charges)
        }
        Ok(Reply::Hold(hold)) if hold.ended_at.is_some() => Some(Stored::Ended {
            hold: hold.id.number(),
        }),
        _ => None,
    };
    let stored = stored.unwrap_or_else(|| Stored::Whole(Box::new(outcome.clone())));
    serde_json::to_string(&stored).map_err(|error| StoreError::corrupt(error.to_string()))
}
