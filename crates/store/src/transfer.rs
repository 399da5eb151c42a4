//! Moves the books from a SQLite file to a PostgreSQL server, and proves that all of them arrived.

use sha2::{Digest as _, Sha256};

use crate::connection::{Connection, Parameters, StoreError};
use crate::query::Reader;
use crate::seal::Sealing;
use crate::{Database, Store, canon, load, migrate, node, record, seal};

/// Rows written at a time.
const CHUNK: usize = 2_000;

/// Tables that others refer to, before the others.
const FIRST: [&str; 2] = ["account", "stripe_event"];

/// Tables that are a file's own: its schema's history, its index of keys, and the nodes that it does not have.
const OWN: [&str; 4] = ["migration", "key_run", "key_page", "node"];

/// What was moved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transferred {
    /// Rows, in all tables.
    pub rows: usize,
    /// The digest of balances and payments ([`canon`]), the same on both sides.
    pub books: String,
    /// The digest of every row of the journal in its order, the same on both sides.
    pub journal: String,
}

/// Moves everything from a file that nobody uses to a server that has no books yet. The file stays as it is.
pub fn run(from: &Database, to: &Database) -> Result<Transferred, StoreError> {
    let (Database::File(_), Database::Server(_)) = (from, to) else {
        return Err(StoreError::Unusable(
            "books are moved from sqlite://PATH to postgres://…, and not the other way".to_owned(),
        ));
    };
    // Before the writer would make a file that is not there.
    let mut source = from.reader()?;
    // Held to the end: nobody else writes into the file meanwhile.
    let mut store = Store::open(from.connect()?)?;
    store.catch_up()?;
    let mut target = to.connect()?;
    migrate::run(target.as_mut())?;
    target.begin()?;
    let moved = rows(source.connection(), target.as_mut());
    let rows = match moved {
        Ok(rows) => rows,
        Err(error) => {
            target.rollback()?;
            return Err(error);
        }
    };
    target.commit()?;
    let mut target = Reader::over(target);
    let (before, after) = (proof(&mut source, rows)?, proof(&mut target, rows)?);
    if before != after {
        return Err(StoreError::Corrupt(format!(
            "the books that arrived are not the same: {before:?} and {after:?}; empty the server's database and try again"
        )));
    }
    Ok(after)
}

/// Whether a node has been at work on a server, or books have been moved there.
pub(crate) fn is_used(server: &mut dyn Connection) -> Result<bool, StoreError> {
    let accounts = server.rows("SELECT number FROM account LIMIT 1", vec![])?;
    let nodes = server.rows("SELECT slot FROM node LIMIT 1", vec![])?;
    Ok(!accounts.is_empty() || !nodes.is_empty())
}

fn rows(source: &mut dyn Connection, target: &mut dyn Connection) -> Result<usize, StoreError> {
    if is_used(target)? {
        return Err(StoreError::Unusable(
            "the server's database has been used already: books are moved into an empty one"
                .to_owned(),
        ));
    }
    let mut moved = 0;
    for table in tables(source)? {
        moved += table_rows(source, target, &table)?;
    }
    let newest = load::sequence(source)?;
    let newest = newest.numbers().into_iter().max().unwrap_or(0);
    let history = vec![
        node::HISTORY.into(),
        node::end_of_tick(newest).to_string().into(),
    ];
    target.execute(&record::insert("mark", "name, value"), &[history])?;
    Ok(moved)
}

fn tables(source: &mut dyn Connection) -> Result<Vec<String>, StoreError> {
    let sql = "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite%' ORDER BY name";
    let rows = source.rows(sql, vec![])?;
    let mut tables: Vec<String> = FIRST.map(str::to_owned).to_vec();
    for row in &rows {
        let name = row.text(0)?;
        if !FIRST.contains(&name) && !OWN.contains(&name) {
            tables.push(name.to_owned());
        }
    }
    Ok(tables)
}

fn table_rows(
    source: &mut dyn Connection,
    target: &mut dyn Connection,
    table: &str,
) -> Result<usize, StoreError> {
    let columns = "SELECT name FROM pragma_table_info($1) ORDER BY cid";
    let columns = source.rows(columns, vec![table.into()])?;
    let columns: Vec<&str> = columns
        .iter()
        .map(|row| row.text(0))
        .collect::<Result<_, _>>()?;
    let columns = columns.join(", ");
    let insert = record::insert(table, &columns);
    let (mut moved, mut waiting): (usize, Vec<Parameters>) = (0, Vec::with_capacity(CHUNK));
    let select = format!("SELECT {columns} FROM {table}");
    source.visit(&select, &vec![], &mut |row| {
        waiting.push(row.copied()?.0);
        if waiting.len() == CHUNK {
            moved += target.execute(&insert, &waiting)?;
            waiting.clear();
        }
        Ok(())
    })?;
    if !waiting.is_empty() {
        moved += target.execute(&insert, &waiting)?;
    }
    Ok(moved)
}

fn proof(reader: &mut Reader, rows: usize) -> Result<Transferred, StoreError> {
    let books = canon::digest(reader)?;
    let connection = reader.connection();
    connection.begin_reading()?;
    let journal = journal(connection);
    connection.rollback()?;
    Ok(Transferred {
        rows,
        books,
        journal: journal?,
    })
}

/// All rows that seals cover, and the seals, as they are hashed for seals.
fn journal(connection: &mut dyn Connection) -> Result<String, StoreError> {
    let mut digest = Sha256::new();
    for (columns, table) in [
        (seal::OPENED, "account"),
        (record::TRANSACTION, "ledger_transaction"),
        (record::POSTING, "posting"),
        ("number, hash", "seal"),
    ] {
        let mut sealing = Sealing::after(&seal::Seal::default());
        let sql = format!("SELECT {columns} FROM {table} ORDER BY number");
        connection.visit(&sql, &vec![], &mut |row| {
            sealing.row(&row.copied()?.0);
            Ok(())
        })?;
        digest.update(sealing.finish());
    }
    let digest = digest.finalize();
    let hex = |written, byte: &u8| format!("{written}{byte:02x}");
    Ok(digest.iter().fold(String::new(), hex))
}
