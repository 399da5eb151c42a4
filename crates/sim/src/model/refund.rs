//! Refunds that are asked for here: how much is left to give back, and who has to agree.

use bursar_domain::command::Reply;
use bursar_domain::id::{PaymentId, RefundId};
use bursar_domain::payment::PaymentStatus;
use bursar_domain::refund::{RefundStatus, RequestRefund};
use bursar_domain::refusal::Refusal;

use super::Model;
use super::expect::{Outcome, same};
use super::wallet::out_of_range;

/// Whether another administrator has agreed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Approval {
    /// None has to.
    Needless,
    Awaited,
    Given,
    Denied,
}

/// A refund that was asked for here.
#[derive(Debug, Clone)]
pub(crate) struct Owed {
    pub(crate) payment: PaymentId,
    pub(crate) amount: i64,
    /// Stripe's id of it, once heard.
    pub(crate) bound: Option<String>,
    /// Whether Stripe does not make it.
    pub(crate) refused: bool,
    /// Who asked.
    by: String,
    approval: Approval,
}

impl Owed {
    /// Whether somebody has to agree to it still.
    pub(crate) fn is_awaited(&self) -> bool {
        self.approval == Approval::Awaited
    }

    pub(crate) fn was_agreed_to(&self) -> bool {
        self.approval == Approval::Given
    }

    /// Whether Stripe may be asked for it.
    pub(crate) fn is_agreed(&self) -> bool {
        matches!(self.approval, Approval::Needless | Approval::Given)
    }

    /// Whether nothing will come of it.
    fn is_off(&self) -> bool {
        self.bound.is_none() && (self.refused || self.approval == Approval::Denied)
    }

    /// Whether Stripe has still to make it.
    pub(crate) fn is_open(&self) -> bool {
        self.bound.is_none() && !self.is_off()
    }
}

impl Model {
    pub(super) fn request_refund(
        &mut self,
        wish: &RequestRefund,
        outcome: &Outcome,
    ) -> Result<(), String> {
        let expected = self.refundable(wish);
        match (&expected, outcome) {
            (Ok((amount, status)), Ok(Reply::Refund(refund)))
                if (refund.amount.minor, refund.status) == (*amount, *status) =>
            {
                let owed = Owed {
                    payment: wish.payment.clone(),
                    amount: *amount,
                    bound: None,
                    refused: false,
                    by: wish.by.clone(),
                    approval: if *status == RefundStatus::AwaitingApproval {
                        Approval::Awaited
                    } else {
                        Approval::Needless
                    },
                };
                self.refunds.insert(refund.id.clone(), owed);
                Ok(())
            }
            (Ok(_), _) => Err(format!(
                "{wish:?} should be {expected:?} and was answered {outcome:?}"
            )),
            (Err(_), _) => same(wish, &expected.map(drop), outcome),
        }
    }

    /// How much would be refunded, and whether at once.
    fn refundable(&self, wish: &RequestRefund) -> Result<(i64, RefundStatus), Refusal> {
        let paying = self
            .payments
            .get(&wish.payment)
            .ok_or(Refusal::PaymentNotFound)?;
        if !paying.paid {
            let status = PaymentStatus::Pending;
            return Err(Refusal::PaymentNotPaid { status });
        }
        let owed = self.refunds.values();
        let owed = owed.filter(|owed| owed.payment == wish.payment && owed.is_open());
        let owed: i64 = owed.map(|owed| owed.amount).sum();
        let gone = owed + paying.refunded() + paying.disputed().max(0);
        let left = paying.amount - gone;
        if left <= 0 {
            return Err(Refusal::NothingToRefund);
        }
        let amount = wish.amount.unwrap_or(left);
        if !(1..=left).contains(&amount) {
            return Err(out_of_range());
        }
        // Many small ones are no way around it.
        let is_much = self.free_refund.is_some_and(|free| gone + amount > free);
        let status = if is_much {
            RefundStatus::AwaitingApproval
        } else {
            RefundStatus::Requested
        };
        Ok((amount, status))
    }

    /// Where a refund stands.
    fn refund_status(&self, owed: &Owed) -> RefundStatus {
        let paying = self.payments.get(&owed.payment);
        let said = owed.bound.as_ref();
        let said = said.and_then(|id| paying.and_then(|paying| paying.refunds.get(id)));
        match said {
            Some((_, status)) => *status,
            None if owed.is_off() => RefundStatus::Refused,
            None if owed.is_awaited() => RefundStatus::AwaitingApproval,
            None => RefundStatus::Requested,
        }
    }

    /// An administrator agrees to a refund, or does not. Once is enough, and it has to be another one than who asked.
    pub(super) fn decide_refund(
        &mut self,
        (id, agrees): (&RefundId, bool),
        by: &str,
        outcome: &Outcome,
    ) -> Result<(), String> {
        let what = format!("{by} {} {id}", if agrees { "agrees to" } else { "denies" });
        let Some(owed) = self.refunds.get(id) else {
            return same(&what, &Err(Refusal::RefundNotFound), outcome);
        };
        let status = self.refund_status(owed);
        let decided = match (owed.approval, agrees) {
            (Approval::Awaited, true) if owed.by == by => Err(Refusal::SecondApproverNeeded),
            (Approval::Awaited, true) => Ok((Approval::Given, RefundStatus::Requested)),
            (Approval::Awaited, false) => Ok((Approval::Denied, RefundStatus::Refused)),
            // Said once already.
            (known @ Approval::Given, true) if status != RefundStatus::Refused => {
                Ok((known, status))
            }
            (known, false) if status == RefundStatus::Refused => Ok((known, status)),
            _ => Err(Refusal::RefundNotAwaiting { status }),
        };
        same(&what, &decided.clone().map(drop), outcome)?;
        if let (Ok((approval, status)), Ok(Reply::Refund(refund))) = (decided, outcome) {
            if refund.status != status {
                return Err(format!("{what}, which is {status:?}: {refund:?}"));
            }
            if let Some(owed) = self.refunds.get_mut(id) {
                owed.approval = approval;
            }
        }
        Ok(())
    }
}
