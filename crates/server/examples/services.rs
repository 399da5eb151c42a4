//! A product that composes Bursar's services without HTTP: customers pay by bank transfer and have pictures painted.
//!
//! ```sh
//! cargo run -p bursar-server --example services             # in a folder that is gone afterwards
//! cargo run -p bursar-server --example services -- ./data   # in a folder that stays: run it twice
//! ```

use bursar::{App, Config, Sources};
use bursar_domain::amount::{Amount, Unit};
use bursar_domain::charge::Charge;
use bursar_domain::id::{TopupId, UserId};
use bursar_domain::topup::{CreateTopup, Topup};
use bursar_engine::service::{
    Balance, Call, Hooks, Method, Notification, PaidTopup, PayAt, Payments, Promise, Provider,
    ProviderError, ServiceError, Usage, charge,
};
use bursar_store::query::{PageRequest, UsageFilter};
use subtle::ConstantTimeEq as _;

/// A real product reads it from its configuration.
const SECRET: &str = "only the bank's reporter knows";

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let (folder, data) = (tempfile::tempdir()?, std::env::args().nth(1));
    let data = data.unwrap_or_else(|| folder.path().display().to_string());
    let mut sources = Sources::default();
    sources.flag("data", "--data", Some(data));
    let (config, _) = Config::load(&sources)?;
    let app = App::start(config)?;
    let told = story(&app).await;
    // What was begun is finished and the database closed, however the story has ended.
    app.stop().await;
    told
}

async fn story(app: &App) -> anyhow::Result<()> {
    let anna = UserId::parse("anna").ok_or_else(|| anyhow::anyhow!("not an id"))?;
    let (balance, usage) = (app.balance(), app.usage().record_errors(true));
    // All that payments are given of the wallets is a desk that reads top-ups and finishes them.
    let bank = BankTransfer {
        iban: "DE02 1203 0000 0000 2020 51".to_owned(),
        currency: app.config().topup.price.currency,
        secret: SECRET.to_owned(),
    };
    let payments = Payments::new(balance.topup_desk(), vec![Box::new(bank)])?;
    let studio = Studio::open(balance.clone(), &usage);

    let before = balance.read(&anna).await?;
    println!("Anna has {} credits.", before.credits);

    buy(&balance, &payments, &anna).await?;

    // In a product, a call is named by the request that asks for it; here, by how many there were.
    let number = balance.history(&anna, page(1_000)).await?.items.len();
    for (subject, key) in [("a lighthouse", "lighthouse"), ("", "nothing")] {
        let call = Call::new(anna.clone(), "picture", &format!("{key}-{number}"));
        match studio.hooks.run(&call, paint(subject)).await {
            Ok(picture) => println!("Painted: {picture}."),
            Err(error) => println!("Not painted, and not charged: {error}."),
        }
        // Whoever asks again under the same key pays once.
        let again = studio.hooks.run(&call, paint(subject)).await;
        println!(
            "  asked again: {}",
            if again.is_ok() {
                "the same"
            } else {
                "fails again"
            }
        );
    }

    println!("Used:");
    for sum in usage.summary(UsageFilter::default()).await? {
        println!("  {} ({}): {}", sum.service, sum.status.as_str(), sum.count);
    }
    println!("Statement, the newest first:");
    for entry in balance.history(&anna, page(10)).await?.items {
        let (kind, reference) = (entry.reason.as_str(), &entry.remark.reference);
        println!(
            "  {kind:<8}{:>+6}{:>8}  {reference}",
            entry.change, entry.balance
        );
    }
    Ok(())
}

/// Anna wishes for 500 credits, transfers the money, and the bank says so: twice, as such notifications go.
async fn buy(balance: &Balance, payments: &Payments, anna: &UserId) -> anyhow::Result<()> {
    for method in payments.methods() {
        println!(
            "One can pay by: {} ({})",
            method.label,
            method.currency.code()
        );
    }
    let wish = CreateTopup::plain(anna.clone(), 500);
    let topup = balance.create_topup(wish, None).await?.into_inner();
    let checkout = payments.open(BankTransfer::ID, anna, &topup.id).await?;
    if let PayAt::Instructions(words) = &checkout.pay_at {
        println!("To pay: {words}");
    }

    let transfer = format!("transfer-of-{}", topup.id);
    let short = report(&topup, &transfer, topup.price.minor - 1);
    match payments.finish(BankTransfer::ID, &short).await {
        Err(error @ ServiceError::OtherPrice { .. }) => println!("A cent is missing: {error}."),
        other => anyhow::bail!("{other:?}"),
    }
    let paid = report(&topup, &transfer, topup.price.minor);
    for _ in 0..2 {
        if let Some(finished) = payments.finish(BankTransfer::ID, &paid).await? {
            let credits = balance.read(anna).await?.credits;
            println!(
                "Top-up {}{}: Anna has {credits} credits.",
                finished.status.as_str(),
                if finished.replayed { " already" } else { "" }
            );
        }
    }
    Ok(())
}

