use bursar_store::postgres::Address;

/// Below this a text is found by chance.
const PASSWORD_MIN: usize = 8;

/// What every error about a wrong one shows.
const EXAMPLE: &str = "postgres://user:password@host:5432/database?sslmode=verify-full";

/// `DATABASE_URL`. Neither what is said about a wrong one nor what is shown of a right one tells the password.
pub fn database_url(bytes: &[u8]) {
    let Ok(url) = std::str::from_utf8(bytes) else {
        return;
    };
    let said = match Address::parse(url) {
        Ok(address) => format!("{address} {address:?}"),
        Err(error) => error.to_string(),
    };
    // What stands elsewhere, too, may be said.
    let is_once = |text: &str| url.matches(text).count() == 1 && !EXAMPLE.contains(text);
    let is_password = |text: &&str| text.len() >= PASSWORD_MIN && is_once(text);
    if let Some(password) = password(url).filter(is_password) {
        assert!(!said.contains(password), "the password is told");
    }
}

/// What somebody who forgot to escape a character would still call the password.
fn password(url: &str) -> Option<&str> {
    let (_, rest) = url.split_once("://")?;
    let (who, _) = rest.rsplit_once('@')?;
    who.split_once(':').map(|(_, password)| password)
}
