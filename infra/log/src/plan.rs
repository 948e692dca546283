//! Turns queued appends into events with positions and versions, and into one
//! outcome for each append. Pure: what it needs to know of the log is handed
//! in, and what earlier appends of the same batch do counts already.

use std::collections::HashMap;
use std::ops::Range;

use domain::envelope::{NewEvent, RecordedEvent};
use domain::ids::{StreamId, TenantId};
use domain::ports::log::{
    Append, AppendError, ExpectedVersion, Head, Idempotency, Receipt, StoredReply, StreamWrite,
};
use domain::time::to_micros;
use domain::tree::{Frontier, Node};
use jiff::Timestamp;
use uuid::Uuid;

use crate::validate::known_version;
use crate::written;

/// The newest event of the log, by which a write makes sure that the log is
/// still the one that it was planned for, and the tree up to it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Mark {
    pub position: u64,
    pub recorded_at: Option<Timestamp>,
    pub event_id: Option<Uuid>,
    pub frontier: Frontier,
}

impl Mark {
    pub fn head(&self) -> Head {
        Head { position: self.position, recorded_at: self.recorded_at }
    }
}

/// What the log says about the streams and keys of a batch.
#[derive(Debug, Default)]
pub(crate) struct Known<'a> {
    pub versions: HashMap<&'a StreamId, u64>,
    pub replies: HashMap<(&'a TenantId, &'a str), StoredReply>,
}

#[derive(Debug, PartialEq)]
pub(crate) enum Outcome {
    /// These of the plan's events.
    Recorded(Range<usize>),
    Replayed(Box<Receipt>),
    /// Has the key of an earlier append of the same batch, by index.
    SameAs(usize),
    KeyReused,
    Conflict(Conflict),
}

/// The events past `known` up to `actual` are named to the caller.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Conflict {
    pub stream: StreamId,
    pub expected: ExpectedVersion,
    pub known: u64,
    pub actual: u64,
}

/// A key to be stored with the events that its append recorded.
#[derive(Debug, PartialEq)]
pub(crate) struct KeyRow<'a> {
    pub idempotency: &'a Idempotency,
    pub first_position: u64,
    pub events: usize,
}

#[derive(Debug)]
pub(crate) struct Plan<'a> {
    pub base: Mark,
    pub recorded_at: Timestamp,
    pub events: Vec<RecordedEvent>,
    pub keys: Vec<KeyRow<'a>>,
    pub outcomes: Vec<Outcome>,
    /// The tree after these events, and the tiles that they fill.
    pub frontier: Frontier,
    pub nodes: Vec<Node>,
}

impl Plan<'_> {
    /// The end of the log once it is written; `None` if that does not move.
    pub fn end(&self) -> Option<Mark> {
        self.events.last().map(|event| Mark {
            position: event.position,
            recorded_at: Some(event.recorded_at),
            event_id: Some(event.event_id),
            frontier: self.frontier.clone(),
        })
    }

    /// With nothing to write, nothing proves that the batch was judged by the
    /// newest state; only replies that were stored are right at any time. And
    /// keys are looked up under the lock only: one that is stored is noticed
    /// without it because it cannot be stored again, but a conflict stores
    /// none, and may be the second try of an append that went through.
    pub fn needs_lock(&self, batch: &[&Append]) -> bool {
        let timeless = |o: &Outcome| matches!(o, Outcome::Replayed(_) | Outcome::KeyReused);
        let second_try = |(append, outcome): (&&Append, &Outcome)| {
            append.idempotency.is_some() && matches!(outcome, Outcome::Conflict(_))
        };
        (self.events.is_empty() && !self.outcomes.iter().all(timeless))
            || batch.iter().zip(&self.outcomes).any(second_try)
    }

    /// What is left to tell once it has been written.
    pub fn without_keys(self) -> Plan<'static> {
        let Self { base, recorded_at, events, outcomes, frontier, nodes, .. } = self;
        Plan { base, recorded_at, events, keys: Vec::new(), outcomes, frontier, nodes }
    }

    pub fn writes(&self) -> bool {
        !self.events.is_empty() || !self.keys.is_empty()
    }

    /// What the caller of append `index` is told, but for conflicts.
    pub fn receipt(&self, batch: &[&Append], index: usize) -> Result<Receipt, AppendError> {
        match &self.outcomes[index] {
            Outcome::Recorded(range) => Ok(Receipt {
                events: self.events[range.clone()].iter().map(written).collect(),
                recorded_at: self.recorded_at,
                reply: batch[index].idempotency.as_ref().map(|i| i.reply.clone()),
                replayed: false,
            }),
            Outcome::Replayed(receipt) => Ok(receipt.as_ref().clone()),
            Outcome::SameAs(first) => self.receipt(batch, *first).map(|r| Receipt { replayed: true, ..r }),
            Outcome::KeyReused => Err(AppendError::KeyReused),
            Outcome::Conflict(c) => Err(AppendError::Conflict {
                stream: c.stream.clone(),
                expected: c.expected,
                actual: c.actual,
                newer: Vec::new(),
            }),
        }
    }
}

