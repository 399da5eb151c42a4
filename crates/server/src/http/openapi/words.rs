//! What the documents for people say, where the document for programs says the same.

/// The list of errors.
pub(super) const ERRORS: &str = include_str!("../../../../../docs/errors.md");

/// The tables of routes.
const ROUTES: [&str; 2] = [
    include_str!("../../../../../docs/api.md"),
    include_str!("../../../../../docs/facades.md"),
];

/// The cells of each row of each table.
pub(super) fn table(text: &str) -> impl Iterator<Item = Vec<&str>> {
    text.lines().filter_map(|line| {
        let row = line.strip_prefix("| ")?.strip_suffix('|')?;
        Some(row.trim_end().split(" | ").map(str::trim).collect())
    })
}

/// Who may ask for something, and what it is, in the words of the table of routes: `GET /livez`.
pub(super) fn about(route: &str) -> Option<(&'static str, &'static str)> {
    let mut rows = ROUTES.iter().flat_map(|text| table(text));
    rows.find_map(|row| match row[..] {
        [first, role, about] if first.trim_matches('`') == route => Some((role, about)),
        _ => None,
    })
}
