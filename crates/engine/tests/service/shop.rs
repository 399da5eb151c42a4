//! A product that paints pictures: an engine on a file of its own, and a bank whose word counts if it knows the secret.

use std::sync::Arc;

use bursar_domain::amount::Amount;
use bursar_domain::id::{TopupId, UserId};
use bursar_domain::journal::Remark;
use bursar_domain::policy::Policy;
use bursar_domain::time::Time;
use bursar_domain::topup::{CreateTopup, Topup};
use bursar_engine::clock::FixedClock;
use bursar_engine::service::{
    Balance, Method, Notification, PaidTopup, PayAt, Payments, Promise, Provider, ProviderError,
    ServiceError, Usage, charge,
};
use bursar_engine::{Engine, EngineConfig};
use bursar_store::query::PageRequest;
use tempfile::TempDir;

/// What a picture costs, in credits.
pub(crate) const PICTURE: i64 = 10;

/// Bank transfers: the notification is `<top-up> <transfer> <amount>`, in the currency of the price.
pub(crate) struct Bank(pub(crate) Method);

const SECRET: &str = "only the bank knows";

impl Provider for Bank {
    fn method(&self) -> Method {
        self.0.clone()
    }

    fn open<'a>(&'a self, topup: &'a Topup) -> Promise<'a, Result<PayAt, ProviderError>> {
        let words = format!("Transfer {} for {}.", topup.price, topup.id);
        Box::pin(async move { Ok(PayAt::Instructions(words)) })
    }

    fn verify<'a>(
        &'a self,
        notification: &'a Notification,
    ) -> Promise<'a, Result<Option<PaidTopup>, ProviderError>> {
        Box::pin(async move {
            if notification.header("Secret") != Some(SECRET) {
                return Err(ProviderError::Unverified("the secret is wrong".to_owned()));
            }
            let text = String::from_utf8(notification.body.clone()).unwrap();
            let words: Vec<&str> = text.split(' ').collect();
            let [topup, transfer, amount] = words[..] else {
                return Ok(None);
            };
            Ok(Some(PaidTopup {
                topup: TopupId::parse(topup).unwrap(),
                reference: transfer.to_owned(),
                amount: Amount::new(amount.parse().unwrap(), self.0.currency),
            }))
        })
    }
}

pub(crate) fn bank(id: &str, currency: &str) -> Box<dyn Provider> {
    Box::new(Bank(Method {
        id: id.to_owned(),
        label: "Bank transfer".to_owned(),
        currency: bursar_domain::amount::Unit::currency(currency).unwrap(),
    }))
}

/// What the bank sends.
pub(crate) fn says(body: &str) -> Notification {
    Notification {
        headers: vec![("secret".to_owned(), SECRET.to_owned())],
        body: body.as_bytes().to_vec(),
    }
}

pub(crate) struct Shop {
    pub(crate) engine: Engine,
    pub(crate) balance: Balance,
    pub(crate) payments: Payments,
    pub(crate) usage: Usage,
    pub(crate) clock: Arc<FixedClock>,
    folder: TempDir,
}

impl Shop {
    pub(crate) fn open() -> Self {
        let memory = std::path::Path::new("/dev/shm");
        let folder = if memory.is_dir() {
            tempfile::tempdir_in(memory).unwrap()
        } else {
            tempfile::tempdir().unwrap()
        };
        Self::open_in(folder)
    }

    fn open_in(folder: TempDir) -> Self {
        let clock = Arc::new(FixedClock::at(Time::from_seconds(1_767_225_600)));
        let mut policy = Policy::standard();
        let price = bursar_domain::charge::ActionPrice::parse("10").unwrap();
        policy.actions.insert("picture".to_owned(), price);
        let engine = Engine::start(EngineConfig {
            database: folder.path().join("bursar.db").into(),
            policy,
            stripe: None,
            clock: clock.clone(),
        })
        .unwrap();
        let balance = Balance::new(engine.clone());
        let providers = vec![bank("bank-transfer", "usd"), bank("giro", "eur")];
        Self {
            payments: Payments::new(balance.topup_desk(), providers).unwrap(),
            usage: Usage::new(engine.clone()),
            balance,
            engine,
            clock,
            folder,
        }
    }

    /// Stops it and opens it again over the same file.
    pub(crate) async fn restart(self) -> Self {
        self.engine.shutdown().await;
        let Self { folder, .. } = self;
        Self::open_in(folder)
    }

    pub(crate) async fn topup(&self, credits: i64) -> TopupId {
        let wish = CreateTopup::plain(anna(), credits);
        let topup = self.balance.create_topup(wish, None).await.unwrap();
        topup.into_inner().id
    }

    pub(crate) async fn credits(&self) -> i64 {
        self.balance.read(&anna()).await.unwrap().credits
    }

    /// What the bank says, and what becomes of it: whether it was a repetition.
    pub(crate) async fn hears(
        &self,
        topup: &TopupId,
        transfer: &str,
        amount: i64,
    ) -> Result<bool, ServiceError> {
        let said = says(&format!("{topup} {transfer} {amount}"));
        let finished = self.payments.finish("bank-transfer", &said).await?;
        Ok(finished.unwrap().replayed)
    }

    pub(crate) async fn give(&self, credits: i64) {
        let (user, remark) = (anna(), Remark::default());
        let given = self.balance.add(&user, credits, remark, None);
        given.await.unwrap();
    }

    /// Every test ends with books that are right.
    pub(crate) async fn close(self) {
        let report = self.engine.read(bursar_store::audit::run).await.unwrap();
        assert_eq!(report.differences, vec![]);
        self.engine.shutdown().await;
    }
}

pub(crate) fn anna() -> UserId {
    UserId::parse("anna").unwrap()
}

pub(crate) fn picture(user: &UserId) -> bursar_domain::charge::Charge {
    charge::credits(user, PICTURE)
}

pub(crate) fn first_page() -> PageRequest {
    PageRequest {
        limit: 100,
        cursor: None,
    }
}

pub(crate) fn said(note: &str) -> Remark {
    Remark {
        note: note.to_owned(),
        ..Remark::default()
    }
}
