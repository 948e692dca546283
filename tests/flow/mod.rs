//! Whole paths through the system, in process and over processes.

mod analytics;
mod commands;
mod directory;
mod from_columns;
mod hub;
mod hub_server;
mod privacy;
mod projector;
mod races;
mod relay;
mod replays;
mod routes;
mod server;
mod slow_log;
#[cfg(feature = "sql")]
mod sql;
