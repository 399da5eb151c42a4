//! The only crate of Bursar that knows SQL.
//!
//! [`Store`] loads the rows a batch of commands needs and commits what they changed, in one transaction; [`query`] answers
//! readers. Both are written once, over the small [`Connection`](connection::Connection), in SQL that SQLite and PostgreSQL
//! both take. The database holds no logic: tables, keys, checks.

mod answers;
pub mod audit;
pub mod canon;
mod commit;
pub mod connection;
pub mod copy;
mod database;
pub mod digest;
mod inbox;
mod key_index;
mod load;
mod migrate;
mod node;
pub mod postgres;
pub mod query;
mod record;
pub mod seal;
mod shared;
pub mod sqlite;
pub mod transfer;
mod wallets;

use std::collections::HashMap;
use std::fs::File;
use std::mem::ManuallyDrop;
use std::path::Path;

use bursar_domain::account::{Account, AccountKey};
use bursar_domain::planted::{self, Bug};
use bursar_domain::state::{Needs, Sequence, State};

use answers::Answers;
pub use connection::StoreError;
use connection::{Connection, Dialect};
pub use database::Database;
pub use inbox::Share;
use node::Node;
use seal::Seal;
use shared::UnderWay;
pub use wallets::Sizes;
use wallets::Wallets;

/// The one writer's side of a database, with what it remembers of it.
pub struct Store {
    connection: Box<dyn Connection>,
    memory: Memory,
    in_transaction: bool,
    /// None where there is only one writer.
    under_way: Option<UnderWay>,
    /// Why nothing is written any more.
    lost: Option<String>,
}

/// What the writer remembers: always as of the last commit.
pub(crate) struct Memory {
    sequence: Sequence,
    /// Accounts of the house and of providers, and which of them do not exist yet. There are few, and their rows never change.
    accounts: HashMap<AccountKey, Option<Account>>,
    wallets: Wallets,
    answers: Answers,
    seal: Seal,
    limits: i64,
    recovering: bool,
    /// None where there is only one writer.
    node: Option<Node>,
    /// Over which of the connection's sessions memory was filled.
    generation: u64,
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Store")
            .field("sequence", &self.memory.sequence)
            .finish_non_exhaustive()
    }
}

impl Store {
    /// Brings the schema up to date and reads the numbers given out so far. Claims on jobs are void: whoever held them is
    /// gone, since the store belongs to one process at a time.
    pub fn open(connection: Box<dyn Connection>) -> Result<Self, StoreError> {
        Self::open_sized(connection, Sizes::default())
    }

    /// As [`Store::open`], with sizes of one's own.
    pub fn open_sized(
        mut connection: Box<dyn Connection>,
        sizes: Sizes,
    ) -> Result<Self, StoreError> {
        migrate::run(connection.as_mut())?;
        let dialect = connection.dialect();
        let memory = match dialect {
            Dialect::Sqlite => Memory::of_writer(connection.as_mut(), sizes)?,
            Dialect::Postgres => Memory::of_node(connection.as_mut(), sizes)?,
        };
        Ok(Self {
            connection,
            memory,
            in_transaction: false,
            under_way: (dialect == Dialect::Postgres).then(UnderWay::default),
            lost: None,
        })
    }

    /// A state to decide on, with nothing loaded.
    pub fn state(&self) -> State {
        State {
            sequence: self.memory.sequence,
            has_limits: self.memory.limits > 0,
            recovering: self.memory.recovering,
            newest_payment: self.memory.sequence.payment,
            ..State::default()
        }
    }

    /// Loads what is asked for. What is not in memory is read inside the transaction that [`Store::commit`] or
    /// [`Store::give_up`] ends: nothing can change in between, and the database is locked once and not for every row.
    pub fn load(&mut self, mut needs: Needs, state: &mut State) -> Result<(), StoreError> {
        if let Some(under_way) = &mut self.under_way {
            under_way.note(&mut needs, state);
        }
        let missing = load::from_memory(&mut self.memory, needs, state);
        if missing.is_empty() {
            return Ok(());
        }
        self.begin()?;
        let loaded = load::rows(self.connection.as_mut(), &mut self.memory, &missing, state);
        if let Err(error) = &loaded {
            self.note_trouble(error);
            self.give_up()?;
        }
        loaded
    }

    fn begin(&mut self) -> Result<(), StoreError> {
        if !self.in_transaction {
            self.take_slot()?;
            self.connection.begin()?;
            self.in_transaction = true;
        }
        Ok(())
    }

    /// Ends the transaction of a batch that has nothing to write. Costs no sync.
    pub fn give_up(&mut self) -> Result<(), StoreError> {
        self.forget_batch();
        if self.in_transaction {
            self.in_transaction = false;
            self.connection.rollback()?;
        }
        Ok(())
    }

