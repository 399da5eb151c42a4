//! A session: signed in, with the statements it has prepared, and what is on its way to the server.

use std::collections::HashMap;
use std::io;
use std::sync::Arc;

use bytes::BytesMut;
use fallible_iterator::FallibleIterator as _;
use postgres_protocol::message::backend::{DataRowBody, Message};
use postgres_protocol::message::frontend;

use super::address::{Address, Place};
use super::patience::Patience;
use super::sign_in::SignIn;
use super::value::{Arrived, Refusal};
use super::wire::Wire;
use crate::connection::StoreError;

/// A commit that is answered is on disk. The last row says whether the server takes no writes, which a standby does not, and how the
/// database keeps texts.
const SETTINGS: &str = "SET default_transaction_isolation = 'read committed'; \
                        SET jit = off; SELECT set_config('synchronous_commit', 'on', false) \
                        WHERE current_setting('synchronous_commit') = 'off'; \
                        SELECT current_setting('transaction_read_only') || ' ' || current_setting('server_encoding')";

/// All that a batch reads it finds by an index. A server that has not counted the rows of a young table yet would read all of it for
/// each batch, until autovacuum comes by.
const BY_INDEX: &str = "SELECT set_config(name, 'off', false) FROM pg_settings \
                        WHERE name IN ('enable_seqscan', 'enable_hashjoin', 'enable_mergejoin'); ";

/// A prepared statement.
#[derive(Debug, Clone)]
pub(super) struct Prepared {
    pub(super) name: String,
    pub(super) parameters: Arc<[u32]>,
    pub(super) columns: Arc<[u32]>,
}

/// Why a session gave no answer.
#[derive(Debug)]
pub(super) enum Trouble {
    /// The server said no. The session goes on, unless it is fatal.
    Refused(Refusal),
    /// Nobody knows what the server did with what was under way.
    Lost(io::Error),
}

impl From<io::Error> for Trouble {
    fn from(error: io::Error) -> Self {
        Self::Lost(error)
    }
}

/// What is done with a row that arrives: which of the statements under way it answers, and the row.
pub(super) type Show<'a> = dyn FnMut(usize, Arrived) -> Result<(), StoreError> + 'a;

/// A statement under way.
struct Waiting {
    columns: Arc<[u32]>,
    hidden: usize,
}

/// What the statements that were under way have done.
#[derive(Debug, Default)]
pub(super) struct Done {
    /// How many rows each of them has touched.
    pub(super) touched: Vec<usize>,
    /// What went wrong with showing a row.
    pub(super) failed: Option<StoreError>,
}

pub(super) struct Session {
    wire: Wire,
    /// What has not been sent yet.
    pub(super) out: BytesMut,
    waiting: Vec<Waiting>,
    prepared: HashMap<String, Prepared>,
    /// Whether a transaction is under way on the server, failed or not.
    pub(super) in_transaction: bool,
}

impl Session {
    /// Connects to the first place that lets us in and takes writes.
    pub(super) fn open(address: &Address, patience: Patience) -> Result<Self, StoreError> {
        let mut failed = Vec::new();
        for place in &address.places {
            match Self::open_at(place, address, patience) {
                Ok(session) => return Ok(session),
                Err(why) => failed.push(format!("{}:{}: {why}", place.host, place.port)),
            }
        }
        Err(StoreError::Unavailable(format!(
            "no PostgreSQL server can be used: {}",
            failed.join("; ")
        )))
    }

    fn open_at(place: &Place, address: &Address, patience: Patience) -> Result<Self, String> {
        let wire = Wire::connect(place, address).map_err(|error| error.to_string())?;
        let mut session = Self {
            wire,
            out: BytesMut::new(),
            waiting: Vec::new(),
            prepared: HashMap::new(),
            in_transaction: false,
        };
        match session
            .sign_in(address)
            .and_then(|()| session.unfit(patience))
        {
            Ok(None) => Ok(session),
            Ok(Some(why)) => Err(why),
            Err(Trouble::Refused(refusal)) => Err(refusal.text),
            Err(Trouble::Lost(error)) => Err(error.to_string()),
        }
    }

