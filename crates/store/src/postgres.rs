//! The PostgreSQL driver: one connection, used by one thread; everything that can be sent together is sent together.
//!
//! Statements that are run for many rows become statements over arrays ([`many`]). What is only written waits until something has
//! to be answered, so that a batch costs two round trips however large it is: one that asks, one that writes and commits.

mod address;
mod many;
mod patience;
mod session;
mod sign_in;
mod tls;
mod value;
mod wire;

use std::io;

use postgres_protocol::message::frontend;

pub use address::Address;
use patience::Patience;
use session::{Done, Prepared, Session, Show, Trouble};

use crate::connection::{Cells, Connection, Dialect, Parameters, Question, Row, StoreError, Value};

/// So many rows of parameters at most in one statement.
const ROWS_MAX: usize = 4_096;

/// A connection to a PostgreSQL server. It is opened again by itself when it was lost.
pub struct Postgres {
    address: Address,
    patience: Patience,
    session: Option<Session>,
    in_transaction: bool,
    generation: u64,
    /// Statements that were turned into statements over arrays.
    many: std::collections::HashMap<String, String>,
}

impl std::fmt::Debug for Postgres {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Postgres").field(&self.address).finish()
    }
}

/// Where a row goes to that arrives.
struct Taken<'a> {
    questions: &'a [Question<'a>],
    /// For each question, for each of its rows of parameters.
    answers: Vec<Vec<Vec<Row>>>,
    /// For each statement under way: which question it answers, and from which row of parameters on. None: nobody asked.
    asked: Vec<Option<(usize, usize)>>,
}

impl Postgres {
    /// Connects.
    pub fn open(address: Address) -> Result<Self, StoreError> {
        Self::open_with(address, Patience::Reading)
    }

    /// Connects for a node's batches: nothing there may take long.
    pub fn open_writer(address: Address) -> Result<Self, StoreError> {
        Self::open_with(address, Patience::Writing)
    }

    fn open_with(address: Address, patience: Patience) -> Result<Self, StoreError> {
        let mut opened = Self {
            address,
            patience,
            session: None,
            in_transaction: false,
            generation: 0,
            many: std::collections::HashMap::new(),
        };
        opened.session()?;
        Ok(opened)
    }

    /// The session, opened anew if it was lost outside a transaction.
    fn session(&mut self) -> Result<&mut Session, StoreError> {
        if self.session.is_none() {
            if self.in_transaction {
                return Err(StoreError::Unavailable(
                    "the connection was lost in the middle of a transaction; nothing was changed"
                        .into(),
                ));
            }
            self.session = Some(Session::open(&self.address, self.patience)?);
            self.generation += 1;
        }
        self.session
            .as_mut()
            .ok_or_else(|| StoreError::Unavailable("there is no connection".into()))
    }

    /// To be called before anything is begun: a session that has ended while nobody used it is no trouble, but opened anew.
    fn look(&mut self) {
        if self.session.as_mut().is_some_and(Session::has_ended) {
            self.session = None;
        }
    }

    /// After trouble: a lost connection is given up, a refusal leaves it as it is.
    fn trouble(&mut self, trouble: &Trouble) -> StoreError {
        if let Trouble::Lost(_) = trouble {
            self.session = None;
        } else if let Some(session) = &mut self.session {
            session.discard();
        }
        trouble.error("an answer")
    }

    fn prepare(&mut self, sql: &str) -> Result<Prepared, StoreError> {
        let prepared = self.session()?.prepared(sql);
        prepared.map_err(|trouble| self.trouble(&trouble))
    }

