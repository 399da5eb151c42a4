//! Top-ups: a wish to add credits, and the one path that credits a wallet for it.

use serde::{Deserialize, Serialize};

use crate::account::{AccountKey, AccountKind};
use crate::amount::Amount;
use crate::award::{self, Award, AwardKind};
use crate::command::Context;
use crate::grant::{self, Category, CreateGrant, Source};
use crate::id::{PaymentId, TopupId, UserId};
use crate::journal::{Cause, Reason, Remark, Transaction};
use crate::payment::Payment;
use crate::refusal::Refusal;
use crate::state::{State, Wanted};
use crate::time::Time;

/// Where a top-up stands. `Paid` is final; a payment that arrives late turns every other status into it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TopupStatus {
    /// Waits to be paid.
    Pending,
    /// Paid, and the wallet credited.
    Paid,
    /// Given up by an administrator.
    Canceled,
    /// Its checkout session closed unpaid.
    Expired,
    /// Its delayed payment failed.
    Failed,
}

impl TopupStatus {
    /// All of them, in the order of their usual life.
    pub const ALL: [Self; 5] = [
        Self::Pending,
        Self::Paid,
        Self::Canceled,
        Self::Expired,
        Self::Failed,
    ];

    /// As written in the database and on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Paid => "paid",
            Self::Canceled => "canceled",
            Self::Expired => "expired",
            Self::Failed => "failed",
        }
    }

    /// The status written as `text`.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.as_str() == text)
    }
}

/// A wish to add credits to a wallet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Topup {
    /// Its id.
    pub id: TopupId,
    /// Whose wallet.
    pub user: UserId,
    /// How many credits; positive.
    pub credits: i64,
    /// What they cost, by the price of the moment the top-up was made.
    pub price: Amount,
    /// Where it stands.
    pub status: TopupStatus,
    /// The payment opened for it last, if any.
    pub payment: Option<PaymentId>,
    /// What was said about it.
    pub remark: Remark,
    /// When it was made.
    pub created_at: Time,
    /// When it last changed.
    pub updated_at: Time,
    /// When it was paid, if it was.
    pub paid_at: Option<Time>,
}

/// Asks for a new top-up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CreateTopup {
    /// Whose wallet.
    pub user: UserId,
    /// How many credits.
    pub credits: i64,
    /// What is said about it.
    pub remark: Remark,
}

pub(crate) fn create(
    state: &mut State,
    context: &mut Context<'_>,
    wish: &CreateTopup,
) -> Result<Topup, Refusal> {
    let policy = context.policy;
    let (least, most) = (policy.topup_credits_min, policy.topup_credits_max);
    if !(least..=most).contains(&wish.credits) {
        return Err(Refusal::OutOfRange {
            field: "credits".into(),
            least,
            most,
            given: wish.credits,
        });
    }
    let currency = policy.credit_price.currency;
    let price = policy.credit_price.cost_rounded_up(wish.credits);
    let topup = Topup {
        id: TopupId::new(context.ids, context.now),
        user: wish.user.clone(),
        credits: wish.credits,
        price: price.map_err(|_| Refusal::PriceOutOfRange { currency })?,
        status: TopupStatus::Pending,
        payment: None,
        remark: wish.remark.clone(),
        created_at: context.now,
        updated_at: context.now,
        paid_at: None,
    };
    state.topups.insert(topup.id.clone(), topup.clone());
    Ok(topup)
}

