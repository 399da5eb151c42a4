//! Holds: the verbs that make, change and end them, and how one is written.

use bursar_domain::amount::Amount;
use bursar_domain::command::Command;
use bursar_domain::hold::{CreateHold, Hold, HoldStatus, Overage};
use bursar_domain::id::HoldId;
use bursar_store::query::HoldFilter;

use super::charge::charge;
use super::clock::time;
use super::said::{Names, plain, remark};
use super::words::Words;
use super::world::{World, all};

impl World {
    pub(super) fn hold_command(
        &mut self,
        verb: &str,
        words: &mut Words,
    ) -> Result<Command, String> {
        if verb == "hold" {
            return Ok(Command::CreateHold(CreateHold {
                charge: charge(words)?,
                seconds: words.span("for")?,
                overage: words.one_of("overage", Overage::parse)?,
            }));
        }
        let hold = self.hold_id(words)?;
        Ok(match verb {
            "progress" => Command::ProgressHold {
                hold,
                used: words.number("what was used")?,
            },
            "extend" => Command::ExtendHold {
                hold,
                more: words.number("how much more")?,
                seconds: words.span("for")?,
            },
            "settle" => Command::SettleHold {
                hold,
                used: words.number("what was used")?,
                remark: words.remark(),
            },
            _ => Command::ReleaseHold {
                hold,
                remark: words.remark(),
            },
        })
    }

    /// `H1`; `H0` is the name of none.
    fn hold_id(&self, words: &mut Words) -> Result<HoldId, String> {
        let name = words.next("a hold")?;
        if name == "H0" {
            return Ok(HoldId::of(1 << 40));
        }
        let id = HoldId::parse(self.names.id(&name)?);
        id.ok_or_else(|| format!("{name} is no hold"))
    }

    /// All holds of a user, the newest first.
    pub(super) fn holds(&mut self, words: &mut Words) -> Result<Vec<String>, String> {
        let filter = HoldFilter {
            user: Some(words.user()?),
            status: None,
        };
        let holds = self.desk.reader.holds(&filter, &all()).unwrap().items;
        Ok(holds.iter().map(|hold| self.names.hold(hold)).collect())
    }
}

impl Names {
    /// `H1 open, 60 credits: 60 of G1, 30 used, until 2026-01-01 00:15`; `H1 settled for 45 of 60 credits, C1; 55 credits
    /// afterwards`.
    pub(super) fn hold(&mut self, hold: &Hold) -> String {
        if hold.status == HoldStatus::Open {
            return self.open_hold(hold);
        }
        let name = self.of('H', &hold.id.to_string());
        let (unit, status) = (hold.wallet.unit, hold.status.as_str());
        let whole = Amount::new(hold.amount, unit);
        let mut said = match hold.status {
            HoldStatus::Released => vec![format!("{name} {status}"), whole.to_string()],
            _ => vec![format!(
                "{name} {status} for {} of {whole}",
                plain(hold.settled, unit)
            )],
        };
        if hold.uncovered > 0 {
            said.push(format!("{} uncovered", plain(hold.uncovered, unit)));
        }
        said.extend(hold.charge.map(|charge| self.of('C', &charge.to_string())));
        let after = hold.balance.map(|balance| Amount::new(balance, unit));
        let after = after.map_or_else(String::new, |after| format!("; {after} afterwards"));
        said.join(", ") + &remark(&hold.remark) + &after
    }

    fn open_hold(&mut self, hold: &Hold) -> String {
        let name = self.of('H', &hold.id.to_string());
        let unit = hold.wallet.unit;
        let parts = self.parts(&hold.parts, 0, unit).join(", ");
        let whole = Amount::new(hold.amount, unit);
        let mut said = vec![format!("{name} open"), format!("{whole}: {parts}")];
        if hold.progress > 0 {
            said.push(format!("{} used", plain(hold.progress, unit)));
        }
        said.push(format!("until {}", time(hold.expires_at)));
        if hold.overage != Overage::Charge {
            said.push(format!("overage {}", hold.overage.as_str()));
        }
        said.join(", ") + &remark(&hold.remark)
    }
}
