//! What the hub resolves taps with: bands, live events and tenants' settings.
//! The same fold feeds the hub's table in memory and its persisted rows.

use domain::registry::{DecodeError, decode};
use domain::{RecordedEvent, band, live_event, tenant};
use serde::{Deserialize, Serialize};

/// Tags do not matter to a tap.
pub const EVENT_TYPES: &[&str] = &[
    band::REGISTERED,
    band::ASSIGNED,
    band::UNASSIGNED,
    band::RETIRED,
    band::RESTORED,
    live_event::SCHEDULED,
    live_event::DETAILS_CHANGED,
    live_event::WINDOW_ADDED,
    live_event::WINDOW_CHANGED,
    live_event::WINDOW_REMOVED,
    live_event::SCHEDULE_MODE_CHANGED,
    live_event::CANCELLED,
    live_event::ARCHIVED,
    live_event::RESTORED,
    tenant::CONFIGURED,
];

/// A band as a tap needs it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HubBand {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub event_id: Option<String>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub retired: bool,
}

impl HubBand {
    pub fn apply(&mut self, event: band::Event) {
        match event {
            band::Event::Registered { event_id, .. } => *self = Self { event_id, retired: false },
            band::Event::Assigned { event_id } => self.event_id = Some(event_id),
            band::Event::Unassigned {} => self.event_id = None,
            band::Event::Retired {} => self.retired = true,
            band::Event::Restored {} => self.retired = false,
            band::Event::Tagged { .. } => {}
        }
    }
}

/// What an event changes; the stream says of which band, live event or tenant.
#[derive(Debug, Clone, PartialEq)]
pub enum Change {
    Band(band::Event),
    LiveEvent(live_event::Event),
    Tenant(tenant::Settings),
}

/// `None` if the event does not concern the hub.
pub fn change(event: &RecordedEvent) -> Result<Option<Change>, DecodeError> {
    Ok(match &*event.stream.kind {
        band::KIND => Some(Change::Band(decode(event)?)),
        live_event::KIND => Some(Change::LiveEvent(decode(event)?)),
        tenant::KIND => {
            let tenant::Event::Configured(settings) = decode(event)?;
            Some(Change::Tenant(settings))
        }
        _ => None,
    })
}
