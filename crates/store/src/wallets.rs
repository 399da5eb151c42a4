//! Wallets in the writer's memory, and their rows, which follow the journal at a distance.
//!
//! A charge changes a balance and a grant. Writing both rows each time would write two pages of 4 KB at random places for 100
//! bytes of news, twice: to the log and to the file. The postings say the same in order, so they alone are written with each
//! charge, and rows are written when they have fallen [`Sizes::lag`] postings behind, together with those of the wallet's
//! neighbours, which are on the same pages; or when something else about the wallet changes. After a crash the postings that
//! rows may miss are read once, and added to a wallet when it is loaded.

mod missed;
mod rows;

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use bursar_domain::account::AccountKey;
use bursar_domain::grant::Grant;
use bursar_domain::id::GrantId;
use bursar_domain::journal::Side;
use bursar_domain::planted::{self, Bug};
use bursar_domain::state::{Change, State};
use bursar_domain::wallet::Wallet;

use crate::connection::{Connection, Parameters, Row, StoreError};
use crate::record;
use missed::Missed;
use rows::{Rows, grants_by_wallet};

/// How far the rows of wallets follow the journal, and how many wallets are kept in memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sizes {
    /// How many postings the row of a wallet may be behind. So many are read again, at most, when the program starts after a
    /// crash.
    pub lag: i64,
    /// So many wallets are kept in memory although their rows say all. Some 500 bytes each.
    pub kept: usize,
}

impl Default for Sizes {
    fn default() -> Self {
        Self {
            lag: 65_536,
            kept: 32_768,
        }
    }
}

#[derive(Debug)]
struct Kept {
    wallet: Arc<Wallet>,
    /// The first posting that the rows miss; none if they say all.
    behind_since: Option<i64>,
    /// What the rows of live grants say is left.
    stored: Vec<(GrantId, i64)>,
    /// How often the wallet's row has been written.
    version: i64,
    /// Whether somebody asked for it since the last tidying.
    used: bool,
}

/// See above.
#[derive(Debug)]
pub(crate) struct Wallets {
    sizes: Sizes,
    /// Whether rows are written with each change, because other nodes read them.
    at_once: bool,
    kept: HashMap<AccountKey, Kept>,
    /// Wallets whose rows are behind, by neighbourhood. One that has been written meanwhile is passed over.
    behind: HashMap<i64, Vec<Name>>,
    /// The neighbourhoods with such wallets, by the first posting that their rows miss.
    line: VecDeque<(i64, i64)>,
    /// Postings read at the start, by the number of the account.
    missed: HashMap<i64, Vec<Missed>>,
    /// The newest of them.
    newest_missed: i64,
    /// With more wallets than so many in memory, some are forgotten.
    tidy_at: usize,
}

/// Accounts whose rows share a page or two with each other: those whose numbers differ only in the last six bits.
const fn neighbourhood(account: i64) -> i64 {
    account >> 6
}

/// What a wallet that is behind is known by.
#[derive(Debug, Clone)]
enum Name {
    Key(AccountKey),
    /// From before the start; nobody has asked for it since.
    Number(i64),
}

/// What memory takes over when the transaction is on disk.
#[derive(Debug, Default)]
pub(crate) struct Step {
    changed: Vec<(AccountKey, Kept)>,
    written: Vec<AccountKey>,
    /// Wallets that fall behind with this batch: the first posting they miss, and their neighbourhood.
    fallen: Vec<(i64, i64, AccountKey)>,
    /// How many neighbourhoods at the front of the line have been written.
    passed: usize,
}

impl Wallets {
    /// With none in memory. `at_once`: rows never miss anything.
    pub(crate) fn of_sizes(sizes: Sizes, at_once: bool) -> Self {
        Self {
            sizes,
            at_once,
            kept: HashMap::new(),
            behind: HashMap::new(),
            line: VecDeque::new(),
            missed: HashMap::new(),
            newest_missed: 0,
            tidy_at: sizes.kept,
        }
    }

