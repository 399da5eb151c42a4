//! Several nodes on one database: all of them write at the same time, and nothing is done twice or lost.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a helper of a test fails the test"
)]

mod nodes {
    pub(crate) mod cutter;
    pub(crate) mod several;
    mod work;
}
#[path = "../../store/tests/server/mod.rs"]
mod server;

use std::sync::{Arc, Barrier};
use std::thread;

use bursar_domain::amount::{Amount, Unit};
use bursar_domain::command::{Command, Reply, Request};
use bursar_domain::event::ReceiveEvent;
use bursar_domain::hold::CreateHold;
use bursar_domain::id::HoldId;
use bursar_domain::journal::Remark;
use bursar_domain::limit::{Period, SetLimit, Subject, SubjectKind};
use bursar_domain::policy::Policy;
use bursar_domain::refusal::Refusal;
use bursar_domain::time::Time;
use bursar_engine::RandomIds;
use bursar_engine::batch::Batch;
use bursar_engine::clock::FixedClock;
use bursar_store::connection::Connection as _;
use bursar_store::postgres::{Address, Postgres};
use bursar_store::{Database, StoreError, audit, transfer};
use nodes::cutter::{Cable, Cut};
use nodes::several::{
    are_right, ask, balance, charge, charged, give, node, on_both, reader, request,
};
use server::server;

#[test]
fn two_nodes_spend_from_the_same_wallets() {
    let address = server().fresh();
    let mut nodes = [node(&address), node(&address)];
    let names = ["anna", "bob", "carol", "dave", "eve"];
    for name in names {
        give(&mut nodes[0], name, 5_000);
    }
    let spent = on_both(&mut nodes, |place, node| {
        let mut spent = vec![0; names.len()];
        for round in 0..60_usize {
            let count = 1 + (round * 7 + place) % 20;
            let requests: Vec<(usize, Request)> = (0..count)
                .map(|n| {
                    let who = (n * 3 + round + place) % names.len();
                    let key = format!("{place}-{round}-{n}");
                    (
                        who,
                        charge(names[who], 1 + i64::try_from(n % 4).unwrap(), &key),
                    )
                })
                .collect();
            let asked: Vec<&Request> = requests.iter().map(|(_, request)| request).collect();
            let answers = node.run(&asked).unwrap().answers;
            for ((who, _), (answer, replayed)) in requests.iter().zip(&answers) {
                assert!(!replayed);
                spent[*who] += charged(answer).amount;
            }
        }
        spent
    });
    for (place, name) in names.iter().enumerate() {
        let left = 5_000 - spent[0][place] - spent[1][place];
        for node in &mut nodes {
            assert_eq!(balance(node, name), left, "{name}");
        }
    }
    are_right(&address);
    // Each node has a chain, and a checkpoint shows the newest seal of each.
    let mut reader = reader(&address);
    let checkpoints = reader.seals().unwrap();
    let kept = nodes.each_ref().map(|node| node.store.seal());
    assert_eq!(checkpoints, kept);
    let expected: Vec<(i64, String)> = checkpoints
        .iter()
        .map(|seal| (seal.number, seal.written()))
        .collect();
    let chain = audit::chain(&mut reader, &expected).unwrap();
    assert_eq!((chain.broken, chain.checkpoints), (vec![], checkpoints));
}

#[test]
fn a_wallet_that_runs_dry_is_not_spent_twice() {
    let address = server().fresh();
    let mut nodes = [node(&address), node(&address)];
    give(&mut nodes[0], "anna", 100);
    let paid = on_both(&mut nodes, |place, node| {
        let mut paid = 0;
        for n in 0..100 {
            match ask(node, &charge("anna", 1, &format!("{place}-{n}")))
                .unwrap()
                .0
            {
                Ok(_) => paid += 1,
                Err(Refusal::InsufficientCredits { .. }) => {}
                Err(other) => panic!("{other:?}"),
            }
        }
        paid
    });
    assert_eq!(paid[0] + paid[1], 100, "{paid:?}");
    assert_eq!(balance(&mut nodes[1], "anna"), 0);
    are_right(&address);
}

#[test]
fn one_key_on_both_nodes_at_once_charges_once() {
    let address = server().fresh();
    let mut nodes = [node(&address), node(&address)];
    give(&mut nodes[0], "anna", 1_000);
    let answers = on_both(&mut nodes, |_, node| {
        let asked = (0..40).map(|n| ask(node, &charge("anna", 3, &format!("same-{n}"))).unwrap());
        asked.collect::<Vec<_>>()
    });
    let [a, b] = &answers;
    for ((a, was_first), (b, was_second)) in a.iter().zip(b) {
        assert_eq!(a, b);
        assert!(
            was_first != was_second,
            "exactly one of them is a repetition"
        );
    }
    assert_eq!(balance(&mut nodes[1], "anna"), 1_000 - 40 * 3);
    are_right(&address);
}

