//! Strict reading of JSON: what serde_json lets through and a system that
//! keeps facts for ever should not.

use std::cell::RefCell;
use std::collections::HashSet;
use std::fmt;

use serde::de::{DeserializeOwned, DeserializeSeed, MapAccess, SeqAccess, Visitor};
use serde_json::error::Category;
use serde_path_to_error::Segment;

use crate::problem::{Kind, Place, Problem};

/// serde_json stops at 128 by itself, with a message of its own.
pub const MAX_DEPTH: usize = 120;

/// Reads `bytes` into `T` or says what is wrong with them and where.
pub fn read<T: DeserializeOwned>(bytes: &[u8], max_depth: usize) -> Result<T, Problem> {
    let text = utf8(bytes)?;
    check(text, max_depth.min(MAX_DEPTH))?;
    // serde would take an array for a struct, field by field in their order.
    if !text.trim_start().starts_with('{') {
        return Err(Problem::field("", "must be an object"));
    }
    let mut json = serde_json::Deserializer::from_str(text);
    serde_path_to_error::deserialize(&mut json).map_err(|e| {
        let pointer = pointer(e.path());
        mismatch(pointer, &e.into_inner())
    })
}

/// The same checks of a text that may be any value.
pub fn check_bytes(bytes: &[u8], max_depth: usize) -> Result<(), Problem> {
    check(utf8(bytes)?, max_depth.min(MAX_DEPTH))
}

fn utf8(bytes: &[u8]) -> Result<&str, Problem> {
    std::str::from_utf8(bytes).map_err(|e| {
        let detail = format!("The body is not valid UTF-8 at byte {}.", e.valid_up_to());
        Problem::new(Kind::InvalidJson, detail)
    })
}

/// Walks the text without building anything: syntax, depth, keys that occur
/// twice in an object, NUL in strings.
fn check(text: &str, max_depth: usize) -> Result<(), Problem> {
    let found = Found { max_depth, path: RefCell::default(), problem: RefCell::default() };
    let mut json = serde_json::Deserializer::from_str(text);
    let walked = Walk { found: &found, depth: 0 }.deserialize(&mut json).and_then(|()| json.end());
    match (walked, found.problem.into_inner()) {
        (_, Some(problem)) => Err(problem),
        (Ok(()), None) => Ok(()),
        (Err(e), None) => Err(syntax(&e)),
    }
}

fn syntax(error: &serde_json::Error) -> Problem {
    let what = message(error);
    let (line, column) = (error.line(), error.column());
    let what = match error.classify() {
        Category::Eof => "the text ends too early".to_owned(),
        _ => what,
    };
    Problem::new(Kind::InvalidJson, format!("The body is not JSON at line {line}, column {column}: {what}."))
        .with("line", line)
        .with("column", column)
}

/// The error's text without serde_json's position suffix.
fn message(error: &serde_json::Error) -> String {
    let text = error.to_string();
    match text.rfind(" at line ") {
        Some(end) => text[..end].to_owned(),
        None => text,
    }
}

/// A value that is JSON but not what the operation takes.
fn mismatch(pointer: String, error: &serde_json::Error) -> Problem {
    let text = message(error);
    match reworded(&text) {
        Mismatch::Unknown(field) => {
            let reason = "is not a field of this operation";
            Problem::at(Kind::UnknownField, Place::Pointer(child(&pointer, field)), reason)
        }
        Mismatch::Missing(field) => Problem::field(child(&pointer, field), "is missing"),
        Mismatch::Repeated(field) => Problem::field(child(&pointer, field), "is given twice"),
        Mismatch::Other(reason) => Problem::field(pointer, reason),
    }
}

