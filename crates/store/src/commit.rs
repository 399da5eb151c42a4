//! Changes to rows: what a batch has decided, written inside one transaction.

use std::sync::Arc;

use bursar_domain::journal::Posted;
use bursar_domain::state::{Change, Sequence, State, Table};

use crate::connection::{Connection, Parameters, StoreError, Value};
use crate::record::{self, Shape};

/// The numbers given out after this batch is written.
pub(crate) fn sequence_after(before: Sequence, state: &State) -> Sequence {
    let transactions = i64::try_from(state.journal.len()).unwrap_or(i64::MAX);
    Sequence {
        transaction: before.transaction + transactions,
        ..state.sequence
    }
}

/// Writes everything that changed. The caller begins and ends the transaction.
pub(crate) fn changes(
    connection: &mut dyn Connection,
    before: Sequence,
    state: &State,
) -> Result<(), StoreError> {
    let mut writer = Writer { connection };
    writer.table(&record::ACCOUNTS, &state.accounts, record::write_account)?;
    writer.journal(before, &state.journal)?;
    writer.table(&record::TOPUPS, &state.topups, record::write_topup)?;
    writer.table(&record::PAYMENTS, &state.payments, record::write_payment)?;
    writer.events(state)?;
    writer.jobs(state)?;
    writer.table(&record::API_KEYS, &state.api_keys, record::write_api_key)?;
    writer.answers(state)
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
        self.run(&insert(shape.table, shape.columns), &inserts)?;
        let changeable = changeable(shape);
        let places = |mut row: Parameters| {
            let take = |(place, _): &(usize, _)| std::mem::replace(&mut row[*place], Value::Null);
            changeable.iter().map(take).collect()
        };
        let updates: Vec<Parameters> = rows(Change::Update).map(places).collect();
        self.run(&update(shape.table, &changeable), &updates)
    }

    fn journal(&mut self, before: Sequence, journal: &[Posted]) -> Result<(), StoreError> {
        let (mut transactions, mut postings) = (Vec::new(), Vec::new());
        let mut number = before.transaction;
        for posted in journal {
            number += 1;
            let transaction = &posted.transaction;
            let mut row: Parameters = vec![
                number.into(),
                transaction.id.as_str().into(),
                transaction.reason.as_str().into(),
                transaction.cause.kind.as_str().into(),
                transaction.cause.id.as_str().into(),
                transaction.at.into(),
            ];
            row.extend(record::write_remark(&transaction.remark));
            transactions.push(row);
            postings.extend(
                posted
                    .rows
                    .iter()
                    .map(|posting| record::write_posting(number, posting)),
            );
        }
        let columns = "number, id, reason, cause_kind, cause_id, at, note, reference, meta";
        self.run(&insert("ledger_transaction", columns), &transactions)?;
        self.run(&insert("posting", record::POSTING), &postings)
    }

    fn events(&mut self, state: &State) -> Result<(), StoreError> {
        self.table(&record::EVENTS, &state.events, record::write_event)?;
        let body = |(number, body): &(i64, Arc<[u8]>)| {
            vec![(*number).into(), Value::Bytes(Arc::clone(body))]
        };
        let bodies: Vec<Parameters> = state.event_bodies.iter().map(body).collect();
        self.run(&insert("stripe_event_body", "number, body"), &bodies)
    }

    fn jobs(&mut self, state: &State) -> Result<(), StoreError> {
        let (mut gone, mut there) = (Vec::new(), Vec::new());
        for (key, _, job) in state.jobs.changes() {
            gone.push(record::job_key(key));
            there.extend(job.map(record::write_job));
        }
        self.run("DELETE FROM job WHERE kind = $1 AND payment_id = $2", &gone)?;
        self.run(&insert("job", record::JOB), &there)
    }

    fn answers(&mut self, state: &State) -> Result<(), StoreError> {
        let mut rows = Vec::new();
        for (key, _, answer) in state.answers.changes() {
            let Some(answer) = answer else { continue };
            rows.push(vec![
                key.principal.as_str().into(),
                key.route.as_str().into(),
                key.key.as_str().into(),
                answer.request_hash.as_str().into(),
                record::write_outcome(answer)?,
                answer.at.into(),
            ]);
        }
        self.run(
            &insert("answer", "principal, route, key, request_hash, outcome, at"),
            &rows,
        )
    }

    fn run(&mut self, sql: &str, rows: &[Parameters]) -> Result<(), StoreError> {
        if !rows.is_empty() {
            self.connection.execute(sql, rows)?;
        }
        Ok(())
    }
}

fn insert(table: &str, columns: &str) -> String {
    let count = columns.split(',').count();
    let places: Vec<String> = (1..=count).map(|place| format!("${place}")).collect();
    format!(
        "INSERT INTO {table} ({columns}) VALUES ({})",
        places.join(", ")
    )
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
