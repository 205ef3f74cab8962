//! What the tests of a check need besides its own functions. They run natively: there is no pod and no host.

use std::collections::BTreeMap;

use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::parse;

/// Holds the schema of a config to its type: every object of the schema has the fields that the type has at that place,
/// and both refuse any other.
///
/// # Panics
/// Where they differ.
pub fn assert_schema<T: DeserializeOwned>(schema: &str) {
    let schema: Value = serde_json::from_str(schema).unwrap_or_else(|error| panic!("the schema is not JSON: {error}"));
    walk::<T>(&schema, &[&schema], "", &|value| value);
}

/// `schemas`: those of one place. Where there are alternatives, the type has the fields of them all.
fn walk<T: DeserializeOwned>(root: &Value, schemas: &[&Value], at: &str, within: &dyn Fn(Value) -> Value) {
    let all: Vec<_> = schemas.iter().flat_map(|schema| alternatives(root, schema)).collect();
    let items: Vec<_> = all.iter().filter_map(|schema| schema.get("items")).collect();
    if !items.is_empty() {
        walk::<T>(root, &items, &format!("{at}/0"), &|value| within(json!([value])));
    }
    let mut properties: BTreeMap<&str, Vec<&Value>> = BTreeMap::new();
    for schema in all {
        let Some(own) = schema.get("properties").and_then(Value::as_object) else { continue };
        assert_eq!(
            schema.get("additionalProperties"),
            Some(&json!(false)),
            "the schema at {at:?} takes unknown fields"
        );
        own.iter().for_each(|(name, property)| properties.entry(name).or_default().push(property));
    }
    if properties.is_empty() {
        return;
    }
    let strange = within(json!({ "?": 0 })).to_string();
    let error = parse::<T>(&strange).err().unwrap_or_else(|| panic!("the type takes an unknown field at {at:?}"));
    assert!(error.message.starts_with("unknown field `?`"), "at {at:?}, instead of an unknown field: {error}");
    // Serde lists them so: unknown field `?`, expected one of `a`, `b`
    let mut known: Vec<_> = error.message.split('`').skip(3).step_by(2).collect();
    known.sort_unstable();
    let written: Vec<_> = properties.keys().copied().collect();
    assert_eq!(written, known, "the fields at {at:?}: in the schema, and in the type");
    for (name, property) in properties {
        walk::<T>(root, &property, &format!("{at}/{name}"), &|value| within(json!({ name: value })));
    }
}

/// What holds at the place of a schema: what it refers to, and each of those of which one holds.
fn alternatives<'a>(root: &'a Value, schema: &'a Value) -> Vec<&'a Value> {
    let target = schema.get("$ref").and_then(Value::as_str);
    let schema = target.map_or(schema, |target| {
        let found = target.strip_prefix('#').and_then(|pointer| root.pointer(pointer));
        found.unwrap_or_else(|| panic!("the schema has no {target}"))
    });
    let some = schema.get("oneOf").and_then(Value::as_array).into_iter().flatten();
    [schema].into_iter().chain(some).collect()
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::assert_schema;

    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    #[allow(dead_code, reason = "only parsed")]
    struct Outer {
        list: Vec<Inner>,
    }

    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    #[allow(dead_code, reason = "only parsed")]
    struct Inner {
        a: u8,
        b: u8,
    }

    fn schema(inner: &str) -> String {
        format!(
            r#"{{"properties": {{"list": {{"items": {{"properties": {inner}, "additionalProperties": false}}}}}},
               "additionalProperties": false}}"#
        )
    }

    #[test]
    fn a_schema_with_the_fields_of_the_type_passes() {
        assert_schema::<Outer>(&schema(r#"{"a": {}, "b": {}}"#));
    }

    #[test]
    fn a_reference_is_followed_and_of_alternatives_the_type_has_all_fields() {
        assert_schema::<Outer>(
            r##"{"properties": {"list": {"items": {"$ref": "#/$defs/inner"}}}, "additionalProperties": false,
                "$defs": {"inner": {"oneOf": [{"properties": {"a": {}}, "additionalProperties": false},
                                              {"properties": {"b": {}}, "additionalProperties": false}]}}}"##,
        );
    }

    #[test]
    #[should_panic(expected = "the fields at \"/list/0\"")]
    fn a_field_that_a_schema_that_is_referred_to_lacks_is_found() {
        assert_schema::<Outer>(
            r##"{"properties": {"list": {"items": {"$ref": "#/$defs/inner"}}}, "additionalProperties": false,
                "$defs": {"inner": {"properties": {"a": {}}, "additionalProperties": false}}}"##,
        );
    }

    #[test]
    #[should_panic(expected = "the fields at \"/list/0\"")]
    fn a_field_that_the_schema_lacks_is_found_wherever_it_is() {
        assert_schema::<Outer>(&schema(r#"{"a": {}}"#));
    }
}