pub enum Mismatch<'a> {
    Unknown(&'a str),
    Missing(&'a str),
    Repeated(&'a str),
    Other(String),
}

/// serde's messages, without the names of Rust types and without the client's
/// own text, which may be long.
pub fn reworded(text: &str) -> Mismatch<'_> {
    let quoted = |prefix: &str| text.strip_prefix(prefix)?.split('`').next();
    if let Some(field) = quoted("unknown field `") {
        return Mismatch::Unknown(field);
    }
    if let Some(field) = quoted("missing field `") {
        return Mismatch::Missing(field);
    }
    if let Some(field) = quoted("duplicate field `") {
        return Mismatch::Repeated(field);
    }
    let (_, expected) = text.rsplit_once(", expected ").unwrap_or(("", ""));
    if text.starts_with("unknown variant ") {
        let choices = expected.strip_prefix("one of ").unwrap_or(expected).replace('`', "\"");
        return Mismatch::Other(format!("must be one of {choices}"));
    }
    if text.starts_with("invalid ") && !expected.is_empty() {
        return Mismatch::Other(format!("must be {}", plain(expected)));
    }
    if text.starts_with("invalid digit ")
        || text.starts_with("cannot parse integer ")
        || text.starts_with("number too ")
    {
        return Mismatch::Other("must be a whole number that is not negative and not too large".into());
    }
    Mismatch::Other(text.to_owned())
}

/// A Rust type as a client would call it.
pub fn plain(expected: &str) -> &str {
    match expected {
        "u8" | "u16" | "u32" | "u64" | "usize" => "a whole number that is not negative and not too large",
        "i8" | "i16" | "i32" | "i64" | "isize" => "a whole number that is not too large",
        "f32" | "f64" => "a number",
        "a sequence" => "an array",
        "a map" | "map" => "an object",
        "a boolean" | "bool" => "true or false",
        "string" | "str" => "a string",
        "unit" => "null",
        _ if expected.starts_with("struct ") => "an object",
        _ if expected.contains("enum ") => "an object or a string as documented",
        _ if expected.starts_with("tuple ") => "an array",
        other => other,
    }
}

fn child(pointer: &str, field: &str) -> String {
    let suffix = format!("/{}", escape(field));
    if pointer.ends_with(&suffix) { pointer.to_owned() } else { format!("{pointer}{suffix}") }
}

fn escape(key: &str) -> String {
    key.replace('~', "~0").replace('/', "~1")
}

fn pointer(path: &serde_path_to_error::Path) -> String {
    let mut out = String::new();
    for segment in path {
        match segment {
            Segment::Seq { index } => out.push_str(&format!("/{index}")),
            Segment::Map { key } => out.push_str(&format!("/{}", escape(key))),
            Segment::Enum { .. } | Segment::Unknown => {}
        }
    }
    out
}

struct Found {
    max_depth: usize,
    path: RefCell<Vec<String>>,
    problem: RefCell<Option<Problem>>,
}

impl Found {
    fn stop<E: serde::de::Error>(&self, kind: Kind, reason: impl fmt::Display) -> E {
        let pointer: String = self.path.borrow().iter().map(|s| format!("/{s}")).collect();
        *self.problem.borrow_mut() = Some(Problem::at(kind, Place::Pointer(pointer), reason));
        E::custom("refused")
    }

    fn within<T>(&self, segment: String, work: impl FnOnce() -> T) -> T {
        self.path.borrow_mut().push(segment);
        let result = work();
        self.path.borrow_mut().pop();
        result
    }
}

#[derive(Clone, Copy)]
struct Walk<'a> {
    found: &'a Found,
    depth: usize,
}

impl Walk<'_> {
    fn deeper<E: serde::de::Error>(self) -> Result<Self, E> {
        if self.depth == self.found.max_depth {
            let reason = format!("is nested deeper than {} levels", self.depth);
            return Err(self.found.stop(Kind::TooDeep, reason));
        }
        Ok(Self { depth: self.depth + 1, ..self })
    }
}

