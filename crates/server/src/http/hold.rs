//! Holds: reserve, report progress, extend, settle, release.

use axum::extract::State;
use bursar_domain::account::Owner;
use bursar_domain::charge::Charge;
use bursar_domain::command::{Command, Idempotency};
use bursar_domain::hold::{CreateHold, Hold, HoldStatus, Overage, SECONDS_MAX};
use bursar_domain::id::{HoldId, TransactionId, UserId};
use bursar_domain::journal::Remark;
use bursar_domain::refusal::Refusal;
use bursar_store::query::{HoldFilter, PageRequest};
use schemars::JsonSchema;
use serde::Serialize;

use super::answer::{Item, answer, item};
use super::auth::{Admin, User};
use super::charge::Paid;
use super::error::ApiError;
use super::extract::Query;
use super::field::Credits;
use super::form::{Nothing, form, in_path};
use super::kind::{Code, Id, Meta, Moment, Whole, Word};
use super::order::Order;
use super::page::{self, List, OfAll};
use crate::App;

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Hold")]
pub(super) struct View {
    hold_id: Id<HoldId>,
    user_id: Id<Owner>,
    status: Word<HoldStatus>,
    credits: i64,
    progress: i64,
    settled: i64,
    uncovered: i64,
    unit: Code,
    grants: Vec<Paid>,
    overage: Word<Overage>,
    api_key: Option<String>,
    labels: Vec<String>,
    charge_id: Option<Id<TransactionId>>,
    balance_after: Option<i64>,
    note: String,
    r#ref: String,
    meta: Meta,
    created_at: Moment,
    expires_at: Moment,
    updated_at: Moment,
    ended_at: Option<Moment>,
}

impl View {
    fn of(hold: &Hold) -> Self {
        Self {
            hold_id: Id(hold.id),
            user_id: Id(hold.wallet.owner.clone()),
            status: Word(hold.status),
            credits: hold.amount,
            progress: hold.progress,
            settled: hold.settled,
            uncovered: hold.uncovered,
            unit: Code(hold.wallet.unit),
            grants: hold.parts.iter().map(Paid::of).collect(),
            overage: Word(hold.overage),
            api_key: hold.spender.api_key.clone(),
            labels: hold.spender.labels.clone(),
            charge_id: hold.charge.map(Id),
            balance_after: hold.balance,
            note: hold.remark.note.clone(),
            r#ref: hold.remark.reference.clone(),
            meta: Meta(hold.remark.meta.clone()),
            created_at: Moment(hold.created_at),
            expires_at: Moment(hold.expires_at),
            updated_at: Moment(hold.updated_at),
            ended_at: hold.ended_at.map(Moment),
        }
    }
}

form! {
    /// What is to be reserved, and for how long.
    pub(super) struct Create {
        charge: Charge,
        /// For how many seconds; as configured without it.
        expires_in: Option<Whole<1, SECONDS_MAX>>,
        /// What happens when more is used than was reserved: extend it first, charge the rest, or make a debt.
        overage: Option<Word<Overage>>,
        remark: Remark,
    }
}

/// `POST /v1/balance/holds/create`
pub(super) async fn create(
    State(app): State<App>,
    admin: Admin,
    order: Order<Create>,
) -> Result<Item<View>, ApiError> {
    let idempotency = order.idempotency(&admin.caller());
    let Create {
        charge,
        expires_in,
        overage,
        remark,
    } = order.form;
    let command = Command::CreateHold(CreateHold {
        charge: Charge { remark, ..charge },
        seconds: expires_in.map(|seconds| seconds.0),
        overage: overage.map(|word| word.0),
    });
    decide(&app, command, idempotency).await
}

form! {
    /// How much was used.
    pub(super) struct Used {
        hold_id: Id<HoldId>,
        /// What was used so far, all in all.
        credits: Credits<0>,
    }
}