    /// Writes what has changed, in one transaction; durable when this returns. After an error nothing has changed.
    pub fn commit(&mut self, state: &State) -> Result<(), StoreError> {
        let checked = self.check_settled(state).and_then(|()| self.begin());
        let written = checked
            .and_then(|()| commit::changes(self.connection.as_mut(), &mut self.memory, state));
        match written {
            Ok(step) => self.finish(step),
            Err(error) => {
                self.note_trouble(&error);
                self.give_up()?;
                Err(error)
            }
        }
    }

    fn finish(&mut self, step: commit::Step) -> Result<(), StoreError> {
        self.in_transaction = false;
        self.forget_batch();
        if planted::is(Bug::MemoryBeforeDisk) {
            self.memory.take_over(step);
            return self.connection.commit();
        }
        match self.connection.commit() {
            Ok(()) => {
                self.memory.take_over(step);
                Ok(())
            }
            Err(StoreError::Unknown(why)) => self.find_out(step, why),
            Err(error) => {
                self.note_trouble(&error);
                Err(error)
            }
        }
    }

    fn forget_batch(&mut self) {
        if let Some(under_way) = &mut self.under_way {
            *under_way = UnderWay::default();
        }
    }

    /// Writes the rows of wallets that are behind the journal, so that the next start finds nothing to catch up with.
    pub fn catch_up(&mut self) -> Result<(), StoreError> {
        if self.under_way.is_some() {
            self.give_up()?;
            return self.leave();
        }
        self.begin()?;
        match commit::rows_behind(self.connection.as_mut(), &mut self.memory) {
            Ok(step) => self.finish(step),
            Err(error) => {
                self.give_up()?;
                Err(error)
            }
        }
    }

    /// The slot of this node, where others write as well and it has one.
    pub fn slot(&self) -> Option<i64> {
        self.memory.node.map(|node| node.slot)
    }

    /// The newest seal over the journal.
    pub const fn seal(&self) -> Seal {
        self.memory.seal
    }

    /// Moves what is left in the write-ahead log into the database file, so that the next commit begins the log anew. To be
    /// asked for when a [`Checkpointer`] has just moved the bulk: it holds the writer up.
    pub fn begin_log_anew(&mut self) -> Result<(), StoreError> {
        self.give_up()?;
        self.connection.fold().map(drop)
    }

    /// Moves the write-ahead log into the database file. For a clean stop.
    pub fn checkpoint(&mut self) -> Result<(), StoreError> {
        self.give_up()?;
        self.connection.checkpoint()
    }
}

impl Memory {
    /// What the one writer of a file remembers at its start.
    fn of_writer(connection: &mut dyn Connection, sizes: Sizes) -> Result<Self, StoreError> {
        connection.execute(RELEASE_CLAIMS, &[vec![]])?;
        let (seal, rows_to) = seal::newest(connection)?;
        Ok(Self {
            sequence: load::sequence(connection)?,
            accounts: HashMap::new(),
            wallets: Wallets::open(connection, rows_to, sizes)?,
            answers: Answers::open(connection)?,
            seal,
            limits: load::count_limits(connection)?,
            recovering: load::is_recovering(connection)?,
            node: None,
            generation: 0,
        })
    }
}

/// Moves the write-ahead log into the database file while the writer goes on.
pub struct Checkpointer {
    connection: Box<dyn Connection>,
    /// The database file, to be synced. Never closed: the first closing of any handle of a file ends all locks that the
    /// process has on it, those of SQLite too (<https://sqlite.org/howtocorrupt.html>, section 2.2).
    file: ManuallyDrop<File>,
}

impl std::fmt::Debug for Checkpointer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Checkpointer")
    }
}

impl Checkpointer {
    /// For the SQLite file at `path`, which the writer has opened.
    pub fn open_sqlite(path: &Path) -> Result<Self, StoreError> {
        let connection = Box::new(sqlite::Sqlite::open_checkpointer(path)?);
        let file = File::open(path).map_err(|error| {
            StoreError::Unusable(format!("{} cannot be used: {error}", path.display()))
        })?;
        Ok(Self {
            connection,
            file: ManuallyDrop::new(file),
        })
    }

    /// Moves what was committed so far; how many pages the log has.
    ///
    /// SQLite syncs the file only when nothing is left in the log. It is synced here each time, so that this last sync,
    /// which the writer waits for, finds little to do.
    pub fn fold(&mut self) -> Result<u64, StoreError> {
        let pages = self.connection.fold()?;
        let synced = self.file.sync_data();
        synced.map_err(|error| {
            StoreError::Unavailable(format!("the file cannot be synced: {error}"))
        })?;
        Ok(pages)
    }
}

pub(crate) const RELEASE_CLAIMS: &str =
    "UPDATE job SET lease_token = NULL, lease_until = NULL WHERE lease_token IS NOT NULL";