    /// Puts a statement behind those that wait. `hidden` as in [`Session::wait_for`].
    fn put(&mut self, sql: &str, rows: &[Parameters], is_query: bool) -> Result<(), StoreError> {
        let prepared = self.prepare(sql)?;
        let [row] = rows else {
            let kinds = &prepared.parameters;
            let many = match self.many.get(sql) {
                Some(many) => many.clone(),
                None => many::of(sql, kinds)?,
            };
            let over_arrays = self.prepare(&many)?;
            self.many.entry(sql.to_owned()).or_insert(many);
            let columns: Vec<usize> = (0..kinds.len()).collect();
            return self.bind(
                &over_arrays,
                usize::from(is_query),
                columns,
                |column, buffer| {
                    let values = rows
                        .iter()
                        .map(|row| row.get(column).unwrap_or(&Value::Null));
                    value::write_array(values, kinds[column], buffer)
                },
            );
        };
        let kinds = std::sync::Arc::clone(&prepared.parameters);
        if kinds.len() != row.len() {
            return Err(StoreError::Refused(format!(
                "{} parameters for a statement with {}: {sql}",
                row.len(),
                kinds.len()
            )));
        }
        let columns: Vec<usize> = (0..row.len()).collect();
        self.bind(&prepared, 0, columns, |column, buffer| {
            value::write(&row[column], kinds[column], buffer)
        })
    }

    fn bind(
        &mut self,
        prepared: &Prepared,
        hidden: usize,
        columns: Vec<usize>,
        mut write: impl FnMut(usize, &mut bytes::BytesMut) -> io::Result<postgres_protocol::IsNull>,
    ) -> Result<(), StoreError> {
        let session = self.session()?;
        let before = session.out.len();
        let bound = frontend::bind(
            "",
            &prepared.name,
            [1],
            columns,
            |column, buffer| write(column, buffer).map_err(Into::into),
            [1],
            &mut session.out,
        );
        let written = bound.map_err(|error| match error {
            frontend::BindError::Conversion(error) => error.to_string(),
            frontend::BindError::Serialization(error) => error.to_string(),
        });
        let written = written.and_then(|()| {
            frontend::execute("", 0, &mut session.out).map_err(|error| error.to_string())
        });
        if let Err(why) = written {
            session.out.truncate(before);
            return Err(StoreError::Refused(why));
        }
        session.wait_for(prepared, hidden);
        Ok(())
    }

    fn exchange(&mut self, show: &mut Show<'_>) -> Result<Done, StoreError> {
        let exchanged = self.session()?.exchange(show);
        let done = exchanged.map_err(|trouble| self.trouble(&trouble))?;
        match done.failed {
            Some(error) => Err(error),
            None => Ok(done),
        }
    }

    fn waiting(&self) -> usize {
        self.session.as_ref().map_or(0, Session::waiting)
    }

    /// A word that begins or ends a transaction.
    fn word(&mut self, sql: &str) -> Result<(), StoreError> {
        let session = self.session()?;
        let put = session.word(sql);
        put.map_err(|error| StoreError::Refused(error.to_string()))
    }
}

impl Trouble {
    fn error(&self, instead_of: &str) -> StoreError {
        match self {
            Self::Refused(refusal) => refusal.error(),
            Self::Lost(error) => StoreError::Unavailable(format!(
                "the connection was lost while {instead_of} was waited for: {error}"
            )),
        }
    }
}

impl Taken<'_> {
    fn take(&mut self, statement: usize, row: &value::Arrived) -> Result<(), StoreError> {
        let Some(Some((question, first))) = self.asked.get(statement) else {
            return Ok(());
        };
        let place = if self.questions[*question].1.len() == 1 {
            0
        } else {
            first + row.place()? - 1
        };
        let cells: &dyn Cells = row;
        let answer = self.answers[*question].get_mut(place);
        let answer = answer.ok_or_else(|| StoreError::corrupt("an answer nobody asked for"))?;
        answer.push(cells.copied()?);
        Ok(())
    }
}

impl Connection for Postgres {
    fn dialect(&self) -> Dialect {
        Dialect::Postgres
    }

    fn generation(&self) -> u64 {
        self.generation
    }

    fn query(&mut self, sql: &str, parameters: &[Parameters]) -> Result<Vec<Vec<Row>>, StoreError> {
        let mut answers = self.ask(&[(sql, parameters)])?;
        Ok(answers.pop().unwrap_or_default())
    }

