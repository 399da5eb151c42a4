//! Saved cards from the caller's side. They are kept by Stripe; what we show of them is asked for each time.

use bursar_domain::auto_topup::{AutoTopup, SetAutoTopup};
use bursar_domain::command::{AnswerKey, Command, Idempotency, RequestHash};
use bursar_domain::customer::{Customer, CustomerKey};
use bursar_domain::id::{IdSource as _, UserId};
use bursar_domain::intent::ChargeCard;
use bursar_domain::job::JobKind;
use bursar_domain::payment::Payment;
use bursar_domain::refusal::Refusal;
use bursar_store::digest::request_hash;
use bursar_stripe::client::Client;
use bursar_stripe::object::{Hidden, List, PaymentMethod, SetupIntent};
use bursar_stripe::secret_key::Mode;

use crate::checkout::unanswered;
use crate::jobs::{CallError, intents};
use crate::outside::Live;
use crate::{Engine, EngineError, Once, RandomIds, bridge};

/// What may be shown of a saved card.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Card {
    /// Stripe's id of it.
    pub id: String,
    /// `visa` and so on.
    pub brand: String,
    /// The last four digits.
    pub last4: String,
    /// The month it expires, 1 to 12, and the year.
    pub expires: (i64, i64),
}

/// What the page of the product needs to save a card with Stripe's own form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CardSetup {
    /// Stripe's id of the setup.
    pub id: String,
    /// What the form confirms it with. Kept nowhere.
    pub client_secret: Hidden,
}

impl Engine {
    fn customer_key(&self, user: &UserId) -> Result<(&Client, CustomerKey), EngineError> {
        let client = self.stripe().ok_or(EngineError::NoProvider)?;
        let key = CustomerKey {
            user: user.clone(),
            livemode: client.mode() == Mode::Live,
        };
        Ok((client, key))
    }

    async fn known_customer(&self, user: &UserId) -> Result<Option<Customer>, EngineError> {
        let (_, key) = self.customer_key(user)?;
        self.read(move |reader| reader.customer(&key)).await
    }

    /// The saved cards of a user, as Stripe has them.
    pub async fn cards(&self, user: &UserId) -> Result<Vec<Card>, EngineError> {
        let (client, _) = self.customer_key(user)?;
        let Some(customer) = self.known_customer(user).await? else {
            return Ok(vec![]);
        };
        let asked = bridge::outbound::list_cards(&customer);
        let cards: List<PaymentMethod> = client.call(&asked).await.map_err(unanswered)?;
        Ok(cards
            .data
            .iter()
            .filter_map(bridge::inbound::card)
            .collect())
    }

    /// The card of a user, if he has it.
    async fn card(&self, user: &UserId, card: &str) -> Result<Card, EngineError> {
        let cards = self.cards(user).await?;
        let found = cards.into_iter().find(|other| other.id == card);
        found.ok_or_else(|| Refusal::CardNotFound.into())
    }

    /// Makes sure that the user has this card. What was answered before stays answered, also when the card is gone since.
    async fn check_card(
        &self,
        user: &UserId,
        card: &str,
        idempotency: Option<&(AnswerKey, RequestHash)>,
    ) -> Result<(), EngineError> {
        if let Some((key, _)) = idempotency {
            let key = key.clone();
            let answer = self.read(move |reader| reader.answer(&key)).await?;
            if answer.is_some() {
                return Ok(());
            }
        }
        self.card(user, card).await.map(drop)
    }

    /// Begins to save a card without a payment. Repeated under the same key it is the same setup.
    pub async fn set_up_card(
        &self,
        user: &UserId,
        idempotency: Idempotency,
    ) -> Result<CardSetup, EngineError> {
        let (client, customer) = self.customer_key(user)?;
        let live = Live {
            engine: self.clone(),
            client: client.clone(),
        };
        let customer = intents::customer(&live, customer).await;
        let customer = customer.map_err(|error| match error {
            CallError::Stripe(error) => unanswered(error),
            CallError::Engine(error) => error,
        })?;
        let key = match idempotency {
            // Two users may use one key, and Stripe knows of no users.
            Some((key, _)) => {
                let scoped = format!("{}\n{}\n{}", key.principal, user, key.key);
                let RequestHash(digest) = request_hash(scoped.as_bytes());
                u128::from_be_bytes(digest)
            }
            None => RandomIds::default().random80(),
        };
        let asked = bridge::outbound::set_up_card(&customer, &format!("setup-{key:032x}"));
        let setup: SetupIntent = client.call(&asked).await.map_err(unanswered)?;
        let client_secret = setup.client_secret.ok_or_else(|| EngineError::Provider {
            code: "stripe_answer_garbled",
            message: "Stripe's answer has no client secret".to_owned(),
        })?;
        Ok(CardSetup {
            id: setup.id,
            client_secret,
        })
    }

    /// Forgets a saved card of a user, at Stripe. An automatic top-up that is paid by it ends.
    pub async fn detach_card(&self, user: &UserId, card: &str) -> Result<Card, EngineError> {
        let (client, _) = self.customer_key(user)?;
        let known = self.card(user, card).await?;
        let wanted = user.clone();
        let row = self.read(move |reader| reader.auto_topup(&wanted)).await?;
        // Ended first: what is not done afterwards can be asked for again.
        if row.is_some_and(|row| row.terms.enabled && row.terms.card == card) {
            self.submit(Command::EndAutoTopup(user.clone())).await?;
        }
        let asked = bridge::outbound::detach_card(card);
        client
            .call::<PaymentMethod>(&asked)
            .await
            .map_err(unanswered)?;
        Ok(known)
    }

    /// Pays a top-up by a saved card of its user, who need not be there, and waits for what comes of it: the payment may have failed.
    pub async fn charge_card(
        &self,
        wish: ChargeCard,
        idempotency: Idempotency,
    ) -> Result<Once<Payment>, EngineError> {
        self.check_card(&wish.user, &wish.card, idempotency.as_ref())
            .await?;
        let job = JobKind::ChargeCard;
        self.open(Command::ChargeCard(wish), job, idempotency).await
    }

    /// Sets an automatic top-up, by a card that the user has.
    pub async fn set_auto_topup(
        &self,
        wish: SetAutoTopup,
        idempotency: Idempotency,
    ) -> Result<Once<AutoTopup>, EngineError> {
        self.check_card(&wish.user, &wish.terms.card, idempotency.as_ref())
            .await?;
        self.ask(Command::SetAutoTopup(wish), idempotency).await
    }
}
