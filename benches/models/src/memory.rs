//! Memory that is held, as Linux tells it.

use anyhow::{Context, Result};

/// Bytes that stay after `make`, for each of `count` things that it made. What it
/// made is handed back, so that it still stands when it is measured.
pub fn each<T>(count: usize, make: impl FnOnce() -> T) -> Result<(f64, T)> {
    let before = resident()?;
    let made = make();
    let after = resident()?;
    Ok(((after - before).max(0.0) / count as f64, made))
}

/// Bytes of this process that are in memory.
pub fn resident() -> Result<f64> {
    let status = std::fs::read_to_string("/proc/self/status").context("memory is measured on Linux only")?;
    let line = status.lines().find_map(|l| l.strip_prefix("VmRSS:")).context("no VmRSS")?;
    Ok(line.trim().trim_end_matches("kB").trim().parse::<f64>()? * 1024.0)
}
