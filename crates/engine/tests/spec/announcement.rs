//! What happened, read with a cursor.

use bursar_domain::amount::Amount;
use bursar_domain::announcement::{Announcement, Happening};

use super::clock::time;
use super::said::{Names, plain};
use super::words::Words;
use super::world::World;

impl World {
    /// What happened after the announcement with the number of `after=`, the oldest first; `most=` at most.
    pub(super) fn announcements(&mut self, words: &mut Words) -> Result<Vec<String>, String> {
        let after = words.one_of("after", |word| word.parse().ok())?;
        let most = words.one_of("most", |word| word.parse().ok())?;
        let (after, most) = (after.unwrap_or(0), most.unwrap_or(1_000));
        let read = self.desk.reader.announcements(after, most).unwrap();
        Ok(read.iter().map(|it| self.names.announcement(it)).collect())
    }
}

impl Names {
    fn announcement(&mut self, it: &Announcement) -> String {
        let unit = it.wallet.unit;
        let what = match &it.happening {
            Happening::BalanceLow {
                available,
                threshold,
            } => {
                let (left, threshold) = (Amount::new(*available, unit), plain(*threshold, unit));
                format!("{left} available, below {threshold}")
            }
            Happening::BalanceNegative { available } => {
                format!("{} available", Amount::new(*available, unit))
            }
            Happening::GrantExpiring {
                grant,
                remaining,
                expires_at,
            } => {
                let (grant, left) = (self.grant_name(*grant), Amount::new(*remaining, unit));
                format!("{left} of {grant}, until {}", time(*expires_at))
            }
            Happening::GrantExpired {
                grant,
                expired,
                rolled_over,
            } => {
                let (grant, gone) = (self.grant_name(*grant), Amount::new(*expired, unit));
                format!(
                    "{gone} of {grant}, {} rolled over",
                    plain(*rolled_over, unit)
                )
            }
            Happening::PaymentFraudWarned { payment } => self.of('P', payment.as_str()),
            Happening::PaymentReturned {
                payment,
                status,
                refunded,
                disputed,
            } => format!(
                "{} {}: {refunded} refunded, {disputed} disputed",
                self.of('P', payment.as_str()),
                status.as_str()
            ),
            Happening::AutoTopupDue {
                available,
                threshold,
            } => format!("{available} available, below {threshold}"),
            Happening::AutoTopupFailed { payment, code } => match payment {
                Some(payment) => format!("{code} of {}", self.of('P', payment.as_str())),
                None => code.clone(),
            },
            Happening::AutoTopupStopped { reason, code } => {
                format!("{} after {code}", reason.as_str())
            }
            Happening::PaymentSurplus { payment, topup } => format!(
                "{} paid for {}, which was paid before",
                self.of('P', payment.as_str()),
                self.of('T', topup.as_str())
            ),
            Happening::HoldExpired {
                hold,
                settled,
                uncovered,
            } => {
                let hold = self.of('H', &hold.to_string());
                let (settled, uncovered) = (Amount::new(*settled, unit), plain(*uncovered, unit));
                format!("{hold} settled for {settled}, {uncovered} uncovered")
            }
            Happening::LimitReached { limit, spent } => {
                let limit = self.of('L', &limit.to_string());
                format!("{limit} at {}", Amount::new(*spent, unit))
            }
        };
        let (number, kind, owner) = (it.number, it.happening.kind(), &it.wallet.owner);
        format!("{number} {} {kind} of {owner}: {what}", time(it.at))
    }
}
