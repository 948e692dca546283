//! The reference: a bus in memory that keeps the port's rule and, on request,
//! fails as a real one does.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use domain::RecordedEvent;
use domain::ports::bus::{Bell, Bus, BusError, Consumer, Entry, Extent, Publisher, Ring, Rings};
use tokio::sync::broadcast;

#[derive(Clone)]
pub struct MemoryBus {
    state: Arc<Mutex<State>>,
    bell: broadcast::Sender<Ring>,
}

#[derive(Default)]
struct State {
    entries: BTreeMap<u64, Entry>,
    last: u64,
    away: bool,
    /// Further events that are taken before the bus goes away.
    left: Option<u64>,
}

impl Default for MemoryBus {
    fn default() -> Self {
        Self { state: Arc::default(), bell: broadcast::Sender::new(1024) }
    }
}

impl MemoryBus {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn here(&self) -> Result<MutexGuard<'_, State>, BusError> {
        let state = self.state();
        if state.away { Err(BusError::Unavailable("away".to_owned())) } else { Ok(state) }
    }

    /// Nothing is answered any more, or again.
    pub fn set_away(&self, away: bool) {
        (self.state().away, self.state().left) = (away, None);
    }

    /// Takes so many events and then goes away, before it says so.
    pub fn go_away_after(&self, events: u64) {
        self.state().left = Some(events);
    }

    /// Forgets everything past a position, as a server that lost its disk's
    /// newest writes.
    pub fn lose_after(&self, position: u64) {
        let mut state = self.state();
        state.entries.retain(|p, _| *p <= position);
        state.last = state.last.min(position);
    }
}

#[async_trait]
impl Bus for MemoryBus {
    async fn open(&self) -> Result<Extent, BusError> {
        self.extent().await
    }

    async fn extent(&self) -> Result<Extent, BusError> {
        let state = self.here()?;
        let first = state.entries.keys().next().copied().unwrap_or(state.last + 1);
        Ok(Extent { first, last: state.last, entries: state.entries.len() as u64, bytes: 0 })
    }

    async fn read(&self, after: u64, limit: usize) -> Result<Vec<Entry>, BusError> {
        Ok(self.here()?.entries.range(after + 1..).take(limit).map(|(_, e)| e.clone()).collect())
    }

    async fn publisher(&self, after: u64) -> Result<Box<dyn Publisher>, BusError> {
        Ok(Box::new(MemoryPublisher { bus: self.clone(), sent: after }))
    }

    async fn replace(&self) -> Result<Vec<Consumer>, BusError> {
        let mut state = self.here()?;
        state.entries.clear();
        state.last = 0;
        Ok(Vec::new())
    }

    /// Nobody consumes this bus.
    async fn restore(&self, _: &Consumer) -> Result<(), BusError> {
        Ok(())
    }
}

struct MemoryPublisher {
    bus: MemoryBus,
    sent: u64,
}

#[async_trait]
impl Publisher for MemoryPublisher {
    async fn send(&mut self, events: &[RecordedEvent]) -> Result<u64, BusError> {
        for event in events {
            let mut state = self.bus.here()?;
            if event.position != self.sent + 1 || state.last != self.sent {
                return Err(BusError::Moved);
            }
            let entry = Entry {
                position: event.position,
                event_type: event.event_type.to_string(),
                leaf: Some(event.compute_leaf()),
            };
            state.entries.insert(event.position, entry);
            (state.last, self.sent) = (event.position, event.position);
            if let Some(left) = state.left.as_mut() {
                *left = left.saturating_sub(1);
                state.away = *left == 0;
            }
        }
        Ok(self.sent)
    }

    async fn flush(&mut self) -> Result<u64, BusError> {
        self.bus.here().map(|_| self.sent)
    }
}

#[async_trait]
impl Bell for MemoryBus {
    async fn ring(&self, ring: Ring) -> Result<(), BusError> {
        drop(self.here()?);
        // Nobody may be listening.
        let _ = self.bell.send(ring);
        Ok(())
    }

    async fn listen(&self) -> Result<Box<dyn Rings>, BusError> {
        drop(self.here()?);
        Ok(Box::new(MemoryRings(self.bell.subscribe())))
    }
}

struct MemoryRings(broadcast::Receiver<Ring>);

#[async_trait]
impl Rings for MemoryRings {
    async fn next(&mut self) -> Option<Ring> {
        loop {
            match self.0.recv().await {
                Ok(ring) => return Some(ring),
                Err(broadcast::error::RecvError::Lagged(_)) => {}
                Err(broadcast::error::RecvError::Closed) => return None,
            }
        }
    }
}
