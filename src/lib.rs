//! The parts of the `daybook` binary that tests use as a library.

pub mod demo;
pub mod import;
