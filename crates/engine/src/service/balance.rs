//! Wallets: what is in them, what moved, and what is added or taken by hand.

use std::sync::Arc;

use bursar_domain::account::AccountKey;
use bursar_domain::amount::{Amount, Unit};
use bursar_domain::announcement::Announcement;
use bursar_domain::command::{Adjust, Adjusted, Command};
use bursar_domain::exchange::{Exchange, Exchanged};
use bursar_domain::grant::AMOUNT_MAX;
use bursar_domain::id::UserId;
use bursar_domain::journal::{Reason, Remark};
use bursar_domain::refusal::Refusal;
use bursar_domain::time::Time;
use bursar_domain::wallet::Wallet;
use bursar_store::query::{Entry, Page, PageRequest, Reader};
use bursar_store::seal::Seal;

use super::asked::{Asked, keyed};
use super::{ServiceError, TopupDesk, form};
use crate::{Engine, Once};

/// Everything about wallets. Clones share the engine.
#[derive(Debug, Clone)]
pub struct Balance {
    pub(super) engine: Engine,
}

/// What one user has in one unit, as it stands at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WalletView {
    /// Whose wallet, and in which unit.
    pub key: AccountKey,
    /// What is in it; negative for a debt.
    pub credits: i64,
    /// What may be spent: without what open holds reserve.
    pub available: i64,
    /// What open holds reserve.
    pub held: i64,
    /// What was spent beyond what was there; 0 or more.
    pub debt: i64,
    /// How far below zero a charge that may make debt can take it; none: as far as the operator's policy says.
    pub overdraft: Option<i64>,
    /// The moment.
    pub at: Time,
    /// Its grants and holds; none if nothing ever touched it.
    pub wallet: Option<Arc<Wallet>>,
}

impl WalletView {
    /// A user without an account has an empty wallet: wallets are not opened, they begin to be used.
    fn of(key: AccountKey, wallet: Option<Arc<Wallet>>, at: Time) -> Self {
        let amount = |amount: &dyn Fn(&Wallet) -> i64| wallet.as_deref().map_or(0, amount);
        Self {
            credits: amount(&|wallet| wallet.credits(at)),
            available: amount(&|wallet| wallet.available(at)),
            held: amount(&Wallet::held),
            debt: amount(&Wallet::debt),
            overdraft: wallet.as_ref().and_then(|wallet| wallet.overdraft),
            key,
            at,
            wallet,
        }
    }
}

/// A balance at a past moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PastBalance {
    /// What it was, in smallest steps.
    pub balance: i64,
    /// When it had last changed.
    pub changed_at: Time,
}

/// A part of what has happened, the oldest first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Events {
    /// What happened.
    pub items: Vec<Announcement>,
    /// Where to go on: also when nothing new is there.
    pub next: i64,
    /// Whether more is there already.
    pub has_more: bool,
}

impl Balance {
    /// The wallets of an engine.
    pub fn new(engine: Engine) -> Self {
        Self { engine }
    }

    /// All that payments may do here: read a top-up, and finish it.
    pub fn topup_desk(&self) -> TopupDesk {
        TopupDesk::new(self.engine.clone())
    }

    /// A user's credits.
    pub async fn read(&self, user: &UserId) -> Result<WalletView, ServiceError> {
        self.read_in(user, Unit::CREDIT).await
    }

    /// What a user has in a unit.
    pub async fn read_in(&self, user: &UserId, unit: Unit) -> Result<WalletView, ServiceError> {
        let key = AccountKey::wallet_in(user, unit);
        let wallet = self.engine.wallet(key.clone()).await?;
        Ok(WalletView::of(key, wallet, self.engine.now()))
    }

    /// What a user has, in every unit that ever was in his wallets.
    pub async fn read_all(&self, user: &UserId) -> Result<Vec<WalletView>, ServiceError> {
        let user = user.clone();
        let accounts = self.engine.read(move |reader| reader.wallets_of(&user));
        let keys = accounts.await?.into_iter().map(|account| account.key);
        self.views(keys.collect()).await
    }

    /// The wallets of all users, the newest first.
    pub async fn wallets(&self, request: PageRequest) -> Result<Page<WalletView>, ServiceError> {
        form::check_page(&request)?;
        let accounts = self.engine.read(move |reader| reader.wallets(&request));
        let accounts = accounts.await?;
        let keys = accounts.items.into_iter().map(|account| account.key);
        Ok(Page {
            items: self.views(keys.collect()).await?,
            next: accounts.next,
        })
    }

    /// The writer knows what is in wallets: their rows may be older.
    async fn views(&self, keys: Vec<AccountKey>) -> Result<Vec<WalletView>, ServiceError> {
        let wallets = self.engine.wallets(keys.clone()).await?;
        let at = self.engine.now();
        let views = keys.into_iter().zip(wallets);
        Ok(views
            .map(|(key, wallet)| WalletView::of(key, wallet, at))
            .collect())
    }

