//! How Daybook itself is doing, as signals of its own app: how far read models
//! and the relay are behind the log, and how deliveries of webhooks end.
//!
//! Rules see them like any other signals, so what is found in them follows from
//! the log. A signal is named after its part and its interval: of two processes
//! that measure, one is recorded.

use std::sync::Arc;
use std::time::Duration;

use domain::delivery::{ATTEMPTED, DEAD, DELIVERED, Event};
use domain::envelope::{Metadata, NewEvent};
use domain::ports::bus::RELAY;
use domain::ports::clock::{Clock, Ids};
use domain::ports::log::{Append, AppendError, EventLog, ExpectedVersion, LogError, ReadFilter, StreamWrite};
use domain::ports::rows::{GenerationStatus, RowStore, RowsError};
use domain::registry::{self, DecodeError};
use domain::signal::{self, Format, OWN_APP, Signal};
use domain::{TenantId, time};
use jiff::Timestamp;
use serde_json::{Value, json, value};
use tokio_util::sync::CancellationToken;

pub const LAG: &str = "daybook.lag";
pub const DELIVERIES: &str = "daybook.deliveries";

const SOURCE: &str = "/daybook";
const PAGE: usize = 1_000;
/// Facts of deliveries that are counted at once; the rest counts the next time.
const MAX_PAGES: usize = 100;

#[derive(Debug, thiserror::Error)]
pub enum VitalsError {
    #[error(transparent)]
    Log(#[from] LogError),
    #[error(transparent)]
    Append(#[from] AppendError),
    #[error(transparent)]
    Rows(#[from] RowsError),
    #[error(transparent)]
    Decode(#[from] DecodeError),
    #[error("{0}")]
    Id(#[from] domain::ids::InvalidId),
    #[error("a signal does not encode: {0}")]
    Encode(#[from] serde_json::Error),
}

pub struct Vitals {
    pub log: Arc<dyn EventLog>,
    pub rows: Arc<dyn RowStore>,
    pub clock: Arc<dyn Clock>,
    pub ids: Arc<dyn Ids>,
    /// Whose signals they are, and whose deliveries are counted.
    pub tenant: TenantId,
    pub every: Duration,
    /// Deliveries were counted up to here.
    pub counted: u64,
}

#[derive(Debug, Default)]
struct Counts {
    attempts: u64,
    failed: u64,
    delivered: u64,
    dead: u64,
}

impl Vitals {
    /// Until `stop`. What cannot be measured now is left out.
    pub async fn run(mut self, stop: CancellationToken) {
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(self.wait()) => {}
            }
            if let Err(error) = self.measure().await {
                metrics::counter!("daybook_vitals_failures_total").increment(1);
                tracing::warn!(%error, "vitals: nothing was measured");
            }
        }
    }

    /// Until the next interval begins, on a clock that all processes share.
    fn wait(&self) -> Duration {
        let now = Duration::from_micros(self.clock.now().as_microsecond().try_into().unwrap_or_default());
        let every = self.every.max(Duration::from_secs(1));
        let past = now.as_micros() % every.as_micros();
        every.saturating_sub(Duration::from_micros(past as u64))
    }

    /// Measures once and records it.
    pub async fn measure(&mut self) -> Result<(), VitalsError> {
        let now = time::to_micros(self.clock.now());
        let head = self.log.head().await?.position;
        if self.counted == 0 {
            self.counted = head;
        }
        let mut appends = Vec::new();
        for generation in self.rows.generations().await? {
            let part = &*generation.id.projection;
            let measured = part == RELAY || projections::names().contains(&part);
            if !measured || generation.status != GenerationStatus::Live {
                continue;
            }
            let lag = head.saturating_sub(generation.position);
            let data = json!({"part": part, "lag": lag, "dead_letters": generation.dead_letters});
            appends.push(self.signal(LAG, part, &data, now)?);
        }
        let counts = self.count().await?;
        let share = if counts.attempts == 0 { 0.0 } else { counts.failed as f64 / counts.attempts as f64 };
        let data = json!({"attempts": counts.attempts, "failed": counts.failed, "delivered": counts.delivered,
            "dead": counts.dead, "failure_share": share});
        appends.push(self.signal(DELIVERIES, "deliveries", &data, now)?);
        for outcome in self.log.append(appends).await {
            match outcome {
                // Another process was first.
                Ok(_) | Err(AppendError::Conflict { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// What became of deliveries since the last time.
    async fn count(&mut self) -> Result<Counts, VitalsError> {
        let types = ReadFilter::types([ATTEMPTED, DELIVERED, DEAD]);
        let filter = ReadFilter { tenant: Some(self.tenant.clone()), ..types };
        let mut counts = Counts::default();
        for _ in 0..MAX_PAGES {
            let page = self.log.read(self.counted, PAGE, &filter).await?;
            for event in &page.events {
                // One that is unreadable is nothing that can be counted.
                let Ok(said) = registry::decode(event) else { continue };
                match said {
                    Event::Attempted(attempted) => {
                        counts.attempts += 1;
                        counts.failed += u64::from(!matches!(attempted.status, Some(200..=299)));
                    }
                    Event::Delivered { .. } => counts.delivered += 1,
                    Event::Dead { .. } => counts.dead += 1,
                    Event::Scheduled(_) | Event::RequestedAgain { .. } => {}
                }
            }
            if page.through <= self.counted {
                break;
            }
            self.counted = page.through;
        }
        Ok(counts)
    }

    fn signal(&self, name: &str, part: &str, data: &Value, now: Timestamp) -> Result<Append, VitalsError> {
        let slot = now.as_second() / i64::try_from(self.every.as_secs().max(1)).unwrap_or(i64::MAX);
        let signal = Signal {
            app: OWN_APP.to_owned(),
            source: SOURCE.to_owned(),
            id: format!("{part}-{}-{slot}", self.every.as_secs()),
            signal_type: name.to_owned(),
            category: Some("system".to_owned()),
            subject: Some(part.to_owned()),
            device: None,
            time: Some(now.to_string()),
            sent_at: None,
            correlation: None,
            dataschema: None,
            datacontenttype: None,
            context: None,
            attributes: Default::default(),
            data: Some(value::to_raw_value(data)?),
            data_base64: None,
            format: Format::Series,
            mismatch: None,
        };
        let event = NewEvent {
            event_id: self.ids.next(),
            event_type: signal::RECEIVED.into(),
            schema: registry::schema_of(signal::RECEIVED),
            occurred_at: signal.occurred_at(),
            payload: serde_json::to_string(&signal)?,
        };
        let stream = signal.stream(&self.tenant)?;
        let writes = vec![StreamWrite { stream, expected: ExpectedVersion::NoStream, events: vec![event] }];
        let command_id = self.ids.next();
        let metadata = Metadata {
            actor: "worker:vitals".into(),
            command_id,
            correlation_id: command_id.to_string().into(),
            causation_id: None,
        };
        Ok(Append { writes, metadata, idempotency: None })
    }
}
