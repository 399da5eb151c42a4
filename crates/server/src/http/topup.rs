//! Top-ups: a user wishes for credits; an administrator can finish or cancel a wish.

use axum::extract::State;
use bursar_domain::command::{Command, Idempotency};
use bursar_domain::id::{PaymentId, TopupId, UserId};
use bursar_domain::journal::Remark;
use bursar_domain::topup::{CreateTopup, Topup, TopupStatus, Wish};
use bursar_store::query::{PageRequest, TopupFilter};
use schemars::JsonSchema;
use serde::Serialize;

use super::answer::{Item, answer};
use super::auth::{Admin, User};
use super::error::ApiError;
use super::extract::{Input, Query};
use super::field::Credits;
use super::form::{Field, Fields, Part, form};
use super::kind::{Currency, Id, Meta, Moment, Text, Word};
use super::order::Order;
use super::page::{self, List, OfAll};
use crate::App;

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Topup")]
pub(super) struct View {
    topup_id: Id<TopupId>,
    user_id: Id<UserId>,
    credits: i64,
    bonus: i64,
    package_id: Option<String>,
    coupon: Option<String>,
    discount_minor: i64,
    amount_minor: i64,
    currency: Currency,
    display: String,
    status: Word<TopupStatus>,
    payment_id: Option<Id<PaymentId>>,
    note: String,
    r#ref: String,
    meta: Meta,
    created_at: Moment,
    updated_at: Moment,
    paid_at: Option<Moment>,
}

impl View {
    fn of(topup: &Topup) -> Self {
        Self {
            topup_id: Id(topup.id.clone()),
            user_id: Id(topup.user.clone()),
            credits: topup.credits,
            bonus: topup.bonus,
            package_id: topup.package.clone(),
            coupon: topup.coupon.clone(),
            discount_minor: topup.discount,
            amount_minor: topup.price.minor,
            currency: Currency(topup.price.unit),
            display: topup.price.to_string(),
            status: Word(topup.status),
            payment_id: topup.payment.clone().map(Id),
            note: topup.remark.note.clone(),
            r#ref: topup.remark.reference.clone(),
            meta: Meta(topup.remark.meta.clone()),
            created_at: Moment(topup.created_at),
            updated_at: Moment(topup.updated_at),
            paid_at: topup.paid_at.map(Moment),
        }
    }
}

form! {
    /// What a user wants to buy.
    pub(super) struct Create {
        wish: Wanted,
        /// What is paid in, of those that have a price.
        currency: Option<Currency>,
        /// The code of a coupon.
        coupon: Option<Text<64>>,
        remark: Remark,
    }
}

/// A package, or so many credits.
#[derive(Debug)]
enum Wanted {
    Package(String),
    Credits(Credits<1>),
}

impl Part for Wanted {
    fn take(input: &mut Input, _: &'static str) -> Result<Self, ApiError> {
        let package = Text::<200>::read(input, "package_id")?;
        let credits = <Option<Credits<1>> as Part>::take(input, "credits")?;
        match (package, credits) {
            (Some(package), None) => Ok(Self::Package(package.0)),
            (None, Some(credits)) => Ok(Self::Credits(credits)),
            (None, None) => Err(ApiError::missing("amount")),
            (Some(_), Some(_)) => {
                let message = "has credits of its own: give it, or `credits`";
                Err(ApiError::invalid("package_id", message))
            }
        }
    }

    fn describe(_: &'static str, _: &str, fields: &mut Fields<'_>) {
        let about = "A package: its credits, its bonus, its price.";
        fields.optional::<Text<200>>("package_id", about);
        let about = "So many credits, within the configured limits; this or a package.";
        Option::<Credits<1>>::describe("credits", about, fields);
        fields.one_of(&["package_id", "credits", "amount"]);
        fields.not_both("package_id", "credits");
        fields.not_both("package_id", "amount");
    }
}

/// `POST /v1/balance/topups/create`
pub(super) async fn create(
    State(app): State<App>,
    user: User,
    order: Order<Create>,
) -> Result<Item<View>, ApiError> {
    let idempotency = order.idempotency(&user.caller());
    let form = order.form;
    let limits = &app.config().topup;
    let wish = match form.wish {
        Wanted::Package(package) => Wish::Package(package),
        Wanted::Credits(credits) => Wish::Credits(credits.within(limits.min, limits.max)?.0),
    };
    let wish = CreateTopup {
        user: user.0,
        wish,
        currency: form.currency.map(|currency| currency.0),
        coupon: form.coupon.map(|text| text.0),
        remark: form.remark,
    };
    decide(&app, Command::CreateTopup(wish), idempotency).await
}

form! {
    /// Which top-up ends by hand.
    pub(super) struct End {
        topup_id: Id<TopupId>,
        remark: Remark,
    }
}

/// `POST /v1/balance/topups/finish`
pub(super) async fn finish(
    State(app): State<App>,
    admin: Admin,
    order: Order<End>,
) -> Result<Item<View>, ApiError> {
    let idempotency = order.idempotency(&admin.caller());
    let End {
        topup_id: Id(topup),
        remark,
    } = order.form;
    decide(&app, Command::FinishTopup { topup, remark }, idempotency).await
}

/// `POST /v1/balance/topups/cancel`
pub(super) async fn cancel(
    State(app): State<App>,
    admin: Admin,
    order: Order<End>,
) -> Result<Item<View>, ApiError> {
    let idempotency = order.idempotency(&admin.caller());
    let End {
        topup_id: Id(topup),
        remark,
    } = order.form;
    decide(&app, Command::CancelTopup { topup, remark }, idempotency).await
}

async fn decide(
    app: &App,
    command: Command,
    idempotency: Idempotency,
) -> Result<Item<View>, ApiError> {
    Ok(answer(
        &app.engine().ask(command, idempotency).await?,
        View::of,
    ))
}

form! {
    /// Which top-ups a user asks for.
    pub(super) struct Mine {
        status: Option<Word<TopupStatus>>,
        page: PageRequest,
    }
}

/// `GET /v1/balance/topups/me`
pub(super) async fn mine(
    State(app): State<App>,
    User(user): User,
    Query(form): Query<Mine>,
) -> Result<Item<List<View>>, ApiError> {
    list(&app, Some(user), form).await
}

/// `GET /v1/balance/topups`
pub(super) async fn all(
    State(app): State<App>,
    _: Admin,
    Query(form): Query<OfAll<Mine>>,
) -> Result<Item<List<View>>, ApiError> {
    list(&app, form.user, form.these).await
}

async fn list(app: &App, user: Option<UserId>, form: Mine) -> Result<Item<List<View>>, ApiError> {
    let filter = TopupFilter {
        user,
        status: form.status.map(|word| word.0),
    };
    page::read(
        app,
        move |reader| reader.topups(&filter, &form.page),
        View::of,
    )
    .await
}
