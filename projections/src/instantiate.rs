//! A projection under a given model: the one that a generation was built by,
//! or the one that an operator defined.

use std::sync::Arc;

use domain::ports::rows::ModelId;
use models::taps::{self, BadParameter, Parameters};
use models_stylometry::fingerprint;
use serde_json::Value;

use crate::dfs_projections::{BadSetting, DfsProjections, NAME, Settings};
use crate::projection::Projection;
use crate::{all, style_fingerprints, tap_analytics};

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ModelError {
    #[error("there is no projection {0}")]
    UnknownProjection(String),
    #[error("{projection} needs code for {model}, which this build does not have")]
    UnknownModel { projection: String, model: String },
    /// By a JSON pointer into the parameters.
    #[error("{pointer} {reason}")]
    Parameter { pointer: String, reason: String },
}

impl From<BadParameter> for ModelError {
    fn from(bad: BadParameter) -> Self {
        Self::Parameter { pointer: bad.pointer, reason: bad.reason }
    }
}

impl From<fingerprint::BadParameter> for ModelError {
    fn from(bad: fingerprint::BadParameter) -> Self {
        Self::Parameter { pointer: bad.pointer, reason: bad.reason }
    }
}

impl From<BadSetting> for ModelError {
    fn from(bad: BadSetting) -> Self {
        Self::Parameter { pointer: bad.pointer, reason: bad.reason }
    }
}

pub fn names() -> Vec<&'static str> {
    all().iter().map(|p| p.name()).collect()
}

/// The models that this build has code for, with their parameters where nobody
/// has said anything else; that of a new installation first.
pub fn versions(name: &str) -> Vec<ModelId> {
    let mut found: Vec<ModelId> = all().iter().filter(|p| p.name() == name).map(|p| p.model()).collect();
    if name == tap_analytics::NAME {
        let others = taps::VERSIONS.iter().filter(|v| **v != taps::VERSION);
        found.extend(others.map(|v| tap_analytics::TapAnalytics::new(*v, Parameters::of(*v)).model()));
    }
    if name == NAME {
        found.push(DfsProjections::plain_model());
    }
    found
}

/// The projection of this name as the model sees it. Parameters that are left
/// out are as [`versions`] has them.
pub fn instantiate(name: &str, model: &ModelId) -> Result<Arc<dyn Projection>, ModelError> {
    let known = versions(name);
    if known.is_empty() {
        return Err(ModelError::UnknownProjection(name.into()));
    }
    if !known.iter().any(|k| k.name == model.name && k.version == model.version) {
        return Err(ModelError::UnknownModel { projection: name.into(), model: model.to_string() });
    }
    if name == tap_analytics::NAME {
        let parameters = Parameters::parse(model.version, &model.parameters)?;
        return Ok(Arc::new(tap_analytics::TapAnalytics::new(model.version, parameters)));
    }
    if name == style_fingerprints::NAME {
        let parameters = fingerprint::Parameters::parse(&model.parameters)?;
        return Ok(Arc::new(style_fingerprints::StyleFingerprints::new(parameters)));
    }
    if name == NAME && model.name != NAME {
        let settings = Settings::parse(&model.parameters)?;
        return Ok(Arc::new(DfsProjections::new(settings)));
    }
    match &model.parameters {
        Value::Null => {}
        Value::Object(members) if members.is_empty() => {}
        Value::Object(members) => {
            let pointer = members.keys().next().map(|k| format!("/{k}")).unwrap_or_default();
            return Err(ModelError::Parameter { pointer, reason: format!("is no parameter of {model}") });
        }
        _ => {
            let reason = format!("{model} has no parameters");
            return Err(ModelError::Parameter { pointer: String::new(), reason });
        }
    }
    if name == NAME {
        return Ok(Arc::new(DfsProjections::plain()));
    }
    let found = all().into_iter().find(|p| p.name() == name);
    found.ok_or_else(|| ModelError::UnknownProjection(name.into()))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn model(name: &str, version: u32, parameters: Value) -> ModelId {
        ModelId { parameters, ..ModelId::new(name, version) }
    }

    #[test]
    fn every_default_is_found_by_its_own_model() {
        for projection in all() {
            let again = instantiate(projection.name(), &projection.model()).unwrap();
            assert_eq!(again.model(), projection.model());
            assert_eq!(versions(projection.name())[0], projection.model());
        }
    }

    #[test]
    fn a_model_comes_back_as_it_was_defined() {
        let defined = model("bots", 2, json!({"session_gap_seconds": 600}));
        let first = instantiate("tap_analytics", &defined).unwrap().model();
        assert_eq!(first.parameters["session_gap_seconds"], 600);
        assert_eq!(instantiate("tap_analytics", &first).unwrap().model(), first);
    }

    #[test]
    fn what_this_build_does_not_know_is_named() {
        let error = |name: &str, model: &ModelId| match instantiate(name, model) {
            Err(e) => e.to_string(),
            Ok(p) => panic!("{} was found", p.model()),
        };
        assert_eq!(error("eaters", &ModelId::new("bots", 1)), "there is no projection eaters");
        let newer = error("tap_analytics", &ModelId::new("bots", 7));
        assert_eq!(newer, "tap_analytics needs code for bots@7, which this build does not have");
        let wrong = error("tap_analytics", &model("bots", 2, json!({"x": 1})));
        assert_eq!(wrong, "/x is no parameter of version 2");
        assert_eq!(error("bands", &model("bands", 1, json!({"x": 1}))), "/x is no parameter of bands@1");
    }
}
