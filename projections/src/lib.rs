//! Read models: folds of facts into rows, and the projector that keeps them.
//!
//! A projection is a pure fold ([`Projection`]). What it reads and writes goes
//! through a working set of typed rows ([`Rows`]); the projector stores a
//! batch's rows and its checkpoint in one transaction.

pub mod as_of;
pub mod bands;
pub mod board;
pub mod bulk;
pub mod chart;
mod directory;
pub mod history;
pub mod hub;
mod instantiate;
pub mod live_events;
pub mod projection;
pub mod projector;
pub mod tap_analytics;
pub mod testing;
pub mod working_set;

pub use instantiate::{ModelError, instantiate, names, versions};
pub use projection::{ApplyError, Projection, Wanted};
pub use working_set::{Row, Rows};

use std::sync::Arc;

/// Every read model there is, with the model of a new installation.
pub fn all() -> Vec<Arc<dyn Projection>> {
    vec![
        Arc::new(hub::Hub),
        Arc::new(live_events::LiveEvents),
        Arc::new(bands::Bands),
        Arc::new(tap_analytics::TapAnalytics::default()),
        Arc::new(history::History),
    ]
}
