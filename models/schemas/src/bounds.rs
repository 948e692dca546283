//! What a schema may use.

use std::collections::HashMap;

use serde_json::{Map, Value};

use crate::Fault;

const MAX_DEPTH: usize = 32;
/// Parts with every reference written out.
const MAX_PARTS: usize = 2_000;
const MAX_PATTERN: usize = 512;
const MAX_LIST: usize = 1_024;

const DRAFTS: [&str; 3] = [
    "https://json-schema.org/draft/2020-12/schema",
    "https://json-schema.org/draft/2019-09/schema",
    "http://json-schema.org/draft-07/schema",
];

/// Words that give a part another base or are resolved while validating.
const UNUSED: [&str; 6] =
    ["$id", "$anchor", "$dynamicRef", "$dynamicAnchor", "$recursiveRef", "$recursiveAnchor"];

/// Members whose values are values, not schemas.
const VALUES: [&str; 4] = ["const", "enum", "default", "examples"];

pub fn check(schema: &Value) -> Result<(), Fault> {
    if !matches!(schema, Value::Object(_) | Value::Bool(_)) {
        return Err(Fault::new("", "must be an object or a boolean"));
    }
    if let Some(draft) = schema.get("$schema") {
        let known = draft.as_str().is_some_and(|d| DRAFTS.contains(&d.trim_end_matches('#')));
        if !known {
            return Err(Fault::new("/$schema", format!("must be one of {}", DRAFTS.join(", "))));
        }
    }
    let mut bounds = Bounds { root: schema, parts: HashMap::new() };
    bounds.parts_of(schema, "", 0).map(|_| ())
}

struct Bounds<'a> {
    root: &'a Value,
    /// How many parts stand at a pointer that a reference names; none while
    /// they are counted, so that what refers to itself is found.
    parts: HashMap<String, Option<Size>>,
}

/// With references written out.
#[derive(Clone, Copy, Default)]
struct Size {
    parts: usize,
    height: usize,
}

impl Size {
    fn add(&mut self, below: Self) {
        self.parts += below.parts;
        self.height = self.height.max(below.height + 1);
    }
}

impl Bounds<'_> {
    fn parts_of(&mut self, part: &Value, pointer: &str, depth: usize) -> Result<Size, Fault> {
        if depth > MAX_DEPTH {
            return Err(Fault::new(pointer, format!("is nested deeper than {MAX_DEPTH}")));
        }
        let mut size = Size { parts: 1, height: 0 };
        match part {
            Value::Object(members) => {
                self.words(members, pointer)?;
                if let Some(reference) = members.get("$ref") {
                    size.add(self.referred(reference, &format!("{pointer}/$ref"), depth)?);
                }
                for (name, value) in members {
                    let at = format!("{pointer}/{}", name.replace('~', "~0").replace('/', "~1"));
                    if VALUES.contains(&&**name) {
                        size.parts += 1;
                        continue;
                    }
                    size.add(self.parts_of(value, &at, depth + 1)?);
                    within(size, &at)?;
                }
            }
            Value::Array(items) => {
                if items.len() > MAX_LIST {
                    return Err(Fault::new(pointer, format!("must have at most {MAX_LIST} elements")));
                }
                for (i, item) in items.iter().enumerate() {
                    size.add(self.parts_of(item, &format!("{pointer}/{i}"), depth + 1)?);
                    within(size, pointer)?;
                }
            }
            _ => {}
        }
        within(size, pointer)?;
        Ok(size)
    }

    fn words(&self, members: &Map<String, Value>, pointer: &str) -> Result<(), Fault> {
        if let Some(word) = UNUSED.iter().find(|word| members.get(**word).is_some_and(Value::is_string)) {
            return Err(Fault::new(format!("{pointer}/{word}"), "is not supported; use $ref and $defs"));
        }
        if !pointer.is_empty() && members.get("$schema").is_some_and(Value::is_string) {
            return Err(Fault::new(format!("{pointer}/$schema"), "may stand at the top only"));
        }
        let long = |text: &str| text.len() > MAX_PATTERN;
        if members.get("pattern").and_then(Value::as_str).is_some_and(long) {
            return Err(Fault::new(
                format!("{pointer}/pattern"),
                format!("is longer than {MAX_PATTERN} bytes"),
            ));
        }
        let patterns = members.get("patternProperties").and_then(Value::as_object);
        if patterns.is_some_and(|p| p.keys().any(|name| long(name))) {
            let at = format!("{pointer}/patternProperties");
            return Err(Fault::new(at, format!("has a pattern longer than {MAX_PATTERN} bytes")));
        }
        Ok(())
    }

    fn referred(&mut self, reference: &Value, at: &str, depth: usize) -> Result<Size, Fault> {
        let Some(target) = reference.as_str() else { return Ok(Size::default()) };
        let Some(pointer) = target.strip_prefix('#').filter(|p| p.is_empty() || p.starts_with('/')) else {
            return Err(Fault::new(at, "must be a JSON pointer into this schema, such as #/$defs/item"));
        };
        if pointer.contains('%') {
            return Err(Fault::new(at, "must not be percent-encoded"));
        }
        match self.parts.get(pointer) {
            Some(Some(size)) if depth + 1 + size.height > MAX_DEPTH => {
                return Err(Fault::new(at, format!("leads deeper than {MAX_DEPTH}")));
            }
            Some(Some(size)) => return Ok(*size),
            Some(None) => return Err(Fault::new(at, "must not refer to what it stands in")),
            None => {}
        }
        let Some(part) = self.root.pointer(pointer) else {
            return Err(Fault::new(at, "leads to nothing"));
        };
        self.parts.insert(pointer.to_owned(), None);
        let size = self.parts_of(part, pointer, depth + 1)?;
        self.parts.insert(pointer.to_owned(), Some(size));
        Ok(size)
    }
}