/// Who vouches that a top-up is paid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Voucher<'a> {
    /// A payment that the provider says is paid.
    Payment(&'a Payment),
    /// An administrator, who says why.
    Admin(&'a Remark),
}

pub(crate) fn needs_to_finish(wanted: &mut Wanted<'_>, id: &TopupId) {
    let Some(topup) = wanted.topup(id) else {
        return;
    };
    grant::needs_to_give(wanted, &AccountKey::wallet(&topup.user), AccountKind::Sold);
    wanted.cause(&cause(id));
}

fn cause(id: &TopupId) -> Cause {
    Cause::new("topup", id.as_str())
}

/// Credits the wallet of a top-up, once. The only function that does; finishing a finished top-up changes nothing.
pub(crate) fn finish(
    state: &mut State,
    context: &mut Context<'_>,
    id: &TopupId,
    voucher: Voucher<'_>,
) -> Result<(), Refusal> {
    let topup = state.topups.get(id).ok_or(Refusal::TopupNotFound)?.clone();
    if topup.status == TopupStatus::Paid {
        return Ok(());
    }
    let remark = match voucher {
        Voucher::Payment(payment) => {
            let session = payment.session.clone().unwrap_or_default();
            let provider_says = Remark {
                reference: session,
                ..Remark::default()
            };
            provider_says.followed_by(&topup.remark)
        }
        Voucher::Admin(remark) => topup.remark.followed_by(remark),
    };
    let terms = CreateGrant::plain(
        topup.user.clone(),
        Amount::credits(topup.credits),
        Category::Paid,
        Source::Topup,
    );
    let transaction = Transaction {
        reason: Reason::Topup,
        cause: Some(cause(id)),
        at: context.now,
        remark: remark.clone(),
        tags: String::new(),
        postings: vec![],
    };
    let given = grant::give(state, &terms, AccountKind::Sold, transaction)?;
    if let Voucher::Payment(payment) = voucher {
        award::note(
            state,
            Award {
                payment: payment.id.clone(),
                kind: AwardKind::Topup,
                wallet: terms.wallet(),
                from: AccountKind::Sold,
                granted: topup.credits,
                taken: 0,
                absorbed: 0,
                grants: vec![given.id],
            },
        );
    }
    let now = context.now;
    state.topups.change(id, |topup| {
        if let Voucher::Admin(_) = voucher {
            topup.remark = remark;
        }
        topup.status = TopupStatus::Paid;
        topup.paid_at = Some(now);
        topup.updated_at = now;
    });
    Ok(())
}

/// Finishes a top-up on an administrator's word. A paid one stays as it is; a closed one is refused.
pub(crate) fn finish_by_admin(
    state: &mut State,
    context: &mut Context<'_>,
    id: &TopupId,
    remark: &Remark,
) -> Result<Topup, Refusal> {
    let status = state.topups.get(id).ok_or(Refusal::TopupNotFound)?.status;
    if !matches!(status, TopupStatus::Pending | TopupStatus::Paid) {
        return Err(Refusal::TopupNotPending { status });
    }
    finish(state, context, id, Voucher::Admin(remark))?;
    state.topups.get(id).cloned().ok_or(Refusal::TopupNotFound)
}

/// Gives a pending top-up up. A canceled one stays as it is.
pub(crate) fn cancel(
    state: &mut State,
    now: Time,
    id: &TopupId,
    remark: &Remark,
) -> Result<Topup, Refusal> {
    let status = state.topups.get(id).ok_or(Refusal::TopupNotFound)?.status;
    match status {
        TopupStatus::Pending => close(state, now, id, TopupStatus::Canceled, Some(remark)),
        TopupStatus::Canceled => {}
        TopupStatus::Paid | TopupStatus::Expired | TopupStatus::Failed => {
            return Err(Refusal::TopupNotPending { status });
        }
    }
    state.topups.get(id).cloned().ok_or(Refusal::TopupNotFound)
}

/// Ends a pending top-up without credits. One that has ended keeps its end, except that a failure says more than an
/// expiry: which of the two is heard of first must not matter.
pub(crate) fn close(
    state: &mut State,
    now: Time,
    id: &TopupId,
    end: TopupStatus,
    remark: Option<&Remark>,
) {
    let gives_way = |topup: &Topup| match topup.status {
        TopupStatus::Pending => true,
        TopupStatus::Expired => end == TopupStatus::Failed,
        TopupStatus::Paid | TopupStatus::Canceled | TopupStatus::Failed => false,
    };
    if !state.topups.get(id).is_some_and(gives_way) {
        return;
    }
    state.topups.change(id, |topup| {
        topup.status = end;
        topup.updated_at = now;
        if let Some(remark) = remark {
            topup.remark = topup.remark.followed_by(remark);
        }
    });
}
