//! Coupons, redeem codes, and what somebody has had.

use bursar_domain::code::RedeemCode;
use bursar_domain::coupon::{self, Coupon};
use bursar_domain::id::{CodeId, UserId};
use bursar_domain::perk::Perk;
use bursar_domain::referral::Member;

use super::{Conditions, Page, PageRequest, Reader, id_cursor};
use crate::connection::StoreError;
use crate::record;

/// A member of the referral programme, and what came of his code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReferralSum {
    /// The row; none if he has neither a code nor was brought by one.
    pub member: Option<Member>,
    /// How many were brought with his code.
    pub brought: i64,
    /// For how many of them he was rewarded.
    pub rewarded: i64,
    /// How many credits he has for that, without what was taken back.
    pub credits: i64,
}

impl Reader {
    /// Coupons, in the order of their codes backwards.
    pub fn coupons(&mut self, request: &PageRequest) -> Result<Page<Coupon>, StoreError> {
        let mut conditions = Conditions::default();
        let is_code = |text: &str| coupon::code(text).as_deref() == Some(text);
        conditions.compare("code", "<", id_cursor(request, is_code)?);
        let table = (record::COUPON, "coupon", "code");
        self.page(table, &conditions, request, record::read_coupon, |coupon| {
            coupon.terms.code.clone()
        })
    }

    /// Redeem codes, in the order of their ids backwards, which says nothing about their age.
    pub fn redeem_codes(&mut self, request: &PageRequest) -> Result<Page<RedeemCode>, StoreError> {
        let mut conditions = Conditions::default();
        let is_id = |text: &str| CodeId::parse(text).is_some();
        conditions.compare("id", "<", id_cursor(request, is_id)?);
        let table = (record::CODE, "redeem_code", "id");
        self.page(table, &conditions, request, record::read_code, |code| {
            code.id.to_string()
        })
    }

    /// What a user has had once, the newest first.
    pub fn perks_of(&mut self, user: &UserId) -> Result<Vec<Perk>, StoreError> {
        let sql = format!(
            "SELECT {} FROM perk WHERE holder = $1 AND holder <> '' ORDER BY at DESC LIMIT 1000",
            record::PERK
        );
        let rows = self.connection.rows(&sql, vec![user.as_str().into()])?;
        rows.iter().map(record::read_perk).collect()
    }

    /// What came of a user's referral code, and who he is in the programme.
    pub fn referral_of(&mut self, user: &UserId) -> Result<ReferralSum, StoreError> {
        let sql = format!("SELECT {} FROM member WHERE user_id = $1", record::MEMBER);
        let member = self.one(&sql, user.as_str(), record::read_member)?;
        let sums = "SELECT count(*), CAST(coalesce(sum(CASE WHEN member.status = 'rewarded' THEN 1 ELSE 0 END), 0) AS BIGINT), \
                    CAST(coalesce(sum(award.granted - award.taken), 0) AS BIGINT) FROM member LEFT JOIN award \
                    ON award.payment_id = member.payment_id AND award.kind = 'referrer' WHERE member.referrer = $1";
        let rows = self.connection.rows(sums, vec![user.as_str().into()])?;
        let number = |column| rows.first().map_or(Ok(0), |row| row.integer(column));
        Ok(ReferralSum {
            member,
            brought: number(0)?,
            rewarded: number(1)?,
            credits: number(2)?,
        })
    }
}
