//! What was found, as appends that can be tried again.

use std::collections::HashMap;

use domain::anomaly_window::{self, DETECTED};
use domain::envelope::{Metadata, NewEvent};
use domain::ids::InvalidId;
use domain::ports::clock::Ids;
use domain::ports::log::{Append, ExpectedVersion, Receipt, StreamWrite};
use domain::rule_match::{self, MATCHED, RuleMatch};
use domain::{RecordedEvent, registry};
use serde::Serialize;

use super::Finding;

/// Windows of one append: a point far ahead may close many steps at once.
const WINDOWS: usize = 200;

/// The matches of a signal: all of them, or none because they are recorded.
pub fn matches(ids: &dyn Ids, signal: &RecordedEvent, matches: &[RuleMatch]) -> Result<Append, InvalidId> {
    let mut writes = Vec::with_capacity(matches.len());
    for found in matches {
        let stream = rule_match::stream(&signal.stream.tenant, &found.rule, signal.position)?;
        let events = vec![event(ids, signal, MATCHED, found)];
        writes.push(StreamWrite { stream, expected: ExpectedVersion::NoStream, events });
    }
    Ok(append(ids, signal, writes))
}

/// What a fact changes of windows, each at the version that it has to get.
pub fn windows(
    ids: &dyn Ids,
    cause: &RecordedEvent,
    found: &[Finding],
    appends: &mut Vec<Append>,
) -> Result<(), InvalidId> {
    // In the order in which they were found, with each window once.
    let mut by_window: Vec<(&str, Vec<&Finding>)> = Vec::new();
    let mut places: HashMap<&str, usize> = HashMap::new();
    for finding in found {
        let window = &*finding.detected.window;
        let place = *places.entry(window).or_insert(by_window.len());
        if place == by_window.len() {
            by_window.push((window, Vec::new()));
        }
        by_window[place].1.push(finding);
    }
    let mut writes = Vec::with_capacity(by_window.len());
    for (window, changes) in by_window {
        let expected = match changes.first().map_or(1, |first| first.version) {
            0 | 1 => ExpectedVersion::NoStream,
            version => ExpectedVersion::Exact(version - 1),
        };
        let events = changes.iter().map(|c| event(ids, cause, DETECTED, &c.detected)).collect();
        let stream = anomaly_window::stream(&cause.stream.tenant, window)?;
        writes.push(StreamWrite { stream, expected, events });
    }
    while !writes.is_empty() {
        let rest = writes.split_off(writes.len().min(WINDOWS));
        appends.push(append(ids, cause, std::mem::replace(&mut writes, rest)));
    }
    Ok(())
}

/// What was recorded, for the metrics.
pub fn count(receipt: &Receipt) {
    let matches = receipt.events.iter().filter(|e| *e.event_type == *MATCHED).count() as u64;
    metrics::counter!("daybook_rule_matches_total").increment(matches);
    let changes = receipt.events.len() as u64 - matches;
    metrics::counter!("daybook_anomaly_changes_total").increment(changes);
}

fn event(ids: &dyn Ids, cause: &RecordedEvent, name: &str, payload: &impl Serialize) -> NewEvent {
    NewEvent {
        event_id: ids.next(),
        event_type: name.into(),
        schema: registry::schema_of(name),
        // A throttle goes by the time of the signal, which this keeps.
        occurred_at: Some(cause.at()),
        // A struct of texts and numbers always serialises.
        payload: serde_json::to_string(payload).unwrap_or_default(),
    }
}

fn append(ids: &dyn Ids, cause: &RecordedEvent, writes: Vec<StreamWrite>) -> Append {
    let metadata = Metadata {
        actor: "worker:reactor".into(),
        command_id: ids.next(),
        correlation_id: cause.metadata.correlation_id.clone(),
        causation_id: Some(cause.event_id),
    };
    Append { writes, metadata, idempotency: None }
}
