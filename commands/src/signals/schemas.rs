//! The schemas in force, compiled, and what they say of signals that come in.
//!
//! They are read from the log before a request is judged, unless that was done a
//! moment ago: what another process saves holds here [`STALE`] later, what this
//! one saves at once.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use domain::decide::Decide;
use domain::ports::log::{EventLog, LogError, ReadFilter};
use domain::signal::{Fault, Mismatch, Signal};
use domain::signal_schema::{self, Event, OnMismatch, SignalSchema};
use domain::{RecordedEvent, TenantId, registry};
use models_schemas::Compiled;
use serde_json::Value;
use tokio::sync::Mutex;
use tokio::time::Instant;

use super::decode::Item;

/// How old what is known may be.
const STALE: Duration = Duration::from_millis(100);
const PAGE: usize = 1_000;

/// One app's schema of one type, with its history's outcome.
#[derive(Debug, Clone)]
pub struct Entry {
    pub state: SignalSchema,
    /// Of the stream.
    pub version: u64,
    /// What is in force, if it can be compiled.
    compiled: Option<Arc<Compiled>>,
}

type OfApp = HashMap<String, Entry>;
type OfTenant = HashMap<String, OfApp>;

#[derive(Default)]
struct Known {
    position: u64,
    tenants: HashMap<TenantId, OfTenant>,
}

pub struct Schemas {
    log: Arc<dyn EventLog>,
    known: RwLock<Known>,
    read_at: Mutex<Option<Instant>>,
}

/// A signal to be judged: its place among the items, its data as JSON.
struct Asked {
    index: usize,
    data: Option<String>,
    json: bool,
    version: u32,
    signal_type: String,
    on_mismatch: OnMismatch,
    compiled: Arc<Compiled>,
}

impl Schemas {
    pub fn new(log: Arc<dyn EventLog>) -> Arc<Self> {
        Arc::new(Self { log, known: RwLock::default(), read_at: Mutex::default() })
    }

    /// Reads what the log has, however short ago that was done.
    pub async fn catch_up(&self) -> Result<(), LogError> {
        self.read(None).await
    }

    async fn read(&self, stale: Option<Duration>) -> Result<(), LogError> {
        let mut read_at = self.read_at.lock().await;
        if let (Some(stale), Some(at)) = (stale, *read_at)
            && at.elapsed() < stale
        {
            return Ok(());
        }
        let now = Instant::now();
        let types = [signal_schema::DEFINED, signal_schema::CHANGED, signal_schema::RETIRED];
        let filter = ReadFilter { kind: Some(signal_schema::KIND.into()), ..ReadFilter::types(types) };
        loop {
            let after = self.known.read().unwrap_or_else(PoisonError::into_inner).position;
            let page = self.log.read(after, PAGE, &filter).await?;
            let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
            for event in &page.events {
                known.apply(event);
            }
            known.position = page.through;
            if page.through <= after {
                break;
            }
        }
        *read_at = Some(now);
        Ok(())
    }

    /// A tenant's schemas by app and type, retired ones too.
    pub fn list(&self, tenant: &TenantId) -> Vec<Entry> {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        let mut all: Vec<Entry> = match known.tenants.get(tenant) {
            Some(apps) => apps.values().flat_map(HashMap::values).cloned().collect(),
            None => Vec::new(),
        };
        let key = |e: &Entry| e.state.said.as_ref().map(|s| (s.app.clone(), s.signal_type.clone()));
        all.sort_by_cached_key(key);
        all
    }

    pub fn get(&self, tenant: &TenantId, app: &str, signal_type: &str) -> Option<Entry> {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        known.tenants.get(tenant)?.get(app)?.get(signal_type).cloned()
    }

