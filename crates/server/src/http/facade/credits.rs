//! The credits API: payments in dollars, numbered 1, 2, …, and a balance of credits at a rate of this API's own.
//!
//! What it says is described in docs/facades.md; a whole purchase is a transcript in spec/facade.

use axum::extract::{Path, State};
use axum::response::IntoResponse;
use axum::routing::{get, post};
use axum::{Extension, Router};
use bursar_domain::account::AccountKey;
use bursar_domain::amount::Amount;
use bursar_domain::checkout::OpenCheckout;
use bursar_domain::command::{AnswerKey, Command, Reply, RequestHash};
use bursar_domain::grant::AMOUNT_MAX;
use bursar_domain::id::TopupId;
use bursar_domain::intent::OpenIntent;
use bursar_domain::journal::Remark;
use bursar_domain::package::Package;
use bursar_domain::payment::{Payment, PaymentStatus};
use bursar_domain::refund::{REASONS, Refund, RequestRefund};
use bursar_domain::refusal::Refusal;
use bursar_domain::topup::{CreateTopup, Topup, Wish};
use bursar_engine::EngineError;
use bursar_store::StoreError;
use bursar_store::query::{Page, PaymentFilter, Reader};
use http::{HeaderMap, Uri};
use serde::Serialize;

use super::super::admission::Toll;
use super::super::answer::{answer, item};
use super::super::auth::{Admin, Caller, User};
use super::super::error::ApiError;
use super::super::extract::{Input, Query, refuse_card_number, required};
use super::super::order::Order;
use super::super::{checkout, page, return_url, webhook};
use super::money::{self, Money};
use crate::App;

pub(super) fn routes() -> Router<App> {
    Router::new()
        .route("/api/stripe/credit-packages", get(packages))
        .route(
            "/api/stripe/checkout-session",
            post(create_session).layer(Extension(Toll::Checkout)),
        )
        .route("/api/stripe/checkout-session/{session_id}", get(session))
        .route(
            "/api/stripe/payment-intent",
            post(create_intent).layer(Extension(Toll::Checkout)),
        )
        .route(
            "/api/stripe/payment-intent/{payment_intent_id}",
            get(intent),
        )
        .route("/api/stripe/payments", get(payments))
        .route("/api/stripe/payments/{payment_id}", get(payment))
        .route("/api/stripe/refund", post(refund))
        .route("/api/stripe/webhook", post(webhook::receive))
        .route("/user/balance", get(balance))
}

#[derive(Debug, Serialize)]
struct Packages {
    packages: Vec<PackageView>,
}

#[derive(Debug, Serialize)]
struct PackageView {
    id: String,
    name: String,
    credits: i64,
    bonus_credits: i64,
    total_credits: i64,
    price: Option<Money>,
    currency: Option<String>,
    popular: bool,
}

impl PackageView {
    fn of(package: &Package) -> Self {
        let price = package.prices.first();
        Self {
            id: package.id.clone(),
            name: package.name.clone(),
            credits: package.credits,
            bonus_credits: package.bonus,
            total_credits: package.credits.saturating_add(package.bonus),
            price: price.copied().map(Money),
            currency: price.map(|price| money::code(price.unit)),
            popular: package.popular,
        }
    }
}

/// `GET /api/stripe/credit-packages`
async fn packages(
    State(app): State<App>,
    Query(query): Query,
) -> Result<impl IntoResponse, ApiError> {
    query.finish()?;
    let packages = app.config().topup.packages.iter();
    let packages = packages.map(PackageView::of).collect();
    Ok(item(Packages { packages }))
}

/// Where a payment stands, in the words of this API.
const fn status(status: PaymentStatus) -> &'static str {
    match status {
        PaymentStatus::Pending | PaymentStatus::Processing => "pending",
        PaymentStatus::Paid | PaymentStatus::PartiallyRefunded | PaymentStatus::Disputed => {
            "completed"
        }
        PaymentStatus::Refunded => "refunded",
        PaymentStatus::Expired => "expired",
        PaymentStatus::Failed => "failed",
        PaymentStatus::Canceled => "canceled",
    }
}

#[derive(Debug, Serialize)]
struct SessionView {
    session_id: Option<String>,
    url: Option<String>,
    payment_id: i64,
    status: &'static str,
    amount: Money,
    currency: String,
    expires_at: String,
}

impl SessionView {
    fn of(payment: &Payment) -> Self {
        Self {
            session_id: payment.session.clone(),
            url: payment
                .checkout_url
                .clone()
                .filter(|_| payment.status.is_open()),
            payment_id: payment.number,
            status: status(payment.status),
            amount: Money(payment.amount),
            currency: money::code(payment.amount.unit),
            expires_at: payment.closes_at().to_string(),
        }
    }
}

