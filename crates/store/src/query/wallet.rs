//! What readers ask about wallets: grants, holds, limits, what happened, what was used.
//!
//! The rows of live grants and of wallets may be older than the journal. Whoever needs them to the last posting asks the writer.

use bursar_domain::account::{Account, AccountKey};
use bursar_domain::announcement::Announcement;
use bursar_domain::grant::Grant;
use bursar_domain::hold::{Hold, HoldStatus};
use bursar_domain::id::{GrantId, HoldId, UserId};
use bursar_domain::limit::{SpendingLimit, Subject};
use bursar_domain::sweep::Sweep;
use bursar_domain::time::Time;
use bursar_domain::usage::{UsageEvent, UsageStatus};

use super::{Conditions, Page, PageRequest, Reader, number_cursor};
use crate::connection::{Row, StoreError};
use crate::load::{read_grant, select_grants, select_holds};
use crate::record;
use crate::seal::{self, Seal};

/// Narrows a list of grants.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct GrantFilter {
    /// Only this user's.
    pub user: Option<UserId>,
    /// Only those that have something left (or, if false, nothing).
    pub live: Option<bool>,
}

/// Narrows a list of holds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HoldFilter {
    /// Only this user's.
    pub user: Option<UserId>,
    /// Only those that stand so.
    pub status: Option<HoldStatus>,
}

/// Narrows what was used.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct UsageFilter {
    /// Only by this user.
    pub user: Option<UserId>,
    /// Only of this service.
    pub service: Option<String>,
    /// Not before.
    pub from: Option<Time>,
    /// Before.
    pub to: Option<Time>,
}

/// How much was used of one service, and how it ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UsageSum {
    /// What was used.
    pub service: String,
    /// Which variant of it.
    pub variant: String,
    /// How it ended.
    pub status: UsageStatus,
    /// How many facts.
    pub count: i64,
    /// The sum of their quantities.
    pub quantity: i64,
}

/// A list of rows that belong to accounts.
struct Numbered<'a> {
    /// Writes the query with these conditions.
    select: fn(&str) -> String,
    /// What the query calls a row.
    row: &'static str,
    /// Empty, or which rows are wanted.
    condition: &'a str,
    user: Option<&'a UserId>,
}

impl UsageFilter {
    fn conditions(&self) -> Conditions {
        let mut conditions = Conditions::default();
        conditions.equal("user_id", self.user.as_ref().map(UserId::as_str));
        conditions.equal("service", self.service.as_deref());
        conditions.compare("at", ">=", self.from);
        conditions.compare("at", "<", self.to);
        conditions
    }
}

impl Reader {
    /// The account under `key` as its row says, which may be older than the journal; none if nothing ever touched it.
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

    /// All wallets, the newest first, as their rows say.
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

    /// All wallets of one user, in every unit, as their rows say.
    pub fn wallets_of(&mut self, user: &UserId) -> Result<Vec<Account>, StoreError> {
        let sql = format!(
            "SELECT {} FROM account WHERE owner = $1 AND kind = 'wallet' ORDER BY unit",
            record::ACCOUNT
        );
        let rows = self.connection.rows(&sql, vec![user.as_str().into()])?;
        rows.iter().map(record::read_account).collect()
    }

    /// One grant, as its row says.
    pub fn grant(&mut self, id: GrantId) -> Result<Option<Grant>, StoreError> {
        self.one(
            &select_grants("WHERE g.number = $1"),
            id.number(),
            read_grant,
        )
    }

    /// Grants, the newest first, as their rows say.
    pub fn grants(
        &mut self,
        filter: &GrantFilter,
        request: &PageRequest,
    ) -> Result<Page<Grant>, StoreError> {
        let condition = match filter.live {
            Some(true) => "g.ended_at IS NULL",
            Some(false) => "g.ended_at IS NOT NULL",
            None => "",
        };
        let list = Numbered {
            select: select_grants,
            row: "g",
            condition,
            user: filter.user.as_ref(),
        };
        self.numbered(&list, request, read_grant, |grant| grant.id.number())
    }

    /// One hold.
    pub fn hold(&mut self, id: HoldId) -> Result<Option<Hold>, StoreError> {
        let sql = select_holds("WHERE h.number = $1");
        self.one(&sql, id.number(), record::read_hold)
    }

    /// Holds, the newest first.
    pub fn holds(
        &mut self,
        filter: &HoldFilter,
        request: &PageRequest,
    ) -> Result<Page<Hold>, StoreError> {
        // Written out, not a parameter, so that the partial index of open holds serves.
        let status = |status: HoldStatus| format!("h.status = '{}'", status.as_str());
        let list = Numbered {
            select: select_holds,
            row: "h",
            condition: &filter.status.map_or_else(String::new, status),
            user: filter.user.as_ref(),
        };
        self.numbered(&list, request, record::read_hold, |hold| hold.id.number())
    }

