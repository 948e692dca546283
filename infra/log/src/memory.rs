//! The log in memory: the reference that the others are compared with, and
//! what tests without a database stand on. It shares no planning code with
//! them on purpose and takes one append after the other.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use domain::envelope::RecordedEvent;
use domain::ids::{StreamId, TenantId};
use domain::ports::clock::Clock;
use domain::ports::log::{
    Append, AppendError, EventLog, Head, LogError, LogKeeping, Page, ReadFilter, Receipt, RestoreError,
    StoredReply, Written, check_restorable, wants_trimmable,
};
use domain::ports::tree::{CheckpointError, SignedCheckpoint, TreeLog, next_checkpoint};
use domain::registry::is_trimmable;
use domain::time::to_micros;
use domain::tree::{Frontier, Hash, TILE_HEIGHT, leaf_hash, peaks};
use jiff::Timestamp;
use tokio::sync::watch;

use crate::validate::{check, known_version};
use crate::{MAX_NEWER, written};

pub struct MemoryLog {
    clock: Arc<dyn Clock>,
    state: Mutex<State>,
    head: watch::Sender<u64>,
}

#[derive(Default)]
struct State {
    /// Index = position − 1.
    events: Vec<RecordedEvent>,
    /// Positions of each stream's events; index = version − 1.
    streams: HashMap<StreamId, Vec<u64>>,
    replies: HashMap<(TenantId, String), StoredReply>,
    /// Facts up to here may be gone.
    trimmed: u64,
    gone: HashSet<u64>,
    checkpoints: HashMap<String, BTreeMap<u64, SignedCheckpoint>>,
}

impl MemoryLog {
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, state: Mutex::default(), head: watch::Sender::new(0) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing panics between two changes that belong together.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Leaf hashes of these indexes.
    fn leaf_hashes(&self, indexes: Range<usize>) -> Vec<Hash> {
        let events = self.events.get(indexes).unwrap_or_default();
        events.iter().map(|event| leaf_hash(&event.leaf)).collect()
    }

    fn version(&self, stream: &StreamId) -> u64 {
        self.streams.get(stream).map_or(0, |positions| positions.len() as u64)
    }

    fn stream(&self, stream: &StreamId, after_version: u64) -> impl Iterator<Item = &RecordedEvent> {
        let positions = self.streams.get(stream).map_or(&[][..], Vec::as_slice);
        let skip = usize::try_from(after_version).unwrap_or(usize::MAX);
        positions.iter().skip(skip).map(|p| &self.events[*p as usize - 1])
    }

    fn append(&mut self, append: Append, now: Timestamp) -> Result<Receipt, AppendError> {
        check(&append)?;
        let key = append.idempotency.as_ref().map(|i| (i.tenant.clone(), i.key.clone()));
        if let (Some(key), Some(idempotency)) = (&key, &append.idempotency)
            && let Some(stored) = self.replies.get(key)
        {
            return match stored.request_hash == idempotency.request_hash {
                true => Ok(Receipt { replayed: true, ..stored.receipt.clone() }),
                false => Err(AppendError::KeyReused),
            };
        }
        for write in &append.writes {
            let actual = self.version(&write.stream);
            if !write.expected.holds(actual) {
                let known = known_version(write.expected, actual);
                return Err(AppendError::Conflict {
                    stream: write.stream.clone(),
                    expected: write.expected,
                    actual,
                    newer: self.stream(&write.stream, known).take(MAX_NEWER).map(written).collect(),
                });
            }
        }
        let last = self.events.last().map(|e| e.recorded_at);
        let recorded_at = last.map_or(now, |last| last.max(now));
        let reply = append.idempotency.as_ref().map(|i| i.reply.clone());
        let request_hash = append.idempotency.as_ref().map(|i| i.request_hash);
        let receipt =
            Receipt { events: self.record(append, recorded_at), recorded_at, reply, replayed: false };
        if let (Some(key), Some(request_hash)) = (key, request_hash) {
            self.replies.insert(key, StoredReply { request_hash, receipt: receipt.clone() });
        }
        Ok(receipt)
    }

