//! `Track`: a race track and how it races, from a day on where it was rebuilt.
//! Stream kind `track`.

use jiff::civil::Date;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::check_name;
use crate::decide::{Context, Decide, Decision, Rejection};

pub const KIND: &str = "track";
pub const DEFINED: &str = "track.defined";

/// How a track races.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum TrackKind {
    Superspeedway,
    Intermediate,
    Short,
    Road,
    Dirt,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", content = "payload")]
pub enum Event {
    #[serde(rename = "track.defined")]
    Defined(Definition),
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = TrackDefinition)]
pub struct Definition {
    pub name: String,
    pub kind: TrackKind,
    /// The day from which it races so; since ever without.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, example = "2022-01-01")]
    pub from: Option<Date>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    Define(Definition),
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Track {
    /// The name of the newest definition; empty until there is one.
    pub name: String,
    /// One for each day from which something holds, oldest first.
    pub kinds: Vec<(Option<Date>, TrackKind)>,
}

impl Track {
    /// How it races on a day.
    pub fn kind_on(&self, day: Date) -> Option<TrackKind> {
        self.kinds.iter().rev().find(|(from, _)| from.is_none_or(|from| from <= day)).map(|(_, kind)| *kind)
    }
}

impl Decide for Track {
    const KIND: &'static str = KIND;
    type Command = Command;
    type Event = Event;

    fn decide(&self, Command::Define(defined): Command, _: &Context) -> Result<Decision<Event>, Rejection> {
        check_name("/name", &defined.name)?;
        let known = self.kinds.contains(&(defined.from, defined.kind)) && !self.name.is_empty();
        Ok(if known { Decision::nothing() } else { Decision::events(vec![Event::Defined(defined)]) })
    }

    fn evolve(&mut self, Event::Defined(defined): Event) {
        self.name = defined.name;
        self.kinds.retain(|(from, _)| *from != defined.from);
        self.kinds.push((defined.from, defined.kind));
        self.kinds.sort_by_key(|(from, _)| *from);
    }
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;

    use super::*;
    use crate::target_url::UrlPolicy;

    fn define(kind: TrackKind, from: Option<Date>) -> Command {
        Command::Define(Definition { name: "Atlanta".into(), kind, from })
    }

    #[test]
    fn a_rebuilt_track_races_otherwise_from_that_day_on() {
        let context = Context { now: jiff::Timestamp::UNIX_EPOCH, urls: UrlPolicy::default() };
        let mut track = Track::default();
        assert_eq!(track.kind_on(date(2020, 1, 1)), None);
        let rebuilt = Some(date(2022, 1, 1));
        for command in [define(TrackKind::Superspeedway, rebuilt), define(TrackKind::Intermediate, None)] {
            for event in track.decide(command.clone(), &context).unwrap().events {
                track.evolve(event);
            }
            assert!(track.decide(command, &context).unwrap().events.is_empty(), "said once");
        }
        assert_eq!(track.kind_on(date(2021, 12, 31)), Some(TrackKind::Intermediate));
        assert_eq!(track.kind_on(date(2022, 1, 1)), Some(TrackKind::Superspeedway));
    }
}