    fn ask(&mut self, questions: &[Question<'_>]) -> Result<Vec<Vec<Vec<Row>>>, StoreError> {
        self.look();
        let mut taken = Taken {
            questions,
            answers: Vec::new(),
            asked: vec![None; self.waiting()],
        };
        for (place, (sql, rows)) in questions.iter().enumerate() {
            taken.answers.push(vec![Vec::new(); rows.len()]);
            // A lone row at the end of many must not look like a single question.
            let size = if rows.len() % ROWS_MAX == 1 {
                ROWS_MAX - 1
            } else {
                ROWS_MAX
            };
            for (chunk, rows) in rows.chunks(size).enumerate() {
                self.put(sql, rows, true)?;
                taken.asked.push(Some((place, chunk * size)));
            }
        }
        self.exchange(&mut |statement, row| taken.take(statement, &row))?;
        Ok(taken.answers)
    }

    fn visit(
        &mut self,
        sql: &str,
        parameters: &Parameters,
        show: &mut dyn FnMut(&dyn Cells) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        self.look();
        let before = self.waiting();
        self.put(sql, std::slice::from_ref(parameters), true)?;
        let mut show = |statement: usize, row: value::Arrived| {
            if statement == before {
                show(&row)
            } else {
                Ok(())
            }
        };
        self.exchange(&mut show).map(drop)
    }

    fn execute(&mut self, sql: &str, parameters: &[Parameters]) -> Result<usize, StoreError> {
        self.look();
        let before = self.waiting();
        self.write(sql, parameters)?;
        let done = self.exchange(&mut |_, _| Ok(()))?;
        Ok(done.touched.iter().skip(before).sum())
    }

    fn write(&mut self, sql: &str, parameters: &[Parameters]) -> Result<(), StoreError> {
        for rows in parameters.chunks(ROWS_MAX) {
            self.put(sql, rows, false)?;
        }
        Ok(())
    }

    fn run_script(&mut self, sql: &str) -> Result<(), StoreError> {
        self.look();
        if self.waiting() > 0 {
            self.exchange(&mut |_, _| Ok(()))?;
        }
        let done = self.session()?.script(sql);
        done.map_err(|trouble| self.trouble(&trouble))
    }

    fn begin(&mut self) -> Result<(), StoreError> {
        self.in_transaction = false;
        self.look();
        self.word("BEGIN")?;
        self.in_transaction = true;
        Ok(())
    }

    fn begin_reading(&mut self) -> Result<(), StoreError> {
        self.in_transaction = false;
        self.look();
        self.word("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")?;
        // It holds no locks, and whoever reads for long may write to a slow place in between, or read a large table as it comes.
        self.word("SET LOCAL idle_in_transaction_session_timeout = '10min'")?;
        self.word("SET LOCAL statement_timeout = '10min'")?;
        self.in_transaction = true;
        Ok(())
    }

    fn commit(&mut self) -> Result<(), StoreError> {
        let sent = self.word("COMMIT");
        let in_transaction = std::mem::take(&mut self.in_transaction);
        let committed = sent.and_then(|()| {
            let session = self.session()?;
            match session.exchange(&mut |_, _| Ok(())) {
                Ok(_) => Ok(()),
                // The word was on its way, and nobody knows whether it arrived.
                Err(Trouble::Lost(error)) => {
                    self.session = None;
                    Err(StoreError::Unknown(error.to_string()))
                }
                Err(trouble @ Trouble::Refused(_)) => Err(self.trouble(&trouble)),
            }
        });
        if committed.is_err() && self.session.is_some() && in_transaction {
            self.in_transaction = true;
            self.rollback()?;
        }
        committed
    }

    fn rollback(&mut self) -> Result<(), StoreError> {
        self.in_transaction = false;
        let Some(session) = &mut self.session else {
            return Ok(());
        };
        session.discard();
        if session.in_transaction && session.script("ROLLBACK").is_err() {
            self.session = None;
        }
        Ok(())
    }

    fn checkpoint(&mut self) -> Result<(), StoreError> {
        Ok(())
    }
}
