//! Grants: the lots of value a wallet is made of, each with a category, a priority and perhaps an end.
//!
//! Grants burn by priority (the lower number first), then by the sooner expiry, then by age. Expiry is checked when spending: a
//! grant that has expired pays nothing from that moment on, whether or not anybody has looked. What it had left is booked as
//! breakage, or passes to a new grant if it rolls over. A hold keeps what it has reserved: an expiring grant loses only
//! what is free, and the rest when the hold gives it back.

mod end;

use serde::{Deserialize, Serialize};

use crate::account::{AccountKey, AccountKind};
use crate::amount::Amount;
use crate::command::Context;
use crate::id::{GrantId, UserId};
use crate::journal::{self, Posting, Reason, Remark, Transaction};
use crate::planted::{self, Bug};
use crate::refusal::Refusal;
use crate::state::{State, Wanted};
use crate::time::Time;
use crate::wallet;
use crate::word::words;

pub(crate) use end::{close_due, void};

/// Whether a customer paid for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Category {
    /// Sold.
    Paid,
    /// Given.
    Promotional,
}

/// Where a grant comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// A finished top-up.
    Topup,
    /// An extra for a purchase, a referral, a campaign.
    Bonus,
    /// What a plan gives in each period.
    Allowance,
    /// A trial.
    Trial,
    /// A redeem code.
    Code,
    /// By hand.
    Manual,
    /// The rest of an expired grant.
    RollOver,
    /// Bought with another unit.
    Exchange,
}

/// How a grant has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GrantEnd {
    /// All of it was spent.
    Spent,
    /// It expired.
    Expired,
    /// It was taken back.
    Voided,
}

words!(Category: Paid = "paid", Promotional = "promotional");
words!(Source: Topup = "topup", Bonus = "bonus", Allowance = "allowance", Trial = "trial", Code = "code",
       Manual = "manual", RollOver = "roll_over", Exchange = "exchange");
words!(GrantEnd: Spent = "spent", Expired = "expired", Voided = "voided");

/// The priority of a grant that names none. As with Stripe's billing credits, 0 burns first and 100 last
/// (<https://docs.stripe.com/billing/subscriptions/usage-based/billing-credits>).
pub const PRIORITY_DEFAULT: i64 = 50;

/// The largest priority number, which burns last.
pub const PRIORITY_MAX: i64 = 100;

/// Most grants with something left in one wallet: each charge looks at them one by one.
pub const LIVE_MAX: usize = 1_000;

/// The most one grant, charge or correction may move, in smallest steps: a guard against a slip of the finger.
pub const AMOUNT_MAX: i64 = 1_000_000_000_000;

/// What becomes of the rest of a grant that expires.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct RollOver {
    /// At most so much passes on, in smallest steps; 1 or more.
    pub cap: i64,
    /// For how long the new grant holds from the moment at which the old one expires; 1 or more. It does not roll over again.
    pub seconds: i64,
}

/// A lot of value in a wallet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Grant {
    /// Its id, which tells its number: the older grant has the smaller one.
    pub id: GrantId,
    /// Whose wallet, and in which unit.
    pub wallet: AccountKey,
    /// Paid or given.
    pub category: Category,
    /// Where it comes from.
    pub source: Source,
    /// The account its value came from; it goes back there when the grant is voided. What was rolled over keeps its first one.
    pub from: AccountKind,
    /// The lower number burns first; 0 to [`PRIORITY_MAX`].
    pub priority: i64,
    /// From when on it can be spent; none: at once.
    pub starts_at: Option<Time>,
    /// From when on it cannot be spent any more; none: never.
    pub expires_at: Option<Time>,
    /// Whether a rest passes on.
    pub roll_over: Option<RollOver>,
    /// How much was granted, in smallest steps.
    pub granted: i64,
    /// What is left of it, whether reserved or free.
    pub remaining: i64,
    /// What open holds reserve of it. Not in its row: the holds say it.
    #[serde(default)]
    pub held: i64,
    /// Whether it was said that it will expire soon.
    pub announced: bool,
    /// What was said about it.
    pub remark: Remark,
    /// How it ended. One that has expired or was voided while a hold reserves some of it ends with the hold.
    pub end: Option<GrantEnd>,
    /// When it was made.
    pub created_at: Time,
    /// When it ended.
    pub ended_at: Option<Time>,
}

