//! What readers ask: single rows, pages newest first, and what workers look for.

mod bonus;
mod card;
mod chain;
mod explain;
mod export;
mod reconcile;
mod returns;
mod statement;
mod wallet;

use std::path::Path;

use bursar_domain::api_key::ApiKey;
use bursar_domain::event::{EventStatus, StoredEvent};
use bursar_domain::id::{PaymentId, TopupId, UserId};
use bursar_domain::job::{Job, JobKey, JobKind};
use bursar_domain::payment::{Payment, PaymentStatus};
use bursar_domain::time::Time;
use bursar_domain::topup::{Topup, TopupStatus};

use crate::connection::{Connection, Row, StoreError, Value};
use crate::record;
use crate::sqlite::Sqlite;

pub use bonus::ReferralSum;
pub use chain::Chain;
pub use explain::ReasonSum;
pub use export::{Progress, Recorded, RecordedPosting};
pub use reconcile::{Purchase, Span};
pub use returns::RefundFilter;
pub use statement::{Entry, EntryFilter};
pub use wallet::{GrantFilter, HoldFilter, UsageFilter, UsageSum};

/// Which part of a list is wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PageRequest {
    /// At most so many items; at least 1.
    pub limit: usize,
    /// Only what comes after the page that gave out this cursor.
    pub cursor: Option<String>,
}

/// A part of a list, newest first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page<T> {
    /// The items.
    pub items: Vec<T>,
    /// The cursor for the next page; none if this is the last.
    pub next: Option<String>,
}

/// Narrows a list of top-ups.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TopupFilter {
    /// Only this user's.
    pub user: Option<UserId>,
    /// Only those that stand so.
    pub status: Option<TopupStatus>,
}

/// Narrows a list of payments.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PaymentFilter {
    /// Only this user's.
    pub user: Option<UserId>,
    /// Only those that stand so.
    pub status: Option<PaymentStatus>,
    /// Only those for this top-up.
    pub topup: Option<TopupId>,
}

/// Narrows a list of events.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EventFilter {
    /// Only those of which this became.
    pub status: Option<EventStatus>,
    /// Only those of this kind.
    pub kind: Option<String>,
    /// Only the one with this id.
    pub id: Option<String>,
    /// Only those about this payment.
    pub payment: Option<PaymentId>,
}

/// A reader's side of a database: sees everything that was committed before it asks.
pub struct Reader {
    connection: Box<dyn Connection>,
}

impl std::fmt::Debug for Reader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reader").finish_non_exhaustive()
    }
}

/// Conditions and their parameters, in step.
#[derive(Default)]
struct Conditions {
    text: Vec<String>,
    parameters: Vec<Value>,
}

impl Conditions {
    fn equal(&mut self, column: &str, value: Option<impl Into<Value>>) {
        self.compare(column, "=", value);
    }

    fn compare(&mut self, column: &str, operator: &str, value: Option<impl Into<Value>>) {
        if let Some(value) = value {
            self.parameters.push(value.into());
            self.text
                .push(format!("{column} {operator} ${}", self.parameters.len()));
        }
    }

    /// A condition without a parameter.
    fn plain(&mut self, condition: &str) {
        self.text.push(condition.to_owned());
    }

    fn written(&self) -> String {
        if self.text.is_empty() {
            String::new()
        } else {
            format!("WHERE {}", self.text.join(" AND "))
        }
    }
}

impl Reader {
    /// Reads the SQLite file at `path`.
    pub fn open_sqlite(path: &Path) -> Result<Self, StoreError> {
        Ok(Self::over(Box::new(Sqlite::open_reader(path)?)))
    }

    /// Reads over any connection to a database that a [`Store`](crate::Store) has brought up to date.
    pub fn over(connection: Box<dyn Connection>) -> Self {
        Self { connection }
    }

    pub(crate) fn connection(&mut self) -> &mut dyn Connection {
        self.connection.as_mut()
    }

    fn one<T>(
        &mut self,
        sql: &str,
        key: impl Into<Value>,
        read: impl Fn(&Row) -> Result<T, StoreError>,
    ) -> Result<Option<T>, StoreError> {
        self.connection
            .rows(sql, vec![key.into()])?
            .first()
            .map(read)
            .transpose()
    }

