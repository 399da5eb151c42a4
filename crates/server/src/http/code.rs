//! Redeem codes: made in numbers and shown once, listed masked, disabled, redeemed.

use axum::extract::State;
use axum::response::IntoResponse;
use bursar_domain::amount::Amount;
use bursar_domain::code::{
    CODES_MAX, CodeTerms, CreateCodes, GRANT_SECONDS_MAX, Redeem, RedeemCode,
};
use bursar_domain::command::{BonusCommand, Command, Reply};
use bursar_domain::grant::AMOUNT_MAX;
use bursar_domain::id::CodeId;
use bursar_domain::refusal::Refusal;
use serde::Serialize;
use serde_json::json;

use super::answer::{answer, item};
use super::auth::{Admin, User};
use super::error::ApiError;
use super::extract::{Query, required};
use super::order::Order;
use super::{grant, page};
use crate::App;
use crate::redeem_code;

#[derive(Debug, Serialize)]
struct View {
    code_id: String,
    hint: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<String>,
    credits: i64,
    unit: &'static str,
    uses: i64,
    uses_max: i64,
    expires_at: Option<String>,
    grant_expires_in: Option<i64>,
    note: String,
    created_at: String,
    disabled_at: Option<String>,
}

impl View {
    fn of(code: &RedeemCode) -> Self {
        let terms = &code.terms;
        Self {
            code_id: code.id.to_string(),
            hint: code.hint.clone(),
            code: None,
            credits: terms.amount.minor,
            unit: terms.amount.unit.code(),
            uses: code.uses,
            uses_max: terms.uses_max,
            expires_at: terms.expires_at.map(|at| at.to_string()),
            grant_expires_in: terms.grant_seconds,
            note: terms.note.clone(),
            created_at: code.created_at.to_string(),
            disabled_at: code.disabled_at.map(|at| at.to_string()),
        }
    }
}

/// `POST /v1/balance/codes/create`. The answer shows the codes, this once: what is remembered under an idempotency key are their
/// digests, so a repetition makes no new codes and shows none.
pub(super) async fn create(
    State(app): State<App>,
    admin: Admin,
    mut order: Order,
) -> Result<impl IntoResponse, ApiError> {
    let input = &mut order.input;
    let unit = input.unit()?;
    let amount = Amount::new(input.credits(1, AMOUNT_MAX)?, unit);
    let count = input.integer("count", 1, CODES_MAX)?.unwrap_or(1);
    let terms = CodeTerms {
        amount,
        uses_max: input.integer("uses_max", 1, AMOUNT_MAX)?.unwrap_or(1),
        expires_at: input.time("expires_at")?,
        grant_seconds: input.integer("grant_expires_in", 1, GRANT_SECONDS_MAX)?,
        note: input.text("note", 500)?.unwrap_or_default(),
    };
    let idempotency = order.idempotency(&admin.caller());
    order.input.finish()?;
    let codes = (0..count).map(|_| redeem_code::fresh());
    let codes = codes.collect::<Result<Vec<String>, _>>()?;
    let secret = |code: &String| (redeem_code::digest_of(code), redeem_code::hint(code));
    let wish = CreateCodes {
        secrets: codes.iter().map(secret).collect(),
        terms,
    };
    let command = Command::Bonus(BonusCommand::CreateCodes(wish));
    let answered = app.submit(command, idempotency).await?;
    let Reply::Codes(made) = answered.reply else {
        return Err(ApiError::internal(
            &"codes were answered with something else",
        ));
    };
    let mut items: Vec<View> = made.iter().map(View::of).collect();
    if !answered.replayed {
        for (view, code) in items.iter_mut().zip(codes) {
            view.code = Some(code);
        }
    }
    Ok(answer(json!({ "items": items }), answered.replayed))
}

/// `POST /v1/balance/codes/disable`
pub(super) async fn disable(
    State(app): State<App>,
    admin: Admin,
    mut order: Order,
) -> Result<impl IntoResponse, ApiError> {
    let text = required("code_id", order.input.text("code_id", 200)?)?;
    let id = CodeId::parse(&text).ok_or(Refusal::CodeNotFound)?;
    let idempotency = order.idempotency(&admin.caller());
    order.input.finish()?;
    let command = Command::Bonus(BonusCommand::DisableCode(id));
    let answered = app.submit(command, idempotency).await?;
    match answered.reply {
        Reply::Codes(codes) if codes.len() == 1 => {
            Ok(answer(View::of(&codes[0]), answered.replayed))
        }
        _ => Err(ApiError::internal(
            &"a code was answered with something else",
        )),
    }
}

/// `POST /v1/balance/codes/redeem`
pub(super) async fn redeem(
    State(app): State<App>,
    user: User,
    mut order: Order,
) -> Result<impl IntoResponse, ApiError> {
    let entered = required("code", order.input.text("code", 200)?)?;
    let idempotency = order.idempotency(&user.caller());
    order.input.finish()?;
    let wish = Redeem {
        user: user.0.clone(),
        hash: redeem_code::digest_of(&entered),
    };
    let command = Command::Bonus(BonusCommand::Redeem(wish));
    let answered = app.submit(command, idempotency).await?;
    grant::given(answered)
}

/// `GET /v1/balance/codes`
pub(super) async fn all(
    State(app): State<App>,
    _: Admin,
    Query(mut query): Query,
) -> Result<impl IntoResponse, ApiError> {
    let request = page::request(&mut query)?;
    query.finish()?;
    let codes = app
        .engine()
        .read(move |reader| reader.redeem_codes(&request))
        .await?;
    Ok(page::list(codes, View::of))
}

/// `GET /v1/balance/bonuses`: what a user has had once, and who brought him.
pub(super) async fn had(
    State(app): State<App>,
    _: Admin,
    Query(mut query): Query,
) -> Result<impl IntoResponse, ApiError> {
    let user = required("user_id", query.user("user_id")?)?;
    query.finish()?;
    let (perks, referral) = app
        .engine()
        .read(move |reader| Ok((reader.perks_of(&user)?, reader.referral_of(&user)?)))
        .await?;
    let items: Vec<_> = perks
        .iter()
        .map(|perk| {
            json!({
                "kind": perk.key.kind.as_str(),
                "subject": perk.key.subject,
                "status": perk.status.as_str(),
                "ref": perk.reference,
                "credits": perk.amount.minor,
                "unit": perk.amount.unit.code(),
                "at": perk.at.to_string(),
            })
        })
        .collect();
    Ok(item(json!({
        "items": items,
        "referral": super::referral::shown(&referral),
    })))
}
