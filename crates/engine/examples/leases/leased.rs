//! What a node would ask of the server if it held a lease on its wallets.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};

use bursar_store::StoreError;
use bursar_store::connection::{Cells, Connection, Dialect, Parameters, Question, Row, Value};
use bursar_store::postgres::Postgres;

/// How often a server was waited for, by all nodes.
pub(crate) static WAITS: AtomicU64 = AtomicU64::new(0);

/// The row of the node's slot is the lease on its shard. It is written with each commit, and the commit fails if somebody else has
/// taken it over meanwhile: nothing is asked before.
const FENCE: &str = "UPDATE node SET batch = $2, token = CASE WHEN token = $3 THEN token ELSE -1 END WHERE slot = $1";

/// A connection whose store believes that it asks and locks as every node does. With a lease on a shard, whose wallets nobody else
/// writes, what is known already is answered from here, and rows of wallets are written at the end: whoever took the lease over
/// would read the postings behind them, as after a crash on a file.
pub(crate) struct Node {
    server: Postgres,
    lease: Option<Lease>,
}

#[derive(Default)]
pub(crate) struct Lease {
    /// Token and batch of the node's slot.
    slot: Option<Row>,
    /// By the number of a wallet's account, how often its row has been written.
    versions: HashMap<i64, i64>,
    /// What was said of limits and recovery.
    rest: Vec<Vec<Vec<Row>>>,
    /// Rows of wallets and grants that are to be written at the end, by statement and number.
    behind: HashMap<(String, i64), Parameters>,
}

impl Lease {
    /// Makes the server refuse a commit whose lease was taken over.
    pub(crate) fn prepare(server: &mut Postgres) -> Result<(), StoreError> {
        server.run_script("ALTER TABLE node ADD CONSTRAINT fenced CHECK (token >= 0)")
    }

    /// The answer to what a node asks before it decides, if all of it is known.
    fn answer(&self, questions: &[Question<'_>]) -> Option<Vec<Vec<Vec<Row>>>> {
        let [slot, wallets, keys, ..] = questions else {
            return None;
        };
        let version = |row: &Parameters| match row[0] {
            Value::Integer(number) => {
                let version = self.versions.get(&number)?;
                Some(vec![Row(vec![(*version).into()])])
            }
            _ => None,
        };
        let versions = wallets.1.iter().map(version).collect::<Option<_>>()?;
        let slot = vec![vec![self.slot.clone()?]; slot.1.len()];
        // A key that was used already is found by the unique index, when it is written.
        let keys = vec![vec![]; keys.1.len()];
        let mut answers = vec![slot, versions, keys];
        answers.extend(self.rest.iter().cloned());
        Some(answers)
    }

    fn learn(
        &mut self,
        questions: &[Question<'_>],
        answers: &[Vec<Vec<Row>>],
    ) -> Result<(), StoreError> {
        if let Some(row) = answers[0].first().and_then(|rows| rows.first()) {
            self.slot = Some(row.clone());
        }
        for (number, rows) in questions[1].1.iter().zip(&answers[1]) {
            if let (Value::Integer(number), Some(row)) = (&number[0], rows.first()) {
                self.versions.insert(*number, row.integer(0)?);
            }
        }
        self.rest = answers[3..].to_vec();
        Ok(())
    }
}

impl Node {
    pub(crate) fn new(server: Postgres, lease: Option<Lease>) -> Self {
        Self { server, lease }
    }

    fn waits(&mut self) -> &mut Postgres {
        WAITS.fetch_add(1, Ordering::Relaxed);
        &mut self.server
    }

    /// Writes the rows of wallets as they are by now.
    fn catch_up(&mut self) -> Result<(), StoreError> {
        let Some(lease) = &mut self.lease else {
            return Ok(());
        };
        let behind = std::mem::take(&mut lease.behind);
        self.server.begin()?;
        for ((sql, _), row) in behind {
            self.server.write(&sql, &[row])?;
        }
        self.server.commit()
    }
}

/// Whether this is the question with which a node makes sure of what it has in memory.
fn makes_sure(questions: &[Question<'_>]) -> bool {
    questions
        .first()
        .is_some_and(|(sql, _)| sql.starts_with("SELECT token, batch FROM node"))
}

impl Connection for Node {
    fn dialect(&self) -> Dialect {
        Dialect::Postgres
    }

    fn generation(&self) -> u64 {
        self.server.generation()
    }

    fn query(&mut self, sql: &str, rows: &[Parameters]) -> Result<Vec<Vec<Row>>, StoreError> {
        self.waits().query(sql, rows)
    }

    fn ask(&mut self, questions: &[Question<'_>]) -> Result<Vec<Vec<Vec<Row>>>, StoreError> {
        let is_sure = makes_sure(questions);
        if let Some(known) = self.lease.as_ref().filter(|_| is_sure)
            && let Some(answers) = known.answer(questions)
        {
            return Ok(answers);
        }
        let answers = self.waits().ask(questions)?;
        if let Some(lease) = self.lease.as_mut().filter(|_| is_sure) {
            lease.learn(questions, &answers)?;
        }
        Ok(answers)
    }

    fn visit(
        &mut self,
        sql: &str,
        parameters: &Parameters,
        show: &mut dyn FnMut(&dyn Cells) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        self.waits().visit(sql, parameters, show)
    }

    fn execute(&mut self, sql: &str, rows: &[Parameters]) -> Result<usize, StoreError> {
        if sql.starts_with("UPDATE node SET taken = 0") {
            self.catch_up()?;
        }
        self.waits().execute(sql, rows)
    }

    fn write(&mut self, sql: &str, rows: &[Parameters]) -> Result<(), StoreError> {
        let Some(lease) = &mut self.lease else {
            return self.server.write(sql, rows);
        };
        if sql.starts_with("UPDATE node SET batch") {
            let Some(slot) = &mut lease.slot else {
                return Err(StoreError::Refused("a lease that is not known".into()));
            };
            let (place, batch) = (rows[0][0].clone(), rows[0][1].clone());
            slot.0[1] = batch.clone();
            let fence = vec![place, batch, slot.0[0].clone()];
            return self.server.write(FENCE, &[fence]);
        }
        let follows = [
            "UPDATE account SET balance",
            "UPDATE credit_grant SET remaining",
        ];
        if !follows.iter().any(|it| sql.starts_with(it)) {
            return self.server.write(sql, rows);
        }
        for row in rows {
            let Value::Integer(number) = row[0] else {
                return Err(StoreError::Refused("a row without a number".into()));
            };
            if let Some(Value::Integer(version)) = row.get(8) {
                lease.versions.insert(number, *version);
            }
            lease.behind.insert((sql.to_owned(), number), row.clone());
        }
        Ok(())
    }

    fn run_script(&mut self, sql: &str) -> Result<(), StoreError> {
        self.waits().run_script(sql)
    }

    fn begin(&mut self) -> Result<(), StoreError> {
        self.server.begin()
    }

    fn commit(&mut self) -> Result<(), StoreError> {
        self.waits().commit()
    }

    fn rollback(&mut self) -> Result<(), StoreError> {
        self.server.rollback()
    }

    fn checkpoint(&mut self) -> Result<(), StoreError> {
        self.server.checkpoint()
    }
}
