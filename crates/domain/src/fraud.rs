//! Early fraud warnings: the card's network takes a payment for fraud. It moves no money; most of them become a dispute unless the
//! money goes back before.

use serde::{Deserialize, Serialize};

use crate::account::AccountKey;
use crate::announcement::{self, Happening};
use crate::command::Context;
use crate::id::PaymentId;
use crate::journal::Remark;
use crate::refund::{self, RequestRefund};
use crate::refusal::Refusal;
use crate::state::State;
use crate::word::words;
use crate::{payment, wallet};

/// What a warning leads to, besides being announced.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnFraudWarning {
    /// Nothing: a person decides.
    Nothing,
    /// All that is left of the payment is refunded.
    Refund,
}

words!(OnFraudWarning: Nothing = "nothing", Refund = "refund");

/// Who asks for a refund that follows from a warning: no administrator, so that any of them can approve it.
pub const BY: &str = "fraud_warning";

/// Takes in that a payment was warned of. Said twice it is one warning.
pub(crate) fn warned(
    state: &mut State,
    context: &mut Context<'_>,
    id: &PaymentId,
) -> Result<(), Refusal> {
    let payment = payment::find(state, id)?;
    if payment.returned.warned_at.is_some() {
        return Ok(());
    }
    let key = AccountKey::wallet(&payment.user);
    let now = context.now;
    state.payments.change(id, |payment| {
        payment.returned.warned_at = Some(now);
        payment.updated_at = now;
    });
    wallet::open(state, &key, now);
    let payment = id.clone();
    let happening = Happening::PaymentFraudWarned { payment };
    announcement::announce(state, &key, now, happening);
    answer(state, context, id)
}

/// Does what the policy says about a payment that was warned of and has been paid: whichever of the two is heard of last.
pub(crate) fn answer(
    state: &mut State,
    context: &mut Context<'_>,
    id: &PaymentId,
) -> Result<(), Refusal> {
    let payment = payment::find(state, id)?;
    let is_due = payment.status.is_paid() && payment.returned.warned_at.is_some();
    if !is_due || context.policy.on_fraud_warning == OnFraudWarning::Nothing {
        return Ok(());
    }
    let wish = RequestRefund {
        payment: id.clone(),
        amount: None,
        reason: "fraudulent".to_owned(),
        by: BY.to_owned(),
        remark: Remark::default(),
    };
    match refund::request(state, context, &wish) {
        // It went back already, or a bank has it.
        Ok(_) | Err(Refusal::NothingToRefund) => Ok(()),
        Err(refusal) => Err(refusal),
    }
}
