//! The newest events that this process wrote, kept for readers at the tip, and
//! the newest position known, with a bell for those who wait for it to move.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use domain::envelope::RecordedEvent;
use domain::ids::StreamId;
use domain::ports::log::{LogError, Page, ReadFilter, Written};
use tokio::sync::{Notify, watch};

use crate::written;

/// Newest events looked through for those that a conflict names.
const LOOK_BACK: usize = 1_000;

pub(crate) struct Tip {
    max_events: usize,
    max_bytes: usize,
    tail: RwLock<Tail>,
    head: watch::Sender<u64>,
    waiting: AtomicUsize,
    someone_waits: Notify,
}

/// Events next to each other in position order.
#[derive(Default)]
struct Tail {
    events: VecDeque<RecordedEvent>,
    bytes: usize,
}

impl Tip {
    pub fn new(max_events: usize, max_bytes: usize) -> Self {
        Self {
            max_events,
            max_bytes,
            tail: RwLock::default(),
            head: watch::Sender::new(0),
            waiting: AtomicUsize::new(0),
            someone_waits: Notify::new(),
        }
    }

    fn tail(&self) -> RwLockReadGuard<'_, Tail> {
        self.tail.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn tail_mut(&self) -> RwLockWriteGuard<'_, Tail> {
        // Nothing panics while the tail is being changed.
        self.tail.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds events that have just been committed by this process.
    pub fn extend(&self, events: Vec<RecordedEvent>) {
        let Some(last) = events.last().map(|e| e.position) else { return };
        let mut tail = self.tail_mut();
        if tail.events.back().is_some_and(|e| e.position + 1 != events[0].position) {
            tail.clear();
        }
        for event in events {
            tail.bytes += weight(&event);
            tail.events.push_back(event);
        }
        while tail.events.len() > self.max_events || tail.bytes > self.max_bytes {
            let Some(oldest) = tail.events.pop_front() else { break };
            tail.bytes -= weight(&oldest);
        }
        drop(tail);
        self.raise(last);
    }

    /// Forgets the tail: somebody else appended, or the connection was lost.
    pub fn clear(&self) {
        self.tail_mut().clear();
    }

    /// The log was seen to reach this position.
    pub fn raise(&self, position: u64) {
        self.head.send_if_modified(|head| {
            let higher = position > *head;
            *head = position.max(*head);
            higher
        });
    }

    pub fn position(&self) -> u64 {
        *self.head.borrow()
    }

    /// A page out of memory, if the tail holds the event after `after`.
    pub fn read(&self, after: u64, limit: usize, max_bytes: usize, filter: &ReadFilter) -> Option<Page> {
        let tail = self.tail();
        let first = tail.events.front()?.position;
        let skip = usize::try_from(after.checked_add(1)?.checked_sub(first)?).ok()?;
        if skip >= tail.events.len() {
            return None;
        }
        let mut page = Page { events: Vec::new(), through: after };
        let mut bytes = 0;
        for event in tail.events.range(skip..) {
            if page.events.len() >= limit || bytes >= max_bytes {
                break;
            }
            if filter.matches(event) {
                bytes += event.payload.len();
                page.events.push(event.clone());
            }
            page.through = event.position;
        }
        Some(page)
    }

    /// Versions `known + 1..=to` of a stream, if they are all among the newest.
    pub fn newer(&self, stream: &StreamId, known: u64, to: u64) -> Option<Vec<Written>> {
        let tail = self.tail();
        let mut found = Vec::new();
        for event in tail.events.iter().rev().take(LOOK_BACK) {
            if event.stream == *stream && event.version <= to {
                found.push(written(event));
                if event.version == known + 1 {
                    found.reverse();
                    return Some(found);
                }
            }
        }
        None
    }

    pub async fn changed(&self, after: u64) -> Result<u64, LogError> {
        let mut head = self.head.subscribe();
        if *head.borrow() > after {
            return Ok(*head.borrow());
        }
        self.waiting.fetch_add(1, Ordering::SeqCst);
        let _leave = Leave(&self.waiting);
        self.someone_waits.notify_one();
        let position = head.wait_for(|position| *position > after).await;
        position.map(|p| *p).map_err(|_| LogError::Unavailable("the log is closed".to_owned()))
    }

    /// Returns when at least one caller waits in [`Tip::changed`].
    pub async fn someone_waits(&self) {
        while self.waiting.load(Ordering::SeqCst) == 0 {
            self.someone_waits.notified().await;
        }
    }
}

struct Leave<'a>(&'a AtomicUsize);

impl Drop for Leave<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Tail {
    fn clear(&mut self) {
        self.events.clear();
        self.bytes = 0;
    }
}

fn weight(event: &RecordedEvent) -> usize {
    event.payload.len() + 400
}
