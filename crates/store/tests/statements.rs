//! Every statement there is, seen by the database itself.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a helper of a test fails the test"
)]

mod books;
mod server;

use std::collections::BTreeSet;

use bursar_domain::api_key::{IssueKey, Role};
use bursar_domain::command::{AnswerKey, Command, Reply, Request, RequestHash};
use bursar_domain::event::EventStatus;
use bursar_domain::hold::HoldStatus;
use bursar_domain::id::{GrantId, HoldId, TransactionId};
use bursar_domain::journal::Reason;
use bursar_domain::limit::{Subject, SubjectKind};
use bursar_domain::notice::{ApplyEvent, IntentFact, Notice, Standing};
use bursar_domain::payment::PaymentStatus;
use bursar_domain::time::Time;
use bursar_domain::topup::TopupStatus;
use bursar_store::connection::Connection as _;
use bursar_store::postgres::Postgres;
use bursar_store::query::{
    Chain, EntryFilter, EventFilter, GrantFilter, HoldFilter, PageRequest, PaymentFilter, Progress,
    Reader, TopupFilter, UsageFilter,
};
use bursar_store::sqlite::Sqlite;
use bursar_store::{Share, Sizes, Store, audit};

use books::roll::Roll;
use books::spy::Spy;
use books::{Books, fact, folder, user};

/// Uses every table for reading and writing, and every question a reader can ask with and without its filters. Each is
/// prepared by the database on the way; those that find single rows must find them by an index.
#[test]
fn every_statement_is_prepared_and_none_reads_a_whole_table_for_one_row() {
    let folder = folder();
    let path = folder.path().join("books.db");
    let mut seen = BTreeSet::new();
    // Twice, so that there is something to catch up with.
    for _ in 0..2 {
        let spy = Spy::on(Box::new(Sqlite::open_writer(&path).unwrap()));
        let mut books = Books::sized(Box::new(spy.clone()), Sizes { lag: 20, kept: 2 });
        write_everything(&mut books);
        seen.extend(spy.seen().into_keys());
    }
    let written = seen.len();
    let spy = Spy::on(Box::new(Sqlite::open_reader(&path).unwrap()));
    let mut reader = Reader::over(Box::new(spy.clone()));
    read_everything(&mut reader);
    seen.extend(spy.seen().into_keys());
    assert!(
        written >= 65 && seen.len() >= written + 60,
        "{written} and {} statements",
        seen.len()
    );
    // An audit reads everything; what matters is that its statements are prepared.
    assert_eq!(audit::run(&mut reader).unwrap().differences, vec![]);
    assert_eq!(
        audit::chain(&mut reader, &[]).unwrap().broken,
        Vec::<String>::new()
    );

    are_neutral(&seen, &[]);
    are_prepared_by_postgresql(&seen);
    let file = rusqlite::Connection::open(&path).unwrap();
    let asks = |sql: &&String| sql.starts_with("SELECT") || sql.starts_with("WITH");
    for sql in seen.iter().filter(asks) {
        let mut steps = plan(&file, sql);
        if sql.starts_with("WITH RECURSIVE chain") {
            // What a walk along a chain has found so far is read and sorted as a whole: it has an end.
            let own = ["SCAN c", "TEMP B-TREE FOR ORDER BY"];
            steps.retain(|step| !own.iter().any(|own| step.ends_with(own)));
        }
        let has = |what: &str| steps.iter().any(|step| step.contains(what));
        // There are few migrations, and few runs of keys.
        let is_small = sql.contains("FROM migration") || sql.contains("FROM key_run");
        let reads_all = is_small || sql.contains("count(") || sql.contains("sum(");
        if sql.contains("LIMIT") {
            // Lists stop at their limit, because they are read in the order of a key. A subject has a handful of limits.
            let is_small = sql.contains("FROM spending_limit WHERE subject_kind");
            assert!(is_small || !has("TEMP B-TREE"), "{sql}: {steps:?}");
        } else {
            assert!(reads_all || !has("SCAN"), "{sql}: {steps:?}");
        }
    }
}

