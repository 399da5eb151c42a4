//! What commands are answered with.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::charges::ChargeAnswer;
use super::{Adjusted, Prechecked};
use crate::api_key::ApiKey;
use crate::auto_topup::AutoTopup;
use crate::charge::Charged;
use crate::code::RedeemCode;
use crate::coupon::Coupon;
use crate::customer::Customer;
use crate::event::EventStatus;
use crate::exchange::Exchanged;
use crate::grant::Grant;
use crate::hold::Hold;
use crate::job::Claim;
use crate::limit::SpendingLimit;
use crate::payment::Payment;
use crate::recovery::Recovery;
use crate::referral::Member;
use crate::refund::Refund;
use crate::topup::Topup;
use crate::usage::UsageEvent;
use crate::wallet::Wallet;

/// The answer to a command that was not refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(
    missing_docs,
    reason = "the type inside each variant is the documentation"
)]
pub enum Reply {
    Topup(Topup),
    Payment(Payment),
    Adjusted(Adjusted),
    Grant(Grant),
    Charged(Charged),
    ChargedAll(Vec<ChargeAnswer>),
    Prechecked(Prechecked),
    Hold(Hold),
    Exchanged(Exchanged),
    Limit(SpendingLimit),
    /// What a wallet's own setting is now; none if it has none.
    Overdraft(Option<i64>),
    Refund(Refund),
    Customer(Customer),
    AutoTopup(AutoTopup),
    Usage(UsageEvent),
    Coupon(Coupon),
    Codes(Vec<RedeemCode>),
    Member(Member),
    /// In the order asked for; none where nothing ever touched one. Never remembered as an answer.
    #[serde(skip)]
    Wallets(Vec<Option<Arc<Wallet>>>),
    Received {
        number: i64,
        duplicate: bool,
    },
    Applied(Vec<EventStatus>),
    /// How many events were put back into line.
    Replayed(i64),
    /// The recovery mode as it is now; none if it has ended or has not begun.
    Recovery(Option<Recovery>),
    /// The number of the turn that the node has now; none if it is another's.
    Turn(Option<i64>),
    Claimed(Claim),
    ApiKey(ApiKey),
    Done,
}

/// A command was answered with the reply of another one. Each has one kind of reply, so this is a bug, or a remembered answer that
/// somebody has changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a command was answered with something else: please report this")]
pub struct OtherReply;

/// Whoever has asked knows the type of what he gets.
macro_rules! holds {
    ($($kind:ident: $of:ty;)*) => {$(
        impl TryFrom<Reply> for $of {
            type Error = OtherReply;

            fn try_from(reply: Reply) -> Result<Self, OtherReply> {
                match reply {
                    Reply::$kind(held) => Ok(held),
                    _ => Err(OtherReply),
                }
            }
        }
    )*};
}

holds! {
    Topup: Topup;
    Payment: Payment;
    Adjusted: Adjusted;
    Grant: Grant;
    Charged: Charged;
    ChargedAll: Vec<ChargeAnswer>;
    Prechecked: Prechecked;
    Hold: Hold;
    Exchanged: Exchanged;
    Limit: SpendingLimit;
    Overdraft: Option<i64>;
    Refund: Refund;
    Customer: Customer;
    AutoTopup: AutoTopup;
    Usage: UsageEvent;
    Coupon: Coupon;
    Codes: Vec<RedeemCode>;
    Member: Member;
    Wallets: Vec<Option<Arc<Wallet>>>;
    Recovery: Option<Recovery>;
    Claimed: Claim;
    ApiKey: ApiKey;
}
