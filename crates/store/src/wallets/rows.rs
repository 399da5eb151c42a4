//! Rows of wallets and grants that are to be written.

use std::collections::HashMap;

use bursar_domain::account::AccountKey;
use bursar_domain::grant::{Grant, GrantEnd};
use bursar_domain::id::GrantId;
use bursar_domain::state::{Change, State};
use bursar_domain::wallet::Wallet;

use crate::connection::{Connection, Parameters, StoreError};
use crate::record;

/// The grants of which a whole row has to be written, with each wallet.
pub(super) fn grants_by_wallet(state: &State) -> HashMap<AccountKey, Vec<(Change, Grant)>> {
    let mut wallets: HashMap<AccountKey, Vec<(Change, Grant)>> = HashMap::new();
    for (id, change, grant) in state.grants.changes() {
        let Some(grant) = grant else { continue };
        // A live one has moved on with its wallet since it was put here.
        let wallet = state.wallets.get(&grant.wallet);
        let live = wallet.and_then(|wallet| wallet.grants.iter().find(|live| live.id == *id));
        let grant = live.unwrap_or(grant).clone();
        wallets
            .entry(grant.wallet.clone())
            .or_default()
            .push((change, grant));
    }
    wallets
}

/// Rows of wallets and grants that are to be written.
#[derive(Default)]
pub(super) struct Rows {
    opened: Vec<Parameters>,
    accounts: Vec<Parameters>,
    granted: Vec<Parameters>,
    grants: Vec<Parameters>,
    left: Vec<Parameters>,
}

impl Rows {
    /// Adds the wallet's row, of this version, the grants `whole`, and of all others what is left, where the rows say something else.
    pub(super) fn add(
        &mut self,
        (change, version): (Change, i64),
        wallet: &Wallet,
        stored: &[(GrantId, i64)],
        whole: &[(Change, Grant)],
    ) {
        let account = &wallet.account;
        match change {
            Change::Insert => {
                let mut row = record::write_account(account);
                row.extend([
                    wallet.overdraft.into(),
                    wallet.frozen.into(),
                    wallet.topup_below.into(),
                ]);
                self.opened.push(row);
            }
            _ => self.accounts.push(vec![
                account.number.into(),
                account.balance.into(),
                account.entries.into(),
                account.head.into(),
                wallet.overdraft.into(),
                wallet.frozen.into(),
                wallet.topup_below.into(),
                account.updated_at.into(),
                version.into(),
            ]),
        }
        for (change, grant) in whole {
            match change {
                Change::Insert => self
                    .granted
                    .push(record::write_grant(grant, account.number)),
                _ => self.grants.push(vec![
                    grant.id.number().into(),
                    grant.remaining.into(),
                    grant.announced.into(),
                    grant.end.map(GrantEnd::as_str).into(),
                    grant.ended_at.into(),
                ]),
            }
        }
        for grant in &wallet.grants {
            let is_whole = whole.iter().any(|(_, other)| other.id == grant.id);
            let is_stored = stored.contains(&(grant.id, grant.remaining));
            if !is_whole && !is_stored {
                let row = vec![grant.id.number().into(), grant.remaining.into()];
                self.left.push(row);
            }
        }
    }

    pub(super) fn write(self, connection: &mut dyn Connection) -> Result<(), StoreError> {
        // Most batches have no rows for most of these statements: they are written only where they are needed.
        let insert =
            |table, columns: &str, more: &str| record::insert(table, &format!("{columns}, {more}"));
        let opened = || insert("account", record::ACCOUNT, "overdraft, frozen, topup_below");
        let granted = || insert("credit_grant", record::GRANT, "account");
        let update = |sql: &'static str| move || sql.to_owned();
        let accounts = update(
            "UPDATE account SET balance = $2, entries = $3, head = $4, overdraft = $5, frozen = $6, topup_below = $7, updated_at = $8, \
             version = $9 WHERE number = $1",
        );
        let grants = update(
            "UPDATE credit_grant SET remaining = $2, announced = $3, end_kind = $4, ended_at = $5 WHERE number = $1",
        );
        let left = update("UPDATE credit_grant SET remaining = $2 WHERE number = $1");
        let statements: [(&dyn Fn() -> String, Vec<Parameters>); 5] = [
            (&opened, self.opened),
            (&accounts, self.accounts),
            (&granted, self.granted),
            (&grants, self.grants),
            (&left, self.left),
        ];
        for (sql, rows) in statements {
            if !rows.is_empty() {
                connection.write(&sql(), &rows)?;
            }
        }
        Ok(())
    }
}
