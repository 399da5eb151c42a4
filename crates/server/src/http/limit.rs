//! Spending limits: set, listed, taken away.

use axum::extract::State;
use bursar_domain::amount::{Amount, Unit};
use bursar_domain::command::{Command, Idempotency};
use bursar_domain::id::{LimitId, UserId};
use bursar_domain::limit::{Period, SetLimit, SpendingLimit, Subject, SubjectKind};
use bursar_domain::time::Time;
use bursar_engine::Once;
use bursar_store::query::PageRequest;
use schemars::JsonSchema;
use serde::Serialize;

use super::answer::{Item, answer};
use super::auth::Admin;
use super::error::ApiError;
use super::extract::{Input, Query};
use super::field::Credits;
use super::form::{Field, Fields, Part, form};
use super::kind::{Code, Id, Moment, Name, Word};
use super::order::Order;
use super::page::{self, List};
use crate::App;

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Limit")]
pub(super) struct View {
    limit_id: Id<LimitId>,
    /// Whose spending is limited: one of this and the next two.
    user_id: Option<String>,
    api_key: Option<String>,
    label: Option<String>,
    period: Word<Period>,
    credits: i64,
    used: i64,
    reserved: i64,
    left: i64,
    unit: Code,
    resets_at: Option<Moment>,
    created_at: Moment,
    updated_at: Moment,
}

impl View {
    fn of(limit: &SpendingLimit, now: Time) -> Self {
        let name = |kind| {
            let is_it = limit.subject.kind == kind;
            is_it.then(|| limit.subject.name.clone())
        };
        let used = limit.used(now);
        Self {
            limit_id: Id(limit.id),
            user_id: name(SubjectKind::User),
            api_key: name(SubjectKind::ApiKey),
            label: name(SubjectKind::Label),
            period: Word(limit.period),
            credits: limit.most.minor,
            used,
            reserved: limit.reserved,
            left: (limit.most.minor - used).max(0),
            unit: Code(limit.most.unit),
            resets_at: limit.period.ends(now).map(Moment),
            created_at: Moment(limit.created_at),
            updated_at: Moment(limit.updated_at),
        }
    }
}

/// `user_id`, `api_key` or `label`; none if none is there.
impl Part for Option<Subject> {
    fn take(input: &mut Input, _: &'static str) -> Result<Self, ApiError> {
        let user = Id::<UserId>::read(input, "user_id")?.map(|user| user.to_string());
        let named = [
            (SubjectKind::User, user),
            (SubjectKind::ApiKey, input.name("api_key")?),
            (SubjectKind::Label, input.name("label")?),
        ];
        let mut subjects = named
            .into_iter()
            .filter_map(|(kind, name)| name.map(|name| Subject { kind, name }));
        let subject = subjects.next();
        if let Some(second) = subjects.next() {
            let field = if second.kind == SubjectKind::Label {
                "label"
            } else {
                "api_key"
            };
            let message =
                "stands beside another: a limit is about one of `user_id`, `api_key` and `label`";
            return Err(ApiError::invalid(field, message));
        }
        Ok(subject)
    }

    fn describe(_: &'static str, _: &str, fields: &mut Fields<'_>) {
        fields.optional::<Id<UserId>>("user_id", "All that this user spends.");
        fields.optional::<Name>("api_key", "All that is spent with this API key of yours.");
        fields.optional::<Name>("label", "All that is spent under this label.");
        fields.not_both("user_id", "api_key");
        fields.not_both("user_id", "label");
        fields.not_both("api_key", "label");
        fields.refusals(&["card_number_refused"]);
    }
}

/// The same where one of them has to be there.
impl Part for Subject {
    fn take(input: &mut Input, name: &'static str) -> Result<Self, ApiError> {
        <Option<Self> as Part>::take(input, name)?.ok_or_else(|| ApiError {
            message: "say whose spending is limited: one of `user_id`, `api_key` and `label`"
                .to_owned(),
            ..ApiError::missing("user_id")
        })
    }

    fn describe(name: &'static str, about: &str, fields: &mut Fields<'_>) {
        Option::<Self>::describe(name, about, fields);
        fields.one_of(&["user_id", "api_key", "label"]);
    }
}

form! {
    /// A limit.
    pub(super) struct Set {
        subject: Subject,
        period: Word<Period>,
        unit: Unit,
        /// At most so much in each period, in smallest steps of the unit.
        credits: Credits<0>,
    }
}

/// `POST /v1/balance/limits/set`
pub(super) async fn set(
    State(app): State<App>,
    admin: Admin,
    order: Order<Set>,
) -> Result<Item<View>, ApiError> {
    let idempotency = order.idempotency(&admin.caller());
    let Set {
        subject,
        period,
        unit,
        credits,
    } = order.form;
    let command = Command::SetLimit(SetLimit {
        subject,
        most: Amount::new(credits.0, unit),
        period: period.0,
    });
    decide(&app, command, idempotency).await
}

form! {
    /// Which limit is taken away.
    pub(super) struct Remove {
        limit_id: Id<LimitId>,
    }
}

/// `POST /v1/balance/limits/remove`
pub(super) async fn remove(
    State(app): State<App>,
    admin: Admin,
    order: Order<Remove>,
) -> Result<Item<View>, ApiError> {
    let idempotency = order.idempotency(&admin.caller());
    decide(
        &app,
        Command::RemoveLimit(order.form.limit_id.0),
        idempotency,
    )
    .await
}

async fn decide(
    app: &App,
    command: Command,
    idempotency: Idempotency,
) -> Result<Item<View>, ApiError> {
    let is_set = matches!(command, Command::SetLimit(_));
    let decided: Once<SpendingLimit> = app.engine().ask(command, idempotency).await?;
    // An answer that is given again is the one of its moment, not of today's period.
    let at = if is_set {
        decided.updated_at
    } else {
        app.engine().now()
    };
    Ok(answer(&decided, |limit| View::of(limit, at)))
}

form! {
    /// Whose limits.
    pub(super) struct All {
        subject: Option<Subject>,
        page: PageRequest,
    }
}

/// `GET /v1/balance/limits`
pub(super) async fn all(
    State(app): State<App>,
    _: Admin,
    Query(form): Query<All>,
) -> Result<Item<List<View>>, ApiError> {
    let All { subject, page } = form;
    let limits = app
        .engine()
        .read(move |reader| reader.limits(subject.as_ref(), &page))
        .await?;
    let now = app.engine().now();
    Ok(page::list(limits, |limit| View::of(limit, now)))
}
