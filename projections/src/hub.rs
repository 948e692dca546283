//! What the hub resolves taps with: bands, live events and tenants' settings.
//! The same fold feeds the hub's table in memory and its persisted rows.

use domain::live_event::LiveEvent;
use domain::ports::rows::{ModelId, TableSpec};
use domain::registry::{DecodeError, decode};
use domain::{RecordedEvent, TenantId, band, live_event, tenant};
use serde::{Deserialize, Serialize};

use crate::projection::{ApplyError, Projection, Wanted};
use crate::working_set::{Row, Rows};

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

pub const NAME: &str = "hub";
/// Key: the band's id. Rows are [`HubBand`]s.
pub const BANDS: &str = "bands";
/// Key: the event's id. Rows are [`LiveEvent`]s.
pub const EVENTS: &str = "events";
/// Key: the tenant's id. Rows are [`tenant::Settings`].
pub const TENANTS: &str = "tenants";
/// Kept under the system's tenant. Key: the id of a tenant that has rows here.
pub const KNOWN_TENANTS: &str = "known_tenants";

const fn table(name: &'static str) -> TableSpec {
    TableSpec { name, sorted: false, columns: &[] }
}

const TABLES: &[TableSpec] = &[table(BANDS), table(EVENTS), table(TENANTS), table(KNOWN_TENANTS)];

/// That there is such a tenant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Known {}

impl Row for HubBand {}
impl Row for Known {}
impl Row for LiveEvent {}
impl Row for tenant::Settings {}

/// Keeps what the hub's table is seeded from.
pub struct Hub;

impl Projection for Hub {
    fn name(&self) -> &'static str {
        NAME
    }

    fn model(&self) -> ModelId {
        ModelId::new(NAME, 1)
    }

    fn event_types(&self) -> &'static [&'static str] {
        EVENT_TYPES
    }

    fn tables(&self) -> &'static [TableSpec] {
        TABLES
    }

    fn prefetch(&self, event: &RecordedEvent, want: &mut Wanted) {
        let table = match &*event.stream.kind {
            band::KIND => BANDS,
            live_event::KIND => EVENTS,
            tenant::KIND => TENANTS,
            _ => return,
        };
        want.row(table, &event.stream.tenant, &event.stream.id);
    }

    fn apply(&self, rows: &mut Rows, event: &RecordedEvent) -> Result<(), ApplyError> {
        let (tenant, id) = (&event.stream.tenant, &event.stream.id);
        if rows.get::<Known>(KNOWN_TENANTS, &TenantId::system(), tenant.as_str())?.is_none() {
            rows.put(KNOWN_TENANTS, &TenantId::system(), tenant.as_str(), Known {})?;
        }
        match change(event)? {
            Some(Change::Band(change)) => {
                rows.entry_or_default::<HubBand>(BANDS, tenant, id)?.apply(change);
            }
            Some(Change::LiveEvent(change)) => {
                rows.entry_or_default::<LiveEvent>(EVENTS, tenant, id)?.apply_event(change);
            }
            Some(Change::Tenant(settings)) => rows.put(TENANTS, tenant, id, settings)?,
            None => {}
        }
        Ok(())
    }
}
