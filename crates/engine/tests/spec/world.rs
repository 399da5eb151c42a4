//! The verbs: what each line does at the desk, and what it says about it.

use std::collections::BTreeMap;

use bursar_domain::amount::{Amount, CreditPrice, Unit};
use bursar_domain::api_key::{IssueKey, Role};
use bursar_domain::checkout::OpenCheckout;
use bursar_domain::command::{Adjust, AnswerKey, Command, Request};
use bursar_domain::id::{ApiKeyId, PaymentId, TopupId};
use bursar_domain::time::Time;
use bursar_domain::topup::CreateTopup;
use bursar_engine::clock::Clock;
use bursar_store::query::{EventFilter, PageRequest, PaymentFilter, TopupFilter};

use super::said::Names;
use super::words::Words;
use crate::desk::Desk;
use crate::inbox;

/// What came of a line; an error is a mistake in the specification.
pub(crate) type Said = Result<Vec<String>, String>;

pub(crate) struct World {
    pub(super) desk: Desk,
    pub(super) names: Names,
    keys_made: u32,
}

/// What stands in the books, by name, in the order in which changes are told.
type Snapshot = BTreeMap<(u8, String), String>;

pub(super) fn all() -> PageRequest {
    PageRequest {
        limit: 1000,
        cursor: None,
    }
}

impl World {
    pub(crate) fn new() -> Self {
        Self {
            desk: Desk::new(),
            names: Names::default(),
            keys_made: 0,
        }
    }

    /// Runs one line; what came of it. An error is a mistake in the specification.
    pub(crate) fn run(&mut self, line: &str) -> Said {
        let mut words = Words::of(line);
        let verb = words.next("a verb")?;
        let before = self.snapshot();
        let mut said = match verb.as_str() {
            "at" => self.at(&words.plain.by_ref().collect::<Vec<_>>().join(" "))?,
            "policy" => self.policy(&mut words)?,
            "restart" => self.restart(),
            "topup" | "checkout" | "finish" | "cancel" | "add" | "sub" | "key" | "revoke" => {
                self.ask(&verb, &mut words)?
            }
            "opened" | "refused" | "job" => self.result(&verb, &mut words)?,
            "read" => self.read(&mut words)?,
            "event" => self.event(&mut words)?,
            "wallet" | "history" | "topups" | "payments" | "payment" | "events" | "jobs"
            | "books" => self.show(&verb, &mut words)?,
            "audit" => self.audit(),
            other => return Err(format!("there is no verb {other}")),
        };
        words.end()?;
        inbox::work_off(&mut self.desk);
        let changes = self.changes(&before, said.first());
        if let (Some(first), false) = (said.first_mut(), changes.is_empty()) {
            *first = format!("{first}; {}", changes.join(", "));
        }
        Ok(said)
    }

    fn snapshot(&mut self) -> Snapshot {
        let (reader, names) = (&mut self.desk.reader, &mut self.names);
        let mut rows = Snapshot::new();
        for payment in reader
            .payments(&PaymentFilter::default(), &all())
            .unwrap()
            .items
        {
            let name = names.of('P', payment.id.as_str());
            rows.insert((0, name), payment.status.as_str().to_owned());
        }
        for topup in reader
            .topups(&TopupFilter::default(), &all())
            .unwrap()
            .items
        {
            let name = names.of('T', topup.id.as_str());
            rows.insert((1, name), topup.status.as_str().to_owned());
        }
        for wallet in reader.wallets(&all()).unwrap().items {
            let credits = Amount::credits(wallet.balance).to_string();
            rows.insert((2, wallet.key.owner), credits);
        }
        for event in reader
            .events(&EventFilter::default(), &all())
            .unwrap()
            .items
        {
            rows.insert((3, names.tidy(&event.id)), event.status.as_str().to_owned());
        }
        rows
    }

    /// What has changed, beyond what the line itself says: rows that were there before, and every wallet.
    fn changes(&mut self, before: &Snapshot, said: Option<&String>) -> Vec<String> {
        let is_told = |name: &str, status: &str| {
            said.is_some_and(|said| said.starts_with(&format!("{name} {status}")))
        };
        let after = self.snapshot();
        let changed = after.iter().filter(|(key, status)| {
            let old = before.get(*key);
            let worth_telling = old.is_some() || key.0 == 2;
            old != Some(*status) && worth_telling && !is_told(&key.1, status)
        });
        changed
            .map(|((_, name), status)| format!("{name} {status}"))
            .collect()
    }

