//! Remembered answers: given again word by word, whether or not the program has been started anew.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a helper of a test fails the test"
)]

mod books;

use bursar_domain::amount::{Amount, Unit};
use bursar_domain::charge::{Charge, Price};
use bursar_domain::command::{
    Adjust, AnswerKey, ChargeAll, Command, Precheck, Reply, Request, RequestHash,
};
use bursar_domain::exchange::Exchange;
use bursar_domain::grant::{Category, CreateGrant, Source};
use bursar_domain::hold::CreateHold;
use bursar_domain::id::{GrantId, HoldId, LimitId};
use bursar_domain::journal::Remark;
use bursar_domain::limit::{Period, SetLimit, Spender, Subject, SubjectKind};
use bursar_domain::refusal::Refusal;
use bursar_domain::topup::CreateTopup;
use bursar_domain::usage::{RecordUsage, UsageStatus};
use bursar_store::StoreError;

use books::diary::{Diary, key};
use books::{Answers, charge_of, user};

fn grant(credits: i64) -> Command {
    let amount = Amount::credits(credits);
    let mut terms = CreateGrant::plain(user("anna"), amount, Category::Paid, Source::Manual);
    "\"quoted\", and a line\nfeed".clone_into(&mut terms.remark.note);
    Command::CreateGrant(terms)
}

fn with_debt(credits: i64) -> Charge {
    Charge {
        allow_debt: true,
        spender: Spender {
            api_key: Some("k-1".to_owned()),
            labels: vec!["red".to_owned()],
        },
        ..charge_of("anna", credits)
    }
}

fn pictures(quantity: i64) -> Charge {
    let name = "picture".to_owned();
    Charge {
        price: Price::Action { name, quantity },
        ..charge_of("anna", 1)
    }
}

/// Charges out of one grant, of several, with a debt, of nothing but debt, and refused ones.
fn ask_for_charges(diary: &mut Diary) {
    diary
        .ask(Command::Charge(charge_of("anna", 5)))
        .unwrap_err();
    diary.ask(grant(100)).unwrap();
    diary.ask(grant(50)).unwrap();
    diary.ask(Command::Charge(charge_of("anna", 7))).unwrap();
    diary.ask(Command::Charge(charge_of("anna", 100))).unwrap();
    diary.ask(Command::Charge(pictures(3))).unwrap();
    diary.ask(Command::Charge(with_debt(60))).unwrap();
    diary.ask(Command::Charge(with_debt(9))).unwrap();
    diary
        .ask(Command::Charge(charge_of("anna", 1)))
        .unwrap_err();
    diary
        .ask(Command::Charge(charge_of("anna", 0)))
        .unwrap_err();
    // A grant that pays a debt back, wholly and in part.
    diary.ask(grant(10)).unwrap();
    diary.ask(grant(500)).unwrap();
}

fn ask_for_batches(diary: &mut Diary) {
    let all = |charges: Vec<(Charge, usize)>, atomic| {
        let charges = charges.into_iter();
        let charges = charges.map(|(charge, number)| (charge, Some(key("charge", number))));
        Command::ChargeAll(ChargeAll {
            charges: charges.collect(),
            atomic,
        })
    };
    let too_much = || charge_of("anna", 100_000);
    diary.ask(all(vec![], false)).unwrap();
    diary
        .ask(all(vec![(charge_of("anna", 3), 1)], false))
        .unwrap();
    diary
        .ask(all(
            vec![(charge_of("anna", 4), 2), (too_much(), 3), (pictures(2), 4)],
            false,
        ))
        .unwrap();
    // One that was made before, in an earlier batch and in this one.
    let again = vec![
        (charge_of("anna", 4), 2),
        (charge_of("anna", 6), 5),
        (charge_of("anna", 6), 5),
    ];
    diary.ask(all(again, false)).unwrap();
    let twice = vec![(charge_of("anna", 8), 9), (charge_of("anna", 8), 9)];
    diary.ask(all(twice, false)).unwrap();
    diary
        .ask(all(vec![(charge_of("anna", 1), 6), (too_much(), 7)], true))
        .unwrap_err();
    diary
        .ask(all(
            vec![(charge_of("anna", 1), 6), (charge_of("anna", 2), 8)],
            true,
        ))
        .unwrap();
    // Without keys of their own.
    let charges = vec![
        (charge_of("anna", 5), None),
        (with_debt(1_000), None),
        (too_much(), None),
    ];
    let nameless = ChargeAll {
        charges,
        atomic: false,
    };
    diary.ask(Command::ChargeAll(nameless)).unwrap();
    diary.ask(grant(5_000)).unwrap();
}