impl<'de> DeserializeSeed<'de> for Walk<'_> {
    type Value = ();
    fn deserialize<D: serde::Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Walk<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<(), E> {
        if text.contains('\0') {
            return Err(self.found.stop(Kind::InvalidField, "must not contain the NUL character"));
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        let inner = self.deeper()?;
        let mut index = 0;
        while self.found.within(index.to_string(), || items.next_element_seed(inner))?.is_some() {
            index += 1;
        }
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<(), A::Error> {
        let inner = self.deeper()?;
        let mut seen = HashSet::new();
        while let Some(key) = members.next_key::<String>()? {
            self.found.within(escape(&key), || {
                if key.contains('\0') {
                    let reason = "must not contain the NUL character";
                    return Err(self.found.stop(Kind::InvalidField, reason));
                }
                if seen.contains(&key) {
                    return Err(self.found.stop(Kind::InvalidJson, "occurs twice in its object"));
                }
                members.next_value_seed(inner)
            })?;
            seen.insert(key);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, PartialEq, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Outer {
        name: String,
        #[serde(default)]
        rows: Vec<Row>,
        mode: Option<Mode>,
    }

    #[derive(Debug, PartialEq, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Row {
        id: u32,
    }

    #[derive(Debug, PartialEq, Deserialize)]
    #[serde(rename_all = "snake_case")]
    enum Mode {
        On,
        Off,
    }

    /// Kind, pointer and reason of the problem with a body.
    fn refused(body: &str) -> (Kind, String, String) {
        let problem = read::<Outer>(body.as_bytes(), 64).unwrap_err();
        match problem.errors() {
            [fault] => {
                let Place::Pointer(pointer) = &fault.place else { panic!("{fault:?}") };
                (problem.kind(), pointer.clone(), fault.detail.clone())
            }
            _ => (problem.kind(), "-".into(), problem.detail().into()),
        }
    }

    #[test]
    fn what_is_wrong_is_named() {
        use Kind::*;
        let cases: &[(&str, Kind, &str, &str)] = &[
            ("", InvalidJson, "-", "The body is not JSON at line 1, column 0: the text ends too early."),
            (
                "{\"name\":",
                InvalidJson,
                "-",
                "The body is not JSON at line 1, column 8: the text ends too early.",
            ),
            (
                "{\n \"name\": x}",
                InvalidJson,
                "-",
                "The body is not JSON at line 2, column 10: expected value.",
            ),
            (
                "{\"name\":\"a\"} {}",
                InvalidJson,
                "-",
                "The body is not JSON at line 1, column 14: trailing characters.",
            ),
            (
                "{\"name\":\"a\0\"}",
                InvalidJson,
                "-",
                "The body is not JSON at line 1, column 11: control character (\\u0000-\\u001F) found while parsing a string.",
            ),
            ("[\"a\"]", InvalidField, "", "must be an object"),
            ("{}", InvalidField, "/name", "is missing"),
            ("7", InvalidField, "", "must be an object"),
            ("{\"name\":7}", InvalidField, "/name", "must be a string"),
            ("{\"name\":null}", InvalidField, "/name", "must be a string"),
            ("{\"name\":\"a\",\"extra\":1}", UnknownField, "/extra", "is not a field of this operation"),
            ("{\"name\":\"a\",\"x/y~\":1}", UnknownField, "/x~1y~0", "is not a field of this operation"),
            ("{\"name\":\"a\",\"rows\":{}}", InvalidField, "/rows", "must be an array"),
            (
                "{\"name\":\"a\",\"rows\":[{\"id\":1},{\"id\":-1}]}",
                InvalidField,
                "/rows/1/id",
                "must be a whole number that is not negative and not too large",
            ),
            ("{\"name\":\"a\",\"rows\":[{}]}", InvalidField, "/rows/0/id", "is missing"),
            (
                "{\"name\":\"a\",\"rows\":[{\"id\":1,\"z\":2}]}",
                UnknownField,
                "/rows/0/z",
                "is not a field of this operation",
            ),
            ("{\"name\":\"a\",\"mode\":\"dim\"}", InvalidField, "/mode", "must be one of \"on\" or \"off\""),
            ("{\"name\":\"a\",\"name\":\"b\"}", InvalidJson, "/name", "occurs twice in its object"),
            ("{\"rows\":[{\"id\":1,\"id\":1}]}", InvalidJson, "/rows/0/id", "occurs twice in its object"),
            ("{\"name\":\"a\\u0000b\"}", InvalidField, "/name", "must not contain the NUL character"),
            (
                "{\"name\":\"\\ud800\"}",
                InvalidJson,
                "-",
                "The body is not JSON at line 1, column 16: unexpected end of hex escape.",
            ),
            (
                "{\"name\":1e999}",
                InvalidJson,
                "-",
                "The body is not JSON at line 1, column 13: number out of range.",
            ),
        ];
        for (body, kind, pointer, reason) in cases {
            let wanted = (*kind, pointer.to_string(), reason.to_string());
            assert_eq!(refused(body), wanted, "{body}");
        }
    }

    #[test]
    fn nesting_has_a_limit_of_its_own() {
        let nested = |depth: usize| {
            let (open, close) = ("[".repeat(depth - 1), "]".repeat(depth - 1));
            format!("{{\"a\":{open}{close}}}")
        };
        assert!(read::<serde_json::Value>(nested(64).as_bytes(), 64).is_ok());
        for depth in [65, 127, 128, 1_000, 1_000_000] {
            let problem = read::<serde_json::Value>(nested(depth).as_bytes(), 64).unwrap_err();
            assert_eq!(problem.kind(), Kind::TooDeep, "{depth}");
        }
        let most = read::<serde_json::Value>(nested(121).as_bytes(), usize::MAX).unwrap_err();
        assert_eq!(most.kind(), Kind::TooDeep);
    }

    #[test]
    fn a_long_text_is_not_given_back() {
        let body = format!("{{\"name\":\"a\",\"{}\":1}}", "x".repeat(1 << 20));
        let problem = read::<Outer>(body.as_bytes(), 64).unwrap_err();
        assert!(problem.to_json().to_string().len() < 4_096);
    }

    #[test]
    fn invalid_utf8_names_the_byte() {
        let problem = read::<Outer>(b"{\"name\":\"\xff\"}", 64).unwrap_err();
        assert_eq!(problem.detail(), "The body is not valid UTF-8 at byte 9.");
    }
}
