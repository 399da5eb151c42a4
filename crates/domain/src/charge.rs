//! Charges: what the product spends, checked and taken in one step.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::account::{AccountKey, AccountKind};
use crate::amount::{Overflow, Unit};
use crate::announcement;
use crate::command::Context;
use crate::grant::{self, AMOUNT_MAX, Part, within};
use crate::id::{TransactionId, UserId};
use crate::journal::{self, Cause, Reason, Remark, Transaction};
use crate::limit::{self, Spender, SpendingLimit, Use};
use crate::planted::{self, Bug};
use crate::policy::Policy;
use crate::refusal::Refusal;
use crate::state::{State, Wanted};
use crate::time::Time;
use crate::wallet;

/// What something costs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Price {
    /// So much.
    Exactly(i64),
    /// The configured price of an action, so many times.
    Action {
        /// Its name in the configuration.
        name: String,
        /// How many times; 1 or more.
        quantity: i64,
    },
}

impl Price {
    /// Whether it can be a price in this unit; if not, what the unit has to be.
    pub fn check_unit(&self, unit: Unit) -> Result<(), &'static str> {
        match self {
            Self::Action { .. } if unit != Unit::CREDIT => {
                Err("must be credit: actions cost credits")
            }
            Self::Action { .. } | Self::Exactly(_) => Ok(()),
        }
    }
}

/// What an action costs: an exact fraction of a credit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ActionPrice {
    /// So many credits …
    pub numerator: i64,
    /// … for this many actions.
    pub denominator: i64,
}

impl ActionPrice {
    /// A price from a text of digits: `10` (credits for one), `1/1000`. None unless both parts are positive and at most a
    /// billion.
    pub fn parse(text: &str) -> Option<Self> {
        let price = crate::amount::CreditPrice::parse(text, Unit::CREDIT)?;
        Some(Self {
            numerator: price.numerator,
            denominator: price.denominator,
        })
    }

    /// What `quantity` cost, rounded up to a whole credit, so that nothing is given away.
    pub fn cost_rounded_up(self, quantity: i64) -> Result<i64, Overflow> {
        let price = crate::amount::CreditPrice {
            numerator: self.numerator,
            denominator: self.denominator,
            currency: Unit::CREDIT,
        };
        price.cost_rounded_up(quantity).map(|cost| cost.minor)
    }
}

/// The prices of all actions, by name.
pub type Actions = BTreeMap<String, ActionPrice>;

/// Asks to take what something costs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Charge {
    /// Whose wallet.
    pub user: UserId,
    /// Of what.
    pub unit: Unit,
    /// How much.
    pub price: Price,
    /// Whether the wallet may go below zero, down to its overdraft.
    pub allow_debt: bool,
    /// Whose limits count besides the user's.
    pub spender: Spender,
    /// What is said about it.
    pub remark: Remark,
}

/// A charge that was made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Charged {
    /// The transaction; names the charge.
    pub id: TransactionId,
    /// Whose wallet.
    pub wallet: AccountKey,
    /// How much in all, in smallest steps.
    pub amount: i64,
    /// What each grant paid.
    pub parts: Vec<Part>,
    /// What no grant paid: new debt.
    pub debt: i64,
    /// The wallet's balance afterwards.
    pub balance: i64,
    /// When.
    pub at: Time,
}

impl Charge {
    pub(crate) fn wallet(&self) -> AccountKey {
        AccountKey::wallet_in(&self.user, self.unit)
    }

    /// What it costs by the operator's prices.
    pub(crate) fn cost(&self, policy: &Policy) -> Result<i64, Refusal> {
        match &self.price {
            Price::Exactly(amount) => {
                within("credits", *amount, 1, AMOUNT_MAX)?;
                Ok(*amount)
            }
            Price::Action { name, quantity } => {
                within("quantity", *quantity, 1, AMOUNT_MAX)?;
                let unit = self.price.check_unit(self.unit);
                unit.map_err(|rule| Refusal::Misfit {
                    field: "unit".into(),
                    rule: rule.into(),
                })?;
                let action = policy.actions.get(name);
                let price = action.ok_or_else(|| Refusal::ActionUnknown { name: name.clone() })?;
                let cost = price.cost_rounded_up(*quantity);
                let cost = cost.map_err(|_| Refusal::BalanceOutOfRange)?;
                if cost > AMOUNT_MAX {
                    return Err(Refusal::Misfit {
                        field: "quantity".into(),
                        rule: format!("times the price must be at most {AMOUNT_MAX} credits"),
                    });
                }
                Ok(cost)
            }
        }
    }

    fn tags(&self) -> String {
        let mut tags = self.spender.tags();
        if let Price::Action { name, quantity } = &self.price {
            tags.insert(0, format!("action:{name}*{quantity}"));
        }
        tags.join(" ")
    }
}

pub(crate) fn needs(wanted: &mut Wanted<'_>, charge: &Charge) {
    grant::needs_wallet(wanted, &charge.wallet());
    needs_limits(wanted, &charge.user, &charge.spender);
}

pub(crate) fn needs_limits(wanted: &mut Wanted<'_>, user: &UserId, spender: &Spender) {
    if wanted.has_limits() {
        for subject in spender.subjects(user) {
            wanted.limits(&subject);
        }
    }
}

