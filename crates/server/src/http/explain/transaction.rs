//! Why something moved.

use bursar_domain::account::{AccountKey, AccountKind};
use bursar_domain::grant::Grant;
use bursar_domain::id::{GrantId, HoldId, TopupId, TransactionId, UserId};
use bursar_domain::journal::{Cause, Side};
use bursar_store::StoreError;
use bursar_store::query::{Chain, Reader, Recorded};
use http::StatusCode;
use serde::Serialize;
use serde_json::Value;

use super::super::error::ApiError;
use super::super::json;
use super::text;
use crate::App;

/// Where a grant comes from.
#[derive(Debug, Clone, Serialize)]
struct Origin {
    grant_id: String,
    source: &'static str,
    category: &'static str,
    credits: i64,
    /// The transaction that gave it; none if a debt took all of it.
    transaction_id: Option<String>,
    cause: Option<Because>,
    topup_id: Option<String>,
    payment_id: Option<String>,
    /// The expired grant whose rest it is.
    rolled_over_from: Option<String>,
    note: String,
    r#ref: String,
    meta: Value,
    created_at: String,
}

/// What caused a transaction.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct Because {
    r#type: String,
    id: String,
}

#[derive(Debug, Serialize)]
struct Account {
    kind: &'static str,
    owner: String,
}

#[derive(Debug, Serialize)]
struct Posting {
    from: Account,
    to: Account,
    credits: i64,
    unit: &'static str,
    /// None for a debt, and for what no wallet has to do with.
    grant: Option<Origin>,
}

/// The wallet in which it moved.
#[derive(Debug, Clone, Serialize)]
struct Change {
    user_id: String,
    unit: &'static str,
    balance_before: i64,
    balance_after: i64,
}

#[derive(Debug, Serialize)]
pub(super) struct View {
    transaction_id: String,
    kind: &'static str,
    cause: Option<Because>,
    note: String,
    r#ref: String,
    meta: Value,
    tags: String,
    created_at: String,
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
            kind: key.kind.as_str(),
            owner: key.owner.to_string(),
        }
    }
}

/// Another user's transaction is as good as none.
pub(super) async fn explain(app: &App, id: &str, about: Option<&UserId>) -> Result<View, ApiError> {
    let id = TransactionId::parse(id).ok_or_else(none)?;
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
    view.await?.ok_or_else(none)
}

fn none() -> ApiError {
    ApiError::new(
        StatusCode::NOT_FOUND,
        "transaction_not_found",
        "there is no such transaction",
    )
    .with_param("transaction_id")
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
        user_id: first.key.owner.to_string(),
        unit: first.key.unit.code(),
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
            unit: posting.from.unit.code(),
            grant,
        });
    }
    let wallet = change(recorded);
    Ok(View {
        transaction_id: recorded.id.to_string(),
        kind: recorded.reason.as_str(),
        cause: recorded.cause.as_ref().map(Because::of),
        note: recorded.remark.note.clone(),
        r#ref: recorded.remark.reference.clone(),
        meta: json::stored(&recorded.remark.meta),
        tags: recorded.tags.clone(),
        created_at: recorded.at.to_string(),
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
        payment.map(|id| id.to_string()),
    )))
}

fn origin_of(
    grant: &Grant,
    giving: Option<&Recorded>,
    topup: Option<TopupId>,
    payment_id: Option<String>,
) -> Origin {
    let tags = giving.map_or("", |giving| giving.tags.as_str());
    let tag = |name: &str| {
        let mut values = tags.split(' ').filter_map(|tag| tag.strip_prefix(name));
        values.next().map(str::to_owned)
    };
    Origin {
        grant_id: grant.id.to_string(),
        source: grant.source.as_str(),
        category: grant.category.as_str(),
        credits: grant.granted,
        transaction_id: giving.map(|giving| giving.id.to_string()),
        cause: giving
            .and_then(|giving| giving.cause.as_ref())
            .map(Because::of),
        topup_id: topup.map(|id| id.to_string()),
        payment_id: payment_id.or_else(|| tag("payment:")),
        rolled_over_from: tag("grant:"),
        note: grant.remark.note.clone(),
        r#ref: grant.remark.reference.clone(),
        meta: json::stored(&grant.remark.meta),
        created_at: grant.created_at.to_string(),
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
    let wallet = AccountKind::Wallet.as_str();
    let sides = (posting.from.kind == wallet, posting.to.kind == wallet);
    match (&posting.grant, sides) {
        (Some(grant), (_, true)) => format!("{amount} went into the grant {}.", grant.grant_id),
        (Some(grant), _) => format!(
            "{amount} were taken from the {} {} grant {} of {}{}.",
            grant.category,
            grant.source.replace('_', "-"),
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
