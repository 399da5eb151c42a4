//! Payments without Stripe's page: by an intent, by a saved card, and by a card that is charged when a wallet falls low.

use bursar_domain::auto_topup::{AutoTopup, Refill, SetAutoTopup, Terms};
use bursar_domain::command::Reply;
use bursar_domain::customer::Customer;
use bursar_domain::id::{PaymentId, UserId};
use bursar_domain::intent::{IntentOpened, IntentRead};
use bursar_domain::notice::{IntentFact, Standing};
use bursar_domain::payment::{Flow, Payment};
use bursar_domain::refusal::Refusal;
use bursar_domain::time::Time;
use bursar_domain::topup::Topup;

use super::expect::{Outcome, same};
use super::frozen::Frozen;
use super::{Bought, Model, Paying};

/// The least that is bought.
const LEAST: i64 = 50;

const DAY_SECONDS: i64 = 86_400;

/// A card that is charged unasked.
#[derive(Debug, Clone)]
pub(crate) struct Auto {
    terms: Terms,
    /// When what was tried.
    pub(crate) attempts: Vec<(Time, PaymentId)>,
}

/// An automatic top-up as its rows say it.
pub(crate) struct Attempt {
    pub(crate) row: AutoTopup,
    pub(crate) payment: Payment,
    pub(crate) topup: Topup,
}

impl Model {
    pub(super) fn intent_opened(&mut self, opened: &IntentOpened) -> Result<(), String> {
        self.fence(&opened.claim)?;
        if let Some(payment) = opened.claim.key.payment() {
            self.bind_intent(&payment, &opened.fact.intent);
            self.hear_intent(&payment, &opened.fact);
        }
        Ok(())
    }

    pub(super) fn intent_read(&mut self, read: &IntentRead) -> Result<(), String> {
        self.fence_if(read.claim.as_ref())?;
        self.hear_intent(&read.payment, &read.fact);
        Ok(())
    }

    pub(super) fn bind_intent(&mut self, payment: &PaymentId, intent: &str) {
        if let Some(paying) = self.payments.get_mut(payment)
            && paying.intent.is_none()
        {
            paying.intent = Some(intent.to_owned());
            self.intents.insert(intent.to_owned(), payment.clone());
            self.known.push((intent.to_owned(), payment.clone()));
        }
    }

    /// What a payment that has no session goes by.
    pub(super) fn hear_intent(&mut self, id: &PaymentId, fact: &IntentFact) {
        let paying = self.payments.get_mut(id);
        let Some(paying) = paying.filter(|paying| paying.flow != Flow::Checkout) else {
            return;
        };
        let is_last_try = paying.flow == Flow::OffSession
            && (fact.failure.is_some() || fact.standing == Some(Standing::WantsCustomer));
        match fact.standing {
            Some(Standing::Paid) => self.hear_paid(id),
            Some(Standing::Canceled | Standing::Failed | Standing::Expired) => paying.ended = true,
            Some(_) if is_last_try => paying.ended = true,
            _ => {}
        }
    }

    /// A user is one customer for ever.
    pub(super) fn customer_opened(
        &mut self,
        customer: &Customer,
        outcome: &Outcome,
    ) -> Result<(), String> {
        let known = self.customers.entry(customer.key.user.clone());
        let known = known.or_insert_with(|| customer.id.clone());
        match outcome {
            Ok(Reply::Customer(given)) if given.id == *known => Ok(()),
            other => Err(format!(
                "{} is the customer {known}, and the answer is {other:?}",
                customer.key.user
            )),
        }
    }

    pub(super) fn set_auto(
        &mut self,
        wish: &SetAutoTopup,
        outcome: &Outcome,
    ) -> Result<(), String> {
        same(wish, &Ok(()), outcome)?;
        let attempts = self.auto.remove(&wish.user).map(|auto| auto.attempts);
        let auto = Auto {
            terms: wish.terms.clone(),
            attempts: attempts.unwrap_or_default(),
        };
        self.auto.insert(wish.user.clone(), auto);
        Ok(())
    }

    pub(super) fn end_auto(&mut self, user: &UserId, outcome: &Outcome) -> Result<(), String> {
        let known = self.auto.get_mut(user);
        let expected = known
            .map(|auto| auto.terms.enabled = false)
            .ok_or(Refusal::AutoTopupNotFound);
        same(&"the end of automatic top-ups", &expected, outcome)
    }

    /// A card was charged unasked, perhaps. It may have been only if its owner wants that and his wallet is low, once at a time, and
    /// so often a day. When it has to be is not this ledger's business: banks have their say.
    pub(crate) fn auto_tried(&mut self, attempt: &Attempt, now: Time) -> Result<(), String> {
        let (user, id) = (&attempt.row.user, &attempt.payment.id);
        if self.payments.contains_key(id) {
            return Ok(());
        }
        let wrong = |why: &str| Err(format!("{id} charges the card of {user} unasked: {why}"));
        let (available, frozen) = (self.available(user), self.frozen(user));
        let Some(auto) = self.auto.get_mut(user) else {
            return wrong("nobody has asked for that");
        };
        let terms = &auto.terms;
        if !terms.enabled || available >= terms.threshold {
            return wrong(&format!("{available} are available, of {terms:?}"));
        }
        if frozen == Frozen::Yes {
            return wrong("the wallet is frozen");
        }
        let wanted = match terms.refill {
            Refill::Credits(credits) => credits,
            Refill::Target(target) => target - available,
        };
        if attempt.topup.credits != wanted.max(LEAST)
            || attempt.payment.card.as_ref() != Some(&terms.card)
        {
            return wrong(&format!("{:?} is not what {terms:?} says", attempt.topup));
        }
        let payments = &self.payments;
        let open = |id: &PaymentId| payments.get(id).is_some_and(|it| !it.paid && !it.ended);
        if auto.attempts.iter().any(|(_, id)| open(id)) {
            return wrong("another payment is open");
        }
        let since = now.plus_seconds(-DAY_SECONDS);
        let counts = |(at, id): &&(Time, PaymentId)| {
            *at > since && payments.get(id).is_some_and(|it| it.paid || !it.ended)
        };
        // Midnight may be in between, and a clock that jumps over it.
        let many = auto.attempts.iter().filter(counts).count();
        let many = i64::try_from(many).unwrap_or(i64::MAX);
        if terms.cap.topups.is_some_and(|most| many >= 2 * most) {
            return wrong("it was charged too often today");
        }
        auto.attempts.push((now, id.clone()));
        let (topup, payment) = (&attempt.topup, &attempt.payment);
        let bought = Bought {
            user: user.clone(),
            credits: topup.credits,
            bonus: 0,
            package: None,
            coupon: None,
            price: topup.price.minor,
            paid_by: None,
            by_hand: false,
        };
        self.topups.insert(topup.id.clone(), bought);
        self.payments
            .insert(id.clone(), Paying::new(topup.id.clone(), payment));
        Ok(())
    }
}
