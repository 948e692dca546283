//! One suite per port, run against every implementation.

mod log;
mod rows;
