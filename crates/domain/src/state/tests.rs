use super::{Change, Needs, State, Table, Wanted};
use crate::journal::Cause;

fn table(rows: &[(&'static str, Option<i64>)]) -> Table<&'static str, i64> {
    let mut table = Table::default();
    for (key, value) in rows {
        table.load(*key, *value);
    }
    table
}

fn changes(table: &Table<&'static str, i64>) -> Vec<(&'static str, Change, Option<i64>)> {
    table
        .changes()
        .map(|(key, change, value)| (*key, change, value.copied()))
        .collect()
}

#[test]
fn what_was_only_read_is_not_written() {
    let table = table(&[("a", Some(1)), ("b", None)]);
    assert_eq!((table.get(&"a"), table.get(&"b")), (Some(&1), None));
    assert!(table.is_loaded(&"b") && !table.is_loaded(&"c"));
    assert_eq!(changes(&table), []);
}

#[test]
fn loading_again_keeps_what_was_changed() {
    let mut table = table(&[("a", Some(1))]);
    table.change(&"a", |value| *value = 2);
    table.load("a", Some(1));
    assert_eq!(changes(&table), [("a", Change::Update, Some(2))]);
}

#[test]
fn changes_know_what_the_database_had() {
    let mut table = table(&[
        ("changed", Some(1)),
        ("gone", Some(1)),
        ("new", None),
        ("never", None),
        ("back", Some(1)),
    ]);
    assert_eq!(
        table.change(&"changed", |value| std::mem::replace(value, 2)),
        1
    );
    table.remove(&"gone");
    table.insert("new", 5);
    table.change(&"new", |value| *value += 1);
    table.insert("never", 1);
    table.remove(&"never");
    table.remove(&"back");
    table.insert("back", 9);
    assert_eq!(
        changes(&table),
        [
            // Was there, is there: an update, not a second row.
            ("back", Change::Update, Some(9)),
            ("changed", Change::Update, Some(2)),
            ("gone", Change::Delete, None),
            ("new", Change::Insert, Some(6)),
        ]
    );
    // Taken away, put back and taken away again: the row of the database has to go.
    table.remove(&"back");
    assert_eq!(changes(&table)[0], ("back", Change::Delete, None));
    table.remove(&"new");
    assert!(changes(&table).iter().all(|(key, _, _)| *key != "new"));
}

#[test]
fn removing_what_is_not_there_does_nothing() {
    let mut table = table(&[("a", None)]);
    table.remove(&"a");
    table.remove(&"unknown");
    assert_eq!(changes(&table), []);
}

#[test]
fn an_index_is_set_and_never_written() {
    let mut table = table(&[("a", None)]);
    table.set("a", 1);
    table.set("a", 2);
    assert_eq!((table.get(&"a"), changes(&table)), (Some(&2), vec![]));
}

#[test]
fn looking_at_what_was_not_loaded_is_noticed() {
    let mut state = State::default();
    let (known, unknown) = (Cause::new("test", "known"), Cause::new("test", "unknown"));
    state.causes.load(known.clone(), None);
    assert_eq!((state.causes.get(&known), state.missed()), (None, None));
    assert_eq!(state.causes.get(&unknown), None);
    assert!(state.missed().is_some_and(|key| key.contains("unknown")));
}

#[test]
#[should_panic(expected = "a changed row is there")]
fn changing_what_is_not_there_is_a_mistake() {
    table(&[("a", None)]).change(&"a", |value| *value = 1);
}

#[test]
fn only_what_is_not_loaded_is_needed() {
    let (mut state, mut needs) = (State::default(), Needs::default());
    let (known, unknown) = (Cause::new("test", "1"), Cause::new("test", "2"));
    state.causes.load(known.clone(), None);
    let mut wanted = Wanted::new(&state, &mut needs);
    wanted.cause(&known);
    wanted.cause(&unknown);
    wanted.cause(&unknown);
    assert_eq!(needs.causes.into_iter().collect::<Vec<_>>(), [unknown]);
}
