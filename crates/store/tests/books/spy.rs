//! A connection that keeps every statement it is given, and that can be told to fail.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};

use bursar_store::StoreError;
use bursar_store::connection::{Cells, Connection, Dialect, Parameters, Question, Row};

/// Clones share one connection.
#[derive(Clone)]
pub(crate) struct Spy {
    inner: Arc<Mutex<Inner>>,
}

struct Inner {
    connection: Box<dyn Connection>,
    /// How often each statement was run.
    seen: BTreeMap<String, usize>,
    /// How often an answer of the database was waited for.
    trips: usize,
    refuses_commits: bool,
}

impl Spy {
    pub(crate) fn on(connection: Box<dyn Connection>) -> Self {
        let inner = Inner {
            connection,
            seen: BTreeMap::new(),
            trips: 0,
            refuses_commits: false,
        };
        Self {
            inner: Arc::new(Mutex::new(inner)),
        }
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap()
    }

    /// Every statement so far, and how often.
    pub(crate) fn seen(&self) -> BTreeMap<String, usize> {
        self.inner().seen.clone()
    }

    /// How often an answer was waited for since the last time this was asked. Statements must have been prepared before.
    pub(crate) fn trips(&self) -> usize {
        std::mem::take(&mut self.inner().trips)
    }

    /// From now on the database takes everything and then fails to commit it, or does so no longer.
    pub(crate) fn refuse_commits(&self, refuses: bool) {
        self.inner().refuses_commits = refuses;
    }

    /// Asks the same connection that the store uses.
    pub(crate) fn rows(&self, sql: &str) -> Vec<Row> {
        self.inner().connection.rows(sql, vec![]).unwrap()
    }
}

impl Inner {
    fn note(&mut self, sql: &str, parameters: &[Parameters]) {
        *self.seen.entry(sql.to_owned()).or_default() += parameters.len();
    }
}

impl Connection for Spy {
    fn dialect(&self) -> Dialect {
        self.inner().connection.dialect()
    }

    fn generation(&self) -> u64 {
        self.inner().connection.generation()
    }

    fn query(&mut self, sql: &str, parameters: &[Parameters]) -> Result<Vec<Vec<Row>>, StoreError> {
        let mut inner = self.inner();
        inner.note(sql, parameters);
        inner.trips += 1;
        inner.connection.query(sql, parameters)
    }

    fn ask(&mut self, questions: &[Question<'_>]) -> Result<Vec<Vec<Vec<Row>>>, StoreError> {
        let mut inner = self.inner();
        for (sql, parameters) in questions {
            inner.note(sql, parameters);
        }
        inner.trips += 1;
        inner.connection.ask(questions)
    }

    fn visit(
        &mut self,
        sql: &str,
        parameters: &Parameters,
        show: &mut dyn FnMut(&dyn Cells) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        let mut inner = self.inner();
        inner.note(sql, std::slice::from_ref(parameters));
        inner.trips += 1;
        inner.connection.visit(sql, parameters, show)
    }

    fn execute(&mut self, sql: &str, parameters: &[Parameters]) -> Result<usize, StoreError> {
        let mut inner = self.inner();
        inner.note(sql, parameters);
        inner.trips += 1;
        inner.connection.execute(sql, parameters)
    }

    fn write(&mut self, sql: &str, parameters: &[Parameters]) -> Result<(), StoreError> {
        let mut inner = self.inner();
        inner.note(sql, parameters);
        inner.connection.write(sql, parameters)
    }

    fn run_script(&mut self, sql: &str) -> Result<(), StoreError> {
        let mut inner = self.inner();
        inner.trips += 1;
        inner.connection.run_script(sql)
    }

    fn begin(&mut self) -> Result<(), StoreError> {
        self.inner().connection.begin()
    }

    fn begin_reading(&mut self) -> Result<(), StoreError> {
        self.inner().connection.begin_reading()
    }

    fn commit(&mut self) -> Result<(), StoreError> {
        let mut inner = self.inner();
        if inner.refuses_commits {
            inner.connection.rollback()?;
            return Err(StoreError::Unavailable("the disk is gone".to_owned()));
        }
        inner.trips += 1;
        inner.connection.commit()
    }

    fn rollback(&mut self) -> Result<(), StoreError> {
        let mut inner = self.inner();
        inner.trips += 1;
        inner.connection.rollback()
    }

    fn checkpoint(&mut self) -> Result<(), StoreError> {
        self.inner().connection.checkpoint()
    }
}
