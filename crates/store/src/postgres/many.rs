//! One statement for many rows: what is written for one row of parameters is turned into a statement over arrays.
//!
//! The store has one text for each statement. Run once for each row it costs the server a full round of work each time; over
//! arrays a hundred rows cost little more than three. So `VALUES ($1, $2)` becomes a selection from arrays, and `$1` elsewhere a
//! column of these. What a parameter's type is, the server has said when it prepared the text.

use std::fmt::Write as _;

use super::value::type_name;
use crate::connection::StoreError;

/// The same statement for arrays of parameters, with the place of the row in front of what a query gives.
pub(super) fn of(sql: &str, types: &[u32]) -> Result<String, StoreError> {
    let rows = Rows { types };
    if let Some(rest) = sql.strip_prefix("INSERT INTO ") {
        let (head, values) = split(rest, " VALUES (", sql)?;
        let end = closing(values).ok_or_else(|| unknown(sql))?;
        let (values, tail) = (&values[..end], &values[end + 1..]);
        let values = numbered(values);
        return Ok(format!(
            "INSERT INTO {head} SELECT {values} FROM {}{tail}",
            rows.written("")
        ));
    }
    if let Some(rest) = sql.strip_prefix("UPDATE ") {
        let (sets, condition) = split(rest, " WHERE ", sql)?;
        return Ok(format!(
            "UPDATE {} FROM {} WHERE {}",
            numbered(sets),
            rows.written(""),
            numbered(condition)
        ));
    }
    if let Some(rest) = sql.strip_prefix("DELETE FROM ") {
        let (table, condition) = split(rest, " WHERE ", sql)?;
        return Ok(format!(
            "DELETE FROM {table} USING {} WHERE {}",
            rows.written(""),
            numbered(condition)
        ));
    }
    if sql.starts_with("SELECT ") {
        return Ok(format!(
            "SELECT v.place, q.* FROM {} CROSS JOIN LATERAL ({}) AS q",
            rows.written("place"),
            numbered(sql)
        ));
    }
    Err(unknown(sql))
}

fn unknown(sql: &str) -> StoreError {
    StoreError::Unusable(format!("a statement that is not made for many rows: {sql}"))
}

fn split<'a>(text: &'a str, mark: &str, sql: &str) -> Result<(&'a str, &'a str), StoreError> {
    text.split_once(mark).ok_or_else(|| unknown(sql))
}

/// Where the bracket closes that was open before `text`.
fn closing(text: &str) -> Option<usize> {
    let mut depth = 1;
    text.char_indices().find_map(|(place, letter)| {
        match letter {
            '(' => depth += 1,
            ')' => depth -= 1,
            _ => {}
        }
        (depth == 0).then_some(place)
    })
}

/// With `v.p1` for `$1`.
fn numbered(sql: &str) -> String {
    sql.replace('$', "v.p")
}

struct Rows<'a> {
    types: &'a [u32],
}

impl Rows<'_> {
    /// `unnest($1::bigint[], $2::text[]) AS v (p1, p2)`.
    fn written(&self, place: &str) -> String {
        let (mut arrays, mut names) = (Vec::new(), Vec::new());
        for (position, kind) in self.types.iter().enumerate() {
            let number = position + 1;
            arrays.push(format!("${number}::{}[]", type_name(*kind)));
            names.push(format!("p{number}"));
        }
        let mut text = format!("unnest({})", arrays.join(", "));
        if !place.is_empty() {
            text.push_str(" WITH ORDINALITY");
            names.push(place.to_owned());
        }
        // Writing to a text does not fail.
        let _ = write!(text, " AS v ({})", names.join(", "));
        text
    }
}

#[cfg(test)]
mod tests {
    use super::super::value::{BIGINT, TEXT};
    use super::of;

    #[test]
    fn what_is_written_for_one_row_becomes_a_statement_over_arrays() {
        for (one, many) in [
            (
                "INSERT INTO mark (name, value) VALUES ($1, $2) ON CONFLICT (name) DO UPDATE SET value = excluded.value",
                "INSERT INTO mark (name, value) SELECT v.p1, v.p2 FROM unnest($1::bigint[], $2::text[]) AS v (p1, p2) \
                 ON CONFLICT (name) DO UPDATE SET value = excluded.value",
            ),
            (
                "UPDATE account SET balance = $2 WHERE number = $1",
                "UPDATE account SET balance = v.p2 FROM unnest($1::bigint[], $2::text[]) AS v (p1, p2) WHERE number = v.p1",
            ),
            (
                "DELETE FROM job WHERE kind = $1 AND subject = $2",
                "DELETE FROM job USING unnest($1::bigint[], $2::text[]) AS v (p1, p2) WHERE kind = v.p1 AND subject = v.p2",
            ),
            (
                "SELECT a FROM t WHERE x = $1 AND y = $2 ORDER BY a",
                "SELECT v.place, q.* FROM unnest($1::bigint[], $2::text[]) WITH ORDINALITY AS v (p1, p2, place) \
                 CROSS JOIN LATERAL (SELECT a FROM t WHERE x = v.p1 AND y = v.p2 ORDER BY a) AS q",
            ),
        ] {
            assert_eq!(of(one, &[BIGINT, TEXT]).unwrap(), many);
        }
        assert!(of("VACUUM", &[]).is_err());
    }
}
