//! The SQLite driver: bundled library, write-ahead log, every commit synced to disk.

use std::fs::{File, OpenOptions};
use std::path::{Path, PathBuf};

use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{CachedStatement, ErrorCode, OpenFlags, ToSql, TransactionState, params_from_iter};

use crate::connection::{Cell, Cells, Connection, Parameters, Row, StoreError, Value};

/// The oldest library that is safe: before 3.51.3 a write-ahead log could lose committed transactions when two
/// connections wrote and checkpointed at the same instant (<https://sqlite.org/wal.html>, section on the WAL-reset bug).
pub const VERSION_LEAST: i32 = 3_051_003;

/// The version of the SQLite library in this program: `3.54.1`.
pub fn version() -> &'static str {
    rusqlite::version()
}

/// A connection to a SQLite file. The writing one holds a lock file as long as it lives.
#[derive(Debug)]
pub struct Sqlite {
    connection: rusqlite::Connection,
    _lock: Option<File>,
}

impl Sqlite {
    /// Opens the file for the one writer, creating it (mode 0600) if it is missing. Refuses when another process has it.
    pub fn open_writer(path: &Path) -> Result<Self, StoreError> {
        if rusqlite::version_number() < VERSION_LEAST {
            return Err(StoreError::Unusable(format!(
                "this program contains SQLite {}, which can lose committed data; 3.51.3 or newer is needed",
                rusqlite::version()
            )));
        }
        let lock = lock(path)?;
        create_private(path)?;
        let connection =
            rusqlite::Connection::open(path).map_err(|error| unusable(path, &error))?;
        // The log is moved into the file beside the writer (crate `bursar-engine`); the writer's own limit is for programs
        // that do without.
        let pragmas = "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON; \
                       PRAGMA trusted_schema = OFF; PRAGMA busy_timeout = 5000; PRAGMA cache_size = -16384; \
                       PRAGMA wal_autocheckpoint = 65536; PRAGMA temp_store = MEMORY;";
        connection
            .execute_batch(pragmas)
            .map_err(|error| unusable(path, &error))?;
        Ok(Self::prepared(connection, Some(lock)))
    }

    /// Opens the file for moving the log into it beside the writer, who must have created it.
    pub fn open_checkpointer(path: &Path) -> Result<Self, StoreError> {
        let connection =
            rusqlite::Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_WRITE)
                .map_err(|error| unusable(path, &error))?;
        connection
            .execute_batch(
                "PRAGMA synchronous = FULL; PRAGMA trusted_schema = OFF; PRAGMA cache_size = -64;",
            )
            .map_err(|error| unusable(path, &error))?;
        Ok(Self::prepared(connection, None))
    }

    /// Opens the file for reading. The writer must have created it.
    pub fn open_reader(path: &Path) -> Result<Self, StoreError> {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = rusqlite::Connection::open_with_flags(path, flags)
            .map_err(|error| unusable(path, &error))?;
        connection
            .execute_batch("PRAGMA trusted_schema = OFF; PRAGMA busy_timeout = 5000; PRAGMA cache_size = -8192;")
            .map_err(|error| unusable(path, &error))?;
        Ok(Self::prepared(connection, None))
    }

    fn prepared(connection: rusqlite::Connection, lock: Option<File>) -> Self {
        connection.set_prepared_statement_cache_capacity(128);
        Self {
            connection,
            _lock: lock,
        }
    }

    /// SQLite takes `$2` for a name and numbers names by their first appearance; `?2` is the second parameter.
    fn statement(&self, sql: &str) -> Result<CachedStatement<'_>, StoreError> {
        self.connection
            .prepare_cached(&sql.replace('$', "?"))
            .map_err(|error| refused(&error))
    }
}

/// One process at a time: the lock goes with the process, however it ends.
fn lock(database: &Path) -> Result<File, StoreError> {
    let path = beside(database, "lock");
    create_private(&path)?;
    let file = File::open(&path).map_err(|error| unusable(&path, &error))?;
    file.try_lock().map_err(|_| {
        StoreError::Unusable(format!(
            "another process is using {}: stop it first, or choose another data folder",
            database.display()
        ))
    })?;
    Ok(file)
}

fn beside(database: &Path, extension: &str) -> PathBuf {
    database.with_extension(extension)
}