/// The same for what the driver makes of them, as the server hears it: statements over many rows at once, and rows that are locked.
#[test]
fn what_a_server_hears_keeps_to_the_same_words() {
    let server = server::Server::start(&format!("{} -c log_statement=all", server::SETTINGS));
    let address = server.fresh();
    let mut books = Books::over(Box::new(Postgres::open_writer(address.clone()).unwrap()));
    write_everything(&mut books);
    read_everything(&mut Reader::over(Box::new(
        Postgres::open(address).unwrap(),
    )));
    let heard = heard(&server.log("server.log"));
    for words in ["FOR UPDATE", "unnest(", "WITH ORDINALITY"] {
        assert!(heard.iter().any(|sql| sql.contains(words)), "{words}");
    }
    assert!(heard.len() > 120, "{} statements", heard.len());
    // What arrays are of has to be said, and they are a table by the name of `v`.
    let arrays = ["::bigint[]", "::text[]", "::bytea[]"];
    let plain = |sql: &String| {
        arrays
            .iter()
            .fold(sql.clone(), |sql, of| sql.replace(of, ""))
    };
    are_neutral(
        &heard.iter().map(plain).collect(),
        &["unnest", "v", "lateral"],
    );
}

/// The statements in a server's log.
fn heard(log: &str) -> BTreeSet<String> {
    let lines = log.replace("\n\t", " ");
    let said = lines.lines().filter_map(|line| line.split_once("LOG:  "));
    let statements = said.filter_map(|(_, text)| {
        let named = text.strip_prefix("execute ")?.split_once(": ");
        named.map(|(_, sql)| sql.to_owned())
    });
    statements.collect()
}

/// Words that begin and end transactions are the drivers' own, and so is SQLite's care for its file.
fn of_the_store(seen: &BTreeSet<String>) -> impl Iterator<Item = &String> {
    let own = ["PRAGMA", "BEGIN", "COMMIT", "ROLLBACK"];
    seen.iter()
        .filter(move |sql| !own.iter().any(|word| sql.starts_with(word)))
}

fn are_prepared_by_postgresql(seen: &BTreeSet<String>) {
    let address = server::server().fresh();
    drop(Store::open(Box::new(Postgres::open(address.clone()).unwrap())).unwrap());
    let mut postgres = Postgres::open(address).unwrap();
    for sql in of_the_store(seen) {
        let prepared = postgres.run_script(&format!("PREPARE it AS {sql}; DEALLOCATE it"));
        prepared.unwrap_or_else(|error| panic!("{sql}: {error}"));
    }
}

/// No statement leaves what SQLite, PostgreSQL and the engines that speak like PostgreSQL all take: no locks by number, no
/// sequences, no listening, no clock of the server's, no patterns, no reading inside JSON, no types written in one dialect.
fn are_neutral(seen: &BTreeSet<String>, more: &[&str]) {
    const FUNCTIONS: [&str; 6] = ["count", "sum", "max", "min", "coalesce", "cast"];
    const WORDS: [&str; 16] = [
        "in", "exists", "values", "and", "or", "not", "on", "from", "select", "where", "set", "as",
        "distinct", "else", "then", "conflict",
    ];
    const FORBIDDEN: [&str; 14] = [
        "::",
        "->",
        "pg_",
        " like ",
        " ilike ",
        "returning",
        "skip locked",
        "listen",
        "notify",
        "advisory",
        "nextval",
        "now(",
        "truncate",
        "lock table",
    ];
    for sql in of_the_store(seen) {
        let low = sql.to_lowercase();
        for word in FORBIDDEN {
            assert!(!low.contains(word), "{word}: {sql}");
        }
        for (place, _) in low.match_indices('(') {
            let before = low[..place].trim_end();
            let word = before
                .rsplit(|letter: char| !letter.is_alphanumeric() && letter != '_')
                .next();
            let word = word.unwrap_or_default();
            let is_table = ["insert into ", "references ", "create table if not exists "]
                .iter()
                .any(|lead| before.ends_with(&format!("{lead}{word}")));
            assert!(
                word.is_empty()
                    || is_table
                    || FUNCTIONS.contains(&word)
                    || WORDS.contains(&word)
                    || more.contains(&word),
                "{word}(: {sql}"
            );
        }
    }
}

