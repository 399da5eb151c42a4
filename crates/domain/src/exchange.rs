//! Exchanges: one unit for another, as two linked transactions. Nothing else connects two units.

use serde::{Deserialize, Serialize};

use crate::account::{AccountKey, AccountKind};
use crate::amount::Amount;
use crate::charge::{self, Spending};
use crate::command::Context;
use crate::grant::{self, AMOUNT_MAX, Category, CreateGrant, Grant, Source, within};
use crate::id::{TransactionId, UserId};
use crate::journal::{Cause, Reason, Remark, Transaction};
use crate::planted::{self, Bug};
use crate::refusal::Refusal;
use crate::state::{State, Wanted};
use crate::time::Time;

/// Asks to give one unit for another. The rate is the caller's: both amounts are named.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exchange {
    /// Whose wallets.
    pub user: UserId,
    /// What is given.
    pub give: Amount,
    /// What is got; another unit.
    pub get: Amount,
    /// Whether what is got counts as paid for.
    pub category: Category,
    /// What is said about it.
    pub remark: Remark,
}

/// An exchange that was made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exchanged {
    /// The transaction that took.
    pub given: TransactionId,
    /// The grant that was got.
    pub got: Grant,
    /// What was given.
    pub give: Amount,
    /// The balance of the wallet that gave.
    pub balance: i64,
    /// When.
    pub at: Time,
}

pub(crate) fn needs(wanted: &mut Wanted<'_>, wish: &Exchange) {
    for amount in [wish.give, wish.get] {
        let key = AccountKey::wallet_in(&wish.user, amount.unit);
        grant::needs_to_give(wanted, &key, AccountKind::Exchanged);
    }
}

pub(crate) fn exchange(
    state: &mut State,
    context: &Context<'_>,
    wish: &Exchange,
) -> Result<Exchanged, Refusal> {
    let (now, from) = (
        context.now,
        AccountKey::wallet_in(&wish.user, wish.give.unit),
    );
    within("from.amount", wish.give.minor, 1, AMOUNT_MAX)?;
    within("to.amount", wish.get.minor, 1, AMOUNT_MAX)?;
    if wish.give.unit == wish.get.unit {
        return Err(Refusal::SameUnit);
    }
    let mut terms = CreateGrant {
        remark: wish.remark.clone(),
        ..CreateGrant::plain(wish.user.clone(), wish.get, wish.category, Source::Exchange)
    };
    if planted::is(Bug::ExchangeRemainder) {
        terms.amount.minor += i64::from(wish.give.minor % wish.get.minor > 0);
    }
    grant::check_room(state, &terms.wallet())?;
    grant::check_fits(state, &terms.wallet(), wish.get.minor)?;
    if !planted::is(Bug::ExchangeUncovered) {
        charge::covers(state, &from, wish.give.minor, 0, now)?;
    }
    // Booked first, so that the next transaction is the one that gives.
    grant::close_due(state, &from, now)?;
    // Both transactions carry the number of the first in their cause: each leads to the other.
    let number = (state.sequence.transaction + 1).to_string();
    let cause = |kind: &str| Cause::new(kind, &number);
    for kind in ["exchange_from", "exchange_to"] {
        // A fresh number has never been a cause; nothing needs to be asked of the store.
        state.causes.load(cause(kind), None);
    }
    let tags = format!(
        "exchange:{}",
        TransactionId::of(state.sequence.transaction + 1)
    );
    let spending = Spending {
        key: from,
        amount: wish.give.minor,
        to: AccountKind::Exchanged,
        reason: Reason::Exchange,
        cause: Some(cause("exchange_from")),
        remark: wish.remark.clone(),
        tags: tags.clone(),
    };
    let charged = charge::spend(state, context, spending)?;
    let transaction = Transaction {
        reason: Reason::Exchange,
        cause: Some(cause("exchange_to")),
        at: now,
        remark: wish.remark.clone(),
        tags,
        postings: vec![],
    };
    let got = grant::give(state, &terms, AccountKind::Exchanged, transaction)?;
    Ok(Exchanged {
        given: charged.id,
        got,
        give: wish.give,
        balance: charged.balance,
        at: now,
    })
}

#[cfg(test)]
mod tests;
