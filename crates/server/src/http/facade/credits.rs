//! The credits API: payments in dollars, numbered 1, 2, …, and a balance of credits at a rate of this API's own.
//!
//! What it says is described in docs/facades.md; a whole purchase is a transcript in spec/facade.

use std::borrow::Cow;

use axum::extract::State;
use bursar_domain::account::AccountKey;
use bursar_domain::amount::{Amount, Unit};
use bursar_domain::checkout::OpenCheckout;
use bursar_domain::command::{AnswerKey, Command, Idempotency};
use bursar_domain::grant::AMOUNT_MAX;
use bursar_domain::id::TopupId;
use bursar_domain::intent::OpenIntent;
use bursar_domain::journal::Remark;
use bursar_domain::payment::Payment;
use bursar_domain::refund::{REASONS, RequestRefund};
use bursar_domain::refusal::Refusal;
use bursar_domain::topup::{CreateTopup, Topup, Wish};
use bursar_engine::{EngineError, Once};
use bursar_store::StoreError;
use bursar_store::query::{Page, PaymentFilter, Reader};
use http::{HeaderMap, Uri};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

use super::super::admission::Toll;
use super::super::answer::{Item, answer, item};
use super::super::auth::{Admin, Caller, User};
use super::super::error::ApiError;
use super::super::extract::{Input, Query};
use super::super::form::{Field, Nothing, form, in_path};
use super::super::kind::{Id, Note, Whole};
use super::super::openapi::Routes;
use super::super::order::Order;
use super::super::page::Of;
use super::super::{checkout, refusing, return_url, webhook};
use super::money::{AnyCurrency, BigCurrency, Decimal, Money};
use super::name::{Number, OfStripe};
use super::view::{
    BalanceView, IntentView, PackageView, Packages, PaymentView, Payments, RefundView, SessionView,
};
use crate::App;

pub(super) fn routes() -> Routes {
    Routes::new()
        .get("/api/stripe/credit-packages", packages, &[])
        .post(
            "/api/stripe/checkout-session",
            create_session,
            refusing::BUYING,
        )
        .costs(Toll::Checkout)
        .get("/api/stripe/checkout-session/{session_id}", session, &[])
        .post(
            "/api/stripe/payment-intent",
            create_intent,
            refusing::BUYING,
        )
        .costs(Toll::Checkout)
        .get(
            "/api/stripe/payment-intent/{payment_intent_id}",
            intent,
            &[],
        )
        .get("/api/stripe/payments", payments, &[])
        .get("/api/stripe/payments/{payment_id}", payment, &[])
        .post(
            "/api/stripe/refund",
            refund,
            &[
                "nothing_to_refund",
                "payment_not_configured",
                "payment_not_found",
                "payment_not_paid",
                "recovery_mode",
                "stripe_refused",
                "stripe_unavailable",
            ],
        )
        .post("/api/stripe/webhook", webhook::receive, &[])
        .get("/user/balance", balance, &["balance_out_of_range"])
}

/// `GET /api/stripe/credit-packages`
async fn packages(State(app): State<App>, _: Query<Nothing>) -> Result<Item<Packages>, ApiError> {
    let packages = app.config().topup.packages.iter();
    let packages = packages.map(PackageView::of).collect();
    Ok(item(Packages { packages }))
}

/// The keys of the two commands that one request becomes.
fn keys<F>(order: &Order<F>, caller: &Caller) -> (Idempotency, Idempotency) {
    let first = order.idempotency(caller);
    let second = first.clone().map(|(key, hash)| {
        let route = format!("{} pay", key.route);
        (AnswerKey { route, ..key }, hash)
    });
    (first, second)
}

form! {
    /// For how much money credits are bought.
    struct Buy {
        /// In upper or lower case; `stripe.currency` without it.
        currency: Option<AnyCurrency>,
        /// In the currency's whole units.
        amount: Decimal,
        description: Option<Note<500>>,
    }
}

/// An address of a page.
#[derive(Debug)]
struct Address(String);

impl JsonSchema for Address {
    fn schema_name() -> Cow<'static, str> {
        "Address".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "maxLength": 2_000, "pattern": r"^https?://[^\x00-\x08\x0b-\x1f\x7f-\x9f]*$" })
    }
}

impl Field for Address {
    fn read(input: &mut Input, name: &'static str) -> Result<Option<Self>, ApiError> {
        Ok(input.text(name, 2_000)?.map(Self))
    }
}

form! {
    /// The same on Stripe's page.
    struct BuyOnPage {
        buy: Buy,
        /// Where the customer returns to after paying.
        success_url: Option<Address>,
        /// Where he returns to after giving up.
        cancel_url: Option<Address>,
    }
}

