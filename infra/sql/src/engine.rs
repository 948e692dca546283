//! The port: slots, time, and a thread pool that a query cannot take down.

use std::sync::Arc;

use async_trait::async_trait;
use domain::ports::log::EventLog;
use domain::ports::sql::{Sql, SqlAnswer, SqlError, SqlQuery};
use infra_archive::ArchiveStore;
use tokio::runtime::{Builder, Handle, Runtime};
use tokio::sync::Semaphore;
use tokio_util::task::AbortOnDropHandle;

use crate::limits::{STACK_BYTES, THREADS};
use crate::pin::Pin;
use crate::{Limits, session};

/// Where events are. Without a log, the archive is all there is.
#[derive(Clone, Default)]
pub struct Sources {
    pub log: Option<Arc<dyn EventLog>>,
    pub archive: Option<ArchiveStore>,
}

pub struct SqlEngine {
    sources: Sources,
    limits: Arc<Limits>,
    slots: Arc<Semaphore>,
    workers: Workers,
    io: Handle,
}

/// Ended without waiting for what still runs, so that it may be dropped
/// anywhere.
struct Workers(Option<Runtime>);

impl Drop for Workers {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

/// Ends with whoever waits for the answer.
struct Waiting(Arc<Pin>);

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.give_up();
    }
}

impl SqlEngine {
    /// To be called where the stores' connections live.
    pub fn new(sources: Sources, limits: Limits) -> std::io::Result<Self> {
        let runtime = Builder::new_multi_thread()
            // So many that no query waits for another's inner loops.
            .worker_threads(THREADS * limits.queries)
            .max_blocking_threads(THREADS * limits.queries)
            .thread_name("daybook-sql")
            .thread_stack_size(STACK_BYTES)
            .enable_time()
            .build()?;
        let slots = Arc::new(Semaphore::new(limits.queries));
        let (limits, workers) = (Arc::new(limits), Workers(Some(runtime)));
        Ok(Self { sources, limits, slots, workers, io: Handle::current() })
    }

    async fn pin(&self, query: &SqlQuery) -> Result<Pin, SqlError> {
        Pin::new(&self.sources, self.io.clone(), query.at, query.tenant.clone()).await
    }

    async fn work(
        &self,
        query: SqlQuery,
        slot: tokio::sync::OwnedSemaphorePermit,
    ) -> Result<SqlAnswer, SqlError> {
        let pin = Arc::new(self.pin(&query).await?);
        let _waiting = Waiting(pin.clone());
        let limits = self.limits.clone();
        let Some(runtime) = &self.workers.0 else { return Err(SqlError::Internal("stopped".to_owned())) };
        let task = runtime.spawn(async move {
            // Given back when the work has really ended, also after the time.
            let _slot = slot;
            session::answer(&query, pin, &limits).await
        });
        match AbortOnDropHandle::new(task).await {
            Ok(answer) => answer,
            Err(error) => Err(SqlError::Internal(error.to_string())),
        }
    }
}

#[async_trait]
impl Sql for SqlEngine {
    async fn run(&self, query: SqlQuery) -> Result<SqlAnswer, SqlError> {
        let limits = &self.limits;
        if query.text.len() > limits.text_bytes {
            return Err(SqlError::TooLong { limit: limits.text_bytes });
        }
        if query.limit.is_some_and(|limit| limit == 0 || limit > limits.max_rows) {
            return Err(SqlError::TooManyRows { limit: limits.max_rows });
        }
        let slot = self.slots.clone().try_acquire_owned();
        let slot = slot.map_err(|_| SqlError::Busy { limit: limits.queries })?;
        match tokio::time::timeout(limits.time, self.work(query, slot)).await {
            Ok(answer) => answer,
            Err(_) => Err(SqlError::Time(limits.time)),
        }
    }
}
