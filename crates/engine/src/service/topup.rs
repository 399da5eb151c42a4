//! Top-ups: wished for, read, finished, canceled; and the desk at which a payment finishes one.

use bursar_domain::command::Command;
use bursar_domain::id::TopupId;
use bursar_domain::journal::Remark;
use bursar_domain::refusal::Refusal;
use bursar_domain::text::REFERENCE_MAX;
use bursar_domain::topup::{CreateTopup, Topup, TopupStatus, Wish};
use bursar_store::query::{Page, PageRequest, TopupFilter};

use super::asked::{Asked, keyed};
use super::{Balance, ServiceError, form};
use crate::{Engine, EngineError, Once};

async fn read(engine: &Engine, topup: &TopupId) -> Result<Topup, ServiceError> {
    let wanted = topup.clone();
    let found = engine.read(move |reader| reader.topup(&wanted)).await?;
    found.ok_or_else(|| Refusal::TopupNotFound.into())
}

fn of(topup: &TopupId, remark: &Remark) -> Asked {
    let asked = Asked::default().text("topup_id", topup.as_str());
    asked.remark(remark)
}

impl Balance {
    /// Wishes for credits, at the price of the moment.
    pub async fn create_topup(
        &self,
        wish: CreateTopup,
        key: Option<&str>,
    ) -> Result<Once<Topup>, ServiceError> {
        let remark = form::remark(wish.remark)?;
        let wish = CreateTopup { remark, ..wish };
        // All fields by name, so that one that is added and forgotten here does not compile.
        let CreateTopup {
            user,
            wish: what,
            currency,
            coupon,
            remark,
        } = &wish;
        let asked = Asked::default().text("user_id", user.as_str());
        let asked = match what {
            Wish::Credits(credits) => asked.number("credits", *credits),
            Wish::Package(id) => asked.text("package_id", id),
            Wish::Money { paid, price } => asked
                .number("paid", paid.minor)
                .text("paid_in", paid.unit.code())
                .number("price_steps", price.numerator)
                .number("price_credits", price.denominator)
                .text("price_in", price.currency.code()),
        };
        let asked = asked
            .text("currency", currency.map_or("", |currency| currency.code()))
            .text("coupon", coupon.as_deref().unwrap_or_default())
            .remark(remark);
        let key = keyed("topups.create", key, &asked)?;
        Ok(self.engine.ask(Command::CreateTopup(wish), key).await?)
    }

    /// One top-up.
    pub async fn read_topup(&self, topup: &TopupId) -> Result<Topup, ServiceError> {
        read(&self.engine, topup).await
    }

    /// Top-ups, the newest first.
    pub async fn topups(
        &self,
        filter: TopupFilter,
        request: PageRequest,
    ) -> Result<Page<Topup>, ServiceError> {
        form::check_page(&request)?;
        let read = self
            .engine
            .read(move |reader| reader.topups(&filter, &request));
        Ok(read.await?)
    }

    /// Finishes a top-up by hand: credits the wallet, once. A paid one stays as it is.
    pub async fn finish_topup(
        &self,
        topup: &TopupId,
        remark: Remark,
        key: Option<&str>,
    ) -> Result<Once<Topup>, ServiceError> {
        let remark = form::remark(remark)?;
        let key = keyed("topups.finish", key, &of(topup, &remark))?;
        let topup = topup.clone();
        let command = Command::FinishTopup { topup, remark };
        Ok(self.engine.ask(command, key).await?)
    }

    /// Gives a pending top-up up. A canceled one stays as it is.
    pub async fn cancel_topup(
        &self,
        topup: &TopupId,
        remark: Remark,
        key: Option<&str>,
    ) -> Result<Once<Topup>, ServiceError> {
        let remark = form::remark(remark)?;
        let key = keyed("topups.cancel", key, &of(topup, &remark))?;
        let topup = topup.clone();
        let command = Command::CancelTopup { topup, remark };
        Ok(self.engine.ask(command, key).await?)
    }
}

/// The two things that payments may do to a wallet: read a top-up, and finish it.
#[derive(Debug, Clone)]
pub struct TopupDesk {
    engine: Engine,
}

impl TopupDesk {
    pub(super) fn new(engine: Engine) -> Self {
        Self { engine }
    }

    /// One top-up.
    pub async fn read(&self, topup: &TopupId) -> Result<Topup, ServiceError> {
        read(&self.engine, topup).await
    }

    /// Finishes a pending top-up, once, for a payment that is called `reference` among all payments of all providers; it becomes
    /// the reference of the top-up. The same again gives the same top-up. Another payment for a paid top-up is refused, and so is
    /// the same payment for another top-up: whoever gets these answers has money that nobody was credited for.
    ///
    /// A top-up that was given up, or has expired at another provider, is not paid by this: a person has to look.
    pub async fn finish(
        &self,
        topup: &TopupId,
        reference: &str,
    ) -> Result<Once<Topup>, ServiceError> {
        form::check_reference(reference, REFERENCE_MAX)?;
        // The top-up is looked at first: a refusal by the command would be remembered under the payment, which could then pay
        // nothing else. Whatever changes between this look and the command, the command finds.
        let before = self.read(topup).await?;
        match before.status {
            TopupStatus::Pending => {}
            TopupStatus::Paid => check_paid_by(&before, reference)?,
            status @ (TopupStatus::Canceled | TopupStatus::Expired | TopupStatus::Failed) => {
                return Err(Refusal::TopupNotPending { status }.into());
            }
        }
        let remark = Remark {
            reference: reference.to_owned(),
            ..Remark::default()
        };
        // The payment is the key, so that it pays one top-up and no other. That a top-up is paid once is a rule of the domain.
        let asked = Asked::default().text("topup_id", topup.as_str());
        let key = asked.under_own("topups.finish_by_payment", reference);
        let command = Command::FinishTopup {
            topup: topup.clone(),
            remark,
        };
        match self.engine.ask::<Topup>(command, Some(key)).await {
            Ok(finished) => {
                check_paid_by(&finished, reference)?;
                Ok(Once {
                    replayed: finished.replayed || before.status == TopupStatus::Paid,
                    value: finished.value,
                })
            }
            Err(EngineError::Refused(Refusal::IdempotencyKeyReused)) => {
                Err(ServiceError::ReferenceSpent {
                    topup: topup.clone(),
                    reference: reference.to_owned(),
                })
            }
            Err(error) => Err(error.into()),
        }
    }
}

/// Whether it was this payment that has paid the top-up, and not another one or an administrator.
fn check_paid_by(topup: &Topup, reference: &str) -> Result<(), ServiceError> {
    if topup.remark.reference == reference {
        return Ok(());
    }
    Err(ServiceError::PaidBefore {
        topup: topup.id.clone(),
        reference: reference.to_owned(),
    })
}
