//! JSON Schemas of signals, compiled.
//!
//! The crate `jsonschema` compiles and validates. What it is given is bounded
//! before: nothing is fetched, since a `$ref` leads into the schema itself; nothing
//! refers to itself, so that every check ends; and with every reference written
//! out there is a limit to the parts, so that no small text is a large check.
//! Patterns run in a time that grows with the text only.

mod bounds;

use jsonschema::{PatternOptions, Validator};
use serde_json::Value;

/// What keeps a text from being a schema.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{pointer} {reason}")]
pub struct Fault {
    /// JSON pointer into the schema.
    pub pointer: String,
    pub reason: String,
}

impl Fault {
    fn new(pointer: impl Into<String>, reason: impl Into<String>) -> Self {
        Self { pointer: pointer.into(), reason: reason.into() }
    }
}

/// Where and why a value does not fit; without the value itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mismatch {
    /// JSON pointer into the value.
    pub pointer: String,
    pub reason: String,
}

#[derive(Debug)]
pub struct Compiled(Validator);

/// Of a compiled pattern.
const PATTERN_BYTES: usize = 256 << 10;
const MAX_REASON: usize = 300;

impl Compiled {
    pub fn new(schema: &Value) -> Result<Self, Fault> {
        bounds::check(schema)?;
        let patterns = PatternOptions::regex().size_limit(PATTERN_BYTES).dfa_size_limit(PATTERN_BYTES);
        let options = jsonschema::options().with_pattern_options(patterns);
        let built = options.build(schema);
        built.map(Self).map_err(|e| Fault::new(e.instance_path().to_string(), cut(e.masked().to_string())))
    }

    /// The first thing that does not fit.
    pub fn check(&self, value: &Value) -> Result<(), Mismatch> {
        self.0.validate(value).map_err(|error| Mismatch {
            pointer: error.instance_path().to_string(),
            reason: cut(error.masked().to_string()),
        })
    }
}

fn cut(mut text: String) -> String {
    if text.len() > MAX_REASON {
        text.truncate(text.floor_char_boundary(MAX_REASON));
        text.push('…');
    }
    text
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_does_not_fit_is_named_and_not_repeated() {
        let schema = json!({
            "type": "object",
            "required": ["order_id"],
            "properties": {
                "order_id": {"type": "string", "pattern": "^[0-9]+$"},
                "items": {"type": "array", "items": {"$ref": "#/$defs/item"}},
            },
            "$defs": {"item": {"type": "object", "properties": {"cents": {"type": "integer", "minimum": 0}}}},
        });
        let compiled = Compiled::new(&schema).unwrap();
        assert_eq!(compiled.check(&json!({"order_id": "9", "items": [{"cents": 5}]})), Ok(()));
        let pointer = |value: Value| compiled.check(&value).unwrap_err().pointer;
        assert_eq!(
            pointer(json!({"order_id": "9", "items": [{"cents": 5}, {"cents": -1}]})),
            "/items/1/cents"
        );
        assert_eq!(pointer(json!({})), "");
        assert_eq!(pointer(json!(null)), "");
        let mismatch = compiled.check(&json!({"order_id": "secret"})).unwrap_err();
        assert_eq!(mismatch.pointer, "/order_id");
        assert!(!mismatch.reason.contains("secret"), "{mismatch:?}");
    }

    #[test]
    fn each_draft_is_itself() {
        for draft in [
            "https://json-schema.org/draft/2020-12/schema",
            "https://json-schema.org/draft/2019-09/schema",
            "http://json-schema.org/draft-07/schema#",
        ] {
            let compiled = Compiled::new(&json!({"$schema": draft, "type": "integer"})).unwrap();
            assert!(compiled.check(&json!(1)).is_ok() && compiled.check(&json!("1")).is_err());
        }
        assert!(Compiled::new(&json!(true)).unwrap().check(&json!(1)).is_ok());
        assert!(Compiled::new(&json!(false)).unwrap().check(&json!(1)).is_err());
    }

    #[test]
    fn what_is_no_schema_is_refused_where_it_is_none() {
        let pointer = |schema: Value| Compiled::new(&schema).unwrap_err().pointer;
        assert_eq!(pointer(json!({"type": "text"})), "/type");
        assert_eq!(pointer(json!({"properties": {"a": {"minLength": -1}}})), "/properties/a/minLength");
        assert_eq!(pointer(json!("object")), "");
        assert!(Compiled::new(&json!({"pattern": "("})).is_err());
        assert!(Compiled::new(&json!({"pattern": "(?=a)"})).is_err(), "no looking around");
        assert!(Compiled::new(&json!({"pattern": "((a{1,100}){1,100}){1,100}"})).is_err());
    }

    /// A text that makes other engines go back and forth for ever.
    #[test]
    fn patterns_take_as_long_as_the_text() {
        let compiled = Compiled::new(&json!({"pattern": "^(a+)+$"})).unwrap();
        let text = format!("{}b", "a".repeat(100_000));
        assert!(compiled.check(&json!(text)).is_err());
    }
}
