//! Holds: reserve, report progress, extend, settle, release.

use bursar_domain::command::Command;
use bursar_domain::hold::{CreateHold, Hold, Overage};
use bursar_domain::id::HoldId;
use bursar_domain::journal::Remark;
use bursar_domain::refusal::Refusal;
use bursar_store::query::{HoldFilter, Page, PageRequest};

use super::asked::{Asked, keyed};
use super::{Balance, ServiceError, charge, form};
use crate::Once;

fn of(hold: HoldId) -> Asked {
    Asked::default().text("hold_id", &hold.to_string())
}

impl Balance {
    /// Reserves something whose cost is not known yet. It may not make debt.
    pub async fn create_hold(
        &self,
        wish: CreateHold,
        key: Option<&str>,
    ) -> Result<Once<Hold>, ServiceError> {
        let charge = form::charge(wish.charge)?;
        let wish = CreateHold { charge, ..wish };
        // All fields by name, so that one that is added and forgotten here does not compile.
        let CreateHold {
            charge,
            seconds,
            overage,
        } = &wish;
        let asked = charge::asked(charge)
            .number("expires_in", *seconds)
            .text("overage", overage.map_or("", Overage::as_str));
        let key = keyed("holds.create", key, &asked)?;
        Ok(self.engine.ask(Command::CreateHold(wish), key).await?)
    }

    /// Says how much was used so far. Reports count up.
    pub async fn progress_hold(
        &self,
        hold: HoldId,
        used: i64,
        key: Option<&str>,
    ) -> Result<Once<Hold>, ServiceError> {
        let key = keyed("holds.progress", key, &of(hold).number("credits", used))?;
        Ok(self
            .engine
            .ask(Command::ProgressHold { hold, used }, key)
            .await?)
    }

    /// Reserves more, or for so many seconds from now, or both.
    pub async fn extend_hold(
        &self,
        hold: HoldId,
        more: i64,
        seconds: Option<i64>,
        key: Option<&str>,
    ) -> Result<Once<Hold>, ServiceError> {
        if more == 0 && seconds.is_none() {
            let rule = "is 0, and no time is given: say what to extend";
            return Err(ServiceError::invalid("credits", rule));
        }
        let asked = of(hold)
            .number("credits", more)
            .number("expires_in", seconds);
        let key = keyed("holds.extend", key, &asked)?;
        let command = Command::ExtendHold {
            hold,
            more,
            seconds,
        };
        Ok(self.engine.ask(command, key).await?)
    }

    /// Ends a hold with what it came to, and gives the rest back. Settled for the same again it is the same answer.
    pub async fn settle_hold(
        &self,
        hold: HoldId,
        used: i64,
        remark: Remark,
        key: Option<&str>,
    ) -> Result<Once<Hold>, ServiceError> {
        let remark = form::remark(remark)?;
        let asked = of(hold).number("credits", used).remark(&remark);
        let key = keyed("holds.settle", key, &asked)?;
        Ok(self
            .engine
            .ask(Command::SettleHold { hold, used, remark }, key)
            .await?)
    }

    /// Gives a hold back whole.
    pub async fn release_hold(
        &self,
        hold: HoldId,
        remark: Remark,
        key: Option<&str>,
    ) -> Result<Once<Hold>, ServiceError> {
        let remark = form::remark(remark)?;
        let key = keyed("holds.release", key, &of(hold).remark(&remark))?;
        Ok(self
            .engine
            .ask(Command::ReleaseHold { hold, remark }, key)
            .await?)
    }

    /// One hold.
    pub async fn read_hold(&self, hold: HoldId) -> Result<Hold, ServiceError> {
        let found = self.engine.read(move |reader| reader.hold(hold)).await?;
        found.ok_or_else(|| Refusal::HoldNotFound.into())
    }

    /// Holds, the newest first.
    pub async fn holds(
        &self,
        filter: HoldFilter,
        request: PageRequest,
    ) -> Result<Page<Hold>, ServiceError> {
        form::check_page(&request)?;
        let holds = self
            .engine
            .read(move |reader| reader.holds(&filter, &request));
        Ok(holds.await?)
    }
}
