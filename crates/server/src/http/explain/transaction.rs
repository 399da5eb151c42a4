//! Why something moved.

use bursar_domain::account::Owner;
use bursar_domain::account::{AccountKey, AccountKind};
use bursar_domain::grant::{Category, Grant, Source};
use bursar_domain::id::{GrantId, HoldId, PaymentId, TopupId, TransactionId, UserId};
use bursar_domain::journal::{Cause, Reason, Side};
use bursar_store::StoreError;
use bursar_store::query::{Chain, Reader, Recorded};
use schemars::JsonSchema;
use serde::Serialize;

use super::super::error::ApiError;
use super::super::kind::{Code, Id, Meta, Moment, Word};
use super::text;
use crate::App;

/// Where a grant comes from.
#[derive(Debug, Clone, Serialize, JsonSchema)]
struct Origin {
    grant_id: Id<GrantId>,
    source: Word<Source>,
    category: Word<Category>,
    credits: i64,
    /// The transaction that gave it; none if a debt took all of it.
    transaction_id: Option<Id<TransactionId>>,
    cause: Option<Because>,
    topup_id: Option<Id<TopupId>>,
    payment_id: Option<Id<PaymentId>>,
    /// The expired grant whose rest it is.
    rolled_over_from: Option<String>,
    note: String,
    r#ref: String,
    meta: Meta,
    created_at: Moment,
}

/// What caused a transaction.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(rename = "Cause")]
struct Because {
    r#type: String,
    id: String,
}

#[derive(Debug, Serialize, JsonSchema)]
struct Account {
    kind: Word<AccountKind>,
    owner: String,
}

#[derive(Debug, Serialize, JsonSchema)]
struct Posting {
    from: Account,
    to: Account,
    credits: i64,
    unit: Code,
    /// None for a debt, and for what no wallet has to do with.
    grant: Option<Origin>,
}

/// The wallet in which it moved.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[schemars(rename = "WalletChange")]
struct Change {
    user_id: Id<Owner>,
    unit: Code,
    balance_before: i64,
    balance_after: i64,
}

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "TransactionExplained")]
pub(in super::super) struct View {
    transaction_id: Id<TransactionId>,
    kind: Word<Reason>,
    cause: Option<Because>,
    note: String,
    r#ref: String,
    meta: Meta,
    tags: String,
    created_at: Moment,
    wallet: Option<Change>,
    postings: Vec<Posting>,
    text: Vec<String>,
}

impl Because {
    /// Causes that are numbers of rows are told by the ids these rows have.
    fn of(cause: &Cause) -> Self {
        let number = cause.id.parse().ok().filter(|number| *number > 0);
        let id = match (cause.kind.as_str(), number) {
            ("hold", Some(number)) => HoldId::of(number).to_string(),
            ("exchange_from" | "exchange_to", Some(number)) => {
                TransactionId::of(number).to_string()
            }
            _ => cause.id.clone(),
        };
        Self {
            r#type: cause.kind.clone(),
            id,
        }
    }
}

impl Account {
    fn of(key: &AccountKey) -> Self {
        Self {
            kind: Word(key.kind),
            owner: key.owner.to_string(),
        }
    }
}

/// Another user's transaction is as good as none.
pub(super) async fn explain(
    app: &App,
    id: TransactionId,
    about: Option<&UserId>,
) -> Result<View, ApiError> {
    let about = about.cloned();
    let view = app.engine().read(move |reader| {
        let Some(recorded) = reader.transaction(id)? else {
            return Ok(None);
        };
        let wallet = chain(&recorded);
        let owner = wallet.as_ref().map(|chain| chain.wallet.owner.as_str());
        if about.is_some_and(|user| owner != Some(user.as_str())) {
            return Ok(None);
        }
        view(reader, &recorded, wallet.as_ref()).map(Some)
    });
    view.await?.ok_or_else(ApiError::no_transaction)
}

/// A side of a posting that is a wallet's.
struct OfWallet<'a> {
    posting: i64,
    side: &'a Side,
    key: &'a AccountKey,
    /// What came in; negative when it went out.
    change: i64,
    other: AccountKind,
}

/// The sides that are wallets, in their order. They are all of one wallet.
fn sides(recorded: &Recorded) -> impl DoubleEndedIterator<Item = OfWallet<'_>> {
    let sides = recorded.postings.iter().flat_map(|one| {
        let of = |side, key, change, other: &AccountKey| OfWallet {
            posting: one.row.number,
            side,
            key,
            change,
            other: other.kind,
        };
        [
            of(&one.row.from, &one.from, -one.row.amount, &one.to),
            of(&one.row.to, &one.to, one.row.amount, &one.from),
        ]
    });
    sides.filter(|side| side.key.kind == AccountKind::Wallet)
}

/// The chain of the wallet in which it moved, up to here.
fn chain(recorded: &Recorded) -> Option<Chain> {
    let last = sides(recorded).next_back()?;
    Some(Chain {
        wallet: last.key.clone(),
        account: last.side.account,
        head: last.posting,
    })
}

fn change(recorded: &Recorded) -> Option<Change> {
    let (first, last) = (sides(recorded).next()?, sides(recorded).next_back()?);
    Some(Change {
        user_id: Id(first.key.owner.clone()),
        unit: Code(first.key.unit),
        balance_before: first.side.chain?.balance - first.change,
        balance_after: last.side.chain?.balance,
    })
}

