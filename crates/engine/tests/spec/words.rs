//! The words of a line.

use std::collections::BTreeMap;

use bursar_domain::amount::Unit;
use bursar_domain::id::UserId;
use bursar_domain::journal::Remark;
use bursar_domain::limit::Spender;

use super::clock::span;

/// The words of a line, taken away one after the other; a word that nobody takes is a mistake in the specification.
pub(super) struct Words {
    pub(super) plain: std::vec::IntoIter<String>,
    named: BTreeMap<String, String>,
    /// The line without its idempotency key: what is compared when the key comes again.
    pub(super) asked: String,
}

impl Words {
    pub(super) fn of(line: &str) -> Self {
        let (mut plain, mut named, mut asked) = (Vec::new(), BTreeMap::new(), Vec::new());
        let is_name = |name: &str| {
            name.bytes()
                .all(|byte| byte.is_ascii_lowercase() || byte == b'_')
        };
        for word in split(line) {
            match word.split_once('=') {
                Some(("key", key)) => drop(named.insert("key".to_owned(), key.to_owned())),
                Some((name, value)) if is_name(name) => {
                    named.insert(name.to_owned(), value.to_owned());
                    asked.push(word);
                }
                _ => {
                    plain.push(word.clone());
                    asked.push(word);
                }
            }
        }
        Self {
            plain: plain.into_iter(),
            named,
            asked: asked.join(" "),
        }
    }

    pub(super) fn next(&mut self, what: &str) -> Result<String, String> {
        self.plain
            .next()
            .ok_or_else(|| format!("{what} is missing"))
    }

    pub(super) fn number(&mut self, what: &str) -> Result<i64, String> {
        let word = self.next(what)?;
        word.parse()
            .map_err(|_| format!("{what} is not a number: {word}"))
    }

    pub(super) fn user(&mut self) -> Result<UserId, String> {
        let word = self.next("a user")?;
        UserId::parse(&word).ok_or_else(|| format!("{word} is no user id"))
    }

    pub(super) fn option(&mut self, name: &str) -> Option<String> {
        self.named.remove(name)
    }

    pub(super) fn yes(&mut self, name: &str) -> bool {
        self.option(name).is_some_and(|word| word == "yes")
    }

    /// An option that is one of a few words.
    pub(super) fn one_of<T>(
        &mut self,
        name: &str,
        parse: impl FnOnce(&str) -> Option<T>,
    ) -> Result<Option<T>, String> {
        let word = self.option(name);
        let parsed = word.map(|word| parse(&word).ok_or_else(|| format!("{word} is no {name}")));
        parsed.transpose()
    }

    /// An option that is a step of time, in seconds.
    pub(super) fn span(&mut self, name: &str) -> Result<Option<i64>, String> {
        self.option(name).map(|text| span(&text)).transpose()
    }

    /// The unit of `unit=`; credits without one.
    pub(super) fn unit(&mut self) -> Result<Unit, String> {
        let unit = self.one_of("unit", unit)?;
        Ok(unit.unwrap_or(Unit::CREDIT))
    }

    pub(super) fn spender(&mut self) -> Spender {
        let labels = self.option("label").unwrap_or_default();
        let labels = labels.split(',').filter(|label| !label.is_empty());
        Spender {
            api_key: self.option("api_key"),
            labels: labels.map(str::to_owned).collect(),
        }
    }

    pub(super) fn remark(&mut self) -> Remark {
        let mut text = |name| self.option(name).unwrap_or_default();
        Remark {
            note: text("note"),
            reference: text("ref"),
            meta: text("meta"),
        }
    }

    pub(super) fn end(mut self) -> Result<(), String> {
        if let Some(word) = self.plain.next() {
            return Err(format!("`{word}` means nothing here"));
        }
        match self.named.pop_first() {
            Some((name, _)) => Err(format!("`{name}=` means nothing here")),
            None => Ok(()),
        }
    }
}

/// `credit`, `usd`.
pub(super) fn unit(code: &str) -> Option<Unit> {
    if code == Unit::CREDIT.code() {
        return Some(Unit::CREDIT);
    }
    Unit::currency(code)
}

/// Words between blanks; quotes of either kind keep blanks together.
fn split(line: &str) -> Vec<String> {
    let (mut words, mut quote, mut in_word) = (Vec::<String>::new(), None, false);
    for letter in line.chars() {
        match (letter, quote) {
            (letter, Some(open)) if letter == open => quote = None,
            ('"' | '\'', None) => {
                quote = Some(letter);
                if !in_word {
                    words.push(String::new());
                }
                in_word = true;
            }
            (letter, None) if letter.is_whitespace() => in_word = false,
            (letter, _) => {
                if !in_word {
                    words.push(String::new());
                }
                in_word = true;
                words.last_mut().unwrap().push(letter);
            }
        }
    }
    words
}
