//! What the rows of a wallet miss: postings that were on disk when the program died, and were not in the rows yet.

use bursar_domain::account::Account;
use bursar_domain::grant::Grant;
use bursar_domain::id::GrantId;
use bursar_domain::journal::Link;
use bursar_domain::time::Time;

use crate::connection::StoreError;

/// A posting that rows may miss.
#[derive(Debug, Clone, Copy)]
pub(super) struct Missed {
    pub(super) number: i64,
    pub(super) delta: i64,
    pub(super) link: Link,
    pub(super) grant: Option<GrantId>,
    pub(super) at: Time,
}

impl Missed {
    /// Adds the posting to a wallet's rows, which must have been written just before it.
    pub(super) fn add_to(
        &self,
        account: &mut Account,
        grants: &mut [Grant],
    ) -> Result<(), StoreError> {
        if self.link.previous != account.head {
            return Err(StoreError::corrupt(format!(
                "the row of account {} was written at posting {}, and posting {} continues {}",
                account.number, account.head, self.number, self.link.previous
            )));
        }
        account.balance = self.link.balance;
        account.head = self.number;
        account.entries += 1;
        account.updated_at = self.at;
        if let Some(id) = self.grant {
            let grant = grants.iter_mut().find(|grant| grant.id == id);
            let grant = grant.ok_or_else(|| {
                StoreError::corrupt(format!(
                    "posting {} moves value of {id}, which its wallet does not have",
                    self.number
                ))
            })?;
            grant.remaining += self.delta;
        }
        Ok(())
    }
}
