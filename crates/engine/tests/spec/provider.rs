//! The verbs by which Stripe speaks: results of calls, events, and what a session says when it is read.

use bursar_domain::checkout::{SessionOpened, SessionRead};
use bursar_domain::command::{Command, Reply};
use bursar_domain::id::PaymentId;
use bursar_domain::intent::{IntentOpened, IntentRead};
use bursar_domain::job::{Claim, JobKey, JobKind};
use bursar_domain::payment::{Flow, Payment};
use bursar_domain::refusal::Refusal;
use bursar_engine::bridge::inbound;
use bursar_engine::clock::Clock;
use bursar_store::query::{EventFilter, PaymentFilter};

use super::stripe::{self, Told};
use super::words::Words;
use super::world::{Said, World, all};
use crate::inbox;

impl World {
    fn claim(&mut self, kind: &str, payment: &PaymentId) -> Result<Result<Claim, Refusal>, String> {
        let kind = match (kind, self.flow(payment)?) {
            ("open", Flow::Checkout) => JobKind::OpenSession,
            ("open", Flow::Intent) => JobKind::OpenIntent,
            ("open", Flow::OffSession) => JobKind::ChargeCard,
            ("read", Flow::Checkout) => JobKind::ReadSession,
            ("read", _) => JobKind::ReadIntent,
            ("close", Flow::Checkout) => JobKind::CloseSession,
            ("close", _) => JobKind::CancelIntent,
            _ => return Err("a job is open, read or close".to_owned()),
        };
        match self
            .desk
            .ask(Command::ClaimJob(JobKey::of_payment(kind, payment)))
        {
            Ok(Reply::Claimed(claim)) => Ok(Ok(claim)),
            Ok(other) => Err(format!("a claim was answered with {other:?}")),
            Err(refusal) => Ok(Err(refusal)),
        }
    }

    fn flow(&mut self, payment: &PaymentId) -> Result<Flow, String> {
        let payment = self.desk.reader.payment(payment).unwrap();
        payment
            .map(|payment| payment.flow)
            .ok_or_else(|| "no such payment".to_owned())
    }

    /// A worker claims a job, calls Stripe, and brings what Stripe said.
    pub(super) fn result(&mut self, verb: &str, words: &mut Words) -> Said {
        let kind = match verb {
            "job" => words.next("the kind of job")?,
            _ => "open".to_owned(),
        };
        let name = words.next("a payment")?;
        let id = self.payment_id(&name)?;
        let claim = match self.claim(&kind, &id)? {
            Ok(claim) => claim,
            Err(refusal) => {
                words.plain.by_ref().for_each(drop);
                return Ok(self.names.reply(Err(refusal)));
            }
        };
        let command = match (verb, kind.as_str()) {
            ("opened", _) if self.flow(&id)? != Flow::Checkout => {
                let intent = words.next("an intent")?;
                let standing = words.plain.next().unwrap_or_else(|| "open".to_owned());
                let told = self.told(intent, standing, Some(&id), words)?;
                Command::IntentOpened(IntentOpened {
                    claim,
                    fact: inbound::intent_fact(&intent_of(&told)),
                })
            }
            ("opened", _) => {
                let session = words.next("a session")?;
                let standing = "open".to_owned();
                let told = self.told(session, standing, Some(&id), words)?;
                let session = session_of(&told);
                Command::SessionOpened(SessionOpened {
                    claim,
                    checkout_url: session.url.clone(),
                    fact: inbound::session_fact(&session),
                })
            }
            ("refused", _) => Command::SessionRefused {
                claim,
                code: words.next("a code")?,
                message: words.next("a message")?,
            },
            (_, "read" | "close") => self.read_by_job(claim, &id, words)?,
            _ => self.deferred(claim, words),
        };
        let answer = self.desk.ask(command);
        Ok(self.names.reply(answer))
    }

    fn read_by_job(
        &mut self,
        claim: Claim,
        id: &PaymentId,
        words: &mut Words,
    ) -> Result<Command, String> {
        let standing = words.next("how the session stands")?;
        if standing == "fails" {
            return Ok(self.deferred(claim, words));
        }
        let payment = self
            .desk
            .reader
            .payment(id)
            .unwrap()
            .ok_or("no such payment")?;
        if payment.reference().is_empty() {
            return Ok(Command::DropJob(claim));
        }
        let session = self.names.tidy(payment.reference());
        let told = self.told(session, standing, Some(id), words)?;
        if payment.flow != Flow::Checkout {
            return Ok(Command::IntentRead(IntentRead {
                payment: id.clone(),
                claim: Some(claim),
                fact: inbound::intent_fact(&intent_of(&told)),
            }));
        }
        Ok(Command::SessionRead(SessionRead {
            payment: id.clone(),
            claim: Some(claim),
            fact: inbound::session_fact(&session_of(&told)),
        }))
    }

    fn deferred(&mut self, claim: Claim, words: &mut Words) -> Command {
        let _ = words.plain.next().filter(|word| word == "fails");
        Command::DeferJob {
            claim,
            run_at: self.desk.clock.now().plus_seconds(60),
            error: words.option("why").unwrap_or_default(),
        }
    }

