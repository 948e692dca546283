//! Whether every delivery ended, over the log alone.

use std::collections::HashMap;

use domain::decide::Decide;
use domain::delivery::{self, Delivery, Event, State};
use domain::endpoint::Status;
use domain::ports::log::{EventLog, ReadFilter};
use domain::registry::decode;
use domain::{RecordedEvent, StreamId, TenantId};
use jiff::Timestamp;
use serde::Serialize;

use super::{CAUSES, DispatchError, Ledger, state_types};

const PAGE: usize = 1_000;
/// Problems that are named; the others are counted.
const MAX_NAMED: usize = 100;

#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize)]
pub struct Verdict {
    /// The log was looked through up to here.
    pub position: u64,
    pub deliveries: u64,
    pub delivered: u64,
    pub dead: u64,
    /// Not ended, and its time is still to come or has just come.
    pub due: u64,
    /// Not ended, and its endpoint is paused.
    pub paused: u64,
    pub attempts: u64,
    pub problems: u64,
    /// The first of them.
    pub named: Vec<Problem>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Problem {
    pub position: u64,
    pub delivery: String,
    pub what: String,
}

impl Verdict {
    pub fn good(&self) -> bool {
        self.problems == 0
    }

    fn problem(&mut self, position: u64, delivery: &str, what: impl Into<String>) {
        self.problems += 1;
        if self.named.len() < MAX_NAMED {
            self.named.push(Problem { position, delivery: delivery.to_owned(), what: what.into() });
        }
    }
}

#[derive(Default)]
struct Seen {
    delivery: Delivery,
    /// Of its newest event.
    position: u64,
}

/// Reads the log and holds every delivery to it: what had to be told of is
/// scheduled, attempts are counted without a gap, nothing happens after an end,
/// and nothing that has not ended is later than `late` behind its time.
pub async fn verify(
    log: &dyn EventLog,
    tenant: Option<TenantId>,
    now: Timestamp,
    late: std::time::Duration,
) -> Result<Verdict, DispatchError> {
    let (mut verdict, mut ledger) = (Verdict::default(), Ledger::default());
    let mut seen: HashMap<StreamId, Seen> = HashMap::new();
    let mut wanted: HashMap<StreamId, u64> = HashMap::new();
    let types = state_types().chain(CAUSES.iter().copied());
    let filter = ReadFilter { tenant: tenant.clone(), ..ReadFilter::types(types) };
    let looked = super::last_place(log).await?;
    loop {
        let page = log.read(verdict.position, PAGE, &filter).await?;
        for event in &page.events {
            ledger.apply(event)?;
            for wanting in ledger.concerned(event)? {
                let id = delivery::id(&wanting.of.endpoint, wanting.of.cause_id);
                wanted.insert(StreamId::new(&wanting.endpoint.0, delivery::KIND, &id)?, event.position);
            }
            if event.stream.kind.as_ref() == delivery::KIND {
                wanted.remove(&event.stream);
                follow(&mut verdict, seen.entry(event.stream.clone()).or_default(), event)?;
            }
        }
        if page.through <= verdict.position {
            break;
        }
        verdict.position = page.through;
    }
    // What the dispatcher has not come to yet is not missing. Where a restore
    // said so, what came before is not sent.
    let missing = wanted.iter().filter(|(_, at)| **at <= looked && **at > ledger.live_from);
    for (stream, at) in missing {
        verdict.problem(*at, &stream.id, "was never scheduled");
    }
    let overdue =
        |at: Timestamp| std::time::Duration::try_from(now.duration_since(at)).is_ok_and(|by| by > late);
    for (stream, Seen { delivery, position }) in &seen {
        verdict.deliveries += 1;
        let Some(of) = &delivery.of else { continue };
        let key = (stream.tenant.clone(), of.endpoint.as_str().into());
        let status = ledger.get(&key).map(|e| e.state.status);
        match delivery.state {
            State::Delivered => verdict.delivered += 1,
            State::Dead => verdict.dead += 1,
            State::Due if status == Some(Status::Paused) => verdict.paused += 1,
            State::Due if overdue(delivery.due_at) => {
                verdict.problem(
                    *position,
                    &stream.id,
                    format!("was due at {} and has not ended", delivery.due_at),
                );
            }
            State::Due => verdict.due += 1,
        }
    }
    verdict.named.sort_by_key(|problem| problem.position);
    Ok(verdict)
}

fn follow(verdict: &mut Verdict, seen: &mut Seen, event: &RecordedEvent) -> Result<(), DispatchError> {
    let happened: Event = decode(event)?;
    let (position, id) = (event.position, &*event.stream.id);
    seen.position = position;
    let ended = seen.delivery.state != State::Due;
    match &happened {
        Event::Scheduled(_) if seen.delivery.of.is_some() => {
            verdict.problem(position, id, "was scheduled twice")
        }
        Event::Scheduled(_) => {}
        _ if seen.delivery.of.is_none() => verdict.problem(position, id, "was never scheduled"),
        Event::RequestedAgain { .. } => {
            if !ended {
                verdict.problem(position, id, "was asked for again and had not ended");
            }
        }
        _ if ended => verdict.problem(position, id, "went on after its end"),
        Event::Attempted(attempted) => {
            verdict.attempts += 1;
            if attempted.attempt != seen.delivery.attempts + 1 {
                let what =
                    format!("attempt {} follows attempt {}", attempted.attempt, seen.delivery.attempts);
                verdict.problem(position, id, what);
            }
        }
        Event::Delivered { .. } | Event::Dead { .. } => {}
    }
    seen.delivery.evolve(happened);
    Ok(())
}
