//! Writing and reading forms, with every refusal.

use super::*;
use proptest::prelude::*;
use serde_json::json;

fn read(form: &str) -> Value {
    decode(form.as_bytes()).unwrap()
}

fn code(form: &[u8]) -> &'static str {
    decode(form).unwrap_err().code()
}

#[test]
fn writes_what_stripe_reads() {
    let params = json!({
        "mode": "payment",
        "line_items": [{"quantity": 1, "price_data": {"unit_amount": 500, "currency": "usd"}}],
        "expand": ["payment_intent", null, "customer"],
        "nothing": null,
        "empty_list": [],
        "empty_map": {"inner": {}},
        "clear": "",
        "live": false,
        "note": "a b&c=d+é",
    });
    assert_eq!(
        encode(&params),
        "mode=payment&line_items[0][quantity]=1&line_items[0][price_data][unit_amount]=500\
         &line_items[0][price_data][currency]=usd&expand[0]=payment_intent&expand[1]=customer\
         &clear=&live=false&note=a%20b%26c%3Dd%2B%C3%A9"
    );
    assert_eq!(encode(&Value::Null), "");
    assert_eq!(encode(&json!(["a"])), "");
}

#[test]
fn reads_every_way_of_writing() {
    assert_eq!(read(""), json!({}));
    assert_eq!(read("a=1&&b"), json!({"a": "1", "b": ""}));
    assert_eq!(read("a=b=c"), json!({"a": "b=c"}));
    assert_eq!(read("a+b=c+%2B"), json!({"a b": "c +"}));
    assert_eq!(
        read("a%5Bb%5d=1&a[c]=2"),
        json!({"a": {"b": "1", "c": "2"}})
    );
    assert_eq!(read("t[]=card&t[]=link"), json!({"t": ["card", "link"]}));
    assert_eq!(
        read("i[1][b]=2&i[0][b]=1&i[1][c]=3"),
        json!({"i": [{"b": "1"}, {"b": "2", "c": "3"}]})
    );
    assert_eq!(
        read("i[][b]=1&i[][c]=2&i[][b]=3"),
        json!({"i": [{"b": "1", "c": "2"}, {"b": "3"}]})
    );
    assert_eq!(
        read("0=a&1=b"),
        json!({"0": "a", "1": "b"}),
        "the outside is always an object"
    );
    assert_eq!(read("m[2026]=x"), json!({"m": {"2026": "x"}}));
    assert_eq!(read("a[0][]=x&a[0][]=y"), json!({"a": [["x", "y"]]}));
}

#[test]
fn a_reader_decides_between_list_and_map() {
    let form = read("a[3]=d&a[1]=b&m[0]=x&s=1&w[x]=1");
    assert_eq!(items(&form["a"]), Some(vec![&json!("b"), &json!("d")]));
    assert_eq!(
        entries(&form["m"]),
        Some(vec![("0".to_owned(), &json!("x"))])
    );
    assert_eq!(items(&form["s"]), None);
    assert_eq!(entries(&form["s"]), None);
    assert_eq!(items(&form["w"]), None);
}

#[test]
fn refuses_by_name() {
    assert_eq!(code(b"a=1&a[b]=2"), "form_conflict");
    assert_eq!(code(b"a[b]=2&a=1"), "form_conflict");
    assert_eq!(code(b"a[]=2&a[0]=1"), "form_conflict");
    assert_eq!(code(b"a[0]=2&a[]=1"), "form_conflict");
    assert_eq!(code(b"a=1&a=2"), "form_repeated");
    assert_eq!(code(b"a[b]=1&a%5Bb%5D=2"), "form_repeated");
    for escape in ["a=%", "a=%4", "a=%zz", "%=1", "a=%+1", "a=%4\u{e9}"] {
        assert_eq!(code(escape.as_bytes()), "form_bad_escape", "{escape}");
    }
    assert_eq!(code(b"a=%ff"), "form_not_utf8");
    assert_eq!(code(b"a\xc3=1"), "form_not_utf8");
    for key in [
        "=1", "[a]=1", "a[b=1", "a]b=1", "a[b]c=1", "a[b]]=1", "a[[b]]=1", "a[b][=1",
    ] {
        assert_eq!(code(key.as_bytes()), "form_bad_name", "{key}");
    }
    let conflict = decode(b"a=1&a[b]=2").unwrap_err();
    assert_eq!(conflict.param(), Some("a[b]"));
}

#[test]
fn is_bounded() {
    let deepest = format!("a{}=1", "[b]".repeat(MAX_DEPTH - 1));
    assert!(decode(deepest.as_bytes()).is_ok());
    assert_eq!(
        code(format!("a{}=1", "[b]".repeat(MAX_DEPTH)).as_bytes()),
        "form_too_deep"
    );
    assert_eq!(code(&vec![b'a'; MAX_BYTES + 1]), "form_too_long");
    assert_eq!(
        code("a".repeat(MAX_KEY_BYTES + 1).as_bytes()),
        "form_name_too_long"
    );
    let pairs = |count: usize| {
        (0..count)
            .map(|number| format!("k{number}=1"))
            .collect::<Vec<_>>()
            .join("&")
    };
    assert!(decode(pairs(MAX_PAIRS).as_bytes()).is_ok());
    assert_eq!(
        code(pairs(MAX_PAIRS + 1).as_bytes()),
        "form_too_many_parameters"
    );
    assert_eq!(read("a[4294967295]=x"), json!({"a": {"4294967295": "x"}}));
}

/// What a value looks like after a round trip: texts only, nothing empty.
fn flattened(value: &Value) -> Value {
    match value {
        Value::Array(items) => {
            let kept = items.iter().filter(|item| !is_nothing(item));
            Value::Array(kept.map(flattened).collect())
        }
        Value::Object(members) => {
            let kept = members.iter().filter(|(_, member)| !is_nothing(member));
            Value::Object(
                kept.map(|(name, member)| (name.clone(), flattened(member)))
                    .collect(),
            )
        }
        Value::String(text) => Value::String(text.clone()),
        other => Value::String(other.to_string()),
    }
}

fn any_params() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
    ];
    // A name with a bracket or of digits alone cannot be written without a double meaning.
    let name = "[a-zA-Z_ %&=+é.][^\\[\\]]{0,8}";
    let value = leaf.prop_recursive(4, 40, 5, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::Array),
            prop::collection::btree_map(name, inner, 0..5)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    });
    prop::collection::btree_map(name, value, 0..6)
        .prop_map(|members| Value::Object(members.into_iter().collect()))
}

proptest! {
    #[test]
    fn reading_undoes_writing(params in any_params()) {
        let form = encode(&params);
        prop_assert_eq!(decode(form.as_bytes()).unwrap(), flattened(&params));
    }

    #[test]
    fn escaping_everything_changes_nothing(params in any_params()) {
        let form = encode(&params);
        let harder = form.replace('[', "%5B").replace(']', "%5D").replace("%20", "+");
        prop_assert_eq!(decode(form.as_bytes()), decode(harder.as_bytes()));
    }

    #[test]
    fn never_panics(form in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = decode(&form);
    }

    #[test]
    fn never_panics_near_the_grammar(form in "[ab0-2\\[\\]=&%+]{0,60}") {
        let _ = decode(form.as_bytes());
    }
}
