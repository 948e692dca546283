//! Webhook endpoints without their secrets, what was delivered to each, and
//! how well that went.

use domain::decide::Decide;
use domain::delivery::{self, Attempted, Death, Delivery, Scheduled, State};
use domain::endpoint::{self, Definition, DisabledBy, Status, WebhookEndpoint};
use domain::ports::rows::{Column, ColumnKind, ModelId, TableSpec};
use domain::registry::decode;
use domain::{RecordedEvent, TenantId};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

use crate::directory::advance;
use crate::projection::{ApplyError, Projection};
use crate::signals::newest_first;
use crate::working_set::{Row, Rows};

pub const NAME: &str = "webhook_deliveries";
/// Key: the endpoint's id.
pub const ENDPOINTS: &str = "endpoints";
/// Key: the endpoint's id.
pub const STATISTICS: &str = "statistics";
/// Key: `<endpoint>/`[`newest_first`] of the event that is told of.
pub const BY_ENDPOINT: &str = "by_endpoint";
/// Key: [`newest_first`]`/<endpoint>`. The same rows.
pub const NEWEST: &str = "newest";
/// Key: the delivery's id.
pub const IDS: &str = "ids";

/// Attempts of a delivery that a row names, the newest ones.
const MAX_ATTEMPTS: usize = 16;

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct EndpointRow {
    pub id: String,
    /// Of the endpoint's stream, for `If-Match`.
    pub version: u64,
    pub status: Status,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disabled_by: Option<DisabledBy>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub definition: Option<Definition>,
    /// Names of the headers that are sent too.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub headers: Vec<String>,
    /// Newest first.
    pub keys: Vec<KeyRow>,
}

/// A signing key as everybody may know it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyRow {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub public_key: Option<String>,
    /// When it stops signing; the newest does not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DeliveryRow {
    pub id: String,
    /// Of the delivery's stream.
    pub version: u64,
    pub status: State,
    #[serde(flatten)]
    pub of: Scheduled,
    pub scheduled_at: Timestamp,
    pub count: u32,
    /// Attempts since it was last asked for.
    pub round: u32,
    /// When the next attempt is due, while it has not ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_at: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<Death>,
    /// The newest last.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub attempts: Vec<Attempted>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct IdRow {
    pub endpoint: String,
    pub cause: u64,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct StatisticsRow {
    pub scheduled: u64,
    pub delivered: u64,
    pub dead: u64,
    pub attempts: u64,
    pub failed_attempts: u64,
    /// Latencies of attempts that were answered: how many fell into each step,
    /// of which one is a twentieth longer than the one before.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub latency: BTreeMap<u32, u64>,
    pub last_position: u64,
}

/// How much longer one step of latencies is than the one before.
const STEP: f64 = 1.05;

impl StatisticsRow {
    fn took(&mut self, milliseconds: u64) {
        // A step for each length: ln(1 h) / ln(1.05) is about 310.
        let step = ((milliseconds.clamp(1, 3_600_000) as f64).ln() / STEP.ln()).ceil() as u32;
        *self.latency.entry(step).or_default() += 1;
    }

    /// The latency that this part of the answers did not exceed, from 0 to 1,
    /// at most a twentieth too long.
    pub fn percentile(&self, part: f64) -> Option<f64> {
        let all: u64 = self.latency.values().sum();
        let wanted = (part * all as f64).ceil().max(1.0) as u64;
        let mut seen = 0;
        self.latency.iter().find_map(|(step, count)| {
            seen += count;
            (seen >= wanted).then(|| STEP.powi(i32::try_from(*step).unwrap_or(i32::MAX)))
        })
    }
}

impl Row for EndpointRow {}
impl Row for DeliveryRow {}
impl Row for IdRow {}
impl Row for StatisticsRow {}

const DELIVERIES: &[Column] = &[
    Column { name: "delivery", path: "id", kind: ColumnKind::Text },
    Column { name: "endpoint", path: "endpoint", kind: ColumnKind::Text },
    Column { name: "status", path: "status", kind: ColumnKind::Text },
    Column { name: "cause", path: "cause", kind: ColumnKind::Integer },
    Column { name: "rule", path: "rule", kind: ColumnKind::Text },
    Column { name: "attempts", path: "count", kind: ColumnKind::Integer },
    Column { name: "scheduled_at", path: "scheduled_at", kind: ColumnKind::Time },
    Column { name: "next_at", path: "next_at", kind: ColumnKind::Time },
];