#[test]
fn one_event_on_both_nodes_at_once_is_stored_once() {
    let address = server().fresh();
    let mut nodes = [node(&address), node(&address)];
    let received = on_both(&mut nodes, |_, node| {
        let receive = |n| {
            let event = ReceiveEvent {
                id: format!("evt_{n}"),
                kind: "charge.updated".to_owned(),
                created: 1,
                livemode: false,
                api_version: String::new(),
                object: String::new(),
                body: b"{}".as_slice().into(),
            };
            match ask(node, &request(Command::ReceiveEvent(event), None))
                .unwrap()
                .0
            {
                Ok(Reply::Received { number, duplicate }) => (number, duplicate),
                other => panic!("{other:?}"),
            }
        };
        (0..40).map(receive).collect::<Vec<_>>()
    });
    let [a, b] = &received;
    for ((a, was_first), (b, was_second)) in a.iter().zip(b) {
        assert_eq!(a, b);
        assert!(was_first != was_second);
    }
    assert_eq!(reader(&address).event_count(None).unwrap(), 40);
}

#[test]
fn new_wallets_and_accounts_are_opened_once() {
    let address = server().fresh();
    let mut nodes = [node(&address), node(&address)];
    on_both(&mut nodes, |_, node| {
        for n in 0..30 {
            give(node, &format!("user-{n}"), 10);
        }
    });
    for n in 0..30 {
        assert_eq!(balance(&mut nodes[0], &format!("user-{n}")), 20);
    }
    are_right(&address);
}

#[test]
fn a_hold_is_settled_once_and_a_limit_that_is_new_counts_at_once() {
    let address = server().fresh();
    let mut nodes = [node(&address), node(&address)];
    give(&mut nodes[0], "anna", 1_000);
    let Command::Charge(wish) = charge("anna", 10, "").command else {
        panic!("no charge");
    };
    let holds: Vec<HoldId> = (0..20)
        .map(|_| {
            let wish = CreateHold {
                charge: wish.clone(),
                seconds: None,
                overage: None,
            };
            match ask(&mut nodes[0], &request(Command::CreateHold(wish), None))
                .unwrap()
                .0
            {
                Ok(Reply::Hold(hold)) => hold.id,
                other => panic!("{other:?}"),
            }
        })
        .collect();
    on_both(&mut nodes, |_, node| {
        for hold in &holds {
            let settle = Command::SettleHold {
                hold: *hold,
                used: 10,
                remark: Remark::default(),
            };
            ask(node, &request(settle, None)).unwrap().0.unwrap();
        }
    });
    assert_eq!(balance(&mut nodes[1], "anna"), 800);
    let limit = SetLimit {
        subject: Subject {
            kind: SubjectKind::User,
            name: "anna".to_owned(),
        },
        most: Amount::new(5, Unit::CREDIT),
        period: Period::Day,
    };
    ask(&mut nodes[0], &request(Command::SetLimit(limit), None))
        .unwrap()
        .0
        .unwrap();
    let over = ask(&mut nodes[1], &charge("anna", 6, "over")).unwrap().0;
    assert!(over.is_err(), "{over:?}");
    are_right(&address);
}

#[test]
fn a_connection_that_is_cut_during_a_commit_neither_loses_nor_repeats_it() {
    let direct = server().fresh_url();
    let cable = Cable::to(server().socket());
    let schema = direct.split("schema=").nth(1).unwrap();
    let url = format!(
        "postgres://bursar@127.0.0.1:{}/postgres?sslmode=disable&schema={schema}",
        cable.port
    );
    let mut cut = node(&Address::parse(&url).unwrap());
    let address = Address::parse(&direct).unwrap();
    let mut other = node(&address);
    give(&mut cut, "anna", 10_000);
    for n in 0..20 {
        cable.cut(if n % 2 == 0 { Cut::Before } else { Cut::After });
        let (answer, replayed) = ask(&mut cut, &charge("anna", 1, &format!("cut-{n}"))).unwrap();
        assert!(cable.is_cut());
        assert!(!replayed, "what was done is found out by itself");
        assert_eq!(charged(&answer).balance, 10_000 - 2 * n - 1);
        let (answer, _) = ask(&mut other, &charge("anna", 1, &format!("other-{n}"))).unwrap();
        assert_eq!(charged(&answer).balance, 10_000 - 2 * n - 2);
    }
    are_right(&address);
}

