//! Needs to state: the rows that commands ask for, each found by its key.

use std::collections::BTreeSet;

use bursar_domain::account::AccountKey;
use bursar_domain::grant::Grant;
use bursar_domain::id::{PaymentId, UserId};
use bursar_domain::planted::{self, Bug};
use bursar_domain::state::{Needs, Sequence, State, Table};

use crate::connection::{Connection, Parameters, Row, StoreError};
use crate::{Memory, node, record};

/// The numbers given out so far.
pub(crate) fn sequence(connection: &mut dyn Connection) -> Result<Sequence, StoreError> {
    let mut newest = |table: &str| -> Result<i64, StoreError> {
        let rows = connection.rows(
            &format!("SELECT coalesce(max(number), 0) FROM {table}"),
            vec![],
        )?;
        rows.first().map_or(Ok(0), |row| row.integer(0))
    };
    Ok(Sequence {
        account: newest("account")?,
        transaction: newest("ledger_transaction")?,
        posting: newest("posting")?,
        event: newest("stripe_event")?,
        grant: newest("credit_grant")?,
        hold: newest("hold")?,
        limit: newest("spending_limit")?.max(newest("removed_limit")?),
        announcement: newest("announcement")?,
        usage: newest("usage_event")?,
        payment: newest("payment")?,
    })
}

/// How many spending limits there are.
pub(crate) fn count_limits(connection: &mut dyn Connection) -> Result<i64, StoreError> {
    let rows = connection.rows("SELECT count(*) FROM spending_limit", vec![])?;
    rows.first().map_or(Ok(0), |row| row.integer(0))
}

/// Whether the service is in recovery mode.
pub(crate) fn is_recovering(connection: &mut dyn Connection) -> Result<bool, StoreError> {
    let name = vec![bursar_domain::mark::RECOVERY.into()];
    let rows = connection.rows("SELECT value FROM mark WHERE name = $1", name)?;
    let value = rows.first().map(|row| row.text(0)).transpose()?;
    Ok(value.is_some_and(|value| !value.is_empty()))
}

/// Takes what is in memory; what is left to be read.
pub(crate) fn from_memory(memory: &mut Memory, needs: Needs, state: &mut State) -> Needs {
    let mut missing = needs;
    for key in std::mem::take(&mut missing.wallets) {
        match memory.wallets.kept(&key) {
            Some(wallet) => state.wallets.load(key, Some(wallet)),
            None => drop(missing.wallets.insert(key)),
        }
    }
    for key in std::mem::take(&mut missing.accounts) {
        match memory.accounts.get(&key) {
            Some(account) => state.accounts.load(key, account.clone()),
            None => drop(missing.accounts.insert(key)),
        }
    }
    missing
}

/// Loads every row asked for that is not there yet; what the database does not have is remembered as absent.
pub(crate) fn rows(
    connection: &mut dyn Connection,
    memory: &mut Memory,
    needs: &Needs,
    state: &mut State,
) -> Result<(), StoreError> {
    let wallets: Vec<AccountKey> = needs.wallets.iter().cloned().collect();
    memory.wallets.read(connection, &wallets)?;
    for key in wallets {
        let wallet = memory.wallets.kept(&key);
        state.wallets.load(key, wallet);
    }
    for key in &needs.answers {
        let answer = memory.answers.load(connection, key)?;
        state.answers.load(key.clone(), answer);
    }
    // Before anything that is asked about objects.
    if memory.node.is_some() && !needs.unmatched_events.is_empty() {
        node::lock_objects(connection)?;
    }
    let lock = match connection.dialect() {
        _ if planted::is(Bug::RowsUnlocked) => "",
        dialect => dialect.lock(),
    };
    let mut loader = Loader { connection, lock };
    loader.find(
        &needs.accounts,
        &mut state.accounts,
        &select(
            record::ACCOUNT,
            "account",
            "kind = $1 AND owner = $2 AND unit = $3",
        ),
        record::account_key,
        record::read_account,
    )?;
    for key in &needs.accounts {
        let account = state.accounts.get(key).cloned();
        memory.accounts.insert(key.clone(), account);
    }
    grants_and_holds(&mut loader, needs, state)?;
    limits(&mut loader, needs, state)?;
    loader.find(
        &needs.causes,
        &mut state.causes,
        &select(
            "number",
            "ledger_transaction",
            "cause_kind = $1 AND cause_id = $2",
        ),
        |cause| vec![cause.kind.as_str().into(), cause.id.as_str().into()],
        |_| Ok(()),
    )?;
    purchases(&mut loader, needs, state)?;
    returns(&mut loader, needs, state)?;
    cards(&mut loader, needs, state)?;
    bonuses(&mut loader, needs, state)?;
    loader.find_to_change(
        &needs.marks,
        &mut state.marks,
        "SELECT value FROM mark WHERE name = $1",
        |name| vec![name.as_str().into()],
        |row| row.text(0).map(str::to_owned),
    )?;
    events(&mut loader, needs, state)?;
    loader.find_to_change(
        &needs.jobs,
        &mut state.jobs,
        &select(record::JOB, "job", "kind = $1 AND subject = $2"),
        record::job_key,
        record::read_job,
    )?;
    loader.find_to_change(
        &needs.api_keys,
        &mut state.api_keys,
        &select(record::API_KEY, "api_key", "id = $1"),
        |id| vec![id.as_str().into()],
        record::read_api_key,
    )
}

