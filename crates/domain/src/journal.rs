//! The journal: immutable transactions, and [`post`], the one way a balance changes.
//!
//! A transaction is a group of postings with a reason and a cause. A posting moves an amount from one account to another
//! of the same unit, so that every unit sums to zero by construction. The cause is unique for ever: whatever arrives
//! twice, in whatever form, finds its cause taken and pays nothing.

use serde::{Deserialize, Serialize};

use crate::account::AccountKey;
use crate::amount::Amount;
use crate::id::{GrantId, TransactionId};
use crate::refusal::Refusal;
use crate::state::State;
use crate::time::Time;
use crate::wallet;

/// Why value moved: what a statement shows as the kind of an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// A top-up was finished: credits sold.
    Topup,
    /// A customer's money reached a provider.
    Payment,
    /// An administrator added credits.
    Add,
    /// An administrator took credits away.
    Sub,
    /// Value was granted.
    Grant,
    /// The product spent.
    Charge,
    /// The product spent what it had reserved.
    Settle,
    /// A grant expired with something left.
    Expire,
    /// A grant was taken back.
    Void,
    /// What was left of an expired grant passed to a new one.
    RollOver,
    /// One unit was given for another.
    Exchange,
    /// Money went back to a customer or his bank, and with it what it had bought.
    Refund,
    /// Money came back that had gone back, and with it what it had bought.
    Reinstate,
}

impl Reason {
    /// All of them.
    pub const ALL: [Self; 13] = [
        Self::Topup,
        Self::Payment,
        Self::Add,
        Self::Sub,
        Self::Grant,
        Self::Charge,
        Self::Settle,
        Self::Expire,
        Self::Void,
        Self::RollOver,
        Self::Exchange,
        Self::Refund,
        Self::Reinstate,
    ];

    /// As written in the database and on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Topup => "topup",
            Self::Payment => "payment",
            Self::Add => "add",
            Self::Sub => "sub",
            Self::Grant => "grant",
            Self::Charge => "charge",
            Self::Settle => "settle",
            Self::Expire => "expire",
            Self::Void => "void",
            Self::RollOver => "roll_over",
            Self::Exchange => "exchange",
            Self::Refund => "refund",
            Self::Reinstate => "reinstate",
        }
    }

    /// The reason written as `text`.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|reason| reason.as_str() == text)
    }
}

/// What caused a transaction. At most one transaction ever has a given cause.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Cause {
    /// The kind of thing: `topup`, `payment`, `hold`.
    pub kind: String,
    /// Which one.
    pub id: String,
}

impl Cause {
    /// The thing of `kind` called `id`.
    pub fn new(kind: &str, id: &str) -> Self {
        Self {
            kind: kind.to_owned(),
            id: id.to_owned(),
        }
    }
}

/// What a person or program says about a movement: kept with it, never interpreted.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Remark {
    /// Free text for people.
    pub note: String,
    /// The caller's own reference: an order number, a ticket.
    pub reference: String,
    /// A JSON object as text; opaque to us.
    pub meta: String,
}

impl Remark {
    /// What is said later replaces what was said before, where it says anything.
    #[must_use]
    pub fn followed_by(&self, later: &Self) -> Self {
        let newer = |later: &String, before: &String| {
            if later.is_empty() {
                before.clone()
            } else {
                later.clone()
            }
        };
        Self {
            note: newer(&later.note, &self.note),
            reference: newer(&later.reference, &self.reference),
            meta: newer(&later.meta, &self.meta),
        }
    }
}

/// One movement between two accounts of one unit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Posting {
    /// Where it comes from.
    pub from: AccountKey,
    /// Where it goes.
    pub to: AccountKey,
    /// How much; more than zero.
    pub amount: Amount,
    /// The grant whose value moves, if a side is a wallet. Without one the wallet goes into debt, or pays it back.
    pub grant: Option<GrantId>,
}

/// An immutable group of postings with a reason and a cause.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transaction {
    /// Why.
    pub reason: Reason,
    /// What caused it; unique for ever. None if nothing outside did: it is then its own cause, and its request's idempotency
    /// key keeps it from happening twice.
    pub cause: Option<Cause>,
    /// When.
    pub at: Time,
    /// What was said about it.
    pub remark: Remark,
    /// What it was for, as words that programs read: `action:picture*3 key:k-7 label:team-red`.
    pub tags: String,
    /// The movements, at least one.
    pub postings: Vec<Posting>,
}

/// One side of a posting as stored: the account, and its chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Side {
    /// Number of the account.
    pub account: i64,
    /// The account's previous posting (0: this is its first) and its balance afterwards. `None` for accounts that keep
    /// no balance.
    pub chain: Option<Link>,
}

/// A link of an account's chain of entries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Link {
    /// Number of the account's previous posting; 0 if there is none.
    pub previous: i64,
    /// The account's balance after this posting, in smallest steps.
    pub balance: i64,
}