/// Whether a charge would be made now, and what it costs. Writes nothing.
pub(crate) fn check(state: &State, context: &Context<'_>, charge: &Charge) -> Result<i64, Refusal> {
    let floor = if charge.allow_debt {
        overdraft(state, context.policy, &charge.wallet())
    } else {
        0
    };
    check_down_to(state, context, charge, floor)
}

/// Whether a charge would be made now if it could take the wallet so far below zero, and what it costs.
pub(crate) fn check_down_to(
    state: &State,
    context: &Context<'_>,
    charge: &Charge,
    floor: i64,
) -> Result<i64, Refusal> {
    let cost = charge.cost(context.policy)?;
    if state.may_have_limits() {
        let subjects = charge.spender.subjects(&charge.user);
        limit::check(state, &subjects, charge.unit, context.now, |_| cost)?;
    }
    covers(state, &charge.wallet(), cost, floor, context.now)?;
    Ok(cost)
}

/// How far below zero this wallet may go. The same bound as for one charge keeps a debt small, whatever is configured.
pub(crate) fn overdraft(state: &State, policy: &Policy, key: &AccountKey) -> i64 {
    let own = state.wallets.get(key).and_then(|wallet| wallet.overdraft);
    let own = own.filter(|_| !planted::is(Bug::OverdraftOfAll));
    own.unwrap_or(policy.overdraft).clamp(0, AMOUNT_MAX)
}

/// Whether `amount` can be taken without going further below zero than `floor`.
pub(crate) fn covers(
    state: &State,
    key: &AccountKey,
    amount: i64,
    floor: i64,
    now: Time,
) -> Result<(), Refusal> {
    let is_frozen = state.wallets.get(key).is_some_and(|wallet| wallet.frozen);
    if is_frozen && !planted::is(Bug::FrozenSpends) {
        return Err(Refusal::WalletFrozen);
    }
    let available = wallet::available(state, key, now) + imagined(state, key);
    let missing = amount.saturating_sub(available.saturating_add(floor));
    if missing <= 0 {
        return Ok(());
    }
    Err(Refusal::InsufficientCredits { available, missing })
}

/// What a planted bug takes for available though it is not: nothing, in a program.
fn imagined(state: &State, key: &AccountKey) -> i64 {
    if planted::is(Bug::HoldSpendable) {
        return state.wallets.get(key).map_or(0, |wallet| wallet.held());
    }
    if planted::is(Bug::ReadThenWrite) {
        let postings = state.journal.iter().flat_map(|it| &it.transaction.postings);
        let spent = postings.filter(|posting| posting.from == *key);
        return spent.map(|posting| posting.amount.minor).sum();
    }
    0
}

/// Takes what a charge costs, or says why not.
pub(crate) fn charge(
    state: &mut State,
    context: &Context<'_>,
    charge: &Charge,
) -> Result<Charged, Refusal> {
    let cost = check(state, context, charge)?;
    let spending = Spending {
        key: charge.wallet(),
        amount: cost,
        to: AccountKind::Spent,
        reason: Reason::Charge,
        cause: None,
        remark: charge.remark.clone(),
        tags: charge.tags(),
    };
    let charged = spend(state, context, spending)?;
    if state.may_have_limits() {
        let subjects = charge.spender.subjects(&charge.user);
        let used = |_: &SpendingLimit| Use::spent(cost);
        limit::count(state, &subjects, &charge.wallet(), context.now, used);
    }
    Ok(charged)
}

/// A movement out of a wallet that has been allowed.
pub(crate) struct Spending {
    pub(crate) key: AccountKey,
    pub(crate) amount: i64,
    pub(crate) to: AccountKind,
    pub(crate) reason: Reason,
    pub(crate) cause: Option<Cause>,
    pub(crate) remark: Remark,
    pub(crate) tags: String,
}

/// Takes an amount in burn order; what no grant pays becomes debt. Whether that is allowed was asked before.
pub(crate) fn spend(
    state: &mut State,
    context: &Context<'_>,
    spending: Spending,
) -> Result<Charged, Refusal> {
    let (now, key) = (context.now, spending.key.clone());
    grant::close_due(state, &key, now)?;
    let before = wallet::available(state, &key, now);
    let (parts, debt) = match state.wallets.get(&key) {
        Some(wallet) => wallet.burn(spending.amount, now),
        None => (vec![], spending.amount),
    };
    let charged = pay(state, now, spending, parts, debt)?;
    let fall = (before, before.saturating_sub(charged.amount));
    announcement::announce_fall(state, &key, now, context.policy.balance_low, fall);
    Ok(charged)
}

/// Books parts of grants, and a debt, out of a wallet.
pub(crate) fn pay(
    state: &mut State,
    now: Time,
    spending: Spending,
    parts: Vec<Part>,
    debt: i64,
) -> Result<Charged, Refusal> {
    let key = spending.key;
    let transaction = Transaction {
        reason: spending.reason,
        cause: spending.cause,
        at: now,
        remark: spending.remark,
        tags: spending.tags,
        postings: grant::postings(&key, &parts, debt, spending.to),
    };
    let id = journal::post(state, transaction)?;
    grant::take(state, &key, &parts, now);
    let balance = state
        .wallets
        .get(&key)
        .map_or(0, |wallet| wallet.account.balance);
    Ok(Charged {
        id,
        amount: spending.amount,
        parts,
        debt,
        balance,
        at: now,
        wallet: key,
    })
}

#[cfg(test)]
mod tests;
