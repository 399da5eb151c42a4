//! The verbs that show what stands in the books.

use bursar_domain::account::{AccountKey, AccountKind};
use bursar_domain::amount::{Amount, Unit};
use bursar_domain::journal::Reason;
use bursar_store::query::{Chain, EntryFilter, EventFilter, PaymentFilter, TopupFilter};

use super::clock::{moment, time};
use super::said;
use super::words::Words;
use super::world::{Said, World, all};

impl World {
    pub(super) fn show(&mut self, verb: &str, words: &mut Words) -> Said {
        let (reader, names) = (&mut self.desk.reader, &mut self.names);
        let lines = match verb {
            "wallet" | "past" | "history" => self.show_wallet(verb, words)?,
            "grants" => self.grants(words)?,
            "holds" => self.holds(words)?,
            "limits" => self.limits(),
            "announcements" => self.announcements(words)?,
            "usage" => self.usage(words)?,
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

    /// A wallet of a user, in credits unless the line says otherwise.
    pub(super) fn wallet_key(words: &mut Words) -> Result<AccountKey, String> {
        let user = words.user()?;
        Ok(AccountKey::wallet_in(&user, words.unit()?))
    }

    /// What a wallet has, had at a moment, and what moved in it.
    fn show_wallet(&mut self, verb: &str, words: &mut Words) -> Said {
        let (key, now) = (Self::wallet_key(words)?, self.now());
        let wallet = self.desk.wallets(vec![key.clone()]).remove(0);
        if verb == "wallet" {
            return Ok(vec![said::wallet(wallet.as_deref(), key.unit, now)]);
        }
        let chain = Chain {
            account: wallet.as_ref().map_or(0, |wallet| wallet.account.number),
            head: wallet.as_ref().map_or(0, |wallet| wallet.account.head),
            wallet: key,
        };
        let unit = chain.wallet.unit;
        if verb == "past" {
            let when = words.plain.by_ref().collect::<Vec<_>>().join(" ");
            let at = moment(&when, now)?;
            let found = self.desk.reader.balance_at(&chain, at).unwrap();
            let line =
                |(balance, since)| format!("{}, since {}", Amount::new(balance, unit), time(since));
            return Ok(found.map(line).into_iter().collect());
        }
        let filter = EntryFilter {
            chain: Some(chain),
            reason: words.one_of("reason", Reason::parse)?,
        };
        let entries = self.desk.reader.entries(&filter, &all()).unwrap().items;
        Ok(entries
            .iter()
            .map(|entry| self.names.entry(entry))
            .collect())
    }

    /// What is owed, in the order in which it becomes due.
    fn jobs(&mut self) -> Vec<String> {
        let (mut lines, mut seen) = (Vec::new(), Vec::new());
        let now = self.now();
        let mut until = Some(now);
        while let Some(at) = until {
            let (due, next) = self.desk.reader.due_jobs(at, 1000).unwrap();
            for key in due {
                if seen.contains(&key) {
                    continue;
                }
                let payment = self.names.of('P', &key.subject);
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
                kind => kind.as_str().replace('_', " "),
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
