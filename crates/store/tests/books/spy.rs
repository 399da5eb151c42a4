//! A connection that keeps every statement it is given, and that can be told to fail.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};

use bursar_store::StoreError;
use bursar_store::connection::{Connection, Parameters, Row};
use bursar_store::sqlite::Sqlite;

/// Clones share one connection.
#[derive(Clone)]
pub(crate) struct Spy {
    inner: Arc<Mutex<Inner>>,
}

struct Inner {
    sqlite: Sqlite,
    /// How often each statement was run.
    seen: BTreeMap<String, usize>,
    refuses_commits: bool,
}

impl Spy {
    pub(crate) fn on(sqlite: Sqlite) -> Self {
        let inner = Inner {
            sqlite,
            seen: BTreeMap::new(),
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

    /// From now on the database takes everything and then fails to commit it, or does so no longer.
    pub(crate) fn refuse_commits(&self, refuses: bool) {
        self.inner().refuses_commits = refuses;
    }

    /// Asks the same connection that the store uses.
    pub(crate) fn rows(&self, sql: &str) -> Vec<Row> {
        self.inner().sqlite.rows(sql, vec![]).unwrap()
    }
}

impl Connection for Spy {
    fn query(&mut self, sql: &str, parameters: &[Parameters]) -> Result<Vec<Vec<Row>>, StoreError> {
        let mut inner = self.inner();
        *inner.seen.entry(sql.to_owned()).or_default() += parameters.len();
        inner.sqlite.query(sql, parameters)
    }

    fn execute(&mut self, sql: &str, parameters: &[Parameters]) -> Result<usize, StoreError> {
        let mut inner = self.inner();
        *inner.seen.entry(sql.to_owned()).or_default() += parameters.len();
        inner.sqlite.execute(sql, parameters)
    }

    fn run_script(&mut self, sql: &str) -> Result<(), StoreError> {
        self.inner().sqlite.run_script(sql)
    }

    fn begin(&mut self) -> Result<(), StoreError> {
        self.inner().sqlite.begin()
    }

    fn commit(&mut self) -> Result<(), StoreError> {
        let mut inner = self.inner();
        if inner.refuses_commits {
            inner.sqlite.rollback()?;
            return Err(StoreError::Unavailable("the disk is gone".to_owned()));
        }
        inner.sqlite.commit()
    }

    fn rollback(&mut self) -> Result<(), StoreError> {
        self.inner().sqlite.rollback()
    }

    fn checkpoint(&mut self) -> Result<(), StoreError> {
        self.inner().sqlite.checkpoint()
    }
}
