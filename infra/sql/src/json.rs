//! `json_text(json, path)`, `json_integer` and `json_number`: one value out of
//! a JSON text, without reading the rest of it into anything.

use std::fmt;
use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, AsArray, Float64Array, Int64Array, StringArray};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::DataType;
use datafusion::common::{ScalarValue, exec_datafusion_err, plan_datafusion_err};
use datafusion::error::Result;
use datafusion::logical_expr::{
    ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, TypeSignature, Volatility,
};
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::Value;

pub fn functions() -> Vec<Arc<ScalarUDF>> {
    [Kind::Text, Kind::Integer, Kind::Number]
        .map(|kind| Arc::new(ScalarUDF::from(JsonValue::new(kind))))
        .into()
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Kind {
    Text,
    Integer,
    Number,
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct JsonValue {
    kind: Kind,
    signature: Signature,
}

impl JsonValue {
    fn new(kind: Kind) -> Self {
        let texts = TypeSignature::String(2);
        Self { kind, signature: Signature::new(texts, Volatility::Immutable) }
    }
}

impl ScalarUDFImpl for JsonValue {
    fn name(&self) -> &str {
        match self.kind {
            Kind::Text => "json_text",
            Kind::Integer => "json_integer",
            Kind::Number => "json_number",
        }
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(match self.kind {
            Kind::Text => DataType::Utf8,
            Kind::Integer => DataType::Int64,
            Kind::Number => DataType::Float64,
        })
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let [json, path] = args.args.as_slice() else {
            return Err(plan_datafusion_err!("{} takes a JSON text and a path", self.name()));
        };
        let path = match path {
            ColumnarValue::Scalar(ScalarValue::Utf8(path) | ScalarValue::Utf8View(path)) => path.clone(),
            ColumnarValue::Scalar(ScalarValue::LargeUtf8(path)) => path.clone(),
            _ => return Err(exec_datafusion_err!("the path must be the same text for all rows")),
        };
        let path = path.as_deref().map(parse).transpose()?;
        let one = matches!(json, ColumnarValue::Scalar(_));
        let texts = cast(&json.to_array(args.number_rows)?, &DataType::Utf8)?;
        let texts = texts.as_string::<i32>();
        let values = texts.iter().map(|text| at(text?, path.as_deref()?));
        let array: ArrayRef = match self.kind {
            Kind::Text => Arc::new(values.map(|v| v.and_then(text)).collect::<StringArray>()),
            Kind::Integer => Arc::new(values.map(|v| v?.as_i64()).collect::<Int64Array>()),
            Kind::Number => Arc::new(values.map(|v| v?.as_f64()).collect::<Float64Array>()),
        };
        Ok(match one && array.len() == 1 {
            true => ColumnarValue::Scalar(ScalarValue::try_from_array(&array, 0)?),
            false => ColumnarValue::Array(array),
        })
    }
}

/// Of a text its characters, of anything else its JSON.
fn text(value: Value) -> Option<String> {
    match value {
        Value::Null => None,
        Value::String(text) => Some(text),
        other => Some(other.to_string()),
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Step {
    Member(String),
    Item(usize),
}

/// `$.name`, `$["any name"]` and `$[0]`, one after the other.
fn parse(path: &str) -> Result<Vec<Step>> {
    let wrong = || exec_datafusion_err!("{path:?} is no path such as $.a.b, $.list[0] or $[\"a.b\"]");
    let mut rest = path.strip_prefix('$').ok_or_else(wrong)?;
    let mut steps = Vec::new();
    while !rest.is_empty() {
        if let Some(name) = rest.strip_prefix('.') {
            let end = name.find(['.', '[']).unwrap_or(name.len());
            if end == 0 {
                return Err(wrong());
            }
            steps.push(Step::Member(name[..end].to_owned()));
            rest = &name[end..];
        } else if let Some(quoted) = rest.strip_prefix("[\"") {
            let end = quoted.find("\"]").ok_or_else(wrong)?;
            steps.push(Step::Member(quoted[..end].to_owned()));
            rest = &quoted[end + 2..];
        } else {
            let index = rest.strip_prefix('[').ok_or_else(wrong)?;
            let end = index.find(']').ok_or_else(wrong)?;
            steps.push(Step::Item(index[..end].parse().map_err(|_| wrong())?));
            rest = &index[end + 1..];
        }
    }
    Ok(steps)
}

/// The value at a path; none if there is none, or the text is not JSON.
fn at(text: &str, path: &[Step]) -> Option<Value> {
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let found = Descend(path).deserialize(&mut deserializer).ok()?;
    deserializer.end().ok()?;
    found
}

struct Descend<'p>(&'p [Step]);

impl<'de> DeserializeSeed<'de> for Descend<'_> {
    type Value = Option<Value>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Option<Value>, D::Error> {
        match self.0 {
            [] => serde::Deserialize::deserialize(deserializer).map(Some),
            _ => deserializer.deserialize_any(self),
        }
    }
}

/// Anything that is neither an object nor a list has no value further down.
macro_rules! nothing {
    ($($visit:ident: $type:ty),*) => {
        $(fn $visit<E>(self, _: $type) -> Result<Self::Value, E> { Ok(None) })*
    };
}

impl<'de> Visitor<'de> for Descend<'_> {
    type Value = Option<Value>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    nothing!(visit_bool: bool, visit_i64: i64, visit_u64: u64, visit_f64: f64, visit_str: &str);

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut found = None;
        while let Some(key) = map.next_key::<std::borrow::Cow<'_, str>>()? {
            match self.0 {
                [Step::Member(name), rest @ ..] if *name == key => {
                    found = map.next_value_seed(Descend(rest))?;
                }
                _ => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(found)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
        let mut found = None;
        for index in 0_usize.. {
            match self.0 {
                [Step::Item(wanted), rest @ ..] if *wanted == index => {
                    let Some(value) = list.next_element_seed(Descend(rest))? else { break };
                    found = value;
                }
                _ => {
                    if list.next_element::<IgnoredAny>()?.is_none() {
                        break;
                    }
                }
            }
        }
        Ok(found)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use serde_json::json;

    use super::*;

    fn get(text: &str, path: &str) -> Option<Value> {
        at(text, &parse(path).unwrap())
    }

    #[test]
    fn a_path_leads_to_its_value() {
        let text = r#"{"a": {"b": [1, {"c.d": "x"}]}, "n": null, "e": "q\"u"}"#;
        assert_eq!(get(text, "$.a.b[0]"), Some(json!(1)));
        assert_eq!(get(text, "$.a.b[1][\"c.d\"]"), Some(json!("x")));
        assert_eq!(get(text, "$.e"), Some(json!("q\"u")));
        assert_eq!(get(text, "$.n"), Some(Value::Null));
        assert_eq!(get(text, "$"), serde_json::from_str(text).ok());
        for nothing in ["$.x", "$.a.b[7]", "$.a[0]", "$.e.x", "$.n.x"] {
            assert_eq!(get(text, nothing), None, "{nothing}");
        }
        assert_eq!(get("not json", "$.a"), None);
        assert_eq!(get(r#"{"a":1} x"#, "$.a"), None);
    }

    #[test]
    fn what_is_no_path_is_refused() {
        for bad in ["", "a", "$a", "$.", "$..a", "$[", "$[x]", "$[\"a", "$.a[-1]"] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }
}
