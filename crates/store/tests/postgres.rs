//! PostgreSQL as a driver: the same values, the same errors, the same schema, and statements that other engines take as well.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a helper of a test fails the test"
)]

mod server;

use bursar_store::connection::{Connection, Parameters, Row, Value};
use bursar_store::postgres::{Address, Postgres};
use bursar_store::sqlite::Sqlite;
use bursar_store::{Store, StoreError};
use server::server;
use socket2::{Domain, SockAddr, Socket, Type};

fn open() -> Postgres {
    Postgres::open(server().fresh()).unwrap()
}

#[test]
fn values_come_back_as_they_went() {
    let mut postgres = open();
    postgres
        .run_script("CREATE TABLE t (n BIGINT PRIMARY KEY, x TEXT COLLATE \"C\", b BYTEA)")
        .unwrap();
    let row = |n: i64, x: Option<&str>, b: Value| -> Parameters { vec![n.into(), x.into(), b] };
    let bytes = Value::Bytes(vec![0, 1, 255].into());
    let rows = [
        row(i64::MIN, Some("a'b\u{1f600}"), bytes.clone()),
        row(2, None, Value::Null),
        row(i64::MAX, Some(""), bytes),
    ];
    let insert = "INSERT INTO t (n, x, b) VALUES ($1, $2, $3)";
    assert_eq!(postgres.execute(insert, &rows[..1]).unwrap(), 1);
    assert_eq!(postgres.execute(insert, &rows[1..]).unwrap(), 2);
    let keys: Vec<Parameters> = [2, 7, i64::MAX, i64::MIN].map(|n| vec![n.into()]).to_vec();
    let found = postgres
        .query("SELECT n, x, b FROM t WHERE n = $1", &keys)
        .unwrap();
    let found: Vec<Vec<Parameters>> = found
        .into_iter()
        .map(|rows| rows.into_iter().map(|row| row.0).collect())
        .collect();
    let [a, b, c] = rows;
    assert_eq!(found, [vec![b], vec![], vec![c], vec![a]]);
}

#[test]
fn what_is_written_together_arrives_together_or_not_at_all() {
    let (mut postgres, address) = (open(), server().fresh());
    let mut other = Postgres::open(address.clone()).unwrap();
    drop(std::mem::replace(
        &mut postgres,
        Postgres::open(address).unwrap(),
    ));
    postgres
        .run_script("CREATE TABLE t (n BIGINT PRIMARY KEY, x BIGINT NOT NULL CHECK (x >= 0))")
        .unwrap();
    let insert = "INSERT INTO t (n, x) VALUES ($1, $2)";
    let rows: Vec<Parameters> = (0..10_000).map(|n| vec![n.into(), 1.into()]).collect();
    let count = |connection: &mut Postgres| {
        let rows = connection.rows("SELECT count(*) FROM t", vec![]).unwrap();
        rows[0].integer(0).unwrap()
    };
    postgres.begin().unwrap();
    postgres.write(insert, &rows).unwrap();
    assert_eq!(count(&mut other), 0);
    postgres.commit().unwrap();
    assert_eq!(count(&mut other), 10_000);
    // A refusal is told at the commit, and nothing of the batch is there.
    postgres.begin().unwrap();
    postgres
        .write(insert, &[vec![20_000.into(), 1.into()]])
        .unwrap();
    postgres
        .write(insert, &[vec![20_001.into(), (-1).into()]])
        .unwrap();
    let refused = postgres.commit().unwrap_err();
    assert!(matches!(refused, StoreError::Refused(_)), "{refused:?}");
    assert_eq!(count(&mut other), 10_000);
    // A key that is used already is somebody else's doing.
    postgres.begin().unwrap();
    let twice = postgres
        .execute(insert, &[vec![5.into(), 1.into()]])
        .unwrap_err();
    assert!(matches!(twice, StoreError::Conflict(_)), "{twice:?}");
    postgres.rollback().unwrap();
    // And the connection goes on.
    postgres.begin().unwrap();
    postgres
        .write(
            "UPDATE t SET x = $2 WHERE n = $1",
            &[vec![1.into(), 7.into()], vec![2.into(), 8.into()]],
        )
        .unwrap();
    postgres
        .write(
            "DELETE FROM t WHERE n = $1",
            &[vec![3.into()], vec![4.into()]],
        )
        .unwrap();
    postgres.commit().unwrap();
    assert_eq!(count(&mut other), 9_998);
    let rows = other
        .rows("SELECT x FROM t WHERE n < 6 ORDER BY n", vec![])
        .unwrap();
    let rows: Vec<i64> = rows.iter().map(|row| row.integer(0).unwrap()).collect();
    assert_eq!(rows, [1, 7, 8, 1]);
}

