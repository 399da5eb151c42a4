//! Exchanges: one unit for another.

use bursar_domain::amount::Amount;
use bursar_domain::command::Command;
use bursar_domain::exchange::{Exchange, Exchanged};
use bursar_domain::grant::Category;

use super::said::Names;
use super::words::{Words, unit};
use super::world::World;

impl World {
    /// `exchange anna 500 usd 400 credit`.
    pub(super) fn exchange_command(words: &mut Words) -> Result<Command, String> {
        let user = words.user()?;
        let mut amount = || -> Result<Amount, String> {
            let (minor, code) = (words.number("an amount")?, words.next("a unit")?);
            let unit = unit(&code).ok_or_else(|| format!("{code} is no unit"))?;
            Ok(Amount::new(minor, unit))
        };
        let (give, get) = (amount()?, amount()?);
        let category = words.one_of("category", Category::parse)?;
        Ok(Command::Exchange(Exchange {
            user,
            give,
            get,
            category: category.unwrap_or(Category::Paid),
            remark: words.remark(),
        }))
    }
}

impl Names {
    /// `C1 5.00 USD for G4 400 credits, paid exchange; 0.00 USD afterwards`.
    pub(super) fn exchanged(&mut self, exchanged: &Exchanged) -> String {
        let name = self.of('C', &exchanged.given.to_string());
        let (give, got) = (exchanged.give, self.grant(&exchanged.got));
        let after = Amount::new(exchanged.balance, give.unit);
        format!("{name} {give} for {got}; {after} afterwards")
    }
}
