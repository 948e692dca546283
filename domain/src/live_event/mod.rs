//! `LiveEvent`: a show that wristbands belong to, with its schedule of redirect
//! windows. Stream kind `event`.

mod commands;
mod decision;
mod schedule;
#[cfg(test)]
mod tests;

pub use commands::{Command, Details, ModeInput, WindowInput};
pub use schedule::{Served, overlaps, resolve};

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::tap::Mode;
use crate::target_url::TargetUrl;

pub const KIND: &str = "event";
pub const SCHEDULED: &str = "live_event.scheduled";
pub const DETAILS_CHANGED: &str = "live_event.details_changed";
pub const WINDOW_ADDED: &str = "live_event.window_added";
pub const WINDOW_CHANGED: &str = "live_event.window_changed";
pub const WINDOW_REMOVED: &str = "live_event.window_removed";
pub const SCHEDULE_MODE_CHANGED: &str = "live_event.schedule_mode_changed";
pub const CANCELLED: &str = "live_event.cancelled";
pub const ARCHIVED: &str = "live_event.archived";
pub const RESTORED: &str = "live_event.restored";

/// Most windows of one event.
pub const MAX_WINDOWS: usize = 500;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum WindowKind {
    Pre,
    Live,
    Post,
    Custom,
}

impl WindowKind {
    pub fn mode(self) -> Mode {
        match self {
            Self::Pre => Mode::Pre,
            Self::Live => Mode::Live,
            Self::Post => Mode::Post,
            Self::Custom => Mode::Custom,
        }
    }
}

/// A redirect window, half-open: `starts_at <= t < ends_at`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Window {
    pub id: String,
    pub title: String,
    pub kind: WindowKind,
    pub starts_at: Timestamp,
    pub ends_at: Timestamp,
    pub url: TargetUrl,
    /// Of overlapping windows the higher priority wins.
    pub priority: i32,
}

/// What is known of an event beside its windows. `pre_url` serves before
/// `starts_at`, `live_url` until `ends_at`, `post_url` after it, each only
/// where no window applies; `fallback_url` where nothing else does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventDetails {
    pub name: String,
    #[serde(default)]
    pub venue: String,
    #[serde(default)]
    pub place: String,
    /// IANA name.
    pub time_zone: String,
    pub starts_at: Timestamp,
    pub ends_at: Timestamp,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pre_url: Option<TargetUrl>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub live_url: Option<TargetUrl>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub post_url: Option<TargetUrl>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fallback_url: Option<TargetUrl>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "mode", rename_all = "snake_case")]
pub enum ScheduleMode {
    /// The window that holds the instant of the tap.
    #[default]
    Automatic,
    /// One window whatever the time.
    Held { window_id: String },
    /// No window; the event's fallback.
    Off,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", content = "payload")]
pub enum Event {
    #[serde(rename = "live_event.scheduled")]
    Scheduled(EventDetails),
    /// Holds all details, changed or not.
    #[serde(rename = "live_event.details_changed")]
    DetailsChanged(EventDetails),
    #[serde(rename = "live_event.window_added")]
    WindowAdded(Window),
    /// Holds the whole window, changed or not.
    #[serde(rename = "live_event.window_changed")]
    WindowChanged(Window),
    #[serde(rename = "live_event.window_removed")]
    WindowRemoved { window_id: String },
    #[serde(rename = "live_event.schedule_mode_changed")]
    ScheduleModeChanged(ScheduleMode),
    #[serde(rename = "live_event.cancelled")]
    Cancelled { reason: String },
    #[serde(rename = "live_event.archived")]
    Archived {},
    #[serde(rename = "live_event.restored")]
    Restored {},
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    #[default]
    Scheduled,
    Cancelled,
    Archived,
}

/// State folded from an event's stream; also what the hub resolves taps with.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct LiveEvent {
    /// `None` until the event is scheduled.
    pub details: Option<EventDetails>,
    pub windows: BTreeMap<String, Window>,
    pub mode: ScheduleMode,
    pub status: Status,
}

impl LiveEvent {
    /// Folds one event of the stream.
    pub fn apply_event(&mut self, event: Event) {
        match event {
            Event::Scheduled(details) | Event::DetailsChanged(details) => self.details = Some(details),
            Event::WindowAdded(window) | Event::WindowChanged(window) => {
                self.windows.insert(window.id.clone(), window);
            }
            Event::WindowRemoved { window_id } => {
                self.windows.remove(&window_id);
            }
            Event::ScheduleModeChanged(mode) => self.mode = mode,
            Event::Cancelled { .. } => self.status = Status::Cancelled,
            Event::Archived {} => self.status = Status::Archived,
            Event::Restored {} => self.status = Status::Scheduled,
        }
    }
}
