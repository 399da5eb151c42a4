//! Rows about bonuses: coupons, redeem codes, what is had once, referrals.

use bursar_domain::code::{CodeTerms, RedeemCode};
use bursar_domain::coupon::{Benefit, Coupon, CouponTerms};
use bursar_domain::id::{CodeId, PaymentId, UserId};
use bursar_domain::perk::{Perk, PerkKey, PerkKind, PerkStatus};
use bursar_domain::referral::{Member, ReferralStatus};

use super::{Shape, read_amount};
use crate::connection::{Parameters, Row, StoreError, Value};

pub(crate) const COUPON: &str = "code, benefit, value, value_unit, least_minor, least_unit, uses_max, uses, expires_at, note, \
                                 disabled_at, created_at";
pub(crate) const CODE: &str = "id, hash, hint, amount, unit, uses_max, uses, expires_at, grant_seconds, note, disabled_at, \
                               created_at";
pub(crate) const PERK: &str = "kind, subject, holder, status, reference, amount, unit, at";
pub(crate) const MEMBER: &str =
    "user_id, code, identity, referrer, status, payment_id, created_at, updated_at";

pub(crate) const COUPONS: Shape = Shape {
    table: "coupon",
    columns: COUPON,
    fixed: &["benefit", "value", "value_unit", "created_at"],
};

pub(crate) const CODES: Shape = Shape {
    table: "redeem_code",
    columns: CODE,
    fixed: &["hash", "hint", "amount", "unit", "uses_max", "created_at"],
};

pub(crate) const MEMBERS: Shape = Shape {
    table: "member",
    columns: MEMBER,
    fixed: &["created_at"],
};

const PERCENT: &str = "percent";
const AMOUNT: &str = "amount";
const CREDITS: &str = "credits";

pub(crate) fn write_coupon(coupon: &Coupon) -> Parameters {
    let terms = &coupon.terms;
    let (benefit, value, unit) = match terms.benefit {
        Benefit::Percent(percent) => (PERCENT, percent, None),
        Benefit::Amount(amount) => (AMOUNT, amount.minor, Some(amount.unit.to_string())),
        Benefit::Credits(credits) => (CREDITS, credits, None),
    };
    vec![
        terms.code.as_str().into(),
        benefit.into(),
        value.into(),
        unit.as_deref().into(),
        terms.least_price.map(|least| least.minor).into(),
        terms
            .least_price
            .map(|least| least.unit.to_string())
            .as_deref()
            .into(),
        terms.uses_max.into(),
        coupon.uses.into(),
        terms.expires_at.into(),
        terms.note.as_str().into(),
        coupon.disabled_at.into(),
        coupon.created_at.into(),
    ]
}

pub(crate) fn read_coupon(row: &Row) -> Result<Coupon, StoreError> {
    let value = row.integer(2)?;
    let benefit = match row.text(1)? {
        PERCENT => Benefit::Percent(value),
        AMOUNT => Benefit::Amount(read_amount(row, 2)?),
        CREDITS => Benefit::Credits(value),
        other => {
            return Err(StoreError::corrupt(format!(
                "a coupon with the benefit {other:?}"
            )));
        }
    };
    let least_price = match row.optional_integer(4)? {
        Some(_) => Some(read_amount(row, 4)?),
        None => None,
    };
    Ok(Coupon {
        terms: CouponTerms {
            code: row.text(0)?.to_owned(),
            benefit,
            least_price,
            uses_max: row.optional_integer(6)?,
            expires_at: row.optional_time(8)?,
            note: row.text(9)?.to_owned(),
        },
        uses: row.integer(7)?,
        disabled_at: row.optional_time(10)?,
        created_at: row.time(11)?,
    })
}

pub(crate) fn write_code(code: &RedeemCode) -> Parameters {
    let terms = &code.terms;
    vec![
        code.id.as_str().into(),
        code.hash.as_str().into(),
        code.hint.as_str().into(),
        terms.amount.minor.into(),
        terms.amount.unit.to_string().into(),
        terms.uses_max.into(),
        code.uses.into(),
        terms.expires_at.into(),
        terms.grant_seconds.into(),
        terms.note.as_str().into(),
        code.disabled_at.into(),
        code.created_at.into(),
    ]
}

pub(crate) fn read_code(row: &Row) -> Result<RedeemCode, StoreError> {
    Ok(RedeemCode {
        id: row.parsed(0, CodeId::parse)?,
        hash: row.text(1)?.to_owned(),
        hint: row.text(2)?.to_owned(),
        terms: CodeTerms {
            amount: read_amount(row, 3)?,
            uses_max: row.integer(5)?,
            expires_at: row.optional_time(7)?,
            grant_seconds: row.optional_integer(8)?,
            note: row.text(9)?.to_owned(),
        },
        uses: row.integer(6)?,
        disabled_at: row.optional_time(10)?,
        created_at: row.time(11)?,
    })
}

pub(crate) fn perk_key(key: &PerkKey) -> Parameters {
    vec![
        key.kind.as_str().into(),
        key.subject.as_str().into(),
        key.holder.as_str().into(),
    ]
}

pub(crate) fn write_perk(perk: &Perk) -> Parameters {
    let mut row = perk_key(&perk.key);
    let more: [Value; 5] = [
        perk.status.as_str().into(),
        perk.reference.as_str().into(),
        perk.amount.minor.into(),
        perk.amount.unit.to_string().into(),
        perk.at.into(),
    ];
    row.extend(more);
    row
}

pub(crate) fn read_perk(row: &Row) -> Result<Perk, StoreError> {
    Ok(Perk {
        key: PerkKey {
            kind: row.parsed(0, PerkKind::parse)?,
            subject: row.text(1)?.to_owned(),
            holder: row.text(2)?.to_owned(),
        },
        status: row.parsed(3, PerkStatus::parse)?,
        reference: row.text(4)?.to_owned(),
        amount: read_amount(row, 5)?,
        at: row.time(7)?,
    })
}

pub(crate) fn write_member(member: &Member) -> Parameters {
    vec![
        member.user.as_str().into(),
        member.code.as_deref().into(),
        member.identity.as_deref().into(),
        member.referrer.as_ref().map(UserId::as_str).into(),
        member.status.map(ReferralStatus::as_str).into(),
        member.payment.as_ref().map(PaymentId::as_str).into(),
        member.created_at.into(),
        member.updated_at.into(),
    ]
}

pub(crate) fn read_member(row: &Row) -> Result<Member, StoreError> {
    Ok(Member {
        user: row.parsed(0, UserId::parse)?,
        code: row.optional_text(1)?.map(str::to_owned),
        identity: row.optional_text(2)?.map(str::to_owned),
        referrer: row.optional_parsed(3, UserId::parse)?,
        status: row.optional_parsed(4, ReferralStatus::parse)?,
        payment: row.optional_parsed(5, PaymentId::parse)?,
        created_at: row.time(6)?,
        updated_at: row.time(7)?,
    })
}
