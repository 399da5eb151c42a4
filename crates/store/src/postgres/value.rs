//! How values stand in messages, and what a server's refusal means.

use std::io;
use std::sync::Arc;

use bytes::{BufMut as _, BytesMut};
use fallible_iterator::FallibleIterator as _;
use postgres_protocol::IsNull;
use postgres_protocol::message::backend::{DataRowBody, ErrorResponseBody};

use crate::connection::{Cell, Cells, StoreError, Value};

pub(super) const BIGINT: u32 = 20;
pub(super) const TEXT: u32 = 25;
const INTEGER: u32 = 23;
const BYTEA: u32 = 17;
/// Types that arrive as text: what the catalogue is written in, and a text whose type nobody has said.
const TEXTUAL: [u32; 5] = [TEXT, 19, 705, 1042, 1043];

/// The name of a parameter's type.
pub(super) fn type_name(kind: u32) -> &'static str {
    match kind {
        BIGINT => "bigint",
        INTEGER => "integer",
        BYTEA => "bytea",
        _ => "text",
    }
}

fn unfit(kind: u32) -> io::Error {
    io::Error::other(format!(
        "a value that does not fit a parameter of type {kind}"
    ))
}

/// Writes a parameter of this type.
pub(super) fn write(value: &Value, kind: u32, buffer: &mut BytesMut) -> io::Result<IsNull> {
    match (value, kind) {
        (Value::Null, _) => return Ok(IsNull::Yes),
        (Value::Integer(number), BIGINT) => buffer.put_i64(*number),
        (Value::Integer(number), INTEGER) => {
            buffer.put_i32(i32::try_from(*number).map_err(|_| unfit(kind))?);
        }
        (Value::Text(text), kind) if TEXTUAL.contains(&kind) => {
            buffer.extend_from_slice(text.as_bytes());
        }
        (Value::Bytes(bytes), BYTEA) => buffer.extend_from_slice(bytes),
        _ => return Err(unfit(kind)),
    }
    Ok(IsNull::No)
}

/// Writes one column of many rows as an array.
pub(super) fn write_array<'a>(
    values: impl ExactSizeIterator<Item = &'a Value>,
    kind: u32,
    buffer: &mut BytesMut,
) -> io::Result<IsNull> {
    // One dimension, may hold nulls, type, length, first index.
    buffer.put_i32(1);
    buffer.put_i32(1);
    buffer.put_u32(kind);
    buffer.put_i32(i32::try_from(values.len()).map_err(io::Error::other)?);
    buffer.put_i32(1);
    for value in values {
        let place = buffer.len();
        buffer.put_i32(-1);
        if let IsNull::No = write(value, kind, buffer)? {
            let length = i32::try_from(buffer.len() - place - 4).map_err(io::Error::other)?;
            buffer[place..place + 4].copy_from_slice(&length.to_be_bytes());
        }
    }
    Ok(IsNull::No)
}

/// A row as it came.
pub(super) struct Arrived {
    body: DataRowBody,
    places: Vec<Option<std::ops::Range<usize>>>,
    types: Arc<[u32]>,
    /// How many columns at the front are not the caller's.
    hidden: usize,
}

impl Arrived {
    pub(super) fn of(body: DataRowBody, types: Arc<[u32]>, hidden: usize) -> io::Result<Self> {
        let places = body.ranges().collect()?;
        Ok(Self {
            body,
            places,
            types,
            hidden,
        })
    }

    /// The number in the hidden column: which row of parameters this answers, from 1.
    pub(super) fn place(&self) -> Result<usize, StoreError> {
        match self.at(0)? {
            Cell::Integer(place) => usize::try_from(place).ok(),
            _ => None,
        }
        .ok_or_else(|| StoreError::corrupt("an answer without its place"))
    }

    fn at(&self, column: usize) -> Result<Cell<'_>, StoreError> {
        let missing = || StoreError::corrupt(format!("there is no column {column}"));
        let range = self.places.get(column).ok_or_else(missing)?;
        let kind = *self.types.get(column).ok_or_else(missing)?;
        let Some(range) = range else {
            return Ok(Cell::Null);
        };
        let bytes = &self.body.buffer()[range.clone()];
        let odd = || StoreError::corrupt(format!("column {column} has an odd length"));
        Ok(match kind {
            BIGINT => Cell::Integer(i64::from_be_bytes(bytes.try_into().map_err(|_| odd())?)),
            INTEGER => {
                let number = i32::from_be_bytes(bytes.try_into().map_err(|_| odd())?);
                Cell::Integer(number.into())
            }
            // A boolean, which only the catalogue has.
            16 => Cell::Integer(i64::from(bytes == [1])),
            BYTEA => Cell::Bytes(bytes),
            kind if TEXTUAL.contains(&kind) => Cell::Text(
                std::str::from_utf8(bytes)
                    .map_err(|_| StoreError::corrupt("text that is not UTF-8"))?,
            ),
            other => {
                return Err(StoreError::corrupt(format!(
                    "column {column} has the type {other}"
                )));
            }
        })
    }
}

impl Cells for Arrived {
    fn columns(&self) -> usize {
        self.places.len() - self.hidden
    }

    fn cell(&self, column: usize) -> Result<Cell<'_>, StoreError> {
        self.at(column + self.hidden)
    }
}

/// What the server said instead of doing as asked.
#[derive(Debug, Clone, Default)]
pub(super) struct Refusal {
    pub(super) code: String,
    pub(super) text: String,
    /// Whether the server ends the session with it.
    pub(super) is_fatal: bool,
}

impl Refusal {
    pub(super) fn of(body: &ErrorResponseBody) -> Self {
        let mut refusal = Self::default();
        let (mut message, mut detail) = (String::new(), String::new());
        let mut fields = body.fields();
        while let Ok(Some(field)) = fields.next() {
            let value = || String::from_utf8_lossy(field.value_bytes()).into_owned();
            match field.type_() {
                b'C' => refusal.code = value(),
                b'M' => message = value(),
                b'D' => detail = format!(" ({})", value()),
                b'V' => refusal.is_fatal = matches!(field.value_bytes(), b"FATAL" | b"PANIC"),
                _ => {}
            }
        }
        refusal.text = format!("{message}{detail} [{}]", refusal.code);
        refusal
    }

    /// What it means for the caller. Nothing was changed.
    pub(super) fn error(&self) -> StoreError {
        let text = self.text.clone();
        match self.code.as_str() {
            // Serialization failure, deadlock, and a key that somebody else has just used.
            "40001" | "40P01" | "23505" => StoreError::Conflict(text),
            // Waited too long for a lock, or ran too long; too many connections; out of disk, memory or whatever else it lives
            // from; stopping; not the primary any more.
            "55P03" | "57014" | "25006" | "25P03" => StoreError::Unavailable(text),
            code if ["53", "57", "58", "08"]
                .iter()
                .any(|class| code.starts_with(class)) =>
            {
                StoreError::Unavailable(text)
            }
            // A statement of this name is there already, or is not there: somebody else has used this session, or uses it now.
            "42P05" | "26000" => StoreError::Refused(format!(
                "{text}: is there a pooler in between? it must be in session mode"
            )),
            _ => StoreError::Refused(text),
        }
    }
}
