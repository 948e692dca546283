//! Samples, authors and corpora, and what their style says. Lists and
//! fingerprints are rows; texts that models are fitted to are read from the log
//! where they stand, sealed until then, so that rows hold none.

mod answer;
mod ask;
mod authors;
pub mod corpora;
mod drift;
mod known;
mod rolling;
mod samples;
mod suggest;

use std::sync::Arc;

use axum::Router;
use axum::extract::FromRef;
use daybook_http::{Kind, Problem};
use domain::ports::rows::Snapshot;
use models_stylometry::fingerprint::{Fingerprinter, Parameters};
use styles::StyleError;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use utoipa::OpenApi;

use crate::state::ReadState;

/// Analyses that are worked on at once: each takes a processor for a while.
const AT_ONCE: usize = 2;
/// Analyses that wait for their turn.
const WAITING: usize = 16;

#[derive(Clone)]
pub struct StyleState {
    read: ReadState,
    waiting: Arc<Semaphore>,
    working: Arc<Semaphore>,
}

impl FromRef<StyleState> for ReadState {
    fn from_ref(state: &StyleState) -> Self {
        state.read.clone()
    }
}

pub fn router(read: ReadState) -> Router {
    let routes = Router::new()
        .merge(samples::router())
        .merge(authors::router())
        .merge(drift::router())
        .merge(ask::router())
        .merge(suggest::router())
        .merge(rolling::router())
        .merge(corpora::router());
    let (waiting, working) = (Semaphore::new(WAITING), Semaphore::new(AT_ONCE));
    routes.with_state(StyleState { read, waiting: Arc::new(waiting), working: Arc::new(working) })
}

pub fn openapi() -> utoipa::openapi::OpenApi {
    let mut doc = samples::Doc::openapi();
    doc.merge(authors::Doc::openapi());
    doc.merge(drift::Doc::openapi());
    doc.merge(ask::Doc::openapi());
    doc.merge(suggest::Doc::openapi());
    doc.merge(rolling::Doc::openapi());
    doc.merge(corpora::Doc::openapi());
    doc
}

/// The place of one analysis, from before its texts are read until it is done.
pub struct Turn(#[allow(dead_code, reason = "given back when it is dropped")] OwnedSemaphorePermit);

impl StyleState {
    /// Waits for a place.
    async fn turn(&self) -> Result<Turn, Problem> {
        let Ok(_waiting) = self.waiting.try_acquire() else {
            let detail = "As many analyses as the server keeps are waiting.";
            return Err(Problem::new(Kind::Overloaded, detail).retry_after(10));
        };
        self.working.clone().acquire_owned().await.map(Turn).map_err(Problem::internal)
    }
}

/// Work for a processor, beside the threads that serve. It has its place until
/// it is done, whether the client is still there or not.
async fn work<T: Send + 'static>(
    turn: Turn,
    work: impl FnOnce() -> Result<T, Problem> + Send + 'static,
) -> Result<T, Problem> {
    let task = move || {
        let done = work();
        drop(turn);
        done
    };
    tokio::task::spawn_blocking(task).await.map_err(Problem::internal)?
}

/// Known texts that nothing can be said by.
fn unusable(error: StyleError) -> Problem {
    let detail = format!("The known texts do not do: {error}.");
    Problem::new(Kind::Conflict, detail)
}

/// What the rows of a snapshot were made by.
fn maker(snapshot: &Snapshot) -> Result<Fingerprinter, Problem> {
    let parameters = Parameters::parse(&snapshot.model.parameters).map_err(Problem::internal)?;
    Ok(Fingerprinter::new(parameters))
}
