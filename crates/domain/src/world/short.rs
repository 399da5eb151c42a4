//! Short words for what tests ask most.

use super::{World, user};
use crate::account::{AccountKey, AccountKind};
use crate::amount::{Amount, Unit};
use crate::announcement::Happening;
use crate::charge::{Charge, Charged, Price};
use crate::command::{Command, Reply};
use crate::grant::{Category, CreateGrant, Grant, Source};
use crate::hold::{CreateHold, Hold, Overage};
use crate::id::{GrantId, HoldId};
use crate::journal::Remark;
use crate::limit::{SetLimit, Spender, SpendingLimit};
use crate::refusal::Refusal;

/// The credits of the first user.
pub(crate) fn credits() -> AccountKey {
    AccountKey::wallet(&user(0))
}

/// Sold credits for the first user that can be spent at once and never expire.
pub(crate) fn terms(amount: i64) -> CreateGrant {
    let amount = Amount::credits(amount);
    CreateGrant::plain(user(0), amount, Category::Paid, Source::Manual)
}

pub(crate) fn plain_charge(number: usize, amount: i64) -> Charge {
    Charge {
        user: user(number),
        unit: Unit::CREDIT,
        price: Price::Exactly(amount),
        allow_debt: false,
        spender: Spender::default(),
        remark: Remark::default(),
    }
}

impl World {
    pub(crate) fn wait(&mut self, seconds: i64) {
        self.now = self.now.plus_seconds(seconds);
    }

    /// Books all that is due.
    pub(crate) fn sweep(&mut self) {
        self.ask(Command::Sweep(self.due())).unwrap();
        self.check();
    }

    pub(crate) fn give(&mut self, terms: CreateGrant) -> Grant {
        match self.ask(Command::CreateGrant(terms)) {
            Ok(Reply::Grant(grant)) => grant,
            other => panic!("{other:?}"),
        }
    }

    /// Charges the first user.
    pub(crate) fn charge(&mut self, amount: i64) -> Result<Charged, Refusal> {
        self.charge_as(plain_charge(0, amount))
    }

    pub(crate) fn charge_as(&mut self, charge: Charge) -> Result<Charged, Refusal> {
        match self.ask(Command::Charge(charge))? {
            Reply::Charged(charged) => Ok(charged),
            other => panic!("{other:?}"),
        }
    }

    /// Charges the first user, who may go into debt.
    pub(crate) fn owe(&mut self, amount: i64) {
        let charge = Charge {
            allow_debt: true,
            ..plain_charge(0, amount)
        };
        self.charge_as(charge).unwrap();
    }

    /// Reserves credits of the first user for so many seconds.
    pub(crate) fn hold(&mut self, amount: i64, seconds: i64, overage: Overage) -> Hold {
        let wish = CreateHold {
            charge: plain_charge(0, amount),
            seconds: Some(seconds),
            overage: Some(overage),
        };
        self.hold_as(wish).unwrap()
    }

    pub(crate) fn hold_as(&mut self, wish: CreateHold) -> Result<Hold, Refusal> {
        self.ask_hold(Command::CreateHold(wish))
    }

    /// Asks for something that is answered with a hold.
    pub(crate) fn ask_hold(&mut self, command: Command) -> Result<Hold, Refusal> {
        match self.ask(command)? {
            Reply::Hold(hold) => Ok(hold),
            other => panic!("{other:?}"),
        }
    }

    pub(crate) fn settle(&mut self, hold: HoldId, used: i64) -> Result<Hold, Refusal> {
        self.ask_hold(Command::SettleHold {
            hold,
            used,
            remark: Remark::default(),
        })
    }

    pub(crate) fn release(&mut self, hold: HoldId) -> Result<Hold, Refusal> {
        self.ask_hold(Command::ReleaseHold {
            hold,
            remark: Remark::default(),
        })
    }

    pub(crate) fn void(&mut self, grant: GrantId) -> Result<Grant, Refusal> {
        let remark = Remark::default();
        match self.ask(Command::VoidGrant { grant, remark })? {
            Reply::Grant(grant) => Ok(grant),
            other => panic!("{other:?}"),
        }
    }

    pub(crate) fn set_limit(&mut self, wish: SetLimit) -> SpendingLimit {
        match self.ask(Command::SetLimit(wish)) {
            Ok(Reply::Limit(limit)) => limit,
            other => panic!("{other:?}"),
        }
    }

    /// What an account of the house has, in credits.
    pub(crate) fn house(&self, kind: AccountKind) -> i128 {
        let key = AccountKey::house(kind, Unit::CREDIT);
        let report = self.audit();
        report.balances.get(&key).copied().unwrap_or(0)
    }

    /// What was announced of one kind.
    pub(crate) fn announced(&self, kind: &str) -> Vec<Happening> {
        let happenings = self.announcements.iter().map(|it| it.happening.clone());
        happenings.filter(|it| it.kind() == kind).collect()
    }
}
