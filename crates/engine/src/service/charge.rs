//! Charges: what something costs, asked for and taken.

use bursar_domain::amount::Unit;
use bursar_domain::charge::{Charge, Charged, Price};
use bursar_domain::command::{
    AnswerKey, ChargeAll, ChargeAnswer, Command, Precheck, Prechecked, RequestHash,
};
use bursar_domain::id::UserId;
use bursar_domain::journal::Remark;
use bursar_domain::limit::Spender;
use bursar_domain::refusal::Refusal;

use super::asked::{Asked, keyed};
use super::{Balance, ServiceError, form};
use crate::Once;

/// Under which keys of charges are remembered: one charge is the same alone and in a batch.
const OPERATION: &str = "charge";

/// Most charges in one batch.
const BATCH_MAX: usize = 1_000;

/// A charge of so many credits that makes no debt. Its other fields can be set.
pub fn credits(user: &UserId, credits: i64) -> Charge {
    Charge {
        user: user.clone(),
        unit: Unit::CREDIT,
        price: Price::Exactly(credits),
        allow_debt: false,
        spender: Spender::default(),
        remark: Remark::default(),
    }
}

/// A charge of what an action costs by the operator's configuration, so many times.
pub fn action(user: &UserId, name: &str, quantity: i64) -> Charge {
    Charge {
        price: Price::Action {
            name: name.to_owned(),
            quantity,
        },
        ..credits(user, 0)
    }
}

/// What becomes of a batch of charges when one of them is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Batch {
    /// The others are made.
    Independent,
    /// None is made.
    Atomic,
}

/// One answer for each charge of a batch, in their order.
pub type BatchAnswer = Vec<Result<Once<Charged>, Refusal>>;

/// What a charge asks. All fields by name, so that one that is added and forgotten here does not compile.
pub(super) fn asked(charge: &Charge) -> Asked {
    let Charge {
        user,
        unit,
        price,
        allow_debt,
        spender: Spender { api_key, labels },
        remark,
    } = charge;
    let mut asked = Asked::default()
        .text("user_id", user.as_str())
        .text("unit", &unit.to_string())
        .flag("allow_debt", *allow_debt)
        .text("api_key", api_key.as_deref().unwrap_or_default())
        .remark(remark);
    for label in labels {
        asked = asked.text("label", label);
    }
    match price {
        Price::Exactly(amount) => asked.number("credits", *amount),
        Price::Action { name, quantity } => {
            asked.text("action", name).number("quantity", *quantity)
        }
    }
}

fn keyed_charge(
    charge: Charge,
    key: &str,
) -> Result<(Charge, (AnswerKey, RequestHash)), ServiceError> {
    let charge = form::charge(charge)?;
    let key = asked(&charge).under(OPERATION, key)?;
    Ok((charge, key))
}

impl Balance {
    /// Whether a charge would be made now, and what it would cost. Changes nothing.
    pub async fn precheck(&self, asked: Precheck) -> Result<Prechecked, ServiceError> {
        let charge = form::charge(asked.charge)?;
        let command = Command::Precheck(Precheck { charge, ..asked });
        // A question has no effect that a key could keep from happening twice, and its answer changes with the wallet.
        let Once { value, .. } = self.engine.ask(command, None).await?;
        Ok(value)
    }

    /// Refuses, as the charge would, if it would not be made now: too few credits, or a limit is reached. It reserves nothing:
    /// what is there now can be gone when the charge is made. A hold reserves.
    pub async fn require(&self, charge: Charge) -> Result<Prechecked, ServiceError> {
        let priced = true;
        let mut prechecked = self.precheck(Precheck { charge, priced }).await?;
        match prechecked.refusal.take() {
            Some(refusal) => Err(refusal.into()),
            None => Ok(prechecked),
        }
    }

    /// Takes what something costs.
    pub async fn charge(&self, charge: Charge, key: &str) -> Result<Once<Charged>, ServiceError> {
        let (charge, key) = keyed_charge(charge, key)?;
        Ok(self.engine.ask(Command::Charge(charge), Some(key)).await?)
    }

    /// Takes what many things cost, each under the key that it would have by itself. `key` is one for the whole batch. An atomic
    /// batch of which a charge is refused is refused by [`Refusal::BatchRefused`].
    pub async fn charge_all(
        &self,
        charges: Vec<(Charge, String)>,
        batch: Batch,
        key: Option<&str>,
    ) -> Result<Once<BatchAnswer>, ServiceError> {
        if !(1..=BATCH_MAX).contains(&charges.len()) {
            let rule = format!("must be 1 to {BATCH_MAX} charges");
            return Err(ServiceError::invalid("charges", rule));
        }
        let atomic = batch == Batch::Atomic;
        let mut whole = Asked::default().flag("atomic", atomic);
        let mut all = Vec::with_capacity(charges.len());
        for (charge, own) in charges {
            let (charge, key) = keyed_charge(charge, &own)?;
            whole = whole
                .part("charge", &asked(&charge))
                .text("idempotency_key", &own);
            all.push((charge, Some(key)));
        }
        let key = keyed("charge.batch", key, &whole)?;
        let charges = all;
        let command = Command::ChargeAll(ChargeAll { charges, atomic });
        let Once { value, replayed } = self.engine.ask::<Vec<ChargeAnswer>>(command, key).await?;
        let once = |(value, replayed)| Once { value, replayed };
        let value = value.into_iter().map(|answer| answer.map(once)).collect();
        Ok(Once { value, replayed })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whoever repeats a request after an update must find its answer. The digests
    /// are the first halves of the SHA-256 of length, name, length, value of each field, computed by another program.
    #[test]
    fn a_charge_has_the_same_digest_in_every_version() {
        let user = UserId::parse("anna").unwrap();
        let full = Charge {
            allow_debt: true,
            spender: Spender {
                api_key: Some("k-7".to_owned()),
                labels: vec!["blue".to_owned(), "red".to_owned()],
            },
            remark: Remark {
                note: "n".to_owned(),
                reference: "r".to_owned(),
                meta: "{}".to_owned(),
            },
            ..action(&user, "picture", 3)
        };
        let written = |charge: &Charge| {
            let (_, hash) = asked(charge).under_own(OPERATION, "k");
            u128::from_be_bytes(hash.0)
        };
        assert_eq!(
            written(&credits(&user, 10)),
            0xc170_af0d_0043_bfbf_9d1e_7bd0_6226_eba6
        );
        assert_eq!(written(&full), 0xdf5c_651b_bcc9_78ab_ed54_79ac_0049_9204);
    }
}
