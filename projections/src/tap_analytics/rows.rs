//! The rows, as they are stored.

use std::collections::BTreeMap;

use domain::tap::Mode;
use jiff::Timestamp;
use models::taps::Class;
pub use models::taps::sessions::{Session, Sessions};
use serde::{Deserialize, Serialize};

use crate::working_set::Row;

/// Stands for all names past a breakdown's bound and for unreadable ones.
pub const OVERFLOW: &str = "(other)";
/// The request did not say.
pub const UNKNOWN: &str = "(unknown)";
/// There was none: no window applied, no page referred.
pub const NONE: &str = "(none)";

/// Taps of a band that its history keeps.
pub const HISTORY_TAPS: usize = 100;
/// Events of a band that its history and the retention figures keep.
pub const HISTORY_EVENTS: usize = 200;

/// Joins ids into a row's key.
pub fn key(first: &str, second: &str) -> String {
    [first, "/", second].concat()
}

/// Counts by name, in name order.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Tally(pub BTreeMap<String, u64>);

impl Tally {
    /// Counts one more. With `bound` names already, a new one is [`OVERFLOW`].
    pub fn add(&mut self, name: &str, bound: usize) {
        let name = if self.0.len() < bound || self.0.contains_key(name) { name } else { OVERFLOW };
        match self.0.get_mut(name) {
            Some(count) => *count += 1,
            None => {
                self.0.insert(name.to_owned(), 1);
            }
        }
    }

    pub fn sum(&self) -> u64 {
        self.0.values().sum()
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventSettings {
    pub name: String,
    pub time_zone: String,
    pub starts_at: Timestamp,
    pub ends_at: Timestamp,
}

/// The minute with the most taps, the earliest of several.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Peak {
    pub start: Timestamp,
    pub taps: u64,
}

/// Each breakdown but `bot_classes` adds up to `taps`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Summary {
    pub event_id: String,
    pub taps: u64,
    pub bots: u64,
    pub previews: u64,
    /// Bands with a tap.
    pub unique_bands: u64,
    /// Bands with more than one.
    pub repeat_bands: u64,
    pub unique_visitors: u64,
    pub first_tap_at: Option<Timestamp>,
    pub last_tap_at: Option<Timestamp>,
    pub peak_minute: Option<Peak>,
    pub modes: Tally,
    pub windows: Tally,
    pub devices: Tally,
    pub os: Tally,
    pub browsers: Tally,
    pub countries: Tally,
    pub languages: Tally,
    /// Of bots and previews.
    pub bot_classes: Tally,
    /// Visits, where the model tells them apart.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sessions: Option<Sessions>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Referrers {
    pub event_id: String,
    pub hosts: Tally,
}

/// One minute of UTC.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Minute {
    pub event_id: String,
    pub start: Timestamp,
    pub taps: u64,
    pub bots: u64,
    pub previews: u64,
    /// Bands whose first tap at the event was in this minute.
    pub new_bands: u64,
    pub modes: Tally,
    /// Taps, bots and previews of each ten seconds.
    pub tens: [[u64; 3]; 6],
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BandTaps {
    pub event_id: String,
    pub band_id: String,
    pub taps: u64,
    pub bots: u64,
    pub previews: u64,
    pub first_tap_at: Option<Timestamp>,
    pub last_tap_at: Option<Timestamp>,
    pub modes: Tally,
}

/// A tap in a band's history; an array in JSON, as there are many.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PastTap(
    /// Microseconds since 1970.
    pub i64,
    /// Position in the log.
    pub u64,
    /// The event, or `-`.
    pub String,
    pub Class,
    pub Mode,
    pub Option<String>,
);

/// What a band did, over all events.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct History {
    /// Taps at each event.
    pub events: BTreeMap<String, u64>,
    /// The last [`HISTORY_TAPS`] of any class, oldest first.
    pub last: Vec<PastTap>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seen {
    /// Visits in order of time, where the model tells them apart.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub visits: Vec<Session>,
}

/// How many bands tapped at both events.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shared {
    pub bands: u64,
}

/// What the allocator takes for a text.
fn text(text: &str) -> usize {
    text.len() + 16
}

/// A node holds up to eleven names, and is at least half full once there are
/// several.
fn tally(tally: &Tally) -> usize {
    let names: usize = tally.0.keys().map(|name| text(name)).sum();
    tally.0.len().div_ceil(6) * 390 + names
}

impl Row for EventSettings {}
impl Row for Shared {
    fn memory(&self) -> usize {
        size_of::<Self>()
    }
}

impl Row for Summary {
    fn memory(&self) -> usize {
        let breakdowns = [
            &self.modes,
            &self.windows,
            &self.devices,
            &self.os,
            &self.browsers,
            &self.countries,
            &self.languages,
            &self.bot_classes,
        ];
        size_of::<Self>() + text(&self.event_id) + breakdowns.into_iter().map(tally).sum::<usize>()
    }
}

impl Row for Referrers {
    fn memory(&self) -> usize {
        size_of::<Self>() + text(&self.event_id) + tally(&self.hosts)
    }
}

impl Row for Minute {
    fn memory(&self) -> usize {
        size_of::<Self>() + text(&self.event_id) + tally(&self.modes)
    }
}

impl Row for History {
    fn memory(&self) -> usize {
        let events: usize = self.events.keys().map(|id| text(id)).sum();
        let nodes = self.events.len().div_ceil(6) * 390;
        let taps = self.last.capacity() * size_of::<PastTap>();
        let texts = |t: &PastTap| text(&t.2) + t.5.as_deref().map_or(0, text);
        size_of::<Self>() + events + nodes + taps + self.last.iter().map(texts).sum::<usize>()
    }
}

impl Row for Seen {
    fn memory(&self) -> usize {
        size_of::<Self>() + self.visits.capacity() * size_of::<Session>()
    }
}

impl Row for BandTaps {
    /// Bands that only bots asked for are in no list of top bands.
    fn sort_key(&self) -> Option<String> {
        (self.taps > 0).then(|| format!("{:012}", self.taps))
    }

    fn memory(&self) -> usize {
        size_of::<Self>() + text(&self.event_id) + text(&self.band_id) + tally(&self.modes)
    }
}
