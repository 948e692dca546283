//! `Instrument`: terms that several positions share, in numbered versions that
//! are approved one by one. Stream kind `instrument`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{check_product, check_terms};
use crate::decide::{Context, Decide, Decision, Rejection};

pub const KIND: &str = "instrument";
pub const DEFINED: &str = "instrument.defined";
pub const APPROVED: &str = "instrument.approved";
pub const RETIRED: &str = "instrument.retired";

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", content = "payload")]
pub enum Event {
    /// A new version; versions count from 1.
    #[serde(rename = "instrument.defined")]
    Defined { version: u32, product_type: String, terms: Value },
    #[serde(rename = "instrument.approved")]
    Approved { version: u32 },
    /// No new position may name it.
    #[serde(rename = "instrument.retired")]
    Retired {},
}

#[derive(Debug, Clone, PartialEq)]
pub enum Command {
    Define { product_type: String, terms: Value },
    Approve { version: u32 },
    Retire,
}

/// One version's terms.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Version {
    pub product_type: String,
    pub terms: Value,
    pub approved: bool,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Instrument {
    pub versions: BTreeMap<u32, Version>,
    pub retired: bool,
}

impl Decide for Instrument {
    const KIND: &'static str = KIND;
    type Command = Command;
    type Event = Event;

    fn decide(&self, command: Command, _: &Context) -> Result<Decision<Event>, Rejection> {
        match command {
            Command::Define { product_type, terms } => self.define(product_type, terms),
            _ if self.versions.is_empty() => Err(Rejection::NotFound),
            Command::Approve { version } => match self.versions.get(&version) {
                None => Err(Rejection::field("/version", "there is no such version")),
                Some(known) if known.approved => Ok(Decision::nothing()),
                Some(_) => Ok(Decision::events(vec![Event::Approved { version }])),
            },
            Command::Retire if self.retired => Ok(Decision::nothing()),
            Command::Retire => Ok(Decision::events(vec![Event::Retired {}])),
        }
    }

    fn evolve(&mut self, event: Event) {
        match event {
            Event::Defined { version, product_type, terms } => {
                self.versions.insert(version, Version { product_type, terms, approved: false });
                self.retired = false;
            }
            Event::Approved { version } => {
                if let Some(known) = self.versions.get_mut(&version) {
                    known.approved = true;
                }
            }
            Event::Retired {} => self.retired = true,
        }
    }
}

impl Instrument {
    fn define(&self, product_type: String, terms: Value) -> Result<Decision<Event>, Rejection> {
        check_product(&product_type)?;
        check_terms("/terms", &terms)?;
        let newest = self.versions.last_key_value();
        let same = newest.is_some_and(|(_, v)| v.product_type == product_type && v.terms == terms);
        if same && !self.retired {
            return Ok(Decision::nothing());
        }
        let version = newest.map_or(1, |(version, _)| version + 1);
        Ok(Decision::events(vec![Event::Defined { version, product_type, terms }]))
    }
}

#[cfg(test)]
mod tests {
    use cqrs_es::test::TestFramework;
    use jiff::Timestamp;
    use serde_json::json;

    use super::*;
    use crate::target_url::UrlPolicy;

    fn framework() -> TestFramework<Instrument> {
        TestFramework::with(Context { now: Timestamp::UNIX_EPOCH, urls: UrlPolicy::default() })
    }

    fn define(coupon: f64) -> Command {
        Command::Define { product_type: "FIXED_BOND".into(), terms: json!({"coupon": coupon}) }
    }

    fn defined(version: u32, coupon: f64) -> Event {
        Event::Defined { version, product_type: "FIXED_BOND".into(), terms: json!({"coupon": coupon}) }
    }

    #[test]
    fn versions_count_up_and_are_approved() {
        framework().given_no_previous_events().when(define(0.1)).then_expect_events(vec![defined(1, 0.1)]);
        framework().given(vec![defined(1, 0.1)]).when(define(0.1)).then_expect_events(vec![]);
        framework().given(vec![defined(1, 0.1)]).when(define(0.2)).then_expect_events(vec![defined(2, 0.2)]);
        let approve = || Command::Approve { version: 1 };
        let approved = || Event::Approved { version: 1 };
        framework().given(vec![defined(1, 0.1)]).when(approve()).then_expect_events(vec![approved()]);
        framework().given(vec![defined(1, 0.1), approved()]).when(approve()).then_expect_events(vec![]);
        let unknown = Rejection::field("/version", "there is no such version");
        framework()
            .given(vec![defined(1, 0.1)])
            .when(Command::Approve { version: 2 })
            .then_expect_error(unknown);
        framework().given_no_previous_events().when(approve()).then_expect_error(Rejection::NotFound);
    }

    #[test]
    fn a_retired_instrument_comes_back_as_a_new_version() {
        let given = vec![defined(1, 0.1), Event::Retired {}];
        framework().given(given.clone()).when(Command::Retire).then_expect_events(vec![]);
        framework().given(given).when(define(0.1)).then_expect_events(vec![defined(2, 0.1)]);
    }

    #[test]
    fn shapes_are_checked() {
        let bad = |product: &str, terms| Command::Define { product_type: product.into(), terms };
        framework()
            .given_no_previous_events()
            .when(bad("FIXED_BOND", json!([])))
            .then_expect_error(Rejection::field("/terms", "must be an object"));
        framework().given_no_previous_events().when(bad("bond", json!({}))).then_expect_error(
            Rejection::field("/product_type", "must be a word in capitals such as FIXED_BOND"),
        );
    }
}
