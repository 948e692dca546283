//! Threads that get the time nobody else wants: requests, appends and projectors
//! of the same process go first.
//!
//! A thread inherits the priority of the one that starts it and cannot raise it
//! again. So nothing here may start one of a runtime's own threads, as
//! `spawn_blocking` does: requests would be served on it later. Such work is
//! given to a task and waited for.

mod pool;
mod steps;

use std::cell::Cell;
use std::thread::JoinHandle;

pub use pool::{Broken, alone, free, run};
pub use steps::Steps;

/// How much a thread gets of a core that others want too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Share {
    /// A tenth of what another thread gets: somebody may wait for what it holds.
    Tenth,
    /// A seventieth.
    Least,
}

thread_local! {
    static YIELDS: Cell<bool> = const { Cell::new(false) };
}

/// Runs the work on a thread of its own.
pub fn spawn<T: Send + 'static>(
    name: &str,
    share: Share,
    work: impl FnOnce() -> T + Send + 'static,
) -> std::io::Result<JoinHandle<T>> {
    let thread = std::thread::Builder::new().name(name.to_owned());
    thread.spawn(move || {
        yield_to_others(share);
        work()
    })
}

fn yield_to_others(share: Share) {
    YIELDS.set(true);
    lower(match share {
        Share::Tenth => 10,
        Share::Least => 19,
    });
}

#[cfg(target_os = "linux")]
fn lower(nice: i32) {
    if let Err(error) = rustix::process::setpriority_process(None, nice) {
        tracing::debug!(%error, "long work competes with requests");
    }
}

/// Elsewhere it would be the priority of all threads.
#[cfg(not(target_os = "linux"))]
fn lower(_: i32) {}