    /// A page of a list by number, the newest first. A user's rows are read wallet by wallet: together they would have to be
    /// sorted, all of them for each page.
    fn numbered<T>(
        &mut self,
        list: &Numbered<'_>,
        request: &PageRequest,
        read: impl Fn(&Row) -> Result<T, StoreError>,
        number: impl Fn(&T) -> i64,
    ) -> Result<Page<T>, StoreError> {
        let before = number_cursor(request)?;
        let accounts = match list.user {
            Some(user) => {
                let wallets = self.wallets_of(user)?.into_iter();
                wallets.map(|account| Some(account.number)).collect()
            }
            None => vec![None],
        };
        let mut items = Vec::new();
        for account in accounts {
            let mut conditions = Conditions::default();
            conditions.equal(&format!("{}.account", list.row), account);
            conditions.compare(&format!("{}.number", list.row), "<", before);
            if !list.condition.is_empty() {
                conditions.plain(list.condition);
            }
            let sql = format!(
                "{} ORDER BY {}.number DESC LIMIT {}",
                (list.select)(&conditions.written()),
                list.row,
                request.limit + 1
            );
            for row in self.connection.rows(&sql, conditions.parameters)? {
                items.push(read(&row)?);
            }
        }
        items.sort_by_key(|item| std::cmp::Reverse(number(item)));
        Ok(super::cut(items, request.limit, |item| {
            number(item).to_string()
        }))
    }

    /// Spending limits, of one subject or all, the newest first.
    pub fn limits(
        &mut self,
        subject: Option<&Subject>,
        request: &PageRequest,
    ) -> Result<Page<SpendingLimit>, StoreError> {
        let mut conditions = Conditions::default();
        conditions.equal("subject_kind", subject.map(|it| it.kind.as_str()));
        conditions.equal("subject", subject.map(|it| it.name.as_str()));
        conditions.compare("number", "<", number_cursor(request)?);
        let table = (record::LIMIT, "spending_limit", "number");
        self.page(table, &conditions, request, record::read_limit, |limit| {
            limit.id.number().to_string()
        })
    }

    /// What happened after the announcement with this number, the oldest first.
    pub fn announcements(
        &mut self,
        after: i64,
        limit: usize,
    ) -> Result<Vec<Announcement>, StoreError> {
        let sql = format!(
            "SELECT n.number, n.body, n.at, a.kind, a.owner, a.unit FROM announcement n \
             JOIN account a ON a.number = n.account WHERE n.number > $1 ORDER BY n.number LIMIT {limit}"
        );
        let rows = self.connection.rows(&sql, vec![after.into()])?;
        rows.iter().map(record::read_announcement).collect()
    }

    /// What was used, the newest first.
    pub fn usage(
        &mut self,
        filter: &UsageFilter,
        request: &PageRequest,
    ) -> Result<Page<UsageEvent>, StoreError> {
        let mut conditions = filter.conditions();
        conditions.compare("number", "<", number_cursor(request)?);
        let table = (record::USAGE, "usage_event", "number");
        self.page(table, &conditions, request, record::read_usage, |event| {
            event.number.to_string()
        })
    }

    /// How much was used, by service, variant and end.
    pub fn usage_summary(&mut self, filter: &UsageFilter) -> Result<Vec<UsageSum>, StoreError> {
        let conditions = filter.conditions();
        let sql = format!(
            "SELECT service, variant, status, count(*), CAST(sum(quantity) AS BIGINT) FROM usage_event {} \
             GROUP BY service, variant, status ORDER BY service, variant, status",
            conditions.written()
        );
        let rows = self.connection.rows(&sql, conditions.parameters)?;
        let sum = |row: &Row| {
            Ok(UsageSum {
                service: row.text(0)?.to_owned(),
                variant: row.text(1)?.to_owned(),
                status: row.parsed(2, UsageStatus::parse)?,
                count: row.integer(3)?,
                quantity: row.integer(4)?,
            })
        };
        rows.iter().map(sum).collect()
    }

    /// Holds whose time has run out, and wallets with grants that have expired or will before `soon` without having been
    /// announced; so many of each at most.
    pub fn due(&mut self, now: Time, soon: Time, limit: usize) -> Result<Sweep, StoreError> {
        let holds = format!(
            "SELECT number FROM hold WHERE status = 'open' AND expires_at <= $1 ORDER BY expires_at LIMIT {limit}"
        );
        let holds = self.connection.rows(&holds, vec![now.into()])?;
        let mut sweep = Sweep {
            holds: holds
                .iter()
                .map(|row| row.integer(0).map(HoldId::of))
                .collect::<Result<_, _>>()?,
            wallets: vec![],
        };
        // One whose rest is held has ended and stays until the hold ends. It must not be found again and again, and hide what
        // comes behind it.
        for (condition, until) in [("", now), ("AND g.announced = 0", soon)] {
            let sql = format!(
                "SELECT a.kind, a.owner, a.unit FROM credit_grant g JOIN account a ON a.number = g.account \
                 WHERE g.ended_at IS NULL AND g.end_kind IS NULL AND g.expires_at <= $1 {condition} \
                 ORDER BY g.expires_at LIMIT {limit}"
            );
            for row in self.connection.rows(&sql, vec![until.into()])? {
                sweep.wallets.push(record::read_account_key(&row, 0)?);
            }
        }
        sweep.wallets.sort();
        sweep.wallets.dedup();
        Ok(sweep)
    }

    /// The newest seal of each chain: of a database server's nodes, each has one of its own.
    pub fn seals(&mut self) -> Result<Vec<Seal>, StoreError> {
        seal::newest_of_all(self.connection.as_mut())
    }

    /// The newest seal over the journal.
    pub fn seal(&mut self) -> Result<Seal, StoreError> {
        Ok(seal::newest(self.connection.as_mut())?.0)
    }
}
