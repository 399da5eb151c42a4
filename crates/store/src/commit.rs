//! Changes to rows: what a batch has decided, written inside one transaction.

use std::sync::Arc;

use bursar_domain::account::{Account, AccountKey};
use bursar_domain::state::{Change, Sequence, State, Table};

use crate::connection::{Connection, Parameters, StoreError, Value};
use crate::record::{self, Shape};
use crate::seal::{Seal, Sealing};
use crate::{Memory, answers, load, node, wallets};

const ANNOUNCEMENT: &str = "number, account, kind, body, at";

/// What memory takes over when the transaction is on disk.
#[derive(Debug)]
pub(crate) struct Step {
    sequence: Sequence,
    accounts: Vec<Account>,
    wallets: wallets::Step,
    answers: Option<answers::Step>,
    seal: Seal,
    limits: i64,
    recovering: bool,
}

impl Memory {
    pub(crate) fn take_over(&mut self, step: Step) {
        self.sequence = step.sequence;
        let accounts = step.accounts.into_iter();
        self.accounts
            .extend(accounts.map(|account| (account.key.clone(), Some(account))));
        self.wallets.apply(step.wallets);
        if let Some(answers) = step.answers {
            self.answers.apply(answers);
        }
        self.seal = step.seal;
        self.limits = step.limits;
        self.recovering = step.recovering;
        if let Some(node) = &mut self.node {
            node.batch += 1;
        }
        self.advance(0);
    }

    /// On a server, moves on to numbers that are free and higher than `seen`, which another node may have given out.
    pub(crate) fn advance(&mut self, seen: i64) {
        let Some(node) = self.node else { return };
        let answers = self.answers.newest();
        self.sequence = node.advanced(self.sequence, answers, seen);
        self.answers.advance(node::base_of_all(self.sequence));
    }
}

/// Writes everything that changed. The caller begins and ends the transaction.
pub(crate) fn changes(
    connection: &mut dyn Connection,
    memory: &mut Memory,
    state: &State,
) -> Result<Step, StoreError> {
    let mut writer = Writer { connection };
    if let Some(node) = &memory.node {
        node.count_batch(writer.connection)?;
    }
    let accounts = writer.accounts(state)?;
    let wallets = memory
        .wallets
        .write(writer.connection, state, memory.sequence.posting + 1)?;
    let rows_to = memory.wallets.rows_to(&wallets, state.sequence.posting);
    let announced = writer.announcements(state, memory.node.is_some())?;
    writer.insert("announcement", ANNOUNCEMENT, &announced)?;
    let seal = writer.journal(&memory.seal, state, rows_to)?;
    let limits = writer.limits(state)?.unwrap_or(memory.limits);
    writer.holds(state)?;
    let usage: Vec<Parameters> = state.usage.iter().map(record::write_usage).collect();
    writer.insert("usage_event", record::USAGE, &usage)?;
    writer.table(&record::TOPUPS, &state.topups, record::write_topup)?;
    writer.table(&record::PAYMENTS, &state.payments, record::write_payment)?;
    writer.returns(state)?;
    writer.cards(state)?;
    writer.marks(state)?;
    writer.bonuses(state)?;
    writer.events(state)?;
    writer.jobs(state)?;
    writer.table(&record::API_KEYS, &state.api_keys, record::write_api_key)?;
    let answers = memory.answers.write(writer.connection, state)?;
    Ok(Step {
        sequence: state.sequence,
        accounts,
        wallets,
        answers: Some(answers),
        seal,
        limits,
        recovering: state.recovering,
    })
}

/// Writes the rows of wallets that are behind. The caller begins and ends the transaction.
pub(crate) fn rows_behind(
    connection: &mut dyn Connection,
    memory: &mut Memory,
) -> Result<Step, StoreError> {
    let wallets = memory.wallets.write_all(connection)?;
    let rows_to = memory.sequence.posting;
    let sql = "UPDATE seal SET rows_to = $2 WHERE number = $1";
    connection.execute(sql, &[vec![memory.seal.number.into(), rows_to.into()]])?;
    Ok(Step {
        sequence: memory.sequence,
        accounts: vec![],
        wallets,
        answers: None,
        seal: memory.seal,
        limits: memory.limits,
        recovering: memory.recovering,
    })
}

