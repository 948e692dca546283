use std::sync::Mutex;
use std::time::{Duration, Instant};

/// Lets a log line through at most once in a while.
pub struct Throttle {
    every: Duration,
    last: Mutex<Option<Instant>>,
}

impl Throttle {
    pub fn new(every: Duration) -> Self {
        Self { every, last: Mutex::new(None) }
    }

    pub fn ready(&self) -> bool {
        let mut last = self.last.lock().unwrap_or_else(|e| e.into_inner());
        let now = Instant::now();
        let ready = last.is_none_or(|at| now.duration_since(at) >= self.every);
        if ready {
            *last = Some(now);
        }
        ready
    }
}