    fn sign_in(&mut self, address: &Address) -> Result<(), Trouble> {
        let mut parameters = vec![
            ("user", address.user.as_str()),
            ("database", address.database.as_str()),
            ("client_encoding", "UTF8"),
            ("application_name", "bursar"),
        ];
        if let Some(schema) = &address.schema {
            parameters.push(("search_path", schema.as_str()));
        }
        frontend::startup_message(parameters, &mut self.out)?;
        self.wire.send(&mut self.out)?;
        let mut sign_in = SignIn::new(address, self.wire.protection());
        loop {
            match self.wire.receive()? {
                Message::BackendKeyData(_) | Message::ParameterStatus(_) => {}
                Message::ReadyForQuery(_) => break,
                Message::ErrorResponse(body) => return Err(Trouble::Refused(Refusal::of(&body))),
                message => sign_in.answer(&message, &mut self.out)?,
            }
            if !self.out.is_empty() {
                self.wire.send(&mut self.out)?;
            }
        }
        Ok(())
    }

    /// Makes the settings of every connection. Why the server cannot be used, if it cannot: asked for, not believed from what a server
    /// tells about itself at the sign-in, because a pooler in between tells less.
    fn unfit(&mut self, patience: Patience) -> Result<Option<String>, Trouble> {
        let mut last = String::new();
        let plans = match patience {
            Patience::Writing => BY_INDEX,
            Patience::Reading => "",
        };
        let settings = patience.settings() + plans + SETTINGS;
        self.show_script(&settings, &mut |row| {
            let column = row.ranges().next()?.flatten();
            let text = column.map_or(&[][..], |range| &row.buffer()[range]);
            last = String::from_utf8_lossy(text).into_owned();
            Ok(())
        })?;
        self.wire.wait_for(patience.answer())?;
        Ok(match last.split_once(' ') {
            Some(("off", "UTF8")) => None,
            Some(("off", encoding)) => Some(format!(
                "the database keeps texts in {encoding}, and not all texts can be kept in it: make one with ENCODING 'UTF8'"
            )),
            _ => Some("it is not the primary and takes no writes".to_owned()),
        })
    }

    /// The statement, prepared now if it has not been before. What waits to be sent goes on waiting.
    pub(super) fn prepared(&mut self, sql: &str) -> Result<Prepared, Trouble> {
        if let Some(prepared) = self.prepared.get(sql) {
            return Ok(prepared.clone());
        }
        let name = format!("s{}", self.prepared.len());
        let mut ask = BytesMut::new();
        frontend::parse(&name, sql, [], &mut ask)?;
        frontend::describe(b'S', &name, &mut ask)?;
        frontend::sync(&mut ask);
        self.send(&mut ask)?;
        let (mut parameters, mut columns) = (Vec::new(), Vec::new());
        let mut refused = None;
        loop {
            match self.wire.receive()? {
                Message::ParseComplete | Message::NoData | Message::ParameterStatus(_) => {}
                Message::ParameterDescription(body) => parameters = body.parameters().collect()?,
                Message::RowDescription(body) => {
                    columns = body.fields().map(|field| Ok(field.type_oid())).collect()?;
                }
                Message::ErrorResponse(body) => {
                    refused.get_or_insert(Refusal::of(&body));
                }
                Message::ReadyForQuery(body) => {
                    self.in_transaction = body.status() != b'I';
                    break;
                }
                _ => return Err(unexpected("a statement")),
            }
        }
        if let Some(refusal) = refused {
            return Err(Trouble::Refused(refusal));
        }
        let prepared = Prepared {
            name,
            parameters: parameters.into(),
            columns: columns.into(),
        };
        self.prepared.insert(sql.to_owned(), prepared.clone());
        Ok(prepared)
    }

    /// Notes that a statement has been written to `out`. So many of the columns of its answer are hidden from the caller.
    pub(super) fn wait_for(&mut self, prepared: &Prepared, hidden: usize) {
        let columns = Arc::clone(&prepared.columns);
        self.waiting.push(Waiting { columns, hidden });
    }

    /// Puts a statement without parameters and without an answer behind those that wait. It needs no preparation.
    pub(super) fn word(&mut self, sql: &str) -> io::Result<()> {
        frontend::parse("", sql, [], &mut self.out)?;
        let none = std::iter::empty::<i16>();
        let bound = frontend::bind(
            "",
            "",
            none.clone(),
            std::iter::empty::<()>(),
            |(), _| Ok(postgres_protocol::IsNull::Yes),
            none,
            &mut self.out,
        );
        bound.map_err(|_| io::Error::other("a word that cannot be written"))?;
        frontend::execute("", 0, &mut self.out)?;
        self.waiting.push(Waiting {
            columns: Arc::new([]),
            hidden: 0,
        });
        Ok(())
    }

