//! Whole paths through the system, in process.

mod commands;
mod hub;
mod hub_server;
