//! Valuation runs: what is valued is pinned, tasks are priced by any number of
//! workers, and what they made is read as a cube.
//!
//! The log has every input and the hash of every result; the results themselves
//! are objects behind a port. Nothing here knows a database or a file.

pub mod compose;
pub mod cube;
pub mod inputs;
pub mod pricing;
pub mod repricing;
pub mod routes;
pub mod submit;
pub mod worker;

use std::sync::Arc;

use commands::Services;
use daybook_http::sse::Connections;
use domain::ports::results::Results;
use tokio_util::sync::CancellationToken;

pub use worker::Worker;

/// What runs are made with, unless a request says otherwise, and their limits.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Buckets for each product.
    pub hash_mod: u32,
    pub lease_seconds: u32,
    pub max_attempts: u32,
    /// Positions × scenarios × measures of a run.
    pub max_cells: u64,
}

/// Cells of one task, which are in memory at once.
pub const MAX_TASK_CELLS: u64 = 20_000_000;

impl Default for Settings {
    fn default() -> Self {
        Self { hash_mod: 8, lease_seconds: 60, max_attempts: 3, max_cells: 200_000_000 }
    }
}

/// What runs are asked for, priced and read with.
#[derive(Clone)]
pub struct Desk {
    pub services: Services,
    pub results: Arc<dyn Results>,
    pub settings: Settings,
    /// Ends the streams of a server that stops.
    pub stop: CancellationToken,
    connections: Connections,
    inputs: Arc<inputs::Cache>,
    cubes: Arc<cube::Cache>,
}

impl Desk {
    pub fn new(services: Services, results: Arc<dyn Results>, settings: Settings) -> Self {
        Self {
            services,
            results,
            settings,
            stop: CancellationToken::new(),
            connections: Connections::default(),
            inputs: Arc::default(),
            cubes: Arc::default(),
        }
    }
}

/// Work that takes a while, on a thread of its own.
pub(crate) async fn on_a_thread<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, daybook_http::Problem> {
    tokio::task::spawn_blocking(work).await.map_err(daybook_http::Problem::internal)
}
