//! Forms: what a request carries, said once. A form is read from a body or a query, and described in the OpenAPI document, by the
//! same types.
//!
//! ```text
//! form! {
//!     /// What it takes to give a user something.
//!     struct Give {
//!         /// Who gets it.
//!         user_id: Id<UserId>,
//!         /// How much of it; one without it.
//!         count: Option<Whole<1, 9>>,
//!         said: Remark,
//!     }
//! }
//! ```
//!
//! `user_id` has to be there, `count` need not, and a [`Remark`](bursar_domain::journal::Remark) is several fields at once.

use std::borrow::Cow;
use std::collections::BTreeSet;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde_json::{Map, Value, json};

use super::error::ApiError;
use super::extract::{Input, required};

/// All fields of a request.
pub(super) trait Form: Sized {
    /// Takes the fields out of a request.
    fn read(input: &mut Input) -> Result<Self, ApiError>;

    /// Adds the fields to a description.
    fn describe(fields: &mut Fields<'_>);
}

/// What one field holds. How it is written in JSON is its schema.
pub(super) trait Field: Sized + JsonSchema {
    /// The codes, beyond those for a wrong shape, that say that the value is none.
    const REFUSALS: &'static [&'static str] = &[];

    /// Takes the field of this name, if it is there.
    fn read(input: &mut Input, name: &'static str) -> Result<Option<Self>, ApiError>;
}

/// One or more fields of a form.
pub(super) trait Part: Sized {
    /// Takes them out of a request.
    fn take(input: &mut Input, name: &'static str) -> Result<Self, ApiError>;

    /// Adds them to a description.
    fn describe(name: &'static str, about: &str, fields: &mut Fields<'_>);
}

impl<T: Field> Part for T {
    fn take(input: &mut Input, name: &'static str) -> Result<Self, ApiError> {
        required(name, T::read(input, name)?)
    }

    fn describe(name: &'static str, about: &str, fields: &mut Fields<'_>) {
        fields.required::<T>(name, about);
        fields.refusals(T::REFUSALS);
    }
}

impl<T: Field> Part for Option<T> {
    fn take(input: &mut Input, name: &'static str) -> Result<Self, ApiError> {
        T::read(input, name)
    }

    fn describe(name: &'static str, about: &str, fields: &mut Fields<'_>) {
        fields.optional::<T>(name, about);
        fields.refusals(T::REFUSALS);
    }
}

/// The fields of a form, as they are described.
pub(super) struct Fields<'a> {
    generator: &'a mut SchemaGenerator,
    all: Vec<Described>,
    rules: Vec<Value>,
    refusals: BTreeSet<&'static str>,
}

struct Described {
    name: &'static str,
    schema: Schema,
    required: bool,
}

impl<'a> Fields<'a> {
    /// The fields of a form.
    pub(super) fn of<F: Form>(generator: &'a mut SchemaGenerator) -> Self {
        let mut fields = Self {
            generator,
            all: vec![],
            rules: vec![],
            refusals: BTreeSet::new(),
        };
        F::describe(&mut fields);
        fields
    }

    /// A field that has to be there.
    pub(super) fn required<T: JsonSchema>(&mut self, name: &'static str, about: &str) {
        self.add::<T>(name, about, true);
    }

    /// A field that may be left out.
    pub(super) fn optional<T: JsonSchema>(&mut self, name: &'static str, about: &str) {
        self.add::<T>(name, about, false);
    }

    fn add<T: JsonSchema>(&mut self, name: &'static str, about: &str, required: bool) {
        let mut schema = self.generator.subschema_for::<T>();
        let about = about.trim();
        if !about.is_empty() {
            schema.insert("description".to_owned(), about.into());
        }
        self.all.push(Described {
            name,
            schema,
            required,
        });
    }

    /// Something that is true of several fields at once, as a schema of the whole object.
    pub(super) fn rule(&mut self, rule: Value) {
        self.rules.push(rule);
    }

