//! One suite per port, run against every implementation.

mod bus;
mod log;
mod rows;
