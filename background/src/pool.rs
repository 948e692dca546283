//! Long computing beside requests, appends and projectors, which go first.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, LazyLock, Mutex, PoisonError, mpsc};

use tokio::sync::oneshot;

use crate::error::ReplayError;

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
        if let Err(error) = ::background::spawn("build", work) {
            tracing::warn!(%error, "one thread less to build on");
        }
    }
    give
});

/// Runs the work when a thread is free. Work may block, but not on other work.
pub async fn run<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, ReplayError> {
    let (give, result) = oneshot::channel();
    let job: Job = Box::new(move || {
        let _ = give.send(work());
    });
    let broken = || ReplayError::Fold("a thread of the build broke off".into());
    THREADS.send(job).map_err(|_| broken())?;
    result.await.map_err(|_| broken())
}