/// A posting as stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PostingRow {
    /// Its number: postings are numbered without gaps in the order in which they happened.
    pub number: i64,
    /// The giving side.
    pub from: Side,
    /// The receiving side.
    pub to: Side,
    /// Smallest steps moved; more than zero.
    pub amount: i64,
    /// The grant whose value moved.
    pub grant: Option<GrantId>,
}

/// A transaction that was posted in this batch and has to be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Posted {
    /// Its id, which tells its number.
    pub id: TransactionId,
    /// What was posted.
    pub transaction: Transaction,
    /// Its postings with their numbers and chains.
    pub rows: Vec<PostingRow>,
}

/// Moves value. The accounts and the cause must have been loaded; missing accounts are opened.
///
/// Refuses a cause that was already used, a transaction that moves nothing, an amount that is not positive, two units in one
/// posting, and a balance beyond 64 bits. After the first write nothing can be refused any more.
pub fn post(state: &mut State, transaction: Transaction) -> Result<TransactionId, Refusal> {
    check(state, &transaction)?;
    let id = TransactionId::of(state.sequence.next_transaction());
    let mut rows = Vec::with_capacity(transaction.postings.len());
    for posting in &transaction.postings {
        let number = state.sequence.next_posting();
        let amount = posting.amount.minor;
        let from = move_balance(state, &posting.from, -amount, number, transaction.at);
        let to = move_balance(state, &posting.to, amount, number, transaction.at);
        rows.push(PostingRow {
            number,
            from,
            to,
            amount,
            grant: posting.grant,
        });
    }
    if let Some(cause) = &transaction.cause {
        state.causes.insert(cause.clone(), ());
    }
    state.journal.push(Posted {
        id,
        transaction,
        rows,
    });
    Ok(id)
}

/// Whether nothing has been posted for this cause.
pub(crate) fn check_cause(state: &State, cause: &Cause) -> Result<(), Refusal> {
    match state.causes.get(cause) {
        Some(()) => Err(Refusal::AlreadyPosted {
            cause: cause.clone(),
        }),
        None => Ok(()),
    }
}

/// Whether [`post`] would take this transaction.
pub(crate) fn check(state: &State, transaction: &Transaction) -> Result<(), Refusal> {
    if let Some(cause) = &transaction.cause {
        check_cause(state, cause)?;
    }
    if transaction.postings.is_empty() {
        return Err(Refusal::Unbalanced);
    }
    for posting in &transaction.postings {
        let units = [posting.from.unit, posting.to.unit];
        if posting.amount.minor <= 0
            || units != [posting.amount.unit; 2]
            || posting.from == posting.to
        {
            return Err(Refusal::Unbalanced);
        }
    }
    let sides = transaction
        .postings
        .iter()
        .flat_map(|posting| [&posting.from, &posting.to]);
    sides
        .filter(|key| key.kind.keeps_balance())
        .try_for_each(|key| check_range(state, transaction, key))
}

/// Every intermediate balance lies between what all outgoing and all incoming postings alone would make it.
fn check_range(state: &State, transaction: &Transaction, key: &AccountKey) -> Result<(), Refusal> {
    let sum = |side: fn(&Posting) -> &AccountKey| -> i128 {
        let of_account = transaction
            .postings
            .iter()
            .filter(|posting| side(posting) == key);
        of_account
            .map(|posting| i128::from(posting.amount.minor))
            .sum()
    };
    let balance = i128::from(
        state
            .wallets
            .get(key)
            .map_or(0, |wallet| wallet.account.balance),
    );
    let (lowest, highest) = (
        balance - sum(|posting| &posting.from),
        balance + sum(|posting| &posting.to),
    );
    let in_range = i64::try_from(lowest).is_ok() && i64::try_from(highest).is_ok();
    if in_range {
        Ok(())
    } else {
        Err(Refusal::BalanceOutOfRange)
    }
}

fn move_balance(state: &mut State, key: &AccountKey, delta: i64, posting: i64, now: Time) -> Side {
    if !key.kind.keeps_balance() {
        if state.accounts.get(key).is_none() {
            let number = state.sequence.next_account();
            let account = key.clone().open(number, now);
            state.accounts.insert(key.clone(), account);
        }
        let number = state.accounts.get(key).map_or(0, |account| account.number);
        return Side {
            account: number,
            chain: None,
        };
    }
    wallet::open(state, key, now);
    wallet::change(state, key, |wallet| {
        let account = &mut wallet.account;
        let previous = account.head;
        account.balance += delta;
        account.entries += 1;
        account.head = posting;
        account.updated_at = now;
        Side {
            account: account.number,
            chain: Some(Link {
                previous,
                balance: account.balance,
            }),
        }
    })
}

#[cfg(test)]
mod tests;
