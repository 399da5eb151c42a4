//! Wallets against a model of them: numbers in a map.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a helper of a test fails the test"
)]

#[path = "desk/books.rs"]
mod books;
mod desk;

use std::collections::BTreeMap;

use bursar_domain::account::AccountKey;
use bursar_domain::amount::Unit;
use bursar_domain::charge::{Charge, Price};
use bursar_domain::command::{Adjust, AnswerKey, Command, Reply, Request};
use bursar_domain::hold::{CreateHold, HoldStatus};
use bursar_domain::id::{HoldId, TopupId, UserId};
use bursar_domain::journal::Remark;
use bursar_domain::limit::Spender;
use bursar_domain::refusal::Refusal;
use bursar_domain::topup::{CreateTopup, TopupStatus};
use bursar_engine::clock::Clock as _;
use bursar_store::digest::request_hash;
use proptest::prelude::*;

use desk::Desk;

/// How far below zero a charge may go that may make debt.
const OVERDRAFT: i64 = 100;

/// What users, administrators and the product ask for; every request under a key of its own.
#[derive(Debug, Clone)]
enum Wish {
    Adjust(usize, i64),
    Charge(usize, i64, bool),
    Hold(usize, i64),
    Settle(usize, i64),
    Release(usize),
    Topup(usize, i64),
    Finish(usize),
    Cancel(usize),
}

fn wish() -> impl Strategy<Value = Wish> {
    let (user, choice) = (0..3_usize, 0..4_usize);
    prop_oneof![
        3 => (user.clone(), -200..200_i64).prop_map(|(user, credits)| Wish::Adjust(user, credits)),
        3 => (user.clone(), 0..150_i64, any::<bool>())
            .prop_map(|(user, credits, debt)| Wish::Charge(user, credits, debt)),
        3 => (user.clone(), 0..150_i64).prop_map(|(user, credits)| Wish::Hold(user, credits)),
        2 => (choice.clone(), 0..200_i64).prop_map(|(hold, used)| Wish::Settle(hold, used)),
        1 => choice.clone().prop_map(Wish::Release),
        2 => (user, 40..200_i64).prop_map(|(user, credits)| Wish::Topup(user, credits)),
        1 => choice.clone().prop_map(Wish::Finish),
        1 => choice.prop_map(Wish::Cancel),
    ]
}

/// What the books are expected to say, kept by other means: numbers in a map.
#[derive(Debug, Default)]
struct Model {
    wallets: BTreeMap<usize, i64>,
    topups: Vec<(TopupId, usize, i64, TopupStatus)>,
    holds: Vec<(HoldId, usize, i64, HoldStatus, i64)>,
}

fn charge(user: UserId, credits: i64, allow_debt: bool) -> Charge {
    Charge {
        user,
        unit: Unit::CREDIT,
        price: Price::Exactly(credits),
        allow_debt,
        spender: Spender::default(),
        remark: Remark::default(),
    }
}

impl Model {
    fn command(&self, wish: &Wish) -> Option<Command> {
        let user = |number: &usize| UserId::parse(&format!("user-{number}")).unwrap();
        let topup = |number: &usize| self.topups.get(*number).map(|topup| topup.0.clone());
        let hold = |number: &usize| self.holds.get(*number).map(|hold| hold.0);
        let remark = Remark::default();
        Some(match wish {
            Wish::Adjust(number, credits) => Command::Adjust(Adjust {
                user: user(number),
                credits: *credits,
                remark,
            }),
            Wish::Charge(number, credits, debt) => {
                Command::Charge(charge(user(number), *credits, *debt))
            }
            Wish::Hold(number, credits) => Command::CreateHold(CreateHold {
                charge: charge(user(number), *credits, false),
                seconds: None,
                overage: None,
            }),
            Wish::Settle(number, spent) => Command::SettleHold {
                hold: hold(number)?,
                used: *spent,
                remark,
            },
            Wish::Release(number) => Command::ReleaseHold {
                hold: hold(number)?,
                remark,
            },
            Wish::Topup(number, credits) => Command::CreateTopup(CreateTopup {
                remark,
                ..CreateTopup::plain(user(number), *credits)
            }),
            Wish::Finish(number) => Command::FinishTopup {
                topup: topup(number)?,
                remark,
            },
            Wish::Cancel(number) => Command::CancelTopup {
                topup: topup(number)?,
                remark,
            },
        })
    }

    /// The balance without what open holds reserve.
    fn available(&self, user: usize) -> i64 {
        let held = self.holds.iter().filter(|hold| hold.1 == user);
        let held = held.filter(|hold| hold.3 == HoldStatus::Open);
        self.wallets.get(&user).unwrap_or(&0) - held.map(|hold| hold.2).sum::<i64>()
    }

    /// Whether a hold must end so; keeps its effect.
    fn ends(&mut self, number: usize, end: HoldStatus, spent: i64) -> bool {
        let (_, user, reserved, status, settled) = self.holds[number];
        if status != HoldStatus::Open {
            return status == end && settled == spent;
        }
        let granted = spent <= reserved || spent - reserved <= self.available(user);
        if granted {
            *self.wallets.entry(user).or_default() -= spent;
            self.holds[number].3 = end;
            self.holds[number].4 = spent;
        }
        granted
    }

