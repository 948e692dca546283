//! Threads that get the time nobody else wants: requests, appends and projectors
//! of the same process go first.

/// Of 19: a tenth of the weight of other threads.
#[cfg(target_os = "linux")]
const NICE: i32 = 10;

/// Runs the work on a thread of its own.
pub fn spawn(name: &str, work: impl FnOnce() + Send + 'static) -> std::io::Result<()> {
    let thread = std::thread::Builder::new().name(name.to_owned());
    thread.spawn(move || {
        yield_to_others();
        work();
    })?;
    Ok(())
}

fn yield_to_others() {
    // The priority of the calling thread alone.
    #[cfg(target_os = "linux")]
    if let Err(error) = rustix::process::setpriority_process(None, NICE) {
        tracing::debug!(%error, "long work competes with requests");
    }
}
