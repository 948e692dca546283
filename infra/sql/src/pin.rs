//! What one query sees.

use std::future::Future;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use datafusion::error::DataFusionError;
use domain::TenantId;
use domain::ports::archive::ArchiveError;
use domain::ports::log::{EventLog, LogError};
use domain::ports::sql::SqlError;
use infra_archive::ArchiveStore;
use infra_archive::manifest::Manifest;
use tokio::runtime::Handle;
use tokio_util::task::AbortOnDropHandle;

use crate::Sources;

/// The end position, the tenant, and where the events are.
pub struct Pin {
    pub at: u64,
    pub tenant: Option<TenantId>,
    pub archive: Option<Sealed>,
    pub log: Option<Arc<dyn EventLog>>,
    /// Where requests to stores are made.
    io: Handle,
    /// Why events could not be read; the engine wraps errors in its own.
    fault: Mutex<Option<String>>,
    given_up: AtomicBool,
}

/// The archive as one manifest has it.
pub struct Sealed {
    pub store: ArchiveStore,
    pub manifest: Arc<Manifest>,
}

impl std::fmt::Debug for Pin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pin").field("at", &self.at).finish_non_exhaustive()
    }
}

fn archive(error: ArchiveError) -> SqlError {
    SqlError::Unavailable(error.to_string())
}

fn log(error: LogError) -> SqlError {
    SqlError::Unavailable(error.to_string())
}

impl Pin {
    /// The newest there is, or what was there at a position.
    pub async fn new(
        sources: &Sources,
        io: Handle,
        at: Option<u64>,
        tenant: Option<TenantId>,
    ) -> Result<Self, SqlError> {
        let manifest = match (&sources.archive, &sources.log) {
            (Some(store), Some(events)) => store.manifest_of(&**events).await,
            (Some(store), None) => store.manifest().await,
            (None, _) => Ok(None),
        };
        let sealed = sources.archive.clone().zip(manifest.map_err(archive)?);
        let head = match (&sources.log, &sealed) {
            (Some(events), _) => events.head().await.map_err(log)?.position,
            (None, Some((_, manifest))) => manifest.through,
            (None, None) => 0,
        };
        if at.is_some_and(|at| at > head) {
            return Err(SqlError::NotThere { head });
        }
        let archive = sealed.map(|(store, manifest)| Sealed { store, manifest: Arc::new(manifest) });
        let fault = Mutex::default();
        let (log, given_up) = (sources.log.clone(), AtomicBool::new(false));
        Ok(Self { at: at.unwrap_or(head), tenant, archive, log, io, fault, given_up })
    }

    /// Events up to here are read from the archive.
    pub fn through(&self) -> u64 {
        self.archive.as_ref().map_or(0, |sealed| sealed.manifest.through)
    }

    /// Does a request to a store where its connections live.
    pub async fn request<T, E>(
        &self,
        request: impl Future<Output = Result<T, E>> + Send + 'static,
    ) -> Result<T, DataFusionError>
    where
        T: Send + 'static,
        E: std::fmt::Display + Send + 'static,
    {
        match AbortOnDropHandle::new(self.io.spawn(request)).await {
            Ok(Ok(done)) => Ok(done),
            Ok(Err(error)) => Err(self.failed(&error)),
            Err(error) => Err(self.failed(&error)),
        }
    }

    /// Keeps the first reason why events could not be read.
    pub fn failed(&self, reason: &dyn std::fmt::Display) -> DataFusionError {
        let mut fault = self.fault.lock().unwrap_or_else(PoisonError::into_inner);
        fault.get_or_insert_with(|| reason.to_string());
        DataFusionError::Execution("events cannot be read".to_owned())
    }

    /// Nobody waits for the answer any more.
    pub fn give_up(&self) {
        self.given_up.store(true, Ordering::Relaxed);
    }

    pub fn check_wanted(&self) -> Result<(), DataFusionError> {
        match self.given_up.load(Ordering::Relaxed) {
            true => Err(DataFusionError::Execution("nobody waits for the answer".to_owned())),
            false => Ok(()),
        }
    }

    pub fn fault(&self) -> Option<String> {
        self.fault.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
