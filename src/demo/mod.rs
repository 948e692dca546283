//! A generated show day, the same for the same seed: two events, their windows
//! and bands, taps of people, bots and previews, some of which arrive late, and
//! the figures that must come out of them.

mod agents;
mod day;
mod expected;
mod generate;

use domain::envelope::NewEvent;
use domain::registry;
use domain::tap::{self, Mode, Tap};
use jiff::Timestamp;
use serde_json::Value;
use uuid::Uuid;

pub use agents::Class;
pub use expected::{Expected, compare, compare_retention};
pub use generate::plan;

/// Everything to send, in this order: events, bands, taps.
pub struct Plan {
    /// The warm-up night and the show, in order of time.
    pub events: Vec<PlannedEvent>,
    pub bands: Vec<PlannedBand>,
    /// In the order in which they arrive.
    pub taps: Vec<PlannedTap>,
    /// For each event, in the same order.
    pub expected: Vec<Expected>,
    /// Bands with a tap at both events.
    pub returning_bands: u64,
}

pub struct PlannedEvent {
    pub id: String,
    /// Body of `POST /v1/events/{id}/schedule`.
    pub schedule: Value,
    /// Bodies of `POST /v1/events/{id}/add-window`.
    pub windows: Vec<Value>,
}

pub struct PlannedBand {
    pub id: String,
    /// The events it belongs to, one after the other: registered with the
    /// first, assigned to the second once that night is over.
    pub event_ids: Vec<String>,
    pub tags: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlannedTap {
    pub at: Timestamp,
    /// When it reaches the log; later than `at` for a hub that was cut off.
    pub arrives_at: Timestamp,
    pub event_id: String,
    pub band_id: String,
    /// A HEAD request.
    pub head: bool,
    pub class: Class,
    pub user_agent: &'static str,
    pub language: &'static str,
    pub country: &'static str,
    /// 32 hex digits.
    pub visitor: String,
    /// What the hub served at that instant.
    pub mode: Mode,
    pub window_id: Option<&'static str>,
    pub url: String,
}

impl PlannedTap {
    /// The fact that the hub would have recorded.
    pub fn to_event(&self, event_id: Uuid) -> Result<NewEvent, serde_json::Error> {
        let event_type = if self.head { tap::PREVIEWED } else { tap::TAPPED };
        let payload = Tap {
            band_id: self.band_id.clone(),
            event_id: Some(self.event_id.clone()),
            window_id: self.window_id.map(str::to_owned),
            mode: self.mode,
            url: Some(self.url.clone()),
            user_agent: Some(self.user_agent.into()),
            referrer: None,
            language: Some(self.language.into()),
            country: Some(self.country.into()),
            visitor: Some(self.visitor.as_str().into()),
            source: "demo".into(),
        };
        Ok(NewEvent {
            event_id,
            event_type: event_type.into(),
            schema: registry::find(event_type).map_or(1, |known| known.schema),
            occurred_at: Some(self.at),
            payload: serde_json::to_string(&payload)?,
        })
    }
}
