//! Which database: a SQLite file, or a PostgreSQL server.

use std::path::{Path, PathBuf};

use crate::connection::{Connection, StoreError};
use crate::postgres::{Address, Postgres};
use crate::query::Reader;
use crate::sqlite::Sqlite;
use crate::{Checkpointer, Store, migrate, transfer};

/// Where the books are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Database {
    /// A SQLite file, for one process at a time.
    File(PathBuf),
    /// A PostgreSQL server, for several nodes at the same time.
    Server(Box<Address>),
}

impl From<PathBuf> for Database {
    fn from(path: PathBuf) -> Self {
        Self::File(path)
    }
}

impl From<Address> for Database {
    fn from(address: Address) -> Self {
        Self::Server(Box::new(address))
    }
}

/// Without passwords.
impl std::fmt::Display for Database {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::File(path) => path.display().fmt(f),
            Self::Server(address) => address.fmt(f),
        }
    }
}

impl Database {
    /// Reads `postgres://…`, or `sqlite://` with a path behind it.
    pub fn parse(url: &str) -> Result<Self, StoreError> {
        match url.strip_prefix("sqlite://") {
            Some(path) if !path.is_empty() => Ok(Self::File(path.into())),
            _ => Address::parse(url).map(Self::from),
        }
    }

    /// The file, if it is one.
    pub fn file(&self) -> Option<&Path> {
        match self {
            Self::File(path) => Some(path),
            Self::Server(_) => None,
        }
    }

    pub(crate) fn connect(&self) -> Result<Box<dyn Connection>, StoreError> {
        Ok(match self {
            Self::File(path) => Box::new(Sqlite::open_writer(path)?),
            Self::Server(address) => Box::new(Postgres::open(address.as_ref().clone())?),
        })
    }

    /// Opens the database for writing, and brings it up to date. A file is made if it is missing, a server's database is not.
    pub fn store(&self) -> Result<Store, StoreError> {
        let mut connection = self.connect()?;
        if let Self::Server(address) = self {
            // Work on the schema may take longer than a batch.
            migrate::run(connection.as_mut())?;
            connection = Box::new(Postgres::open_writer(address.as_ref().clone())?);
        }
        Store::open(connection)
    }

    /// Opens the database for reading. A store must have brought it up to date.
    pub fn reader(&self) -> Result<Reader, StoreError> {
        let mut reader = match self {
            Self::File(path) => Reader::open_sqlite(path)?,
            Self::Server(_) => Reader::over(self.connect()?),
        };
        if !migrate::has_begun(reader.connection())? {
            return Err(StoreError::Unusable(format!(
                "there are no books at {self} yet"
            )));
        }
        Ok(reader)
    }

    /// Whether somebody has used it: a file that is there, or a server's database in which a node has been at work.
    pub fn is_used(&self) -> Result<bool, StoreError> {
        match self {
            Self::File(path) => Ok(path.exists()),
            Self::Server(_) => {
                let mut connection = self.connect()?;
                Ok(migrate::has_begun(connection.as_mut())?
                    && transfer::is_used(connection.as_mut())?)
            }
        }
    }

    /// What moves the write-ahead log of a file into it; a server does that by itself.
    pub fn checkpointer(&self) -> Result<Option<Checkpointer>, StoreError> {
        let file = self.file();
        file.map(Checkpointer::open_sqlite).transpose()
    }
}