/// What is bought by the money that a request names.
fn wish(app: &App, user: &User, buy: Buy) -> Result<CreateTopup, ApiError> {
    let price = app.config().facade_price;
    let unit = buy.currency.map_or(price.currency, |currency| currency.0);
    let paid = buy.amount.of("amount", unit)?;
    let note = buy.description.map(|note| note.0).unwrap_or_default();
    Ok(CreateTopup {
        user: user.0.clone(),
        wish: Wish::Money { paid, price },
        currency: Some(paid.unit),
        coupon: None,
        remark: Remark {
            note,
            ..Remark::default()
        },
    })
}

async fn create_topup(app: &App, wish: CreateTopup, key: Idempotency) -> Result<TopupId, ApiError> {
    let topup: Once<Topup> = app.engine().ask(Command::CreateTopup(wish), key).await?;
    Ok(topup.into_inner().id)
}

/// `POST /api/stripe/checkout-session`
async fn create_session(
    State(app): State<App>,
    user: User,
    headers: HeaderMap,
    uri: Uri,
    order: Order<BuyOnPage>,
) -> Result<Item<SessionView>, ApiError> {
    checkout::configured(&app)?;
    let (topup_key, key) = keys(&order, &user.caller());
    let BuyOnPage {
        buy,
        success_url,
        cancel_url,
    } = order.form;
    let wish = wish(&app, &user, buy)?;
    let chosen = |name, text: Option<Address>| {
        let chosen =
            text.map(|text| return_url::chosen(app.config(), &headers, &uri, (name, &text.0)));
        chosen.transpose()
    };
    let success_url = chosen("success_url", success_url)?;
    let cancel_url = chosen("cancel_url", cancel_url)?;
    let (success_url, cancel_url) = match (success_url, cancel_url) {
        (Some(success), Some(cancel)) => (success, cancel),
        (success, cancel) => {
            let ours = return_url::pages(app.config(), &headers, &uri)?;
            (
                success.unwrap_or(ours.success),
                cancel.unwrap_or(ours.cancel),
            )
        }
    };
    let topup = create_topup(&app, wish, topup_key).await?;
    let wish = OpenCheckout {
        topup,
        user: user.0,
        success_url,
        cancel_url,
        save_card: false,
    };
    let opened = app.engine().open_checkout(wish, key).await?;
    Ok(answer(&opened, SessionView::of))
}

in_path! {
    /// The session that an address names.
    SessionPath(OfStripe) = "session_id"
}

in_path! {
    /// The payment intent that an address names.
    IntentPath(OfStripe) = "payment_intent_id"
}

in_path! {
    /// The payment that an address names.
    NumberPath(Number) = "payment_id"
}

/// A payment that the caller may see: whether there are others is nobody's business.
fn seen_by(caller: &Caller, payment: Option<Payment>) -> Result<Payment, ApiError> {
    let may_see = |payment: &Payment| caller.only().is_none_or(|user| payment.user == *user);
    Ok(payment.filter(may_see).ok_or(Refusal::PaymentNotFound)?)
}

/// `GET /api/stripe/checkout-session/{session_id}`
async fn session(
    State(app): State<App>,
    caller: Caller,
    SessionPath(id): SessionPath,
    _: Query<Nothing>,
) -> Result<Item<SessionView>, ApiError> {
    let read = move |reader: &mut Reader| reader.payment_of_session(&id.0);
    let payment = seen_by(&caller, app.engine().read(read).await?)?;
    Ok(item(SessionView::of(&payment)))
}

/// `POST /api/stripe/payment-intent`
async fn create_intent(
    State(app): State<App>,
    user: User,
    order: Order<Buy>,
) -> Result<Item<IntentView>, ApiError> {
    checkout::configured(&app)?;
    let (topup_key, key) = keys(&order, &user.caller());
    let wish = wish(&app, &user, order.form)?;
    let topup = create_topup(&app, wish, topup_key).await?;
    let wish = OpenIntent {
        topup,
        user: user.0,
        save_card: false,
    };
    let opened = app.engine().open_intent(wish, key).await?;
    let secret = app.engine().client_secret(&opened).await?;
    let secret = Some(secret.expose().to_owned());
    Ok(answer(&opened, |payment| IntentView::of(payment, secret)))
}

/// `GET /api/stripe/payment-intent/{payment_intent_id}`
async fn intent(
    State(app): State<App>,
    caller: Caller,
    IntentPath(id): IntentPath,
    _: Query<Nothing>,
) -> Result<Item<IntentView>, ApiError> {
    let read = move |reader: &mut Reader| reader.payment_of_intent(&id.0);
    let payment = seen_by(&caller, app.engine().read(read).await?)?;
    Ok(item(IntentView::of(&payment, None)))
}

