//! All keys in memory, folded from the log's `api_key.*` events.

use std::collections::HashMap;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use domain::api_key::{self, ApiKey, Role};
use domain::decide::Decide;
use domain::ports::log::{EventLog, LogError, ReadFilter};
use domain::{RecordedEvent, TenantId, registry};
use jiff::Timestamp;
use serde::Serialize;
use subtle::ConstantTimeEq;
use tokio::sync::{mpsc, watch};

use super::key::{self, StaticKey};
use super::principal::Principal;

/// How often the use of a key is written down.
const USE_EVERY_MICROS: i64 = 3600 * 1_000_000;
const EVENT_TYPES: [&str; 3] = [api_key::ISSUED, api_key::REVOKED, api_key::USED];
const PAGE: usize = 1_000;

/// A key was used, for the first time in an hour; to become `api_key.used`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyUsed {
    pub tenant: TenantId,
    pub key_id: Arc<str>,
    pub at: Timestamp,
}

struct Issued {
    tenant: TenantId,
    state: ApiKey,
    sha256: [u8; 32],
    roles: Arc<[Role]>,
    app: Option<Arc<str>>,
    last_used_micros: AtomicI64,
}

/// What may be told of a key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct KeySummary {
    pub id: Arc<str>,
    pub name: String,
    pub roles: Arc<[Role]>,
    /// The only app whose signals it may send.
    pub app: Option<Arc<str>>,
    pub expires_at: Option<Timestamp>,
    pub revoked: bool,
    /// To the hour.
    pub last_used_at: Option<Timestamp>,
}

fn summary(id: &Arc<str>, entry: &Issued) -> KeySummary {
    let last = entry.last_used_micros.load(Ordering::Relaxed);
    KeySummary {
        id: id.clone(),
        name: entry.state.name.clone(),
        roles: entry.roles.clone(),
        app: entry.app.clone(),
        expires_at: entry.state.expires_at,
        revoked: entry.state.revoked,
        last_used_at: (last > 0).then(|| Timestamp::from_microsecond(last).ok()).flatten(),
    }
}

pub struct KeyRing {
    issued: RwLock<HashMap<Arc<str>, Issued>>,
    fixed: Vec<(StaticKey, Principal)>,
    position: watch::Sender<u64>,
    used: mpsc::Sender<KeyUsed>,
}

impl KeyRing {
    /// The ring and the channel that tells of used keys. Nothing waits for
    /// the channel to be read.
    pub fn new(fixed: Vec<StaticKey>) -> (Arc<Self>, mpsc::Receiver<KeyUsed>) {
        let (used, receiver) = mpsc::channel(1_024);
        let fixed = fixed
            .into_iter()
            .map(|k| {
                let principal = Principal::new(k.tenant.clone(), &k.id, &k.roles);
                (k, principal)
            })
            .collect();
        let ring = Self { issued: RwLock::default(), fixed, position: watch::Sender::new(0), used };
        (Arc::new(ring), receiver)
    }

    /// Takes one event of the log in.
    pub fn apply(&self, event: &RecordedEvent) {
        if *event.stream.kind != *api_key::KIND {
            return;
        }
        let decoded = match registry::decode::<api_key::Event>(event) {
            Ok(decoded) => decoded,
            Err(error) => {
                tracing::error!(position = event.position, %error, "an API key event is unreadable");
                return;
            }
        };
        // A panic elsewhere cannot have left an entry half written.
        let mut issued = self.issued.write().unwrap_or_else(PoisonError::into_inner);
        let entry = issued.entry(event.stream.id.clone()).or_insert_with(|| Issued {
            tenant: event.stream.tenant.clone(),
            state: ApiKey::default(),
            sha256: [0; 32],
            roles: [].into(),
            app: None,
            last_used_micros: AtomicI64::new(0),
        });
        if entry.tenant != event.stream.tenant {
            tracing::error!(position = event.position, "two tenants have an API key of the same id");
            return;
        }
        if decoded == (api_key::Event::Used {}) {
            entry.last_used_micros.fetch_max(event.recorded_at.as_microsecond(), Ordering::Relaxed);
        }
        entry.state.evolve(decoded);
        // An unreadable hash stays all zero, which no secret is known to have.
        entry.sha256 = [0; 32];
        let _ = hex::decode_to_slice(&entry.state.secret_sha256, &mut entry.sha256);
        entry.roles = entry.state.roles.clone().into();
        entry.app = entry.state.app.as_deref().map(Arc::from);
    }

