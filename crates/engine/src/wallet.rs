//! Questions about wallets: the writer knows them to the last posting, readers know what lies behind.

use std::sync::Arc;

use bursar_domain::account::AccountKey;
use bursar_domain::command::Command;
use bursar_domain::journal::Reason;
use bursar_domain::time::Time;
use bursar_domain::wallet::Wallet;
use bursar_store::query::{Chain, Entry, EntryFilter, Page, PageRequest, ReasonSum};

use crate::{Engine, EngineError, Once};

impl Engine {
    /// A wallet as it stands; none if nothing ever touched it.
    pub async fn wallet(&self, key: AccountKey) -> Result<Option<Arc<Wallet>>, EngineError> {
        Ok(self.wallets(vec![key]).await?.pop().flatten())
    }

    /// Wallets as they stand, in the order asked for.
    pub async fn wallets(
        &self,
        keys: Vec<AccountKey>,
    ) -> Result<Vec<Option<Arc<Wallet>>>, EngineError> {
        let Once { value, .. } = self.ask(Command::ReadWallets(keys), None).await?;
        Ok(value)
    }

    /// What moved in a wallet, the newest first.
    pub async fn statement(
        &self,
        key: AccountKey,
        reason: Option<Reason>,
        request: PageRequest,
    ) -> Result<Page<Entry>, EngineError> {
        let Some(chain) = self.chain(key).await? else {
            return Ok(Page {
                items: vec![],
                next: None,
            });
        };
        let filter = EntryFilter {
            chain: Some(chain),
            reason,
        };
        self.read(move |reader| reader.entries(&filter, &request))
            .await
    }

    /// The balance of a wallet at a past moment, and when it last changed before; none if nothing had touched it. What had expired
    /// by then counts as long as it was not booked.
    pub async fn balance_at(
        &self,
        key: AccountKey,
        at: Time,
    ) -> Result<Option<(i64, Time)>, EngineError> {
        match self.chain(key).await? {
            Some(chain) => self.read(move |reader| reader.balance_at(&chain, at)).await,
            None => Ok(None),
        }
    }

    /// A wallet as it stands, and its movements up to that posting, summed up; none if nothing ever touched it.
    pub async fn explained(
        &self,
        key: AccountKey,
    ) -> Result<Option<(Arc<Wallet>, Vec<ReasonSum>)>, EngineError> {
        let Some(wallet) = self.wallet(key).await? else {
            return Ok(None);
        };
        let chain = chain_of(&wallet);
        let sums = self.read(move |reader| reader.sums(&chain)).await?;
        Ok(Some((wallet, sums)))
    }

    async fn chain(&self, key: AccountKey) -> Result<Option<Chain>, EngineError> {
        let wallet = self.wallet(key).await?;
        Ok(wallet.as_deref().map(chain_of))
    }
}

/// Where the entries of a wallet are found.
fn chain_of(wallet: &Wallet) -> Chain {
    Chain {
        wallet: wallet.account.key.clone(),
        account: wallet.account.number,
        head: wallet.account.head,
    }
}
