//! Migrations: run at start, in order, each once. A released one is never edited.

use crate::connection::{Connection, StoreError};

/// Name and text of every migration, oldest first.
const MIGRATIONS: &[(&str, &str)] = &[(
    "0001_init",
    include_str!("../migrations/sqlite/0001_init.sql"),
)];

const CREATE_HISTORY: &str =
    "CREATE TABLE IF NOT EXISTS migration (name TEXT PRIMARY KEY, digest TEXT NOT NULL)";
const HISTORY: &str = "SELECT name, digest FROM migration ORDER BY name";
const RECORD: &str = "INSERT INTO migration (name, digest) VALUES ($1, $2)";

/// Brings the schema up to date. Refuses a database made by a newer program, and one whose migrations were others.
pub(crate) fn run(connection: &mut dyn Connection) -> Result<(), StoreError> {
    connection.run_script(CREATE_HISTORY)?;
    let history = connection.rows(HISTORY, vec![])?;
    for (position, row) in history.iter().enumerate() {
        let (name, digest) = (row.text(0)?, row.text(1)?);
        let known = MIGRATIONS
            .get(position)
            .filter(|(known, sql)| *known == name && digest_of(sql) == digest);
        if known.is_none() {
            return Err(StoreError::Unusable(format!(
                "the database has the migration {name}, which this version of the program does not have in this form: \
                 use the version that made it, or a newer one"
            )));
        }
    }
    for (name, sql) in &MIGRATIONS[history.len()..] {
        connection.begin()?;
        let done = connection.run_script(sql).and_then(|()| {
            connection.execute(RECORD, &[vec![(*name).into(), digest_of(sql).into()]])
        });
        match done {
            Ok(_) => connection.commit()?,
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
