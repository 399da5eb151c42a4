//! Migrations: run at start, in order, each once. A released one is never edited.

use crate::connection::{Connection, Dialect, StoreError};

/// A step of the schema: one text for all databases, and what PostgreSQL has besides.
struct Migration {
    name: &'static str,
    sql: &'static str,
    postgres: &'static str,
}

/// Every migration, oldest first.
const MIGRATIONS: &[Migration] = &[Migration {
    name: "0001_init",
    sql: include_str!("../migrations/sqlite/0001_init.sql"),
    postgres: include_str!("../migrations/postgres/0001_init.sql"),
}];

const CREATE_HISTORY: &str =
    "CREATE TABLE IF NOT EXISTS migration (name TEXT PRIMARY KEY, digest TEXT NOT NULL)";
const HISTORY: &str = "SELECT name, digest FROM migration ORDER BY name";
const RECORD: &str = "INSERT INTO migration (name, digest) VALUES ($1, $2)";

impl Migration {
    fn text(&self, dialect: Dialect) -> String {
        match dialect {
            Dialect::Sqlite => self.sql.to_owned(),
            Dialect::Postgres => format!("{}\n{}", translated(self.sql), self.postgres),
        }
    }
}

/// Tables as PostgreSQL writes them. Texts are compared byte by byte, as SQLite does, or pages would differ.
fn translated(sql: &str) -> String {
    let lines = sql.lines().filter(|line| !line.starts_with("--"));
    let mut text = String::new();
    for line in lines {
        text.push_str(line);
        text.push('\n');
    }
    for (sqlite, postgres) in [
        (") STRICT, WITHOUT ROWID;", ");"),
        (") STRICT;", ");"),
        (" INTEGER", " BIGINT"),
        (" BLOB", " BYTEA"),
        (" TEXT", " TEXT COLLATE \"C\""),
    ] {
        text = text.replace(sqlite, postgres);
    }
    text
}

/// Whether anybody has ever begun to make a schema here.
pub(crate) fn has_begun(connection: &mut dyn Connection) -> Result<bool, StoreError> {
    let tables = match connection.dialect() {
        Dialect::Sqlite => "SELECT name FROM sqlite_master WHERE name = 'migration'",
        Dialect::Postgres => {
            "SELECT table_name FROM information_schema.tables \
             WHERE table_schema = current_schema() AND table_name = 'migration'"
        }
    };
    Ok(!connection.rows(tables, vec![])?.is_empty())
}

/// Brings the schema up to date. Refuses a database made by a newer program, and one whose migrations were others.
pub(crate) fn run(connection: &mut dyn Connection) -> Result<(), StoreError> {
    let dialect = connection.dialect();
    // Of several nodes that start together one makes a step, and the others find it made.
    while let Err(error) = run_once(connection, dialect) {
        if !matches!(error, StoreError::Conflict(_)) {
            return Err(error);
        }
    }
    Ok(())
}

fn run_once(connection: &mut dyn Connection, dialect: Dialect) -> Result<(), StoreError> {
    let create = match dialect {
        Dialect::Sqlite => CREATE_HISTORY.to_owned(),
        Dialect::Postgres => translated(CREATE_HISTORY),
    };
    // To PostgreSQL IF NOT EXISTS is no promise: of two who make the table at the same time one is refused, and then finds it.
    connection
        .run_script(&create)
        .or_else(|_| connection.run_script(&create))?;
    let history = connection.rows(HISTORY, vec![])?;
    for (position, row) in history.iter().enumerate() {
        let (name, digest) = (row.text(0)?, row.text(1)?);
        let known = MIGRATIONS
            .get(position)
            .filter(|known| known.name == name && digest_of(&known.text(dialect)) == digest);
        if known.is_none() {
            return Err(StoreError::Unusable(format!(
                "the database has the migration {name}, which this version of the program does not have in this form: \
                 use the version that made it, or a newer one"
            )));
        }
    }
    for migration in &MIGRATIONS[history.len()..] {
        let text = migration.text(dialect);
        connection.begin()?;
        // The record first: its key is what a second node stops at.
        let record = vec![migration.name.into(), digest_of(&text).into()];
        let done = connection
            .execute(RECORD, &[record])
            .and_then(|_| connection.run_script(&text));
        match done {
            Ok(()) => connection.commit()?,
            Err(error) => {
                connection.rollback()?;
                return Err(error);
            }
        }
    }
    Ok(())
}

/// FNV-1a over the text, hexadecimal: notices an edit, needs no cryptography.
fn digest_of(sql: &str) -> String {
    let hash = sql.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    format!("{hash:016x}")
}