    /// The customer comes back: the page reads the session and settles by it.
    pub(super) fn read(&mut self, words: &mut Words) -> Said {
        let (session, standing) = (words.next("a session")?, words.next("how it stands")?);
        let id = stripe::session_id(&session);
        let Some(payment) = self.desk.reader.payment_of_session(&id).unwrap() else {
            return Ok(vec!["no payment of ours has this session".to_owned()]);
        };
        let told = self.told(session, standing, Some(&payment.id), words)?;
        let answer = self.desk.ask(Command::SessionRead(SessionRead {
            payment: payment.id,
            claim: None,
            fact: inbound::session_fact(&session_of(&told)),
        }));
        Ok(self.names.reply(answer))
    }

    /// What is told about an object of Stripe's: what our payment says, unless the line says otherwise.
    fn told(
        &mut self,
        name: String,
        standing: String,
        payment: Option<&PaymentId>,
        words: &mut Words,
    ) -> Result<Told, String> {
        let payment = payment.map(|id| {
            self.desk
                .reader
                .payment(id)
                .unwrap()
                .ok_or("no such payment")
        });
        let payment: Option<Payment> = payment.transpose()?;
        let amount = payment.as_ref().map_or(500, |payment| payment.amount.minor);
        let currency = payment
            .as_ref()
            .map_or("usd", |payment| payment.amount.unit.code());
        let amount = words
            .option("amount")
            .map_or(Ok(amount), |text| text.parse());
        // A session whose delayed payment failed has an intent, whether the line names it or not.
        let usual = (standing == "broken").then(|| format!("{name}-intent"));
        let live = words.option("live").map(|live| live == "yes");
        Ok(Told {
            name,
            amount: amount.map_err(|_| "amount is no number")?,
            currency: words
                .option("currency")
                .unwrap_or_else(|| currency.to_owned()),
            live: live.unwrap_or(payment.as_ref().is_some_and(|payment| payment.livemode)),
            payment: payment.map(|payment| payment.id.to_string()),
            intent: words.option("intent").or(usual),
            received: words.option("received").and_then(|text| text.parse().ok()),
            failure: words.option("failure"),
            standing,
        })
    }

    pub(super) fn event(&mut self, words: &mut Words) -> Said {
        let (name, kind, subject) = (
            words.next("the event's name")?,
            words.next("its kind")?,
            words.next("what it is about")?,
        );
        let (mut standing, mut style) = (None, None);
        for word in words.plain.by_ref() {
            match word.as_str() {
                "thin" | "garbled" => style = Some(word),
                _ => standing = Some(word),
            }
        }
        let usual = match kind.as_str() {
            "checkout.session.expired" => "expired",
            "checkout.session.async_payment_failed" => "unpaid",
            _ => "paid",
        };
        let payment = self.meant(&subject, words)?;
        let standing = standing.unwrap_or_else(|| usual.to_owned());
        let mut told = self.told(subject, standing, payment.as_ref(), words)?;
        if words.option("nameless").is_some() {
            told.payment = None;
        }
        let created = self.desk.clock.now().seconds();
        let body = stripe::event(&name, &kind, &told, created, style.as_deref());
        let event = inbound::event(&body.into()).map_err(|error| error.to_string())?;
        let received = self.desk.ask(Command::ReceiveEvent(event));
        let duplicate = matches!(
            received,
            Ok(Reply::Received {
                duplicate: true,
                ..
            })
        );
        inbox::work_off(&mut self.desk);
        let text = self.ended(&name);
        Ok(vec![if duplicate {
            format!("again: {text}")
        } else {
            text
        }])
    }

    /// What became of a stored event.
    pub(super) fn ended(&mut self, name: &str) -> String {
        let filter = EventFilter {
            id: Some(format!("evt_{name}")),
            ..EventFilter::default()
        };
        let stored = self.desk.reader.events(&filter, &all()).unwrap().items;
        let stored = &stored[0];
        let reason = if stored.reason.is_empty() { "" } else { ": " };
        let text = format!("{name} {}{reason}{}", stored.status.as_str(), stored.reason);
        self.names.tidy(&text)
    }

    /// The payment an object of Stripe's was made for: the one a line names, else the one that has this session or intent.
    fn meant(&mut self, subject: &str, words: &mut Words) -> Result<Option<PaymentId>, String> {
        if let Some(name) = words.option("of") {
            return self.payment_id(&name).map(Some);
        }
        let payments = self
            .desk
            .reader
            .payments(&PaymentFilter::default(), &all())
            .unwrap();
        let ids = [
            Some(stripe::session_id(subject)),
            Some(stripe::intent_id(subject)),
        ];
        let is_meant = |payment: &Payment| {
            (payment.session.is_some() && ids.contains(&payment.session))
                || (payment.intent.is_some() && ids.contains(&payment.intent))
        };
        Ok(payments
            .items
            .into_iter()
            .find(is_meant)
            .map(|payment| payment.id))
    }
}

/// An intent as it is read.
fn intent_of(told: &Told) -> bursar_stripe::object::PaymentIntent {
    let status = match told.standing.as_str() {
        "open" => "requires_payment_method",
        "action" => "requires_action",
        "unpaid" => "processing",
        "paid" => "succeeded",
        "canceled" => "canceled",
        other => panic!("an intent is open, action, unpaid, paid or canceled, not {other}"),
    };
    serde_json::from_value(stripe::intent_with(told, status)).unwrap()
}

fn session_of(told: &Told) -> bursar_stripe::object::CheckoutSession {
    serde_json::from_value(stripe::session(told)).unwrap()
}
