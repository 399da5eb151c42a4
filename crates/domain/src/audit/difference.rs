//! What an audit can find.

use std::fmt;

use crate::account::AccountKind;
use crate::id::GrantId;
use crate::journal::Reason;

/// Something that does not add up.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(
    missing_docs,
    reason = "the text of each variant says what its fields are"
)]
pub enum Difference {
    UnknownAccount {
        posting: i64,
        account: i64,
    },
    MixedUnits {
        posting: i64,
    },
    NotPositive {
        posting: i64,
    },
    Gap {
        after: i64,
        found: i64,
    },
    BrokenChain {
        posting: i64,
        account: i64,
    },
    WrongRunningBalance {
        posting: i64,
        account: i64,
        stored: i64,
        rebuilt: i128,
    },
    WrongBalance {
        account: i64,
        stored: i64,
        rebuilt: i128,
    },
    WrongEntryCount {
        account: i64,
        stored: i64,
        rebuilt: i64,
    },
    WrongHead {
        account: i64,
        stored: i64,
        rebuilt: i64,
    },
    RowTooOld {
        account: i64,
        head: i64,
        posting: i64,
    },
    ForeignGrant {
        posting: i64,
        grant: GrantId,
    },
    WrongRemaining {
        grant: GrantId,
        stored: i64,
        rebuilt: i128,
    },
    BelowZero {
        grant: GrantId,
        left: i128,
    },
    HeldTwice {
        grant: GrantId,
        held: i128,
        left: i128,
    },
    Overpaid {
        account: i64,
        paid: i128,
    },
    WrongWay {
        posting: i64,
        reason: Reason,
        from: AccountKind,
        to: AccountKind,
    },
    TransactionGap {
        posting: i64,
        after: i64,
        found: i64,
    },
    Unexplained {
        what: String,
    },
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownAccount { .. }
            | Self::MixedUnits { .. }
            | Self::NotPositive { .. }
            | Self::Gap { .. }
            | Self::TransactionGap { .. }
            | Self::WrongWay { .. } => self.fmt_posting(f),
            Self::BrokenChain { .. }
            | Self::WrongRunningBalance { .. }
            | Self::WrongBalance { .. }
            | Self::WrongEntryCount { .. }
            | Self::WrongHead { .. }
            | Self::RowTooOld { .. }
            | Self::Overpaid { .. } => self.fmt_account(f),
            Self::ForeignGrant { .. }
            | Self::WrongRemaining { .. }
            | Self::BelowZero { .. }
            | Self::HeldTwice { .. } => self.fmt_grant(f),
            Self::Unexplained { what } => f.write_str(what),
        }
    }
}

impl Difference {
    fn fmt_posting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownAccount { posting, account } => write!(
                f,
                "posting {posting} names account {account}, which does not exist"
            ),
            Self::MixedUnits { posting } => {
                write!(f, "posting {posting} connects accounts of two units")
            }
            Self::NotPositive { posting } => {
                write!(f, "posting {posting} moves an amount that is not positive")
            }
            Self::Gap { after, found } => write!(
                f,
                "posting {found} follows posting {after}: numbers are missing"
            ),
            Self::TransactionGap {
                posting,
                after,
                found,
            } => write!(
                f,
                "posting {posting} belongs to transaction {found} and follows one of transaction {after}"
            ),
            Self::WrongWay {
                posting,
                reason,
                from,
                to,
            } => write!(
                f,
                "posting {posting} of a transaction with the reason {} goes from {} to {}",
                reason.as_str(),
                from.as_str(),
                to.as_str()
            ),
            _ => Ok(()),
        }
    }

    fn fmt_account(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BrokenChain { posting, account } => write!(
                f,
                "posting {posting} does not continue the chain of account {account}"
            ),
            Self::WrongRunningBalance {
                posting,
                account,
                stored,
                rebuilt,
            } => write!(
                f,
                "posting {posting} leaves account {account} at {stored}; the journal adds up to {rebuilt}"
            ),
            Self::WrongBalance {
                account,
                stored,
                rebuilt,
            } => write!(
                f,
                "account {account} has a balance of {stored}; the journal adds up to {rebuilt}"
            ),
            Self::WrongEntryCount {
                account,
                stored,
                rebuilt,
            } => write!(
                f,
                "account {account} counts {stored} entries; the journal has {rebuilt}"
            ),
            Self::WrongHead {
                account,
                stored,
                rebuilt,
            } => write!(
                f,
                "account {account} points to posting {stored} as its newest; it is {rebuilt}"
            ),
            Self::RowTooOld {
                account,
                head,
                posting,
            } => write!(
                f,
                "the row of account {account} was written at posting {head} and misses posting {posting}"
            ),
            Self::Overpaid { account, paid } => write!(
                f,
                "account {account} was paid {paid} back without a debt and without a grant"
            ),
            _ => Ok(()),
        }
    }

    fn fmt_grant(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ForeignGrant { posting, grant } => write!(
                f,
                "posting {posting} moves value of {grant}, which is not a grant of that wallet"
            ),
            Self::WrongRemaining {
                grant,
                stored,
                rebuilt,
            } => write!(
                f,
                "{grant} has {stored} left; the journal adds up to {rebuilt}"
            ),
            Self::BelowZero { grant, left } => {
                write!(f, "{grant} has {left} left, less than nothing")
            }
            Self::HeldTwice { grant, held, left } => write!(
                f,
                "open holds reserve {held} of {grant}, which has {left} left"
            ),
            _ => Ok(()),
        }
    }
}
