//! What comes from Stripe, and what workers bring.

use bursar_domain::adoption::{Adopt, Said};
use bursar_domain::checkout::SessionOpened;
use bursar_domain::command::{Command, Reply};
use bursar_domain::event::{EventStatus, ReceiveEvent};
use bursar_domain::id::PaymentId;
use bursar_domain::job::{Claim, LEASE_SECONDS};
use bursar_domain::notice::SessionFact;
use bursar_domain::refund::RefundSent;
use bursar_domain::reversal::ReturnsRead;
use bursar_domain::time::Time;

use super::Model;
use super::expect::Outcome;

impl Model {
    pub(super) fn take_told(
        &mut self,
        command: &Command,
        outcome: &Outcome,
        now: Time,
    ) -> Result<(), String> {
        match (command, outcome) {
            (Command::ReceiveEvent(event), outcome) => self.receive(event, outcome),
            (Command::ApplyEvents(events), Ok(Reply::Applied(statuses))) => {
                let applied = events.iter().zip(statuses);
                let mut applied = applied.filter(|(_, status)| **status == EventStatus::Applied);
                applied.try_for_each(|(event, _)| self.hear(&event.notice))
            }
            (Command::ClaimJob(key), Ok(Reply::Claimed(claim))) => {
                let held = self.claims.get(key).filter(|(_, until)| *until > now);
                if held.is_some() {
                    return Err(format!("{key:?} was claimed while somebody held it"));
                }
                let until = now.plus_seconds(LEASE_SECONDS);
                self.claims.insert(key.clone(), (claim.token, until));
                Ok(())
            }
            (Command::SessionOpened(opened), Ok(_)) => self.session_opened(opened),
            (Command::IntentOpened(opened), Ok(_)) => self.intent_opened(opened),
            (Command::IntentRead(read), Ok(_)) => self.intent_read(read),
            (Command::CustomerOpened(customer), outcome) => self.customer_opened(customer, outcome),
            (Command::Adopt(adopt), Ok(_)) => self.adopt(adopt),
            (Command::Recovery(step), _) => Err(format!("recovery mode, for nothing: {step:?}")),
            (Command::SessionRead(read), Ok(_)) => {
                self.fence_if(read.claim.as_ref())?;
                self.hear_session(&read.payment, &read.fact);
                Ok(())
            }
            (Command::ReturnsRead(read), Ok(_)) => self.returns_read(read),
            (Command::RefundSent(sent), Ok(_)) => self.refund_sent(sent),
            (Command::DeferJob { claim, .. } | Command::DropJob(claim), Ok(_)) => self.fence(claim),
            (Command::SessionRefused { claim, .. }, Ok(_)) => {
                let payment = claim.key.payment();
                if let Some(paying) = payment.and_then(|id| self.payments.get_mut(&id)) {
                    paying.ended = true;
                }
                self.fence(claim)
            }
            _ => Ok(()),
        }
    }

    /// What arrives twice under one id is one event.
    fn receive(&mut self, event: &ReceiveEvent, outcome: &Outcome) -> Result<(), String> {
        let known = self.events.get(&event.id).copied();
        if let Ok(Reply::Received { number, duplicate }) = outcome
            && known.is_none_or(|known| known == *number)
            && *duplicate == known.is_some()
        {
            self.events.insert(event.id.clone(), *number);
            return Ok(());
        }
        Err(format!(
            "event {} known as {known:?} was received as {outcome:?}",
            event.id
        ))
    }

    fn session_opened(&mut self, opened: &SessionOpened) -> Result<(), String> {
        self.fence(&opened.claim)?;
        let Some(payment) = opened.claim.key.payment() else {
            return Ok(());
        };
        self.bind(&payment, &opened.fact);
        self.hear_session(&payment, &opened.fact);
        Ok(())
    }

    /// Reconciliation has found the session of a payment that nobody here had heard of.
    fn adopt(&mut self, adopt: &Adopt) -> Result<(), String> {
        if !self.payments.contains_key(&adopt.payment) {
            return Err(format!("{} was never asked for", adopt.payment));
        }
        self.adopted += 1;
        match &adopt.said {
            Said::Session(fact, _) => self.bind(&adopt.payment, fact),
            Said::Intent(fact) => self.bind_intent(&adopt.payment, &fact.intent),
        }
        Ok(())
    }

    fn bind(&mut self, payment: &PaymentId, fact: &SessionFact) {
        let session = &fact.session;
        let before = self.sessions.insert(session.clone(), payment.clone());
        if before.is_none() {
            self.known.push((session.clone(), payment.clone()));
        }
        if let Some(paying) = self.payments.get_mut(payment) {
            paying.session.get_or_insert_with(|| session.clone());
        }
    }

    fn returns_read(&mut self, read: &ReturnsRead) -> Result<(), String> {
        self.fence_if(read.claim.as_ref())?;
        for fact in &read.refunds {
            self.hear_refund(&read.payment, fact);
        }
        for fact in &read.disputes {
            self.hear_dispute(&read.payment, fact);
        }
        Ok(())
    }

    fn refund_sent(&mut self, sent: &RefundSent) -> Result<(), String> {
        self.fence(&sent.claim)?;
        let id = sent.claim.key.refund();
        let owed = id.as_ref().and_then(|id| self.refunds.get_mut(id));
        let owed = owed.ok_or("a refund was sent that nobody asked for")?;
        match &sent.outcome {
            Ok(fact) => {
                let mut fact = fact.clone();
                fact.hint = id;
                let payment = owed.payment.clone();
                self.hear_refund(&payment, &fact);
            }
            Err(_) => owed.refused = true,
        }
        Ok(())
    }

    pub(super) fn fence_if(&mut self, claim: Option<&Claim>) -> Result<(), String> {
        claim.map_or(Ok(()), |claim| self.fence(claim))
    }

    /// Only who claimed a job last may bring its result, and once.
    pub(super) fn fence(&mut self, claim: &Claim) -> Result<(), String> {
        let last = self.claims.remove(&claim.key).map(|(token, _)| token);
        if last == Some(claim.token) {
            return Ok(());
        }
        let key = &claim.key;
        Err(format!(
            "the result of {key:?} was taken from somebody who had lost it"
        ))
    }
}
