//! How long an audit of large books takes.
//!
//! `cargo run --release -p bursar-store --example audit_speed -- 10000000 /tmp/books.db 5` fills a file with so many postings,
//! unless it is there already, and then audits it. They are of grants, top-ups, holds (so many of a hundred commands make one)
//! and charges.

#![expect(
    clippy::print_stdout,
    reason = "an example that measures has to say what it measured"
)]

use std::path::Path;
use std::time::Instant;

use bursar_domain::amount::{Amount, Unit};
use bursar_domain::charge::{Charge, Price};
use bursar_domain::command::{self, Command, Context, Reply, Request};
use bursar_domain::grant::{Category, CreateGrant, Source};
use bursar_domain::hold::CreateHold;
use bursar_domain::id::{HoldId, IdSource, TopupId, UserId};
use bursar_domain::journal::Remark;
use bursar_domain::limit::Spender;
use bursar_domain::policy::Policy;
use bursar_domain::state::Needs;
use bursar_domain::time::Time;
use bursar_domain::topup::CreateTopup;
use bursar_store::query::Reader;
use bursar_store::sqlite::Sqlite;
use bursar_store::{Store, StoreError, audit};

/// As many commands as the engine commits together at most.
const BATCH: usize = 512;

/// Numbers that look random and are the same in each run.
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: i64) -> i64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = mixed ^ (mixed >> 27);
        (mixed >> 1).cast_signed() % limit
    }
}

impl IdSource for Dice {
    fn random80(&mut self) -> u128 {
        u128::from(self.below(i64::MAX).unsigned_abs())
    }
}

/// Whoever fills the file.
struct Filling {
    store: Store,
    dice: Dice,
    ids: Dice,
    now: Time,
    users: i64,
    holds_per_hundred: i64,
    holds: Vec<HoldId>,
    topups: Vec<TopupId>,
}

impl Filling {
    fn user(&mut self) -> Option<UserId> {
        let number = self.dice.below(self.users);
        UserId::parse(&format!("customer-{number:08}"))
    }

    fn charge(&mut self) -> Option<Charge> {
        Some(Charge {
            user: self.user()?,
            unit: Unit::CREDIT,
            price: Price::Exactly(1 + self.dice.below(50)),
            allow_debt: true,
            spender: Spender {
                api_key: Some("k-7".to_owned()),
                labels: vec!["team-red".to_owned()],
            },
            remark: Remark {
                reference: format!("job-{}", self.dice.below(1_000_000_000)),
                ..Remark::default()
            },
        })
    }

    fn command(&mut self) -> Option<Command> {
        let holds = self.holds_per_hundred;
        match self.dice.below(100) {
            0..3 => {
                let amount = Amount::credits(1_000 + self.dice.below(10_000));
                let mut terms =
                    CreateGrant::plain(self.user()?, amount, Category::Paid, Source::Allowance);
                terms.expires_at = Some(self.now.plus_seconds(86_400 * 365));
                Some(Command::CreateGrant(terms))
            }
            3 => Some(Command::CreateTopup(CreateTopup::plain(self.user()?, 500))),
            4 => {
                let topup = self.topups.pop()?;
                let remark = Remark::default();
                Some(Command::FinishTopup { topup, remark })
            }
            drawn if drawn < 5 + holds => {
                let mut charge = self.charge()?;
                charge.allow_debt = false;
                Some(Command::CreateHold(CreateHold {
                    charge,
                    seconds: None,
                    overage: None,
                }))
            }
            drawn if drawn < 5 + 2 * holds => {
                let (hold, used) = (self.holds.pop()?, self.dice.below(60));
                let remark = Remark::default();
                Some(Command::SettleHold { hold, used, remark })
            }
            _ => self.charge().map(Command::Charge),
        }
    }

    /// One batch, as the engine runs it; how many postings there are now.
    fn batch(&mut self, policy: &Policy) -> Result<i64, StoreError> {
        self.now = Time(self.now.0 + 10_000);
        let commands: Vec<Command> = (0..BATCH).filter_map(|_| self.command()).collect();
        let requests = commands.into_iter().map(|command| Request {
            command,
            idempotency: None,
        });
        let requests: Vec<Request> = requests.collect();
        let mut state = self.store.state();
        loop {
            let mut needs = Needs::default();
            for request in &requests {
                command::needs(request, &state, &mut needs);
            }
            if needs.is_empty() {
                break;
            }
            self.store.load(needs, &mut state)?;
        }
        let mut context = Context {
            now: self.now,
            ids: &mut self.ids,
            policy,
        };
        for request in &requests {
            match command::answer(&mut state, &mut context, request).0 {
                Ok(Reply::Hold(hold)) if hold.ended_at.is_none() => self.holds.push(hold.id),
                Ok(Reply::Topup(topup)) if topup.paid_at.is_none() => self.topups.push(topup.id),
                _ => {}
            }
        }
        self.store.commit(&state)?;
        Ok(state.sequence.posting)
    }
}

fn fill(path: &Path, postings: i64, holds_per_hundred: i64) -> Result<(), StoreError> {
    let mut filling = Filling {
        store: Store::open(Box::new(Sqlite::open_writer(path)?))?,
        dice: Dice(1),
        ids: Dice(2),
        now: Time::from_seconds(1_767_225_600),
        users: 100 + postings / 100,
        holds_per_hundred,
        holds: vec![],
        topups: vec![],
    };
    let (began, policy) = (Instant::now(), Policy::standard());
    while filling.batch(&policy)? < postings {}
    filling.store.catch_up()?;
    filling.store.checkpoint()?;
    println!("filled in {:.1?}", began.elapsed());
    Ok(())
}

fn main() -> Result<(), StoreError> {
    let mut arguments = std::env::args().skip(1);
    let postings = arguments.next().and_then(|text| text.parse().ok());
    let postings = postings.unwrap_or(1_000_000);
    let path = arguments.next();
    let path = path.unwrap_or_else(|| format!("/tmp/audit-{postings}.db"));
    let path = Path::new(&path);
    if !path.exists() {
        let holds = arguments.next().and_then(|text| text.parse().ok());
        fill(path, postings, holds.unwrap_or(5))?;
    }
    let mut reader = Reader::open_sqlite(path)?;
    let began = Instant::now();
    let report = audit::run(&mut reader)?;
    println!(
        "books: {} postings, {} accounts, {} differences in {:.1?}",
        report.postings,
        report.accounts,
        report.differences.len(),
        began.elapsed()
    );
    let began = Instant::now();
    let chain = audit::chain(&mut reader, &[])?;
    println!(
        "chain: {} seals, {} broken in {:.1?}",
        chain.seals,
        chain.broken.len(),
        began.elapsed()
    );
    Ok(())
}
