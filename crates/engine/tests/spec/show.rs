//! The verbs that show what stands in the books.

use bursar_domain::account::AccountKind;
use bursar_domain::amount::{Amount, Unit};
use bursar_engine::clock::Clock;
use bursar_store::query::{EntryFilter, EventFilter, PaymentFilter, TopupFilter};

use super::said::time;
use super::words::Words;
use super::world::{Said, World, all};

impl World {
    pub(super) fn show(&mut self, verb: &str, words: &mut Words) -> Said {
        let (reader, names) = (&mut self.desk.reader, &mut self.names);
        let lines: Vec<String> = match verb {
            "wallet" => {
                let wallet = reader.wallet(&words.user()?).unwrap();
                vec![Amount::credits(wallet.map_or(0, |wallet| wallet.balance)).to_string()]
            }
            "history" => {
                let filter = EntryFilter {
                    user: Some(words.user()?),
                    reason: None,
                };
                let entries = reader.entries(&filter, &all()).unwrap().items;
                entries.iter().map(|entry| names.entry(entry)).collect()
            }
            "topups" => {
                let filter = TopupFilter {
                    user: Some(words.user()?),
                    status: None,
                };
                let topups = reader.topups(&filter, &all()).unwrap().items;
                topups.iter().map(|topup| names.topup(topup)).collect()
            }
            "payments" => {
                let filter = PaymentFilter {
                    user: Some(words.user()?),
                    ..PaymentFilter::default()
                };
                let payments = reader.payments(&filter, &all()).unwrap().items;
                payments
                    .iter()
                    .map(|payment| names.payment(payment))
                    .collect()
            }
            "payment" => {
                let id = self.payment_id(&words.next("a payment")?)?;
                let payment = self
                    .desk
                    .reader
                    .payment(&id)
                    .unwrap()
                    .ok_or("no such payment")?;
                vec![self.names.payment(&payment)]
            }
            "events" => {
                let events = reader
                    .events(&EventFilter::default(), &all())
                    .unwrap()
                    .items;
                let line = |event: &bursar_domain::event::StoredEvent| {
                    let payment = event.payment.as_ref().map(|id| format!(" {id}"));
                    let text = format!(
                        "{} {}{}",
                        event.id,
                        event.status.as_str(),
                        payment.unwrap_or_default()
                    );
                    names.tidy(&text)
                };
                events.iter().map(line).collect()
            }
            "jobs" => self.jobs(),
            _ => self.books(),
        };
        Ok(if lines.is_empty() {
            vec!["nothing".to_owned()]
        } else {
            lines
        })
    }

    /// What is owed, in the order in which it becomes due.
    fn jobs(&mut self) -> Vec<String> {
        let (mut lines, mut seen) = (Vec::new(), Vec::new());
        let now = self.desk.clock.now();
        let mut until = Some(now);
        while let Some(at) = until {
            let (due, next) = self.desk.reader.due_jobs(at, 1000).unwrap();
            for key in due {
                if seen.contains(&key) {
                    continue;
                }
                let payment = self.names.of('P', key.payment.as_str());
                let kind = key.kind.as_str().replace('_', " ");
                let when = if at == now {
                    "now".to_owned()
                } else {
                    time(at)
                };
                lines.push(format!("{kind} of {payment}: {when}"));
                seen.push(key);
            }
            until = next;
        }
        lines
    }

    /// The trial balance: every account, then the sum of every unit.
    fn books(&mut self) -> Vec<String> {
        let report = self.desk.audit();
        let mut lines: Vec<String> = Vec::new();
        for (key, balance) in &report.balances {
            let minor = i64::try_from(*balance).unwrap();
            let name = match key.kind {
                AccountKind::Wallet => format!("wallet of {}", key.owner),
                kind => kind.as_str().to_owned(),
            };
            lines.push(format!("{name}: {}", Amount::new(minor, key.unit)));
        }
        let sum = |(unit, sum): (&Unit, &i128)| format!("sum of {unit}: {sum}");
        lines.extend(report.sums.iter().map(sum));
        lines
    }

    pub(super) fn audit(&mut self) -> Vec<String> {
        let differences = self.desk.audit().differences;
        if differences.is_empty() {
            return vec!["right".to_owned()];
        }
        differences.iter().map(ToString::to_string).collect()
    }
}
