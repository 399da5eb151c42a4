//! Charges: the verbs that spend, ask whether something could be spent, and allow debt; and how a charge is written.

use bursar_domain::amount::{Amount, Unit};
use bursar_domain::charge::{Charge, Charged, Price};
use bursar_domain::command::{ChargeAll, Command, Precheck, Prechecked};
use bursar_domain::grant::Part;
use bursar_domain::id::UserId;
use bursar_domain::refusal::Refusal;

use super::ask::idempotency;
use super::said::{Names, plain};
use super::words::Words;
use super::world::World;

impl World {
    pub(super) fn charge_command(verb: &str, words: &mut Words) -> Result<Command, String> {
        Ok(match verb {
            "charge" => Command::Charge(charge(words)?),
            "batch" => Command::ChargeAll(batch(words)?),
            "precheck" => {
                let (user, cost) = (words.user()?, words.plain.next());
                let price = price(cost.as_deref().unwrap_or("1"))?;
                Command::Precheck(Precheck {
                    priced: cost.is_some(),
                    charge: of(user, price, words)?,
                })
            }
            _ => {
                let (user, word) = (words.user()?, words.next("an amount or none")?);
                let overdraft = (word != "none").then(|| word.parse()).transpose();
                Command::SetOverdraft {
                    user,
                    unit: words.unit()?,
                    overdraft: overdraft.map_err(|_| format!("{word} is no amount"))?,
                }
            }
        })
    }
}

pub(super) fn charge(words: &mut Words) -> Result<Charge, String> {
    let (user, cost) = (words.user()?, words.next("what it costs")?);
    of(user, price(&cost)?, words)
}

/// `70`, or `picture*3`.
fn price(text: &str) -> Result<Price, String> {
    if let Ok(amount) = text.parse() {
        return Ok(Price::Exactly(amount));
    }
    let (name, quantity) = text.split_once('*').unwrap_or((text, "1"));
    let quantity = quantity.parse();
    Ok(Price::Action {
        name: name.to_owned(),
        quantity: quantity.map_err(|_| format!("{text} is no price: 70, picture*3"))?,
    })
}

fn of(user: UserId, price: Price, words: &mut Words) -> Result<Charge, String> {
    Ok(Charge {
        user,
        price,
        unit: words.unit()?,
        allow_debt: words.yes("debt"),
        spender: words.spender(),
        remark: words.remark(),
    })
}

/// Each word is a charge as it would stand by itself: `"anna 70 key=K-1"`.
fn batch(words: &mut Words) -> Result<ChargeAll, String> {
    let mut charges = Vec::new();
    for word in words.plain.by_ref() {
        let mut words = Words::of(&format!("charge {word}"));
        let verb = words.next("a verb")?;
        let charge = charge(&mut words)?;
        let key = idempotency(&mut words, "admin".to_owned(), &verb);
        words.end()?;
        charges.push((charge, key));
    }
    Ok(ChargeAll {
        charges,
        atomic: words.yes("atomic"),
    })
}

impl Names {
    /// `C1 70 credits: 50 of G1, 20 of G2; 30 credits afterwards`.
    pub(super) fn charged(&mut self, charged: &Charged) -> String {
        let unit = charged.wallet.unit;
        let name = self.of('C', &charged.id.to_string());
        let (amount, after) = (
            Amount::new(charged.amount, unit),
            Amount::new(charged.balance, unit),
        );
        let paid = self.parts(&charged.parts, -charged.debt, unit).join(", ");
        format!("{name} {amount}: {paid}; {after} afterwards")
    }

    /// What each grant paid or got, and what made a debt (if `rest` is negative) or paid one back.
    pub(super) fn parts(&mut self, parts: &[Part], rest: i64, unit: Unit) -> Vec<String> {
        let part = |part: &Part| {
            let grant = self.grant_name(part.grant);
            format!("{} of {grant}", plain(part.amount, unit))
        };
        let mut said: Vec<String> = parts.iter().map(part).collect();
        let way = if rest < 0 { "as" } else { "for" };
        said.extend((rest != 0).then(|| format!("{} {way} debt", plain(rest.abs(), unit))));
        said
    }

    pub(super) fn charged_all(
        &mut self,
        answers: Vec<Result<(Charged, bool), Refusal>>,
    ) -> Vec<String> {
        let line = |answer| match answer {
            Ok((charged, true)) => format!("again: {}", self.charged(&charged)),
            Ok((charged, false)) => self.charged(&charged),
            Err(refusal) => self.refusal(&refusal),
        };
        answers.into_iter().map(line).collect()
    }

    pub(super) fn prechecked(&mut self, prechecked: &Prechecked) -> String {
        let available = prechecked.available;
        match &prechecked.refusal {
            Some(refusal) => {
                let text = format!("no, {}: {refusal}", refusal.code());
                self.tidy(&text)
            }
            None if prechecked.cost == 0 => format!("yes, {available} available"),
            None => format!("yes, costs {}, {available} available", prechecked.cost),
        }
    }
}