    /// Whether the wish must be granted; keeps its effect.
    fn expects(&mut self, wish: &Wish, answer: &Result<Reply, Refusal>) -> bool {
        match wish {
            Wish::Adjust(user, credits) => {
                let granted =
                    *credits > 0 || (*credits < 0 && self.available(*user) + credits >= 0);
                if granted {
                    *self.wallets.entry(*user).or_default() += credits;
                }
                granted
            }
            Wish::Charge(user, credits, debt) => {
                let floor = if *debt { OVERDRAFT } else { 0 };
                let granted = *credits > 0 && self.available(*user) + floor >= *credits;
                if granted {
                    *self.wallets.entry(*user).or_default() -= credits;
                }
                granted
            }
            Wish::Hold(user, credits) => {
                let granted = *credits > 0 && self.available(*user) >= *credits;
                if let Ok(Reply::Hold(hold)) = answer {
                    self.holds
                        .push((hold.id, *user, *credits, HoldStatus::Open, 0));
                }
                granted
            }
            Wish::Settle(hold, used) => self.ends(*hold, HoldStatus::Settled, *used),
            Wish::Release(hold) => self.ends(*hold, HoldStatus::Released, 0),
            Wish::Topup(user, credits) => {
                if let Ok(Reply::Topup(topup)) = answer {
                    self.topups
                        .push((topup.id.clone(), *user, *credits, TopupStatus::Pending));
                }
                *credits >= 50
            }
            Wish::Finish(number) => {
                let (_, user, credits, status) = &mut self.topups[*number];
                if *status == TopupStatus::Pending {
                    *status = TopupStatus::Paid;
                    *self.wallets.entry(*user).or_default() += *credits;
                }
                *status == TopupStatus::Paid
            }
            Wish::Cancel(number) => {
                let status = &mut self.topups[*number].3;
                if *status == TopupStatus::Pending {
                    *status = TopupStatus::Canceled;
                }
                *status == TopupStatus::Canceled
            }
        }
    }
}

fn keyed(command: Command, key: usize) -> Request {
    let key = AnswerKey {
        principal: "admin".to_owned(),
        route: "any".to_owned(),
        key: key.to_string(),
    };
    Request {
        command,
        idempotency: Some((key, request_hash(b"digest"))),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn wallets_follow_a_simple_sum_and_never_go_below_their_overdraft(
        wishes in prop::collection::vec(wish(), 1..40), restart in 0..40_usize, prefix in 0..40_usize,
    ) {
        let (mut desk, mut model, mut requests) = (Desk::new(), Model::default(), Vec::new());
        desk.policy.overdraft = OVERDRAFT;
        for (number, wish) in wishes.iter().enumerate() {
            if number == restart {
                desk.restart();
            }
            let Some(command) = model.command(wish) else { continue };
            let request = keyed(command, number);
            let (answer, replayed) = desk.request(&request);
            prop_assert!(!replayed);
            prop_assert_eq!(model.expects(wish, &answer), answer.is_ok(), "{:?} {:?}", wish, answer);
            requests.push((request, answer));
        }
        for (number, balance) in &model.wallets {
            let user = UserId::parse(&format!("user-{number}")).unwrap();
            let wallet = desk.wallets(vec![AccountKey::wallet(&user)]).remove(0);
            let now = desk.clock.now();
            let stands = wallet.map_or((0, 0), |wallet| (wallet.account.balance, wallet.available(now)));
            prop_assert_eq!(stands, (*balance, model.available(*number)));
            prop_assert!(*balance >= -OVERDRAFT);
        }
        prop_assert_eq!(desk.audit().differences, vec![]);
        let before = books::of(&mut desk);
        for (request, answer) in requests.iter().take(prefix) {
            let again = desk.request(request);
            prop_assert_eq!(&again, &(answer.clone(), true));
        }
        prop_assert_eq!(before, books::of(&mut desk));
    }

    #[test]
    fn a_batch_does_what_its_commands_do_one_by_one(wishes in prop::collection::vec(wish(), 1..40)) {
        let (mut single, mut together) = (Desk::new(), Desk::new());
        let mut model = Model::default();
        // Both desks give the same ids. A choice is among four top-ups, and among four holds.
        let topups = (0..4).map(|user| Wish::Topup(user, 100));
        let filled = (0..4).map(|user| Wish::Adjust(user, 300));
        let holds = (0..4).map(|user| Wish::Hold(user, 50));
        for wish in topups.chain(filled).chain(holds) {
            let command = model.command(&wish).unwrap();
            let answer = single.ask(command.clone());
            prop_assert_eq!(&answer, &together.ask(command));
            prop_assert!(model.expects(&wish, &answer));
        }
        let commands = wishes.iter().filter_map(|wish| model.command(wish));
        let requests: Vec<Request> = commands.enumerate().map(|(number, command)| keyed(command, number % 7)).collect();
        let one_by_one: Vec<_> = requests.iter().map(|request| single.request(request)).collect();
        prop_assert_eq!(one_by_one, together.batch(&requests));
        prop_assert_eq!(books::of(&mut single), books::of(&mut together));
    }
}
