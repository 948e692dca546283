//! Folds that go on beside each other, each at its own pace.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread::JoinHandle;

use super::taps::Taps;
use crate::projection::ApplyError;

/// Batches that wait for a fold, beside the one that is folded.
const AHEAD: usize = 1;

/// What a batch is folded into.
pub trait Fold: Default + Send + 'static {
    fn fold(&mut self, taps: &Taps);
    /// Bytes in memory, about.
    fn memory(&self) -> usize;
}

/// A fold with a thread of its own as soon as there is something to fold.
pub enum Beside<F> {
    Idle(F),
    Busy(Busy<F>),
}

pub struct Busy<F> {
    give: SyncSender<Arc<Taps>>,
    memory: Arc<AtomicUsize>,
    /// Bytes of batches that are not folded yet.
    waiting: Arc<AtomicUsize>,
    thread: JoinHandle<F>,
}

impl<F: Fold> Default for Beside<F> {
    fn default() -> Self {
        Self::Idle(F::default())
    }
}

impl<F: Fold> Beside<F> {
    /// Folds it later; waits where too many do.
    pub fn give(&mut self, taps: &Arc<Taps>) -> Result<(), ApplyError> {
        if let Self::Idle(fold) = self {
            *self = Self::Busy(start(std::mem::take(fold))?);
        }
        let Self::Busy(busy) = self else { return Ok(()) };
        busy.waiting.fetch_add(taps.memory(), Ordering::Relaxed);
        busy.give.send(taps.clone()).map_err(|_| broken())
    }

    /// What all that was given comes to.
    pub fn settled(&mut self) -> Result<&mut F, ApplyError> {
        let fold = match std::mem::take(self) {
            Self::Idle(fold) => fold,
            Self::Busy(busy) => {
                drop(busy.give);
                busy.thread.join().map_err(|_| broken())?
            }
        };
        *self = Self::Idle(fold);
        match self {
            Self::Idle(fold) => Ok(fold),
            Self::Busy(_) => Err(broken()),
        }
    }

    pub fn memory(&self) -> usize {
        match self {
            Self::Idle(fold) => fold.memory(),
            Self::Busy(busy) => busy.memory.load(Ordering::Relaxed) + busy.waiting.load(Ordering::Relaxed),
        }
    }
}

/// The thread ends with what gives it batches.
fn start<F: Fold>(mut fold: F) -> Result<Busy<F>, ApplyError> {
    let (give, batches) = sync_channel::<Arc<Taps>>(AHEAD);
    let memory = Arc::new(AtomicUsize::new(fold.memory()));
    let waiting = Arc::new(AtomicUsize::new(0));
    let (told, gone) = (memory.clone(), waiting.clone());
    let work = move || {
        for taps in batches {
            fold.fold(&taps);
            told.store(fold.memory(), Ordering::Relaxed);
            gone.fetch_sub(taps.memory(), Ordering::Relaxed);
        }
        fold
    };
    let thread = background::spawn("fold", background::Share::Least, work)
        .map_err(|e| ApplyError::Event(format!("no thread to fold on: {e}")))?;
    Ok(Busy { give, memory, waiting, thread })
}

fn broken() -> ApplyError {
    ApplyError::Event("folding taps panicked".into())
}