type Key = Option<(AnswerKey, RequestHash)>;

/// The keys of the two commands that one request becomes.
fn keys(order: &Order, caller: &Caller) -> (Key, Key) {
    let first = order.idempotency(caller);
    let second = first.clone().map(|(key, hash)| {
        let route = format!("{} pay", key.route);
        (AnswerKey { route, ..key }, hash)
    });
    (first, second)
}

/// What is bought by the money that a request names.
fn wish(app: &App, user: &User, input: &mut Input) -> Result<CreateTopup, ApiError> {
    let price = app.config().facade_price;
    let paid = money::amount(input, price.currency)?;
    let note = input.text("description", 500)?.unwrap_or_default();
    refuse_card_number("description", &note)?;
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

async fn create_topup(app: &App, wish: CreateTopup, key: Key) -> Result<TopupId, ApiError> {
    match app.submit(Command::CreateTopup(wish), key).await?.reply {
        Reply::Topup(topup) => Ok(topup.id),
        _ => Err(ApiError::internal(
            &"a top-up was answered with something else",
        )),
    }
}

/// `POST /api/stripe/checkout-session`
async fn create_session(
    State(app): State<App>,
    user: User,
    headers: HeaderMap,
    uri: Uri,
    mut order: Order,
) -> Result<impl IntoResponse, ApiError> {
    checkout::configured(&app)?;
    let (topup_key, key) = keys(&order, &user.caller());
    let wish = wish(&app, &user, &mut order.input)?;
    let mut chosen = |name| {
        let text = order.input.text(name, 2_000)?;
        let chosen =
            text.map(|text| return_url::chosen(app.config(), &headers, &uri, (name, &text)));
        chosen.transpose()
    };
    let (success_url, cancel_url) = (chosen("success_url")?, chosen("cancel_url")?);
    order.input.finish()?;
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
    let (payment, replayed) = app.engine().open_checkout(wish, key).await?;
    Ok(answer(SessionView::of(&payment), replayed))
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
    Path(id): Path<String>,
    Query(query): Query,
) -> Result<impl IntoResponse, ApiError> {
    query.finish()?;
    let read = move |reader: &mut Reader| reader.payment_of_session(&id);
    let payment = seen_by(&caller, app.engine().read(read).await?)?;
    Ok(item(SessionView::of(&payment)))
}

/// The secret stands in the answer that opens it and nowhere else, and cannot be printed: this has no `Debug`.
#[derive(Serialize)]
struct IntentView {
    payment_intent_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    client_secret: Option<String>,
    payment_id: i64,
    status: &'static str,
    amount: Money,
    currency: String,
}

impl IntentView {
    fn of(payment: &Payment, client_secret: Option<String>) -> Self {
        Self {
            payment_intent_id: payment.intent.clone(),
            client_secret,
            payment_id: payment.number,
            status: status(payment.status),
            amount: Money(payment.amount),
            currency: money::code(payment.amount.unit),
        }
    }
}

/// `POST /api/stripe/payment-intent`
async fn create_intent(
    State(app): State<App>,
    user: User,
    mut order: Order,
) -> Result<impl IntoResponse, ApiError> {
    checkout::configured(&app)?;
    let (topup_key, key) = keys(&order, &user.caller());
    let wish = wish(&app, &user, &mut order.input)?;
    order.input.finish()?;
    let topup = create_topup(&app, wish, topup_key).await?;
    let wish = OpenIntent {
        topup,
        user: user.0,
        save_card: false,
    };
    let (payment, replayed) = app.engine().open_intent(wish, key).await?;
    let secret = app.engine().client_secret(&payment).await?;
    let secret = Some(secret.expose().to_owned());
    Ok(answer(IntentView::of(&payment, secret), replayed))
}

/// `GET /api/stripe/payment-intent/{payment_intent_id}`
async fn intent(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<String>,
    Query(query): Query,
) -> Result<impl IntoResponse, ApiError> {
    query.finish()?;
    let read = move |reader: &mut Reader| reader.payment_of_intent(&id);
    let payment = seen_by(&caller, app.engine().read(read).await?)?;
    Ok(item(IntentView::of(&payment, None)))
}

#[derive(Debug, Serialize)]
struct PaymentView {
    payment_id: i64,
    session_id: Option<String>,
    payment_intent_id: Option<String>,
    status: &'static str,
    amount: Money,
    refunded_amount: Money,
    currency: String,
    credits: i64,
    description: String,
    created_at: String,
    updated_at: String,
    completed_at: Option<String>,
}

impl PaymentView {
    fn of((payment, topup): &(Payment, Topup)) -> Self {
        let refunded = Amount::new(payment.returned.refunded, payment.amount.unit);
        Self {
            payment_id: payment.number,
            session_id: payment.session.clone(),
            payment_intent_id: payment.intent.clone(),
            status: status(payment.status),
            amount: Money(payment.amount),
            refunded_amount: Money(refunded),
            currency: money::code(payment.amount.unit),
            credits: topup.credits.saturating_add(topup.bonus),
            description: topup.remark.note.clone(),
            created_at: payment.created_at.to_string(),
            updated_at: payment.updated_at.to_string(),
            completed_at: payment.paid_at.map(|at| at.to_string()),
        }
    }
}

#[derive(Debug, Serialize)]
struct Payments {
    payments: Vec<PaymentView>,
    has_more: bool,
    next: Option<String>,
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
    Query(mut query): Query,
) -> Result<impl IntoResponse, ApiError> {
    let filter = PaymentFilter {
        user: caller.only().cloned(),
        status: None,
        topup: None,
    };
    let request = page::request(&mut query)?;
    query.finish()?;
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
    Path(text): Path<String>,
    Query(query): Query,
) -> Result<impl IntoResponse, ApiError> {
    query.finish()?;
    let is_number = text.bytes().all(|byte| byte.is_ascii_digit());
    let number = text.parse().ok().filter(|_| is_number).unwrap_or(0);
    let read = move |reader: &mut Reader| {
        let payment = reader.payment_of_number(number)?;
        payment
            .map(|payment| with_topup(reader, payment))
            .transpose()
    };
    let (payment, topup) = app.engine().read(read).await?.unzip();
    let payment = seen_by(&caller, payment)?;
    let topup = topup.ok_or(Refusal::PaymentNotFound)?;
    Ok(item(PaymentView::of(&(payment, topup))))
}

#[derive(Debug, Serialize)]
struct RefundView {
    refund_id: Option<String>,
    payment_id: i64,
    status: &'static str,
    amount: Money,
    currency: String,
    reason: Option<String>,
    created_at: String,
}

impl RefundView {
    fn of(refund: &Refund, payment_id: i64) -> Self {
        let said = [&refund.reason, &refund.remark.note];
        let reason = said.into_iter().find(|text| !text.is_empty());
        Self {
            refund_id: refund.provider_id.clone(),
            payment_id,
            status: refund.status.as_str(),
            amount: Money(refund.amount),
            currency: money::code(refund.amount.unit),
            reason: reason.cloned(),
            created_at: refund.created_at.to_string(),
        }
    }
}

/// `POST /api/stripe/refund`. A reason in Stripe's words goes to Stripe, any other is noted.
async fn refund(
    State(app): State<App>,
    admin: Admin,
    mut order: Order,
) -> Result<impl IntoResponse, ApiError> {
    let key = order.idempotency(&admin.caller());
    let number = order.input.integer("payment_id", 1, AMOUNT_MAX)?;
    let number = required("payment_id", number)?;
    let read = move |reader: &mut Reader| reader.payment_of_number(number);
    let payment = app.engine().read(read).await?;
    let payment = payment.ok_or(Refusal::PaymentNotFound)?;
    let unit = payment.amount.unit;
    let amount = order.input.decimal("amount", unit)?;
    let said = order.input.text("reason", 500)?.unwrap_or_default();
    refuse_card_number("reason", &said)?;
    order.input.finish()?;
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
    match app.engine().request_refund(wish, key).await {
        Ok((refund, replayed)) => Ok(answer(RefundView::of(&refund, number), replayed)),
        // The rule speaks of smallest steps, this API of dollars.
        Err(EngineError::Refused(Refusal::OutOfRange { least, most, .. })) => {
            let [least, most] = [least, most].map(|minor| Amount::new(minor, unit));
            let message = format!("must be from {least} to {most}");
            Err(ApiError::invalid("amount", message))
        }
        Err(error) => Err(error.into()),
    }
}

#[derive(Debug, Serialize)]
struct BalanceView {
    user_id: String,
    credits: i64,
    balance: Money,
    currency: String,
}

/// `GET /user/balance`
async fn balance(
    State(app): State<App>,
    User(user): User,
    Query(query): Query,
) -> Result<impl IntoResponse, ApiError> {
    query.finish()?;
    let wallet = app.engine().wallet(AccountKey::wallet(&user)).await?;
    let now = app.engine().now();
    let credits = wallet.map_or(0, |wallet| wallet.available(now));
    let worth = app.config().facade_price.cost_rounded_up(credits);
    let worth = worth.map_err(|_| Refusal::BalanceOutOfRange)?;
    Ok(item(BalanceView {
        user_id: user.to_string(),
        credits,
        balance: Money(worth),
        currency: money::code(worth.unit),
    }))
}
