//! The hub's table in memory: 200,000 bands and more, read by every tap.
//!
//! Each lock is held for one look-up or one change, and bands are spread over
//! many locks, so that readers practically never meet a writer.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use domain::live_event::LiveEvent;
use domain::target_url::TargetUrl;
use domain::{RecordedEvent, TenantId, tenant};
use projections::hub::{Change, HubBand, change};
use tokio::sync::watch;

const SHARDS: usize = 64;

pub struct HubTable {
    tenants: RwLock<HashMap<TenantId, Arc<TenantTable>>>,
    position: watch::Sender<u64>,
}

/// Everything of one tenant.
pub struct TenantTable {
    pub tenant: TenantId,
    fallback: RwLock<Option<Arc<TargetUrl>>>,
    events: RwLock<HashMap<Arc<str>, Arc<LiveEvent>>>,
    bands: Vec<RwLock<HashMap<Box<str>, Band>>>,
    hasher: RandomState,
}

/// A band in the table; the ids of events are shared among their bands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Band {
    pub event_id: Option<Arc<str>>,
    pub retired: bool,
}

/// What a table starts from, read from rows at one position.
#[derive(Debug, Default)]
pub struct Seed {
    pub position: u64,
    pub bands: Vec<(TenantId, String, HubBand)>,
    pub events: Vec<(TenantId, String, LiveEvent)>,
    pub tenants: Vec<(TenantId, tenant::Settings)>,
}

impl HubTable {
    pub fn new(seed: Seed) -> Self {
        let table = Self { tenants: RwLock::default(), position: watch::Sender::new(seed.position) };
        for (tenant, id, event) in seed.events {
            table.entry(&tenant).put_event(&id, event);
        }
        for (tenant, id, band) in seed.bands {
            table.entry(&tenant).change_band(&id, |b| *b = band);
        }
        for (tenant, settings) in seed.tenants {
            table.entry(&tenant).configure(settings);
        }
        table
    }

    /// `None` for a tenant without any band, event or settings.
    pub fn tenant(&self, tenant: &str) -> Option<Arc<TenantTable>> {
        let id = TenantId::new(tenant).ok()?;
        self.known(&id)
    }

    pub fn known(&self, tenant: &TenantId) -> Option<Arc<TenantTable>> {
        read(&self.tenants).get(tenant).cloned()
    }

    fn entry(&self, tenant: &TenantId) -> Arc<TenantTable> {
        if let Some(known) = self.known(tenant) {
            return known;
        }
        let mut tenants = write(&self.tenants);
        tenants.entry(tenant.clone()).or_insert_with(|| Arc::new(TenantTable::new(tenant))).clone()
    }

    /// The next event of the log that concerns the hub. An event that does not
    /// decode changes nothing.
    pub fn apply(&self, event: &RecordedEvent) {
        let found = match change(event) {
            Ok(Some(found)) => found,
            Ok(None) => return,
            Err(error) => {
                metrics::counter!("daybook_hub_undecodable_total").increment(1);
                return tracing::error!(%error, position = event.position, alert = true,
                    "hub: an event does not decode and is left out");
            }
        };
        let table = self.entry(&event.stream.tenant);
        let id = &event.stream.id;
        match found {
            Change::Band(band) => table.change_band(id, |b| b.apply(band)),
            Change::LiveEvent(change) => {
                let mut live_event = table.event(id).map(|e| (*e).clone()).unwrap_or_default();
                live_event.apply_event(change);
                table.put_event(id, live_event);
            }
            Change::Tenant(settings) => table.configure(settings),
        }
    }

    /// Every event up to here has been applied.
    pub fn position(&self) -> u64 {
        *self.position.borrow()
    }

    pub fn moved_to(&self, position: u64) {
        self.position.send_if_modified(|p| std::mem::replace(p, position) != position);
    }

    pub fn watch(&self) -> watch::Receiver<u64> {
        self.position.subscribe()
    }

    pub fn bands(&self) -> usize {
        read(&self.tenants).values().map(|t| t.bands.iter().map(|s| read(s).len()).sum::<usize>()).sum()
    }
}

impl TenantTable {
    fn new(tenant: &TenantId) -> Self {
        Self {
            tenant: tenant.clone(),
            fallback: RwLock::default(),
            events: RwLock::default(),
            bands: (0..SHARDS).map(|_| RwLock::default()).collect(),
            hasher: RandomState::new(),
        }
    }

    pub fn band(&self, id: &str) -> Option<Band> {
        read(self.shard(id)).get(id).cloned()
    }

    pub fn event(&self, id: &str) -> Option<Arc<LiveEvent>> {
        read(&self.events).get(id).cloned()
    }

    pub fn fallback(&self) -> Option<Arc<TargetUrl>> {
        read(&self.fallback).clone()
    }

    /// The one copy of an event's id that its bands share. Bands may come
    /// before their event.
    fn shared_id(&self, id: &str) -> Arc<str> {
        if let Some((known, _)) = read(&self.events).get_key_value(id) {
            return known.clone();
        }
        let known: Arc<str> = id.into();
        write(&self.events).entry(known.clone()).or_default();
        known
    }

    fn change_band(&self, id: &str, change: impl FnOnce(&mut HubBand)) {
        let mut band = self.band(id).map_or_else(HubBand::default, |known| HubBand {
            event_id: known.event_id.as_deref().map(str::to_owned),
            retired: known.retired,
        });
        change(&mut band);
        let event_id = band.event_id.map(|event_id| self.shared_id(&event_id));
        write(self.shard(id)).insert(id.into(), Band { event_id, retired: band.retired });
    }

    fn put_event(&self, id: &str, event: LiveEvent) {
        write(&self.events).insert(id.into(), Arc::new(event));
    }

    fn configure(&self, settings: tenant::Settings) {
        *write(&self.fallback) = settings.fallback_url.map(Arc::new);
    }

    fn shard(&self, id: &str) -> &RwLock<HashMap<Box<str>, Band>> {
        // The remainder is below the number of shards.
        &self.bands[self.hasher.hash_one(id) as usize % SHARDS]
    }
}

fn read<T>(lock: &RwLock<T>) -> RwLockReadGuard<'_, T> {
    lock.read().unwrap_or_else(PoisonError::into_inner)
}

fn write<T>(lock: &RwLock<T>) -> RwLockWriteGuard<'_, T> {
    lock.write().unwrap_or_else(PoisonError::into_inner)
}
