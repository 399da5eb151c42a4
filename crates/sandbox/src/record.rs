//! One record, as a value or as text.
//!
//! A value is quick to work with and takes ten times the memory of its text. Whatever has not been looked at for a
//! while is kept as text, so that a world with a year of payments fits into the memory of a small machine.

use std::sync::OnceLock;

use serde_json::Value;

use crate::shapes::{Shapes, Text};

/// A record and its position in the order of insertion.
#[derive(Debug)]
pub(crate) struct Record {
    pub(crate) seq: u64,
    text: Option<Text>,
    value: OnceLock<Box<Value>>,
}

impl Record {
    pub(crate) fn new(seq: u64, value: Value) -> Self {
        Self {
            seq,
            text: None,
            value: OnceLock::from(Box::new(value)),
        }
    }

    /// The record as a value, read back from its text if need be.
    pub(crate) fn value(&self) -> &Value {
        self.value.get_or_init(|| {
            let value = self.text.as_ref().map(Text::read);
            Box::new(value.unwrap_or_default())
        })
    }

    pub(crate) fn is_cold(&self) -> bool {
        self.value.get().is_none()
    }

    /// Keeps the text only.
    pub(crate) fn chill(&mut self, shapes: &mut Shapes) {
        if let Some(value) = self.value.take()
            && self.text.is_none()
        {
            self.text = Some(shapes.write(*value));
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_record_is_the_same_when_it_is_read_back() {
        let value = json!({"z": 1, "a": [12.5, -3, null, true], "text": "é\n\"", "deep": {"b": {}, "a": 0}});
        let mut shapes = Shapes::default();
        let mut record = Record::new(3, value.clone());
        for _ in 0..2 {
            record.chill(&mut shapes);
            assert!(record.is_cold());
            assert_eq!(record.value(), &value);
            assert_eq!(
                record.value().to_string(),
                value.to_string(),
                "in its order"
            );
            assert!(!record.is_cold());
        }
    }
}
