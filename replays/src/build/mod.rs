//! Building a generation: history is folded in memory and written in few large
//! commits, each with its checkpoint, so that a build that dies goes on where
//! its last commit left it.
//!
//! Rows wait in memory until they take too much of it or a checkpoint is due.
//! An event that fails throws away what has not been committed; the pages from
//! there on are committed one by one, as the projector does, which parks the
//! event's partition. After a while the large steps begin again.

mod columns;
mod decode;
mod reader;
mod step;

use std::sync::Arc;
use std::time::{Duration, Instant};

use domain::ports::log::EventLog;
use domain::ports::rows::{Generation, GenerationId, Generations, RowStore, RowsError};
use projections::Projection;
use projections::board::Board;
use projections::bulk::Sealed;
use projections::projector::Renewal;
use tokio_util::sync::CancellationToken;

use crate::error::ReplayError;
use columns::{Ended, FromColumns};
use step::Folding;

/// What is kept in memory unless somebody says otherwise.
pub const MEMORY: usize = 512 << 20;

/// Of the memory, for each event of a page: some pages are in memory at once,
/// and each event may make some rows.
const BYTES_PER_EVENT: usize = 16 << 10;
const MIN_PAGE: usize = 250;

#[derive(Debug, Clone)]
pub struct Options {
    pub owner: String,
    pub lease: Duration,
    /// Events read at once.
    pub page: usize,
    /// Bytes that rows and their texts may take, about.
    pub memory: usize,
    /// How much work a killed build loses at most.
    pub checkpoint: Duration,
    /// With fewer events columns gain nothing.
    pub columns_from: u64,
    /// More of a log than this is folded event by event: such a fold goes on
    /// where it was stopped, that from columns begins again.
    pub columns_of_log: u64,
    /// Leave out what this generation left out, instead of what a new one does.
    pub left_out_of: Option<GenerationId>,
}

impl Options {
    pub fn new(owner: impl Into<String>) -> Self {
        Self {
            owner: owner.into(),
            lease: Duration::from_secs(10),
            page: 20_000,
            memory: MEMORY,
            checkpoint: Duration::from_secs(10),
            columns_from: 50_000,
            columns_of_log: 20_000_000,
            left_out_of: None,
        }
    }

    /// Bounds the memory. Pages wait to be folded beside the rows, and a whole
    /// one is folded before rows are written: with little memory they are small.
    pub fn within(mut self, bytes: usize) -> Self {
        self.memory = bytes;
        self.page = (bytes / BYTES_PER_EVENT).clamp(MIN_PAGE, self.page);
        self
    }
}

#[derive(Clone)]
pub struct Builder {
    pub log: Arc<dyn EventLog>,
    pub rows: Arc<dyn RowStore>,
    pub generations: Arc<dyn Generations>,
    /// The sealed part of history in columns, where there is an archive.
    pub sealed: Option<Arc<dyn Sealed>>,
    pub board: Arc<Board>,
    pub options: Options,
}

/// What a build came to.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Done {
    pub position: u64,
    /// Folded since it was begun or went on.
    pub events: u64,
    pub seconds: f64,
}

impl Builder {
    /// Builds until the generation is ready (`Some`), or until it is stopped:
    /// then what is folded is committed first. With `at` it ends there, else
    /// near the head of the log.
    pub async fn run(
        &self,
        generation: &Generation,
        projection: Arc<dyn Projection>,
        at: Option<u64>,
        stop: &CancellationToken,
    ) -> Result<Option<Done>, ReplayError> {
        let lease = self.rows.acquire(&generation.id, &self.options.owner, self.options.lease).await?;
        let renewal = Renewal::start(self.rows.clone(), lease.clone(), self.options.lease);
        let progress = self.board.generation(&generation.id);
        progress.set(|a| {
            a.leading = true;
            a.error = None;
        });
        let started = Instant::now();
        let work = async {
            let mut lease = lease.clone();
            let mut folded = 0;
            let columns = FromColumns {
                builder: self,
                projection: projection.clone(),
                progress: progress.clone(),
                lease: lease.clone(),
                stop,
            };
            match columns.run(at).await? {
                Ended::At { position, events } => (lease.position, folded) = (position, events),
                Ended::Skipped => {}
                Ended::Stopped => return Ok(None),
            }
            let mut folding = Folding::open(self, projection, progress.clone(), lease.clone()).await?;
            if !folding.through_history(at, stop).await? {
                return Ok(None);
            }
            self.generations.finish(&lease).await?;
            let (position, events) = (folding.position, folded + folding.events);
            Ok(Some(Done { position, events, seconds: started.elapsed().as_secs_f64() }))
        };
        let ended = tokio::select! {
            () = renewal.lost.cancelled() => Err(RowsError::LeaseLost.into()),
            ended = work => ended,
        };
        drop(renewal);
        progress.set(|a| {
            a.leading = false;
            a.target = None;
            a.folded = None;
            a.memory = 0;
            a.error = ended.as_ref().err().map(ToString::to_string);
        });
        if let Err(error) = self.rows.release(&lease).await {
            tracing::debug!(generation = %generation.id, %error, "lease not released");
        }
        ended
    }
}
