//! How a value that was found compares with the one that was asked for.

use std::cmp::Ordering;

use domain::rule::{Condition, Operator};
use regex::Regex;
use serde_json::{Number, Value};

use super::path::Path;
use super::pattern;

/// One condition of the list form, compiled.
#[derive(Debug)]
pub(crate) struct Test {
    path: Path,
    operator: Operator,
    value: Value,
    pattern: Option<Regex>,
}

impl Test {
    /// Compiles a condition; answers the field that can't be used and why.
    pub(crate) fn new(condition: &Condition) -> Result<Self, (&'static str, String)> {
        let path = Path::compile(&condition.path).map_err(|e| ("path", e))?;
        let value = condition.value.clone().unwrap_or(Value::Bool(true));
        let pattern = match (&condition.operator, &value) {
            (Operator::Regex, Value::String(p)) => Some(pattern::compile(p).map_err(|e| ("value", e))?),
            (Operator::Regex, _) => return Err(("value", "must be a text".into())),
            _ => None,
        };
        Ok(Self { path, operator: condition.operator, value, pattern })
    }

    pub(crate) fn holds(&self, body: &Value) -> bool {
        let found = self.path.find(body);
        match self.operator {
            Operator::Exists => found.is_empty() == (self.value == Value::Bool(false)),
            Operator::Ne => !found.iter().any(|v| equal(v, &self.value)),
            _ => found.iter().any(|v| self.compares(v)),
        }
    }

    fn compares(&self, found: &Value) -> bool {
        let ordered = |wanted: fn(Ordering) -> bool| order(found, &self.value).is_some_and(wanted);
        let texts = |test: fn(&str, &str) -> bool| match (found, &self.value) {
            (Value::String(found), Value::String(asked)) => test(found, asked),
            _ => false,
        };
        match self.operator {
            Operator::Eq => equal(found, &self.value),
            Operator::Gt => ordered(Ordering::is_gt),
            Operator::Gte => ordered(Ordering::is_ge),
            Operator::Lt => ordered(Ordering::is_lt),
            Operator::Lte => ordered(Ordering::is_le),
            Operator::Contains => match found {
                Value::Array(list) => list.iter().any(|v| equal(v, &self.value)),
                _ => texts(|found, asked| found.contains(asked)),
            },
            Operator::StartsWith => texts(|found, asked| found.starts_with(asked)),
            Operator::EndsWith => texts(|found, asked| found.ends_with(asked)),
            Operator::Regex => match (found, &self.pattern) {
                (Value::String(found), Some(pattern)) => pattern.is_match(found),
                _ => false,
            },
            Operator::In => match &self.value {
                Value::Array(list) => list.iter().any(|v| equal(found, v)),
                _ => false,
            },
            // Judged over all that was found.
            Operator::Ne | Operator::Exists => false,
        }
    }
}

/// Numbers by what they are worth, everything else as it is.
fn equal(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => compare_numbers(a, b) == Some(Ordering::Equal),
        _ => a == b,
    }
}

/// Two texts by their letters; if one is a number, the other is read as one.
fn order(a: &Value, b: &Value) -> Option<Ordering> {
    match (a, b) {
        (Value::String(a), Value::String(b)) => Some(a.cmp(b)),
        (Value::Number(a), Value::Number(b)) => compare_numbers(a, b),
        (Value::Number(a), Value::String(b)) => compare_numbers(a, &b.trim().parse().ok()?),
        (Value::String(a), Value::Number(b)) => compare_numbers(&a.trim().parse().ok()?, b),
        _ => None,
    }
}

fn compare_numbers(a: &Number, b: &Number) -> Option<Ordering> {
    whole(a).zip(whole(b)).map(|(a, b)| a.cmp(&b)).or_else(|| a.as_f64()?.partial_cmp(&b.as_f64()?))
}

fn whole(number: &Number) -> Option<i128> {
    number.as_i64().map(i128::from).or_else(|| number.as_u64().map(i128::from))
}