fn select(columns: &str, table: &str, condition: &str) -> String {
    format!("SELECT {columns} FROM {table} WHERE {condition}")
}

/// A hold with the key of its account behind it.
pub(crate) fn select_holds(condition: &str) -> String {
    format!(
        "SELECT {}, a.kind, a.owner, a.unit FROM hold h JOIN account a ON a.number = h.account {condition}",
        record::columns_of("h", record::HOLD)
    )
}

/// One hold, with the same columns. SQLite plans a join anew for some of the values that are bound to it, and this is asked for
/// every call of a hold.
fn select_hold() -> String {
    let of_account =
        |column: &str| format!("(SELECT {column} FROM account WHERE number = h.account)");
    format!(
        "SELECT {}, {}, {}, {} FROM hold h WHERE h.number = $1",
        record::columns_of("h", record::HOLD),
        of_account("kind"),
        of_account("owner"),
        of_account("unit"),
    )
}

/// A grant with the key of its account behind it.
pub(crate) fn select_grants(condition: &str) -> String {
    format!(
        "SELECT {}, a.kind, a.owner, a.unit FROM credit_grant g JOIN account a ON a.number = g.account {condition}",
        record::columns_of("g", record::GRANT)
    )
}

/// A row of [`select_grants`].
pub(crate) fn read_grant(row: &Row) -> Result<Grant, StoreError> {
    record::read_grant(row, &record::read_account_key(row, 18)?)
}

fn grants_and_holds(
    loader: &mut Loader<'_>,
    needs: &Needs,
    state: &mut State,
) -> Result<(), StoreError> {
    loader.find(
        &needs.grants,
        &mut state.grants,
        &select_grants("WHERE g.number = $1"),
        |id| vec![id.number().into()],
        read_grant,
    )?;
    loader.find_to_change(
        &needs.holds,
        &mut state.holds,
        &select_hold(),
        |id| vec![id.number().into()],
        record::read_hold,
    )
}

fn limits(loader: &mut Loader<'_>, needs: &Needs, state: &mut State) -> Result<(), StoreError> {
    loader.find(
        &needs.limit_subjects,
        &mut state.limit_subjects,
        "SELECT subject_kind, subject FROM spending_limit WHERE number = $1",
        |id| vec![id.number().into()],
        |row| record::read_subject(row, 0),
    )?;
    let sql = format!(
        "SELECT {} FROM spending_limit WHERE subject_kind = $1 AND subject = $2 ORDER BY number",
        record::LIMIT
    );
    loader.find_all_to_change(
        &needs.limits,
        &mut state.limits,
        &sql,
        |subject| vec![subject.kind.as_str().into(), subject.name.as_str().into()],
        record::read_limit,
    )
}