#[test]
fn nodes_that_start_at_the_same_time_take_a_slot_each() {
    let address = server().fresh();
    let mut back_door = Postgres::open(address.clone()).unwrap();
    drop(node(&address));
    for round in 1..=8 {
        let start = Barrier::new(6);
        thread::scope(|scope| {
            for _ in 0..6 {
                scope.spawn(|| {
                    start.wait();
                    // As after kill -9: the slot is not given back.
                    drop(node(&address));
                });
            }
        });
        let slots = back_door
            .rows("SELECT token FROM node WHERE taken = 1", vec![])
            .unwrap();
        let tokens: std::collections::BTreeSet<i64> =
            slots.iter().map(|row| row.integer(0).unwrap()).collect();
        assert_eq!((slots.len(), tokens.len()), (1 + 6 * round, 1 + 6 * round));
    }
}

#[test]
fn a_node_whose_slot_was_taken_over_takes_another() {
    let address = server().fresh();
    let mut nodes = [node(&address), node(&address)];
    give(&mut nodes[0], "anna", 100);
    let mut back_door = Postgres::open(address.clone()).unwrap();
    let sql = "UPDATE node SET token = 100 WHERE slot = 0";
    back_door.execute(sql, &[vec![]]).unwrap();
    for n in 0..3 {
        for (place, node) in nodes.iter_mut().enumerate() {
            let answer = ask(node, &charge("anna", 1, &format!("{place}-{n}"))).unwrap();
            charged(&answer.0);
        }
    }
    assert_eq!(balance(&mut nodes[0], "anna"), 94);
    let slots = back_door
        .rows("SELECT slot FROM node WHERE taken = 1", vec![])
        .unwrap();
    assert_eq!(slots.len(), 3);
    are_right(&address);
}

#[test]
fn a_server_that_has_forgotten_commits_begins_recovery_mode() {
    let address = server().fresh();
    let mut node = node(&address);
    give(&mut node, "anna", 100);
    let mut back_door = Postgres::open(address.clone()).unwrap();
    // What a standby looks like that was a batch behind when it took over.
    let sql = "UPDATE node SET batch = batch - 1 WHERE slot = 0";
    back_door.execute(sql, &[vec![]]).unwrap();
    let lost = ask(&mut node, &charge("anna", 1, "lost")).unwrap_err();
    assert!(matches!(lost, StoreError::Lost(_)), "{lost:?}");
    // Wallets are spent from by what is there now; until Stripe has been asked what was forgotten, nobody is promised anything.
    charged(&ask(&mut node, &charge("anna", 1, "lost")).unwrap().0);
    let mark = reader(&address)
        .mark(bursar_domain::mark::RECOVERY)
        .unwrap();
    assert!(mark.unwrap().contains("has lost commits"));
    are_right(&address);
}

/// Books that were moved from a file go on on several nodes, and the chain of seals goes on with them.
#[test]
fn books_that_were_moved_from_a_file_go_on_on_several_nodes() {
    let folder = tempfile::tempdir().unwrap();
    let file = Database::from(folder.path().join("bursar.db"));
    let mut one = Batch {
        store: file.store().unwrap(),
        ids: Box::new(RandomIds::default()),
        policy: Policy::standard(),
        clock: Arc::new(FixedClock::at(Time::from_seconds(1_767_225_600))),
    };
    for name in ["anna", "bob", "carol"] {
        give(&mut one, name, 1_000);
    }
    for n in 0..200 {
        charged(
            &ask(&mut one, &charge("anna", 1, &format!("file-{n}")))
                .unwrap()
                .0,
        );
    }
    let address = server().fresh();
    let to = Database::from(address.clone());
    let refused = transfer::run(&file, &to).unwrap_err().to_string();
    assert!(refused.contains("another process is using"), "{refused}");
    drop(one);
    let moved = transfer::run(&file, &to).unwrap();
    assert!(moved.rows > 600, "{moved:?}");
    are_right(&address);
    let mut nodes = [node(&address), node(&address)];
    on_both(&mut nodes, |place, node| {
        for n in 0..30 {
            let (_, replayed) = ask(node, &charge("anna", 1, &format!("file-{n}"))).unwrap();
            assert!(replayed, "what was answered before the move is remembered");
            charged(
                &ask(node, &charge("anna", 1, &format!("moved-{place}-{n}")))
                    .unwrap()
                    .0,
            );
            give(node, &format!("new-{place}-{n}"), 5);
        }
    });
    assert_eq!(balance(&mut nodes[1], "anna"), 740);
    are_right(&address);
    drop(nodes);
    let again = transfer::run(&file, &to).unwrap_err().to_string();
    assert!(again.contains("has been used already"), "{again}");
}