    fn record(&mut self, append: Append, recorded_at: Timestamp) -> Vec<Written> {
        let mut done = Vec::new();
        for write in append.writes {
            for new in write.events {
                let position = self.events.len() as u64 + 1;
                let versions = self.streams.entry(write.stream.clone()).or_default();
                versions.push(position);
                let mut event = RecordedEvent {
                    position,
                    stream: write.stream.clone(),
                    version: versions.len() as u64,
                    event_id: new.event_id,
                    event_type: new.event_type,
                    schema: new.schema,
                    occurred_at: new.occurred_at.map(to_micros),
                    recorded_at,
                    metadata: append.metadata.clone(),
                    payload: new.payload,
                    leaf: [0; 32],
                };
                event.leaf = event.compute_leaf();
                done.push(written(&event));
                self.events.push(event);
            }
        }
        done
    }
}

#[async_trait]
impl EventLog for MemoryLog {
    async fn append(&self, batch: Vec<Append>) -> Vec<Result<Receipt, AppendError>> {
        let now = to_micros(self.clock.now());
        let mut state = self.state();
        let outcomes = batch.into_iter().map(|append| state.append(append, now)).collect();
        let position = state.events.len() as u64;
        self.head.send_if_modified(|head| std::mem::replace(head, position) != position);
        outcomes
    }

    async fn read(&self, after: u64, limit: usize, filter: &ReadFilter) -> Result<Page, LogError> {
        let state = self.state();
        let head = state.events.len() as u64;
        if limit > 0 && after < state.trimmed && wants_trimmable(filter) {
            return Err(LogError::Trimmed { upto: state.trimmed });
        }
        let mut page = Page { events: Vec::new(), through: after };
        let skip = usize::try_from(after).unwrap_or(usize::MAX);
        for event in state.events.iter().skip(skip) {
            if page.events.len() == limit {
                return Ok(page);
            }
            if filter.matches(event) {
                page.events.push(event.clone());
            }
            page.through = event.position;
        }
        page.through = head.max(after);
        Ok(page)
    }

    async fn read_stream(
        &self,
        stream: &StreamId,
        from_version: u64,
        limit: usize,
    ) -> Result<Vec<RecordedEvent>, LogError> {
        let state = self.state();
        let events: Vec<RecordedEvent> =
            state.stream(stream, from_version.saturating_sub(1)).take(limit).cloned().collect();
        match events.iter().any(|e| state.gone.contains(&e.position)) {
            true => Err(LogError::Trimmed { upto: state.trimmed }),
            false => Ok(events),
        }
    }

    async fn last(&self, stream: &StreamId) -> Result<Option<RecordedEvent>, LogError> {
        let state = self.state();
        let newest = state.version(stream).saturating_sub(1);
        Ok(state.stream(stream, newest).next().cloned())
    }

    async fn stored_reply(&self, tenant: &TenantId, key: &str) -> Result<Option<StoredReply>, LogError> {
        let state = self.state();
        Ok(state.replies.get(&(tenant.clone(), key.to_owned())).map(|stored| StoredReply {
            request_hash: stored.request_hash,
            receipt: Receipt { replayed: true, ..stored.receipt.clone() },
        }))
    }

    async fn head(&self) -> Result<Head, LogError> {
        let state = self.state();
        Ok(Head {
            position: state.events.len() as u64,
            recorded_at: state.events.last().map(|e| e.recorded_at),
        })
    }

    async fn changed(&self, after: u64) -> Result<u64, LogError> {
        let mut head = self.head.subscribe();
        let position = head.wait_for(|position| *position > after).await;
        position.map(|p| *p).map_err(|_| LogError::Unavailable("the log is closed".to_owned()))
    }
}

#[async_trait]
impl LogKeeping for MemoryLog {
    async fn restore(&self, events: &[RecordedEvent]) -> Result<(), RestoreError> {
        let mut state = self.state();
        check_restorable(state.events.len() as u64, events)?;
        for event in events {
            state.streams.entry(event.stream.clone()).or_default().push(event.position);
            state.events.push(event.clone());
        }
        self.head.send_replace(state.events.len() as u64);
        Ok(())
    }