struct Writer<'a> {
    connection: &'a mut dyn Connection,
}

impl Writer<'_> {
    /// Inserts new rows and rewrites changed ones. For tables without deletion.
    fn table<K: Ord + Clone + std::fmt::Debug, V>(
        &mut self,
        shape: &Shape,
        table: &Table<K, V>,
        write: impl Fn(&V) -> Parameters,
    ) -> Result<(), StoreError> {
        let rows = |wanted: Change| {
            let changed = table
                .changes()
                .filter(move |(_, change, _)| *change == wanted);
            changed.filter_map(|(_, _, value)| value.map(&write))
        };
        let inserts: Vec<Parameters> = rows(Change::Insert).collect();
        let updates: Vec<Parameters> = rows(Change::Update).collect();
        self.write_rows(shape, &inserts, updates)
    }

    fn write_rows(
        &mut self,
        shape: &Shape,
        inserts: &[Parameters],
        updates: Vec<Parameters>,
    ) -> Result<(), StoreError> {
        self.insert(shape.table, shape.columns, inserts)?;
        if updates.is_empty() {
            return Ok(());
        }
        let changeable = changeable(shape);
        let places = |mut row: Parameters| {
            let take = |(place, _): &(usize, _)| std::mem::replace(&mut row[*place], Value::Null);
            changeable.iter().map(take).collect()
        };
        let updates: Vec<Parameters> = updates.into_iter().map(places).collect();
        self.run(&update(shape.table, &changeable), &updates)
    }

    /// Accounts that are no wallets; those that were opened.
    fn accounts(&mut self, state: &State) -> Result<Vec<Account>, StoreError> {
        let opened = state
            .accounts
            .changes()
            .filter_map(|(_, _, account)| account);
        let opened: Vec<Account> = opened.cloned().collect();
        let rows: Vec<Parameters> = opened.iter().map(record::write_account).collect();
        self.insert("account", record::ACCOUNT, &rows)?;
        Ok(opened)
    }

    /// Transactions, postings, and a seal over them and the accounts that were opened.
    fn journal(&mut self, before: &Seal, state: &State, rows_to: i64) -> Result<Seal, StoreError> {
        let mut sealing = Sealing::after(before);
        let mut opened: Vec<&Account> = state
            .accounts
            .changes()
            .filter_map(|(_, _, account)| account)
            .chain(state.wallets.changes().filter_map(|(_, change, wallet)| {
                wallet
                    .filter(|_| change == Change::Insert)
                    .map(|wallet| &wallet.account)
            }))
            .collect();
        if opened.is_empty() && state.journal.is_empty() {
            return Ok(*before);
        }
        opened.sort_by_key(|account| account.number);
        for account in opened {
            let mut row: Parameters = vec![account.number.into()];
            row.extend(record::account_key(&account.key));
            row.push(account.opened_at.into());
            sealing.row(&row);
        }
        let (mut transactions, mut postings) = (Vec::new(), Vec::new());
        for posted in &state.journal {
            let number = posted.id.number();
            let row = record::write_transaction(number, &posted.transaction);
            sealing.row(&row);
            transactions.push(row);
            for posting in &posted.rows {
                let row = record::write_posting(number, posting);
                sealing.row(&row);
                postings.push(row);
            }
        }
        self.insert("ledger_transaction", record::TRANSACTION, &transactions)?;
        self.insert("posting", record::POSTING, &postings)?;
        let seal = Seal {
            number: before.number + 1,
            account: state.sequence.account,
            transaction: state.sequence.transaction,
            hash: sealing.finish(),
        };
        let row = vec![
            seal.number.into(),
            seal.account.into(),
            seal.transaction.into(),
            rows_to.into(),
            Value::Bytes(seal.hash.as_slice().into()),
        ];
        let columns = "number, account_number, transaction_number, rows_to, hash";
        self.insert("seal", columns, &[row])?;
        Ok(seal)
    }

    fn holds(&mut self, state: &State) -> Result<(), StoreError> {
        let (mut inserts, mut updates) = (Vec::new(), Vec::new());
        for (_, change, hold) in state.holds.changes() {
            let Some(hold) = hold else { continue };
            let row = record::write_hold(hold, account_of(state, &hold.wallet)?)?;
            match change {
                Change::Insert => inserts.push(row),
                _ => updates.push(row),
            }
        }
        self.write_rows(&record::HOLDS, &inserts, updates)
    }

    /// Writes limits that changed and deletes those taken away; how many there are now, if anything was done.
    fn limits(&mut self, state: &State) -> Result<Option<i64>, StoreError> {
        let removed: Vec<Parameters> = state
            .removed_limits
            .iter()
            .map(|id| vec![id.number().into()])
            .collect();
        self.run("DELETE FROM spending_limit WHERE number = $1", &removed)?;
        self.insert("removed_limit", "number", &removed)?;
        let changed = state.limits.changes().filter_map(|(_, _, limits)| limits);
        let rows: Vec<Parameters> = changed.flatten().map(record::write_limit).collect();
        let sql = format!(
            "{} ON CONFLICT (number) DO UPDATE SET most = excluded.most, began_at = excluded.began_at, \
             spent = excluded.spent, reserved = excluded.reserved, updated_at = excluded.updated_at",
            record::insert("spending_limit", record::LIMIT)
        );
        self.run(&sql, &rows)?;
        if rows.is_empty() && removed.is_empty() {
            return Ok(None);
        }
        load::count_limits(self.connection).map(Some)
    }

    /// What has happened. Nodes number it under a lock, because whoever reads it remembers the last number he has seen.
    fn announcements(
        &mut self,
        state: &State,
        are_others: bool,
    ) -> Result<Vec<Parameters>, StoreError> {
        let rows = state
            .announcements
            .iter()
            .map(|it| record::write_announcement(it, account_of(state, &it.wallet)?));
        let mut rows = rows.collect::<Result<Vec<_>, StoreError>>()?;
        if are_others && !rows.is_empty() {
            let mut newest = node::announced(self.connection)?;
            for row in &mut rows {
                newest += 1;
                row[0] = newest.into();
            }
            node::count_announced(self.connection, newest)?;
        }
        Ok(rows)
    }

    /// What payments have given, refunds and disputes: of a payment of which anything changed, all are written.
    fn returns(&mut self, state: &State) -> Result<(), StoreError> {
        self.lists(
            ("award", record::AWARD, "payment_id, kind"),
            &state.awards,
            record::write_award,
        )?;
        self.lists(("refund", record::REFUND, "id"), &state.refunds, |refund| {
            Ok(record::write_refund(refund))
        })?;
        self.lists(
            ("dispute", record::DISPUTE, "id"),
            &state.disputes,
            record::write_dispute,
        )
    }

    fn lists<K: Ord + Clone + std::fmt::Debug, V>(
        &mut self,
        (table, columns, key): (&str, &str, &str),
        rows: &Table<K, Vec<V>>,
        write: impl Fn(&V) -> Result<Parameters, StoreError>,
    ) -> Result<(), StoreError> {
        let changed = rows.changes().filter_map(|(_, _, list)| list).flatten();
        let rows = changed.map(write).collect::<Result<Vec<_>, _>>()?;
        if rows.is_empty() {
            return Ok(());
        }
        self.run(&record::upsert(table, columns, key), &rows)
    }

    fn cards(&mut self, state: &State) -> Result<(), StoreError> {
        let changed = state.customers.changes();
        let customers: Vec<Parameters> = changed
            .filter_map(|(_, _, customer)| customer.map(record::write_customer))
            .collect();
        self.insert("customer", record::CUSTOMER, &customers)?;
        let changed = state.auto_topups.changes();
        let rows: Vec<Parameters> = changed
            .filter_map(|(_, _, row)| row.map(record::write_auto_topup))
            .collect();
        if rows.is_empty() {
            return Ok(());
        }
        let sql = record::upsert("auto_topup", record::AUTO_TOPUP, "user_id");
        self.run(&sql, &rows)
    }

    fn bonuses(&mut self, state: &State) -> Result<(), StoreError> {
        self.table(&record::COUPONS, &state.coupons, record::write_coupon)?;
        self.table(&record::CODES, &state.codes, record::write_code)?;
        self.table(&record::MEMBERS, &state.members, record::write_member)?;
        let changed = state.perks.changes().filter_map(|(_, _, perk)| perk);
        let rows: Vec<Parameters> = changed.map(record::write_perk).collect();
        if rows.is_empty() {
            return Ok(());
        }
        let sql = record::upsert("perk", record::PERK, "kind, subject, holder");
        self.run(&sql, &rows)
    }

    fn marks(&mut self, state: &State) -> Result<(), StoreError> {
        let changed = state.marks.changes();
        let rows: Vec<Parameters> = changed
            .filter_map(|(name, _, value)| {
                value.map(|value| vec![name.as_str().into(), value.as_str().into()])
            })
            .collect();
        if rows.is_empty() {
            return Ok(());
        }
        self.run(&record::upsert("mark", "name, value", "name"), &rows)
    }

    fn events(&mut self, state: &State) -> Result<(), StoreError> {
        self.table(&record::EVENTS, &state.events, record::write_event)?;
        let body = |(number, body): &(i64, Arc<[u8]>)| {
            vec![(*number).into(), Value::Bytes(Arc::clone(body))]
        };
        let bodies: Vec<Parameters> = state.event_bodies.iter().map(body).collect();
        self.insert("stripe_event_body", "number, body", &bodies)
    }

    fn jobs(&mut self, state: &State) -> Result<(), StoreError> {
        let (mut gone, mut there) = (Vec::new(), Vec::new());
        for (key, _, job) in state.jobs.changes() {
            match job {
                Some(job) => there.push(record::write_job(job)),
                None => gone.push(record::job_key(key)),
            }
        }
        self.run("DELETE FROM job WHERE kind = $1 AND subject = $2", &gone)?;
        if there.is_empty() {
            return Ok(());
        }
        self.run(&record::upsert("job", record::JOB, "kind, subject"), &there)
    }

    /// Inserts rows, if there are any: most batches have none for most tables.
    fn insert(
        &mut self,
        table: &str,
        columns: &str,
        rows: &[Parameters],
    ) -> Result<(), StoreError> {
        if !rows.is_empty() {
            self.connection
                .write(&record::insert(table, columns), rows)?;
        }
        Ok(())
    }

    fn run(&mut self, sql: &str, rows: &[Parameters]) -> Result<(), StoreError> {
        if !rows.is_empty() {
            self.connection.write(sql, rows)?;
        }
        Ok(())
    }
}

/// The number of a wallet's account. Whatever names a wallet has loaded it.
fn account_of(state: &State, key: &AccountKey) -> Result<i64, StoreError> {
    let wallet = state.wallets.get(key);
    let number = wallet.map(|wallet| wallet.account.number);
    number.ok_or_else(|| StoreError::Unusable(format!("the wallet of {} is not loaded", key.owner)))
}

/// The key and the columns that may change, each with its place in a row.
fn changeable(shape: &Shape) -> Vec<(usize, &'static str)> {
    let columns = shape.columns.split(',').map(str::trim).enumerate();
    columns
        .filter(|(_, column)| !shape.fixed.contains(column))
        .collect()
}

/// Rewrites the row whose key is the first parameter.
fn update(table: &str, columns: &[(usize, &str)]) -> String {
    let named = columns.iter().map(|(_, column)| column).enumerate();
    let mut sets: Vec<String> = named
        .map(|(position, column)| format!("{column} = ${}", position + 1))
        .collect();
    let key = sets.remove(0);
    format!("UPDATE {table} SET {} WHERE {key}", sets.join(", "))
}
