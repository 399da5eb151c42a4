//! A SQLite file that plays a database server: several nodes have connections to it, and each runs the store as on PostgreSQL.
//!
//! What is shared and what a node only remembers is the store's business, and it is the same here as there. A transaction has the
//! whole file to itself, so batches of nodes never overlap; each node meets what the others have written between two of its own. What
//! happens where rows are locked one by one, the tests against a real server try (`crates/engine/tests/nodes.rs`).

use std::fs::OpenOptions;
use std::path::Path;

use bursar_store::connection::{Cells, Connection, Dialect, Parameters, Row, StoreError};
use bursar_store::sqlite::Sqlite;

/// A transaction locks the whole file.
const LOCK: &str = " FOR UPDATE";

/// A connection to the file.
pub(crate) struct Server(Sqlite);

impl Server {
    pub(crate) fn connect(path: &Path) -> Result<Self, StoreError> {
        let file = OpenOptions::new().create(true).append(true).open(path);
        file.map_err(|error| StoreError::Unusable(error.to_string()))?;
        let mut connection = Sqlite::open_checkpointer(path)?;
        // What is tested is what is written, not how it reaches a disk.
        connection.run_script(
            "PRAGMA journal_mode = WAL; PRAGMA synchronous = OFF; PRAGMA foreign_keys = ON; PRAGMA temp_store = MEMORY;",
        )?;
        Ok(Self(connection))
    }
}

/// Makes all slots held, and that of `victim` the one that the next node to start takes.
pub(crate) fn offer_slot(connection: &mut dyn Connection, victim: i64) -> Result<(), StoreError> {
    let newest = "(SELECT coalesce(max(token), 0) FROM node)";
    let fill = format!(
        "INSERT INTO node (slot, token, taken, batch) VALUES ($1, {newest} + 1, 1, 0) ON CONFLICT (slot) DO NOTHING"
    );
    let slots: Vec<Parameters> = (0..64_i64).map(|slot| vec![slot.into()]).collect();
    connection.begin()?;
    connection.execute(&fill, &slots)?;
    let later = format!(
        "UPDATE node SET taken = 1, token = token + {newest} WHERE slot < 64 AND slot <> $1"
    );
    connection.execute(&later, &[vec![victim.into()]])?;
    connection.commit()
}

/// A unique key stops whoever comes second, and he decides again.
fn as_server<T>(done: Result<T, StoreError>) -> Result<T, StoreError> {
    done.map_err(|error| match error {
        StoreError::Refused(why) if why.contains("UNIQUE constraint failed") => {
            StoreError::Conflict(why)
        }
        error => error,
    })
}

/// What PostgreSQL says and SQLite does not.
fn translated(script: &str) -> String {
    let lines = script
        .lines()
        .filter(|line| !line.starts_with("ALTER TABLE"));
    let lines = lines.map(|line| line.replace(" COLLATE \"C\"", ""));
    lines.collect::<Vec<_>>().join("\n")
}

impl Connection for Server {
    fn dialect(&self) -> Dialect {
        Dialect::Postgres
    }

    fn query(&mut self, sql: &str, parameters: &[Parameters]) -> Result<Vec<Vec<Row>>, StoreError> {
        as_server(self.0.query(&sql.replace(LOCK, ""), parameters))
    }

    fn execute(&mut self, sql: &str, parameters: &[Parameters]) -> Result<usize, StoreError> {
        as_server(self.0.execute(sql, parameters))
    }

    fn run_script(&mut self, sql: &str) -> Result<(), StoreError> {
        as_server(self.0.run_script(&translated(sql)))
    }

    fn begin(&mut self) -> Result<(), StoreError> {
        self.0.begin()
    }

    fn commit(&mut self) -> Result<(), StoreError> {
        as_server(self.0.commit())
    }

    fn rollback(&mut self) -> Result<(), StoreError> {
        self.0.rollback()
    }

    fn checkpoint(&mut self) -> Result<(), StoreError> {
        Ok(())
    }

    fn visit(
        &mut self,
        sql: &str,
        parameters: &Parameters,
        show: &mut dyn FnMut(&dyn Cells) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        self.0.visit(sql, parameters, show)
    }
}