fn ask_for_holds(diary: &mut Diary) {
    let remark = Remark::default;
    let hold = |credits| {
        Command::CreateHold(CreateHold {
            charge: charge_of("anna", credits),
            seconds: None,
            overage: None,
        })
    };
    diary.ask(hold(10)).unwrap();
    diary.ask(hold(20)).unwrap();
    diary.ask(hold(30)).unwrap();
    diary.ask(hold(1_000_000)).unwrap_err();
    let (one, two) = (HoldId::of(1), HoldId::of(2));
    diary
        .ask(Command::ProgressHold { hold: one, used: 4 })
        .unwrap();
    diary
        .ask(Command::ProgressHold { hold: one, used: 3 })
        .unwrap_err();
    diary
        .ask(Command::ExtendHold {
            hold: one,
            more: 5,
            seconds: Some(3_600),
        })
        .unwrap();
    diary
        .ask(Command::SettleHold {
            hold: one,
            used: 20,
            remark: remark(),
        })
        .unwrap();
    diary
        .ask(Command::ReleaseHold {
            hold: two,
            remark: remark(),
        })
        .unwrap();
    diary
        .ask(Command::ReleaseHold {
            hold: one,
            remark: remark(),
        })
        .unwrap_err();
    diary
        .ask(Command::ReleaseHold {
            hold: HoldId::of(99),
            remark: remark(),
        })
        .unwrap_err();
}

fn ask_for_the_rest(diary: &mut Diary) {
    let remark = Remark::default;
    // The third hold reserves some of this grant: so much of it is held, and the answer says so.
    let held = diary
        .books
        .wallet("anna")
        .grants
        .iter()
        .find(|grant| grant.held > 0)
        .unwrap()
        .id;
    let voided = diary.ask(Command::VoidGrant {
        grant: held,
        remark: remark(),
    });
    assert!(
        matches!(&voided, Ok(Reply::Grant(grant)) if grant.held == 30),
        "{voided:?}"
    );
    diary
        .ask(Command::VoidGrant {
            grant: GrantId::of(999),
            remark: remark(),
        })
        .unwrap_err();
    let adjust = |credits| {
        Command::Adjust(Adjust {
            user: user("anna"),
            credits,
            remark: remark(),
        })
    };
    diary.ask(adjust(500)).unwrap();
    diary.ask(adjust(-20)).unwrap();
    diary.ask(adjust(0)).unwrap_err();
    let exchange = |unit| {
        Command::Exchange(Exchange {
            user: user("anna"),
            give: Amount::credits(20),
            get: Amount::new(200, unit),
            category: Category::Paid,
            remark: remark(),
        })
    };
    diary.ask(exchange(Unit::currency("usd").unwrap())).unwrap();
    diary.ask(exchange(Unit::CREDIT)).unwrap_err();
    let precheck = |credits| {
        Command::Precheck(Precheck {
            charge: charge_of("anna", credits),
            priced: true,
        })
    };
    diary.ask(precheck(1)).unwrap();
    diary.ask(precheck(100_000)).unwrap();
}

fn ask_for_settings_and_facts(diary: &mut Diary) {
    diary
        .ask(Command::SetOverdraft {
            user: user("anna"),
            unit: Unit::CREDIT,
            overdraft: Some(5),
        })
        .unwrap();
    diary
        .ask(Command::RecordUsage(RecordUsage {
            user: user("anna"),
            service: "pictures".to_owned(),
            variant: String::new(),
            quantity: 3,
            status: UsageStatus::Error,
            meta: r#"{"size":"large"}"#.to_owned(),
        }))
        .unwrap();
    let wish = CreateTopup::plain(user("anna"), 500);
    let Ok(Reply::Topup(topup)) = diary.ask(Command::CreateTopup(wish)) else {
        panic!("no top-up");
    };
    diary
        .ask(Command::FinishTopup {
            topup: topup.id,
            remark: Remark::default(),
        })
        .unwrap();
    // Limits at the end, so that they are in nobody's way but the last one's.
    let subject = Subject {
        kind: SubjectKind::User,
        name: "anna".to_owned(),
    };
    let limit = SetLimit {
        subject,
        most: Amount::credits(3),
        period: Period::Month,
    };
    diary.ask(Command::SetLimit(limit)).unwrap();
    diary
        .ask(Command::Charge(charge_of("anna", 4)))
        .unwrap_err();
    diary.ask(Command::RemoveLimit(LimitId::of(1))).unwrap();
    diary.ask(Command::RemoveLimit(LimitId::of(1))).unwrap_err();
}

#[test]
fn every_answer_is_given_again_word_by_word() {
    let mut diary = Diary::new();
    ask_for_charges(&mut diary);
    ask_for_batches(&mut diary);
    ask_for_holds(&mut diary);
    ask_for_the_rest(&mut diary);
    ask_for_settings_and_facts(&mut diary);
    diary.repeats();
    diary = diary.reopened();
    diary.repeats();
    diary.books.store.catch_up().unwrap();
    diary.reopened().repeats();
}