/// How the database goes about a query, one step a line.
fn plan(file: &rusqlite::Connection, sql: &str) -> Vec<String> {
    let mut explained = file
        .prepare(&format!("EXPLAIN QUERY PLAN {}", sql.replace('$', "?")))
        .unwrap();
    let mut rows = explained.raw_query();
    let mut steps = Vec::new();
    while let Some(row) = rows.next().unwrap() {
        steps.push(row.get(3).unwrap());
    }
    steps
}

fn write_everything(books: &mut Books) {
    let mut roll = Roll::new(1, 5);
    roll.fill(books, 200);
    books.adjust("anna", 100);
    books.adjust("anna", -30);
    let paid = books.checkout("anna", 500);
    let notice = Notice::Session {
        hint: Some(paid.clone()),
        fact: fact(&paid, 500, Standing::Paid),
        read: true,
    };
    let number = books.receive("evt_1", &format!("cs_{paid}"));
    books
        .ask(Command::ApplyEvents(vec![ApplyEvent { number, notice }]))
        .unwrap();
    let notice = Notice::Intent {
        hint: None,
        fact: IntentFact {
            intent: format!("pi_{paid}"),
            amount: None,
            received: None,
            currency: None,
            livemode: None,
            standing: None,
            failure: None,
        },
    };
    let number = books.receive("evt_2", "pi_x");
    books
        .ask(Command::ApplyEvents(vec![ApplyEvent { number, notice }]))
        .unwrap();
    let key = IssueKey {
        role: Role::Admin,
        hash: "h".to_owned(),
        hint: String::new(),
        label: String::new(),
    };
    let answer = AnswerKey {
        principal: "admin".to_owned(),
        route: "keys".to_owned(),
        key: "K-1".to_owned(),
    };
    let request = Request {
        command: Command::IssueKey(key),
        idempotency: Some((answer, RequestHash([7; 16]))),
    };
    let Ok(Reply::ApiKey(key)) = books.request(&request) else {
        panic!("no key");
    };
    books.ask(Command::RevokeKey(key.id)).unwrap();
    let expired = books.checkout("bob", 500);
    books.settle(&expired, 500, Standing::Expired);
}

fn read_everything(reader: &mut Reader) {
    let page = PageRequest {
        limit: 5,
        cursor: Some("1000".to_owned()),
    };
    for page in [&all(), &page] {
        for status in [None, Some(EventStatus::Pending)] {
            let filter = EventFilter {
                status,
                kind: status.map(|_| "x".to_owned()),
                id: status.map(|_| "evt_1".to_owned()),
                payment: None,
            };
            reader.events(&filter, page).unwrap();
        }
        for reason in [None, Some(Reason::Add)] {
            let filter = EntryFilter {
                chain: None,
                reason,
            };
            reader.entries(&filter, page).unwrap();
        }
        reader.wallets(page).unwrap();
        read_lists_of_wallets(reader, page);
    }
    for (who, status) in [(None, None), (Some(user("anna")), Some(TopupStatus::Paid))] {
        let filter = TopupFilter { user: who, status };
        let topups = reader.topups(&filter, &all()).unwrap().items;
        reader.topup(&topups[0].id).unwrap().unwrap();
        let cursor = Some(topups[0].id.to_string());
        reader
            .topups(&filter, &PageRequest { limit: 1, cursor })
            .unwrap();
    }
    for (who, status) in [
        (None, None),
        (Some(user("anna")), Some(PaymentStatus::Paid)),
    ] {
        let filter = PaymentFilter {
            user: who,
            status,
            topup: None,
        };
        let payments = reader.payments(&filter, &all()).unwrap().items;
        let payment = payments.into_iter().next().unwrap();
        reader.payment(&payment.id).unwrap().unwrap();
        reader
            .payment_of_session(payment.session.as_ref().unwrap())
            .unwrap()
            .unwrap();
        let filter = PaymentFilter {
            topup: Some(payment.topup),
            ..filter
        };
        let cursor = Some(payment.id.to_string());
        reader
            .payments(&filter, &PageRequest { limit: 1, cursor })
            .unwrap();
        let filter = EventFilter {
            payment: Some(payment.id),
            ..EventFilter::default()
        };
        reader.events(&filter, &all()).unwrap();
    }
    reader.pending_events(10, None).unwrap();
    let share = Share {
        slot: 0,
        others_at: Some(Time(0)),
    };
    reader.pending_events(10, Some(share)).unwrap();
    reader.event_count(None).unwrap();
    reader.event_count(Some(EventStatus::Pending)).unwrap();
    reader.due_jobs(Time(0), 10).unwrap();
    reader.api_key_by_hash("h").unwrap().unwrap();
    let keys = reader.api_keys(&all()).unwrap().items;
    let cursor = Some(keys[0].id.to_string());
    reader.api_keys(&PageRequest { limit: 1, cursor }).unwrap();
}

