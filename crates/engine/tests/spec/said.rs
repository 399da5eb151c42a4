//! How rows and answers are written in a specification, with names in place of ids.

use std::collections::BTreeMap;

use bursar_domain::amount::Amount;
use bursar_domain::command::Reply;
use bursar_domain::journal::Remark;
use bursar_domain::payment::Payment;
use bursar_domain::refusal::Refusal;
use bursar_domain::time::Time;
use bursar_domain::topup::Topup;
use bursar_store::query::Entry;

/// Ids and the names they go by.
#[derive(Debug, Default)]
pub(crate) struct Names {
    by_id: BTreeMap<String, String>,
    by_name: BTreeMap<String, String>,
    given: BTreeMap<char, usize>,
}

impl Names {
    /// The name of an id of ours; a new one gets the next free.
    pub(crate) fn of(&mut self, initial: char, id: &str) -> String {
        if let Some(name) = self.by_id.get(id) {
            return name.clone();
        }
        let number = self.given.entry(initial).or_default();
        *number += 1;
        let name = format!("{initial}{number}");
        self.by_id.insert(id.to_owned(), name.clone());
        self.by_name.insert(name.clone(), id.to_owned());
        name
    }

    pub(crate) fn id(&self, name: &str) -> Result<&str, String> {
        let id = self.by_name.get(name).map(String::as_str);
        id.ok_or_else(|| format!("there is no {name} yet"))
    }

    /// A text with names in place of ids, ours and Stripe's.
    pub(crate) fn tidy(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for (id, name) in &self.by_id {
            text = text.replace(id, name);
        }
        ["cs_test_", "pi_", "evt_"]
            .iter()
            .fold(text, |text, prefix| text.replace(prefix, ""))
    }

    pub(crate) fn topup(&mut self, topup: &Topup) -> String {
        let name = self.of('T', topup.id.as_str());
        let credits = Amount::credits(topup.credits);
        let (status, price) = (topup.status.as_str(), topup.price);
        format!(
            "{name} {status}, {credits} for {price}{}",
            remark(&topup.remark)
        )
    }

    pub(crate) fn payment(&mut self, payment: &Payment) -> String {
        let name = self.of('P', payment.id.as_str());
        let topup = self.of('T', payment.topup.as_str());
        let mut parts = vec![
            format!("{name} {}", payment.status.as_str()),
            format!("{} for {topup}", payment.amount),
        ];
        if payment.livemode {
            parts.push("real money".to_owned());
        }
        let session = payment.session.as_deref().unwrap_or("no session yet");
        parts.push(session.to_owned());
        parts.extend(payment.intent.clone());
        if let Some(failure) = &payment.last_failure {
            parts.push(format!(
                "last failure {}: {}",
                failure.code, failure.message
            ));
        }
        self.tidy(&parts.join(", "))
    }

    pub(crate) fn entry(&self, entry: &Entry) -> String {
        let (reason, after) = (entry.reason.as_str(), entry.balance);
        let text = format!(
            "{:+} {reason}, {after} afterwards{}",
            entry.credits,
            remark(&entry.remark)
        );
        self.tidy(&text)
    }

    pub(crate) fn reply(&mut self, answer: Result<Reply, Refusal>) -> String {
        match answer {
            Ok(Reply::Topup(topup)) => self.topup(&topup),
            Ok(Reply::Payment(payment)) => self.payment(&payment),
            Ok(Reply::Adjusted(adjusted)) => format!(
                "{:+}, {} afterwards",
                adjusted.credits,
                Amount::credits(adjusted.balance)
            ),
            Ok(Reply::ApiKey(key)) => {
                let name = self.of('K', key.id.as_str());
                let role = match &key.role {
                    bursar_domain::api_key::Role::Admin => "an administrator".to_owned(),
                    bursar_domain::api_key::Role::User(user) => format!("user {user}"),
                };
                let end = key.revoked_at.map(|at| format!(", revoked {}", time(at)));
                format!(
                    "{name} \"{}\" for {role}{}",
                    key.label,
                    end.unwrap_or_default()
                )
            }
            Ok(Reply::Done) => "done".to_owned(),
            Ok(other) => format!("{other:?}"),
            Err(refusal) => self.tidy(&format!("refused, {}: {refusal}", refusal.code())),
        }
    }
}

fn remark(remark: &Remark) -> String {
    let said = [
        ("note", &remark.note),
        ("ref", &remark.reference),
        ("meta", &remark.meta),
    ];
    let said = said.iter().filter(|(_, text)| !text.is_empty());
    let said: Vec<String> = said
        .map(|(name, text)| format!(", {name} {text}"))
        .collect();
    said.concat()
}

/// `2026-01-01 00:11`, with seconds where there are any.
pub(crate) fn time(at: Time) -> String {
    let text = at.to_string().replace('T', " ");
    let text = text.trim_end_matches('Z');
    text.strip_suffix(":00").unwrap_or(text).to_owned()
}
