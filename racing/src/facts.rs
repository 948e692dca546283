//! The races of a tenant, folded as the log grows. Events that were folded are
//! not read again; few tenants are held at once.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError};

use domain::TenantId;
use domain::ports::log::{EventLog, LogError, ReadFilter};
use domain::registry::DecodeError;
use projections::races::{EVENT_TYPES, Races};
use tokio::sync::{Mutex, OwnedMutexGuard};

const PAGE: usize = 1_000;
/// Tenants whose races are held.
const MAX_TENANTS: usize = 16;

#[derive(Debug, thiserror::Error)]
pub enum FactsError {
    #[error(transparent)]
    Log(#[from] LogError),
    #[error(transparent)]
    Decode(#[from] DecodeError),
}

/// Races up to a position.
#[derive(Default)]
pub struct Folded {
    pub races: Races,
    /// Everything up to here was read.
    position: u64,
    /// Position of the last fact of a race, driver, track or site: what the
    /// races follow from.
    pub through: u64,
}

impl Folded {
    /// Reads on to the end of the log, or to this position.
    pub async fn read(
        &mut self,
        log: &dyn EventLog,
        tenant: &TenantId,
        upto: Option<u64>,
    ) -> Result<(), FactsError> {
        let filter =
            ReadFilter { tenant: Some(tenant.clone()), ..ReadFilter::types(EVENT_TYPES.iter().copied()) };
        loop {
            let page = log.read(self.position, PAGE, &filter).await?;
            for event in &page.events {
                if upto.is_some_and(|upto| event.position > upto) {
                    return Ok(());
                }
                self.races.apply(event)?;
                self.through = event.position;
            }
            if page.through <= self.position {
                return Ok(());
            }
            self.position = page.through;
        }
    }
}

type Shared = Arc<Mutex<Folded>>;

/// Races by tenant.
#[derive(Default)]
pub struct Facts(std::sync::Mutex<HashMap<TenantId, Shared>>);

impl Facts {
    /// The tenant's races as the log has them now; nobody else folds them
    /// meanwhile.
    pub async fn now(
        &self,
        log: &dyn EventLog,
        tenant: &TenantId,
    ) -> Result<OwnedMutexGuard<Folded>, FactsError> {
        let mut folded = self.of(tenant).lock_owned().await;
        let read = folded.read(log, tenant, None).await;
        if read.is_err() {
            // Half a page may be folded.
            *folded = Folded::default();
        }
        read?;
        Ok(folded)
    }

    fn of(&self, tenant: &TenantId) -> Shared {
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if !held.contains_key(tenant) && held.len() >= MAX_TENANTS {
            // Whichever: it is read again when it is asked for.
            if let Some(other) = held.keys().next().cloned() {
                held.remove(&other);
            }
        }
        held.entry(tenant.clone()).or_default().clone()
    }
}