    /// A page by a key column that sorts by time.
    fn page<T>(
        &mut self,
        (columns, table, key): (&str, &str, &str),
        conditions: &Conditions,
        request: &PageRequest,
        read: impl Fn(&Row) -> Result<T, StoreError>,
        cursor_of: impl Fn(&T) -> String,
    ) -> Result<Page<T>, StoreError> {
        let sql = format!(
            "SELECT {columns} FROM {table} {} ORDER BY {key} DESC LIMIT {}",
            conditions.written(),
            request.limit + 1
        );
        let rows = self.connection.rows(&sql, conditions.parameters.clone())?;
        let items = rows.iter().map(read).collect::<Result<_, _>>()?;
        Ok(cut(items, request.limit, cursor_of))
    }

    /// One top-up.
    pub fn topup(&mut self, id: &TopupId) -> Result<Option<Topup>, StoreError> {
        let sql = format!("SELECT {} FROM topup WHERE id = $1", record::TOPUP);
        self.one(&sql, id.as_str(), record::read_topup)
    }

    /// Top-ups, the newest first.
    pub fn topups(
        &mut self,
        filter: &TopupFilter,
        request: &PageRequest,
    ) -> Result<Page<Topup>, StoreError> {
        let mut conditions = Conditions::default();
        conditions.equal("user_id", filter.user.as_ref().map(UserId::as_str));
        conditions.equal("status", filter.status.map(TopupStatus::as_str));
        conditions.compare(
            "id",
            "<",
            id_cursor(request, |text| TopupId::parse(text).is_some())?,
        );
        let table = (record::TOPUP, "topup", "id");
        self.page(table, &conditions, request, record::read_topup, |topup| {
            topup.id.to_string()
        })
    }

    /// One payment.
    pub fn payment(&mut self, id: &PaymentId) -> Result<Option<Payment>, StoreError> {
        let sql = format!("SELECT {} FROM payment WHERE id = $1", record::PAYMENT);
        self.one(&sql, id.as_str(), record::read_payment)
    }

    /// The payment that has this checkout session.
    pub fn payment_of_session(&mut self, session: &str) -> Result<Option<Payment>, StoreError> {
        let sql = format!("SELECT {} FROM payment WHERE session = $1", record::PAYMENT);
        self.one(&sql, session, record::read_payment)
    }

    /// The payment that has this payment intent.
    pub fn payment_of_intent(&mut self, intent: &str) -> Result<Option<Payment>, StoreError> {
        let sql = format!("SELECT {} FROM payment WHERE intent = $1", record::PAYMENT);
        self.one(&sql, intent, record::read_payment)
    }

    /// The payment with this number.
    pub fn payment_of_number(&mut self, number: i64) -> Result<Option<Payment>, StoreError> {
        let sql = format!("SELECT {} FROM payment WHERE number = $1", record::PAYMENT);
        self.one(&sql, number, record::read_payment)
    }

    /// Payments, the newest first.
    pub fn payments(
        &mut self,
        filter: &PaymentFilter,
        request: &PageRequest,
    ) -> Result<Page<Payment>, StoreError> {
        let mut conditions = Conditions::default();
        conditions.equal("user_id", filter.user.as_ref().map(UserId::as_str));
        conditions.equal("status", filter.status.map(PaymentStatus::as_str));
        conditions.equal("topup_id", filter.topup.as_ref().map(TopupId::as_str));
        conditions.compare(
            "id",
            "<",
            id_cursor(request, |text| PaymentId::parse(text).is_some())?,
        );
        let table = (record::PAYMENT, "payment", "id");
        self.page(
            table,
            &conditions,
            request,
            record::read_payment,
            |payment| payment.id.to_string(),
        )
    }

    /// Stored events, the newest first.
    pub fn events(
        &mut self,
        filter: &EventFilter,
        request: &PageRequest,
    ) -> Result<Page<StoredEvent>, StoreError> {
        let mut conditions = Conditions::default();
        conditions.equal("status", filter.status.map(EventStatus::as_str));
        conditions.equal("kind", filter.kind.as_deref());
        conditions.equal("id", filter.id.as_deref());
        conditions.equal("payment_id", filter.payment.as_ref().map(PaymentId::as_str));
        conditions.compare("number", "<", number_cursor(request)?);
        let table = (record::EVENT, "stripe_event", "number");
        self.page(table, &conditions, request, record::read_event, |event| {
            event.number.to_string()
        })
    }

