//! Values as text in two parts: a shape that many share, and what is the record's own.
//!
//! Two charges have the same fields, and most of them are null in both. The shape is the value with an empty text in
//! the place of every text and number; it is kept once. The own part is these texts and numbers, in their order.

use std::collections::HashSet;
use std::mem;
use std::sync::Arc;

use serde_json::Value;

/// With fewer shapes than this nobody looks for unused ones.
const MANY: usize = 256;

/// A value as text.
#[derive(Debug)]
pub(crate) struct Text {
    shape: Arc<str>,
    own: Box<str>,
}

impl Text {
    /// The value, as it was written.
    pub(crate) fn read(&self) -> Value {
        // Both were written by `Shapes::write`.
        let mut value = serde_json::from_str(&self.shape).unwrap_or_default();
        let own: Vec<Value> = serde_json::from_str(&self.own).unwrap_or_default();
        let mut own = own.into_iter();
        each_leaf(&mut value, &mut |leaf| {
            *leaf = own.next().unwrap_or_default();
        });
        value
    }
}

/// The shapes in use.
#[derive(Debug, Default)]
pub(crate) struct Shapes {
    known: HashSet<Arc<str>>,
    /// How many were in use when somebody last looked.
    used: usize,
}

impl Shapes {
    /// Writes a value as text.
    pub(crate) fn write(&mut self, mut value: Value) -> Text {
        let mut own = Vec::new();
        let empty = || Value::String(String::new());
        each_leaf(&mut value, &mut |leaf| {
            own.push(mem::replace(leaf, empty()));
        });
        Text {
            shape: self.share(&value.to_string()),
            own: Value::Array(own).to_string().into_boxed_str(),
        }
    }

    fn share(&mut self, shape: &str) -> Arc<str> {
        if let Some(known) = self.known.get(shape) {
            return known.clone();
        }
        // Metadata can make a shape that no other record has, and that goes with it.
        if self.known.len() >= MANY.max(2 * self.used) {
            self.known.retain(|known| Arc::strong_count(known) > 1);
            self.used = self.known.len();
        }
        let fresh: Arc<str> = shape.into();
        self.known.insert(fresh.clone());
        fresh
    }
}

/// Meets every text and number in a value, always in the same order.
fn each_leaf(value: &mut Value, meet: &mut impl FnMut(&mut Value)) {
    match value {
        Value::Object(members) => members
            .values_mut()
            .for_each(|member| each_leaf(member, meet)),
        Value::Array(items) => items.iter_mut().for_each(|item| each_leaf(item, meet)),
        Value::String(_) | Value::Number(_) => meet(value),
        Value::Null | Value::Bool(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn records_with_the_same_fields_share_a_shape() {
        let mut shapes = Shapes::default();
        let charge = |n: i64, paid: Option<&str>| json!({"n": n, "deep": [{"a": "x"}, 1.5, ""], "paid": paid, "yes": true});
        let all = [
            charge(1, None),
            charge(-2, None),
            charge(3, Some("\u{0}é\"")),
        ];
        let texts = all.clone().map(|value| shapes.write(value));
        assert!(Arc::ptr_eq(&texts[0].shape, &texts[1].shape));
        assert!(!Arc::ptr_eq(&texts[0].shape, &texts[2].shape));
        assert_eq!(texts.map(|text| text.read()), all);
    }

    #[test]
    fn shapes_that_nobody_has_any_more_are_forgotten() {
        let mut shapes = Shapes::default();
        let kept = shapes.write(json!({"kept": 1}));
        for n in 0..10 * MANY {
            shapes.write(json!({ n.to_string(): 1 }));
        }
        assert!(shapes.known.len() <= MANY);
        assert!(Arc::ptr_eq(
            &kept.shape,
            &shapes.write(json!({"kept": 2})).shape
        ));
    }
}
