//! The whole abstraction over a database: run one statement with many rows of parameters, and transactions.

use std::sync::Arc;

use bursar_domain::time::Time;

/// A parameter or a column. Booleans are 0 and 1, times microseconds, JSON is text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// No value.
    Null,
    /// A 64-bit integer.
    Integer(i64),
    /// UTF-8 text.
    Text(String),
    /// Bytes.
    Bytes(Arc<[u8]>),
}

impl From<i64> for Value {
    fn from(value: i64) -> Self {
        Self::Integer(value)
    }
}

impl From<bool> for Value {
    fn from(value: bool) -> Self {
        Self::Integer(i64::from(value))
    }
}

impl From<Time> for Value {
    fn from(value: Time) -> Self {
        Self::Integer(value.0)
    }
}

impl From<&str> for Value {
    fn from(value: &str) -> Self {
        Self::Text(value.to_owned())
    }
}

impl From<String> for Value {
    fn from(value: String) -> Self {
        Self::Text(value)
    }
}

impl<T: Into<Self>> From<Option<T>> for Value {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}

/// One row of parameters.
pub type Parameters = Vec<Value>;

/// One row of an answer, read from left to right or by position.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row(pub Vec<Value>);

impl Row {
    /// The integer at `column`.
    pub fn integer(&self, column: usize) -> Result<i64, StoreError> {
        self.optional_integer(column)?
            .ok_or_else(|| StoreError::corrupt(format!("column {column} is null")))
    }

    /// The integer at `column`, if any.
    pub fn optional_integer(&self, column: usize) -> Result<Option<i64>, StoreError> {
        match self.0.get(column) {
            Some(Value::Integer(value)) => Ok(Some(*value)),
            Some(Value::Null) => Ok(None),
            _ => Err(StoreError::corrupt(format!(
                "column {column} is not an integer"
            ))),
        }
    }

    /// The text at `column`.
    pub fn text(&self, column: usize) -> Result<&str, StoreError> {
        self.optional_text(column)?
            .ok_or_else(|| StoreError::corrupt(format!("column {column} is null")))
    }

    /// The text at `column`, if any.
    pub fn optional_text(&self, column: usize) -> Result<Option<&str>, StoreError> {
        match self.0.get(column) {
            Some(Value::Text(value)) => Ok(Some(value)),
            Some(Value::Null) => Ok(None),
            _ => Err(StoreError::corrupt(format!("column {column} is not text"))),
        }
    }

    /// The text at `column`, understood by `parse`.
    pub fn parsed<T>(
        &self,
        column: usize,
        parse: impl FnOnce(&str) -> Option<T>,
    ) -> Result<T, StoreError> {
        let text = self.text(column)?;
        parse(text).ok_or_else(|| StoreError::corrupt(format!("column {column} holds {text:?}")))
    }

    /// The text at `column`, if any, understood by `parse`.
    pub fn optional_parsed<T>(
        &self,
        column: usize,
        parse: impl FnOnce(&str) -> Option<T>,
    ) -> Result<Option<T>, StoreError> {
        match self.optional_text(column)? {
            Some(_) => self.parsed(column, parse).map(Some),
            None => Ok(None),
        }
    }

    /// The time at `column`.
    pub fn time(&self, column: usize) -> Result<Time, StoreError> {
        self.integer(column).map(Time)
    }

    /// The time at `column`, if any.
    pub fn optional_time(&self, column: usize) -> Result<Option<Time>, StoreError> {
        Ok(self.optional_integer(column)?.map(Time))
    }

    /// The boolean at `column`.
    pub fn boolean(&self, column: usize) -> Result<bool, StoreError> {
        self.integer(column).map(|value| value != 0)
    }

    /// The bytes at `column`.
    pub fn bytes(&self, column: usize) -> Result<Arc<[u8]>, StoreError> {
        match self.0.get(column) {
            Some(Value::Bytes(value)) => Ok(Arc::clone(value)),
            _ => Err(StoreError::corrupt(format!("column {column} is not bytes"))),
        }
    }
}

