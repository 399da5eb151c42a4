//! Usage: facts about what was consumed, and hooks that record them. What something costs, other hooks say.

use bursar_domain::command::Command;
use bursar_domain::id::UserId;
use bursar_domain::usage::{RecordUsage, UsageEvent, UsageStatus};
use bursar_store::query::{Page, PageRequest, UsageFilter, UsageSum};

use super::asked::{Asked, keyed};
use super::hook::{Call, Hooks};
use super::{ServiceError, form};
use crate::{Engine, Once};

/// Facts about what was used. Clones share the engine.
#[derive(Debug, Clone)]
pub struct Usage {
    engine: Engine,
    record_errors: bool,
}

/// What a fact asks to be recorded. All fields by name, so that one that is added and forgotten here does not compile.
fn asked(fact: &RecordUsage) -> Asked {
    let RecordUsage {
        user,
        service,
        variant,
        quantity,
        status,
        meta,
    } = fact;
    Asked::default()
        .text("user_id", user.as_str())
        .text("service", service)
        .text("variant", variant)
        .number("quantity", *quantity)
        .text("status", status.as_str())
        .text("meta", meta)
}

fn in_form(fact: RecordUsage) -> Result<RecordUsage, ServiceError> {
    form::check_name("service", &fact.service)?;
    if !fact.variant.is_empty() {
        form::check_name("variant", &fact.variant)?;
    }
    let meta = form::meta(&fact.meta)?;
    Ok(RecordUsage { meta, ..fact })
}

/// The fact that a call has ended so.
fn fact(call: &Call, status: UsageStatus) -> RecordUsage {
    RecordUsage {
        user: call.user.clone(),
        service: call.service.clone(),
        variant: call.variant.clone(),
        quantity: call.quantity,
        status,
        meta: call.meta.clone(),
    }
}

impl Usage {
    /// Usage as an engine knows it. Hooks record successes only.
    pub fn new(engine: Engine) -> Self {
        Self {
            engine,
            record_errors: false,
        }
    }

    /// The same, but hooks record (or do not record) calls that failed, too.
    pub fn record_errors(self, record_errors: bool) -> Self {
        Self {
            record_errors,
            ..self
        }
    }

    /// Adds hooks that record each call: once under its key, however often it is repeated. A call that could not be recorded, because
    /// a name in it is wrong, is refused before its work begins.
    pub fn install<T: 'static, E: 'static>(&self, hooks: Hooks<T, E>) -> Hooks<T, E> {
        let (succeeded, failed) = (self.clone(), self.clone());
        let hooks = hooks
            .before(|call| {
                let recordable = in_form(fact(call, UsageStatus::Success));
                let checked = recordable.and_then(|_| form::check_key(&call.key));
                async move { checked }
            })
            .after(move |call, _| succeeded.clone().ended(call, UsageStatus::Success));
        if self.record_errors {
            hooks.on_error(move |call, _| failed.clone().ended(call, UsageStatus::Error))
        } else {
            hooks
        }
    }

    fn ended(
        self,
        call: &Call,
        status: UsageStatus,
    ) -> impl Future<Output = Result<(), ServiceError>> + use<> {
        let (fact, key) = (fact(call, status), call.key.clone());
        // A call that failed may be repeated under its key and succeed: two facts.
        let operation = match status {
            UsageStatus::Success => "usage.success",
            UsageStatus::Error => "usage.error",
        };
        async move {
            self.record_as(operation, fact, Some(&key)).await?;
            Ok(())
        }
    }

    /// Records a fact.
    pub async fn record(
        &self,
        fact: RecordUsage,
        key: Option<&str>,
    ) -> Result<Once<UsageEvent>, ServiceError> {
        self.record_as("usage.record", fact, key).await
    }

    async fn record_as(
        &self,
        operation: &str,
        fact: RecordUsage,
        key: Option<&str>,
    ) -> Result<Once<UsageEvent>, ServiceError> {
        let fact = in_form(fact)?;
        let key = keyed(operation, key, &asked(&fact))?;
        Ok(self.engine.ask(Command::RecordUsage(fact), key).await?)
    }

    /// What was used, the newest first.
    pub async fn events(
        &self,
        filter: UsageFilter,
        request: PageRequest,
    ) -> Result<Page<UsageEvent>, ServiceError> {
        form::check_page(&request)?;
        let events = self
            .engine
            .read(move |reader| reader.usage(&filter, &request));
        Ok(events.await?)
    }

    /// What one user has used, whoever the filter names.
    pub async fn me(
        &self,
        user: &UserId,
        filter: UsageFilter,
        request: PageRequest,
    ) -> Result<Page<UsageEvent>, ServiceError> {
        let user = Some(user.clone());
        self.events(UsageFilter { user, ..filter }, request).await
    }

    /// How much was used, by service, variant and end.
    pub async fn summary(&self, filter: UsageFilter) -> Result<Vec<UsageSum>, ServiceError> {
        let sums = self
            .engine
            .read(move |reader| reader.usage_summary(&filter));
        Ok(sums.await?)
    }
}