#[test]
fn a_session_that_ended_while_nobody_used_it_is_no_trouble() {
    server::is_opened_again(&mut open(), &mut open());
}

#[test]
fn a_lost_connection_is_opened_again_and_costs_the_transaction() {
    let mut postgres = open();
    let mut other = open();
    postgres
        .run_script("CREATE TABLE t (n BIGINT PRIMARY KEY)")
        .unwrap();
    let first = server::pid(&mut postgres);
    postgres.begin().unwrap();
    postgres
        .execute("INSERT INTO t (n) VALUES ($1)", &[vec![1.into()]])
        .unwrap();
    server::kill(&mut other, first);
    // Nobody can say whether the word arrived: it did not, but the driver cannot know.
    let lost = postgres.commit().unwrap_err();
    assert!(matches!(lost, StoreError::Unknown(_)), "{lost:?}");
    postgres.rollback().unwrap();
    let second = server::pid(&mut postgres);
    assert_ne!(first, second);
    postgres.begin().unwrap();
    postgres
        .execute("INSERT INTO t (n) VALUES ($1)", &[vec![1.into()]])
        .unwrap();
    server::kill(&mut other, second);
    let lost = postgres.rows("SELECT n FROM t", vec![]).unwrap_err();
    assert!(matches!(lost, StoreError::Unavailable(_)), "{lost:?}");
    let still = postgres.rows("SELECT n FROM t", vec![]).unwrap_err();
    assert!(still.to_string().contains("in the middle"), "{still}");
    postgres.rollback().unwrap();
    assert_eq!(postgres.rows("SELECT n FROM t", vec![]).unwrap(), []);
}

/// Behind a pooler that gives sessions out for a transaction or a statement, prepared statements are those of others.
#[test]
fn a_pooler_that_mixes_sessions_up_is_named() {
    let mut postgres = open();
    postgres.run_script("PREPARE s0 AS SELECT 1").unwrap();
    let refused = postgres.rows("SELECT 1", vec![]).unwrap_err().to_string();
    assert!(refused.contains("session mode"), "{refused}");
}

#[test]
fn a_writer_waits_for_less() {
    let mut postgres = Postgres::open_writer(server().fresh()).unwrap();
    for (name, value) in [
        ("statement_timeout", "10s"),
        ("lock_timeout", "5s"),
        ("idle_in_transaction_session_timeout", "10s"),
        ("synchronous_commit", "on"),
    ] {
        let rows = postgres.rows("SELECT current_setting($1)", vec![name.into()]);
        assert_eq!(rows.unwrap()[0].text(0).unwrap(), value, "{name}");
    }
}

#[test]
fn much_is_sent_and_answered_at_the_same_time() {
    let mut postgres = open();
    server::is_answered_while_sending(&mut postgres);
}