fn page(limit: usize) -> PageRequest {
    let cursor = None;
    PageRequest { limit, cursor }
}

/// What the bank's reporter sends when money has come.
fn report(topup: &Topup, transfer: &str, minor: i64) -> Notification {
    let body = serde_json::json!({
        "invoice": topup.id.as_str(),
        "transfer": transfer,
        "amount_minor": minor,
        "currency": topup.price.unit.code(),
    });
    Notification {
        headers: vec![("X-Secret".to_owned(), SECRET.to_owned())],
        body: body.to_string().into_bytes(),
    }
}

/// Bank transfers: the top-up's id is the number of the invoice, and a reporter at the bank tells of money that has come.
struct BankTransfer {
    iban: String,
    currency: Unit,
    secret: String,
}

impl BankTransfer {
    const ID: &str = "bank-transfer";

    /// What a report says, if it is one.
    fn read(body: &[u8]) -> Option<PaidTopup> {
        let report: serde_json::Value = serde_json::from_slice(body).ok()?;
        let text = |name: &str| report.get(name)?.as_str();
        let minor = report.get("amount_minor")?.as_i64()?;
        Some(PaidTopup {
            topup: TopupId::parse(text("invoice")?)?,
            reference: text("transfer")?.to_owned(),
            amount: Amount::new(minor, Unit::currency(text("currency")?)?),
        })
    }
}

impl Provider for BankTransfer {
    fn method(&self) -> Method {
        Method {
            id: Self::ID.to_owned(),
            label: "Bank transfer by invoice".to_owned(),
            currency: self.currency,
        }
    }

    fn open<'a>(&'a self, topup: &'a Topup) -> Promise<'a, Result<PayAt, ProviderError>> {
        // A card provider would be asked for a page here, and waited for. An invoice has everything in it, however often it is made.
        let words = format!(
            "transfer {} to {}, invoice {}",
            topup.price, self.iban, topup.id
        );
        Box::pin(async move { Ok(PayAt::Instructions(words)) })
    }

    fn verify<'a>(
        &'a self,
        notification: &'a Notification,
    ) -> Promise<'a, Result<Option<PaidTopup>, ProviderError>> {
        Box::pin(async move {
            let given = notification.header("x-secret").unwrap_or_default();
            if !bool::from(given.as_bytes().ct_eq(self.secret.as_bytes())) {
                return Err(ProviderError::Unverified("the secret is wrong".to_owned()));
            }
            match Self::read(&notification.body) {
                Some(paid) => Ok(Some(paid)),
                None => Err(ProviderError::Unverified("not a report".to_owned())),
            }
        })
    }
}

/// Where pictures are painted: the product's own service, with what it costs around it.
struct Studio {
    hooks: Hooks<String, PaintError>,
}

#[derive(Debug, thiserror::Error)]
#[error("nobody knows what to paint")]
struct PaintError;

/// What a picture costs.
fn picture(user: &UserId) -> Charge {
    charge::credits(user, 10)
}

impl Studio {
    /// Before a picture, the customer must have what it costs; after it, that is charged. If it fails, nothing is. Usage is recorded
    /// either way, and knows no prices.
    fn open(balance: Balance, usage: &Usage) -> Self {
        let before = balance.clone();
        let hooks = Hooks::new()
            .before(move |call| {
                let (balance, price) = (before.clone(), picture(&call.user));
                async move { balance.require(price).await.map(drop) }
            })
            .after(move |call, _| {
                let (balance, price) = (balance.clone(), picture(&call.user));
                let key = call.key.clone();
                async move { balance.charge(price, &key).await.map(drop) }
            })
            .on_error(|call, error| {
                println!("  (the painter of {}: {error})", call.key);
                std::future::ready(Ok::<(), ServiceError>(()))
            });
        let hooks = usage.install(hooks);
        Self { hooks }
    }
}

/// The work itself, which knows nothing of credits.
async fn paint(subject: &str) -> Result<String, PaintError> {
    // A real one takes its time.
    tokio::task::yield_now().await;
    if subject.is_empty() {
        return Err(PaintError);
    }
    Ok(format!("{subject} at dusk"))
}
