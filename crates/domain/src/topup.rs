//! Top-ups: a wish to add credits, and the one path that credits a wallet for it.

mod offer;

use serde::{Deserialize, Serialize};

use crate::account::{AccountKey, AccountKind};
use crate::amount::{Amount, CreditPrice, Unit};
use crate::award::{self, Award, AwardKind};
use crate::command::Context;
use crate::coupon;
use crate::grant::{self, Category, CreateGrant, Source};
use crate::id::{PaymentId, TopupId, UserId};
use crate::journal::{self, Cause, Reason, Remark, Transaction};
use crate::payment::Payment;
use crate::planted::{self, Bug};
use crate::refusal::Refusal;
use crate::state::{State, Wanted};
use crate::time::Time;

pub(crate) use offer::needs_to_create;

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
    /// Its payment closed unpaid.
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
    /// How many credits are bought; positive.
    pub credits: i64,
    /// How many come on top as a gift; 0 or more.
    pub bonus: i64,
    /// The package they are, if they are one.
    pub package: Option<String>,
    /// The coupon that goes with it, if one does.
    pub coupon: Option<String>,
    /// How much less is to be paid by that coupon, in smallest steps of the price; 0 or more.
    pub discount: i64,
    /// What is to be paid, by the prices of the moment the top-up was made.
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

impl Topup {
    /// What was fixed when it was made, without what anybody has said about it: this is what its payment carries at the provider,
    /// so that it can be made again after a loss. It must come out the same however often it is asked for; a field that can change
    /// later has to be set back here.
    #[must_use]
    pub fn as_made(&self) -> Self {
        Self {
            status: TopupStatus::Pending,
            payment: None,
            remark: Remark::default(),
            updated_at: self.created_at,
            paid_at: None,
            ..self.clone()
        }
    }
}

/// What is wished for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wish {
    /// So many credits, at the price of a credit.
    Credits(i64),
    /// The package with this id, at its own price.
    Package(String),
    /// As many credits as so much money buys at this price of a credit: where a buyer names the money, not the credits.
    Money {
        /// What is paid.
        paid: Amount,
        /// What a credit costs there.
        price: CreditPrice,
    },
}

/// Asks for a new top-up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CreateTopup {
    /// Whose wallet.
    pub user: UserId,
    /// What is wished for.
    pub wish: Wish,
    /// What it is to be paid in; the usual currency if none is named.
    pub currency: Option<Unit>,
    /// The code of a coupon, as it was entered.
    pub coupon: Option<String>,
    /// What is said about it.
    pub remark: Remark,
}

impl CreateTopup {
    /// So many credits, paid in the usual currency.
    pub fn plain(user: UserId, credits: i64) -> Self {
        Self {
            user,
            wish: Wish::Credits(credits),
            currency: None,
            coupon: None,
            remark: Remark::default(),
        }
    }
}