    /// Reads what rows may miss: the postings behind `rows_to`.
    pub(crate) fn open(
        connection: &mut dyn Connection,
        rows_to: i64,
        sizes: Sizes,
    ) -> Result<Self, StoreError> {
        let sql = format!(
            "SELECT {}, t.at FROM posting p JOIN ledger_transaction t ON t.number = p.transaction_number \
             WHERE p.number > $1 ORDER BY p.number",
            record::columns_of("p", record::POSTING)
        );
        let rows_to = if planted::is(Bug::PostingsMissed) {
            i64::MAX
        } else {
            rows_to
        };
        let mut wallets = Self::of_sizes(sizes, false);
        for row in connection.rows(&sql, vec![rows_to.into()])? {
            let posting = record::read_posting(&row)?;
            let at = row.time(10)?;
            wallets.newest_missed = posting.number;
            for (side, delta) in [
                (posting.from, -posting.amount),
                (posting.to, posting.amount),
            ] {
                let Side {
                    account,
                    chain: Some(link),
                } = side
                else {
                    continue;
                };
                if !wallets.missed.contains_key(&account) {
                    let name = Name::Number(account);
                    wallets.line_up(posting.number, neighbourhood(account), name);
                }
                wallets.missed.entry(account).or_default().push(Missed {
                    number: posting.number,
                    delta,
                    link,
                    grant: posting.grant,
                    at,
                });
            }
        }
        Ok(wallets)
    }

    fn line_up(&mut self, since: i64, neighbourhood: i64, name: Name) {
        let names = self.behind.entry(neighbourhood).or_default();
        if names.is_empty() {
            self.line.push_back((since, neighbourhood));
        }
        names.push(name);
    }

    /// The wallet, if it is in memory.
    pub(crate) fn kept(&mut self, key: &AccountKey) -> Option<Arc<Wallet>> {
        let kept = self.kept.get_mut(key)?;
        kept.used = true;
        Some(Arc::clone(&kept.wallet))
    }

    pub(crate) const fn sizes(&self) -> Sizes {
        self.sizes
    }

    /// What a wallet in memory is known by in the database, and how often its row has been written.
    pub(crate) fn version(&self, key: &AccountKey) -> Option<(i64, i64)> {
        let kept = self.kept.get(key)?;
        Some((kept.wallet.account.number, kept.version))
    }

    /// Takes wallets into memory as their rows and the postings behind them say, over whatever is there.
    pub(crate) fn read(
        &mut self,
        connection: &mut dyn Connection,
        keys: &[AccountKey],
    ) -> Result<(), StoreError> {
        if keys.is_empty() {
            return Ok(());
        }
        let sql = format!(
            "SELECT {}, overdraft, frozen, topup_below, version FROM account WHERE kind = $1 AND owner = $2 AND unit = $3",
            record::ACCOUNT
        );
        let parameters: Vec<Parameters> = keys.iter().map(record::account_key).collect();
        let grants = live_grants();
        let known = keys.iter().map(|key| self.version(key));
        let known: Option<Vec<Parameters>> = known
            .map(|known| known.map(|(number, _)| vec![number.into()]))
            .collect();
        // Of wallets whose rows have changed the numbers are known, and everything is asked for at once.
        if let Some(numbers) = known {
            let questions = [
                (&*sql, &*parameters),
                (&grants, &numbers),
                (OPEN_HOLDS, &numbers),
            ];
            let mut answers = connection.ask(&questions)?.into_iter();
            let mut next = || answers.next().unwrap_or_default();
            let (rows, grants, holds) = (next(), next(), next());
            for (((key, rows), grants), holds) in keys.iter().zip(rows).zip(grants).zip(holds) {
                let row = rows.first().ok_or_else(|| {
                    StoreError::corrupt(format!("the wallet of {} is gone", key.owner))
                })?;
                let kept = self.of_rows(key, row, &grants, &holds)?;
                self.kept.insert(key.clone(), kept);
            }
            return Ok(());
        }
        let rows = connection.query(&sql, &parameters)?;
        let found: Vec<(&AccountKey, Row)> = keys
            .iter()
            .zip(rows)
            .filter_map(|(key, rows)| Some((key, rows.into_iter().next()?)))
            .collect();
        if found.is_empty() {
            return Ok(());
        }
        let numbers: Vec<Parameters> = found
            .iter()
            .map(|(_, row)| row.integer(0).map(|number| vec![number.into()]))
            .collect::<Result<_, _>>()?;
        let mut answers = connection.ask(&[(&grants, &numbers), (OPEN_HOLDS, &numbers)])?;
        let holds = answers.pop().unwrap_or_default();
        let grants = answers.pop().unwrap_or_default();
        for (((key, row), grants), holds) in found.into_iter().zip(grants).zip(holds) {
            let kept = self.of_rows(key, &row, &grants, &holds)?;
            self.kept.insert(key.clone(), kept);
        }
        Ok(())
    }

