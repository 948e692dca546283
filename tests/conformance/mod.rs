//! One suite per port, run against every implementation.

mod bus;
mod keys;
mod log;
mod rows;
