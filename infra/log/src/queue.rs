//! The bounded queue between callers and the writer thread.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use domain::ports::log::{Append, AppendError, Receipt};
use tokio::sync::oneshot;

pub(crate) type Outcomes = Vec<Result<Receipt, AppendError>>;

/// Appends of one caller, answered together.
pub(crate) struct Job {
    pub appends: Vec<Append>,
    pub bytes: usize,
    pub reply: oneshot::Sender<Outcomes>,
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    pub appends: usize,
    pub bytes: usize,
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    Full,
    Closed,
}

pub(crate) enum Taken {
    Jobs(Vec<Job>),
    /// Nothing came in for a while.
    Idle,
    /// Closed and drained.
    Closed,
}

pub(crate) struct Queue {
    limits: Limits,
    state: Mutex<State>,
    bell: Condvar,
}

#[derive(Default)]
struct State {
    jobs: VecDeque<Job>,
    appends: usize,
    bytes: usize,
    closed: bool,
}

impl Queue {
    pub fn new(limits: Limits) -> Self {
        Self { limits, state: Mutex::default(), bell: Condvar::new() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Counters and jobs change together, without a panic in between.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes the job or refuses it at once; one job always fits an empty queue.
    pub fn push(&self, job: Job) -> Result<(), Refused> {
        let mut state = self.state();
        if state.closed {
            return Err(Refused::Closed);
        }
        let full = state.appends + job.appends.len() > self.limits.appends
            || state.bytes + job.bytes > self.limits.bytes;
        if full && !state.jobs.is_empty() {
            return Err(Refused::Full);
        }
        state.appends += job.appends.len();
        state.bytes += job.bytes;
        state.jobs.push_back(job);
        metrics::gauge!("daybook_log_queue_appends").set(state.appends as f64);
        drop(state);
        self.bell.notify_one();
        Ok(())
    }

    /// Waits for jobs and takes as many as fit the batch, at least one.
    pub fn take(&self, batch: Limits, patience: Duration) -> Taken {
        let state = self.state();
        let nothing = |state: &mut State| state.jobs.is_empty() && !state.closed;
        let waited = self.bell.wait_timeout_while(state, patience, nothing);
        let (mut state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        if state.jobs.is_empty() {
            return if state.closed { Taken::Closed } else { Taken::Idle };
        }
        let (mut jobs, mut appends, mut bytes) = (Vec::new(), 0, 0);
        while appends < batch.appends
            && bytes < batch.bytes
            && let Some(job) = state.jobs.pop_front()
        {
            appends += job.appends.len();
            bytes += job.bytes;
            jobs.push(job);
        }
        state.appends -= appends;
        state.bytes -= bytes;
        metrics::gauge!("daybook_log_queue_appends").set(state.appends as f64);
        Taken::Jobs(jobs)
    }

    /// Refuses what comes from now on; what waits is still written.
    pub fn close(&self) {
        self.state().closed = true;
        self.bell.notify_all();
    }

    /// Closes and drops what waits, because nobody will take it; its callers
    /// learn that they get no outcome.
    pub fn abandon(&self) {
        self.close();
        self.state().jobs.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn job(bytes: usize) -> Job {
        Job { appends: Vec::new(), bytes, reply: oneshot::channel().0 }
    }

    #[test]
    fn bounded_by_bytes_but_never_stuck() {
        let queue = Queue::new(Limits { appends: 10, bytes: 100 });
        assert_eq!(queue.push(job(1000)), Ok(()));
        assert_eq!(queue.push(job(1)), Err(Refused::Full));
        let Taken::Jobs(jobs) = queue.take(Limits { appends: 1, bytes: 10 }, Duration::ZERO) else {
            panic!()
        };
        assert_eq!(jobs.len(), 1);
        assert_eq!(queue.push(job(99)), Ok(()));
        queue.close();
        assert_eq!(queue.push(job(1)), Err(Refused::Closed));
        assert!(matches!(queue.take(Limits { appends: 1, bytes: 10 }, Duration::ZERO), Taken::Jobs(_)));
        assert!(matches!(queue.take(Limits { appends: 1, bytes: 10 }, Duration::ZERO), Taken::Closed));
    }

    #[test]
    fn nobody_waits_for_an_abandoned_queue() {
        let queue = Queue::new(Limits { appends: 10, bytes: 100 });
        let (reply, mut answer) = oneshot::channel();
        assert_eq!(queue.push(Job { reply, ..job(1) }), Ok(()));
        queue.abandon();
        assert_eq!(answer.try_recv(), Err(oneshot::error::TryRecvError::Closed));
        assert_eq!(queue.push(job(1)), Err(Refused::Closed));
    }
}