fn view(
    reader: &mut Reader,
    recorded: &Recorded,
    wallet: Option<&Chain>,
) -> Result<View, StoreError> {
    let mut postings = Vec::with_capacity(recorded.postings.len());
    for posting in &recorded.postings {
        let grant = match (posting.row.grant, wallet) {
            (Some(grant), Some(chain)) => origin(reader, chain, grant)?,
            _ => None,
        };
        postings.push(Posting {
            from: Account::of(&posting.from),
            to: Account::of(&posting.to),
            credits: posting.row.amount,
            unit: Code(posting.from.unit),
            grant,
        });
    }
    let wallet = change(recorded);
    Ok(View {
        transaction_id: Id(recorded.id),
        kind: Word(recorded.reason),
        cause: recorded.cause.as_ref().map(Because::of),
        note: recorded.remark.note.clone(),
        r#ref: recorded.remark.reference.clone(),
        meta: Meta(recorded.remark.meta.clone()),
        tags: recorded.tags.clone(),
        created_at: Moment(recorded.at),
        text: said(recorded, wallet.as_ref(), &postings),
        wallet,
        postings,
    })
}

fn origin(reader: &mut Reader, chain: &Chain, id: GrantId) -> Result<Option<Origin>, StoreError> {
    let Some(grant) = reader.grant(id)? else {
        return Ok(None);
    };
    let giving = match reader.giving(chain, &grant)? {
        Some(id) => reader.transaction(id)?,
        None => None,
    };
    let cause = giving.as_ref().and_then(|giving| giving.cause.as_ref());
    let topup = cause
        .filter(|cause| cause.kind == "topup")
        .and_then(|cause| TopupId::parse(&cause.id));
    let payment = match &topup {
        Some(topup) => reader.topup(topup)?.and_then(|topup| topup.payment),
        None => None,
    };
    Ok(Some(origin_of(
        &grant,
        giving.as_ref(),
        topup,
        payment.map(Id),
    )))
}

fn origin_of(
    grant: &Grant,
    giving: Option<&Recorded>,
    topup: Option<TopupId>,
    payment_id: Option<Id<PaymentId>>,
) -> Origin {
    let tags = giving.map_or("", |giving| giving.tags.as_str());
    let tag = |name: &str| {
        let mut values = tags.split(' ').filter_map(|tag| tag.strip_prefix(name));
        values.next().map(str::to_owned)
    };
    Origin {
        grant_id: Id(grant.id),
        source: Word(grant.source),
        category: Word(grant.category),
        credits: grant.granted,
        transaction_id: giving.map(|giving| Id(giving.id)),
        cause: giving
            .and_then(|giving| giving.cause.as_ref())
            .map(Because::of),
        topup_id: topup.map(Id),
        payment_id: payment_id.or_else(|| PaymentId::parse(&tag("payment:")?).map(Id)),
        rolled_over_from: tag("grant:"),
        note: grant.remark.note.clone(),
        r#ref: grant.remark.reference.clone(),
        meta: Meta(grant.remark.meta.clone()),
        created_at: Moment(grant.created_at),
    }
}

fn said(recorded: &Recorded, wallet: Option<&Change>, postings: &[Posting]) -> Vec<String> {
    let at = recorded.at;
    let mut said = if let Some((change, side)) = wallet.zip(sides(recorded).next()) {
        let unit = side.key.unit;
        vec![
            format!("{} at {at}.", text::movement(recorded.reason, side.other)),
            format!(
                "The balance was {} before and {} afterwards.",
                text::amount(change.balance_before, unit),
                text::amount(change.balance_after, unit)
            ),
        ]
    } else {
        let reason = recorded.reason.as_str();
        vec![format!(
            "Booked as {reason} at {at}; no wallet was touched."
        )]
    };
    let unit = recorded.postings.iter().map(|posting| posting.from.unit);
    let each = postings.iter().zip(unit);
    said.extend(each.map(|(posting, unit)| part(posting, &text::amount(posting.credits, unit))));
    said
}

/// What one posting moved, in words.
fn part(posting: &Posting, amount: &str) -> String {
    let is_wallet = |account: &Account| account.kind == Word(AccountKind::Wallet);
    let sides = (is_wallet(&posting.from), is_wallet(&posting.to));
    match (&posting.grant, sides) {
        (Some(grant), (_, true)) => format!("{amount} went into the grant {}.", grant.grant_id),
        (Some(grant), _) => format!(
            "{amount} were taken from the {} {} grant {} of {}{}.",
            grant.category,
            grant.source.0.as_str().replace('_', "-"),
            grant.grant_id,
            grant.created_at,
            whence(grant)
        ),
        (None, (_, true)) => format!("{amount} paid back a debt."),
        (None, (true, _)) => format!("{amount} were covered by no grant and became a debt."),
        (None, _) => {
            let (from, to) = (posting.from.kind, posting.to.kind);
            format!("{amount} went from {from} to {to}.")
        }
    }
}

/// Which purchase, or which other grant, a grant came from.
fn whence(grant: &Origin) -> String {
    match (&grant.topup_id, &grant.payment_id, &grant.rolled_over_from) {
        (Some(topup), Some(payment), _) => {
            format!(", which came from the top-up {topup} with the payment {payment}")
        }
        (Some(topup), None, _) => format!(", which came from the top-up {topup}"),
        (None, Some(payment), _) => format!(", which came back with the payment {payment}"),
        (None, None, Some(before)) => format!(", which is what was left of the grant {before}"),
        _ => String::new(),
    }
}