fn within(size: Size, pointer: &str) -> Result<(), Fault> {
    match size.parts <= MAX_PARTS {
        true => Ok(()),
        false => {
            let reason = format!("has more than {MAX_PARTS} parts with its references written out");
            Err(Fault::new(pointer, reason))
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn refused(schema: Value) -> String {
        check(&schema).unwrap_err().pointer
    }

    #[test]
    fn nothing_is_fetched() {
        for target in ["https://example.com/a.json", "other.json", "#anchor", "file:///etc/passwd", "//a", ""]
        {
            assert_eq!(refused(json!({"items": {"$ref": target}})), "/items/$ref", "{target}");
        }
        assert_eq!(refused(json!({"$ref": "#/$defs/a"})), "/$ref", "leads to nothing");
        assert_eq!(refused(json!({"$id": "https://example.com/", "type": "object"})), "/$id");
        assert_eq!(refused(json!({"$schema": "https://example.com/draft"})), "/$schema");
        assert_eq!(refused(json!({"a": {"$dynamicRef": "#a"}})), "/a/$dynamicRef");
        // A property may be called like a word.
        assert!(
            check(&json!({"properties": {"$id": {"type": "string"}, "pattern": {"minLength": 1}}})).is_ok()
        );
    }

    #[test]
    fn nothing_refers_to_itself() {
        assert_eq!(refused(json!({"$ref": "#"})), "/$ref");
        let cycle =
            json!({"$ref": "#/$defs/a", "$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"$ref": "#/$defs/a"}}});
        assert_eq!(refused(cycle), "/$defs/b/$ref");
        let tree =
            json!({"$defs": {"n": {"properties": {"next": {"$ref": "#/$defs/n"}}}}, "$ref": "#/$defs/n"});
        assert_eq!(refused(tree), "/$defs/n/properties/next/$ref");
        let twice = json!({"properties": {"a": {"$ref": "#/$defs/n"}, "b": {"$ref": "#/$defs/n"}},
            "$defs": {"n": {"type": "string"}}});
        assert!(check(&twice).is_ok());
    }

    #[test]
    fn what_grows_when_written_out_is_counted() {
        let mut defs = Map::new();
        for n in 0..6 {
            let next = json!({"$ref": format!("#/$defs/{}", n + 1)});
            defs.insert(n.to_string(), json!({"allOf": [next, next, next, next]}));
        }
        defs.insert("6".into(), json!({"type": "string"}));
        assert!(check(&json!({"$ref": "#/$defs/8", "$defs": {"8": {}}})).is_ok());
        assert!(
            check(&json!({"$ref": "#/$defs/0", "$defs": defs})).unwrap_err().reason.contains("2000 parts")
        );
    }

    #[test]
    fn depth_lists_and_patterns_are_bounded() {
        let mut deep = json!({});
        for _ in 0..40 {
            deep = json!({"items": deep});
        }
        assert!(check(&deep).unwrap_err().reason.contains("deeper"));
        assert_eq!(refused(json!({"required": vec!["a"; 1_025]})), "/required");
        assert_eq!(refused(json!({"items": {"pattern": "a".repeat(513)}})), "/items/pattern");
        assert_eq!(refused(json!({"patternProperties": {"a".repeat(513): {}}})), "/patternProperties");
        assert_eq!(refused(json!([])), "");
        assert!(check(&json!({"enum": vec![1; 5_000]})).is_ok());
    }
}