    /// At least one of these fields has to be there.
    pub(super) fn one_of(&mut self, names: &[&str]) {
        let ways: Vec<Value> = names.iter().map(|name| given(&[name])).collect();
        self.rule(json!({ "anyOf": ways }));
    }

    /// These two fields do not go together.
    pub(super) fn not_both(&mut self, one: &str, other: &str) {
        self.rule(json!({ "not": given(&[one, other]) }));
    }

    /// The first of these fields makes sense only beside the second.
    pub(super) fn needs(&mut self, one: &str, other: &str) {
        self.rule(json!({ "if": given(&[one]), "then": given(&[other]) }));
    }

    /// Codes, beyond those for a wrong shape, by which the fields may be refused.
    pub(super) fn refusals(&mut self, codes: &[&'static str]) {
        self.refusals.extend(codes);
    }

    /// All of them.
    pub(super) fn all_refusals(&self) -> Vec<&'static str> {
        self.refusals.iter().copied().collect()
    }

    /// The schema of a body. A field that need not be there may as well be `null`.
    pub(super) fn into_body(self) -> Value {
        let needed: Vec<&str> = self
            .all
            .iter()
            .filter(|field| field.required)
            .map(|field| field.name)
            .collect();
        let mut properties = Map::new();
        for field in self.all {
            let schema = Value::from(field.schema);
            let schema = if field.required {
                schema
            } else {
                or_null(schema)
            };
            properties.insert(field.name.to_owned(), schema);
        }
        let mut body = json!({
            "type": "object",
            "properties": properties,
            "additionalProperties": false,
        });
        if !needed.is_empty() {
            body["required"] = needed.into();
        }
        if !self.rules.is_empty() {
            body["allOf"] = self.rules.into();
        }
        body
    }

    /// The parameters of a query.
    pub(super) fn into_query(self) -> Vec<Value> {
        self.all
            .into_iter()
            .map(|field| parameter("query", field.name, field.required, field.schema.into()))
            .collect()
    }
}

/// A form that is the value of one field.
#[derive(Debug)]
pub(super) struct Inside<F>(pub(super) F);

impl<F: Form> JsonSchema for Inside<F> {
    fn schema_name() -> Cow<'static, str> {
        std::any::type_name::<F>().into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let schema = Fields::of::<F>(generator).into_body();
        Schema::try_from(schema).unwrap_or_default()
    }
}

impl<F: Form> Field for Inside<F> {
    fn read(input: &mut Input, name: &'static str) -> Result<Option<Self>, ApiError> {
        let fields = match input.take(name) {
            None => return Ok(None),
            Some(Value::Object(fields)) => fields,
            Some(_) => return Err(ApiError::invalid(name, Self::shape())),
        };
        let form = Input::of(fields)
            .read()
            .map_err(|error: ApiError| error.inside(name))?;
        Ok(Some(Self(form)))
    }
}

impl<F: Form> Inside<F> {
    /// What it must be, in words.
    fn shape() -> String {
        let mut generator = SchemaGenerator::default();
        let fields = Fields::of::<F>(&mut generator).all;
        let names: Vec<String> = fields
            .iter()
            .map(|field| format!("`{}`", field.name))
            .collect();
        format!("must be an object with {}", names.join(" and "))
    }
}

/// A parameter as OpenAPI writes it; what it is about is said beside its schema.
pub(super) fn parameter(place: &str, name: &str, required: bool, mut schema: Value) -> Value {
    let about = schema
        .as_object_mut()
        .and_then(|fields| fields.shift_remove("description"));
    let mut parameter = json!({ "name": name, "in": place, "required": required });
    if let Some(about) = about {
        parameter["description"] = about;
    }
    parameter["schema"] = schema;
    parameter
}

