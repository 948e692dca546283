//! `MarketName`: what clients call a market snapshot. Stream kind `market_name`,
//! its id the name. A name is given once; another content needs another one.

use serde::{Deserialize, Serialize};

use super::market_snapshot;
use crate::decide::{Check, Context, Decide, Decision, Rejection};
use crate::ports::log::ExpectedVersion;

pub const KIND: &str = "market_name";
pub const GIVEN: &str = "market_name.given";

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", content = "payload")]
pub enum Event {
    #[serde(rename = "market_name.given")]
    Given {
        /// The snapshot's id.
        sha256: String,
    },
}

/// Names a snapshot.
#[derive(Debug, Clone, PartialEq)]
pub struct Give {
    pub sha256: String,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct MarketName {
    pub sha256: Option<String>,
}

impl Decide for MarketName {
    const KIND: &'static str = KIND;
    type Command = Give;
    type Event = Event;

    fn decide(&self, Give { sha256 }: Give, _: &Context) -> Result<Decision<Event>, Rejection> {
        match &self.sha256 {
            Some(known) if *known == sha256 => Ok(Decision::nothing()),
            Some(known) => Err(Rejection::State(format!(
                "this name is that of another snapshot, {known}; snapshots don't change"
            ))),
            None => {
                let check = Check {
                    field: "/sha256",
                    kind: market_snapshot::KIND,
                    id: sha256.clone(),
                    expected: ExpectedVersion::Exists,
                };
                Ok(Decision { checks: vec![check], ..Decision::events(vec![Event::Given { sha256 }]) })
            }
        }
    }

    fn evolve(&mut self, event: Event) {
        let Event::Given { sha256 } = event;
        self.sha256 = Some(sha256);
    }
}

#[cfg(test)]
mod tests {
    use cqrs_es::test::TestFramework;
    use jiff::Timestamp;

    use super::*;
    use crate::target_url::UrlPolicy;

    #[test]
    fn a_name_is_given_once() {
        let framework = || {
            TestFramework::<MarketName>::with(Context {
                now: Timestamp::UNIX_EPOCH,
                urls: UrlPolicy::default(),
            })
        };
        let (give, given) =
            (|id: &str| Give { sha256: id.into() }, |id: &str| Event::Given { sha256: id.into() });
        framework().given_no_previous_events().when(give("a")).then_expect_events(vec![given("a")]);
        framework().given(vec![given("a")]).when(give("a")).then_expect_events(vec![]);
        framework().given(vec![given("a")]).when(give("b")).then_expect_error(Rejection::State(
            "this name is that of another snapshot, a; snapshots don't change".into(),
        ));
    }
}
