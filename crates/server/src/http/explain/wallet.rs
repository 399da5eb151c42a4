//! Why a balance is what it is.

use bursar_domain::account::{AccountKey, AccountKind, Owner};
use bursar_domain::hold::Hold;
use bursar_domain::id::HoldId;
use bursar_domain::journal::Reason;
use bursar_domain::time::Time;
use bursar_domain::wallet::Wallet;
use bursar_store::query::ReasonSum;
use schemars::JsonSchema;
use serde::Serialize;

use super::super::error::ApiError;
use super::super::grant;
use super::super::kind::{Code, Id, Moment, Word};
use super::text;
use crate::App;

/// The movements of a wallet for one reason, summed up.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "MovementsSum")]
pub(super) struct Sum {
    kind: Word<Reason>,
    account: Word<AccountKind>,
    transactions: i64,
    r#in: i128,
    out: i128,
    sum: i128,
}

/// An open hold.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "OpenHold")]
struct Open {
    hold_id: Id<HoldId>,
    credits: i64,
    progress: i64,
    note: String,
    r#ref: String,
    created_at: Moment,
    expires_at: Moment,
}

/// A wallet and why it has what it has.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "WalletExplained")]
pub(in super::super) struct View {
    user_id: Id<Owner>,
    unit: Code,
    balance: i64,
    /// What the movements sum up to, which is the balance.
    sum: i128,
    available: i64,
    held: i64,
    debt: i64,
    frozen: bool,
    movements: Vec<Sum>,
    grants: Vec<grant::View>,
    holds: Vec<Open>,
    text: Vec<String>,
}

impl Open {
    /// What a hold reserves is what the writer has told; the rest does not change, or is said again with the next question.
    fn of(hold: &Hold, credits: i64) -> Self {
        Self {
            hold_id: Id(hold.id),
            credits,
            progress: hold.progress,
            note: hold.remark.note.clone(),
            r#ref: hold.remark.reference.clone(),
            created_at: Moment(hold.created_at),
            expires_at: Moment(hold.expires_at),
        }
    }
}

impl Sum {
    fn of(sum: &ReasonSum) -> Self {
        Self {
            kind: Word(sum.reason),
            account: Word(sum.other),
            transactions: sum.count,
            r#in: sum.came,
            out: sum.went,
            sum: sum.came - sum.went,
        }
    }
}

pub(super) async fn explain(app: &App, key: AccountKey) -> Result<View, ApiError> {
    let now = app.engine().now();
    let Some((wallet, sums)) = app.engine().explained(key.clone()).await? else {
        return Ok(nothing(&key));
    };
    let reserved: Vec<(HoldId, i64)> = wallet
        .holds
        .iter()
        .map(|hold| (hold.hold, hold.parts.iter().map(|part| part.amount).sum()))
        .collect();
    let holds = app.engine().read(move |reader| {
        let mut open = Vec::with_capacity(reserved.len());
        for (id, credits) in reserved {
            open.extend(reader.hold(id)?.map(|hold| Open::of(&hold, credits)));
        }
        Ok(open)
    });
    Ok(view(&wallet, &sums, holds.await?, now))
}

fn view(wallet: &Wallet, sums: &[ReasonSum], holds: Vec<Open>, now: Time) -> View {
    let key = &wallet.account.key;
    View {
        user_id: Id(key.owner.clone()),
        unit: Code(key.unit),
        balance: wallet.account.balance,
        sum: sums.iter().map(|sum| sum.came - sum.went).sum(),
        available: wallet.available(now),
        held: wallet.held(),
        debt: wallet.debt(),
        frozen: wallet.frozen,
        movements: sums.iter().map(Sum::of).collect(),
        grants: wallet
            .grants
            .iter()
            .map(|grant| grant::View::of(grant, now))
            .collect(),
        holds,
        text: text::of_wallet(wallet, sums, now),
    }
}

/// Nothing ever touched it.
fn nothing(key: &AccountKey) -> View {
    View {
        user_id: Id(key.owner.clone()),
        unit: Code(key.unit),
        balance: 0,
        sum: 0,
        available: 0,
        held: 0,
        debt: 0,
        frozen: false,
        movements: vec![],
        grants: vec![],
        holds: vec![],
        text: vec!["Nothing was ever put into this wallet or taken out of it.".to_owned()],
    }
}