    /// Judges what is a signal: what must be refused is marked as that, what is
    /// only flagged says so itself.
    pub async fn check(&self, tenant: &TenantId, items: &mut [Item]) -> Result<(), LogError> {
        self.read(Some(STALE)).await?;
        let asked = self.asked(tenant, items);
        if asked.is_empty() {
            return Ok(());
        }
        let judged = tokio::task::spawn_blocking(move || {
            let judge =
                |asked: Asked| asked.judge().map(|found| (asked.index, asked.on_mismatch, asked, found));
            asked.into_iter().filter_map(judge).collect::<Vec<_>>()
        });
        let judged = judged.await.map_err(|e| LogError::Unavailable(e.to_string()))?;
        for (index, on_mismatch, asked, found) in judged {
            let item = &mut items[index];
            match (on_mismatch, &mut item.read) {
                (OnMismatch::Flag, Ok(signal)) => signal.mismatch = Some(found),
                (OnMismatch::Reject, _) => item.refused = Some(asked.fault(found)),
                (OnMismatch::Flag, Err(_)) => {}
            }
        }
        Ok(())
    }

    fn asked(&self, tenant: &TenantId, items: &[Item]) -> Vec<Asked> {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        let Some(apps) = known.tenants.get(tenant) else { return Vec::new() };
        let one = |(index, item): (usize, &Item)| {
            let signal: &Signal = item.read.as_ref().ok()?;
            let entry = apps.get(&signal.app)?.get(&signal.signal_type)?;
            let said = entry.state.in_force()?;
            Some(Asked {
                index,
                data: signal.data.as_ref().map(|data| data.get().to_owned()),
                json: signal.data_base64.is_none(),
                version: entry.state.version,
                signal_type: signal.signal_type.clone(),
                on_mismatch: said.on_mismatch,
                compiled: entry.compiled.clone()?,
            })
        };
        items.iter().enumerate().filter_map(one).collect()
    }
}

impl Asked {
    fn judge(&self) -> Option<Mismatch> {
        let mismatch =
            |pointer: String, reason: String| Some(Mismatch { schema: self.version, pointer, reason });
        if !self.json {
            return mismatch("/data".into(), "is not JSON".into());
        }
        // Without data there is nothing that fits but what takes null.
        let value = self.data.as_deref().map_or(Ok(Value::Null), serde_json::from_str);
        match value.map(|value| self.compiled.check(&value)) {
            Ok(Ok(())) => None,
            Ok(Err(m)) => mismatch(format!("/data{}", m.pointer), m.reason),
            Err(error) => mismatch("/data".into(), error.to_string()),
        }
    }

    fn fault(&self, found: Mismatch) -> Fault {
        let reason = format!(
            "does not fit version {} of the schema of {}: {}",
            self.version, self.signal_type, found.reason
        );
        Fault::new(found.pointer, reason)
    }
}

impl Known {
    fn apply(&mut self, event: &RecordedEvent) {
        let change = match registry::decode::<Event>(event) {
            Ok(change) => change,
            Err(error) => {
                tracing::error!(position = event.position, %error, "a schema's event is unreadable");
                return;
            }
        };
        let apps = self.tenants.entry(event.stream.tenant.clone()).or_default();
        let place = match &change {
            Event::Defined(said) | Event::Changed(said) => Some((said.app.clone(), said.signal_type.clone())),
            Event::Retired { .. } => named(apps, &event.stream.id),
        };
        let Some((app, signal_type)) = place else { return };
        let entry = apps.entry(app).or_default().entry(signal_type).or_insert_with(|| Entry {
            state: SignalSchema::default(),
            version: 0,
            compiled: None,
        });
        entry.state.evolve(change);
        entry.version = event.version;
        // What was compiled when it was saved may be refused by a later build.
        entry.compiled = entry.state.in_force().and_then(|said| match Compiled::new(&said.schema) {
            Ok(compiled) => Some(Arc::new(compiled)),
            Err(error) => {
                tracing::error!(position = event.position, %error, "a schema is not in force: it does not compile");
                None
            }
        });
    }
}

/// Whose stream this is.
fn named(apps: &OfTenant, stream: &str) -> Option<(String, String)> {
    let all = apps.iter().flat_map(|(app, types)| types.keys().map(move |t| (app, t)));
    let mut all = all.filter(|(app, t)| signal_schema::id(app, t) == stream);
    all.next().map(|(app, t)| (app.clone(), t.clone()))
}