const TABLES: &[TableSpec] = &[
    TableSpec {
        name: ENDPOINTS,
        sorted: false,
        columns: &[
            Column { name: "status", path: "status", kind: ColumnKind::Text },
            Column { name: "url", path: "definition.url", kind: ColumnKind::Text },
        ],
    },
    TableSpec {
        name: STATISTICS,
        sorted: false,
        columns: &[
            Column { name: "scheduled", path: "scheduled", kind: ColumnKind::Integer },
            Column { name: "delivered", path: "delivered", kind: ColumnKind::Integer },
            Column { name: "dead", path: "dead", kind: ColumnKind::Integer },
            Column { name: "attempts", path: "attempts", kind: ColumnKind::Integer },
        ],
    },
    TableSpec { name: BY_ENDPOINT, sorted: false, columns: DELIVERIES },
    TableSpec { name: NEWEST, sorted: false, columns: DELIVERIES },
    TableSpec { name: IDS, sorted: false, columns: &[] },
];

pub fn by_endpoint(endpoint: &str, cause: u64) -> String {
    format!("{endpoint}/{}", newest_first(cause))
}

pub struct WebhookDeliveries;

impl Projection for WebhookDeliveries {
    fn name(&self) -> &'static str {
        NAME
    }

    fn model(&self) -> ModelId {
        ModelId::new(NAME, 1)
    }

    fn event_types(&self) -> &'static [&'static str] {
        &[
            endpoint::CREATED,
            endpoint::CHANGED,
            endpoint::SECRET_ROTATED,
            endpoint::PAUSED,
            endpoint::RESUMED,
            endpoint::DISABLED,
            endpoint::DELETED,
            endpoint::TESTED,
            delivery::SCHEDULED,
            delivery::ATTEMPTED,
            delivery::DELIVERED,
            delivery::DEAD,
            delivery::REQUESTED_AGAIN,
        ]
    }

    fn tables(&self) -> &'static [TableSpec] {
        TABLES
    }

    /// Deliveries of an endpoint count in one row.
    fn partition(&self, event: &RecordedEvent) -> String {
        let named = match event.stream.kind.as_ref() {
            delivery::KIND => decode::<delivery::Event>(event).map(|e| place(&e).0).unwrap_or_default(),
            _ => event.stream.id.to_string(),
        };
        format!("{}/{named}", event.stream.tenant)
    }

    fn apply(&self, rows: &mut Rows, event: &RecordedEvent) -> Result<(), ApplyError> {
        let tenant = &event.stream.tenant;
        match event.stream.kind.as_ref() {
            delivery::KIND => delivered(rows, tenant, event),
            _ => changed(rows, tenant, event),
        }
    }
}

/// The endpoint, and the position of the event that is told of.
fn place(event: &delivery::Event) -> (String, u64) {
    match event {
        delivery::Event::Scheduled(of) => (of.endpoint.clone(), of.cause),
        delivery::Event::Attempted(attempted) => (attempted.endpoint.clone(), attempted.cause),
        delivery::Event::Delivered { endpoint, cause, .. }
        | delivery::Event::Dead { endpoint, cause, .. }
        | delivery::Event::RequestedAgain { endpoint, cause, .. } => (endpoint.clone(), *cause),
    }
}

