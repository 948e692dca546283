//! The one place that knows all parts: the command line, the importers, the
//! generated show day, the checks of auditors, and the wiring that plugs technology into ports.

pub mod asyncapi;
pub mod audit;
pub mod cli;
pub mod demo;
pub mod import;
pub mod poller;
pub mod style;
pub mod valuation;
pub mod wiring;