/// So much of a grant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    /// Which grant.
    pub grant: GrantId,
    /// How much of it, in smallest steps; more than zero.
    pub amount: i64,
}

impl Grant {
    /// Sorts as grants burn.
    pub fn burn_order(&self) -> (i64, Time, GrantId) {
        let expiry = self.expires_at.filter(|_| !planted::is(Bug::OldestFirst));
        let expiry = expiry.unwrap_or(Time(i64::MAX));
        (self.priority, expiry, self.id)
    }

    /// What no hold reserves.
    pub const fn free(&self) -> i64 {
        self.remaining - self.held
    }

    /// Whether it can pay now.
    pub fn is_usable(&self, now: Time) -> bool {
        self.end.is_none()
            && self.starts_at.is_none_or(|start| start <= now)
            && !self.has_expired(now)
    }

    pub(crate) fn has_expired(&self, now: Time) -> bool {
        let grace = i64::from(planted::is(Bug::ExpiredPays)) * 60;
        self.expires_at
            .is_some_and(|expiry| expiry.plus_seconds(grace) <= now)
    }
}

/// The terms of a new grant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CreateGrant {
    /// Whose wallet.
    pub user: UserId,
    /// How much, and of what.
    pub amount: Amount,
    /// Paid or given.
    pub category: Category,
    /// Where it comes from.
    pub source: Source,
    /// The lower number burns first; 0 to [`PRIORITY_MAX`].
    pub priority: i64,
    /// From when on it can be spent; none: at once.
    pub starts_at: Option<Time>,
    /// From when on it cannot be spent any more; none: never.
    pub expires_at: Option<Time>,
    /// Whether a rest passes on; needs an expiry.
    pub roll_over: Option<RollOver>,
    /// What is said about it.
    pub remark: Remark,
}

impl CreateGrant {
    /// A grant that can be spent at once and never expires.
    pub fn plain(user: UserId, amount: Amount, category: Category, source: Source) -> Self {
        Self {
            user,
            amount,
            category,
            source,
            priority: PRIORITY_DEFAULT,
            starts_at: None,
            expires_at: None,
            roll_over: None,
            remark: Remark::default(),
        }
    }

    pub(crate) fn wallet(&self) -> AccountKey {
        AccountKey::wallet_in(&self.user, self.amount.unit)
    }

    /// The grant before it is put into a wallet, which gives it its id.
    fn draft(&self, from: AccountKind) -> Grant {
        Grant {
            id: GrantId::of(0),
            wallet: self.wallet(),
            category: self.category,
            source: self.source,
            from,
            priority: self.priority,
            starts_at: self.starts_at,
            expires_at: self.expires_at,
            roll_over: self.roll_over,
            granted: self.amount.minor,
            remaining: self.amount.minor,
            held: 0,
            announced: false,
            remark: Remark::default(),
            end: None,
            created_at: Time::default(),
            ended_at: None,
        }
    }
}

pub(crate) fn needs_wallet(wanted: &mut Wanted<'_>, key: &AccountKey) {
    wanted.account(&AccountKey::house(AccountKind::Spent, key.unit));
    let Some(wallet) = wanted.wallet(key) else {
        return;
    };
    // Most wallets have nothing that could expire.
    if wallet.grants.iter().any(|grant| grant.expires_at.is_some()) {
        needs_to_expire(wanted, key);
    }
    // What a hold gives back of a voided grant goes to where it came from, and so does what was rolled over, if it is voided.
    let goes_back = |grant: &&Grant| {
        grant.end == Some(GrantEnd::Voided) || (grant.roll_over.is_some() && grant.end.is_none())
    };
    for grant in wallet.grants.iter().filter(goes_back) {
        wanted.account(&AccountKey::house(grant.from, key.unit));
    }
}

