//! What an operator may set of the model that forecasts are made by.

use domain::ports::rows::ModelId;
use models_fantasy::parameters::{LIMITS, Parameters};
use models_fantasy::{MODEL, VERSION};
use serde_json::{Map, Value, json};

/// Races drawn for each forecast.
const RUNS: std::ops::RangeInclusive<u64> = 100..=5_000;
const USUAL_RUNS: u64 = 500;

/// A member that does not hold, by its JSON pointer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{pointer} {reason}")]
pub struct BadSetting {
    pub pointer: String,
    pub reason: String,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    pub parameters: Parameters,
    pub runs: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self { parameters: Parameters::default(), runs: USUAL_RUNS as usize }
    }
}

impl Settings {
    /// Reads what an operator wrote; what is left out is as the model has it.
    pub fn parse(value: &Value) -> Result<Self, BadSetting> {
        let given = match value {
            Value::Null => Map::new(),
            Value::Object(members) => members.clone(),
            _ => return Err(bad("", "must be an object".into())),
        };
        let mut whole = Self::default().to_json();
        for (name, value) in given {
            let pointer = format!("/{}", name.replace('~', "~0").replace('/', "~1"));
            let Some(known) = whole.get_mut(&name) else {
                return Err(bad(&pointer, format!("is no parameter of {MODEL}@{VERSION}")));
            };
            if name == "runs" {
                let runs = value.as_u64().filter(|runs| RUNS.contains(runs));
                let wrong = || format!("must be a whole number from {} to {}", RUNS.start(), RUNS.end());
                *known = json!(runs.ok_or_else(|| bad(&pointer, wrong()))?);
                continue;
            }
            let number = value.as_f64().filter(|number| LIMITS.contains(number));
            let wrong = || format!("must be a number from {} to {}", LIMITS.start(), LIMITS.end());
            *known = json!(number.ok_or_else(|| bad(&pointer, wrong()))?);
        }
        let runs = whole.remove("runs").and_then(|runs| runs.as_u64()).unwrap_or(USUAL_RUNS);
        let parameters = serde_json::from_value(Value::Object(whole));
        let parameters = parameters.map_err(|error| bad("", error.to_string()))?;
        Ok(Self { parameters, runs: runs as usize })
    }

    /// All of them.
    pub fn to_json(&self) -> Map<String, Value> {
        // Numbers by name always serialise.
        let mut members = match serde_json::to_value(&self.parameters) {
            Ok(Value::Object(members)) => members,
            _ => Map::new(),
        };
        members.insert("runs".into(), json!(self.runs));
        members
    }

    pub fn model(&self) -> ModelId {
        ModelId { parameters: Value::Object(self.to_json()), ..ModelId::new(MODEL, VERSION) }
    }
}

fn bad(pointer: &str, reason: String) -> BadSetting {
    BadSetting { pointer: pointer.to_owned(), reason }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_out_is_as_the_model_has_it() {
        assert_eq!(Settings::parse(&Value::Null).unwrap(), Settings::default());
        let parsed = Settings::parse(&json!({"recent_half_life": 4, "runs": 200})).unwrap();
        assert_eq!((parsed.parameters.changed(), parsed.runs), (vec![("recent_half_life", 4.0)], 200));
        assert_eq!(Settings::parse(&parsed.model().parameters).unwrap(), parsed);
    }

    #[test]
    fn what_cannot_be_meant_is_named() {
        let fault = |value: Value| Settings::parse(&value).unwrap_err().to_string();
        assert_eq!(fault(json!({"recent": 4})), "/recent is no parameter of plackett-luce-back@1");
        assert_eq!(fault(json!({"ridge": 0})), "/ridge must be a number from 0.5 to 10000");
        assert_eq!(fault(json!({"ridge": "30"})), "/ridge must be a number from 0.5 to 10000");
        assert_eq!(fault(json!({"runs": 1e9})), "/runs must be a whole number from 100 to 5000");
        assert_eq!(fault(json!([])), " must be an object");
    }
}