fn changed(rows: &mut Rows, tenant: &TenantId, event: &RecordedEvent) -> Result<(), ApplyError> {
    let change: endpoint::Event = decode(event)?;
    // Of the headers their names are no secret.
    let named = match &change {
        endpoint::Event::Created { headers, .. } | endpoint::Event::Changed { headers, .. } => {
            let text = headers.as_ref().and_then(|text| text.clear());
            let all: Option<endpoint::Headers> = text.and_then(|text| serde_json::from_str(text).ok());
            Some(all.unwrap_or_default().into_keys().collect())
        }
        _ => None,
    };
    let row: &mut EndpointRow = rows.entry_or_default(ENDPOINTS, tenant, &event.stream.id)?;
    advance(&mut row.version, event)?;
    let known = |key: KeyRow| endpoint::SigningKey {
        secret: String::new().into(),
        public_key: key.public_key,
        until: key.until,
    };
    let mut state = WebhookEndpoint {
        definition: row.definition.take(),
        keys: std::mem::take(&mut row.keys).into_iter().map(known).collect(),
        status: row.status,
        disabled_by: row.disabled_by,
        ..WebhookEndpoint::default()
    };
    state.evolve(change);
    *row = EndpointRow {
        id: event.stream.id.to_string(),
        version: row.version,
        status: state.status,
        disabled_by: state.disabled_by,
        definition: state.definition,
        headers: named.unwrap_or_else(|| std::mem::take(&mut row.headers)),
        keys: state.keys.into_iter().map(|k| KeyRow { public_key: k.public_key, until: k.until }).collect(),
    };
    Ok(())
}

fn delivered(rows: &mut Rows, tenant: &TenantId, event: &RecordedEvent) -> Result<(), ApplyError> {
    let happened: delivery::Event = decode(event)?;
    let (endpoint, cause) = place(&happened);
    let key = by_endpoint(&endpoint, cause);
    let known: Option<DeliveryRow> = rows.get::<DeliveryRow>(BY_ENDPOINT, tenant, &key)?.cloned();
    if known.is_none() && !matches!(happened, delivery::Event::Scheduled(_)) {
        return Err(ApplyError::Event(format!("{} was never scheduled", event.stream)));
    }
    let statistics: &mut StatisticsRow = rows.entry_or_default(STATISTICS, tenant, &endpoint)?;
    statistics.last_position = event.position;
    match &happened {
        delivery::Event::Scheduled(_) => statistics.scheduled += 1,
        delivery::Event::Attempted(attempted) => {
            statistics.attempts += 1;
            statistics.failed_attempts += u64::from(!matches!(attempted.status, Some(200..=299)));
            if attempted.status.is_some() {
                statistics.took(attempted.latency_ms);
            }
        }
        delivery::Event::Delivered { .. } => statistics.delivered += 1,
        delivery::Event::Dead { .. } => statistics.dead += 1,
        delivery::Event::RequestedAgain { .. } => {}
    }
    let row = match (happened, known) {
        (delivery::Event::Scheduled(of), _) => {
            rows.put(IDS, tenant, &event.stream.id, IdRow { endpoint: endpoint.clone(), cause })?;
            scheduled(event, of)
        }
        (happened, Some(mut row)) => {
            row.version = event.version;
            follow(&mut row, happened);
            row
        }
        (_, None) => return Ok(()),
    };
    rows.put(NEWEST, tenant, &format!("{}/{endpoint}", newest_first(cause)), row.clone())?;
    rows.put(BY_ENDPOINT, tenant, &key, row)?;
    Ok(())
}

fn scheduled(event: &RecordedEvent, of: Scheduled) -> DeliveryRow {
    DeliveryRow {
        id: event.stream.id.to_string(),
        version: event.version,
        status: State::Due,
        next_at: Some(of.due_at),
        of,
        scheduled_at: event.recorded_at,
        count: 0,
        round: 0,
        reason: None,
        attempts: Vec::new(),
    }
}

fn follow(row: &mut DeliveryRow, happened: delivery::Event) {
    let reason = match &happened {
        delivery::Event::Dead { reason, .. } => Some(*reason),
        _ => None,
    };
    if let delivery::Event::Attempted(attempted) = &happened {
        row.attempts.push(attempted.clone());
        if row.attempts.len() > MAX_ATTEMPTS {
            row.attempts.remove(0);
        }
    }
    let mut state = Delivery {
        of: Some(row.of.clone()),
        state: row.status,
        attempts: row.count,
        round: row.round,
        due_at: row.next_at.unwrap_or(row.of.due_at),
    };
    state.evolve(happened);
    (row.status, row.count, row.round, row.reason) = (state.state, state.attempts, state.round, reason);
    row.next_at = (state.state == State::Due).then_some(state.due_at);
}

#[cfg(test)]
mod tests;
