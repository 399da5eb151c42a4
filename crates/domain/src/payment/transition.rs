//! The life of a payment as one table: from each status, what each kind of news makes of it.
//!
//! News come in any order and any number of times. The table is made so that the end does not depend on that: of the news about
//! whether money comes, what says more wins, and *paid* says most; what became of money that came counts only once it has come, and
//! is added up anew each time ([`crate::reversal`]).

use serde::{Deserialize, Serialize};

use super::PaymentStatus;
use crate::planted::{self, Bug};
use crate::word::words;

/// What may be heard of a payment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum News {
    /// Nothing has come yet: it is open, or an attempt has failed and the customer may try again.
    Open,
    /// The customer has finished; the money has not come yet.
    Processing,
    /// It was called off.
    Canceled,
    /// It has closed unpaid.
    Expired,
    /// It failed for good: a delayed method, a card that was charged without its customer, or the provider does not open it.
    Failed,
    /// The money is there.
    Paid,
    /// Nothing of the money is gone any more.
    NothingBack,
    /// Some of the money went back to the customer.
    SomeBack,
    /// All of it did.
    AllBack,
    /// The customer's bank asks for it, or has it.
    Disputed,
}

words!(News: Open = "open", Processing = "processing", Canceled = "canceled", Expired = "expired", Failed = "failed",
       Paid = "paid", NothingBack = "nothing_back", SomeBack = "some_back", AllBack = "all_back", Disputed = "disputed");

use PaymentStatus as S;

/// For each status what each kind of news makes of it, the news in the order of [`News::ALL`].
#[rustfmt::skip]
pub const TABLE: [(PaymentStatus, [PaymentStatus; 10]); 9] = [
    //                        open                  processing            canceled              expired               failed                paid                  nothing back          some back             all back              disputed
    (S::Pending,           [S::Pending,           S::Processing,        S::Canceled,          S::Expired,           S::Failed,            S::Paid,              S::Pending,           S::Pending,           S::Pending,           S::Pending]),
    (S::Processing,        [S::Processing,        S::Processing,        S::Canceled,          S::Expired,           S::Failed,            S::Paid,              S::Processing,        S::Processing,        S::Processing,        S::Processing]),
    (S::Canceled,          [S::Canceled,          S::Canceled,          S::Canceled,          S::Expired,           S::Failed,            S::Paid,              S::Canceled,          S::Canceled,          S::Canceled,          S::Canceled]),
    (S::Expired,           [S::Expired,           S::Expired,           S::Expired,           S::Expired,           S::Failed,            S::Paid,              S::Expired,           S::Expired,           S::Expired,           S::Expired]),
    (S::Failed,            [S::Failed,            S::Failed,            S::Failed,            S::Failed,            S::Failed,            S::Paid,              S::Failed,            S::Failed,            S::Failed,            S::Failed]),
    (S::Paid,              [S::Paid,              S::Paid,              S::Paid,              S::Paid,              S::Paid,              S::Paid,              S::Paid,              S::PartiallyRefunded, S::Refunded,          S::Disputed]),
    (S::PartiallyRefunded, [S::PartiallyRefunded, S::PartiallyRefunded, S::PartiallyRefunded, S::PartiallyRefunded, S::PartiallyRefunded, S::PartiallyRefunded, S::Paid,              S::PartiallyRefunded, S::Refunded,          S::Disputed]),
    (S::Refunded,          [S::Refunded,          S::Refunded,          S::Refunded,          S::Refunded,          S::Refunded,          S::Refunded,          S::Paid,              S::PartiallyRefunded, S::Refunded,          S::Disputed]),
    (S::Disputed,          [S::Disputed,          S::Disputed,          S::Disputed,          S::Disputed,          S::Disputed,          S::Disputed,          S::Paid,              S::PartiallyRefunded, S::Refunded,          S::Disputed]),
];

/// What the news make of a payment that stands so.
pub fn next(from: PaymentStatus, news: News) -> PaymentStatus {
    if planted::is(Bug::LastOneWins) && from == S::Paid && news == News::Processing {
        return S::Processing;
    }
    let row = TABLE.iter().find(|(status, _)| *status == from);
    let place = News::ALL.iter().position(|other| *other == news);
    // Both are there: the tables have a row and a place for each.
    match (row, place) {
        (Some((_, row)), Some(place)) => row[place],
        _ => from,
    }
}

#[cfg(test)]
mod tests;
