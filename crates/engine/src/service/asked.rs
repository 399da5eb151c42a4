//! What is asked under an idempotency key: the key, and the digest of what is asked.

use bursar_domain::command::{AnswerKey, Idempotency, RequestHash};
use bursar_domain::journal::Remark;
use bursar_store::digest;

use super::{ServiceError, form};

/// Who asks, as far as keys are concerned: one caller, and none of those over HTTP.
const PRINCIPAL: &str = "library";

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
) -> Result<Idempotency, ServiceError> {
    key.map(|key| asked.under(operation, key)).transpose()
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