pub(crate) fn create(
    state: &mut State,
    context: &mut Context<'_>,
    wish: &CreateTopup,
) -> Result<Topup, Refusal> {
    let offer = offer::with_coupon(state, context, wish)?;
    let topup = Topup {
        id: TopupId::new(context.ids, context.now),
        user: wish.user.clone(),
        credits: offer.credits,
        bonus: offer.bonus,
        package: offer.package,
        coupon: offer.coupon,
        discount: offer.discount,
        price: offer.price,
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
    let key = AccountKey::wallet(&topup.user);
    grant::needs_to_give(wanted, &key, AccountKind::Sold);
    wanted.cause(&cause(id));
    if let Some(code) = &topup.coupon {
        coupon::needs(wanted, code, &topup.user);
    }
    if topup.bonus > 0 {
        grant::needs_to_give(wanted, &key, AccountKind::Granted);
        wanted.cause(&bonus_cause(id));
    }
}

fn cause(id: &TopupId) -> Cause {
    Cause::new("topup", id.as_str())
}

fn bonus_cause(id: &TopupId) -> Cause {
    Cause::new("topup_bonus", id.as_str())
}

/// Credits the wallet of a top-up, once; whether it was now. The only function that does; finishing a finished top-up changes
/// nothing.
pub(crate) fn finish(
    state: &mut State,
    context: &mut Context<'_>,
    id: &TopupId,
    voucher: Voucher<'_>,
) -> Result<bool, Refusal> {
    let topup = state.topups.get(id).ok_or(Refusal::TopupNotFound)?.clone();
    if topup.status == TopupStatus::Paid && !planted::is(Bug::CreditedAgain) {
        return Ok(false);
    }
    if planted::is(Bug::CanceledStaysCanceled) && topup.status == TopupStatus::Canceled {
        return Ok(false);
    }
    let remark = match voucher {
        Voucher::Payment(payment) => {
            let provider_says = Remark {
                reference: payment.reference().to_owned(),
                ..Remark::default()
            };
            provider_says.followed_by(&topup.remark)
        }
        Voucher::Admin(remark) => topup.remark.followed_by(remark),
    };
    let key = AccountKey::wallet(&topup.user);
    // All of it is checked before the first part is written.
    grant::check_fits(state, &key, topup.credits.saturating_add(topup.bonus))?;
    if topup.bonus > 0 {
        journal::check_cause(state, &bonus_cause(id))?;
    }
    let payment = match voucher {
        Voucher::Payment(payment) => Some(&payment.id),
        Voucher::Admin(_) => None,
    };
    let sold = Share {
        kind: AwardKind::Topup,
        cause: cause(id),
        amount: topup.credits,
    };
    give(state, context, (&topup, &remark), payment, sold)?;
    if topup.bonus > 0 {
        let bonus = Share {
            kind: AwardKind::Bonus,
            cause: bonus_cause(id),
            amount: topup.bonus,
        };
        let payment = payment.filter(|_| !planted::is(Bug::BonusStays));
        give(state, context, (&topup, &remark), payment, bonus)?;
    }
    let now = context.now;
    coupon::use_up(state, now, &topup);
    state.buyers.set(topup.user.clone(), ());
    state.topups.change(id, |topup| {
        if let Voucher::Admin(_) = voucher {
            topup.remark = remark;
        }
        topup.status = TopupStatus::Paid;
        topup.paid_at = Some(now);
        topup.updated_at = now;
    });
    Ok(true)
}

/// One of the things a top-up gives.
struct Share {
    kind: AwardKind,
    cause: Cause,
    amount: i64,
}

/// Puts a share into the wallet. What a payment has given is noted, so that it goes when the money goes.
fn give(
    state: &mut State,
    context: &Context<'_>,
    (topup, remark): (&Topup, &Remark),
    payment: Option<&PaymentId>,
    share: Share,
) -> Result<(), Refusal> {
    let (origin, category, source, reason) = match share.kind {
        AwardKind::Topup => (
            AccountKind::Sold,
            Category::Paid,
            Source::Topup,
            Reason::Topup,
        ),
        _ => (
            AccountKind::Granted,
            Category::Promotional,
            Source::Bonus,
            Reason::Grant,
        ),
    };
    let amount = Amount::credits(share.amount);
    let terms = CreateGrant::plain(topup.user.clone(), amount, category, source);
    let transaction = Transaction {
        reason,
        cause: Some(share.cause).filter(|_| !planted::is(Bug::CreditedAgain)),
        at: context.now,
        remark: remark.clone(),
        tags: String::new(),
        postings: vec![],
    };
    let given = grant::give(state, &terms, origin, transaction)?;
    if let Some(payment) = payment {
        let award = Award {
            payment: payment.clone(),
            kind: share.kind,
            wallet: terms.wallet(),
            from: origin,
            granted: share.amount,
            taken: 0,
            absorbed: 0,
            grants: vec![given.id],
        };
        award::note(state, award);
    }
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
