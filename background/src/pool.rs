//! Long computing on as many threads as there are cores, or on one of its own.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, LazyLock, Mutex, PoisonError, mpsc};

use tokio::sync::oneshot;

use crate::Share;

type Job = Box<dyn FnOnce() + Send>;

static THREADS: LazyLock<mpsc::Sender<Job>> = LazyLock::new(|| {
    let (give, jobs) = mpsc::channel::<Job>();
    let jobs = Arc::new(Mutex::new(jobs));
    for _ in 0..std::thread::available_parallelism().map_or(1, usize::from) {
        let jobs = jobs.clone();
        let work = move || {
            loop {
                let job = jobs.lock().unwrap_or_else(PoisonError::into_inner).recv();
                let Ok(job) = job else { return };
                // Whoever waits for its result finds out.
                let _ = catch_unwind(AssertUnwindSafe(job));
            }
        };
        if let Err(error) = crate::spawn("background", Share::Least, work) {
            tracing::warn!(%error, "one thread less for long work");
        }
    }
    give
});

/// The work panicked, or there is no thread.
#[derive(Debug, thiserror::Error)]
#[error("a thread broke off")]
pub struct Broken;

/// Runs the work when a thread is free, unless nobody waits for it any more.
/// Work may block, but not on other work, nor for long: threads are few.
pub async fn run<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, Broken> {
    let (give, result) = oneshot::channel();
    let job: Job = Box::new(move || {
        if !give.is_closed() {
            let _ = give.send(work());
        }
    });
    THREADS.send(job).map_err(|_| Broken)?;
    result.await.map_err(|_| Broken)
}

/// Runs the work on a thread of its own, where it may wait for other work. It
/// goes on if nobody waits for it any more.
pub async fn alone<T: Send + 'static>(
    name: &str,
    share: Share,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Broken> {
    let (give, result) = oneshot::channel();
    let run = move || {
        let _ = give.send(work());
    };
    crate::spawn(name, share, run).map_err(|_| Broken)?;
    result.await.map_err(|_| Broken)
}
