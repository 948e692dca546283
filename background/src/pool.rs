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
    crate::spawn(name, share, run).map_err(|error| {
        tracing::warn!(%error, name, "no thread for long work");
        Broken
    })?;
    result.await.map_err(|_| Broken)
}

/// Frees what is large, later.
pub fn free<T: Send + 'static>(large: T) {
    // Without threads it is freed here.
    let _ = THREADS.send(Box::new(move || drop(large)));
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::task::Poll;

    use super::*;

    fn runtime() -> tokio::runtime::Runtime {
        tokio::runtime::Builder::new_current_thread().build().unwrap()
    }

    #[test]
    fn work_that_panics_is_told_and_the_threads_go_on() {
        runtime().block_on(async {
            for _ in 0..64 {
                assert!(run(|| panic!("as expected")).await.is_err());
            }
            assert_eq!(run(|| 1).await.unwrap(), 1);
            assert!(alone("alone", Share::Least, || panic!("as expected")).await.is_err());
        });
    }

    #[test]
    fn work_that_nobody_waits_for_is_left_undone() {
        // All threads are held up by one job each.
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        let (done, abandoned) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
        let mut holds = Vec::new();
        for _ in 0..threads {
            let (release, held) = mpsc::channel::<()>();
            THREADS.send(Box::new(move || assert!(held.recv().is_err()))).unwrap();
            holds.push(release);
        }
        runtime().block_on(async {
            let (ours, theirs) = (done.clone(), abandoned.clone());
            {
                let job = run(move || theirs.store(true, Ordering::SeqCst));
                let mut job = std::pin::pin!(job);
                std::future::poll_fn(|context| {
                    assert!(job.as_mut().poll(context).is_pending());
                    Poll::Ready(())
                })
                .await;
            }
            drop(holds);
            // Behind it, on each thread.
            for _ in 0..threads * 2 {
                let ours = ours.clone();
                run(move || ours.store(true, Ordering::SeqCst)).await.unwrap();
            }
        });
        assert!(done.load(Ordering::SeqCst));
        assert!(!abandoned.load(Ordering::SeqCst));
    }

    #[test]
    fn what_is_freed_is_freed_on_another_thread() {
        struct Tells(mpsc::Sender<std::thread::ThreadId>);
        impl Drop for Tells {
            fn drop(&mut self) {
                let _ = self.0.send(std::thread::current().id());
            }
        }
        let (give, freed) = mpsc::channel();
        free(Tells(give));
        assert_ne!(freed.recv().unwrap(), std::thread::current().id());
    }
}