/// A column as it is read, before anything is copied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cell<'a> {
    /// No value.
    Null,
    /// A 64-bit integer.
    Integer(i64),
    /// UTF-8 text.
    Text(&'a str),
    /// Bytes.
    Bytes(&'a [u8]),
}

impl Value {
    /// The value, without a copy of it.
    pub fn cell(&self) -> Cell<'_> {
        match self {
            Self::Null => Cell::Null,
            Self::Integer(value) => Cell::Integer(*value),
            Self::Text(value) => Cell::Text(value),
            Self::Bytes(value) => Cell::Bytes(value),
        }
    }
}

impl From<Cell<'_>> for Value {
    fn from(cell: Cell<'_>) -> Self {
        match cell {
            Cell::Null => Self::Null,
            Cell::Integer(value) => Self::Integer(value),
            Cell::Text(value) => Self::Text(value.to_owned()),
            Cell::Bytes(value) => Self::Bytes(value.into()),
        }
    }
}

/// A row that is shown while it is being read.
pub trait Cells {
    /// How many columns there are.
    fn columns(&self) -> usize;

    /// What stands in `column`.
    fn cell(&self, column: usize) -> Result<Cell<'_>, StoreError>;
}

impl Cells for Row {
    fn columns(&self) -> usize {
        self.0.len()
    }

    fn cell(&self, column: usize) -> Result<Cell<'_>, StoreError> {
        let value = self.0.get(column);
        value
            .map(Value::cell)
            .ok_or_else(|| StoreError::corrupt(format!("there is no column {column}")))
    }
}

impl dyn Cells + '_ {
    /// A copy, to be kept.
    pub(crate) fn copied(&self) -> Result<Row, StoreError> {
        let values = (0..self.columns()).map(|column| self.cell(column).map(Value::from));
        values.collect::<Result<_, _>>().map(Row)
    }

    /// The integer at `column`, if any.
    pub(crate) fn optional_integer(&self, column: usize) -> Result<Option<i64>, StoreError> {
        match self.cell(column)? {
            Cell::Integer(value) => Ok(Some(value)),
            Cell::Null => Ok(None),
            _ => Err(StoreError::corrupt(format!(
                "column {column} is not an integer"
            ))),
        }
    }

    /// The integer at `column`.
    pub(crate) fn integer(&self, column: usize) -> Result<i64, StoreError> {
        self.optional_integer(column)?
            .ok_or_else(|| StoreError::corrupt(format!("column {column} is null")))
    }

    /// The text at `column`, if any.
    pub(crate) fn optional_text(&self, column: usize) -> Result<Option<&str>, StoreError> {
        match self.cell(column)? {
            Cell::Text(value) => Ok(Some(value)),
            Cell::Null => Ok(None),
            _ => Err(StoreError::corrupt(format!("column {column} is not text"))),
        }
    }
}

/// Why the store could not do as asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The database cannot be used as it is: another process has it, the library is too old, the file cannot be opened.
    #[error("{0}")]
    Unusable(String),
    /// The database refused a statement, for what is in it: a broken constraint, as a rule. Nothing was changed.
    #[error("the database refused: {0}")]
    Refused(String),
    /// The database takes nothing from anybody at the moment: disk full, file locked by another program, broken disk.
    /// Nothing was changed.
    #[error("the database cannot be used at the moment: {0}")]
    Unavailable(String),
    /// Somebody else was faster: another node has used a key or changed a row meanwhile. Nothing was changed; decided again, it
    /// comes out by what is there now.
    #[error("another node was faster; nothing was changed: {0}")]
    Conflict(String),
    /// The connection was lost while a commit was under way. It may have been done or not.
    #[error("the database did not say whether it committed: {0}")]
    Unknown(String),
    /// The database has forgotten what it had committed: a standby that was behind has taken over. Nothing is written any more until
    /// a person has looked.
    #[error("the database has lost commits that were answered: {0}")]
    Lost(String),
    /// A page was asked for after a cursor that no page has given out.
    #[error("the cursor is not one that was given out for this list")]
    BadCursor,
    /// The database holds something that cannot be read back. A person has to look.
    #[error("the database holds something unreadable: {0}")]
    Corrupt(String),
}