#[test]
fn nothing_is_waited_for_without_end() {
    let mut postgres = open();
    for (name, value) in [
        ("statement_timeout", "30s"),
        ("lock_timeout", "10s"),
        ("idle_in_transaction_session_timeout", "30s"),
        ("default_transaction_isolation", "read committed"),
        ("synchronous_commit", "on"),
    ] {
        let rows = postgres.rows("SELECT current_setting($1)", vec![name.into()]);
        assert_eq!(rows.unwrap()[0].text(0).unwrap(), value, "{name}");
    }
    postgres.begin_reading().unwrap();
    for name in ["idle_in_transaction_session_timeout", "statement_timeout"] {
        let rows = postgres.rows("SELECT current_setting($1)", vec![name.into()]);
        assert_eq!(rows.unwrap()[0].text(0).unwrap(), "10min", "{name}");
    }
    postgres.rollback().unwrap();
    let unavailable = |outcome: Result<Vec<Row>, StoreError>, why: &str| {
        let error = outcome.unwrap_err();
        assert!(matches!(error, StoreError::Unavailable(_)), "{error:?}");
        assert!(error.to_string().contains(why), "{error}");
    };
    // The same limits, made shorter.
    postgres.run_script("SET statement_timeout = '1s'").unwrap();
    let sleep = "SELECT CAST(pg_sleep(20) AS TEXT)";
    unavailable(postgres.rows(sleep, vec![]), "statement timeout");
    postgres
        .run_script("SET lock_timeout = '50ms'; SET statement_timeout = '30s'; CREATE TABLE t (n BIGINT PRIMARY KEY); INSERT INTO t VALUES (1)")
        .unwrap();
    let schema = postgres.rows("SELECT current_schema()", vec![]).unwrap();
    let table = format!("{}.t", schema[0].text(0).unwrap());
    let lock = format!("SELECT n FROM {table} WHERE n = $1 FOR UPDATE");
    let mut other = open();
    other.begin().unwrap();
    other.rows(&lock, vec![1.into()]).unwrap();
    unavailable(postgres.rows(&lock, vec![1.into()]), "lock timeout");
    // Whoever stands still in the middle of a transaction loses its locks, and goes on when it wakes up.
    other
        .run_script("SET idle_in_transaction_session_timeout = '50ms'")
        .unwrap();
    let begun = std::time::Instant::now();
    while postgres.rows(&lock, vec![1.into()]).is_err() {
        assert!(begun.elapsed() < std::time::Duration::from_mins(1));
    }
    unavailable(
        other.rows(&lock, vec![1.into()]),
        "idle-in-transaction timeout",
    );
    other.rollback().unwrap();
    assert_eq!(other.rows(&lock, vec![1.into()]).unwrap().len(), 1);
}

#[test]
fn a_socket_whose_queue_is_full_is_not_waited_for_without_end() {
    let folder = tempfile::tempdir().unwrap();
    let path = SockAddr::unix(folder.path().join(".s.PGSQL.5432")).unwrap();
    let socket = || Socket::new(Domain::UNIX, Type::STREAM, None).unwrap();
    let frozen = socket();
    frozen.bind(&path).unwrap();
    frozen.listen(1).unwrap();
    let mut queue = Vec::new();
    loop {
        let one = socket();
        one.set_nonblocking(true).unwrap();
        if one.connect(&path).is_err() {
            break;
        }
        queue.push(one);
    }
    let url = format!(
        "postgres://nobody@/postgres?host={}",
        folder.path().display()
    );
    let opened = Postgres::open(Address::parse(&url).unwrap());
    assert!(
        matches!(opened, Err(StoreError::Unavailable(_))),
        "{opened:?}"
    );
}

/// What a catalogue says of columns: table, column, type, whether it may be null.
fn columns(connection: &mut dyn Connection) -> Vec<String> {
    let (sql, types) = if connection.dialect() == bursar_store::connection::Dialect::Sqlite {
        (
            "SELECT m.name, c.name, lower(c.type), CASE WHEN c.\"notnull\" = 1 OR c.pk > 0 THEN 'NO' ELSE 'YES' END \
             FROM sqlite_master m JOIN pragma_table_info(m.name) c WHERE m.type = 'table' AND m.name NOT LIKE 'sqlite%'",
            [("integer", "bigint"), ("blob", "bytea"), ("text", "text")],
        )
    } else {
        (
            "SELECT table_name, column_name, data_type, is_nullable FROM information_schema.columns \
             WHERE table_schema = current_schema()",
            [("bigint", "bigint"), ("bytea", "bytea"), ("text", "text")],
        )
    };
    let rows = connection.rows(sql, vec![]).unwrap();
    let mut columns: Vec<String> = rows
        .iter()
        .map(|row| {
            let kind = row.text(2).unwrap();
            let kind = types.iter().find(|(from, _)| *from == kind).unwrap().1;
            let text = |column| row.text(column).unwrap();
            format!("{}.{} {kind} {}", text(0), text(1), text(3))
        })
        .collect();
    columns.sort();
    columns
}