pub(crate) fn needs_to_expire(wanted: &mut Wanted<'_>, key: &AccountKey) {
    for kind in [AccountKind::Breakage, AccountKind::RolledOver] {
        wanted.account(&AccountKey::house(kind, key.unit));
    }
}

pub(crate) fn needs_to_create(wanted: &mut Wanted<'_>, terms: &CreateGrant) {
    for origin in [AccountKind::Sold, AccountKind::Granted] {
        needs_to_give(wanted, &terms.wallet(), origin);
    }
    // A later command of the same batch looks at what this one makes.
    if terms.expires_at.is_some() {
        needs_to_expire(wanted, &terms.wallet());
    }
}

/// What [`give`] needs for value that comes from `from`.
pub(crate) fn needs_to_give(wanted: &mut Wanted<'_>, key: &AccountKey, from: AccountKind) {
    needs_wallet(wanted, key);
    wanted.account(&AccountKey::house(from, key.unit));
}

pub(crate) fn needs_to_void(wanted: &mut Wanted<'_>, id: GrantId) {
    if let Some(grant) = wanted.grant(&id) {
        needs_to_give(wanted, &grant.wallet, grant.from);
    }
}

/// Grants value by an administrator's word.
pub(crate) fn create(
    state: &mut State,
    context: &Context<'_>,
    terms: &CreateGrant,
) -> Result<Grant, Refusal> {
    let now = context.now;
    within("credits", terms.amount.minor, 1, AMOUNT_MAX)?;
    within("priority", terms.priority, 0, PRIORITY_MAX)?;
    if terms.expires_at.is_some_and(|expiry| expiry <= now) {
        return Err(Refusal::Misfit {
            field: "expires_at".into(),
            rule: "must be in the future".into(),
        });
    }
    if let (Some(start), Some(expiry)) = (terms.starts_at, terms.expires_at)
        && start >= expiry
    {
        return Err(Refusal::Misfit {
            field: "starts_at".into(),
            rule: "must be before expires_at".into(),
        });
    }
    if let Some(roll) = terms.roll_over {
        within("roll_over.cap", roll.cap, 1, AMOUNT_MAX)?;
        within("roll_over.expires_in", roll.seconds, 1, i64::MAX)?;
        if terms.expires_at.is_none() {
            return Err(Refusal::Misfit {
                field: "roll_over".into(),
                rule: "needs expires_at: what never expires does not roll over".into(),
            });
        }
    }
    check_room(state, &terms.wallet())?;
    let origin = match terms.category {
        Category::Paid => AccountKind::Sold,
        Category::Promotional => AccountKind::Granted,
    };
    let transaction = Transaction {
        reason: Reason::Grant,
        cause: None,
        at: now,
        remark: terms.remark.clone(),
        tags: String::new(),
        postings: vec![],
    };
    give(state, terms, origin, transaction)
}

/// Whether a wallet takes another grant. What was paid for is taken in any case.
pub(crate) fn check_room(state: &State, key: &AccountKey) -> Result<(), Refusal> {
    let wallet = state.wallets.get(key);
    if wallet.is_none_or(|wallet| wallet.grants.len() < LIVE_MAX) {
        return Ok(());
    }
    Err(Refusal::TooMany {
        what: "grants with something left in one wallet".into(),
        most: i64::try_from(LIVE_MAX).unwrap_or(i64::MAX),
    })
}

/// A number that has to lie in a range.
pub(crate) fn within(field: &str, given: i64, least: i64, most: i64) -> Result<(), Refusal> {
    if (least..=most).contains(&given) {
        return Ok(());
    }
    Err(Refusal::OutOfRange {
        field: field.into(),
        least,
        most,
        given,
    })
}

/// Whether [`give`] would put so much into a wallet. What the grants have left fits into 64 bits together, so that no sum of
/// some of it can leave them.
pub(crate) fn check_fits(state: &State, key: &AccountKey, amount: i64) -> Result<(), Refusal> {
    let left = state.wallets.get(key).map_or(0, |wallet| wallet.left());
    if amount > 0 && left.checked_add(amount).is_none() {
        return Err(Refusal::BalanceOutOfRange);
    }
    Ok(())
}

