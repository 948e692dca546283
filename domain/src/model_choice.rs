//! `ModelChoice`: which model the next generation of a projection is built by,
//! and with what parameters. Stream kind `model` of the system's tenant, its
//! id the projection's name. A tenant's own stream `pricing` says by which model
//! its valuation runs are priced again next.
//!
//! Whether this build has code for the model, and whether the parameters hold,
//! is for that code to say; what is recorded here has been checked by it.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::decide::{Context, Decide, Decision, Rejection};
use crate::ports::rows::ModelId;

pub const KIND: &str = "model";
pub const DEFINED: &str = "model.defined";

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", content = "payload")]
pub enum Event {
    #[serde(rename = "model.defined")]
    Defined {
        model: String,
        version: u32,
        /// All of them, also those that were left as they are.
        #[serde(default)]
        parameters: Value,
    },
}

/// With all parameters.
#[derive(Debug, Clone, PartialEq)]
pub struct Define(pub ModelId);

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ModelChoice {
    /// `None`: that of a new installation.
    pub model: Option<ModelId>,
}

impl Decide for ModelChoice {
    const KIND: &'static str = KIND;
    type Command = Define;
    type Event = Event;

    fn decide(&self, Define(model): Define, _: &Context) -> Result<Decision<Event>, Rejection> {
        if self.model.as_ref() == Some(&model) {
            return Ok(Decision::nothing());
        }
        let ModelId { name, version, parameters } = model;
        Ok(Decision::events(vec![Event::Defined { model: name, version, parameters }]))
    }

    fn evolve(&mut self, event: Event) {
        let Event::Defined { model, version, parameters } = event;
        self.model = Some(ModelId { name: model, version, parameters });
    }
}

#[cfg(test)]
mod tests {
    use cqrs_es::test::TestFramework;
    use jiff::Timestamp;
    use serde_json::json;

    use super::*;
    use crate::target_url::UrlPolicy;

    fn bots(gap: u32) -> ModelId {
        ModelId { parameters: json!({"session_gap_seconds": gap}), ..ModelId::new("bots", 2) }
    }

    fn defined(gap: u32) -> Event {
        let ModelId { name, version, parameters } = bots(gap);
        Event::Defined { model: name, version, parameters }
    }

    fn framework() -> TestFramework<ModelChoice> {
        TestFramework::with(Context { now: Timestamp::UNIX_EPOCH, urls: UrlPolicy::default() })
    }

    #[test]
    fn a_model_is_defined_once() {
        framework().given_no_previous_events().when(Define(bots(600))).then_expect_events(vec![defined(600)]);
        framework().given(vec![defined(600)]).when(Define(bots(600))).then_expect_events(vec![]);
        framework().given(vec![defined(600)]).when(Define(bots(900))).then_expect_events(vec![defined(900)]);
    }
}
