//! Redeem codes: made in numbers and shown once, listed masked, disabled, redeemed.

use axum::extract::State;
use bursar_domain::amount::{Amount, Unit};
use bursar_domain::code::{
    CODES_MAX, CodeTerms, CreateCodes, GRANT_SECONDS_MAX, Redeem, RedeemCode,
};
use bursar_domain::command::{BonusCommand, Command, OtherReply};
use bursar_domain::grant::AMOUNT_MAX;
use bursar_domain::id::{CodeId, UserId};
use bursar_domain::perk::{PerkKind, PerkStatus};
use bursar_engine::Once;
use schemars::JsonSchema;
use serde::Serialize;

use super::answer::{Item, answer, item};
use super::auth::{Admin, User};
use super::error::ApiError;
use super::extract::Query;
use super::field::Credits;
use super::form::form;
use super::kind::{Code, Id, Moment, Text, Whole, Word};
use super::order::Order;
use super::page::{self, List, Of};
use super::{grant, referral};
use crate::App;
use crate::redeem_code;

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "RedeemCode")]
pub(super) struct View {
    code_id: Id<CodeId>,
    hint: String,
    /// The code itself, shown this once.
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<String>,
    credits: i64,
    unit: Code,
    uses: i64,
    uses_max: i64,
    expires_at: Option<Moment>,
    grant_expires_in: Option<i64>,
    note: String,
    created_at: Moment,
    disabled_at: Option<Moment>,
}

impl View {
    fn of(code: &RedeemCode) -> Self {
        let terms = &code.terms;
        Self {
            code_id: Id(code.id.clone()),
            hint: code.hint.clone(),
            code: None,
            credits: terms.amount.minor,
            unit: Code(terms.amount.unit),
            uses: code.uses,
            uses_max: terms.uses_max,
            expires_at: terms.expires_at.map(Moment),
            grant_expires_in: terms.grant_seconds,
            note: terms.note.clone(),
            created_at: Moment(code.created_at),
            disabled_at: code.disabled_at.map(Moment),
        }
    }
}

form! {
    /// How many codes are made, and what each gives.
    pub(super) struct Create {
        unit: Unit,
        /// What each redemption gives, in smallest steps of the unit.
        credits: Credits<1>,
        /// How many codes; one without it.
        count: Option<Whole<1, CODES_MAX>>,
        /// How many users may redeem each; one without it.
        uses_max: Option<Whole<1, AMOUNT_MAX>>,
        /// Until when they can be redeemed.
        expires_at: Option<Moment>,
        /// For how many seconds what they give lasts.
        grant_expires_in: Option<Whole<1, GRANT_SECONDS_MAX>>,
        /// Goes with what they give.
        note: Option<Text<500>>,
    }
}

/// `POST /v1/balance/codes/create`. The answer shows the codes, this once: what is remembered under an idempotency key are their
/// digests, so a repetition makes no new codes and shows none.
pub(super) async fn create(
    State(app): State<App>,
    admin: Admin,
    order: Order<Create>,
) -> Result<Item<page::Whole<View>>, ApiError> {
    let idempotency = order.idempotency(&admin.caller());
    let form = order.form;
    let count = form.count.map_or(1, |number| number.0);
    let terms = CodeTerms {
        amount: Amount::new(form.credits.0, form.unit),
        uses_max: form.uses_max.map_or(1, |number| number.0),
        expires_at: form.expires_at.map(|at| at.0),
        grant_seconds: form.grant_expires_in.map(|number| number.0),
        note: form.note.map(|text| text.0).unwrap_or_default(),
    };
    let codes = (0..count).map(|_| redeem_code::fresh());
    let codes = codes.collect::<Result<Vec<String>, _>>()?;
    let secret = |code: &String| (redeem_code::digest_of(code), redeem_code::hint(code));
    let wish = CreateCodes {
        secrets: codes.iter().map(secret).collect(),
        terms,
    };
    let command = Command::Bonus(BonusCommand::CreateCodes(wish));
    let made: Once<Vec<RedeemCode>> = app.engine().ask(command, idempotency).await?;
    let mut items: Vec<View> = made.iter().map(View::of).collect();
    if !made.replayed {
        for (view, code) in items.iter_mut().zip(codes) {
            view.code = Some(code);
        }
    }
    Ok(answer(&made, |_| page::Whole { items }))
}

form! {
    /// Which code ends.
    pub(super) struct Disable {
        code_id: Id<CodeId>,
    }
}

/// `POST /v1/balance/codes/disable`
pub(super) async fn disable(
    State(app): State<App>,
    admin: Admin,
    order: Order<Disable>,
) -> Result<Item<View>, ApiError> {
    let idempotency = order.idempotency(&admin.caller());
    let Id(id) = order.form.code_id;
    let command = Command::Bonus(BonusCommand::DisableCode(id));
    let ended: Once<Vec<RedeemCode>> = app.engine().ask(command, idempotency).await?;
    let code = ended.first().ok_or(OtherReply)?;
    Ok(answer(&ended, |_| View::of(code)))
}

form! {
    /// What a user enters.
    pub(super) struct Enter {
        /// Dashes, blanks and small letters do not matter.
        code: Text<200>,
    }
}

/// `POST /v1/balance/codes/redeem`
pub(super) async fn redeem(
    State(app): State<App>,
    user: User,
    order: Order<Enter>,
) -> Result<Item<grant::View>, ApiError> {
    let idempotency = order.idempotency(&user.caller());
    let wish = Redeem {
        user: user.0,
        hash: redeem_code::digest_of(&order.form.code.0),
    };
    let command = Command::Bonus(BonusCommand::Redeem(wish));
    Ok(grant::given(&app.engine().ask(command, idempotency).await?))
}

/// `GET /v1/balance/codes`
pub(super) async fn all(
    State(app): State<App>,
    _: Admin,
    Query(Of { page }): Query<Of>,
) -> Result<Item<List<View>>, ApiError> {
    page::read(&app, move |reader| reader.redeem_codes(&page), View::of).await
}

form! {
    /// Who has had something.
    pub(super) struct Had {
        user_id: Id<UserId>,
    }
}

/// Something that is had once.
#[derive(Debug, Serialize, JsonSchema)]
struct Perk {
    kind: Word<PerkKind>,
    /// Which of its kind: the code of a coupon, the digest of an address.
    subject: String,
    status: Word<PerkStatus>,
    r#ref: String,
    credits: i64,
    unit: Code,
    at: Moment,
}

/// What a user has had.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Bonuses {
    items: Vec<Perk>,
    referral: referral::View,
}

/// `GET /v1/balance/bonuses`: what a user has had once, and who brought him.
pub(super) async fn had(
    State(app): State<App>,
    _: Admin,
    Query(form): Query<Had>,
) -> Result<Item<Bonuses>, ApiError> {
    let Id(user) = form.user_id;
    let (perks, referral) = app
        .engine()
        .read(move |reader| Ok((reader.perks_of(&user)?, reader.referral_of(&user)?)))
        .await?;
    let perks = perks.into_iter().map(|perk| Perk {
        kind: Word(perk.key.kind),
        subject: perk.key.subject,
        status: Word(perk.status),
        r#ref: perk.reference,
        credits: perk.amount.minor,
        unit: Code(perk.amount.unit),
        at: Moment(perk.at),
    });
    Ok(item(Bonuses {
        items: perks.collect(),
        referral: referral::View::of(&referral),
    }))
}
