//! What this process knows of its projections: positions to wait for, rates,
//! and what keeps one from moving. Processes without a projector have an empty
//! board and ask the row store.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;

/// What a projector does at the moment.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Activity {
    /// This process holds the lease.
    pub leading: bool,
    /// Positions a second over the last seconds, while it leads.
    pub rate: f64,
    /// Why it does not move, if it does not.
    pub error: Option<String>,
}

pub struct Progress {
    position: watch::Sender<u64>,
    activity: Mutex<Activity>,
}

impl Progress {
    fn new() -> Self {
        Self { position: watch::Sender::new(0), activity: Mutex::default() }
    }

    /// Rows up to here can be read.
    pub fn moved(&self, position: u64) {
        self.position.send_if_modified(|p| std::mem::replace(p, position) != position);
    }

    pub fn position(&self) -> u64 {
        *self.position.borrow()
    }

    /// Tells of every move of the projector in this process.
    pub fn watch(&self) -> watch::Receiver<u64> {
        self.position.subscribe()
    }

    pub fn activity(&self) -> Activity {
        self.lock().clone()
    }

    pub fn set(&self, change: impl FnOnce(&mut Activity)) {
        change(&mut self.lock());
    }

    fn lock(&self) -> MutexGuard<'_, Activity> {
        self.activity.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[derive(Default)]
pub struct Board {
    entries: Mutex<BTreeMap<String, Arc<Progress>>>,
}

impl Board {
    /// The entry of a projection; made if there is none.
    pub fn of(&self, projection: &str) -> Arc<Progress> {
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        entries.entry(projection.to_owned()).or_insert_with(|| Arc::new(Progress::new())).clone()
    }
}

/// Waits longer each time, up to a bound.
#[derive(Debug)]
pub struct Backoff {
    next: Duration,
    max: Duration,
}

impl Backoff {
    pub fn new(first: Duration, max: Duration) -> Self {
        Self { next: first, max }
    }

    pub fn delay(&mut self) -> Duration {
        let delay = self.next;
        self.next = (delay * 2).min(self.max);
        delay
    }
}
