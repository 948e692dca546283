//! What waits for the writer thread: one growing batch of encoded frames, and
//! those who wait for it to be on disk.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::task::{Context, Poll, Waker};
use std::thread::ThreadId;

use domain::ports::journal::{JournalEntry, JournalError};
use tokio::runtime::Handle;
use tokio::sync::oneshot;

use crate::frame;

pub struct Queue {
    pending: Mutex<Pending>,
    arrived: Condvar,
    max_bytes: usize,
}

struct Pending {
    batch: Batch,
    next: u64,
    closed: bool,
    /// Told once it has been done.
    turn: Vec<oneshot::Sender<()>>,
}

/// Frames that are written and synced together.
pub struct Batch {
    pub frames: Vec<u8>,
    pub first: u64,
    pub entries: usize,
    pub outcome: Arc<Outcome>,
}

impl Batch {
    fn starting_at(first: u64, frames: Vec<u8>) -> Self {
        Self { frames, first, entries: 0, outcome: Arc::default() }
    }
}

impl Queue {
    pub fn new(next: u64, max_bytes: usize) -> Self {
        let batch = Batch::starting_at(next, Vec::new());
        let pending = Mutex::new(Pending { batch, next, closed: false, turn: Vec::new() });
        Self { pending, arrived: Condvar::new(), max_bytes }
    }

    fn lock(&self) -> MutexGuard<'_, Pending> {
        self.pending.lock().unwrap_or_else(|e| e.into_inner())
    }

    pub fn push(&self, entry: &JournalEntry) -> Result<Written, JournalError> {
        let mut pending = self.lock();
        if pending.closed {
            return Err(JournalError::Closed);
        }
        if pending.batch.frames.len() >= self.max_bytes {
            return Err(JournalError::QueueFull);
        }
        let offset = pending.next;
        pending.next += 1;
        frame::encode(&mut pending.batch.frames, offset, entry);
        pending.batch.entries += 1;
        let written = Written { outcome: pending.batch.outcome.clone(), offset, place: None };
        let first = pending.batch.entries == 1;
        drop(pending);
        if first {
            self.arrived.notify_one();
        }
        Ok(written)
    }

    /// Waits for entries and takes them all, leaving `spare` to gather the
    /// next ones in; answers the offset after them too. The batch is empty if
    /// only a turn is asked for. `None` once closed and empty.
    pub fn take(&self, mut spare: Vec<u8>) -> Option<(Batch, u64)> {
        let mut pending = self.lock();
        while pending.batch.entries == 0 && pending.turn.is_empty() {
            if pending.closed {
                return None;
            }
            pending = self.arrived.wait(pending).unwrap_or_else(|e| e.into_inner());
        }
        spare.clear();
        let next = pending.next;
        Some((std::mem::replace(&mut pending.batch, Batch::starting_at(next, spare)), next))
    }

    /// Hands out no offset below `to` from now on.
    pub fn skip_to(&self, to: u64) {
        let mut pending = self.lock();
        pending.next = pending.next.max(to);
        if pending.batch.entries == 0 {
            pending.batch.first = pending.next;
        }
    }

    /// Has the writer begin a new segment after what is pending.
    pub fn ask_turn(&self) -> oneshot::Receiver<()> {
        let (told, done) = oneshot::channel();
        self.lock().turn.push(told);
        self.arrived.notify_one();
        done
    }

    /// Those who asked for a new segment before the batch was taken.
    pub fn turns(&self) -> Vec<oneshot::Sender<()>> {
        std::mem::take(&mut self.lock().turn)
    }

    pub fn close(&self) {
        self.lock().closed = true;
        self.arrived.notify_all();
    }
}

/// The fate of a batch, shared by all who wait for it.
#[derive(Default)]
pub struct Outcome(Mutex<Fate>);

enum Fate {
    Waiting(Vec<Group>),
    Known(Result<(), JournalError>),
}

/// Those who wait on one thread. Waking a task from outside of its runtime is
/// a system call or close to it, so its runtime gets one task that wakes all.
struct Group {
    thread: ThreadId,
    runtime: Option<Handle>,
    wakers: Vec<Waker>,
}

impl Group {
    fn here() -> Self {
        let runtime = Handle::try_current().ok();
        Self { thread: std::thread::current().id(), runtime, wakers: Vec::new() }
    }

    fn wake(self) {
        let wake = move || self.wakers.into_iter().for_each(Waker::wake);
        match self.runtime {
            Some(runtime) => drop(runtime.spawn(async move { wake() })),
            None => wake(),
        }
    }
}

impl Default for Fate {
    fn default() -> Self {
        Self::Waiting(Vec::new())
    }
}

impl Outcome {
    fn lock(&self) -> MutexGuard<'_, Fate> {
        self.0.lock().unwrap_or_else(|e| e.into_inner())
    }

    pub fn settle(&self, result: Result<(), JournalError>) {
        let before = std::mem::replace(&mut *self.lock(), Fate::Known(result));
        if let Fate::Waiting(groups) = before {
            groups.into_iter().for_each(Group::wake);
        }
    }
}

/// Resolves to the offset when the batch is on disk.
pub struct Written {
    outcome: Arc<Outcome>,
    offset: u64,
    /// Where this future's waker stands: its group and its place there.
    place: Option<(usize, usize)>,
}

impl Future for Written {
    type Output = Result<u64, JournalError>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        let mut fate = this.outcome.lock();
        let groups = match &mut *fate {
            Fate::Known(result) => return Poll::Ready(result.clone().map(|()| this.offset)),
            Fate::Waiting(groups) => groups,
        };
        // Groups and wakers are only ever added, so a place stays right.
        if let Some((group, waker)) = this.place {
            groups[group].wakers[waker].clone_from(context.waker());
            return Poll::Pending;
        }
        let thread = std::thread::current().id();
        let group = groups.iter().position(|g| g.thread == thread).unwrap_or_else(|| {
            groups.push(Group::here());
            groups.len() - 1
        });
        let wakers = &mut groups[group].wakers;
        this.place = Some((group, wakers.len()));
        wakers.push(context.waker().clone());
        Poll::Pending
    }
}
