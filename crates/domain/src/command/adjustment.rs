//! Adjustments: credits that an administrator gives or takes, outside of every purchase and every charge.

use serde::{Deserialize, Serialize};

use super::Context;
use crate::account::{AccountKey, AccountKind};
use crate::amount::Amount;
use crate::charge::{self, Spending};
use crate::grant::{self, AMOUNT_MAX, Category, CreateGrant, Source, within};
use crate::id::{TransactionId, UserId};
use crate::journal::{Reason, Remark, Transaction};
use crate::refusal::Refusal;
use crate::state::State;
use crate::time::Time;

/// Credits given or taken by an administrator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Adjust {
    /// Whose wallet.
    pub user: UserId,
    /// Credits to add; taken away when negative. Not zero.
    pub credits: i64,
    /// What is said about it.
    pub remark: Remark,
}

/// A wallet after an adjustment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Adjusted {
    /// The transaction that did it.
    pub transaction: TransactionId,
    /// Whose wallet.
    pub user: UserId,
    /// Credits added, or taken away when negative.
    pub credits: i64,
    /// The wallet's balance afterwards.
    pub balance: i64,
    /// When.
    pub at: Time,
}

/// Adds credits as a grant, or takes them as a charge is taken, by an administrator's word.
pub(super) fn adjust(
    state: &mut State,
    context: &mut Context<'_>,
    adjust: &Adjust,
) -> Result<Adjusted, Refusal> {
    let (given, now) = (adjust.credits.saturating_abs(), context.now);
    within("credits", given, 1, AMOUNT_MAX)?;
    let key = AccountKey::wallet(&adjust.user);
    if adjust.credits > 0 {
        grant::check_room(state, &key)?;
        let terms = CreateGrant::plain(
            adjust.user.clone(),
            Amount::credits(given),
            Category::Promotional,
            Source::Manual,
        );
        let transaction = Transaction {
            reason: Reason::Add,
            cause: None,
            at: now,
            remark: adjust.remark.clone(),
            tags: String::new(),
            postings: vec![],
        };
        grant::give(state, &terms, AccountKind::Adjusted, transaction)?;
    } else {
        charge::covers(state, &key, given, 0, now)?;
        let spending = Spending {
            key: key.clone(),
            amount: given,
            to: AccountKind::Adjusted,
            reason: Reason::Sub,
            cause: None,
            remark: adjust.remark.clone(),
            tags: String::new(),
        };
        charge::spend(state, context, spending)?;
    }
    let wallet = state.wallets.get(&key);
    Ok(Adjusted {
        transaction: TransactionId::of(state.sequence.transaction),
        user: adjust.user.clone(),
        credits: adjust.credits,
        balance: wallet.map_or(0, |wallet| wallet.account.balance),
        at: now,
    })
}