/// A payment with what was bought.
fn with_topup(reader: &mut Reader, payment: Payment) -> Result<(Payment, Topup), StoreError> {
    let topup = reader.topup(&payment.topup)?;
    let topup = topup.ok_or_else(|| StoreError::Unusable("a payment has no top-up".into()))?;
    Ok((payment, topup))
}

/// `GET /api/stripe/payments`
async fn payments(
    State(app): State<App>,
    caller: Caller,
    Query(Of { page: request }): Query<Of>,
) -> Result<Item<Payments>, ApiError> {
    let filter = PaymentFilter {
        user: caller.only().cloned(),
        status: None,
        topup: None,
    };
    let read = move |reader: &mut Reader| {
        let page = reader.payments(&filter, &request)?;
        let items = page.items.into_iter();
        let items = items.map(|payment| with_topup(reader, payment));
        Ok(Page {
            items: items.collect::<Result<Vec<_>, _>>()?,
            next: page.next,
        })
    };
    let page = app.engine().read(read).await?;
    Ok(item(Payments {
        payments: page.items.iter().map(PaymentView::of).collect(),
        has_more: page.next.is_some(),
        next: page.next,
    }))
}

/// `GET /api/stripe/payments/{payment_id}`
async fn payment(
    State(app): State<App>,
    caller: Caller,
    NumberPath(number): NumberPath,
    _: Query<Nothing>,
) -> Result<Item<PaymentView>, ApiError> {
    let read = move |reader: &mut Reader| {
        let payment = reader.payment_of_number(number.0)?;
        payment
            .map(|payment| with_topup(reader, payment))
            .transpose()
    };
    let (payment, topup) = app.engine().read(read).await?.unzip();
    let payment = seen_by(&caller, payment)?;
    let topup = topup.ok_or(Refusal::PaymentNotFound)?;
    Ok(item(PaymentView::of(&(payment, topup))))
}

form! {
    /// How much of which payment goes back, and why.
    struct GiveBack {
        payment_id: Whole<1, AMOUNT_MAX>,
        /// In the currency's whole units; all that is left without it.
        amount: Option<Decimal>,
        /// In Stripe's words or in others.
        reason: Option<Note<500>>,
    }
}

/// `POST /api/stripe/refund`. A reason in Stripe's words goes to Stripe, any other is noted.
async fn refund(
    State(app): State<App>,
    admin: Admin,
    order: Order<GiveBack>,
) -> Result<Item<RefundView>, ApiError> {
    let key = order.idempotency(&admin.caller());
    let form = order.form;
    let Whole(number) = form.payment_id;
    let read = move |reader: &mut Reader| reader.payment_of_number(number);
    let payment = app.engine().read(read).await?;
    let payment = payment.ok_or(Refusal::PaymentNotFound)?;
    let unit = payment.amount.unit;
    let amount = form.amount.map(|amount| amount.of("amount", unit));
    let amount = amount.transpose()?;
    let said = form.reason.map(|note| note.0).unwrap_or_default();
    let (reason, note) = if REASONS.contains(&said.as_str()) {
        (said, String::new())
    } else {
        (String::new(), said)
    };
    let wish = RequestRefund {
        payment: payment.id,
        amount: amount.map(|amount| amount.minor),
        reason,
        by: admin.0.to_string(),
        remark: Remark {
            note,
            ..Remark::default()
        },
    };
    let asked = app.engine().request_refund(wish, key).await;
    let made = asked.map_err(|error| in_dollars(error, unit))?;
    Ok(answer(&made, |refund| RefundView::of(refund, number)))
}

/// The rule about amounts speaks of smallest steps, this API of dollars.
fn in_dollars(error: EngineError, unit: Unit) -> ApiError {
    let Some(Refusal::OutOfRange { least, most, .. }) = error.refusal() else {
        return error.into();
    };
    let [least, most] = [*least, *most].map(|minor| Amount::new(minor, unit));
    ApiError {
        message: format!("`amount` must be from {least} to {most}"),
        param: Some("amount".to_owned()),
        ..error.into()
    }
}

/// `GET /user/balance`
async fn balance(
    State(app): State<App>,
    User(user): User,
    _: Query<Nothing>,
) -> Result<Item<BalanceView>, ApiError> {
    let wallet = app.engine().wallet(AccountKey::wallet(&user)).await?;
    let now = app.engine().now();
    let credits = wallet.map_or(0, |wallet| wallet.available(now));
    let worth = app.config().facade_price.cost_rounded_up(credits);
    let worth = worth.map_err(|_| Refusal::BalanceOutOfRange)?;
    Ok(item(BalanceView {
        user_id: Id(user.clone()),
        credits,
        balance: Money(worth),
        currency: BigCurrency(worth.unit),
    }))
}