fn purchases(loader: &mut Loader<'_>, needs: &Needs, state: &mut State) -> Result<(), StoreError> {
    loader.find_to_change(
        &needs.topups,
        &mut state.topups,
        &select(record::TOPUP, "topup", "id = $1"),
        |id| vec![id.as_str().into()],
        record::read_topup,
    )?;
    loader.find_to_change(
        &needs.payments,
        &mut state.payments,
        &select(record::PAYMENT, "payment", "id = $1"),
        |id| vec![id.as_str().into()],
        record::read_payment,
    )?;
    let payment_id = |row: &Row| row.parsed(0, PaymentId::parse);
    loader.find(
        &needs.payment_of_session,
        &mut state.payment_of_session,
        &select("id", "payment", "session = $1"),
        |session| vec![session.as_str().into()],
        payment_id,
    )?;
    loader.find(
        &needs.payment_of_intent,
        &mut state.payment_of_intent,
        &select("id", "payment", "intent = $1"),
        |intent| vec![intent.as_str().into()],
        payment_id,
    )
}

fn returns(loader: &mut Loader<'_>, needs: &Needs, state: &mut State) -> Result<(), StoreError> {
    let of_payment = |columns, table, key| {
        format!("SELECT {columns} FROM {table} WHERE payment_id = $1 ORDER BY {key}")
    };
    loader.find_all_to_change(
        &needs.awards,
        &mut state.awards,
        &of_payment(record::AWARD, "award", "kind"),
        |id| vec![id.as_str().into()],
        record::read_award,
    )?;
    loader.find_all_to_change(
        &needs.refunds,
        &mut state.refunds,
        &of_payment(record::REFUND, "refund", "id"),
        |id| vec![id.as_str().into()],
        record::read_refund,
    )?;
    loader.find_all_to_change(
        &needs.disputes,
        &mut state.disputes,
        &of_payment(record::DISPUTE, "dispute", "id"),
        |id| vec![id.as_str().into()],
        record::read_dispute,
    )?;
    loader.find(
        &needs.payment_of_refund,
        &mut state.payment_of_refund,
        &select("payment_id", "refund", "id = $1"),
        |id| vec![id.as_str().into()],
        |row| row.parsed(0, PaymentId::parse),
    )
}

fn cards(loader: &mut Loader<'_>, needs: &Needs, state: &mut State) -> Result<(), StoreError> {
    loader.find_to_change(
        &needs.auto_topups,
        &mut state.auto_topups,
        &select(record::AUTO_TOPUP, "auto_topup", "user_id = $1"),
        |user| vec![user.as_str().into()],
        record::read_auto_topup,
    )?;
    loader.find_to_change(
        &needs.customers,
        &mut state.customers,
        &select(
            record::CUSTOMER,
            "customer",
            "user_id = $1 AND livemode = $2",
        ),
        record::customer_key,
        record::read_customer,
    )
}

fn bonuses(loader: &mut Loader<'_>, needs: &Needs, state: &mut State) -> Result<(), StoreError> {
    loader.find_to_change(
        &needs.coupons,
        &mut state.coupons,
        &select(record::COUPON, "coupon", "code = $1"),
        |code| vec![code.as_str().into()],
        record::read_coupon,
    )?;
    loader.find_to_change(
        &needs.codes,
        &mut state.codes,
        &select(record::CODE, "redeem_code", "id = $1"),
        |id| vec![id.as_str().into()],
        record::read_code,
    )?;
    loader.find_to_change(
        &needs.perks,
        &mut state.perks,
        &select(
            record::PERK,
            "perk",
            "kind = $1 AND subject = $2 AND holder = $3",
        ),
        record::perk_key,
        record::read_perk,
    )?;
    loader.find_to_change(
        &needs.members,
        &mut state.members,
        &select(record::MEMBER, "member", "user_id = $1"),
        |user| vec![user.as_str().into()],
        record::read_member,
    )?;
    loader.find(
        &needs.member_of_code,
        &mut state.member_of_code,
        &select("user_id", "member", "code = $1"),
        |code| vec![code.as_str().into()],
        |row| row.parsed(0, UserId::parse),
    )?;
    loader.find(
        &needs.buyers,
        &mut state.buyers,
        &select("1", "topup", "user_id = $1 AND status = 'paid' LIMIT 1"),
        |user| vec![user.as_str().into()],
        |_| Ok(()),
    )
}

