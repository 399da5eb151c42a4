//! How rows and answers are written in a specification, with names in place of ids.

use std::collections::BTreeMap;

use bursar_domain::amount::{Amount, Unit};
use bursar_domain::api_key::{ApiKey, Role};
use bursar_domain::auto_topup::AutoTopup;
use bursar_domain::command::Reply;
use bursar_domain::journal::{Reason, Remark};
use bursar_domain::payment::{Flow, Payment};
use bursar_domain::refusal::Refusal;
use bursar_domain::time::Time;
use bursar_domain::topup::Topup;
use bursar_domain::wallet::Wallet;
use bursar_store::query::Entry;

use super::clock::time;
use super::usage;

/// Ids and the names they go by.
#[derive(Debug, Default)]
pub(crate) struct Names {
    by_id: BTreeMap<String, String>,
    by_name: BTreeMap<String, String>,
    given: BTreeMap<char, usize>,
    /// The time of the line.
    pub(super) now: Time,
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
        for prefix in ["cs_test_", "pi_", "evt_"] {
            text = without(&text, prefix);
        }
        text
    }

    pub(crate) fn topup(&mut self, topup: &Topup) -> String {
        let name = self.of('T', topup.id.as_str());
        let credits = Amount::credits(topup.credits);
        let (status, price) = (topup.status.as_str(), topup.price);
        let bonus = match topup.bonus {
            0 => String::new(),
            bonus => format!(" and {bonus} on top"),
        };
        format!(
            "{name} {status}, {credits}{bonus} for {price}{}",
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
        let intent = payment.intent.clone();
        if payment.flow == Flow::Checkout {
            let session = payment.session.as_deref().unwrap_or("no session yet");
            parts.push(session.to_owned());
            parts.extend(intent);
        } else {
            parts.push(intent.unwrap_or_else(|| "no intent yet".to_owned()));
        }
        if let Some(failure) = &payment.last_failure {
            parts.push(format!(
                "last failure {}: {}",
                failure.code, failure.message
            ));
        }
        self.tidy(&parts.join(", "))
    }

    /// A line of a statement: `-70 charge C1: 50 of G1, 20 of G2, 30 afterwards`. Grants are named where there are several, or a debt.
    pub(crate) fn entry(&mut self, entry: &Entry) -> String {
        let unit = entry.wallet.unit;
        let paid: i64 = entry.parts.iter().map(|part| part.amount).sum();
        let is_out = entry.change < 0 || entry.reason == Reason::Expire;
        let rest = entry.change + if is_out { paid } else { -paid };
        let mut what = vec![signed(entry.change, unit), entry.reason.as_str().to_owned()];
        what.extend(self.by_id.get(&entry.transaction.to_string()).cloned());
        let mut said = vec![what.join(" ")];
        if entry.parts.len() != 1 || rest != 0 {
            let parts = self.parts(&entry.parts, rest, unit).join(", ");
            said = vec![format!("{}: {parts}", said.concat())];
        }
        said.push(format!(
            "{} afterwards{}",
            plain(entry.balance, unit),
            remark(&entry.remark)
        ));
        if !entry.tags.is_empty() {
            said.push(format!("for {}", entry.tags));
        }
        self.tidy(&said.join(", "))
    }

    pub(crate) fn refusal(&self, refusal: &Refusal) -> String {
        self.tidy(&format!("refused, {}: {refusal}", refusal.code()))
    }

    pub(crate) fn reply(&mut self, answer: Result<Reply, Refusal>) -> Vec<String> {
        vec![match answer {
            Ok(Reply::Topup(topup)) => self.topup(&topup),
            Ok(Reply::Payment(payment)) => self.payment(&payment),
            Ok(Reply::Adjusted(adjusted)) => format!(
                "{:+}, {} afterwards",
                adjusted.credits,
                Amount::credits(adjusted.balance)
            ),
            Ok(Reply::Grant(grant)) => self.grant(&grant),
            Ok(Reply::Charged(charged)) => self.charged(&charged),
            Ok(Reply::ChargedAll(answers)) => return self.charged_all(answers),
            Ok(Reply::Prechecked(prechecked)) => self.prechecked(&prechecked),
            Ok(Reply::Hold(hold)) => self.hold(&hold),
            Ok(Reply::Exchanged(exchanged)) => self.exchanged(&exchanged),
            Ok(Reply::Limit(limit)) => self.limit(&limit),
            Ok(Reply::ApiKey(key)) => self.api_key(&key),
            Ok(Reply::Coupon(coupon)) => Self::coupon(&coupon),
            Ok(Reply::Codes(codes)) => return codes.iter().map(Self::code).collect(),
            Ok(Reply::Member(member)) => self.member(&member),
            Ok(Reply::Overdraft(Some(overdraft))) => format!("down to {}", -overdraft),
            Ok(Reply::Overdraft(None)) => "down to what the policy says".to_owned(),
            Ok(Reply::Refund(refund)) => self.refund(&refund),
            Ok(Reply::Usage(event)) => usage::written(&event),
            Ok(Reply::AutoTopup(row)) => auto_topup(&row),
            Ok(Reply::Done) => "done".to_owned(),
            Ok(other) => format!("{other:?}"),
            Err(refusal) => self.refusal(&refusal),
        }]
    }

    fn api_key(&mut self, key: &ApiKey) -> String {
        let name = self.of('K', key.id.as_str());
        let role = match &key.role {
            Role::Admin => "an administrator".to_owned(),
            Role::User(user) => format!("user {user}"),
        };
        let end = key.revoked_at.map(|at| format!(", revoked {}", time(at)));
        format!(
            "{name} \"{}\" for {role}{}",
            key.label,
            end.unwrap_or_default()
        )
    }
}

