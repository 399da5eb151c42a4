//! The words of a line.

use std::collections::BTreeMap;

use bursar_domain::id::UserId;
use bursar_domain::journal::Remark;

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
        for word in split(line) {
            match word.split_once('=') {
                Some(("key", key)) => drop(named.insert("key".to_owned(), key.to_owned())),
                Some((name, value)) if name.bytes().all(|byte| byte.is_ascii_lowercase()) => {
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