/// `POST /v1/balance/holds/progress`
pub(super) async fn progress(
    State(app): State<App>,
    admin: Admin,
    order: Order<Used>,
) -> Result<Item<View>, ApiError> {
    let idempotency = order.idempotency(&admin.caller());
    let command = Command::ProgressHold {
        hold: order.form.hold_id.0,
        used: order.form.credits.0,
    };
    decide(&app, command, idempotency).await
}

form! {
    /// How much more is to be reserved, or for how much longer.
    pub(super) struct Extend {
        hold_id: Id<HoldId>,
        /// So much more.
        credits: Option<Credits<1>>,
        /// The hold ends so many seconds from now.
        expires_in: Option<Whole<1, SECONDS_MAX>>,
    }
}

/// `POST /v1/balance/holds/extend`
pub(super) async fn extend(
    State(app): State<App>,
    admin: Admin,
    order: Order<Extend>,
) -> Result<Item<View>, ApiError> {
    let idempotency = order.idempotency(&admin.caller());
    let more = order.form.credits.map(|credits| credits.0);
    let seconds = order.form.expires_in.map(|seconds| seconds.0);
    if more.is_none() && seconds.is_none() {
        let message = "is missing, and so is `expires_in`: say what to extend";
        return Err(ApiError::invalid("credits", message));
    }
    let command = Command::ExtendHold {
        hold: order.form.hold_id.0,
        more: more.unwrap_or(0),
        seconds,
    };
    decide(&app, command, idempotency).await
}

form! {
    /// What it came to.
    pub(super) struct Settle {
        used: Used,
        remark: Remark,
    }
}

/// `POST /v1/balance/holds/settle`
pub(super) async fn settle(
    State(app): State<App>,
    admin: Admin,
    order: Order<Settle>,
) -> Result<Item<View>, ApiError> {
    let idempotency = order.idempotency(&admin.caller());
    let Settle { used, remark } = order.form;
    let command = Command::SettleHold {
        hold: used.hold_id.0,
        used: used.credits.0,
        remark,
    };
    decide(&app, command, idempotency).await
}

form! {
    /// Which hold is given back.
    pub(super) struct Release {
        hold_id: Id<HoldId>,
        remark: Remark,
    }
}

/// `POST /v1/balance/holds/release`
pub(super) async fn release(
    State(app): State<App>,
    admin: Admin,
    order: Order<Release>,
) -> Result<Item<View>, ApiError> {
    let idempotency = order.idempotency(&admin.caller());
    let command = Command::ReleaseHold {
        hold: order.form.hold_id.0,
        remark: order.form.remark,
    };
    decide(&app, command, idempotency).await
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

/// `GET /v1/balance/holds/{hold_id}`
pub(super) async fn one(
    State(app): State<App>,
    _: Admin,
    HoldPath(id): HoldPath,
    _: Query<Nothing>,
) -> Result<Item<View>, ApiError> {
    let hold = app.engine().read(move |reader| reader.hold(id)).await?;
    let hold = hold.ok_or_else(|| ApiError::from(Refusal::HoldNotFound))?;
    Ok(item(View::of(&hold)))
}

in_path! {
    /// The hold that an address names.
    HoldPath(HoldId) = "hold_id"
}

form! {
    /// Which holds a user asks for.
    pub(super) struct Mine {
        status: Option<Word<HoldStatus>>,
        page: PageRequest,
    }
}

/// `GET /v1/balance/holds/me`
pub(super) async fn mine(
    State(app): State<App>,
    User(user): User,
    Query(form): Query<Mine>,
) -> Result<Item<List<View>>, ApiError> {
    list(&app, Some(user), form).await
}

/// `GET /v1/balance/holds`
pub(super) async fn all(
    State(app): State<App>,
    _: Admin,
    Query(form): Query<OfAll<Mine>>,
) -> Result<Item<List<View>>, ApiError> {
    list(&app, form.user, form.these).await
}

async fn list(app: &App, user: Option<UserId>, form: Mine) -> Result<Item<List<View>>, ApiError> {
    let filter = HoldFilter {
        user,
        status: form.status.map(|word| word.0),
    };
    page::read(
        app,
        move |reader| reader.holds(&filter, &form.page),
        View::of,
    )
    .await
}
