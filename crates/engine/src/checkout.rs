//! Payments from the caller's side: opens one and waits until Stripe knows it, reads one when the customer comes back.

use std::time::Duration;

use bursar_domain::checkout::{OpenCheckout, SessionRead};
use bursar_domain::command::{Command, Idempotency};
use bursar_domain::id::PaymentId;
use bursar_domain::intent::{IntentRead, OpenIntent};
use bursar_domain::job::{JobKey, JobKind};
use bursar_domain::payment::{Flow, Payment};
use bursar_domain::refusal::Refusal;
use bursar_stripe::object::{Hidden, PaymentIntent};
use tokio::sync::broadcast::{Receiver, error::RecvError};

use crate::{CallEnd, Engine, EngineError, Once, bridge};

/// How long a caller waits for Stripe's answer. The job goes on without him.
pub(crate) const WAIT: Duration = Duration::from_secs(20);

/// Another node may have made the call, and nobody here is told.
const LOOK: Duration = Duration::from_millis(700);

impl Engine {
    /// Opens a checkout for a top-up, or gives the open one again, and waits until its address is known.
    ///
    /// `idempotency` is the key of the request and the digest of its body. When Stripe cannot be reached in time the answer
    /// is [`EngineError::Provider`]; the payment stays open, and asking again gives the same one.
    pub async fn open_checkout(
        &self,
        wish: OpenCheckout,
        idempotency: Idempotency,
    ) -> Result<Once<Payment>, EngineError> {
        let job = JobKind::OpenSession;
        self.open(Command::OpenCheckout(wish), job, idempotency)
            .await
    }

    /// Opens a payment intent for a top-up, or gives the open one again, and waits until it is known. As
    /// [`open_checkout`](Self::open_checkout).
    pub async fn open_intent(
        &self,
        wish: OpenIntent,
        idempotency: Idempotency,
    ) -> Result<Once<Payment>, EngineError> {
        let job = JobKind::OpenIntent;
        self.open(Command::OpenIntent(wish), job, idempotency).await
    }

    pub(crate) async fn open(
        &self,
        command: Command,
        job: JobKind,
        idempotency: Idempotency,
    ) -> Result<Once<Payment>, EngineError> {
        if !self.has_provider() {
            return Err(EngineError::NoProvider);
        }
        let mut ends = self.shared.call_ends.subscribe();
        let asked: Once<Payment> = self.ask(command.clone(), idempotency).await?;
        let replayed = asked.replayed;
        let id = asked.into_inner().id;
        if replayed {
            self.hurry(&id, command).await?;
        }
        let key = JobKey::of_payment(job, &id);
        let waited = tokio::time::timeout(WAIT, self.wait_until_bound(&id, &key, &mut ends)).await;
        let value = waited.unwrap_or_else(|_| {
            let message = "Stripe has not answered yet: ask again for the same payment".to_owned();
            Err(EngineError::Provider {
                code: "stripe_slow",
                message,
            })
        })?;
        Ok(Once { value, replayed })
    }

    /// A repeated request gets its remembered answer, which sets nothing in motion. Whoever asks again wants it now.
    async fn hurry(&self, id: &PaymentId, command: Command) -> Result<(), EngineError> {
        let payment = self.payment(id).await?;
        if payment.status.is_open() && !payment.is_bound() {
            self.submit(command).await?;
        }
        Ok(())
    }

    async fn wait_until_bound(
        &self,
        id: &PaymentId,
        key: &JobKey,
        ends: &mut Receiver<(JobKey, CallEnd)>,
    ) -> Result<Payment, EngineError> {
        loop {
            let payment = self.payment(id).await?;
            if payment.is_bound() {
                return Ok(payment);
            }
            if !payment.status.is_open() {
                let failure = payment.last_failure;
                let (code, message) = failure
                    .map_or_else(Default::default, |failure| (failure.code, failure.message));
                return Err(EngineError::ProviderRefused { code, message });
            }
            if let CallEnd::Deferred { code, message } = next_end(key, ends).await {
                return Err(EngineError::Provider { code, message });
            }
        }
    }

    async fn payment(&self, id: &PaymentId) -> Result<Payment, EngineError> {
        let wanted = id.clone();
        let found = self.read(move |reader| reader.payment(&wanted)).await?;
        found.ok_or_else(|| Refusal::PaymentNotFound.into())
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
        self.settle(payment).await.map(Some)
    }

    /// Settles a payment by what its session or its intent says now, if it is open. Gives the payment as it stands then.
    pub async fn settle(&self, payment: Payment) -> Result<Payment, EngineError> {
        let client = self.stripe().filter(|_| payment.status.is_open());
        let Some(client) = client else {
            return Ok(payment);
        };
        let command = match (payment.flow, &payment.session, &payment.intent) {
            (Flow::Checkout, Some(session), _) => {
                let asked = bridge::outbound::read_session(session);
                let session = client.call(&asked).await.map_err(unanswered)?;
                Command::SessionRead(SessionRead {
                    payment: payment.id.clone(),
                    claim: None,
                    fact: bridge::inbound::session_fact(&session),
                })
            }
            (Flow::Intent | Flow::OffSession, _, Some(intent)) => {
                let asked = bridge::outbound::read_intent(intent);
                let intent = client.call(&asked).await.map_err(unanswered)?;
                Command::IntentRead(IntentRead {
                    payment: payment.id.clone(),
                    claim: None,
                    fact: bridge::inbound::intent_fact(&intent),
                })
            }
            _ => return Ok(payment),
        };
        let Once { value, .. } = self.ask(command, None).await?;
        Ok(value)
    }

    /// What a page of the product confirms a payment with. Asked for anew each time, and kept nowhere.
    pub async fn client_secret(&self, payment: &Payment) -> Result<Hidden, EngineError> {
        let client = self.stripe().ok_or(EngineError::NoProvider)?;
        let intent = payment.intent.as_ref().ok_or(Refusal::PaymentNotFound)?;
        let asked = bridge::outbound::read_intent(intent);
        let intent: PaymentIntent = client.call(&asked).await.map_err(unanswered)?;
        intent.client_secret.ok_or_else(|| EngineError::Provider {
            code: "stripe_answer_garbled",
            message: "Stripe's answer has no client secret".to_owned(),
        })
    }
}

/// What a caller who waits is told of a call that gave no result.
#[expect(
    clippy::needless_pass_by_value,
    reason = "made for map_err, which hands the error over"
)]
pub(crate) fn unanswered(error: bursar_stripe::Error) -> EngineError {
    EngineError::Provider {
        code: error.code(),
        message: error.to_string(),
    }
}

/// Waits for the end of this call. Having missed some means looking again.
pub(crate) async fn next_end(key: &JobKey, ends: &mut Receiver<(JobKey, CallEnd)>) -> CallEnd {
    loop {
        let Ok(end) = tokio::time::timeout(LOOK, ends.recv()).await else {
            return CallEnd::Done;
        };
        match end {
            Ok((ended, end)) if ended == *key => return end,
            Ok(_) => {}
            Err(RecvError::Lagged(_) | RecvError::Closed) => return CallEnd::Done,
        }
    }
}
