//! Read models: folds of facts into rows, and the projector that keeps them.
//!
//! A projection is a pure fold ([`Projection`]). What it reads and writes goes
//! through a working set of typed rows ([`Rows`]); the projector stores a
//! batch's rows and its checkpoint in one transaction.

pub mod anomalies;
pub mod as_of;
pub mod bands;
pub mod board;
pub mod bulk;
pub mod chart;
pub mod dfs_projections;
mod directory;
pub mod history;
pub mod hub;
mod instantiate;
pub mod live_events;
pub mod projection;
pub mod projector;
pub mod races;
pub mod rules;
pub mod signals;
pub mod style_fingerprints;
pub mod tap_analytics;
pub mod testing;
pub mod valuation_runs;
pub mod webhook_deliveries;
pub mod working_set;

pub use instantiate::{ModelError, instantiate, names, versions};
pub use projection::{ApplyError, Projection, Wanted, settle};
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
        Arc::new(signals::Signals),
        Arc::new(rules::Rules),
        Arc::new(anomalies::Anomalies),
        Arc::new(webhook_deliveries::WebhookDeliveries),
        Arc::new(style_fingerprints::StyleFingerprints::default()),
        Arc::new(dfs_projections::DfsProjections::default()),
        Arc::new(valuation_runs::ValuationRuns),
    ]
}