    fn of_rows(
        &self,
        key: &AccountKey,
        row: &Row,
        grants: &[Row],
        holds: &[Row],
    ) -> Result<Kept, StoreError> {
        let mut account = record::read_account(row)?;
        let settings = (
            row.optional_integer(9)?,
            row.boolean(10)?,
            row.optional_integer(11)?,
        );
        let grants = grants.iter().map(|row| record::read_grant(row, key));
        let mut grants = grants.collect::<Result<Vec<_>, _>>()?;
        let stored = remaining(&grants);
        let missed = self.missed.get(&account.number).into_iter().flatten();
        let (mut behind_since, head) = (None, account.head);
        for missed in missed.filter(|missed| missed.number > head) {
            behind_since.get_or_insert(missed.number);
            missed.add_to(&mut account, &mut grants)?;
        }
        let holds = holds.iter().map(record::read_reservation);
        let holds = holds.collect::<Result<Vec<_>, _>>()?;
        Ok(Kept {
            wallet: Arc::new(Wallet::of_rows(account, settings, grants, holds)),
            behind_since,
            stored,
            version: row.integer(12)?,
            used: true,
        })
    }

    /// Writes the rows that have to be written with this batch: of new wallets, of those of which more than a balance has
    /// changed, and of those that would fall too far behind. `first` is the number of the batch's first posting.
    pub(crate) fn write(
        &mut self,
        connection: &mut dyn Connection,
        state: &State,
        first: i64,
    ) -> Result<Step, StoreError> {
        let newest = state.sequence.posting;
        let (mut step, mut rows) = (Step::default(), Rows::default());
        let mut touched = grants_by_wallet(state);
        for (key, change, wallet) in state.wallets.changes() {
            let Some(wallet) = wallet else { continue };
            let (before, grants) = (self.kept.get(key), touched.remove(key));
            let more_than_balance = self.at_once
                || change == Change::Insert
                || grants.is_some()
                || before.is_none_or(|kept| {
                    let settings =
                        |wallet: &Wallet| (wallet.overdraft, wallet.frozen, wallet.topup_below);
                    settings(&kept.wallet) != settings(wallet)
                });
            let mut kept = Kept {
                wallet: Arc::clone(wallet),
                behind_since: before.and_then(|kept| kept.behind_since),
                stored: before.map_or_else(Vec::new, |kept| kept.stored.clone()),
                version: before.map_or(0, |kept| kept.version),
                used: true,
            };
            if more_than_balance {
                kept.version += i64::from(change != Change::Insert);
                rows.add(
                    (change, kept.version),
                    wallet,
                    &kept.stored,
                    grants.as_deref().unwrap_or(&[]),
                );
                kept.behind_since = None;
                kept.stored = remaining(&wallet.grants);
            } else if kept.behind_since.is_none() && head_moved(before, wallet) {
                kept.behind_since = Some(first);
                let place = neighbourhood(wallet.account.number);
                step.fallen.push((first, place, key.clone()));
            }
            step.changed.push((key.clone(), kept));
        }
        if let Some(key) = touched.keys().next() {
            return Err(StoreError::Unusable(format!(
                "a grant of {} was changed and its wallet was not; nothing was changed: please report this",
                key.owner
            )));
        }
        self.write_overdue(connection, newest, &mut step, &mut rows)?;
        rows.write(connection)?;
        Ok(step)
    }

