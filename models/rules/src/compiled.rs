//! A rule's conditions, compiled.

use domain::rule::{Definition, Series};
use serde_json::Value;

use super::cel::Cel;
use super::compare::Test;
use super::path::Path;

/// Why a rule can't be saved: the field, by JSON pointer, and the reason.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{pointer}: {reason}")]
pub struct Invalid {
    /// JSON pointer into the definition
    pub pointer: String,
    /// In one sentence
    pub reason: String,
}

/// Whether an event matches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// All conditions hold
    Matches,
    /// One does not
    Differs,
    /// The expression can't be evaluated over this event, so it does not match
    Fails(String),
}

/// The conditions of a rule, ready to be asked.
#[derive(Debug)]
pub struct Compiled {
    tests: Vec<Test>,
    cel: Option<Cel>,
    key: Option<Path>,
    value: Option<Path>,
}

impl Compiled {
    /// Compiles all that a definition says.
    pub fn new(definition: &Definition) -> Result<Self, Invalid> {
        let mut tests = Vec::with_capacity(definition.conditions.len());
        for (i, condition) in definition.conditions.iter().enumerate() {
            let test = Test::new(condition);
            tests.push(test.map_err(|(field, reason)| invalid(&format!("/conditions/{i}/{field}"), reason))?);
        }
        let cel = definition.cel.as_deref().map(Cel::compile).transpose();
        let cel = cel.map_err(|e| invalid("/cel", e.to_string()))?;
        let path = |pointer: &str, text: Option<&String>| {
            text.map(|t| Path::compile(t).map_err(|e| invalid(pointer, e))).transpose()
        };
        let anomaly = definition.anomaly.as_ref();
        let key = path("/anomaly/key", anomaly.and_then(|a| a.key.as_ref()))?;
        let value = anomaly.and_then(|a| match &a.series {
            Series::Value { path } => Some(path),
            Series::Count | Series::Taps => None,
        });
        let value = path("/anomaly/series/path", value)?;
        Ok(Self { tests, cel, key, value })
    }

    /// Whether all conditions hold. The list is asked first: it is cheaper.
    pub fn judge(&self, body: &Value) -> Outcome {
        if !self.tests.iter().all(|test| test.holds(body)) {
            return Outcome::Differs;
        }
        match self.cel.as_ref().map(|cel| cel.holds(body)) {
            None | Some(Ok(true)) => Outcome::Matches,
            Some(Ok(false)) => Outcome::Differs,
            Some(Err(error)) => Outcome::Fails(error.to_string()),
        }
    }

    /// Which of a rule's series an event belongs to: what the key's path finds
    /// first, as text. `None` if the rule asks for a key and there is none.
    pub fn key(&self, body: &Value) -> Option<String> {
        let Some(path) = &self.key else { return Some(String::new()) };
        path.find(body).first().map(|found| match found {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        })
    }

    /// The number that a rule's series has of an event; 1 where events are
    /// counted.
    pub fn number(&self, body: &Value) -> Option<f64> {
        let Some(path) = &self.value else { return Some(1.0) };
        match path.find(body).first()? {
            Value::Number(number) => number.as_f64(),
            Value::String(text) => text.trim().parse().ok(),
            _ => None,
        }
        .filter(|n: &f64| n.is_finite())
    }
}

fn invalid(pointer: &str, reason: String) -> Invalid {
    Invalid { pointer: pointer.to_owned(), reason }
}
