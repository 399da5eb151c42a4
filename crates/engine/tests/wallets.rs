//! Wallets against a model of them: numbers in a map.

#![expect(clippy::unwrap_used, reason = "a helper of a test fails the test")]

#[path = "desk/books.rs"]
mod books;
mod desk;

use std::collections::BTreeMap;

use bursar_domain::command::{Adjust, AnswerKey, Command, Reply, Request};
use bursar_domain::id::{TopupId, UserId};
use bursar_domain::journal::Remark;
use bursar_domain::refusal::Refusal;
use bursar_domain::topup::{CreateTopup, TopupStatus};
use proptest::prelude::*;

use desk::Desk;

/// What users and administrators ask for; every request under a key of its own.
#[derive(Debug, Clone)]
enum Wish {
    Adjust(usize, i64),
    Topup(usize, i64),
    Finish(usize),
    Cancel(usize),
}

fn wish() -> impl Strategy<Value = Wish> {
    let (user, choice) = (0..3_usize, 0..4_usize);
    prop_oneof![
        3 => (user.clone(), -200..200_i64).prop_map(|(user, credits)| Wish::Adjust(user, credits)),
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
}

impl Model {
    fn command(&self, wish: &Wish) -> Option<Command> {
        let user = |number: &usize| UserId::parse(&format!("user-{number}")).unwrap();
        let topup = |number: &usize| self.topups.get(*number).map(|topup| topup.0.clone());
        let remark = Remark::default();
        Some(match wish {
            Wish::Adjust(number, credits) => Command::Adjust(Adjust {
                user: user(number),
                credits: *credits,
                remark,
            }),
            Wish::Topup(number, credits) => Command::CreateTopup(CreateTopup {
                user: user(number),
                credits: *credits,
                remark,
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

    /// Whether the wish must be granted; keeps its effect.
    fn expects(&mut self, wish: &Wish, answer: &Result<Reply, Refusal>) -> bool {
        match wish {
            Wish::Adjust(user, credits) => {
                let balance = self.wallets.entry(*user).or_default();
                let granted = *credits != 0 && *balance + credits >= 0;
                if granted {
                    *balance += credits;
                }
                granted
            }
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
        idempotency: Some((key, "digest".to_owned())),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn wallets_follow_a_simple_sum_and_never_go_below_zero(
        wishes in prop::collection::vec(wish(), 1..24), restart in 0..24_usize, prefix in 0..24_usize,
    ) {
        let (mut desk, mut model, mut requests) = (Desk::new(), Model::default(), Vec::new());
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
            let wallet = desk.reader.wallet(&user).unwrap();
            prop_assert_eq!(wallet.map_or(0, |wallet| wallet.balance), *balance);
            prop_assert!(*balance >= 0);
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
    fn a_batch_does_what_its_commands_do_one_by_one(wishes in prop::collection::vec(wish(), 1..24)) {
        let (mut single, mut together) = (Desk::new(), Desk::new());
        let mut model = Model::default();
        for user in 0..4 {
            // Both desks give the same ids.
            let wish = Wish::Topup(user, 100);
            let command = model.command(&wish).unwrap();
            let answer = single.ask(command.clone());
            prop_assert_eq!(&answer, &together.ask(command));
            model.expects(&wish, &answer);
        }
        let commands = wishes.iter().filter_map(|wish| model.command(wish));
        let requests: Vec<Request> = commands.enumerate().map(|(number, command)| keyed(command, number % 7)).collect();
        let one_by_one: Vec<_> = requests.iter().map(|request| single.request(request)).collect();
        prop_assert_eq!(one_by_one, together.batch(&requests));
        prop_assert_eq!(books::of(&mut single), books::of(&mut together));
    }
}