impl StoreError {
    pub(crate) fn corrupt(what: impl Into<String>) -> Self {
        Self::Corrupt(what.into())
    }
}

/// One statement, and the rows of parameters it is asked with.
pub type Question<'a> = (&'a str, &'a [Parameters]);

/// What differs between databases where it matters to the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    /// A file that belongs to one process.
    Sqlite,
    /// A server that several nodes use at the same time.
    Postgres,
}

impl Dialect {
    /// What stands behind a query whose rows nobody else may change until the transaction ends.
    pub(crate) const fn lock(self) -> &'static str {
        match self {
            Self::Sqlite => "",
            Self::Postgres => " FOR UPDATE",
        }
    }
}

/// A connection to a database.
pub trait Connection: Send {
    /// Which database it is.
    fn dialect(&self) -> Dialect {
        Dialect::Sqlite
    }

    /// How often the database was connected to. What was read before the last time may be what another server had.
    fn generation(&self) -> u64 {
        0
    }

    /// Runs several queries, with as few waits as can be; for each of them, one answer for each row of parameters.
    fn ask(&mut self, questions: &[Question<'_>]) -> Result<Vec<Vec<Vec<Row>>>, StoreError> {
        let asked = questions.iter();
        asked
            .map(|(sql, parameters)| self.query(sql, parameters))
            .collect()
    }

    /// As [`Connection::execute`], where nobody has to know how many rows were touched. It may be put off until something is
    /// asked or committed, and a refusal is told then.
    fn write(&mut self, sql: &str, parameters: &[Parameters]) -> Result<(), StoreError> {
        self.execute(sql, parameters).map(drop)
    }

    /// Runs one query once for each row of parameters; one answer for each.
    fn query(&mut self, sql: &str, parameters: &[Parameters]) -> Result<Vec<Vec<Row>>, StoreError>;

    /// Runs one statement once for each row of parameters; how many rows were touched in all.
    fn execute(&mut self, sql: &str, parameters: &[Parameters]) -> Result<usize, StoreError>;

    /// Runs several statements without parameters, for migrations.
    fn run_script(&mut self, sql: &str) -> Result<(), StoreError>;

    /// Begins a transaction that may write.
    fn begin(&mut self) -> Result<(), StoreError>;

    /// Begins a transaction that only reads, and reads everything as it was at one moment.
    fn begin_reading(&mut self) -> Result<(), StoreError> {
        self.run_script("BEGIN")
    }

    /// Ends the transaction; durable when this returns.
    fn commit(&mut self) -> Result<(), StoreError>;

    /// Gives the transaction up.
    fn rollback(&mut self) -> Result<(), StoreError>;

    /// Moves what was committed from the log into the database file, as far as nobody is in the way and without making
    /// anybody wait; how many pages the log has. Does nothing where there is no such log.
    fn fold(&mut self) -> Result<u64, StoreError> {
        Ok(0)
    }

    /// Brings the files into their most compact state.
    fn checkpoint(&mut self) -> Result<(), StoreError>;

    /// Shows the rows of an answer one after the other and keeps none: for answers that are too long to be kept.
    fn visit(
        &mut self,
        sql: &str,
        parameters: &Parameters,
        show: &mut dyn FnMut(&dyn Cells) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        for row in self.rows(sql, parameters.clone())? {
            show(&row)?;
        }
        Ok(())
    }

    /// One query with one row of parameters.
    fn rows(&mut self, sql: &str, parameters: Parameters) -> Result<Vec<Row>, StoreError> {
        Ok(self.query(sql, &[parameters])?.pop().unwrap_or_default())
    }
}