/// Indexes, without their names' endings and the words in which each engine writes them.
fn indexes(connection: &mut dyn Connection, sql: &str) -> Vec<String> {
    let rows = connection.rows(sql, vec![]).unwrap();
    let mut indexes: Vec<String> = rows
        .iter()
        .map(|row| {
            let text = row.text(0).unwrap();
            let mut text = text.replace(" USING btree", "");
            for (from, to) in [
                ("::text", ""),
                ("(", " "),
                (")", " "),
                ("COLLATE \"C\"", ""),
            ] {
                text = text.replace(from, to);
            }
            text.split_whitespace().collect::<Vec<_>>().join(" ")
        })
        .map(|text| match text.split_once(" ON ") {
            Some((head, rest)) => {
                let rest = rest.rsplit_once('.').map_or(rest, |(_, rest)| rest);
                format!("{head} ON {rest}")
            }
            None => text,
        })
        .collect();
    indexes.sort();
    indexes
}

#[test]
fn both_databases_have_the_same_tables_indexes_and_checks() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("books.db");
    drop(Store::open(Box::new(Sqlite::open_writer(&path).unwrap())).unwrap());
    let mut sqlite = Sqlite::open_reader(&path).unwrap();
    let address = server().fresh();
    let store = Store::open(Box::new(Postgres::open(address.clone()).unwrap()));
    drop(store.unwrap());
    let mut postgres = Postgres::open(address).unwrap();
    assert_eq!(columns(&mut sqlite), columns(&mut postgres));
    let of_sqlite = indexes(
        &mut sqlite,
        "SELECT sql FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL",
    );
    let of_postgres = indexes(
        &mut postgres,
        "SELECT indexdef FROM pg_indexes WHERE schemaname = current_schema() AND indexname NOT LIKE '%_pkey'",
    );
    let only_postgres: Vec<&String> = of_postgres
        .iter()
        .filter(|index| !of_sqlite.contains(index))
        .collect();
    let only_sqlite: Vec<&String> = of_sqlite
        .iter()
        .filter(|index| !of_postgres.contains(index))
        .collect();
    let own = "CREATE UNIQUE INDEX answer_fingerprint ON answer fingerprint".to_owned();
    assert_eq!((only_sqlite, only_postgres), (vec![], vec![&own]));
    let checks = |connection: &mut dyn Connection, sql: &str| {
        let rows = connection.rows(sql, vec![]).unwrap();
        let counted: Vec<(String, i64)> = rows
            .iter()
            .map(|row| (row.text(0).unwrap().to_owned(), row.integer(1).unwrap()))
            .collect();
        counted
    };
    let of_sqlite = checks(
        &mut sqlite,
        "SELECT name, (length(sql) - length(replace(sql, 'CHECK (', ''))) / 7 FROM sqlite_master \
         WHERE type = 'table' AND sql LIKE '%CHECK (%' ORDER BY name",
    );
    let of_postgres = checks(
        &mut postgres,
        "SELECT CAST(t.relname AS TEXT), count(*) FROM pg_constraint c JOIN pg_class t ON t.oid = c.conrelid \
         JOIN pg_namespace n ON n.oid = t.relnamespace \
         WHERE c.contype = 'c' AND n.nspname = current_schema() GROUP BY t.relname ORDER BY 1",
    );
    assert_eq!(of_sqlite, of_postgres);
    let keys = checks(
        &mut postgres,
        "SELECT CAST(t.relname AS TEXT), CAST(array_length(c.conkey, 1) AS BIGINT) FROM pg_constraint c \
         JOIN pg_class t ON t.oid = c.conrelid JOIN pg_namespace n ON n.oid = t.relnamespace \
         WHERE c.contype = 'p' AND n.nspname = current_schema() ORDER BY 1",
    );
    let of_sqlite = checks(
        &mut sqlite,
        "SELECT m.name, sum(c.pk > 0) FROM sqlite_master m JOIN pragma_table_info(m.name) c \
         WHERE m.type = 'table' AND m.name NOT LIKE 'sqlite%' GROUP BY m.name ORDER BY m.name",
    );
    assert_eq!(of_sqlite, keys);
}
