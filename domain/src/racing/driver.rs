//! `Driver`: one person, under whatever spellings. Stream kind `driver`; the id
//! is the key that all spellings share.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::check_name;
use crate::decide::{Context, Decide, Decision, Rejection};

pub const KIND: &str = "driver";
pub const REGISTERED: &str = "driver.registered";
pub const ALSO_NAMED: &str = "driver.also_named";

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", content = "payload")]
pub enum Event {
    #[serde(rename = "driver.registered")]
    Registered { name: String },
    /// Another source spells the name in another way.
    #[serde(rename = "driver.also_named")]
    AlsoNamed { name: String },
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// The driver is known by this name, beside any others.
    Name { name: String },
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Driver {
    /// The first spelling; empty until the driver is registered.
    pub name: String,
    pub also: BTreeSet<String>,
}

impl Decide for Driver {
    const KIND: &'static str = KIND;
    type Command = Command;
    type Event = Event;

    fn decide(&self, Command::Name { name }: Command, _: &Context) -> Result<Decision<Event>, Rejection> {
        check_name("/name", &name)?;
        Ok(match self.name.as_str() {
            "" => Decision::events(vec![Event::Registered { name }]),
            first if first == name || self.also.contains(&name) => Decision::nothing(),
            _ => Decision::events(vec![Event::AlsoNamed { name }]),
        })
    }

    fn evolve(&mut self, event: Event) {
        match event {
            Event::Registered { name } => self.name = name,
            Event::AlsoNamed { name } => {
                self.also.insert(name);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use cqrs_es::test::TestFramework;

    use super::*;
    use crate::target_url::UrlPolicy;

    #[test]
    fn a_spelling_is_recorded_once() {
        let driver = || {
            TestFramework::<Driver>::with(Context {
                now: jiff::Timestamp::UNIX_EPOCH,
                urls: UrlPolicy::default(),
            })
        };
        let name = |name: &str| Command::Name { name: name.into() };
        let first = Event::Registered { name: "BJ McLeod".into() };
        let second = Event::AlsoNamed { name: "B.J. McLeod".into() };
        driver().given_no_previous_events().when(name("BJ McLeod")).then_expect_events(vec![first.clone()]);
        driver().given(vec![first.clone()]).when(name("BJ McLeod")).then_expect_events(vec![]);
        driver()
            .given(vec![first.clone()])
            .when(name("B.J. McLeod"))
            .then_expect_events(vec![second.clone()]);
        driver().given(vec![first, second]).when(name("B.J. McLeod")).then_expect_events(vec![]);
        assert!(driver().given_no_previous_events().when(name("")).inspect_result().is_err());
    }
}
