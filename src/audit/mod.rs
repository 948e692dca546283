//! Checking history without trusting who kept it: everything is computed again
//! from the events and compared with what was signed.

pub mod tiles;
pub mod verify;
pub mod watch;