/// Puts a new grant into a wallet by `transaction`, whose postings are made here. What has expired there is booked before: it
/// pays a debt before the new grant does.
pub(crate) fn give(
    state: &mut State,
    terms: &CreateGrant,
    origin: AccountKind,
    transaction: Transaction,
) -> Result<Grant, Refusal> {
    let key = terms.wallet();
    if let Some(cause) = &transaction.cause {
        journal::check_cause(state, cause)?;
    }
    if terms.amount.minor <= 0 {
        return Err(Refusal::Unbalanced);
    }
    check_fits(state, &key, terms.amount.minor)?;
    close_due(state, &key, transaction.at)?;
    put_in(state, terms.draft(origin), origin, transaction)
}

/// Adds a grant to its wallet. A debt is paid back first: so much of the grant is gone at once.
fn put_in(
    state: &mut State,
    draft: Grant,
    origin: AccountKind,
    mut transaction: Transaction,
) -> Result<Grant, Refusal> {
    let (key, now) = (draft.wallet.clone(), transaction.at);
    let begins = draft.starts_at.is_none_or(|start| start <= now);
    let debt = state.wallets.get(&key).map_or(0, |wallet| wallet.debt());
    let repaid = if begins { debt.min(draft.granted) } else { 0 };
    let left = draft.granted - repaid;
    let id = GrantId::of(state.sequence.grant + 1);
    let shares = [(repaid, None), (left, Some(id))];
    transaction.postings = shares
        .into_iter()
        .filter(|(share, _)| *share > 0)
        .map(|(share, grant)| Posting {
            from: AccountKey::house(origin, key.unit),
            to: key.clone(),
            amount: Amount::new(share, key.unit),
            grant,
        })
        .collect();
    let remark = transaction.remark.clone();
    journal::post(state, transaction)?;
    let grant = Grant {
        id: GrantId::of(state.sequence.next_grant()),
        remaining: left,
        remark,
        end: (left == 0).then_some(GrantEnd::Spent),
        created_at: now,
        ended_at: (left == 0).then_some(now),
        ..draft
    };
    if repaid > 0 && repaid == debt {
        wallet::change(state, &key, |wallet| wallet.frozen = false);
    }
    if left > 0 {
        wallet::change(state, &key, |wallet| {
            let place = wallet
                .grants
                .partition_point(|other| other.burn_order() < grant.burn_order());
            wallet.grants.insert(place, grant.clone());
        });
    }
    state.grants.insert(grant.id, grant.clone());
    Ok(grant)
}

/// Takes what the parts say out of their grants; those with nothing left are spent. The posting is the caller's.
pub(crate) fn take(state: &mut State, key: &AccountKey, parts: &[Part], now: Time) {
    take_as(state, key, parts, now, GrantEnd::Spent);
}

/// The same, for another reason than spending.
pub(crate) fn take_as(
    state: &mut State,
    key: &AccountKey,
    parts: &[Part],
    now: Time,
    end: GrantEnd,
) {
    let ended = wallet::change(state, key, |wallet| {
        for part in parts {
            if let Some(grant) = wallet.grant_mut(part) {
                grant.remaining -= part.amount;
            }
        }
        let gone = |grant: &mut Grant| grant.remaining == 0;
        wallet.grants.extract_if(.., gone).collect::<Vec<_>>()
    });
    for mut grant in ended {
        grant.end.get_or_insert(end);
        grant.ended_at = Some(now);
        state.grants.put(grant.id, grant);
    }
}

/// Postings that take the parts out of a wallet, and what no grant pays as debt.
pub(crate) fn postings(
    key: &AccountKey,
    parts: &[Part],
    debt: i64,
    to: AccountKind,
) -> Vec<Posting> {
    let posting = |amount, grant| Posting {
        from: key.clone(),
        to: AccountKey::house(to, key.unit),
        amount: Amount::new(amount, key.unit),
        grant,
    };
    let owed = (debt > 0).then(|| posting(debt, None));
    let paid = parts
        .iter()
        .map(|part| posting(part.amount, Some(part.grant)));
    paid.chain(owed).collect()
}

#[cfg(test)]
mod tests;
