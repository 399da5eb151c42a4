//! What readers ask: single rows, pages newest first, and what workers look for.

use std::path::Path;

use bursar_domain::account::{Account, AccountKey};
use bursar_domain::amount::Unit;
use bursar_domain::api_key::ApiKey;
use bursar_domain::event::{EventStatus, StoredEvent};
use bursar_domain::id::{PaymentId, TopupId, TransactionId, UserId};
use bursar_domain::job::{Job, JobKey, JobKind};
use bursar_domain::journal::{Reason, Remark};
use bursar_domain::payment::{Payment, PaymentStatus};
use bursar_domain::time::Time;
use bursar_domain::topup::{Topup, TopupStatus};

use crate::connection::{Connection, Row, StoreError, Value};
use crate::record;
use crate::sqlite::Sqlite;

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

/// A line of a statement: one movement of one wallet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Number of its posting.
    pub number: i64,
    /// The transaction it belongs to.
    pub transaction: TransactionId,
    /// Whose wallet.
    pub user: UserId,
    /// Why.
    pub reason: Reason,
    /// Credits that came in; negative when they went out.
    pub credits: i64,
    /// The balance afterwards.
    pub balance: i64,
    /// What was said about it.
    pub remark: Remark,
    /// When.
    pub at: Time,
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

/// Narrows a list of entries.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EntryFilter {
    /// Only this user's.
    pub user: Option<UserId>,
    /// Only those with this reason.
    pub reason: Option<Reason>,
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

    /// The account under `key`; none if nothing ever touched it.
    pub fn account(&mut self, key: &AccountKey) -> Result<Option<Account>, StoreError> {
        let sql = format!(
            "SELECT {} FROM account WHERE kind = $1 AND owner = $2 AND unit = $3",
            record::ACCOUNT
        );
        self.connection
            .rows(&sql, record::account_key(key))?
            .first()
            .map(record::read_account)
            .transpose()
    }

    /// The wallet of `user`; none if nothing ever touched it.
    pub fn wallet(&mut self, user: &UserId) -> Result<Option<Account>, StoreError> {
        self.account(&AccountKey::wallet(user))
    }

    /// All wallets, the newest first.
    pub fn wallets(&mut self, request: &PageRequest) -> Result<Page<Account>, StoreError> {
        let mut conditions = Conditions::default();
        conditions.equal("kind", Some("wallet"));
        conditions.compare("number", "<", number_cursor(request)?);
        let table = (record::ACCOUNT, "account", "number");
        self.page(
            table,
            &conditions,
            request,
            record::read_account,
            |account| account.number.to_string(),
        )
    }

    /// Entries of one wallet or of all, the newest first.
    pub fn entries(
        &mut self,
        filter: &EntryFilter,
        request: &PageRequest,
    ) -> Result<Page<Entry>, StoreError> {
        let Some(user) = &filter.user else {
            return self.entries_of_all(filter, request);
        };
        let Some(wallet) = self.wallet(user)? else {
            return Ok(Page {
                items: vec![],
                next: None,
            });
        };
        let mut number = number_cursor(request)?.unwrap_or(wallet.head);
        let mut items = Vec::new();
        while number != 0 && items.len() <= request.limit {
            let posting = self.posting(number)?.ok_or(StoreError::BadCursor)?;
            let (entry, previous) =
                entry_of(&posting, wallet.number, user)?.ok_or(StoreError::BadCursor)?;
            if filter.reason.is_none_or(|reason| reason == entry.reason) {
                items.push(entry);
            }
            number = previous;
        }
        // A page of a chain begins with the posting its cursor names.
        let next = items
            .get(request.limit)
            .map(|entry: &Entry| entry.number.to_string());
        items.truncate(request.limit);
        Ok(Page { items, next })
    }

    fn posting(&mut self, number: i64) -> Result<Option<Row>, StoreError> {
        let sql = format!("{ENTRY} WHERE p.number = $1");
        Ok(self.connection.rows(&sql, vec![number.into()])?.pop())
    }

    /// A posting between two wallets is an entry of both.
    fn entries_of_all(
        &mut self,
        filter: &EntryFilter,
        request: &PageRequest,
    ) -> Result<Page<Entry>, StoreError> {
        let sql = |side: &str, conditions: &Conditions| {
            format!(
                "{ENTRY} JOIN account a ON a.number = p.{side}_account {} ORDER BY p.number DESC LIMIT {}",
                conditions.written(),
                request.limit + 1
            )
        };
        let mut items = Vec::new();
        for side in ["from", "to"] {
            let mut conditions = Conditions::default();
            conditions.equal("a.kind", Some("wallet"));
            conditions.equal("t.reason", filter.reason.map(Reason::as_str));
            conditions.compare("p.number", "<", number_cursor(request)?);
            let sql = sql(side, &conditions).replacen("SELECT ", "SELECT a.owner, a.number, ", 1);
            for row in self.connection.rows(&sql, conditions.parameters)? {
                let (user, account) = (row.parsed(0, UserId::parse)?, row.integer(1)?);
                let posting = Row(row.0[2..].to_vec());
                items.extend(entry_of(&posting, account, &user)?.map(|(entry, _)| entry));
            }
        }
        items.sort_by_key(|entry: &Entry| std::cmp::Reverse(entry.number));
        Ok(cut(items, request.limit, |entry| entry.number.to_string()))
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
    pub fn due_jobs(
        &mut self,
        now: Time,
        limit: usize,
    ) -> Result<(Vec<JobKey>, Option<Time>), StoreError> {
        let waited_for = JobKind::OpenSession;
        let newest = format!(
            "WHERE kind = '{}' ORDER BY payment_id DESC",
            waited_for.as_str()
        );
        let mut jobs = self.jobs(&newest, limit)?;
        for job in self.jobs("ORDER BY run_at", limit)? {
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

    /// The sum of all wallets, in credits.
    pub fn credits_outstanding(&mut self) -> Result<i64, StoreError> {
        let sql =
            "SELECT coalesce(sum(balance), 0) FROM account WHERE kind = 'wallet' AND unit = $1";
        let rows = self
            .connection
            .rows(sql, vec![Unit::CREDIT.to_string().into()])?;
        rows.first().map_or(Ok(0), |row| row.integer(0))
    }
}

const ENTRY: &str = "SELECT p.number, p.transaction_number, p.amount, p.from_account, p.from_previous, p.from_balance, \
                     p.to_account, p.to_previous, p.to_balance, t.id, t.reason, t.note, t.reference, t.meta, t.at \
                     FROM posting p JOIN ledger_transaction t ON t.number = p.transaction_number";

/// The entry a posting makes in `account`, and the number of the account's posting before it. None if it is not one of its.
fn entry_of(row: &Row, account: i64, user: &UserId) -> Result<Option<(Entry, i64)>, StoreError> {
    let posting = record::read_posting(row)?;
    let (side, sign) = match account {
        _ if posting.from.account == account => (posting.from, -1),
        _ if posting.to.account == account => (posting.to, 1),
        _ => return Ok(None),
    };
    let Some(link) = side.chain else {
        return Ok(None);
    };
    let entry = Entry {
        number: posting.number,
        transaction: row.parsed(9, TransactionId::parse)?,
        user: user.clone(),
        reason: row.parsed(10, Reason::parse)?,
        credits: sign * posting.amount,
        balance: link.balance,
        remark: record::read_remark(row, 11)?,
        at: row.time(14)?,
    };
    Ok(Some((entry, link.previous)))
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