    /// Whether the server has ended the session while it stood idle: it was restarted, or somebody has ended its sessions.
    pub(super) fn has_ended(&mut self) -> bool {
        let is_idle = !self.in_transaction && self.waiting.is_empty();
        is_idle && self.wire.has_ended()
    }

    /// How many statements wait to be sent.
    pub(super) fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// Forgets what was to be sent.
    pub(super) fn discard(&mut self) {
        self.out.clear();
        self.waiting.clear();
    }

    /// Sends messages. If the server is gone, it may have said why.
    fn send(&mut self, messages: &mut BytesMut) -> Result<(), Trouble> {
        let sent = self.wire.send(messages);
        sent.map_err(|error| {
            let is_closed = matches!(
                error.kind(),
                io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset
            );
            let why = if is_closed { self.last_words() } else { None };
            Trouble::Lost(why.unwrap_or(error))
        })
    }

    fn last_words(&mut self) -> Option<io::Error> {
        loop {
            if let Message::ErrorResponse(body) = self.wire.receive().ok()? {
                return Some(io::Error::other(Refusal::of(&body).text));
            }
        }
    }

    /// Sends what waits, in one go, and takes in all answers.
    pub(super) fn exchange(&mut self, show: &mut Show<'_>) -> Result<Done, Trouble> {
        let mut out = std::mem::take(&mut self.out);
        frontend::sync(&mut out);
        self.send(&mut out)?;
        self.out = out;
        let waiting = std::mem::take(&mut self.waiting);
        let mut done = Done::default();
        let mut refused = None;
        loop {
            match self.wire.receive()? {
                Message::ParseComplete | Message::BindComplete | Message::ParameterStatus(_) => {}
                Message::DataRow(body) => {
                    let place = done.touched.len();
                    let statement = waiting.get(place).ok_or_else(|| unexpected("a row"))?;
                    let columns = Arc::clone(&statement.columns);
                    let row = Arrived::of(body, columns, statement.hidden)?;
                    if done.failed.is_none() {
                        done.failed = show(place, row).err();
                    }
                }
                Message::CommandComplete(body) => done.touched.push(count(body.tag()?)),
                Message::EmptyQueryResponse => done.touched.push(0),
                Message::ErrorResponse(body) => {
                    let refusal = Refusal::of(&body);
                    if refusal.is_fatal {
                        return Err(Trouble::Lost(io::Error::other(refusal.text)));
                    }
                    refused.get_or_insert(refusal);
                }
                Message::ReadyForQuery(body) => {
                    self.in_transaction = body.status() != b'I';
                    break;
                }
                _ => return Err(unexpected("an answer")),
            }
        }
        refused.map_or(Ok(done), |refusal| Err(Trouble::Refused(refusal)))
    }

    /// Runs several statements without parameters, apart from all that waits.
    pub(super) fn script(&mut self, sql: &str) -> Result<(), Trouble> {
        self.show_script(sql, &mut |_| Ok(()))
    }

    /// As [`Session::script`], with whatever rows the statements give, as text.
    fn show_script(
        &mut self,
        sql: &str,
        show: &mut dyn FnMut(&DataRowBody) -> io::Result<()>,
    ) -> Result<(), Trouble> {
        let mut ask = BytesMut::new();
        frontend::query(sql, &mut ask)?;
        self.send(&mut ask)?;
        let mut refused = None;
        loop {
            match self.wire.receive()? {
                Message::DataRow(row) => show(&row)?,
                Message::ErrorResponse(body) => {
                    refused.get_or_insert(Refusal::of(&body));
                }
                Message::ReadyForQuery(body) => {
                    self.in_transaction = body.status() != b'I';
                    return refused.map_or(Ok(()), |refusal| Err(Trouble::Refused(refusal)));
                }
                _ => {}
            }
        }
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        let mut out = BytesMut::new();
        frontend::terminate(&mut out);
        // The server notices by itself when this does not arrive.
        let _ = self.wire.send(&mut out);
    }
}

fn unexpected(instead_of: &str) -> Trouble {
    Trouble::Lost(io::Error::other(format!(
        "an unexpected message instead of {instead_of}"
    )))
}

/// `INSERT 0 5`, `UPDATE 3`: the number of rows stands last.
fn count(tag: &str) -> usize {
    tag.rsplit(' ')
        .next()
        .map_or(0, |count| count.parse().unwrap_or(0))
}
