//! The model's versions and what can be set of them.
//!
//! `pricing@1` takes every curve as its snapshot has it and has no parameters.
//! `pricing@2` has parameters: how curves are interpolated, whatever their
//! snapshots say (monotone convex unless told), and how short rates move, which
//! embedded options are priced with.

use std::collections::BTreeMap;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::curve::Interpolation;

/// The model's name.
pub const NAME: &str = "pricing";
/// Versions that there is code for.
pub const VERSIONS: [u32; 2] = [1, 2];

const MAX_CURVES: usize = 1_000;
const MAX_CURRENCIES: usize = 200;

/// Why a model cannot be had: where in its parameters, and a sentence.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{pointer}: {reason}")]
pub struct ModelError {
    /// A JSON pointer into the parameters; empty for the model itself.
    pub pointer: String,
    /// What is wrong.
    pub reason: String,
}

impl ModelError {
    fn new(pointer: impl Into<String>, reason: impl Into<String>) -> Self {
        Self { pointer: pointer.into(), reason: reason.into() }
    }
}

/// Hull and White's: dr = (θ(t) − a·r) dt + σ dW.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ShortRate {
    /// a, by year.
    pub mean_reversion: f64,
    /// σ, absolute by the square root of a year.
    pub volatility: f64,
}

impl Default for ShortRate {
    fn default() -> Self {
        Self { mean_reversion: 0.03, volatility: 0.01 }
    }
}

impl ShortRate {
    pub(crate) fn check(&self, pointer: &str) -> Result<(), ModelError> {
        let out = |name: &str, range: &str| Err(ModelError::new(format!("{pointer}/{name}"), range));
        if !(0.0..=1.0).contains(&self.mean_reversion) {
            return out("mean_reversion", "must be 0 to 1");
        }
        if !(0.0..=0.5).contains(&self.volatility) {
            return out("volatility", "must be 0 to 0.5");
        }
        Ok(())
    }
}

/// What operators can set.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Parameters {
    /// Of all rate curves; as the snapshot has it if `null`.
    pub interpolation: Option<Interpolation>,
    /// Of all spread curves; as the snapshot has it if `null`.
    pub spread_interpolation: Option<Interpolation>,
    /// Of single curves, before all else.
    pub curves: BTreeMap<String, Interpolation>,
    /// How short rates move.
    pub short_rate: ShortRate,
    /// How those of single currencies do.
    pub short_rates: BTreeMap<String, ShortRate>,
}

/// A version with its parameters.
#[derive(Debug, Clone, PartialEq)]
pub struct Model {
    version: u32,
    parameters: Parameters,
}

impl Default for Model {
    fn default() -> Self {
        Self { version: 1, parameters: Parameters::default() }
    }
}

impl Model {
    /// By name and version such as `pricing@2`. Parameters that are left out are
    /// as the version has them.
    pub fn read(name: &str, parameters: &Value) -> Result<Self, ModelError> {
        let unknown = || {
            let known: Vec<String> = VERSIONS.iter().map(|version| format!("{NAME}@{version}")).collect();
            ModelError::new("", format!("{name} is not known; known are {}", known.join(", ")))
        };
        let (of, version) = name.split_once('@').ok_or_else(unknown)?;
        let version = version.parse().ok().filter(|version| VERSIONS.contains(version) && of == NAME);
        let version = version.ok_or_else(unknown)?;
        let given = match parameters {
            Value::Null => &Map::new(),
            Value::Object(given) => given,
            _ => return Err(ModelError::new("", "must be an object")),
        };
        match version {
            1 => match given.keys().next() {
                Some(name) => Err(ModelError::new(format!("/{name}"), format!("{NAME}@1 has no parameters"))),
                None => Ok(Self::default()),
            },
            _ => Ok(Self { version, parameters: second(given)? }),
        }
    }

    /// `pricing@2`.
    pub fn name(&self) -> String {
        format!("{NAME}@{}", self.version)
    }

    /// Its number.
    pub fn version(&self) -> u32 {
        self.version
    }

    /// All of them; `null` if it has none.
    pub fn parameters(&self) -> Value {
        match self.version {
            1 => Value::Null,
            // A struct of numbers and names always serialises.
            _ => serde_json::to_value(&self.parameters).unwrap_or_default(),
        }
    }

