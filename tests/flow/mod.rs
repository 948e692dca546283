//! Whole paths through the system, in process.

mod commands;