fn auto_topup(row: &AutoTopup) -> String {
    let mut said = vec![format!(
        "{} below {}, {:?} by {}",
        if row.terms.enabled { "on" } else { "off" },
        row.terms.threshold,
        row.terms.refill,
        row.terms.card
    )];
    if row.breaker.failures > 0 {
        said.push(format!("failures {}", row.breaker.failures));
    }
    said.extend(row.breaker.stopped.map(|stop| stop.as_str().to_owned()));
    said.join(", ")
}

/// A text without a prefix of Stripe's ids, which begins a word: there is one in the middle of `api_key`.
fn without(text: &str, prefix: &str) -> String {
    let mut kept = String::new();
    for part in text.split(prefix) {
        let is_within_word = kept.ends_with(|letter: char| letter.is_ascii_alphanumeric());
        kept += if is_within_word { prefix } else { "" };
        kept += part;
    }
    kept
}

/// `100 credits`; what holds reserve is said, and what is on the books and cannot be spent: expired and not booked, or not begun.
pub(super) fn wallet(wallet: Option<&Wallet>, unit: Unit, now: Time) -> String {
    let Some(wallet) = wallet else {
        return Amount::new(0, unit).to_string();
    };
    let (credits, balance) = (wallet.credits(now), wallet.account.balance);
    let mut said = vec![Amount::new(credits, unit).to_string()];
    if wallet.held() > 0 {
        let available = wallet.available(now);
        said.push(format!("({} available)", plain(available, unit)));
    }
    if credits != balance {
        said.push(format!("of {} on the books", plain(balance, unit)));
    }
    said.join(" ")
}

/// Credits as a number, money with its unit.
pub(super) fn plain(minor: i64, unit: Unit) -> String {
    if unit == Unit::CREDIT {
        return minor.to_string();
    }
    Amount::new(minor, unit).to_string()
}

fn signed(minor: i64, unit: Unit) -> String {
    let sign = if minor < 0 { "" } else { "+" };
    format!("{sign}{}", plain(minor, unit))
}

pub(super) fn remark(remark: &Remark) -> String {
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
