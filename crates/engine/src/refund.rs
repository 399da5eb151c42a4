//! Refunds from the caller's side: asks for one and waits for what Stripe says of it.

use bursar_domain::command::{Command, Idempotency};
use bursar_domain::id::RefundId;
use bursar_domain::job::{JobKey, JobKind};
use bursar_domain::refund::{Refund, RefundStatus, RequestRefund};
use bursar_domain::refusal::Refusal;
use tokio::sync::broadcast::Receiver;

use crate::checkout::{WAIT, next_end};
use crate::{CallEnd, Engine, EngineError, Once};

impl Engine {
    /// Asks for a refund and waits for Stripe's answer, if no second administrator has to agree first.
    ///
    /// `idempotency` is the key of the request and the digest of its body. When Stripe cannot be reached in time the refund is given
    /// as [`RefundStatus::Requested`]: it stays owed and is tried again. One that Stripe does not make is
    /// [`EngineError::ProviderRefused`].
    pub async fn request_refund(
        &self,
        wish: RequestRefund,
        idempotency: Idempotency,
    ) -> Result<Once<Refund>, EngineError> {
        self.refund_by(Command::RequestRefund(wish), idempotency)
            .await
    }

    /// Agrees to a refund, or does not, as a second administrator. Waits as [`Engine::request_refund`] does.
    pub async fn decide_refund(
        &self,
        refund: RefundId,
        agrees: bool,
        by: String,
        idempotency: Idempotency,
    ) -> Result<Once<Refund>, EngineError> {
        let command = Command::DecideRefund { refund, agrees, by };
        self.refund_by(command, idempotency).await
    }

    async fn refund_by(
        &self,
        command: Command,
        idempotency: Idempotency,
    ) -> Result<Once<Refund>, EngineError> {
        if !self.has_provider() {
            return Err(EngineError::NoProvider);
        }
        let mut ends = self.shared.call_ends.subscribe();
        let Once {
            value: refund,
            replayed,
        } = self.ask::<Refund>(command, idempotency).await?;
        let waited = tokio::time::timeout(WAIT, self.wait_for_refund(&refund.id, &mut ends)).await;
        let refund = match waited {
            Ok(refund) => refund?,
            Err(_) => self.refund(&refund.id).await?,
        };
        match refused_by_provider(&refund) {
            Some(refused) => Err(refused),
            None => Ok(Once {
                value: refund,
                replayed,
            }),
        }
    }

    async fn wait_for_refund(
        &self,
        id: &RefundId,
        ends: &mut Receiver<(JobKey, CallEnd)>,
    ) -> Result<Refund, EngineError> {
        let key = JobKey::of_refund(JobKind::SendRefund, id);
        loop {
            let refund = self.refund(id).await?;
            if refund.status != RefundStatus::Requested {
                return Ok(refund);
            }
            if let CallEnd::Deferred { .. } = next_end(&key, ends).await {
                return Ok(refund);
            }
        }
    }

    async fn refund(&self, id: &RefundId) -> Result<Refund, EngineError> {
        let wanted = id.clone();
        let found = self.read(move |reader| reader.refund(&wanted)).await?;
        found.ok_or_else(|| Refusal::RefundNotFound.into())
    }
}

/// What Stripe said to a refund that it does not make; none if it makes it, or if an administrator did not agree.
fn refused_by_provider(refund: &Refund) -> Option<EngineError> {
    if refund.status != RefundStatus::Refused || refund.failure.is_empty() {
        return None;
    }
    let said = refund.failure.split_once(": ");
    let (code, message) = said.unwrap_or(("provider_refused", &refund.failure));
    Some(EngineError::ProviderRefused {
        code: code.to_owned(),
        message: message.to_owned(),
    })
}
