//! `Band`: a wristband and the live event it is assigned to. Stream kind `band`.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::decide::{Check, Context, Decide, Decision, Rejection};
use crate::ids::check_id;
use crate::ports::log::ExpectedVersion;

pub const KIND: &str = "band";
pub const REGISTERED: &str = "band.registered";
pub const ASSIGNED: &str = "band.assigned";
pub const UNASSIGNED: &str = "band.unassigned";
pub const TAGGED: &str = "band.tagged";
pub const RETIRED: &str = "band.retired";
pub const RESTORED: &str = "band.restored";

pub const MAX_TAGS: usize = 32;
pub const MAX_TAG_BYTES: usize = 64;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", content = "payload")]
pub enum Event {
    #[serde(rename = "band.registered")]
    Registered {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        event_id: Option<String>,
        #[serde(default)]
        tags: BTreeSet<String>,
    },
    #[serde(rename = "band.assigned")]
    Assigned { event_id: String },
    #[serde(rename = "band.unassigned")]
    Unassigned {},
    /// All tags from now on.
    #[serde(rename = "band.tagged")]
    Tagged { tags: BTreeSet<String> },
    #[serde(rename = "band.retired")]
    Retired {},
    #[serde(rename = "band.restored")]
    Restored {},
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Register {
    pub event_id: Option<String>,
    #[serde(default)]
    pub tags: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    Register(Register),
    Assign {
        event_id: String,
    },
    Unassign,
    /// Replaces the band's tags.
    Tag {
        tags: Vec<String>,
    },
    Retire,
    Restore,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Band {
    pub registered: bool,
    pub event_id: Option<String>,
    pub tags: BTreeSet<String>,
    pub retired: bool,
}

impl Decide for Band {
    const KIND: &'static str = KIND;
    type Command = Command;
    type Event = Event;

    fn decide(&self, command: Command, _: &Context) -> Result<Decision<Event>, Rejection> {
        if let Command::Register(register) = command {
            return self.register(register);
        }
        if !self.registered {
            return Err(Rejection::NotFound);
        }
        match command {
            Command::Restore if !self.retired => Ok(Decision::nothing()),
            Command::Restore => Ok(Decision::events(vec![Event::Restored {}])),
            Command::Retire if self.retired => Ok(Decision::nothing()),
            Command::Retire => Ok(Decision::events(vec![Event::Retired {}])),
            _ if self.retired => Err(Rejection::State("the band is retired; restore it first".into())),
            Command::Assign { event_id } if self.event_id.as_ref() == Some(&event_id) => {
                Ok(Decision::nothing())
            }
            Command::Assign { event_id } => {
                let checks = event_must_exist(Some(&event_id))?;
                Ok(Decision { checks, ..Decision::events(vec![Event::Assigned { event_id }]) })
            }
            Command::Unassign if self.event_id.is_none() => Ok(Decision::nothing()),
            Command::Unassign => Ok(Decision::events(vec![Event::Unassigned {}])),
            Command::Tag { tags } => {
                let tags = check_tags(tags)?;
                let events = if tags == self.tags { vec![] } else { vec![Event::Tagged { tags }] };
                Ok(Decision::events(events))
            }
            // Handled above.
            Command::Register(_) => Ok(Decision::nothing()),
        }
    }

    fn evolve(&mut self, event: Event) {
        match event {
            Event::Registered { event_id, tags } => {
                *self = Self { registered: true, event_id, tags, retired: false }
            }
            Event::Assigned { event_id } => self.event_id = Some(event_id),
            Event::Unassigned {} => self.event_id = None,
            Event::Tagged { tags } => self.tags = tags,
            Event::Retired {} => self.retired = true,
            Event::Restored {} => self.retired = false,
        }
    }
}

impl Band {
    /// Registering a band again as it is changes nothing, so that an import
    /// can be repeated.
    fn register(&self, register: Register) -> Result<Decision<Event>, Rejection> {
        let tags = check_tags(register.tags)?;
        if self.registered {
            return if self.event_id == register.event_id && self.tags == tags && !self.retired {
                Ok(Decision::nothing())
            } else {
                Err(Rejection::State("the band is registered already, with another event or tags".into()))
            };
        }
        let checks = event_must_exist(register.event_id.as_deref())?;
        let event = Event::Registered { event_id: register.event_id, tags };
        Ok(Decision { checks, ..Decision::events(vec![event]) })
    }
}

fn event_must_exist(event_id: Option<&str>) -> Result<Vec<Check>, Rejection> {
    let Some(id) = event_id else { return Ok(Vec::new()) };
    check_id(id).map_err(|e| Rejection::field("/event_id", e))?;
    Ok(vec![Check {
        field: "/event_id",
        kind: crate::live_event::KIND,
        id: id.into(),
        expected: ExpectedVersion::Exists,
    }])
}

fn check_tags(tags: Vec<String>) -> Result<BTreeSet<String>, Rejection> {
    if tags.len() > MAX_TAGS {
        return Err(Rejection::field("/tags", format!("must have at most {MAX_TAGS} entries")));
    }
    for (i, tag) in tags.iter().enumerate() {
        if tag.is_empty() || tag.len() > MAX_TAG_BYTES || tag.chars().any(char::is_control) {
            let reason = format!("must be 1 to {MAX_TAG_BYTES} bytes without control characters");
            return Err(Rejection::field(&format!("/tags/{i}"), reason));
        }
    }
    Ok(tags.into_iter().collect())
}

#[cfg(test)]
mod tests {
    use cqrs_es::test::TestFramework;

    use super::*;
    use crate::target_url::UrlPolicy;

    fn band() -> TestFramework<Band> {
        TestFramework::with(Context { now: jiff::Timestamp::UNIX_EPOCH, urls: UrlPolicy::default() })
    }

    fn registered(event_id: Option<&str>) -> Event {
        Event::Registered { event_id: event_id.map(Into::into), tags: BTreeSet::new() }
    }

    fn register(event_id: Option<&str>) -> Command {
        Command::Register(Register { event_id: event_id.map(Into::into), tags: vec![] })
    }

    #[test]
    fn registers_once() {
        band()
            .given_no_previous_events()
            .when(register(Some("e1")))
            .then_expect_events(vec![registered(Some("e1"))]);
        band().given(vec![registered(Some("e1"))]).when(register(Some("e1"))).then_expect_events(vec![]);
        let refused = band().given(vec![registered(Some("e1"))]).when(register(Some("e2"))).inspect_result();
        assert!(matches!(refused, Err(Rejection::State(_))));
    }

    #[test]
    fn assigning_asks_that_the_event_exists() {
        let state = Band { registered: true, ..Band::default() };
        let context = Context { now: jiff::Timestamp::UNIX_EPOCH, urls: UrlPolicy::default() };
        let decided = state.decide(Command::Assign { event_id: "e1".into() }, &context).unwrap();
        assert_eq!(decided.checks.len(), 1);
        assert_eq!(decided.checks[0].id, "e1");
        assert_eq!(decided.checks[0].expected, ExpectedVersion::Exists);
        let bad = state.decide(Command::Assign { event_id: "a/b".into() }, &context);
        assert!(matches!(bad, Err(Rejection::Field { field, .. }) if field == "/event_id"));
    }

    #[test]
    fn what_is_so_already_changes_nothing() {
        band().given(vec![registered(None)]).when(Command::Unassign).then_expect_events(vec![]);
        band().given(vec![registered(None)]).when(Command::Restore).then_expect_events(vec![]);
        band()
            .given(vec![registered(Some("e1"))])
            .when(Command::Assign { event_id: "e1".into() })
            .then_expect_events(vec![]);
    }

    #[test]
    fn a_retired_band_takes_no_changes_until_restored() {
        let retired = vec![registered(None), Event::Retired {}];
        let refused =
            band().given(retired.clone()).when(Command::Tag { tags: vec!["vip".into()] }).inspect_result();
        assert!(matches!(refused, Err(Rejection::State(_))));
        band().given(retired).when(Command::Restore).then_expect_events(vec![Event::Restored {}]);
    }

    #[test]
    fn an_unknown_band_is_not_found() {
        band().given_no_previous_events().when(Command::Retire).then_expect_error(Rejection::NotFound);
    }
}