/// The tree is the writer's to add.
pub(crate) fn plan<'a>(batch: &[&'a Append], known: Known<'a>, base: Mark, now: Timestamp) -> Plan<'a> {
    let recorded_at = base.recorded_at.map_or(to_micros(now), |last| last.max(to_micros(now)));
    let plan = Plan {
        recorded_at,
        events: Vec::new(),
        keys: Vec::new(),
        outcomes: Vec::new(),
        frontier: base.frontier.clone(),
        nodes: Vec::new(),
        base,
    };
    let mut planner = Planner { plan, known, keys: HashMap::new() };
    for (index, append) in batch.iter().enumerate() {
        let outcome = planner.judge(batch, index, append);
        planner.plan.outcomes.push(outcome);
    }
    planner.plan
}

struct Planner<'a> {
    plan: Plan<'a>,
    known: Known<'a>,
    /// Keys that this batch stores, with the append that brought them.
    keys: HashMap<(&'a TenantId, &'a str), usize>,
}

impl<'a> Planner<'a> {
    fn judge(&mut self, batch: &[&'a Append], index: usize, append: &'a Append) -> Outcome {
        if let Some(idempotency) = &append.idempotency
            && let Some(outcome) = self.seen(batch, idempotency)
        {
            return outcome;
        }
        if let Some(conflict) = append.writes.iter().find_map(|write| self.conflict(write)) {
            return Outcome::Conflict(conflict);
        }
        let first = self.plan.events.len();
        for write in &append.writes {
            for event in &write.events {
                self.record(append, &write.stream, event);
            }
        }
        let range = first..self.plan.events.len();
        if let Some(idempotency) = &append.idempotency {
            self.keys.insert((&idempotency.tenant, &idempotency.key), index);
            let first_position = self.plan.base.position + first as u64 + 1;
            self.plan.keys.push(KeyRow { idempotency, first_position, events: range.len() });
        }
        Outcome::Recorded(range)
    }

    fn seen(&self, batch: &[&'a Append], idempotency: &'a Idempotency) -> Option<Outcome> {
        let key = (&idempotency.tenant, idempotency.key.as_str());
        let (hash, outcome) = if let Some(stored) = self.known.replies.get(&key) {
            let receipt = Receipt { replayed: true, ..stored.receipt.clone() };
            (stored.request_hash, Outcome::Replayed(Box::new(receipt)))
        } else {
            let first = *self.keys.get(&key)?;
            (batch[first].idempotency.as_ref()?.request_hash, Outcome::SameAs(first))
        };
        Some(if hash == idempotency.request_hash { outcome } else { Outcome::KeyReused })
    }

    fn version(&self, stream: &StreamId) -> u64 {
        self.known.versions.get(stream).copied().unwrap_or(0)
    }

    fn conflict(&self, write: &StreamWrite) -> Option<Conflict> {
        let actual = self.version(&write.stream);
        (!write.expected.holds(actual)).then(|| Conflict {
            stream: write.stream.clone(),
            expected: write.expected,
            known: known_version(write.expected, actual),
            actual,
        })
    }

    fn record(&mut self, append: &Append, stream: &'a StreamId, new: &NewEvent) {
        let version = self.known.versions.entry(stream).or_insert(0);
        *version += 1;
        let mut event = RecordedEvent {
            position: self.plan.base.position + self.plan.events.len() as u64 + 1,
            stream: stream.clone(),
            version: *version,
            event_id: new.event_id,
            event_type: new.event_type.clone(),
            schema: new.schema,
            occurred_at: new.occurred_at.map(to_micros),
            recorded_at: self.plan.recorded_at,
            metadata: append.metadata.clone(),
            payload: new.payload.clone(),
            leaf: [0; 32],
        };
        event.leaf = event.compute_leaf();
        self.plan.events.push(event);
    }
}
