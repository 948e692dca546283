//! What a process needs around the system itself: configuration, logs and
//! metrics, the real clock and random ids, the signal to stop.

pub mod clock;
pub mod config;
pub mod shutdown;
pub mod telemetry;

pub use clock::{RandomIds, SystemClock};
pub use config::Config;