    /// Neighbourhoods with a wallet that has been behind for long, from the front of the line.
    fn write_overdue(
        &mut self,
        connection: &mut dyn Connection,
        newest: i64,
        step: &mut Step,
        rows: &mut Rows,
    ) -> Result<(), StoreError> {
        let mut overdue: Vec<Name> = Vec::new();
        while let Some((since, place)) = self.line.get(step.passed) {
            if *since > newest - self.sizes.lag {
                break;
            }
            overdue.extend(self.behind.get(place).into_iter().flatten().cloned());
            step.passed += 1;
        }
        if overdue.is_empty() {
            return Ok(());
        }
        let places = step.changed.iter().enumerate();
        let changed: HashMap<AccountKey, usize> = places
            .map(|(place, (key, _))| (key.clone(), place))
            .collect();
        let mut keys = Vec::with_capacity(overdue.len());
        for name in overdue {
            keys.push(match name {
                Name::Key(key) => key,
                Name::Number(number) => self.by_number(connection, number)?,
            });
        }
        // Whoever was written for another reason and fell behind again stands here twice.
        keys.sort_unstable();
        keys.dedup();
        for key in keys {
            if let Some(place) = changed.get(&key) {
                let kept = &mut step.changed[*place].1;
                if kept.behind_since.take().is_some() {
                    let changed = (Change::Update, kept.version);
                    rows.add(changed, &kept.wallet, &kept.stored, &[]);
                    kept.stored = remaining(&kept.wallet.grants);
                }
            } else if let Some(kept) = self.kept.get(&key)
                && kept.behind_since.is_some()
            {
                let changed = (Change::Update, kept.version);
                rows.add(changed, &kept.wallet, &kept.stored, &[]);
                step.written.push(key);
            }
        }
        Ok(())
    }

    fn by_number(
        &mut self,
        connection: &mut dyn Connection,
        number: i64,
    ) -> Result<AccountKey, StoreError> {
        let sql = format!("SELECT {} FROM account WHERE number = $1", record::ACCOUNT);
        let rows = connection.rows(&sql, vec![number.into()])?;
        let row = rows
            .first()
            .ok_or_else(|| StoreError::corrupt(format!("account {number} is missing")))?;
        let key = record::read_account(row)?.key;
        if self.kept(&key).is_none() {
            self.read(connection, std::slice::from_ref(&key))?;
        }
        Ok(key)
    }

    /// Up to which posting the rows miss nothing, once `step` is on disk.
    pub(crate) fn rows_to(&self, step: &Step, newest: i64) -> i64 {
        let waiting = self.line.get(step.passed).map(|(since, _)| *since);
        let fallen = step.fallen.first().map(|(since, _, _)| *since);
        let first = waiting.or(fallen).map_or(newest, |since| since - 1);
        first.min(newest)
    }

    /// After the commit.
    pub(crate) fn apply(&mut self, step: Step) {
        for (key, kept) in step.changed {
            self.kept.insert(key, kept);
        }
        for key in step.written {
            if let Some(kept) = self.kept.get_mut(&key) {
                kept.behind_since = None;
                kept.stored = remaining(&kept.wallet.grants);
            }
        }
        for (_, place) in self.line.drain(..step.passed) {
            self.behind.remove(&place);
        }
        for (since, place, key) in step.fallen {
            self.line_up(since, place, Name::Key(key));
        }
        let newest_missed = self.newest_missed;
        if self
            .line
            .front()
            .is_none_or(|(since, _)| *since > newest_missed)
        {
            self.missed = HashMap::new();
        }
        if self.kept.len() > self.tidy_at {
            self.kept
                .retain(|_, kept| kept.behind_since.is_some() || std::mem::take(&mut kept.used));
            let room = self.sizes.kept;
            self.tidy_at = room.max(self.kept.len() + room / 8);
        }
    }

    /// Writes all rows that are behind: for a clean stop. The caller commits.
    pub(crate) fn write_all(
        &mut self,
        connection: &mut dyn Connection,
    ) -> Result<Step, StoreError> {
        let (mut step, mut rows) = (Step::default(), Rows::default());
        self.write_overdue(connection, i64::MAX, &mut step, &mut rows)?;
        rows.write(connection)?;
        Ok(step)
    }
}

fn head_moved(before: Option<&Kept>, wallet: &Wallet) -> bool {
    before.is_none_or(|kept| kept.wallet.account.head != wallet.account.head)
}

fn remaining(grants: &[Grant]) -> Vec<(GrantId, i64)> {
    let live = grants.iter().map(|grant| (grant.id, grant.remaining));
    live.collect()
}

fn live_grants() -> String {
    format!(
        "SELECT {} FROM credit_grant WHERE account = $1 AND ended_at IS NULL ORDER BY number",
        record::GRANT
    )
}

const OPEN_HOLDS: &str =
    "SELECT number, parts FROM hold WHERE account = $1 AND status = 'open' ORDER BY number";