    fn at(&mut self, when: &str) -> Said {
        let at = if let Some(step) = when.strip_prefix('+') {
            let (number, unit) = step.split_at(step.len() - 1);
            let seconds = match unit {
                "s" => 1,
                "m" => 60,
                "h" => 3_600,
                "d" => 86_400,
                _ => return Err(format!("{when} is no step of time: +30s, +11m, +2h, +1d")),
            };
            let number: i64 = number
                .parse()
                .map_err(|_| format!("{when} is no step of time"))?;
            self.desk.clock.now().plus_seconds(number * seconds)
        } else {
            let full = format!("{}:00Z", when.replace(' ', "T"));
            let timestamp = full
                .parse::<jiff::Timestamp>()
                .map_err(|_| format!("{when} is no time"))?;
            Time(timestamp.as_microsecond())
        };
        self.desk.clock.set(at);
        Ok(vec![])
    }

    fn policy(&mut self, words: &mut Words) -> Said {
        let policy = &mut self.desk.policy;
        let number = |text: String| {
            text.parse::<i64>()
                .map_err(|_| format!("{text} is no number"))
        };
        if let Some(code) = words.option("currency") {
            policy.credit_price.currency = Unit::currency(&code).ok_or("unknown currency")?;
        }
        if let Some(price) = words.option("price") {
            let currency = policy.credit_price.currency;
            policy.credit_price = CreditPrice::parse(&price, currency).ok_or("no price")?;
        }
        if let Some(least) = words.option("least") {
            policy.topup_credits_min = number(least)?;
        }
        if let Some(most) = words.option("most") {
            policy.topup_credits_max = number(most)?;
        }
        if let Some(live) = words.option("live") {
            policy.livemode = live == "yes";
        }
        Ok(vec![])
    }

    fn restart(&mut self) -> Vec<String> {
        self.desk.restart();
        vec![]
    }

    fn topup_id(&self, words: &mut Words) -> Result<TopupId, String> {
        let name = words.next("a top-up")?;
        let id = TopupId::parse(self.names.id(&name)?);
        id.ok_or_else(|| format!("{name} is no top-up"))
    }

    pub(super) fn payment_id(&self, name: &str) -> Result<PaymentId, String> {
        let id = PaymentId::parse(self.names.id(name)?);
        id.ok_or_else(|| format!("{name} is no payment"))
    }

    /// What users and administrators ask for; may carry an idempotency key.
    fn ask(&mut self, verb: &str, words: &mut Words) -> Said {
        let mut principal = "admin".to_owned();
        let command = match verb {
            "topup" => {
                let (user, credits) = (words.user()?, words.number("credits")?);
                principal = user.to_string();
                let remark = words.remark();
                Command::CreateTopup(CreateTopup {
                    user,
                    credits,
                    remark,
                })
            }
            "checkout" => {
                let (topup, user) = (self.topup_id(words)?, words.user()?);
                principal = user.to_string();
                Command::OpenCheckout(OpenCheckout {
                    topup,
                    user,
                    success_url: "https://shop.example/paid".to_owned(),
                    cancel_url: "https://shop.example/canceled".to_owned(),
                })
            }
            "finish" => Command::FinishTopup {
                topup: self.topup_id(words)?,
                remark: words.remark(),
            },
            "cancel" => Command::CancelTopup {
                topup: self.topup_id(words)?,
                remark: words.remark(),
            },
            "add" | "sub" => {
                let (user, credits) = (words.user()?, words.number("credits")?);
                let credits = if verb == "sub" { -credits } else { credits };
                let remark = words.remark();
                Command::Adjust(Adjust {
                    user,
                    credits,
                    remark,
                })
            }
            "key" => self.issue_key(words)?,
            _ => {
                let name = words.next("a key")?;
                let id = ApiKeyId::parse(self.names.id(&name)?);
                Command::RevokeKey(id.ok_or_else(|| format!("{name} is no key"))?)
            }
        };
        let key = |key| AnswerKey {
            principal,
            route: verb.to_owned(),
            key,
        };
        let idempotency = words
            .option("key")
            .map(|text| (key(text), words.asked.clone()));
        let (answer, replayed) = self.desk.request(&Request {
            command,
            idempotency,
        });
        let said = self.names.reply(answer);
        Ok(vec![if replayed {
            format!("again: {said}")
        } else {
            said
        }])
    }

    fn issue_key(&mut self, words: &mut Words) -> Result<Command, String> {
        let role = match words.next("admin or user")?.as_str() {
            "admin" => Role::Admin,
            "user" => Role::User(words.user()?),
            other => return Err(format!("a key is for admin or user, not {other}")),
        };
        self.keys_made += 1;
        Ok(Command::IssueKey(IssueKey {
            role,
            hash: format!("{:064x}", self.keys_made),
            hint: format!("{:04x}", self.keys_made),
            label: words.next("a label")?,
        }))
    }
}
