//! Leaves a provider alone that keeps failing.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

pub struct Breaker {
    failures: u32,
    rest: Duration,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    failed: u32,
    /// Nobody asks before; then one does.
    until: Option<Instant>,
}

impl Breaker {
    pub fn new(failures: u32, rest: Duration) -> Self {
        Self { failures: failures.max(1), rest, state: Mutex::default() }
    }

    /// Whether it may be asked now. Once it has rested, the first who asks
    /// tries, and the others wait for what comes of that.
    pub fn may(&self, now: Instant) -> bool {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        match state.until {
            Some(until) if now < until => false,
            Some(_) => {
                state.until = Some(now + self.rest);
                true
            }
            None => true,
        }
    }

    pub fn answered(&self) {
        *self.state.lock().unwrap_or_else(PoisonError::into_inner) = State::default();
    }

    pub fn failed(&self, now: Instant) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.failed = state.failed.saturating_add(1);
        if state.failed >= self.failures {
            state.until = Some(now + self.rest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_rests_after_failures_in_a_row_and_one_tries_again() {
        let breaker = Breaker::new(2, Duration::from_secs(30));
        let now = Instant::now();
        breaker.failed(now);
        breaker.answered();
        breaker.failed(now);
        assert!(breaker.may(now));
        breaker.failed(now);
        assert!(!breaker.may(now));
        let later = now + Duration::from_secs(31);
        assert!(breaker.may(later));
        assert!(!breaker.may(later), "the others wait");
        breaker.answered();
        assert!(breaker.may(later) && breaker.may(later));
    }
}