    async fn trim(&self, upto: u64) -> Result<u64, LogError> {
        let mut state = self.state();
        let upto = upto.min((state.events.len() as u64).saturating_sub(1));
        state.trimmed = state.trimmed.max(upto);
        let gone: Vec<u64> = state
            .events
            .iter()
            .take_while(|e| e.position <= upto)
            .filter(|e| is_trimmable(&e.event_type) && e.version < state.version(&e.stream))
            .map(|e| e.position)
            .collect();
        let before = state.gone.len();
        state.gone.extend(gone);
        Ok((state.gone.len() - before) as u64)
    }

    async fn forget_replies(&self, stream: &StreamId) -> Result<u64, LogError> {
        let mut state = self.state();
        let before = state.replies.len();
        let names = |stored: &StoredReply| stored.receipt.events.iter().any(|e| e.stream == *stream);
        state.replies.retain(|(tenant, _), stored| *tenant != stream.tenant || !names(stored));
        Ok((before - state.replies.len()) as u64)
    }

    async fn trimmed(&self) -> Result<u64, LogError> {
        Ok(self.state().trimmed)
    }
}

/// Computed from the leaves each time, which no other log does.
#[async_trait]
impl TreeLog for MemoryLog {
    async fn frontier(&self) -> Result<Frontier, LogError> {
        let state = self.state();
        let size = state.events.len();
        let peaks = peaks(&state.leaf_hashes(0..size));
        Frontier::new(size as u64, peaks).map_err(LogError::Unavailable)
    }

    async fn entries(&self, first: u64, count: usize) -> Result<Vec<Hash>, LogError> {
        let state = self.state();
        let first = first as usize;
        let events = state.events.get(first..first.saturating_add(count)).ok_or_else(|| missing(first))?;
        Ok(events.iter().map(|e| e.leaf).collect())
    }

    async fn nodes(&self, level: u8, first: u64, count: usize) -> Result<Vec<Hash>, LogError> {
        let state = self.state();
        let width = 1_usize << (level.min(6) * TILE_HEIGHT);
        let root = |index: usize| {
            let leaves = state.leaf_hashes(index * width..(index + 1) * width);
            peaks(&leaves).pop().ok_or_else(|| missing(index * width))
        };
        (first as usize..first as usize + count).map(root).collect()
    }

    async fn checkpoint(
        &self,
        origin: &str,
        at_most: Option<u64>,
    ) -> Result<Option<SignedCheckpoint>, LogError> {
        let state = self.state();
        let of_origin = state.checkpoints.get(origin);
        let newest = of_origin.and_then(|all| all.range(..=at_most.unwrap_or(u64::MAX)).next_back());
        Ok(newest.map(|(_, checkpoint)| checkpoint.clone()))
    }

    async fn checkpoints(
        &self,
        origin: &str,
        after: u64,
        limit: usize,
    ) -> Result<Vec<SignedCheckpoint>, LogError> {
        let state = self.state();
        let all = state.checkpoints.get(origin).into_iter().flatten();
        Ok(all.filter(|(size, _)| **size > after).take(limit).map(|(_, c)| c.clone()).collect())
    }

    async fn keep_checkpoint(&self, new: &SignedCheckpoint) -> Result<SignedCheckpoint, CheckpointError> {
        let mut state = self.state();
        let all = state.checkpoints.entry(new.origin.clone()).or_default();
        let kept = next_checkpoint(all.values().next_back(), all.get(&new.size), new)?;
        all.insert(kept.size, kept.clone());
        Ok(kept)
    }

    async fn drop_checkpoints(&self, origin: &str, sizes: &[u64]) -> Result<u64, LogError> {
        let mut state = self.state();
        let Some(all) = state.checkpoints.get_mut(origin) else { return Ok(0) };
        let newest = all.keys().next_back().copied();
        let before = all.len();
        all.retain(|size, _| Some(*size) == newest || !sizes.contains(size));
        Ok((before - all.len()) as u64)
    }
}

fn missing(index: usize) -> LogError {
    LogError::Damaged { position: index as u64 + 1, reason: "it is missing".to_owned() }
}