    /// A tenant's keys by id, without their secrets.
    pub fn list(&self, tenant: &TenantId) -> Vec<KeySummary> {
        let issued = self.issued.read().unwrap_or_else(PoisonError::into_inner);
        let of_tenant = issued.iter().filter(|(_, entry)| entry.tenant == *tenant);
        let mut keys: Vec<_> = of_tenant.map(|(id, entry)| summary(id, entry)).collect();
        keys.sort_by(|a, b| a.id.cmp(&b.id));
        keys
    }

    /// Whose key this is, if it is good at `now`.
    pub fn verify(&self, text: &str, now: Timestamp) -> Option<Principal> {
        self.verify_issued(text, now).or_else(|| self.verify_fixed(text))
    }

    /// Only the keys of the log, whose secrets cannot be guessed.
    pub fn verify_issued(&self, text: &str, now: Timestamp) -> Option<Principal> {
        let (id, secret) = key::split(text)?;
        let given = key::hash(secret);
        let issued = self.issued.read().unwrap_or_else(PoisonError::into_inner);
        let (id, entry) = issued.get_key_value(id)?;
        let same = bool::from(given.ct_eq(&entry.sha256));
        let live = !entry.state.revoked && entry.state.expires_at.is_none_or(|at| at > now);
        if !same || !live {
            return None;
        }
        self.note_use(id, entry, now);
        Some(Principal {
            tenant: entry.tenant.clone(),
            key_id: id.clone(),
            roles: entry.roles.clone(),
            app: entry.app.clone(),
        })
    }

    fn verify_fixed(&self, text: &str) -> Option<Principal> {
        let given = key::hash(text);
        // Looks at all of them, so that time tells nothing about which.
        let found = self.fixed.iter().fold(None, |found, (key, principal)| {
            if bool::from(given.ct_eq(&key.sha256)) { Some(principal) } else { found }
        });
        found.cloned()
    }

    fn note_use(&self, id: &Arc<str>, entry: &Issued, now: Timestamp) {
        let now_micros = now.as_microsecond();
        let last = entry.last_used_micros.load(Ordering::Relaxed);
        if now_micros - last < USE_EVERY_MICROS {
            return;
        }
        let won =
            entry.last_used_micros.compare_exchange(last, now_micros, Ordering::Relaxed, Ordering::Relaxed);
        if won.is_ok() {
            let used = KeyUsed { tenant: entry.tenant.clone(), key_id: id.clone(), at: now };
            // With a full channel the use is told in the next hour.
            let _ = self.used.try_send(used);
        }
    }

    /// The log position that the ring reflects.
    pub fn position(&self) -> u64 {
        *self.position.borrow()
    }

    /// Waits until the ring reflects `position`, so that a key just issued
    /// works and one just revoked does not. The caller bounds the wait.
    pub async fn reached(&self, position: u64) {
        // Fails only if the sender is gone, and the ring owns it.
        let _ = self.position.subscribe().wait_for(|p| *p >= position).await;
    }

    /// Reads everything the log has now.
    pub async fn catch_up(&self, log: &dyn EventLog) -> Result<u64, LogError> {
        let filter = ReadFilter { kind: Some(api_key::KIND.into()), ..ReadFilter::types(EVENT_TYPES) };
        loop {
            let after = self.position();
            let page = log.read(after, PAGE, &filter).await?;
            for event in &page.events {
                self.apply(event);
            }
            self.position.send_replace(page.through);
            if page.through <= after {
                return Ok(after);
            }
        }
    }
}

/// Keeps the ring up to date until dropped.
pub async fn follow(ring: Arc<KeyRing>, log: Arc<dyn EventLog>) {
    loop {
        let step = match ring.catch_up(log.as_ref()).await {
            Ok(position) => log.changed(position).await,
            Err(e) => Err(e),
        };
        if let Err(error) = step {
            tracing::warn!(%error, "API keys cannot be read from the log; those known go on working");
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    }
}
