//! Whole paths through the system, in process.

mod analytics;
mod commands;
mod hub;
mod hub_server;
