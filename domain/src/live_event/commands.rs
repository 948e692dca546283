//! The commands of a live event, as clients send them.

use serde::Deserialize;
use utoipa::ToSchema;

use super::WindowKind;

/// Times are RFC 3339 instants, or local times of `time_zone`.
#[derive(Debug, Clone, PartialEq, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Details {
    pub name: String,
    #[serde(default)]
    pub venue: String,
    #[serde(default)]
    pub place: String,
    pub time_zone: String,
    pub starts_at: String,
    pub ends_at: String,
    pub pre_url: Option<String>,
    pub live_url: Option<String>,
    pub post_url: Option<String>,
    pub fallback_url: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct WindowInput {
    pub id: String,
    #[serde(default)]
    pub title: String,
    pub kind: WindowKind,
    /// RFC 3339 instant, or local time of the event's zone. Included.
    pub starts_at: String,
    /// Not included.
    pub ends_at: String,
    pub url: String,
    #[serde(default)]
    pub priority: i32,
}

#[derive(Debug, Clone, PartialEq, Deserialize, ToSchema)]
#[serde(tag = "mode", rename_all = "snake_case", deny_unknown_fields)]
pub enum ModeInput {
    Automatic,
    Held { window_id: String },
    Off,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Command {
    Schedule(Details),
    ChangeDetails(Details),
    AddWindow(WindowInput),
    ChangeWindow(WindowInput),
    RemoveWindow { window_id: String },
    SetMode(ModeInput),
    Cancel { reason: String },
    Archive,
    Restore,
}
