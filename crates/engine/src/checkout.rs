//! Checkouts from the caller's side: opens one and waits for its address, reads one when the customer comes back.

use std::time::Duration;

use bursar_domain::checkout::{OpenCheckout, SessionRead};
use bursar_domain::command::{AnswerKey, Command, Reply, Request, RequestHash};
use bursar_domain::id::PaymentId;
use bursar_domain::job::{JobKey, JobKind};
use bursar_domain::payment::Payment;
use tokio::sync::broadcast::{Receiver, error::RecvError};

use crate::{Answered, CallEnd, Engine, EngineError, bridge};

/// How long a caller waits for Stripe's answer. The job goes on without him.
pub(crate) const WAIT: Duration = Duration::from_secs(20);

impl Engine {
    /// Opens a checkout for a top-up, or gives the open one again, and waits until its address is known.
    ///
    /// `idempotency` is the key of the request and the digest of its body. When Stripe cannot be reached in time the answer
    /// is [`EngineError::Provider`]; the payment stays open, and asking again gives the same one.
    pub async fn open_checkout(
        &self,
        wish: OpenCheckout,
        idempotency: Option<(AnswerKey, RequestHash)>,
    ) -> Result<(Payment, bool), EngineError> {
        if !self.has_provider() {
            return Err(EngineError::NoProvider);
        }
        let mut ends = self.shared.call_ends.subscribe();
        let request = Request {
            command: Command::OpenCheckout(wish.clone()),
            idempotency,
        };
        let Answered {
            reply: Reply::Payment(payment),
            replayed,
        } = self.submit_once(request).await?
        else {
            return Err(EngineError::Stopping);
        };
        let id = payment.id;
        if replayed {
            self.hurry(&id, wish).await?;
        }
        let waited = tokio::time::timeout(WAIT, self.wait_for_session(&id, &mut ends)).await;
        let payment = waited.unwrap_or_else(|_| {
            let message = "Stripe has not answered yet: ask again for the same checkout".to_owned();
            Err(EngineError::Provider {
                code: "stripe_slow",
                message,
            })
        })?;
        Ok((payment, replayed))
    }

    /// A repeated request gets its remembered answer, which sets nothing in motion. Whoever asks again wants the session now.
    async fn hurry(&self, id: &PaymentId, wish: OpenCheckout) -> Result<(), EngineError> {
        let payment = self.payment(id).await?;
        if payment.status.is_open() && payment.session.is_none() {
            self.submit(Command::OpenCheckout(wish)).await?;
        }
        Ok(())
    }

    async fn wait_for_session(
        &self,
        id: &PaymentId,
        ends: &mut Receiver<(JobKey, CallEnd)>,
    ) -> Result<Payment, EngineError> {
        let key = JobKey::of_payment(JobKind::OpenSession, id);
        loop {
            let payment = self.payment(id).await?;
            if payment.session.is_some() {
                return Ok(payment);
            }
            if !payment.status.is_open() {
                let failure = payment.last_failure;
                let (code, message) = failure
                    .map_or_else(Default::default, |failure| (failure.code, failure.message));
                return Err(EngineError::ProviderRefused { code, message });
            }
            if let CallEnd::Deferred { code, message } = next_end(&key, ends).await {
                return Err(EngineError::Provider { code, message });
            }
        }
    }

    async fn payment(&self, id: &PaymentId) -> Result<Payment, EngineError> {
        let wanted = id.clone();
        let found = self.read(move |reader| reader.payment(&wanted)).await?;
        found.ok_or_else(|| bursar_domain::refusal::Refusal::PaymentNotFound.into())
    }

    /// Settles a payment by what its session says now: what the return page does. Gives the payment as it stands then;
    /// none if no payment of ours has this session.
    pub async fn settle_by_session(&self, session: &str) -> Result<Option<Payment>, EngineError> {
        let wanted = session.to_owned();
        let Some(payment) = self
            .read(move |reader| reader.payment_of_session(&wanted))
            .await?
        else {
            return Ok(None);
        };
        let Some(client) = self.stripe().filter(|_| payment.status.is_open()) else {
            return Ok(Some(payment));
        };
        let read = client.call(&bridge::outbound::read_session(session)).await;
        let session = read.map_err(|error| EngineError::Provider {
            code: error.code(),
            message: error.to_string(),
        })?;
        let fact = bridge::inbound::session_fact(&session);
        let read = SessionRead {
            payment: payment.id,
            claim: None,
            fact,
        };
        match self.submit(Command::SessionRead(read)).await? {
            Reply::Payment(payment) => Ok(Some(payment)),
            _ => Ok(None),
        }
    }
}

/// Waits for the end of this call. Having missed some means looking again.
pub(crate) async fn next_end(key: &JobKey, ends: &mut Receiver<(JobKey, CallEnd)>) -> CallEnd {
    loop {
        match ends.recv().await {
            Ok((ended, end)) if ended == *key => return end,
            Ok(_) => {}
            Err(RecvError::Lagged(_) | RecvError::Closed) => return CallEnd::Done,
        }
    }
}