fn events(loader: &mut Loader<'_>, needs: &Needs, state: &mut State) -> Result<(), StoreError> {
    loader.find(
        &needs.event_numbers,
        &mut state.event_numbers,
        "SELECT number FROM stripe_event WHERE id = $1",
        |id| vec![id.as_str().into()],
        |row| row.integer(0),
    )?;
    loader.find_to_change(
        &needs.events,
        &mut state.events,
        &format!(
            "SELECT {} FROM stripe_event WHERE number = $1",
            record::EVENT
        ),
        |number| vec![(*number).into()],
        record::read_event,
    )?;
    let numbers = "SELECT number FROM stripe_event WHERE";
    loader.find_all(
        &needs.waiting_events,
        &mut state.waiting_events,
        &format!("{numbers} status = 'waiting' AND payment_id = $1 ORDER BY number"),
        |id| vec![id.as_str().into()],
        |row| row.integer(0),
    )?;
    loader.find_all(
        &needs.unmatched_events,
        &mut state.unmatched_events,
        &format!("{numbers} waits_for = $1 ORDER BY number"),
        |id| vec![id.as_str().into()],
        |row| row.integer(0),
    )
}

struct Loader<'a> {
    connection: &'a mut dyn Connection,
    /// What makes rows wait for us, where others may change them.
    lock: &'static str,
}

impl Loader<'_> {
    /// As [`Loader::find`], and nobody else changes the rows until the transaction ends. Keys come in their order, and tables in the
    /// order of this file, so that few ever wait for each other.
    fn find_to_change<K: Ord + Clone + std::fmt::Debug, V>(
        &mut self,
        keys: &BTreeSet<K>,
        table: &mut Table<K, V>,
        sql: &str,
        write_key: impl Fn(&K) -> Parameters,
        read: impl Fn(&Row) -> Result<V, StoreError>,
    ) -> Result<(), StoreError> {
        let sql = format!("{sql}{}", self.lock);
        self.find(keys, table, &sql, write_key, read)
    }

    /// As [`Loader::find_all`], and nobody else changes the rows until the transaction ends.
    fn find_all_to_change<K: Ord + Clone + std::fmt::Debug, V>(
        &mut self,
        keys: &BTreeSet<K>,
        table: &mut Table<K, Vec<V>>,
        sql: &str,
        write_key: impl Fn(&K) -> Parameters,
        read: impl Fn(&Row) -> Result<V, StoreError>,
    ) -> Result<(), StoreError> {
        let sql = format!("{sql}{}", self.lock);
        self.find_all(keys, table, &sql, write_key, read)
    }

    /// One row at most for each key, by a unique index.
    fn find<K: Ord + Clone + std::fmt::Debug, V>(
        &mut self,
        keys: &BTreeSet<K>,
        table: &mut Table<K, V>,
        sql: &str,
        write_key: impl Fn(&K) -> Parameters,
        read: impl Fn(&Row) -> Result<V, StoreError>,
    ) -> Result<(), StoreError> {
        let read = |rows: &[Row]| rows.first().map(&read).transpose();
        self.fill(keys, table, sql, write_key, read)
    }

    /// All rows that share a key; absent if there are none.
    fn find_all<K: Ord + Clone + std::fmt::Debug, V>(
        &mut self,
        keys: &BTreeSet<K>,
        table: &mut Table<K, Vec<V>>,
        sql: &str,
        write_key: impl Fn(&K) -> Parameters,
        read: impl Fn(&Row) -> Result<V, StoreError>,
    ) -> Result<(), StoreError> {
        let read = |rows: &[Row]| {
            let values = rows.iter().map(&read).collect::<Result<Vec<_>, _>>()?;
            Ok(Some(values).filter(|values| !values.is_empty()))
        };
        self.fill(keys, table, sql, write_key, read)
    }

    /// What `read` makes of the rows of each key.
    fn fill<K: Ord + Clone + std::fmt::Debug, V>(
        &mut self,
        keys: &BTreeSet<K>,
        table: &mut Table<K, V>,
        sql: &str,
        write_key: impl Fn(&K) -> Parameters,
        read: impl Fn(&[Row]) -> Result<Option<V>, StoreError>,
    ) -> Result<(), StoreError> {
        if keys.is_empty() {
            return Ok(());
        }
        let parameters: Vec<Parameters> = keys.iter().map(write_key).collect();
        let answers = self.connection.query(sql, &parameters)?;
        for (key, rows) in keys.iter().zip(answers) {
            table.load(key.clone(), read(&rows)?);
        }
        Ok(())
    }
}