/// The schema of objects in which all of these fields are there and not `null`.
fn given(names: &[&str]) -> Value {
    let fields = names
        .iter()
        .map(|name| ((*name).to_owned(), json!({ "not": { "type": "null" } })));
    json!({ "required": names, "properties": fields.collect::<Map<_, _>>() })
}

/// The same schema, or `null`.
fn or_null(mut schema: Value) -> Value {
    match schema.get("type") {
        Some(Value::String(kind)) if schema.get("enum").is_none() => {
            let kind = kind.clone();
            schema["type"] = json!([kind, "null"]);
            schema
        }
        _ => {
            let about = schema
                .as_object_mut()
                .and_then(|fields| fields.shift_remove("description"));
            let mut either = json!({ "anyOf": [schema, { "type": "null" }] });
            if let Some(about) = about {
                either["description"] = about;
            }
            either
        }
    }
}

/// The name of a field, without the mark of Rust that a word of its own is used as a name.
pub(super) fn plain_name(name: &'static str) -> &'static str {
    name.strip_prefix("r#").unwrap_or(name)
}

/// Defines a form: a struct, how it is read, and what is said of it. See the [module](self).
macro_rules! form {
    (
        $(#[$meta:meta])*
        $visible:vis struct $name:ident {
            $( $(#[doc = $about:literal])* $seen:vis $part:ident: $kind:ty ),* $(,)?
        }
    ) => {
        $(#[$meta])*
        #[derive(Debug)]
        $visible struct $name {
            $( $(#[doc = $about])* $seen $part: $kind ),*
        }

        impl $crate::http::form::Form for $name {
            fn read(
                input: &mut $crate::http::extract::Input,
            ) -> Result<Self, $crate::http::error::ApiError> {
                let _ = &input;
                Ok(Self {
                    $( $part: $crate::http::form::Part::take(
                        input,
                        $crate::http::form::plain_name(stringify!($part)),
                    )? ),*
                })
            }

            fn describe(fields: &mut $crate::http::form::Fields<'_>) {
                let _ = &fields;
                $( <$kind as $crate::http::form::Part>::describe(
                    $crate::http::form::plain_name(stringify!($part)),
                    concat!($($about),*),
                    fields,
                ); )*
            }
        }

        impl $crate::http::form::Part for $name {
            fn take(
                input: &mut $crate::http::extract::Input,
                _: &'static str,
            ) -> Result<Self, $crate::http::error::ApiError> {
                $crate::http::form::Form::read(input)
            }

            fn describe(_: &'static str, _: &str, fields: &mut $crate::http::form::Fields<'_>) {
                <Self as $crate::http::form::Form>::describe(fields);
            }
        }
    };
}
pub(super) use form;

/// Defines an extractor of the one thing that an address names. An address that is not even text names nothing of ours.
macro_rules! in_path {
    ($(#[$meta:meta])* $name:ident($id:ty) = $part:literal) => {
        $(#[$meta])*
        #[derive(Debug)]
        pub(super) struct $name(pub(super) $id);

        impl<S: Send + Sync> axum::extract::FromRequestParts<S> for $name {
            type Rejection = $crate::http::error::ApiError;

            async fn from_request_parts(
                parts: &mut http::request::Parts,
                state: &S,
            ) -> Result<Self, Self::Rejection> {
                let path = axum::extract::Path::<String>::from_request_parts(parts, state).await;
                let text = path.map(|axum::extract::Path(text)| text).unwrap_or_default();
                <$id as $crate::http::kind::Named>::named($part, &text).map(Self)
            }
        }

        impl $crate::http::openapi::Argument for $name {
            fn describe(operation: &mut $crate::http::openapi::Operation<'_>) {
                operation.path::<$crate::http::kind::Id<$id>>($part);
                operation.may(<$id as $crate::http::kind::Named>::MISSING);
            }
        }
    };
}
pub(super) use in_path;

form! {
    /// Of a request that takes no fields.
    pub(super) struct Nothing {}
}