    /// Adds credits by hand. They never expire, and count as given.
    pub async fn add(
        &self,
        user: &UserId,
        credits: i64,
        remark: Remark,
        key: Option<&str>,
    ) -> Result<Once<Adjusted>, ServiceError> {
        self.adjust("add", (user, credits), remark, key).await
    }

    /// Takes credits away by hand, and never more than are there.
    pub async fn sub(
        &self,
        user: &UserId,
        credits: i64,
        remark: Remark,
        key: Option<&str>,
    ) -> Result<Once<Adjusted>, ServiceError> {
        self.adjust("sub", (user, credits), remark, key).await
    }

    async fn adjust(
        &self,
        operation: &str,
        (user, credits): (&UserId, i64),
        remark: Remark,
        key: Option<&str>,
    ) -> Result<Once<Adjusted>, ServiceError> {
        // The command knows the two by the sign of the number: who adds less than nothing must not take away.
        if !(1..=AMOUNT_MAX).contains(&credits) {
            return Err(Refusal::OutOfRange {
                field: "credits".to_owned(),
                least: 1,
                most: AMOUNT_MAX,
                given: credits,
            }
            .into());
        }
        let remark = form::remark(remark)?;
        let asked = Asked::default()
            .text("user_id", user.as_str())
            .number("credits", credits)
            .remark(&remark);
        let key = keyed(operation, key, &asked)?;
        let command = Command::Adjust(Adjust {
            user: user.clone(),
            credits: if operation == "add" {
                credits
            } else {
                -credits
            },
            remark,
        });
        Ok(self.engine.ask(command, key).await?)
    }

    /// Gives one unit for another. The rate is the caller's: both amounts are named.
    pub async fn exchange(
        &self,
        wish: Exchange,
        key: &str,
    ) -> Result<Once<Exchanged>, ServiceError> {
        let remark = form::remark(wish.remark)?;
        let wish = Exchange { remark, ..wish };
        // All fields by name, so that one that is added and forgotten here does not compile.
        let Exchange {
            user,
            give,
            get,
            category,
            remark,
        } = &wish;
        let amount = |amount: &Amount| {
            Asked::default()
                .number("amount", amount.minor)
                .text("unit", &amount.unit.to_string())
        };
        let asked = Asked::default()
            .text("user_id", user.as_str())
            .part("from", &amount(give))
            .part("to", &amount(get))
            .text("category", category.as_str())
            .remark(remark);
        let key = asked.under("exchange", key)?;
        Ok(self.engine.ask(Command::Exchange(wish), Some(key)).await?)
    }

    /// Says how far below zero a charge that may make debt can take a wallet, in smallest steps; none: as far as the operator's
    /// policy says.
    pub async fn set_overdraft(
        &self,
        user: &UserId,
        unit: Unit,
        overdraft: Option<i64>,
        key: Option<&str>,
    ) -> Result<Once<Option<i64>>, ServiceError> {
        let asked = Asked::default()
            .text("user_id", user.as_str())
            .text("unit", &unit.to_string())
            .number("overdraft", overdraft);
        let key = keyed("overdraft.set", key, &asked)?;
        let command = Command::SetOverdraft {
            user: user.clone(),
            unit,
            overdraft,
        };
        Ok(self.engine.ask(command, key).await?)
    }

    /// What moved in a user's credits, the newest first.
    pub async fn history(
        &self,
        user: &UserId,
        request: PageRequest,
    ) -> Result<Page<Entry>, ServiceError> {
        self.statement(user, Unit::CREDIT, None, request).await
    }

    /// What moved in a user's wallet of one unit, the newest first; only for one reason, if there is one.
    pub async fn statement(
        &self,
        user: &UserId,
        unit: Unit,
        reason: Option<Reason>,
        request: PageRequest,
    ) -> Result<Page<Entry>, ServiceError> {
        form::check_page(&request)?;
        let key = AccountKey::wallet_in(user, unit);
        Ok(self.engine.statement(key, reason, request).await?)
    }

    /// What was in a user's wallet at a past moment; none if nothing had touched it.
    pub async fn balance_at(
        &self,
        user: &UserId,
        unit: Unit,
        at: Time,
    ) -> Result<Option<PastBalance>, ServiceError> {
        let key = AccountKey::wallet_in(user, unit);
        let past = self.engine.balance_at(key, at).await?;
        Ok(past.map(|(balance, changed_at)| PastBalance {
            balance,
            changed_at,
        }))
    }

    /// What happened after the event with this number (0: from the beginning), the oldest first, so many at most.
    pub async fn events_after(&self, after: i64, limit: usize) -> Result<Events, ServiceError> {
        form::check_limit(limit)?;
        let mut items = self
            .engine
            .read(move |reader| reader.announcements(after, limit + 1))
            .await?;
        let has_more = items.len() > limit;
        items.truncate(limit);
        Ok(Events {
            next: items.last().map_or(after, |last| last.number),
            items,
            has_more,
        })
    }

    /// The newest seal over the journal. Whoever keeps it elsewhere can tell later whether anything before it was changed.
    pub async fn checkpoint(&self) -> Result<Seal, ServiceError> {
        Ok(self.engine.read(Reader::seal).await?)
    }
}
