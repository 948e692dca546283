//! Time and ids under a test's control.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use domain::ports::clock::{Clock, Ids};
use jiff::Timestamp;
use uuid::Uuid;

/// A clock that stands still until it is set.
pub struct FixedClock(Mutex<Timestamp>);

impl FixedClock {
    /// # Panics
    /// If the text is no RFC 3339 instant.
    pub fn at(text: &str) -> Self {
        Self(Mutex::new(text.parse().expect("an RFC 3339 instant")))
    }

    /// # Panics
    /// If a thread panicked while it held the clock.
    pub fn set(&self, at: Timestamp) {
        *self.0.lock().expect("the clock") = at;
    }
}

impl Clock for FixedClock {
    fn now(&self) -> Timestamp {
        *self.0.lock().expect("the clock")
    }
}

/// Ids 1, 2, 3, ….
#[derive(Default)]
pub struct CountingIds(AtomicU64);

impl Ids for CountingIds {
    fn next(&self) -> Uuid {
        Uuid::from_u128(u128::from(self.0.fetch_add(1, Ordering::Relaxed) + 1))
    }
}
