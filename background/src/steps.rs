//! Long loops let others go first on their way.

use crate::YIELDS;

/// How long others wait for a loop, about.
const LONG_NANOS: u32 = 250_000;

/// Counts the steps of a loop. A thread of low priority that was given a core
/// keeps it until the kernel's next tick, up to 4 ms, whoever waits; unless it
/// yields. On other threads this does nothing.
pub struct Steps {
    left: u32,
    every: u32,
}

impl Steps {
    /// `nanos`: what a step takes, about.
    pub fn of_nanos(nanos: u32) -> Self {
        let every = if YIELDS.get() { (LONG_NANOS / nanos.max(1)).max(1) } else { u32::MAX };
        Self { left: every, every }
    }

    #[inline]
    pub fn step(&mut self) {
        self.left -= 1;
        if self.left == 0 {
            self.left = self.every;
            std::thread::yield_now();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Share, spawn};

    #[test]
    fn only_long_work_yields_and_as_often_whatever_a_step_takes() {
        let every = || [1, 1_000, 1_000_000].map(|nanos| Steps::of_nanos(nanos).every);
        assert_eq!(every(), [u32::MAX; 3]);
        let long = spawn("long", Share::Least, every).unwrap();
        assert_eq!(long.join().unwrap(), [250_000, 250, 1]);
    }

    #[test]
    fn steps_go_on_after_a_yield() {
        let long = spawn("long", Share::Tenth, || {
            let mut steps = Steps::of_nanos(100_000);
            [(); 5].map(|()| {
                steps.step();
                steps.left
            })
        });
        assert_eq!(long.unwrap().join().unwrap(), [1, 2, 1, 2, 1]);
    }
}