    /// How a curve goes between its nodes.
    pub(crate) fn interpolation(&self, curve: &str, spread: bool, own: Interpolation) -> Interpolation {
        let all = match spread {
            true => self.parameters.spread_interpolation,
            false => self.parameters.interpolation,
        };
        self.parameters.curves.get(curve).copied().or(all).unwrap_or(own)
    }

    /// How a currency's short rate moves.
    pub fn short_rate(&self, currency: &str) -> ShortRate {
        self.parameters.short_rates.get(currency).copied().unwrap_or(self.parameters.short_rate)
    }
}

fn second(given: &Map<String, Value>) -> Result<Parameters, ModelError> {
    fn of<T: DeserializeOwned>(name: &str, value: &Value) -> Result<T, ModelError> {
        T::deserialize(value).map_err(|e| ModelError::new(format!("/{name}"), e.to_string()))
    }
    let mut all = Parameters { interpolation: Some(Interpolation::MonotoneConvex), ..Parameters::default() };
    for (name, value) in given {
        match name.as_str() {
            "interpolation" => all.interpolation = of(name, value)?,
            "spread_interpolation" => all.spread_interpolation = of(name, value)?,
            "curves" => all.curves = of(name, value)?,
            "short_rate" => all.short_rate = of(name, value)?,
            "short_rates" => all.short_rates = of(name, value)?,
            _ => return Err(ModelError::new(format!("/{name}"), "is not a parameter of pricing@2")),
        }
    }
    if all.curves.len() > MAX_CURVES {
        return Err(ModelError::new("/curves", format!("must be at most {MAX_CURVES}")));
    }
    if all.short_rates.len() > MAX_CURRENCIES {
        return Err(ModelError::new("/short_rates", format!("must be at most {MAX_CURRENCIES}")));
    }
    all.short_rate.check("/short_rate")?;
    for (currency, rate) in &all.short_rates {
        rate.check(&format!("/short_rates/{currency}"))?;
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_left_out_is_as_the_version_has_it() {
        let first = Model::read("pricing@1", &Value::Null).unwrap();
        assert_eq!((first.name().as_str(), first.parameters()), ("pricing@1", Value::Null));
        let own = Interpolation::LinearZero;
        assert_eq!(first.interpolation("USD-OIS", false, own), own);
        let given = json!({"curves": {"EUR-OIS": "log_linear_df"}, "short_rates": {"EUR": {"mean_reversion": 0.1, "volatility": 0.02}}});
        let second = Model::read("pricing@2", &given).unwrap();
        assert_eq!(second.interpolation("USD-OIS", false, own), Interpolation::MonotoneConvex);
        assert_eq!(second.interpolation("EUR-OIS", false, own), Interpolation::LogLinearDf);
        assert_eq!(second.interpolation("LOAN-SPREAD", true, own), own);
        assert_eq!((second.short_rate("EUR").volatility, second.short_rate("USD").volatility), (0.02, 0.01));
        // Said whole, it is the same again.
        assert_eq!(Model::read(&second.name(), &second.parameters()).unwrap(), second);
    }

    #[test]
    fn what_does_not_hold_is_named() {
        for (name, parameters, pointer) in [
            ("pricing@3", json!(null), ""),
            ("bots@1", json!({}), ""),
            ("pricing", json!({}), ""),
            ("pricing@1", json!({"interpolation": "cubic"}), "/interpolation"),
            ("pricing@2", json!([]), ""),
            ("pricing@2", json!({"interpolation": "splines"}), "/interpolation"),
            ("pricing@2", json!({"colour": 1}), "/colour"),
            ("pricing@2", json!({"curves": {"A": 7}}), "/curves"),
            (
                "pricing@2",
                json!({"short_rate": {"mean_reversion": -1.0, "volatility": 0.0}}),
                "/short_rate/mean_reversion",
            ),
            (
                "pricing@2",
                json!({"short_rates": {"EUR": {"mean_reversion": 0.0, "volatility": 9.0}}}),
                "/short_rates/EUR/volatility",
            ),
        ] {
            let error = Model::read(name, &parameters).unwrap_err();
            assert_eq!(error.pointer, pointer, "{error}");
        }
    }
}
