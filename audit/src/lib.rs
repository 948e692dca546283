//! The history, for auditors: streams with the state after each event and what
//! differs between two of them, events by who and when, what caused what, and
//! the events behind a row; and files of events with a proof of their hash. All
//! that is appended here is who did so ([`recording`]).

mod access;
mod body;
mod diff;
mod events;
pub mod export;
mod fetch;
mod format;
mod index;
pub mod recording;
mod states;
mod streams;
mod tree;
pub mod why;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use axum::Router;
use axum::routing::{get, post};
use domain::ports::log::EventLog;
use domain::ports::rows::RowStore;
use replays::Engine;
use tokio::sync::Semaphore;
use utoipa::OpenApi;

use export::{Exports, Requests};

#[derive(Clone)]
pub struct AuditState {
    /// Events as they are recorded and told, with what is personal sealed; also
    /// of what was trimmed.
    pub log: Arc<dyn EventLog>,
    /// With the rows of [`projections::history`].
    pub rows: Arc<dyn RowStore>,
    /// Knows the generations of all rows, and folds events.
    pub engine: Engine,
    pub limits: Limits,
    /// `None` where there is no place for them.
    pub exports: Option<Exports>,
    requests: Arc<Requests>,
    /// One at a time of what goes through all of a history.
    heavy: Arc<Semaphore>,
}

impl AuditState {
    pub fn new(engine: Engine, log: Arc<dyn EventLog>) -> Self {
        let heavy = Arc::new(Semaphore::new(1));
        Self {
            log,
            rows: engine.rows.clone(),
            engine,
            limits: Limits::default(),
            exports: None,
            requests: Arc::default(),
            heavy,
        }
    }

    pub fn with_exports(self, exports: Exports) -> Self {
        Self { exports: Some(exports), ..self }
    }
}

/// What one request may cost, beside the `limit` that it names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Positions of the log looked through.
    pub scanned: u64,
    /// Positions of the index whose events are read.
    pub fetched: usize,
    /// Payloads and states in an answer, about. An answer holds one event
    /// however long it is.
    pub bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { scanned: 1_000_000, fetched: 5_000, bytes: 8 << 20 }
    }
}

pub fn router(state: AuditState) -> Router {
    Router::new()
        .route("/v1/audit/streams/{kind}/{id}", get(streams::history))
        .route("/v1/audit/streams/{kind}/{id}/diff", get(streams::difference))
        .route("/v1/audit/events", get(events::list))
        .route("/v1/audit/correlations/{id}", get(tree::correlation))
        .route("/v1/audit/commands/{id}", get(tree::command))
        .route("/v1/audit/causations/{event_id}", get(tree::causation))
        .route("/v1/audit/why/{projection}/{table}/{*key}", get(why::answer))
        .route("/v1/audit/exports", post(export::routes::begin))
        .route("/v1/audit/exports/{id}", get(export::routes::one))
        .route("/v1/audit/exports/{id}/{file}", get(export::routes::file))
        .with_state(state)
}

#[derive(OpenApi)]
#[openapi(paths(
    streams::history,
    streams::difference,
    events::list,
    tree::correlation,
    tree::command,
    tree::causation,
    why::answer,
    export::routes::begin,
    export::routes::one,
    export::routes::file
))]
struct Doc;

pub fn openapi() -> utoipa::openapi::OpenApi {
    Doc::openapi()
}
