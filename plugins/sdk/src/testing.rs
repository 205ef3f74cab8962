//! What the tests of a check need besides its own functions. They run natively: there is no pod and no host.

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
    walk::<T>(&schema, "", &|value| value);
}

fn walk<T: DeserializeOwned>(schema: &Value, at: &str, within: &dyn Fn(Value) -> Value) {
    if let Some(items) = schema.get("items") {
        walk::<T>(items, &format!("{at}/0"), &|value| within(json!([value])));
    }
    let Some(properties) = schema.get("properties").and_then(Value::as_object) else { return };
    assert_eq!(schema.get("additionalProperties"), Some(&json!(false)), "the schema at {at:?} takes unknown fields");
    let strange = within(json!({ "?": 0 })).to_string();
    let error = parse::<T>(&strange).err().unwrap_or_else(|| panic!("the type takes an unknown field at {at:?}"));
    assert!(error.message.starts_with("unknown field `?`"), "at {at:?}, instead of an unknown field: {error}");
    // Serde lists them so: unknown field `?`, expected one of `a`, `b`
    let mut known: Vec<_> = error.message.split('`').skip(3).step_by(2).collect();
    let mut written: Vec<_> = properties.keys().map(String::as_str).collect();
    known.sort_unstable();
    written.sort_unstable();
    assert_eq!(written, known, "the fields at {at:?}: in the schema, and in the type");
    for (name, property) in properties {
        walk::<T>(property, &format!("{at}/{name}"), &|value| within(json!({ name: value })));
    }
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
    #[should_panic(expected = "the fields at \"/list/0\"")]
    fn a_field_that_the_schema_lacks_is_found_wherever_it_is() {
        assert_schema::<Outer>(&schema(r#"{"a": {}}"#));
    }
}
