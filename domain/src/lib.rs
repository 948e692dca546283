//! What Daybook is about, without I/O: the envelope of a recorded fact, the
//! aggregates that decide, the facts that need no decision, and the ports
//! that the rest of the system plugs technology into.
//!
//! Nothing here reads a clock, draws a random number or starts a task. Time,
//! ids and seeds come in as arguments ([`decide::Context`]).

pub mod anomaly_window;
pub mod api_key;
pub mod audit_trail;
pub mod band;
pub mod cells;
pub mod cloud_event;
pub mod columns;
mod cqrs;
pub mod decide;
pub mod delivery;
pub mod embedding;
pub mod endpoint;
pub mod envelope;
pub mod ids;
pub mod journal_cursor;
pub mod language_use;
pub mod live_event;
pub mod model_choice;
pub mod personal;
pub mod ports;
pub mod racing;
pub mod registry;
pub mod replay;
pub mod rewrite;
pub mod rule;
pub mod rule_match;
pub mod sample;
pub mod secret;
pub mod signal;
pub mod signal_schema;
pub mod style_drift;
pub mod subject;
pub mod tap;
pub mod target_url;
pub mod tenant;
pub mod time;
pub mod tree;
pub mod valuation;

pub use envelope::{NewEvent, RecordedEvent};
pub use ids::{StreamId, TenantId};
pub use personal::Subject;
pub use secret::Secret;
