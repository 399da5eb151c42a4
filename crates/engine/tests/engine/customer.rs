//! A customer: what anna asks the engine for, and what she has.

use std::sync::Arc;

use bursar_domain::account::AccountKey;
use bursar_domain::checkout::OpenCheckout;
use bursar_domain::command::{Command, Reply};
use bursar_domain::id::{TopupId, UserId};
use bursar_domain::payment::Payment;
use bursar_domain::topup::CreateTopup;
use bursar_domain::wallet::Wallet;
use bursar_engine::{Engine, EngineError};
use bursar_store::query::{PageRequest, PaymentFilter, Reader};

pub(crate) fn anna() -> UserId {
    UserId::parse("anna").unwrap()
}

pub(crate) async fn topup(engine: &Engine, credits: i64) -> TopupId {
    let wish = CreateTopup::plain(anna(), credits);
    match engine.submit(Command::CreateTopup(wish)).await {
        Ok(Reply::Topup(topup)) => topup.id,
        other => panic!("{other:?}"),
    }
}

pub(crate) fn checkout(topup: &TopupId) -> OpenCheckout {
    OpenCheckout {
        topup: topup.clone(),
        user: anna(),
        success_url: "http://127.0.0.1/paid?session={CHECKOUT_SESSION_ID}".to_owned(),
        cancel_url: "http://127.0.0.1/canceled".to_owned(),
        save_card: false,
    }
}

pub(crate) async fn open(engine: &Engine, topup: &TopupId) -> Result<Payment, EngineError> {
    let opened = engine.open_checkout(checkout(topup), None).await?;
    Ok(opened.into_inner())
}

pub(crate) async fn wallet(engine: &Engine) -> Option<Arc<Wallet>> {
    engine.wallet(AccountKey::wallet(&anna())).await.unwrap()
}

pub(crate) async fn credits(engine: &Engine) -> i64 {
    wallet(engine)
        .await
        .map_or(0, |wallet| wallet.account.balance)
}

pub(crate) async fn payments(engine: &Engine) -> Vec<Payment> {
    let all = |reader: &mut Reader| reader.payments(&PaymentFilter::default(), &page());
    engine.read(all).await.unwrap().items
}

pub(crate) fn page() -> PageRequest {
    PageRequest {
        limit: 100,
        cursor: None,
    }
}