    /// Jobs that may run now and that nobody holds, and when the next one becomes due. Those a customer waits for come first,
    /// the newest before the others: after a time without Stripe many jobs are due, all of them longer than his.
    /// In recovery mode, those that only read.
    pub fn due_jobs(
        &mut self,
        now: Time,
        limit: usize,
    ) -> Result<(Vec<JobKey>, Option<Time>), StoreError> {
        let is_recovering = self.recovery()?.is_some();
        let mut jobs = Vec::new();
        let waited_for = [JobKind::OpenSession, JobKind::OpenIntent];
        for waited_for in waited_for.into_iter().filter(|_| !is_recovering) {
            let newest = format!(
                "WHERE kind = '{}' ORDER BY subject DESC",
                waited_for.as_str()
            );
            jobs.extend(self.jobs(&newest, limit)?);
        }
        let rest = if is_recovering {
            let reading = JobKind::ALL.iter().filter(|kind| kind.only_reads());
            let reading: Vec<String> = reading.map(|kind| format!("'{}'", kind.as_str())).collect();
            format!(
                "WHERE kind IN ({}) ORDER BY run_at, kind, subject",
                reading.join(", ")
            )
        } else {
            "ORDER BY run_at, kind, subject".to_owned()
        };
        for job in self.jobs(&rest, limit)? {
            if !jobs.iter().any(|other| other.key == job.key) {
                jobs.push(job);
            }
        }
        let ready_at = |job: &Job| {
            job.lease
                .map_or(job.run_at, |lease| lease.until.max(job.run_at))
        };
        let (due, later): (Vec<_>, Vec<_>) = jobs.into_iter().partition(|job| ready_at(job) <= now);
        let next = later.iter().map(ready_at).min();
        Ok((
            due.into_iter().take(limit).map(|job| job.key).collect(),
            next,
        ))
    }

    /// Four times as many as can be done: some of them may be held, or not yet due.
    fn jobs(&mut self, which: &str, limit: usize) -> Result<Vec<Job>, StoreError> {
        let (columns, most) = (record::JOB, limit.saturating_mul(4));
        let sql = format!("SELECT {columns} FROM job {which} LIMIT {most}");
        let rows = self.connection.rows(&sql, vec![])?;
        rows.iter().map(record::read_job).collect()
    }

    /// The API key whose secret has this SHA-256, revoked or not.
    pub fn api_key_by_hash(&mut self, hash: &str) -> Result<Option<ApiKey>, StoreError> {
        let sql = format!("SELECT {} FROM api_key WHERE hash = $1", record::API_KEY);
        self.one(&sql, hash, record::read_api_key)
    }

    /// All API keys, the newest first.
    pub fn api_keys(&mut self, request: &PageRequest) -> Result<Page<ApiKey>, StoreError> {
        let mut conditions = Conditions::default();
        let known = |text: &str| bursar_domain::id::ApiKeyId::parse(text).is_some();
        conditions.compare("id", "<", id_cursor(request, known)?);
        let table = (record::API_KEY, "api_key", "id");
        self.page(table, &conditions, request, record::read_api_key, |key| {
            key.id.to_string()
        })
    }
}

fn cut<T>(mut items: Vec<T>, limit: usize, cursor_of: impl Fn(&T) -> String) -> Page<T> {
    let more = items.len() > limit;
    items.truncate(limit);
    let next = items.last().filter(|_| more).map(cursor_of);
    Page { items, next }
}

fn number_cursor(request: &PageRequest) -> Result<Option<i64>, StoreError> {
    let parse = |text: &String| {
        text.parse()
            .ok()
            .filter(|number| *number > 0)
            .ok_or(StoreError::BadCursor)
    };
    request.cursor.as_ref().map(parse).transpose()
}

fn id_cursor(
    request: &PageRequest,
    is_id: impl Fn(&str) -> bool,
) -> Result<Option<&str>, StoreError> {
    match request.cursor.as_deref() {
        Some(text) if !is_id(text) => Err(StoreError::BadCursor),
        cursor => Ok(cursor),
    }
}
