//! The chain of seals over the journal: verified, published, and what it says about a row that somebody has changed.

use super::words::Words;
use super::world::{Said, World};

impl World {
    /// Keeps the newest seal elsewhere, where nobody who can write into the file can reach it.
    pub(super) fn publish(&mut self) -> Vec<String> {
        let seal = self.desk.reader.seal().unwrap();
        self.published.push((seal.number, seal.written()));
        vec![format!("seal {}", seal.number)]
    }

    /// Recomputes every seal, and compares with those that were published.
    pub(super) fn seals(&mut self) -> Vec<String> {
        let reader = &mut self.desk.reader;
        let report = bursar_store::audit::chain(reader, &self.published).unwrap();
        if !report.broken.is_empty() {
            return report.broken;
        }
        vec![format!("whole, {} seals", report.seals)]
    }

    /// Changes a row behind the program's back: `tamper posting 3 amount 70`.
    pub(super) fn tamper(&mut self, words: &mut Words) -> Said {
        let (table, number) = (words.next("a table")?, words.number("a number")?);
        let (column, value) = (words.next("a column")?, words.next("a value")?);
        let mut file = self.desk.place.back_door();
        let sql = format!("UPDATE {table} SET {column} = $2 WHERE number = $1");
        let value = match value.parse::<i64>() {
            Ok(number) => number.into(),
            Err(_) => value.into(),
        };
        let touched = file.execute(&sql, &[vec![number.into(), value]]);
        match touched {
            Ok(1) => Ok(vec![]),
            other => Err(format!("the row could not be changed: {other:?}")),
        }
    }
}
