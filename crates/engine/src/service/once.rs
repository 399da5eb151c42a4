//! What is asked under an idempotency key: the key, the digest of what is asked, and the answer.

use std::ops::Deref;

use bursar_domain::command::{AnswerKey, Command, Reply, Request, RequestHash};
use bursar_domain::journal::Remark;
use bursar_store::{StoreError, digest};

use super::{ServiceError, form};
use crate::{Answered, Engine};

/// Who asks, as far as keys are concerned: one caller, and none of those over HTTP.
const PRINCIPAL: &str = "library";

/// An idempotency key with the digest of what is asked under it, if there is one.
pub(super) type Key = Option<(AnswerKey, RequestHash)>;

/// What was done, and whether it was done before under the same idempotency key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Once<T> {
    /// What was done; as it was answered the first time, if it is a repetition.
    pub value: T,
    /// Whether it is a repetition: this time nothing was done.
    pub replayed: bool,
}

impl<T> Once<T> {
    /// What was done.
    pub fn into_inner(self) -> T {
        self.value
    }
}

impl<T> Deref for Once<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

/// What is asked, written so that no two different things are written alike. It must not change between versions of the program,
/// or whoever asks again after an update is refused. So every field has its name, and what is absent or empty is left out: a field
/// that comes later changes nothing for those who do not use it.
#[derive(Debug, Default)]
pub(super) struct Asked(Vec<u8>);

impl Asked {
    pub(super) fn text(mut self, name: &str, value: &str) -> Self {
        if !value.is_empty() {
            self.sized(name.as_bytes());
            self.sized(value.as_bytes());
        }
        self
    }

    pub(super) fn number(self, name: &str, value: impl Into<Option<i64>>) -> Self {
        match value.into() {
            Some(number) => self.text(name, &number.to_string()),
            None => self,
        }
    }

    pub(super) fn flag(self, name: &str, value: bool) -> Self {
        self.text(name, if value { "true" } else { "" })
    }

    pub(super) fn remark(self, remark: &Remark) -> Self {
        let Remark {
            note,
            reference,
            meta,
        } = remark;
        self.text("note", note)
            .text("ref", reference)
            .text("meta", meta)
    }

    /// Something that is asked as a part of something larger.
    pub(super) fn part(mut self, name: &str, part: &Self) -> Self {
        self.sized(name.as_bytes());
        self.sized(&part.0);
        self
    }

    fn sized(&mut self, bytes: &[u8]) {
        self.0.extend((bytes.len() as u64).to_le_bytes());
        self.0.extend(bytes);
    }

    /// The key of `operation` with the digest of what is asked.
    pub(super) fn under(
        &self,
        operation: &str,
        key: &str,
    ) -> Result<(AnswerKey, RequestHash), ServiceError> {
        form::check_key(key)?;
        Ok(self.under_own(operation, key))
    }

    /// The same for a key that no caller has chosen.
    pub(super) fn under_own(&self, operation: &str, key: &str) -> (AnswerKey, RequestHash) {
        let key = AnswerKey {
            principal: PRINCIPAL.to_owned(),
            route: operation.to_owned(),
            key: key.to_owned(),
        };
        (key, digest::request_hash(&self.0))
    }
}

/// An operation under a key, if there is one.
pub(super) fn keyed(
    operation: &str,
    key: Option<&str>,
    asked: &Asked,
) -> Result<Key, ServiceError> {
    key.map(|key| asked.under(operation, key)).transpose()
}

/// Asks the engine. `pick` takes out of the reply what this command is answered with.
pub(super) async fn submit<T>(
    engine: &Engine,
    command: Command,
    idempotency: Key,
    pick: impl FnOnce(Reply) -> Option<T> + Send,
) -> Result<Once<T>, ServiceError> {
    let Answered { reply, replayed } = engine
        .submit_once(Request {
            command,
            idempotency,
        })
        .await?;
    // A key belongs to one operation, and each has one kind of reply: what else comes is a bug, or a row that was tampered with.
    let value = pick(reply).ok_or_else(|| {
        StoreError::Unusable(
            "a command was answered with something else: please report this".into(),
        )
    })?;
    Ok(Once { value, replayed })
}

#[cfg(test)]
mod tests {
    use super::Asked;

    #[test]
    fn no_two_things_are_written_alike() {
        let asked = Asked::default;
        let different = [
            asked(),
            asked().text("note", "x"),
            asked().text("ref", "x"),
            asked().text("note", "x").text("ref", "x"),
            asked().text("note", "xref"),
            asked().text("notex", "ref"),
            asked().text("label", "x").text("label", "y"),
            asked().text("label", "xy"),
            asked().part("charge", &asked().text("note", "x")),
            asked().number("credits", 0),
            asked().number("credits", -1),
            asked().flag("atomic", true),
        ];
        for (place, one) in different.iter().enumerate() {
            let same = different.iter().filter(|other| other.0 == one.0);
            assert_eq!(same.count(), 1, "{place}");
        }
    }

    #[test]
    fn what_is_absent_leaves_no_trace() {
        let plain = Asked::default().text("note", "x");
        let with_more = Asked::default()
            .text("note", "x")
            .text("ref", "")
            .number("expires_in", None)
            .flag("allow_debt", false);
        assert_eq!(plain.0, with_more.0);
    }
}
