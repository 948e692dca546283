//! Long loops let others go first on their way.

use std::time::{Duration, Instant};

use crate::YIELDS;

/// How long others wait for a loop, about.
const LONG: Duration = Duration::from_micros(250);
/// How often the clock is looked at.
const LOOK_NANOS: u32 = 10_000;

/// Counts the steps of a loop. A thread of low priority that was given a core
/// keeps it until the kernel's next tick, up to 4 ms, whoever waits; unless it
/// yields. On other threads this does nothing.
pub struct Steps {
    left: u32,
    /// Steps between looks at the clock; none on threads that do not yield.
    every: u32,
    since: Instant,
}

impl Steps {
    /// `nanos`: what a step takes, about. Steps that take much longer yield
    /// after each few of them.
    pub fn of_nanos(nanos: u32) -> Self {
        let every = if YIELDS.get() { (LOOK_NANOS / nanos.max(1)).max(1) } else { 0 };
        Self { left: every, every, since: Instant::now() }
    }

    /// Before or after a step.
    #[inline]
    pub fn step(&mut self) {
        if self.every == 0 {
            return;
        }
        self.left -= 1;
        if self.left == 0 {
            self.left = self.every;
            self.look();
        }
    }

    #[cold]
    fn look(&mut self) {
        if self.since.elapsed() >= LONG {
            std::thread::yield_now();
            self.since = Instant::now();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Share, spawn};

    #[test]
    fn only_long_work_looks_at_the_clock_and_as_often_whatever_a_step_takes() {
        let every = || [1, 100, 1_000_000].map(|nanos| Steps::of_nanos(nanos).every);
        assert_eq!(every(), [0; 3]);
        let long = spawn("long", Share::Least, every).unwrap();
        assert_eq!(long.join().unwrap(), [10_000, 100, 1]);
    }

    /// How many of ten steps yield, each of which began at that time.
    fn yields(share: Option<Share>, since: fn(Instant) -> Instant) -> usize {
        let count = move || {
            let mut steps = Steps::of_nanos(1_000_000);
            let begun = Instant::now();
            let step = |_: &i32| {
                let since = since(begun);
                steps.since = since;
                steps.step();
                steps.since != since
            };
            (0..10).filter(step).count()
        };
        match share {
            None => count(),
            Some(share) => spawn("long", share, count).unwrap().join().unwrap(),
        }
    }

    #[test]
    fn long_work_yields_when_its_time_is_over() {
        let long_ago = |now| now - LONG;
        assert_eq!(yields(Some(Share::Least), long_ago), 10);
        assert_eq!(yields(Some(Share::Tenth), long_ago), 10);
        assert_eq!(yields(None, long_ago), 0);
        let not_yet = |now| now + Duration::from_secs(3_600);
        assert_eq!(yields(Some(Share::Least), not_yet), 0);
    }
}
