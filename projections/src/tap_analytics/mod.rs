//! Taps of every event, counted: totals and breakdowns, a row a minute, a row
//! a band, and how many bands two events share.
//!
//! What counts is a tap: a GET by a person, as the model [`models::taps`] sees
//! it. Bots and previews are counted beside taps and in no breakdown but their
//! own. A tap is counted at the time it happened ([`RecordedEvent::at`]), so
//! taps may come late and in any order: the rows are the same. Only where a
//! breakdown overflows its bound does the order decide which names fall under
//! [`rows::OVERFLOW`].
//!
//! Minutes are kept in UTC and made into hours and days when read, in the zone
//! that the event has then; changing it rewrites nothing. A minute without
//! taps has no row, so rows grow with the minutes in which an event is tapped.

mod breakdown;
mod bulk;
mod fold;
pub mod rows;
pub mod series;
mod tables;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod version_tests;

use domain::personal::PersonalText;
use domain::ports::rows::{ModelId, RowKey, TableSpec};
use domain::{RecordedEvent, live_event, registry, tap};
use models::taps::{self, Classifier, Parameters};
use serde::Deserialize;

use crate::bulk::Bulk;
use crate::chart::Chart;
use crate::projection::{ApplyError, Projection, Wanted};
use crate::working_set::Rows;

pub const NAME: &str = "tap_analytics";

/// [`rows::EventSettings`] by event.
pub const EVENTS: &str = "events";
/// [`rows::Summary`] by event.
pub const SUMMARY: &str = "summary";
/// [`rows::Referrers`] by event.
pub const REFERRERS: &str = "referrers";
/// [`rows::Minute`] by event and minute.
pub const MINUTES: &str = "minutes";
/// [`rows::BandTaps`] by event and band, most taps first.
pub const BANDS: &str = "bands";
/// [`rows::History`] by band.
pub const HISTORY: &str = "history";
/// [`rows::Seen`] by event and visitor.
pub const VISITORS: &str = "visitors";
/// [`rows::Shared`] by two events, the smaller id first.
pub const SHARED: &str = "shared_bands";

/// Taps of bands that belong to no event are counted under this id, which no
/// event can have.
pub const NO_EVENT: &str = "-";

pub struct TapAnalytics {
    version: u32,
    classifier: Classifier,
    /// `None` where visits are not told apart.
    gap_seconds: Option<u32>,
}

impl TapAnalytics {
    /// The version and its parameters as [`Parameters::parse`] gives them.
    pub fn new(version: u32, parameters: Parameters) -> Self {
        let gap_seconds = parameters.session_gap_seconds.filter(|_| version >= taps::WITH_SESSIONS);
        Self { version, classifier: Classifier::new(parameters), gap_seconds }
    }
}

impl Default for TapAnalytics {
    fn default() -> Self {
        Self::new(taps::VERSION, Parameters::of(taps::VERSION))
    }
}

impl Projection for TapAnalytics {
    fn name(&self) -> &'static str {
        NAME
    }

    fn model(&self) -> ModelId {
        let mut model = ModelId::new(taps::NAME, self.version);
        // Parameters are texts, numbers and flags, which always serialise.
        model.parameters = serde_json::to_value(self.classifier.parameters()).unwrap_or_default();
        model
    }

    fn event_types(&self) -> &'static [&'static str] {
        &[tap::TAPPED, tap::PREVIEWED, live_event::SCHEDULED, live_event::DETAILS_CHANGED]
    }

    fn tables(&self) -> &'static [TableSpec] {
        if self.gap_seconds.is_some() { tables::WITH_SESSIONS } else { tables::TABLES }
    }

    fn prefetch(&self, event: &RecordedEvent, want: &mut Wanted) {
        if is_tap(event)
            && let Ok(keys) = registry::decode_payload::<Keys>(event)
        {
            let tenant = &event.stream.tenant;
            let event_id = keys.event_id.as_deref().unwrap_or(NO_EVENT);
            want.row(BANDS, tenant, &rows::key(event_id, &keys.band_id));
            want.row(HISTORY, tenant, &keys.band_id);
            if let Some(visitor) = keys.visitor() {
                want.row(VISITORS, tenant, &rows::key(event_id, visitor));
            }
        }
    }

    /// Taps count the same in any order, so a broken one holds up no other.
    fn partition(&self, event: &RecordedEvent) -> String {
        if is_tap(event) { format!("tap/{}", event.event_id) } else { event.stream.to_string() }
    }

    fn apply(&self, rows: &mut Rows, event: &RecordedEvent) -> Result<(), ApplyError> {
        if is_tap(event) { fold::tap(rows, event, self) } else { fold::settings(rows, event) }
    }

    /// A tap is related to the rows of its band and of its event.
    fn related(&self, event: &RecordedEvent, table: &str, row: &RowKey) -> bool {
        if event.stream.tenant != row.tenant {
            return false;
        }
        if !is_tap(event) {
            return table == EVENTS && *event.stream.id == *row.key;
        }
        let Ok(keys) = registry::decode_payload::<Keys>(event) else { return false };
        let event_id = keys.event_id.as_deref().unwrap_or(NO_EVENT);
        let (first, second) = row.key.split_once('/').unwrap_or((&row.key, ""));
        match table {
            HISTORY => keys.band_id == *row.key,
            BANDS => event_id == first && keys.band_id == second,
            VISITORS => event_id == first && keys.visitor() == Some(second),
            SHARED => event_id == first || event_id == second,
            EVENTS => false,
            _ => event_id == first,
        }
    }

    fn chart(&self) -> Option<Chart> {
        Some(Chart {
            title: "Taps per minute",
            table: MINUTES,
            x: "start",
            y: "taps",
            group: Some("event_id"),
            step: 60.0,
        })
    }

    fn bulk(&self, events: u64) -> Option<Box<dyn Bulk>> {
        Some(Box::new(bulk::TapBulk::new(self, events)))
    }
}

fn is_tap(event: &RecordedEvent) -> bool {
    matches!(&*event.event_type, tap::TAPPED | tap::PREVIEWED)
}

/// What the rows of a tap are found by.
#[derive(Deserialize)]
struct Keys {
    band_id: String,
    event_id: Option<String>,
    visitor: Option<PersonalText>,
}

impl Keys {
    fn visitor(&self) -> Option<&str> {
        self.visitor.as_ref().and_then(PersonalText::clear)
    }
}