fn read_lists_of_wallets(reader: &mut Reader, page: &PageRequest) {
    let who = user("user-1");
    for user in [None, Some(who.clone())] {
        for live in [None, Some(true), Some(false)] {
            let user = user.clone();
            reader.grants(&GrantFilter { user, live }, page).unwrap();
        }
        for status in [None, Some(HoldStatus::Open)] {
            let user = user.clone();
            reader.holds(&HoldFilter { user, status }, page).unwrap();
        }
        let filter = UsageFilter {
            service: user.as_ref().map(|_| "pictures".to_owned()),
            from: user.as_ref().map(|_| Time(0)),
            to: user.as_ref().map(|_| Time(i64::MAX)),
            user,
        };
        reader.usage(&filter, page).unwrap();
        reader.usage_summary(&filter).unwrap();
    }
    let subject = Subject {
        kind: SubjectKind::User,
        name: "user-1".to_owned(),
    };
    for subject in [None, Some(&subject)] {
        reader.limits(subject, page).unwrap();
    }
    reader.announcements(0, 10).unwrap();
    reader.due(Time(i64::MAX), Time(i64::MAX), 10).unwrap();
    reader.seal().unwrap();
    reader.hold(HoldId::of(1)).unwrap().unwrap();
    reader.grant(GrantId::of(1)).unwrap().unwrap();
    let wallets = reader.wallets_of(&who).unwrap();
    let account = reader.account(&wallets[0].key).unwrap().unwrap();
    let chain = Chain {
        wallet: account.key,
        account: account.number,
        head: account.head,
    };
    reader.balance_at(&chain, Time(0)).unwrap();
    explain(reader, &chain);
    let filter = EntryFilter {
        chain: Some(chain),
        reason: None,
    };
    reader.entries(&filter, &all()).unwrap();
}

fn explain(reader: &mut Reader, chain: &Chain) {
    reader.sums(chain).unwrap();
    reader.transaction(TransactionId::of(1)).unwrap().unwrap();
    let grants = GrantFilter {
        user: Some(user("user-1")),
        live: None,
    };
    let grants = reader.grants(&grants, &all()).unwrap().items;
    for grant in grants.iter().filter(|it| it.wallet == chain.wallet) {
        reader.giving(chain, grant).unwrap();
    }
    let key = AnswerKey {
        principal: "admin".to_owned(),
        route: "keys".to_owned(),
        key: "K-1".to_owned(),
    };
    reader.answer(&key).unwrap().unwrap();
    reader.journal(&mut Progress::default()).unwrap();
    reader.account_names(0).unwrap();
}

fn all() -> PageRequest {
    PageRequest {
        limit: 1_000,
        cursor: None,
    }
}
