//! Which segments there are and how much of each is durable.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard};

use crate::directory::segment_path;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Segment {
    pub first: u64,
    /// Durable bytes.
    pub length: u64,
}

pub struct Index {
    directory: PathBuf,
    state: Mutex<State>,
    /// Sum of the segments' lengths, to be read on every append.
    bytes: AtomicU64,
}

struct State {
    /// In order of `first`; the last one is written to.
    segments: Vec<Segment>,
    durable: u64,
    drained: u64,
}

/// One look at the index.
pub struct View {
    pub segments: Vec<Segment>,
    pub durable: u64,
    pub drained: u64,
}

impl Index {
    pub fn new(directory: PathBuf, segments: Vec<Segment>, durable: u64) -> Self {
        let bytes = AtomicU64::new(total(&segments));
        Self { directory, state: Mutex::new(State { segments, durable, drained: 0 }), bytes }
    }

    pub fn directory(&self) -> &Path {
        &self.directory
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(|e| e.into_inner())
    }

    pub fn view(&self) -> View {
        let state = self.lock();
        View { segments: state.segments.clone(), durable: state.durable, drained: state.drained }
    }

    pub fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    pub fn active(&self) -> Option<Segment> {
        self.lock().segments.last().copied()
    }

    pub fn begin(&self, first: u64) {
        self.lock().segments.push(Segment { first, length: 0 });
    }

    /// The active segment is durable up to `length`, and so is every offset
    /// below `next`.
    pub fn extend(&self, length: u64, next: u64) {
        let mut state = self.lock();
        if let Some(active) = state.segments.last_mut() {
            active.length = length;
        }
        state.durable = state.durable.max(next);
        self.bytes.store(total(&state.segments), Ordering::Relaxed);
    }

    /// Deletes the segments that hold nothing at or past `to`; never the
    /// active one.
    pub fn drain(&self, to: u64) -> io::Result<()> {
        let done = {
            let mut state = self.lock();
            state.drained = state.drained.max(to);
            state.durable = state.durable.max(to);
            let keep = state.segments.windows(2).take_while(|pair| pair[1].first <= to).count();
            let done = state.segments.drain(..keep).collect::<Vec<_>>();
            self.bytes.store(total(&state.segments), Ordering::Relaxed);
            done
        };
        let mut outcome = Ok(());
        for segment in &done {
            let deleted = std::fs::remove_file(segment_path(&self.directory, segment.first));
            // One that will not go now goes on the next start: it is listed,
            // read and found to be drained.
            outcome = outcome.and(deleted);
        }
        outcome
    }
}

fn total(segments: &[Segment]) -> u64 {
    segments.iter().map(|s| s.length).sum()
}
