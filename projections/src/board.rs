//! What this process knows of its projections: positions to wait for, rates,
//! and what keeps one from moving. Processes without a projector have an empty
//! board and ask the row store.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use domain::ports::rows::GenerationId;
use tokio::sync::watch;

/// What a projector does at the moment.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Activity {
    /// This process holds the lease.
    pub leading: bool,
    /// Positions a second over the last seconds, while it leads.
    pub rate: f64,
    /// Where a building ends, while this process builds.
    pub target: Option<u64>,
    /// Folded up to here by a building, and not committed yet.
    pub folded: Option<u64>,
    /// Events folded by a building since it was asked for or went on.
    pub events: u64,
    /// Bytes that a building holds in memory, about.
    pub memory: u64,
    /// Why it does not move, if it does not.
    pub error: Option<String>,
}

pub struct Progress {
    position: watch::Sender<u64>,
    activity: Mutex<Activity>,
    live: AtomicBool,
    /// What readers of the projection watch; told while this is live.
    projection: Option<Arc<Progress>>,
}

impl Progress {
    fn new(projection: Option<Arc<Progress>>) -> Self {
        Self {
            position: watch::Sender::new(0),
            activity: Mutex::default(),
            live: AtomicBool::new(false),
            projection,
        }
    }

    fn followed(&self) -> Option<&Progress> {
        self.projection.as_deref().filter(|_| self.live.load(Ordering::Acquire))
    }

    /// Rows up to here can be read.
    pub fn moved(&self, position: u64) {
        self.position.send_if_modified(|p| std::mem::replace(p, position) != position);
        if let Some(projection) = self.followed() {
            projection.moved(position);
        }
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
        let mut own = self.lock();
        change(&mut own);
        if let Some(projection) = self.followed() {
            projection.lock().clone_from(&own);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Activity> {
        self.activity.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[derive(Default)]
pub struct Board {
    entries: Mutex<BTreeMap<String, Entry>>,
}

struct Entry {
    /// Whatever generation is live.
    projection: Arc<Progress>,
    generations: BTreeMap<u32, Arc<Progress>>,
}

impl Board {
    /// The entry of a projection's live rows; made if there is none.
    pub fn of(&self, projection: &str) -> Arc<Progress> {
        self.entry(projection, |entry| entry.projection.clone())
    }

    /// The entry of one generation; made if there is none.
    pub fn generation(&self, id: &GenerationId) -> Arc<Progress> {
        self.entry(&id.projection, |entry| entry.generation(id.number))
    }

    /// From now on this generation is what readers of the projection watch.
    pub fn live(&self, id: &GenerationId) {
        let progress = self.entry(&id.projection, |entry| {
            let live = entry.generation(id.number);
            for (number, progress) in &entry.generations {
                progress.live.store(*number == id.number, Ordering::Release);
            }
            live
        });
        progress.moved(progress.position());
        progress.set(|_| {});
    }

    fn entry<T>(&self, projection: &str, look: impl FnOnce(&mut Entry) -> T) -> T {
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        let new = || Entry { projection: Arc::new(Progress::new(None)), generations: BTreeMap::new() };
        look(entries.entry(projection.to_owned()).or_insert_with(new))
    }
}

impl Entry {
    fn generation(&mut self, number: u32) -> Arc<Progress> {
        let projection = &self.projection;
        let new = || Arc::new(Progress::new(Some(projection.clone())));
        self.generations.entry(number).or_insert_with(new).clone()
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
