//! Answers of peers, and our own times.

use std::time::Instant;

use anyhow::{Context, Result};
use serde_json::Value;

pub use crate::python::{ask, number};

/// Numbers of an answer.
pub fn numbers(answer: &Value, name: &str) -> Result<Vec<f64>> {
    let list = answer[name].as_array().with_context(|| format!("the peer did not say {name}"))?;
    Ok(list.iter().filter_map(Value::as_f64).collect())
}

/// Seconds of each run, and what the last one made.
pub fn timed<T>(runs: usize, mut of: impl FnMut() -> Result<T>) -> Result<(Vec<f64>, T)> {
    let (mut took, mut made) = (Vec::new(), None);
    for _ in 0..runs {
        let start = Instant::now();
        made = Some(std::hint::black_box(of()?));
        took.push(start.elapsed().as_secs_f64());
    }
    Ok((took, made.context("nothing was run")?))
}
