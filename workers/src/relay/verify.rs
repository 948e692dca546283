//! Compares the bus with the log, event by event.

use domain::ports::bus::{Bus, BusError, Entry};
use domain::ports::log::{EventLog, LogError, ReadFilter};
use serde::Serialize;

/// Compared at a time.
const PAGE: usize = 5_000;
/// Ranges that are kept; more are only counted.
const MAX_RANGES: usize = 1_000;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// In the log and not on the bus, though the bus holds newer ones.
    Missing,
    /// Another event, or one that does not read.
    Different,
    /// On the bus, past the end of the log.
    Foreign,
}

/// Positions next to each other with the same finding.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Range {
    pub kind: Kind,
    pub first: u64,
    pub last: u64,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Verdict {
    /// Positions that were compared.
    pub first: u64,
    pub last: u64,
    pub compared: u64,
    /// Older ones that the stream's limits have taken away.
    pub expired: u64,
    /// Newer ones that the relay has not published yet.
    pub unpublished: u64,
    pub wrong: u64,
    pub ranges: Vec<Range>,
}

impl Verdict {
    pub fn is_clean(&self) -> bool {
        self.wrong == 0
    }

    fn found(&mut self, kind: Kind, position: u64) {
        self.wrong += 1;
        let more = self.ranges.len() < MAX_RANGES;
        match self.ranges.last_mut() {
            Some(range) if range.kind == kind && range.last + 1 == position => range.last = position,
            _ if more => self.ranges.push(Range { kind, first: position, last: position }),
            _ => {}
        }
    }
}

#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    #[error(transparent)]
    Bus(#[from] BusError),
    #[error(transparent)]
    Log(#[from] LogError),
}

/// Compares positions `from..=to` (0: as far as the bus goes). Each message's
/// leaf is computed again from its body.
pub async fn verify(log: &dyn EventLog, bus: &dyn Bus, from: u64, to: u64) -> Result<Verdict, VerifyError> {
    let extent = bus.extent().await?;
    let head = log.head().await?.position;
    let first = from.max(extent.first).max(1);
    let last = if to == 0 { extent.last } else { to.min(extent.last) };
    let mut verdict = Verdict {
        first,
        last,
        expired: extent.first.min(head + 1).saturating_sub(from.max(1)),
        unpublished: head.saturating_sub(extent.last),
        ..Verdict::default()
    };
    let mut after = first - 1;
    while after < last.min(head) {
        let page = log.read(after, PAGE.min((last - after) as usize), &ReadFilter::default()).await?;
        let (Some(newest), count) = (page.events.last().map(|e| e.position), page.events.len()) else {
            break;
        };
        let entries = entries(bus, after, newest).await?;
        let mut theirs = entries.iter().peekable();
        for event in &page.events {
            match theirs.next_if(|e| e.position == event.position) {
                None => verdict.found(Kind::Missing, event.position),
                Some(entry) if entry.leaf != Some(event.leaf) => {
                    verdict.found(Kind::Different, event.position);
                }
                Some(_) => {}
            }
        }
        verdict.compared += count as u64;
        after = newest;
    }
    for position in (head + 1).max(first)..=last {
        verdict.found(Kind::Foreign, position);
    }
    Ok(verdict)
}

/// The entries of positions `after + 1..=upto`. The bus may answer with fewer
/// than it is asked for.
async fn entries(bus: &dyn Bus, mut after: u64, upto: u64) -> Result<Vec<Entry>, BusError> {
    let mut all = Vec::new();
    while after < upto {
        let found = bus.read(after, (upto - after) as usize).await?;
        let Some(last) = found.last().map(|e| e.position) else { break };
        all.extend(found.into_iter().filter(|e| e.position <= upto));
        after = last;
    }
    Ok(all)
}
