//! Spending limits: set, listed, removed.

use bursar_domain::command::Command;
use bursar_domain::id::{LimitId, UserId};
use bursar_domain::limit::{SetLimit, SpendingLimit, Subject, SubjectKind};
use bursar_store::query::{Page, PageRequest};

use super::asked::{Asked, keyed};
use super::{Balance, ServiceError, form};
use crate::Once;

/// A limit on a name that no charge can have would never count anything.
fn check_subject(kind: SubjectKind, name: &str) -> Result<(), ServiceError> {
    match kind {
        SubjectKind::User if UserId::parse(name).is_some() => Ok(()),
        SubjectKind::User => Err(ServiceError::invalid("subject", "must be the id of a user")),
        SubjectKind::ApiKey | SubjectKind::Label => form::check_name("subject", name),
    }
}

impl Balance {
    /// Sets a limit. One of the same subject, unit and period gets the new amount and keeps what was spent.
    pub async fn set_limit(
        &self,
        wish: SetLimit,
        key: Option<&str>,
    ) -> Result<Once<SpendingLimit>, ServiceError> {
        // All fields by name, so that one that is added and forgotten here does not compile.
        let SetLimit {
            subject: Subject { kind, name },
            most,
            period,
        } = &wish;
        check_subject(*kind, name)?;
        let asked = Asked::default()
            .text("subject_type", kind.as_str())
            .text("subject", name)
            .number("credits", most.minor)
            .text("unit", &most.unit.to_string())
            .text("period", period.as_str());
        let key = keyed("limits.set", key, &asked)?;
        Ok(self.engine.ask(Command::SetLimit(wish), key).await?)
    }

    /// Takes a limit away.
    pub async fn remove_limit(
        &self,
        limit: LimitId,
        key: Option<&str>,
    ) -> Result<Once<SpendingLimit>, ServiceError> {
        let asked = Asked::default().text("limit_id", &limit.to_string());
        let key = keyed("limits.remove", key, &asked)?;
        Ok(self.engine.ask(Command::RemoveLimit(limit), key).await?)
    }

    /// Spending limits, of one subject or all, the newest first.
    pub async fn limits(
        &self,
        subject: Option<Subject>,
        request: PageRequest,
    ) -> Result<Page<SpendingLimit>, ServiceError> {
        form::check_page(&request)?;
        let limits = self
            .engine
            .read(move |reader| reader.limits(subject.as_ref(), &request));
        Ok(limits.await?)
    }
}