/// A charge of a batch is remembered under its own key, too.
#[test]
fn a_charge_of_a_batch_is_known_by_itself() {
    let mut diary = Diary::new();
    diary.ask(grant(100)).unwrap();
    let charges = vec![
        (charge_of("anna", 30), Some(key("charge", 1))),
        (charge_of("anna", 500), Some(key("charge", 2))),
        (charge_of("anna", 50), Some(key("charge", 3))),
    ];
    let all = ChargeAll {
        charges: charges.clone(),
        atomic: false,
    };
    let Ok(Reply::ChargedAll(answers)) = diary.ask(Command::ChargeAll(all)) else {
        panic!("no answers");
    };
    diary = diary.reopened();
    for ((charge, idempotency), expected) in charges.into_iter().zip(answers) {
        let request = Request {
            command: Command::Charge(charge),
            idempotency,
        };
        let (answer, replayed) = diary.books.run(&[request]).unwrap().remove(0);
        assert!(replayed);
        assert_eq!(answer, expected.map(|(charged, _)| Reply::Charged(charged)));
    }
}

#[test]
fn a_key_that_was_used_for_something_else_is_refused_after_a_start_too() {
    let mut diary = Diary::new();
    diary.ask(grant(100)).unwrap();
    diary = diary.reopened();
    let (same_key, _) = key("any", 0);
    let mut request = Request {
        command: grant(100),
        idempotency: Some((same_key.clone(), RequestHash([8; 16]))),
    };
    let (answer, _) = diary
        .books
        .run(std::slice::from_ref(&request))
        .unwrap()
        .remove(0);
    assert_eq!(answer, Err(Refusal::IdempotencyKeyReused));
    // The same text from somebody else, or on another route, is another key.
    for other in [
        AnswerKey {
            principal: "other".to_owned(),
            ..same_key.clone()
        },
        AnswerKey {
            route: "other".to_owned(),
            ..same_key
        },
    ] {
        request.idempotency = Some((other, RequestHash([8; 16])));
        let (answer, replayed) = diary
            .books
            .run(std::slice::from_ref(&request))
            .unwrap()
            .remove(0);
        assert!(answer.is_ok() && !replayed);
    }
}

/// So many answers that their keys have gone from memory into the file.
#[test]
fn answers_are_found_among_many() {
    let mut diary = Diary::new();
    let request = |number: usize| Request {
        command: Command::RecordUsage(RecordUsage {
            user: user("anna"),
            service: format!("service-{number}"),
            variant: String::new(),
            quantity: 1,
            status: UsageStatus::Success,
            meta: String::new(),
        }),
        idempotency: Some(key("usage", number)),
    };
    let all: Vec<Request> = (0..17_000).map(request).collect();
    let mut answers = Vec::new();
    for batch in all.chunks(512) {
        answers.extend(diary.books.run(batch).unwrap());
    }
    assert!(
        answers
            .iter()
            .all(|(answer, replayed)| answer.is_ok() && !replayed)
    );
    for _ in 0..2 {
        let again = all
            .chunks(512)
            .flat_map(|batch| diary.books.run(batch).unwrap());
        let again: Answers = again.collect();
        for (place, (answer, replayed)) in again.into_iter().enumerate() {
            assert!(replayed, "{place}");
            assert_eq!(answer, answers[place].0);
        }
        diary = diary.reopened();
    }
}

/// Many answers are about what is kept anyway: they only say where.
#[test]
fn answers_about_rows_that_do_not_change_any_more_are_short() {
    let mut diary = Diary::new();
    ask_for_charges(&mut diary);
    ask_for_holds(&mut diary);
    let file = rusqlite::Connection::open(&diary.path).unwrap();
    let length = |number: i64| -> i64 {
        let sql = "SELECT length(outcome) FROM answer WHERE number = ?1";
        file.query_row(sql, [number], |row| row.get(0)).unwrap()
    };
    let mut short = 0;
    for (number, (request, answer)) in (1..).zip(&diary.entries) {
        let is_kept = match answer {
            Ok(Reply::Charged(_)) => true,
            Ok(Reply::Hold(hold)) => hold.ended_at.is_some(),
            _ => false,
        };
        assert_eq!(is_kept, length(number) < 20, "{request:?}");
        short += i64::from(is_kept);
    }
    assert!(short > 5);
}

/// An answer whose charge is not in the journal any more is an error and no guess.
#[test]
fn an_answer_without_its_charge_is_not_made_up() {
    let mut diary = Diary::new();
    diary.ask(grant(100)).unwrap();
    diary.ask(Command::Charge(charge_of("anna", 30))).unwrap();
    let request = diary.entries[1].0.clone();
    for sql in [
        "UPDATE posting SET transaction_number = 9 WHERE number = 2",
        "DELETE FROM posting WHERE number = 2",
        "DELETE FROM ledger_transaction WHERE number = 2",
    ] {
        let file = rusqlite::Connection::open(&diary.path).unwrap();
        file.execute_batch("PRAGMA foreign_keys = OFF").unwrap();
        assert_eq!(file.execute(sql, []).unwrap(), 1);
        let answer = diary.books.run(std::slice::from_ref(&request));
        assert!(
            matches!(answer, Err(StoreError::Corrupt(_))),
            "{sql}: {answer:?}"
        );
    }
}