/// The log and its index inherit the mode of the database file.
fn create_private(path: &Path) -> Result<(), StoreError> {
    let mut options = OpenOptions::new();
    options.create(true).append(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
        .open(path)
        .map(drop)
        .map_err(|error| unusable(path, &error))
}

fn unusable(path: &Path, error: &dyn std::fmt::Display) -> StoreError {
    StoreError::Unusable(format!("{} cannot be used: {error}", path.display()))
}

fn refused(error: &rusqlite::Error) -> StoreError {
    let text = error.to_string();
    match error.sqlite_error_code() {
        Some(
            ErrorCode::DatabaseBusy
            | ErrorCode::DatabaseLocked
            | ErrorCode::DiskFull
            | ErrorCode::SystemIoFailure
            | ErrorCode::OutOfMemory
            | ErrorCode::ReadOnly
            | ErrorCode::CannotOpen,
        ) => StoreError::Unavailable(text),
        _ => StoreError::Refused(text),
    }
}

impl ToSql for Value {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match self {
            Self::Null => ValueRef::Null,
            Self::Integer(value) => ValueRef::Integer(*value),
            Self::Text(value) => ValueRef::Text(value.as_bytes()),
            Self::Bytes(value) => ValueRef::Blob(value),
        }))
    }
}

impl Cells for rusqlite::Row<'_> {
    fn columns(&self) -> usize {
        self.as_ref().column_count()
    }

    fn cell(&self, column: usize) -> Result<Cell<'_>, StoreError> {
        Ok(
            match self.get_ref(column).map_err(|error| refused(&error))? {
                ValueRef::Null => Cell::Null,
                ValueRef::Integer(value) => Cell::Integer(value),
                ValueRef::Text(value) => Cell::Text(
                    std::str::from_utf8(value)
                        .map_err(|_| StoreError::corrupt("text that is not UTF-8"))?,
                ),
                ValueRef::Blob(value) => Cell::Bytes(value),
                ValueRef::Real(_) => return Err(StoreError::corrupt("a floating point number")),
            },
        )
    }
}

fn query_once(
    statement: &mut CachedStatement<'_>,
    parameters: &Parameters,
) -> Result<Vec<Row>, StoreError> {
    let mut rows = statement
        .query(params_from_iter(parameters))
        .map_err(|error| refused(&error))?;
    let mut answer = Vec::new();
    while let Some(row) = rows.next().map_err(|error| refused(&error))? {
        let row: &dyn Cells = row;
        answer.push(row.copied()?);
    }
    Ok(answer)
}

impl Connection for Sqlite {
    fn query(&mut self, sql: &str, parameters: &[Parameters]) -> Result<Vec<Vec<Row>>, StoreError> {
        let mut statement = self.statement(sql)?;
        parameters
            .iter()
            .map(|parameters| query_once(&mut statement, parameters))
            .collect()
    }

    fn visit(
        &mut self,
        sql: &str,
        parameters: &Parameters,
        show: &mut dyn FnMut(&dyn Cells) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        let mut statement = self.statement(sql)?;
        let mut rows = statement
            .query(params_from_iter(parameters))
            .map_err(|error| refused(&error))?;
        while let Some(row) = rows.next().map_err(|error| refused(&error))? {
            show(row)?;
        }
        Ok(())
    }

    fn execute(&mut self, sql: &str, parameters: &[Parameters]) -> Result<usize, StoreError> {
        let mut statement = self.statement(sql)?;
        let mut touched = 0;
        for parameters in parameters {
            touched += statement
                .execute(params_from_iter(parameters))
                .map_err(|error| refused(&error))?;
        }
        Ok(touched)
    }

    fn run_script(&mut self, sql: &str) -> Result<(), StoreError> {
        self.connection
            .execute_batch(sql)
            .map_err(|error| refused(&error))
    }

    fn begin(&mut self) -> Result<(), StoreError> {
        self.execute("BEGIN IMMEDIATE", &[vec![]]).map(drop)
    }

    fn commit(&mut self) -> Result<(), StoreError> {
        let committed = self.execute("COMMIT", &[vec![]]).map(drop);
        if committed.is_err() {
            // A commit that failed (disk full) leaves the transaction open; it must not swallow the next one.
            self.rollback()?;
        }
        committed
    }

    fn rollback(&mut self) -> Result<(), StoreError> {
        // SQLite has rolled back by itself after some errors; asking again would be an error of its own.
        match self.connection.transaction_state(None::<&str>) {
            Ok(TransactionState::None) if self.connection.is_autocommit() => Ok(()),
            _ => self.execute("ROLLBACK", &[vec![]]).map(drop),
        }
    }

    fn fold(&mut self) -> Result<u64, StoreError> {
        // Columns: whether somebody was in the way, pages in the log, pages moved.
        let rows = self.rows("PRAGMA wal_checkpoint(PASSIVE)", vec![])?;
        let pages = rows.first().map_or(Ok(0), |row| row.integer(1))?;
        // -1 without a log.
        Ok(u64::try_from(pages).unwrap_or(0))
    }

    fn checkpoint(&mut self) -> Result<(), StoreError> {
        self.rows("PRAGMA wal_checkpoint(TRUNCATE)", vec![])
            .map(drop)
    }
}
